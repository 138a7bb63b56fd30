// Row-wise normalisation: layer norm and softmax.
import { showShape } from '../tensor/shape.ts'
import { isTracked, record } from '../tensor/tape.ts'
import { empty, type Tensor } from '../tensor/tensor.ts'
import { run } from './dispatch.ts'

/** (x - mean) / sqrt(var + eps) * w + b over the last axis (C); w and b are (C). Two-pass, biased variance. */
export function layerNorm(x: Tensor, w: Tensor, b: Tensor, eps: number): Tensor {
  const n = x.shape[x.shape.length - 1]!
  if (w.size !== n || b.size !== n) {
    throw new Error(
      `layerNorm: weight and bias must have ${n} elements, got ${showShape(w.shape)} and ${showShape(b.shape)}`,
    )
  }
  const m = x.size / n
  const y = empty(x.backend, x.shape)
  const stats = [x, w, b].some(isTracked) ? [empty(x.backend, [m]), empty(x.backend, [m])] : []
  run('layerNorm', { y, mean: stats[0], rstd: stats[1], x, w, b }, { m, n, eps })
  return record(y, [x, w, b], ([needsX, needsW, needsB]) => ({
    saved: [x, w, ...stats],
    backward(dy, [x, w, mean, rstd], [sumX]) {
      const dx = needsX ? (sumX ?? empty(dy.backend, dy.shape)) : undefined
      const dw = needsW ? empty(dy.backend, [n]) : undefined
      const db = needsB ? empty(dy.backend, [n]) : undefined
      run(
        'layerNormGrad',
        { dx, dw, db, dy, x: x!, mean: mean!, rstd: rstd!, w: w! },
        { m, n, accumulate: sumX ? 1 : 0 },
      )
      return [dx, dw, db]
    },
  }))
}

/** exp(x - max) / sum over the last axis. */
export function softmax(x: Tensor): Tensor {
  const n = x.shape[x.shape.length - 1]!
  const params = { m: x.size / n, n }
  const y = empty(x.backend, x.shape)
  run('softmax', { y, x }, params)
  return record(y, [x], () => ({
    saved: [y],
    backward(dy, [y]) {
      const dx = empty(dy.backend, dy.shape)
      run('softmaxGrad', { dx, dy, y: y! }, params)
      return [dx]
    },
  }))
}
