// softmax and softmaxGrad: a workgroup for each row, the maximum taken off first.
import type { GpuKernel } from '../kernel.ts'
import { bitsText, expText, extremaText } from './math.ts'
import { pass, rowWidth, workgroupReduce } from './wgsl.ts'

export const softmax: GpuKernel<'softmax'> = ({ m, n }, _, { maxWorkgroups, subgroups }) => {
  const width = rowWidth(n)
  return {
    passes: [
      pass(
        {
          key: `${width}`,
          buffers: [
            { name: 'y', access: 'read_write' },
            { name: 'x', access: 'read' },
          ],
          fields: [
            ['m', 'u32', m],
            ['n', 'u32', n],
          ],
          groups: m,
          width,
          subgroups,
          helpers: () => `${bitsText}${extremaText}${expText}
${workgroupReduce('largest', width, 'max', subgroups)}
${workgroupReduce('total', width, 'sum', subgroups)}`,
          body: () => `  if (group >= u.m) { return; }
  let row = group * u.n;
  var top = -infinity();
  for (var j = lane; j < u.n; j += ${width}u) { top = max2(top, x[row + j]); }
  top = largest(top, lane);
  var sum = 0.0;
  for (var j = lane; j < u.n; j += ${width}u) { sum += exp1(x[row + j] - top); }
  sum = total(sum, lane);
  for (var j = lane; j < u.n; j += ${width}u) { y[row + j] = exp1(x[row + j] - top) / sum; }`,
        },
        maxWorkgroups,
      ),
    ],
  }
}

export const softmaxGrad: GpuKernel<'softmaxGrad'> = ({ m, n }, _, { maxWorkgroups, subgroups }) => {
  const width = rowWidth(n)
  return {
    passes: [
      pass(
        {
          key: `${width}`,
          buffers: [
            { name: 'dx', access: 'read_write' },
            { name: 'dy', access: 'read' },
            { name: 'y', access: 'read' },
          ],
          fields: [
            ['m', 'u32', m],
            ['n', 'u32', n],
          ],
          groups: m,
          width,
          subgroups,
          helpers: () => workgroupReduce('total', width, 'sum', subgroups),
          body: () => `  if (group >= u.m) { return; }
  let row = group * u.n;
  var sum = 0.0;
  for (var j = lane; j < u.n; j += ${width}u) { sum = fma(dy[row + j], y[row + j], sum); }
  sum = total(sum, lane);
  for (var j = lane; j < u.n; j += ${width}u) { dx[row + j] = y[row + j] * (dy[row + j] - sum); }`,
        },
        maxWorkgroups,
      ),
    ],
  }
}
