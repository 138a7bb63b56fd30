// Sums that no tape records: for backward rules, and for the recorded ones in reduce.ts.
import { type ReduceOp, reduceOps } from '../backend/kernels.ts'
import { aroundAxis, repeatRule, sameShape, showShape, sizeOf } from '../tensor/shape.ts'
import { empty, type Tensor } from '../tensor/tensor.ts'
import { run } from './dispatch.ts'
import { reshape } from './view.ts'

/** Reduces the middle of (outer, count, inner); the result has `shape`. */
export function reduceAround(
  op: ReduceOp,
  x: Tensor,
  around: { outer: number; count: number; inner: number },
  shape: readonly number[],
  scale: number,
): Tensor {
  const y = empty(x.backend, shape)
  run('reduce', { y, x }, { op: reduceOps.indexOf(op), ...around, scale })
  return y
}

/** Sums `x` down to `shape`, the reverse of repeating `shape` to x's. */
export function reduceTo(x: Tensor, shape: readonly number[]): Tensor {
  if (sameShape(x.shape, shape)) return x
  const rule = repeatRule(x.shape, shape)
  if (!rule) {
    // Ones between other sizes: one axis at a time.
    const at = x.shape.findIndex((d, i) => d !== 1 && shape[i - (x.shape.length - shape.length)] === 1)
    if (at < 0) throw new Error(`reduceTo: shape must repeat to ${showShape(x.shape)}, got ${showShape(shape)}`)
    const kept = x.shape.map((d, i) => (i === at ? 1 : d))
    return reduceTo(reduceAround('sum', x, aroundAxis(x.shape, at), kept, 1), shape)
  }
  const { count, inner } = rule
  const outer = sizeOf(x.shape) / (count * inner)
  const rows =
    inner === 1 ? x : reduceAround('sum', x, { outer: outer * count, count: inner, inner: 1 }, [outer * count], 1)
  return outer === 1
    ? reshape(rows, shape)
    : reduceAround('sum', rows, { outer: 1, count: outer, inner: count }, shape, 1)
}
