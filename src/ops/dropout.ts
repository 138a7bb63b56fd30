// Dropout and drop path: the mask is a function of seed, step, stream and place, so backward makes it again.
import { record } from '../tensor/tape.ts'
import { empty, type Tensor } from '../tensor/tensor.ts'
import { run } from './dispatch.ts'

/**
 * Zeroes with probability `p` and scales the rest by 1 / (1 - p). `inner` neighbouring elements share one fate
 * (N C for drop path on (B, N, C)). `seed` is i32 (2): run seed and step; `stream` tells call sites apart.
 */
export function dropout(x: Tensor, p: number, seed: Tensor, stream: number, inner = 1): Tensor {
  if (!(p >= 0 && p < 1)) throw new Error(`dropout: probability must be in [0, 1), got ${p}`)
  if (p === 0) return x
  const params = { n: x.size, inner, threshold: Math.floor(p * 4294967296) | 0, scale: 1 / (1 - p), stream }
  const y = empty(x.backend, x.shape)
  run('dropout', { y, x, seed }, params)
  return record(y, [x], () => ({
    saved: [seed],
    backward(dy, [seed]) {
      const dx = empty(dy.backend, dy.shape)
      run('dropout', { y: dx, x: dy, seed: seed! }, params)
      return [dx]
    },
  }))
}
