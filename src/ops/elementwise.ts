// Element by element: unary functions, and binary ones where the second operand may repeat over the first.
import { type BinaryOp, binaryOps, type UnaryOp, unaryOps } from '../backend/kernels.ts'
import { repeatRule, type Shape, sameShape, showShape, stridesOf } from '../tensor/shape.ts'
import { record } from '../tensor/tape.ts'
import { empty, type Tensor } from '../tensor/tensor.ts'
import { run } from './dispatch.ts'
import { reduceTo } from './reduce-to.ts'
import { copyStrided } from './view.ts'

const indexOf = Object.fromEntries(unaryOps.map((op, i) => [op, i])) as Record<UnaryOp, number>

function unary(op: UnaryOp, x: Tensor, a = 1, b = 0): Tensor {
  const params = { op: indexOf[op], n: x.size, a, b }
  const y = empty(x.backend, x.shape)
  run('unary', { y, x }, params)
  return record(y, [x], () => ({
    saved: [op === 'affine' ? undefined : x],
    backward(dy, [saved]) {
      const dx = empty(dy.backend, dy.shape)
      run('unaryGrad', { dx, dy, x: saved ?? dy }, params)
      return [dx]
    },
  }))
}

/** a x + b with plain numbers a and b. */
export const affine = (x: Tensor, a: number, b = 0): Tensor => unary('affine', x, a, b)
export const exp = (x: Tensor): Tensor => unary('exp', x)
export const log = (x: Tensor): Tensor => unary('log', x)
export const sqrt = (x: Tensor): Tensor => unary('sqrt', x)
export const rsqrt = (x: Tensor): Tensor => unary('rsqrt', x)
export const reciprocal = (x: Tensor): Tensor => unary('reciprocal', x)
export const tanh = (x: Tensor): Tensor => unary('tanh', x)
export const sigmoid = (x: Tensor): Tensor => unary('sigmoid', x)
export const relu = (x: Tensor): Tensor => unary('relu', x)
/** x Phi(x), the exact (erf) form that ViT uses. */
export const gelu = (x: Tensor): Tensor => unary('gelu', x)
/** x sigmoid(x). */
export const silu = (x: Tensor): Tensor => unary('silu', x)
export const abs = (x: Tensor): Tensor => unary('abs', x)
export const square = (x: Tensor): Tensor => unary('square', x)

/** x repeated to `shape`: sizes of 1 grow, missing leading axes appear. */
export function broadcastTo(x: Tensor, shape: readonly number[]): Tensor {
  if (sameShape(x.shape, shape)) return x
  const padded = [...new Array<number>(Math.max(0, shape.length - x.shape.length)).fill(1), ...x.shape]
  if (padded.length !== shape.length || padded.some((d, i) => d !== 1 && d !== shape[i])) {
    throw new Error(`broadcastTo: shape must extend ${showShape(x.shape)}, got ${showShape(shape)}`)
  }
  const y = empty(x.backend, shape)
  const xs = stridesOf(padded).map((stride, i) => (padded[i] === 1 ? 0 : stride))
  copyStrided(y, x, { sizes: shape, ys: stridesOf(shape), xs })
  return record(y, [x], () => ({ saved: [], backward: (dy) => [reduceTo(dy, x.shape)] }))
}

/** The shape that both repeat to; throws where a size differs and is not 1. */
function commonShape(op: BinaryOp, a: Shape, b: Shape): number[] {
  const rank = Math.max(a.length, b.length)
  return Array.from({ length: rank }, (_, i) => {
    const [m, n] = [a[i + a.length - rank] ?? 1, b[i + b.length - rank] ?? 1]
    if (m !== n && m !== 1 && n !== 1) {
      throw new Error(`${op}: shapes must be equal or repeat, got ${showShape(a)} and ${showShape(b)}`)
    }
    return m === 1 ? n : m
  })
}

function binary(op: BinaryOp, a: Tensor, b: Tensor): Tensor {
  const rule = repeatRule(a.shape, b.shape)
  if (!rule) {
    const shape = commonShape(op, a.shape, b.shape)
    return binary(op, broadcastTo(a, shape), repeatRule(shape, b.shape) ? b : broadcastTo(b, shape))
  }
  const bShape = b.shape
  const y = empty(a.backend, a.shape)
  run('binary', { y, a, b }, { op: binaryOps.indexOf(op), n: a.size, ...rule })
  return record(y, [a, b], ([needsA, needsB]) => {
    const product = op === 'mul' || op === 'div'
    return {
      saved: [product && needsB ? a : undefined, op === 'div' || (product && needsA) ? b : undefined],
      backward(dy, [a, b]) {
        if (op === 'add') return [dy, needsB ? reduceTo(dy, bShape) : undefined]
        if (op === 'sub') return [dy, needsB ? reduceTo(affine(dy, -1), bShape) : undefined]
        if (op === 'mul') return [needsA ? mul(dy, b!) : undefined, needsB ? reduceTo(mul(dy, a!), bShape) : undefined]
        const dyOverB = div(dy, b!)
        return [
          needsA ? dyOverB : undefined,
          needsB ? reduceTo(affine(mul(dyOverB, div(a!, b!)), -1), bShape) : undefined,
        ]
      },
    }
  })
}

export const add = (a: Tensor, b: Tensor): Tensor => binary('add', a, b)
export const sub = (a: Tensor, b: Tensor): Tensor => binary('sub', a, b)
export const mul = (a: Tensor, b: Tensor): Tensor => binary('mul', a, b)
export const div = (a: Tensor, b: Tensor): Tensor => binary('div', a, b)

/** y = x + share (y - x), in place: `share` of y stays. Not recorded. */
export function blendInto(y: Tensor, x: Tensor, share: number): void {
  const same = { n: y.size, inner: 1, count: y.size }
  run('binary', { y, a: y, b: x }, { op: binaryOps.indexOf('sub'), ...same })
  run('unary', { y, x: y }, { op: indexOf.affine, n: y.size, a: share, b: 0 })
  run('binary', { y, a: y, b: x }, { op: binaryOps.indexOf('add'), ...same })
}
