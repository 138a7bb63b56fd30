// fill, unary, unaryGrad, binary.
import { type BinaryOp, binaryOps, type UnaryOp, unaryOps } from '../kernels.ts'
import { gelu, geluGrad } from './erf.ts'
import type { Kernel } from './kernel.ts'

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x))

const values: Record<UnaryOp, (x: number, a: number, b: number) => number> = {
  affine: (x, a, b) => a * x + b,
  exp: Math.exp,
  log: Math.log,
  sqrt: Math.sqrt,
  rsqrt: (x) => 1 / Math.sqrt(x),
  reciprocal: (x) => 1 / x,
  tanh: Math.tanh,
  sigmoid,
  relu: (x) => (x < 0 ? 0 : x), // NaN stays NaN
  gelu,
  silu: (x) => x * sigmoid(x),
  abs: Math.abs,
  square: (x) => x * x,
}

/** f'(x); 0 at the kinks of relu and abs, as in PyTorch. */
const slopes: Record<UnaryOp, (x: number, a: number) => number> = {
  affine: (_, a) => a,
  exp: Math.exp,
  log: (x) => 1 / x,
  sqrt: (x) => 0.5 / Math.sqrt(x),
  rsqrt: (x) => -0.5 / (x * Math.sqrt(x)),
  reciprocal: (x) => -1 / (x * x),
  tanh: (x) => 1 - Math.tanh(x) ** 2,
  sigmoid: (x) => sigmoid(x) * sigmoid(-x),
  relu: (x) => (x > 0 ? 1 : 0),
  gelu: geluGrad,
  silu: (x) => sigmoid(x) * (1 + x * sigmoid(-x)),
  abs: Math.sign,
  square: (x) => 2 * x,
}

const pairs: Record<BinaryOp, (a: number, b: number) => number> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
  max: Math.max,
  min: Math.min,
}

export const fill: Kernel<'fill'> = ({ y }, { n, value }) => {
  y.fill(value, 0, n)
}

export const unary: Kernel<'unary'> = ({ y, x }, { op, n, a, b }) => {
  const f = values[unaryOps[op]!]
  for (let j = 0; j < n; j++) y[j] = f(x[j]!, a, b)
}

export const unaryGrad: Kernel<'unaryGrad'> = ({ dx, dy, x }, { op, n, a }) => {
  const slope = slopes[unaryOps[op]!]
  for (let j = 0; j < n; j++) dx[j] = dy[j]! * slope(x[j]!, a)
}

export const binary: Kernel<'binary'> = ({ y, a, b }, { op, n, inner, count }) => {
  const f = pairs[binaryOps[op]!]
  for (let j = 0; j < n; j++) y[j] = f(a[j]!, b[Math.floor(j / inner) % count]!)
}
