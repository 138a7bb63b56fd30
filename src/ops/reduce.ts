// Sums, means and sums of squares along an axis or over everything.
import { type ReduceOp, reduceOps } from '../backend/kernels.ts'
import { aroundAxis, axisOf, repeatRule, sameShape, showShape, sizeOf } from '../tensor/shape.ts'
import { record } from '../tensor/tape.ts'
import { empty, type Tensor } from '../tensor/tensor.ts'
import { run } from './dispatch.ts'
import { affine, broadcastTo, mul } from './elementwise.ts'
import { reshape } from './view.ts'

function reduceAround(
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

/** Sum over one axis, times `scale`; the axis disappears. */
export function sum(x: Tensor, axis: number, scale = 1): Tensor {
  const at = axisOf('sum', axis, x.shape.length)
  const shape = x.shape.filter((_, i) => i !== at)
  const y = reduceAround('sum', x, aroundAxis(x.shape, at), shape, scale)
  const kept = x.shape.map((d, i) => (i === at ? 1 : d))
  return record(y, [x], () => ({
    saved: [],
    backward: (dy) => [broadcastTo(reshape(scale === 1 ? dy : affine(dy, scale), kept), x.shape)],
  }))
}

/** Mean over one axis; the axis disappears. */
export function mean(x: Tensor, axis: number): Tensor {
  return sum(x, axis, 1 / x.shape[axisOf('mean', axis, x.shape.length)]!)
}

/** Mean over all elements, shape (). */
export function meanAll(x: Tensor): Tensor {
  return mean(reshape(x, [x.size]), 0)
}

/** Sum of squares along the last axis; that axis disappears. */
export function sumSquares(x: Tensor): Tensor {
  const at = axisOf('sumSquares', -1, x.shape.length)
  const y = reduceAround('sumSquares', x, aroundAxis(x.shape, at), x.shape.slice(0, at), 1)
  return record(y, [x], () => ({
    saved: [x],
    backward: (dy, [x]) => [mul(x!, reshape(affine(dy, 2), [...dy.shape, 1]))],
  }))
}

/** Sums `x` down to `shape`, the reverse of repeating `shape` to x's. Not recorded: for backward rules. */
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
