// Sums, means and sums of squares along an axis or over everything.
import { aroundAxis, axisOf } from '../tensor/shape.ts'
import { record } from '../tensor/tape.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { affine, broadcastTo, mul } from './elementwise.ts'
import { reduceAround } from './reduce-to.ts'
import { reshape } from './view.ts'

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
