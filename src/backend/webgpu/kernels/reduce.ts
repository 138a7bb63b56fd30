// reduce: in one pass, or in two with partial results where few outputs have long sums. The order of a sum is fixed.
import { type ReduceOp, reduceOps } from '../../kernels.ts'
import type { GpuKernel, GpuLimits, Pass } from '../kernel.ts'
import { bitsText, extremaText } from './math.ts'
import { pass, rowWidth, startOf, WIDTH, workgroupReduce } from './wgsl.ts'

/** From an accumulator `a` and an element `b`. */
const steps: Record<ReduceOp, string> = { sum: 'a + b', max: 'max2(a, b)', sumSquares: 'fma(b, b, a)' }

/** Elements a thread adds up before a second pass is worth it, for sums along columns. */
const CHUNK = 64
/** Elements of a row that one workgroup adds up. */
const ROW = 16384

interface Job {
  readonly from: string
  readonly to: string
  readonly op: ReduceOp
  readonly outer: number
  readonly count: number
  readonly inner: number
  /** `count` is cut into this many parts: the result is (outer, parts, inner). */
  readonly parts: number
  readonly scale: number
}

/** One pass over (outer, count, inner). */
export function reducePass(
  job: Job,
  { maxWorkgroups, subgroups: had }: Pick<GpuLimits, 'maxWorkgroups' | 'subgroups'>,
): Pass {
  const { from, to, op, outer, count, inner, parts, scale } = job
  const rows = inner === 1
  const width = rows ? rowWidth(Math.ceil(count / parts)) : WIDTH
  const n = outer * parts * inner
  const join = op === 'max' ? op : 'sum'
  const start = startOf(join)
  const subgroups = rows ? had : 0
  return pass(
    {
      key: `reduce ${op} ${rows ? width : 'columns'}`,
      buffers: [
        { name: to, access: 'read_write', as: 'y' },
        { name: from, access: 'read', as: 'x' },
      ],
      fields: [
        ['n', 'u32', n],
        ['count', 'u32', count],
        ['inner', 'u32', inner],
        ['parts', 'u32', parts],
        ['length', 'u32', Math.ceil(count / parts)],
        ['scale', 'f32', scale],
      ],
      groups: rows ? n : Math.ceil(n / width),
      width,
      subgroups,
      helpers: () => `${bitsText}${extremaText}
fn step(a: f32, b: f32) -> f32 { return ${steps[op]}; }
${rows ? workgroupReduce('together', width, join, subgroups) : ''}`,
      body: () =>
        rows
          ? `  if (group >= u.n) { return; }
  let low = (group % u.parts) * u.length;
  let high = min(u.count, low + u.length);
  let row = (group / u.parts) * u.count;
  var acc = ${start};
  for (var c = low + lane; c < high; c += ${width}u) { acc = step(acc, x[row + c]); }
  let all = together(acc, lane);
  if (lane == 0u) { y[group] = u.scale * all; }`
          : `  if (i >= u.n) { return; }
  let column = i % u.inner;
  let part = (i / u.inner) % u.parts;
  let o = i / (u.inner * u.parts);
  let high = min(u.count, (part + 1u) * u.length);
  var acc = ${start};
  for (var c = part * u.length; c < high; c++) { acc = step(acc, x[(o * u.count + c) * u.inner + column]); }
  y[i] = u.scale * acc;`,
    },
    maxWorkgroups,
  )
}

/** In how many parts to sum: enough threads for a device, and no part empty. */
export function partsOf(outer: number, count: number, inner: number): number {
  const length = inner === 1 ? ROW : CHUNK
  const enough = inner === 1 ? outer >= 256 : outer * inner >= 65536
  if (enough || count <= 2 * length) return 1
  const parts = Math.min(1024, Math.ceil(count / length))
  return Math.ceil(count / Math.ceil(count / parts))
}

export const reduce: GpuKernel<'reduce'> = ({ op, outer, count, inner, scale }, _, limits) => {
  const name = reduceOps[op]!
  const parts = partsOf(outer, count, inner)
  const job = { from: 'x', to: 'y', op: name, outer, count, inner, parts, scale }
  if (parts === 1) return { passes: [reducePass(job, limits)] }
  const again = name === 'max' ? name : 'sum'
  return {
    passes: [
      reducePass({ ...job, to: 'temp:part', scale: 1 }, limits),
      reducePass({ ...job, from: 'temp:part', op: again, count: parts, parts: 1 }, limits),
    ],
    temps: { part: outer * parts * inner },
  }
}
