// Scaled dot-product attention as one op: the score matrix is never a tensor.
import { sameShape, showShape } from '../tensor/shape.ts'
import { isTracked, record } from '../tensor/tape.ts'
import { empty, type Tensor } from '../tensor/tensor.ts'
import { run } from './dispatch.ts'

/** Softmax(Q K^T / sqrt(D)) V by head for q, k, v (B, N, H D): (B, N, H D). Saves q, k, v, the result and (B, H, N) sums. */
export function attention(q: Tensor, k: Tensor, v: Tensor, heads: number): Tensor {
  const [b, n, c] = q.shape as [number, number, number]
  if (
    q.shape.length !== 3 ||
    c === 0 ||
    c % heads !== 0 ||
    !sameShape(q.shape, k.shape) ||
    !sameShape(q.shape, v.shape)
  ) {
    const got = [q, k, v].map((t) => showShape(t.shape)).join(', ')
    throw new Error(`attention: q, k and v must be equal (B, N, heads * D), got ${got} with ${heads} heads`)
  }
  const d = c / heads
  const params = { b, n, h: heads, d, scale: 1 / Math.sqrt(d) }
  const o = empty(q.backend, q.shape)
  const lse = [q, k, v].some(isTracked) ? empty(q.backend, [b, heads, n]) : undefined
  run('attention', { o, lse, q, k, v }, params)
  return record(o, [q, k, v], ([needsQ, needsK, needsV]) => ({
    saved: [q, k, v, o, lse],
    backward(dy, [q, k, v, o, lse]) {
      const dq = needsQ ? empty(dy.backend, dy.shape) : undefined
      const dk = needsK ? empty(dy.backend, dy.shape) : undefined
      const dv = needsV ? empty(dy.backend, dy.shape) : undefined
      run('attentionGrad', { dq, dk, dv, do: dy, q: q!, k: k!, v: v!, o: o!, lse: lse! }, params)
      return [dq, dk, dv]
    },
  }))
}
