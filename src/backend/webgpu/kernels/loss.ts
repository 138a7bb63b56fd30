// crossEntropy: a workgroup for each row. crossEntropyGrad: an element a thread.
// A target past the classes gives NaN, since a GPU cannot throw.
import type { GpuKernel } from '../kernel.ts'
import { bitsText, expText, extremaText, logText } from './math.ts'
import { pass, rowWidth, WIDTH, workgroupReduce } from './wgsl.ts'

export const crossEntropy: GpuKernel<'crossEntropy'> = ({ m, n, smoothing }, _, { maxWorkgroups, subgroups }) => {
  const width = rowWidth(n)
  return {
    passes: [
      pass(
        {
          key: `${width}`,
          buffers: [
            { name: 'loss', access: 'read_write' },
            { name: 'lse', access: 'read_write' },
            { name: 'x', access: 'read' },
            { name: 'target', access: 'read', as: 'label', type: 'i32' },
          ],
          fields: [
            ['m', 'u32', m],
            ['n', 'u32', n],
            ['smoothing', 'f32', smoothing],
          ],
          groups: m,
          width,
          subgroups,
          helpers: () => `${bitsText}${extremaText}${expText}${logText}
${workgroupReduce('largest', width, 'max', subgroups)}
${workgroupReduce('total', width, 'sum', subgroups)}`,
          body: () => `  if (group >= u.m) { return; }
  let row = group * u.n;
  var top = -infinity();
  for (var j = lane; j < u.n; j += ${width}u) { top = max2(top, x[row + j]); }
  top = largest(top, lane);
  var sum = 0.0;
  for (var j = lane; j < u.n; j += ${width}u) { sum += exp1(x[row + j] - top); }
  let log = top + log1(total(sum, lane));
  var all = 0.0;
  for (var j = lane; j < u.n; j += ${width}u) { all += x[row + j] - log; }
  all = total(all, lane);
  if (lane == 0u) {
    let t = label[group];
    lse[group] = log;
    var value = 0.0;
    if (t >= i32(u.n)) {
      value = nan();
    } else if (t >= 0) {
      value = -(1.0 - u.smoothing) * (x[row + u32(t)] - log);
      if (u.smoothing > 0.0) { value -= u.smoothing / f32(u.n) * all; }
    }
    loss[group] = value;
  }`,
        },
        maxWorkgroups,
      ),
    ],
  }
}

export const crossEntropyGrad: GpuKernel<'crossEntropyGrad'> = ({ m, n, smoothing }, _, { maxWorkgroups }) => ({
  passes: [
    pass(
      {
        key: '',
        buffers: [
          { name: 'dx', access: 'read_write' },
          { name: 'dy', access: 'read' },
          { name: 'x', access: 'read' },
          { name: 'lse', access: 'read' },
          { name: 'target', access: 'read', as: 'label', type: 'i32' },
        ],
        fields: [
          ['all', 'u32', m * n],
          ['n', 'u32', n],
          ['smoothing', 'f32', smoothing],
        ],
        groups: Math.ceil((m * n) / WIDTH),
        width: WIDTH,
        helpers: () => bitsText + expText,
        body: () => `  if (i >= u.all) { return; }
  let r = i / u.n;
  let j = i32(i % u.n);
  let t = label[r];
  let g = exp1(x[i] - lse[r]) - select(0.0, 1.0 - u.smoothing, j == t) - u.smoothing / f32(u.n);
  dx[i] = select(select(dy[r] * g, 0.0, t < 0), nan(), t >= i32(u.n));`,
      },
      maxWorkgroups,
    ),
  ],
})
