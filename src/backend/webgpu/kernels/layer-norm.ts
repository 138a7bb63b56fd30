// layerNorm and the dx of layerNormGrad: a workgroup for each row, variance in a second pass over it.
// dw and db: a thread for each column and part of the rows, then the sum of the parts.
import type { Params } from '../../kernels.ts'
import type { GpuKernel, GpuLimits, Pass } from '../kernel.ts'
import { partsOf, reducePass } from './reduce.ts'
import { type BufferSpec, type Field, pass, rowWidth, WIDTH, workgroupReduce } from './wgsl.ts'

const read = (...names: string[]): BufferSpec[] => names.map((name) => ({ name, access: 'read' }))
const write = (...names: string[]): BufferSpec[] => names.map((name) => ({ name, access: 'read_write' }))

export const layerNorm: GpuKernel<'layerNorm'> = ({ m, n, eps }, has, { maxWorkgroups, subgroups }) => {
  const width = rowWidth(n)
  const saved = ['mean', 'rstd'].filter(has)
  return {
    passes: [
      pass(
        {
          key: `${width} ${saved.join(' ')}`,
          buffers: [...write('y', ...saved), ...read('x', 'w', 'b')],
          fields: [
            ['m', 'u32', m],
            ['n', 'u32', n],
            ['eps', 'f32', eps],
          ],
          groups: m,
          width,
          subgroups,
          helpers: () => workgroupReduce('total', width, 'sum', subgroups),
          body: () => `  if (group >= u.m) { return; }
  let row = group * u.n;
  var sum = 0.0;
  for (var j = lane; j < u.n; j += ${width}u) { sum += x[row + j]; }
  let mu = total(sum, lane) / f32(u.n);
  var squares = 0.0;
  for (var j = lane; j < u.n; j += ${width}u) {
    let d = x[row + j] - mu;
    squares = fma(d, d, squares);
  }
  let rs = 1.0 / sqrt(total(squares, lane) / f32(u.n) + u.eps);
  for (var j = lane; j < u.n; j += ${width}u) { y[row + j] = fma((x[row + j] - mu) * rs, w[j], b[j]); }
  if (lane == 0u) {
    ${has('mean') ? 'mean[group] = mu;' : ''}
    ${has('rstd') ? 'rstd[group] = rs;' : ''}
  }`,
        },
        maxWorkgroups,
      ),
    ],
  }
}

function inputGrad({ m, n, accumulate }: Params<'layerNormGrad'>, { maxWorkgroups, subgroups }: GpuLimits): Pass {
  const width = rowWidth(n)
  return pass(
    {
      key: `dx ${width} ${accumulate}`,
      buffers: [...write('dx'), ...read('dy', 'x', 'mean', 'rstd', 'w')],
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
  let mu = mean[group];
  let rs = rstd[group];
  var sum = 0.0;
  var dot = 0.0;
  for (var j = lane; j < u.n; j += ${width}u) {
    let g = dy[row + j] * w[j];
    sum += g;
    dot = fma(g, (x[row + j] - mu) * rs, dot);
  }
  sum = total(sum, lane) / f32(u.n);
  dot = total(dot, lane) / f32(u.n);
  for (var j = lane; j < u.n; j += ${width}u) {
    let xh = (x[row + j] - mu) * rs;
    dx[row + j] ${accumulate === 1 ? '+=' : '='} rs * (dy[row + j] * w[j] - sum - xh * dot);
  }`,
    },
    maxWorkgroups,
  )
}

/** Sums over a part of the rows: (parts, n) for each of `outs`. */
function columnSums(m: number, n: number, parts: number, outs: readonly string[], maxWorkgroups: number): Pass {
  const own = (out: string) => (parts === 1 ? out : `temp:${out}`)
  const dw = outs.includes('dw')
  const fields: Field[] = [
    ['n', 'u32', n],
    ['m', 'u32', m],
    ['all', 'u32', parts * n],
    ['length', 'u32', Math.ceil(m / parts)],
  ]
  return pass(
    {
      key: outs.join(' '),
      buffers: [
        ...outs.map((out): BufferSpec => ({ name: own(out), access: 'read_write', as: out })),
        ...read('dy', ...(dw ? ['x', 'mean', 'rstd'] : [])),
      ],
      fields,
      groups: Math.ceil((parts * n) / WIDTH),
      width: WIDTH,
      body: () => `  if (i >= u.all) { return; }
  let column = i % u.n;
  let low = (i / u.n) * u.length;
  let high = min(u.m, low + u.length);
  var dw_sum = 0.0;
  var db_sum = 0.0;
  for (var r = low; r < high; r++) {
    let d = dy[r * u.n + column];
    ${dw ? 'dw_sum = fma(d, (x[r * u.n + column] - mean[r]) * rstd[r], dw_sum);' : ''}
    db_sum += d;
  }
  ${outs.map((out) => `${out}[i] = ${out}_sum;`).join('\n  ')}`,
    },
    maxWorkgroups,
  )
}

export const layerNormGrad: GpuKernel<'layerNormGrad'> = (params, has, limits) => {
  const { m, n } = params
  const passes = has('dx') ? [inputGrad(params, limits)] : []
  const outs = ['dw', 'db'].filter(has)
  // With one column `partsOf` would plan for rows, which this pass does not do.
  const parts = partsOf(1, m, Math.max(n, 2))
  if (outs.length > 0) passes.push(columnSums(m, n, parts, outs, limits.maxWorkgroups))
  if (parts === 1) return { passes }
  for (const out of outs) {
    const job = {
      from: `temp:${out}`,
      to: out,
      op: 'sum',
      outer: 1,
      count: parts,
      inner: n,
      parts: 1,
      scale: 1,
    } as const
    passes.push(reducePass(job, limits))
  }
  return { passes, temps: Object.fromEntries(outs.map((out) => [out, parts * n])) }
}
