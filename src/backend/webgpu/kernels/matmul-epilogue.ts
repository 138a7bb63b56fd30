// What matmul's variants share: the uniform block, the epilogue, and `keep`, which puts a finished sum in its place. Text.
import type { Params } from '../../kernels.ts'
import { expText, geluText } from './math.ts'
import type { Field } from './wgsl.ts'

/** Lines of WGSL for 0 .. n - 1. */
export const lines = (n: number, line: (i: number) => string) =>
  Array.from({ length: n }, (_, i) => line(i)).join('\n  ')

/** The sizes of a product. */
export type Size = Pick<Params<'matmul'>, 'batch' | 'm' | 'n' | 'k'>

/** What a product is made of (matmul-operands.ts). */
export interface Operands {
  /** Their part of the pipeline's key. */
  readonly key: string
  /** Whether both are codes, four to a word along k; sums are i32 then. */
  readonly integer: boolean
  /** Functions; of matmul's tile or block, whose vectors have `size` columns. */
  readonly helpers: (size: number) => string
  /** B at a column and a step of k; none where the strides of the uniform block say all. */
  readonly b?: (column: string, step: string) => string
  /** What they need in the uniform block. */
  readonly fields: readonly Field[]
}

/** Bits of `u.flags`: what a finished sum goes through, along which side of an operand neighbours lie, whether A is scaled. */
export const flag = {
  bias: 1,
  slope: 2,
  gelu: 4,
  colScale: 8,
  residual: 16,
  accumulate: 32,
  aAlongK: 64,
  bAlongK: 128,
  gate: 256,
  kScale: 512,
  geluGrad: 1024,
  bScale: 2048,
} as const

/**
 * `finish`: what happens to a finished sum. Flags instead of a pipeline for each epilogue: the branches are uniform, a few
 * scalar instructions for each result beside the k multiply-adds that made it, and a model's first step compiles one
 * pipeline a tile where it had up to forty. An operand that is not given is bound to another buffer and never touched. `gate`
 * is bound as `slope`, since no product has both: so the buffers stay within the eight that every device binds. Where operands
 * have scales the residual is bound there too.
 */
export const epilogue = (residual = 'residual') => `${expText}${geluText}
fn finish(at: u32, column: u32, sum: f32) {
  var v = u.alpha * sum;
  if ((u.flags & ${flag.bias}u) != 0u) { v += bias[column]; }
  if ((u.flags & ${flag.gelu | flag.geluGrad}u) != 0u) {
    let both = gelu2(v);
    if ((u.flags & ${flag.slope}u) != 0u) { slope[at] = both.y; }
    v = select(both.y, both.x, (u.flags & ${flag.gelu}u) != 0u);
  }
  if ((u.flags & ${flag.gate}u) != 0u) { v *= slope[at]; }
  if ((u.flags & ${flag.colScale}u) != 0u) { v *= colScale[column]; }
  if ((u.flags & ${flag.residual}u) != 0u) { v += ${residual}[at]; }
  if ((u.flags & ${flag.accumulate}u) != 0u) { v += y[at]; }
  y[at] = v;
}`

/** `keep`: finishes a sum where it is one of y's, after the scales of its row and column where it is one of codes. */
export const keepText = (of: Operands) => `${epilogue(of.b ? 'slope' : undefined)}
fn keep(z: u32, row: u32, column: u32, sum: ${of.integer ? 'i32' : 'f32'}) {
  if (row >= u.m || column >= u.n) { return; }
  ${
    of.integer
      ? `var v = f32(sum) * aScale[row];
  if ((u.flags & ${flag.bScale}u) != 0u) { v *= bScale[column]; }`
      : 'let v = sum;'
  }
  finish((z * u.m + row) * u.n + column, column, v);
}`

/**
 * `line` for each of an invocation's results, vectors sum0, sum1, ..., given its row, its column and its sum. Loops whose
 * ends are constants, which GPU compilers unroll; written out, they would have SwiftShader compile the epilogue for each.
 */
export const results = (rows: number, columns: number, line: (i: string, j: string, sum: string) => string) => `
  for (var i = 0u; i < ${rows}u; i++) {
    var sums = sum0;
    ${lines(rows - 1, (i) => `if (i == ${i + 1}u) { sums = sum${i + 1}; }`)}
    for (var j = 0u; j < ${columns}u; j++) {
      ${line('i', 'j', 'sums[j]')}
    }
  }`

/** The invocation's vectors of sums. */
export const sumsOf = (rows: number, columns: number, of: Operands) =>
  lines(rows, (i) => `var sum${i} = vec${columns}${of.integer ? 'i' : 'f'}();`)

/** A's element times a vector of B's. */
export const timesText = (of: Operands, a: string, b: string) => (of.integer ? `times(${a}, ${b})` : `${a} * ${b}`)
