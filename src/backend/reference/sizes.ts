// What each kernel asks of its buffers and numbers, for the checks that only the reference backend makes.
import { binaryOps, type KernelName, kernels, type Params, packedFormats, reduceOps, unaryOps } from '../kernels.ts'

type Spec = typeof kernels
type Named<N extends string> = N extends `${infer Base}?` ? Base : N extends `${string}*` ? never : N
type BufNames<K extends KernelName> = Named<Spec[K]['out'][number] | Spec[K]['in'][number]>

/** The least number of elements of every buffer that a kernel may be given. Lists have the lengths that they have. */
export const leastLengths: { [K in KernelName]: (p: Params<K>) => Record<BufNames<K>, number> } = {
  fill: ({ n }) => ({ y: n }),
  copy: (p) => ({
    y: reach('y', p.yo, [p.d0, p.d1, p.d2, p.d3, p.d4, p.d5], [p.ys0, p.ys1, p.ys2, p.ys3, p.ys4, p.ys5]),
    x: reach('x', p.xo, [p.d0, p.d1, p.d2, p.d3, p.d4, p.d5], [p.xs0, p.xs1, p.xs2, p.xs3, p.xs4, p.xs5]),
  }),
  unary: ({ n }) => ({ y: n, x: n }),
  unaryGrad: ({ n }) => ({ dx: n, dy: n, x: n }),
  binary: ({ n, inner, count }) => ({ y: n, a: n, b: Math.min(count, Math.ceil(n / inner)) }),
  reduce: ({ outer, count, inner }) => ({ y: outer * inner, x: outer * count * inner }),
  matmul: ({ batch, m, n, k, strideA, strideB, transB, format, block }) => ({
    y: batch * m * n,
    slope: batch * m * n,
    a: batch === 0 ? 0 : (batch - 1) * strideA + m * k,
    ...(format > 0
      ? packedLengths(...((transB === 1 ? [n, k] : [k, n]) as [number, number]), format, block)
      : { b: batch === 0 ? 0 : (batch - 1) * strideB + k * n, bScale: 0 }),
    bias: n,
    colScale: n,
    residual: batch * m * n,
    kScale: k,
    gate: batch * m * n,
  }),
  softmax: ({ m, n }) => ({ y: m * n, x: m * n }),
  softmaxGrad: ({ m, n }) => ({ dx: m * n, dy: m * n, y: m * n }),
  layerNorm: ({ m, n }) => ({ y: m * n, mean: m, rstd: m, x: m * n, w: n, b: n }),
  layerNormGrad: ({ m, n }) => ({ dx: m * n, dw: n, db: n, dy: m * n, x: m * n, mean: m, rstd: m, w: n }),
  crossEntropy: ({ m, n }) => ({ loss: m, lse: m, x: m * n, target: m }),
  crossEntropyGrad: ({ m, n }) => ({ dx: m * n, dy: m, x: m * n, lse: m, target: m }),
  gather: ({ m, n }) => ({ y: m * n, x: 0, index: m }),
  scatterAdd: ({ m, n }) => ({ y: 0, x: m * n, index: m }),
  dropout: ({ n }) => ({ y: n, x: n, seed: 2 }),
  attention: ({ b, n, h, d }) => ({
    o: b * n * h * d,
    lse: b * h * n,
    q: b * n * h * d,
    k: b * n * h * d,
    v: b * n * h * d,
  }),
  attentionGrad: ({ b, n, h, d }) => {
    const all = b * n * h * d
    return { dq: all, dk: all, dv: all, do: all, q: all, k: all, v: all, o: all, lse: b * h * n }
  },
  adamw: () => ({ hyper: 6, gradScale: 1 }),
  sgd: () => ({ hyper: 2, gradScale: 1 }),
  clipNorm: () => ({ norm: 1, factor: 1 }),
  quantizeRows: ({ m, k }) => ({ codes: m * up(k, 4), scale: m, x: m * k, kScale: k }),
  matmulI8: ({ m, n, k, transB }) => ({
    y: m * n,
    slope: m * n,
    a: m * up(k, 4),
    aScale: m,
    b: transB === 1 ? n * up(k, 4) : k * up(n, 4),
    bScale: n,
    bias: n,
    colScale: n,
    residual: m * n,
    gate: m * n,
  }),
  unpack: ({ n, k, rows, format, block }) => ({ y: rows * k, ...packedLengths(n, k, format, block) }),
}

const up = (a: number, b: number) => Math.ceil(a / b)

/** Words and scales of a packed weight. */
export function packedLengths(
  rows: number,
  columns: number,
  format: number,
  block: number,
): { b: number; bScale: number } {
  const elements = rows * columns
  const blocks = up(elements, block)
  if (format === packedFormats.int8) return { b: rows * up(columns, 4), bScale: rows }
  if (format === packedFormats['int8-block']) return { b: up(elements, 4), bScale: blocks }
  const codes = up(elements, 8)
  if (format === packedFormats.nf4) return { b: codes, bScale: 16 + blocks }
  return { b: codes + up(blocks, 4), bScale: 16 + 256 + 1 + up(blocks, 256) }
}

/** One more than the highest element a strided walk touches; throws when the lowest is below 0. */
function reach(buf: string, offset: number, dims: readonly number[], strides: readonly number[]): number {
  if (dims.includes(0)) return 0
  let low = offset
  let high = offset
  dims.forEach((size, axis) => {
    const span = (size - 1) * strides[axis]!
    if (span < 0) low += span
    else high += span
  })
  if (low < 0) throw new Error(`copy: the walk over ${buf} must not go below element 0, got ${low}`)
  return high + 1
}

/** Buffers that are not f32. `copy` moves either, as long as both sides agree. */
const integerBufs: Partial<Record<KernelName, readonly string[]>> = {
  crossEntropy: ['target'],
  crossEntropyGrad: ['target'],
  gather: ['index'],
  scatterAdd: ['index'],
  dropout: ['seed'],
  quantizeRows: ['codes'],
  matmulI8: ['a', 'b'],
  unpack: ['b'],
}

/** Whether a buffer of a call is i32; a product's packed operand is too. */
export const isInteger = (kernel: KernelName, name: string, params: Readonly<Record<string, number>>): boolean =>
  integerBufs[kernel]?.includes(name) === true || (kernel === 'matmul' && name === 'b' && params.format! > 0)

/** The input that the first output may be: the same buffer, element for element. */
export const inPlace: Partial<Record<KernelName, string>> = { unary: 'x', binary: 'a', dropout: 'x' }

/** Parameters that may be negative (strides and offsets are checked by what they reach) or use all 32 bits. */
const anyI32 = new Set([
  'threshold',
  'stream',
  'ys0',
  'ys1',
  'ys2',
  'ys3',
  'ys4',
  'ys5',
  'xs0',
  'xs1',
  'xs2',
  'xs3',
  'xs4',
  'xs5',
])
const flags = new Set(['accumulate', 'transA', 'transB', 'nesterov'])
const atLeastOne = new Set(['inner', 'count'])
const opCount: Partial<Record<KernelName, number>> = {
  unary: unaryOps.length,
  unaryGrad: unaryOps.length,
  binary: binaryOps.length,
  reduce: reduceOps.length,
}

/** Throws unless every number of the kernel is there, none is unknown, and each is in range. */
export function checkParams(kernel: KernelName, params: Readonly<Record<string, number>>): void {
  const spec: Readonly<Record<string, 'i32' | 'f32'>> = kernels[kernel].params
  for (const name of Object.keys(params)) {
    if (!(name in spec))
      throw new Error(`${kernel}: no parameter is called ${name}; it takes ${Object.keys(spec).join(', ')}`)
  }
  for (const [name, type] of Object.entries(spec)) {
    const v = params[name]
    if (typeof v !== 'number') throw new Error(`${kernel}: parameter ${name} must be a number, got ${v}`)
    if (type === 'f32') continue
    const [low, high] = flags.has(name)
      ? [0, 1]
      : name === 'act'
        ? [0, 2]
        : name === 'format'
          ? [kernel === 'matmul' ? 0 : 1, 4]
          : name === 'op'
            ? [0, opCount[kernel]! - 1]
            : anyI32.has(name)
              ? [-2147483648, 4294967295]
              : [atLeastOne.has(name) ? 1 : 0, 2147483647]
    if (!Number.isInteger(v) || v < low || v > high) {
      throw new Error(`${kernel}: parameter ${name} must be a whole number from ${low} to ${high}, got ${v}`)
    }
  }
}
