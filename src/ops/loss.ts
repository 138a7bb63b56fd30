// Cross-entropy by row, computed through the log-sum-exp.
import { showShape } from '../tensor/shape.ts'
import { record } from '../tensor/tape.ts'
import { empty, type Tensor } from '../tensor/tensor.ts'
import { run } from './dispatch.ts'

/** Loss (B) of logits (B, K) against class indices i32 (B), -1 ignored (loss 0); PyTorch's label smoothing. */
export function crossEntropy(x: Tensor, target: Tensor, smoothing = 0): Tensor {
  const [m, n] = x.shape as [number, number]
  if (x.shape.length !== 2 || target.size !== m || target.dtype !== 'i32') {
    throw new Error(
      `crossEntropy: needs logits (B, K) and i32 targets (B), got ${showShape(x.shape)} and ${showShape(target.shape)} ${target.dtype}`,
    )
  }
  const params = { m, n, smoothing }
  const loss = empty(x.backend, [m])
  const lse = empty(x.backend, [m])
  run('crossEntropy', { loss, lse, x, target }, params)
  return record(loss, [x], () => ({
    saved: [x, lse, target],
    backward(dy, [x, lse, target]) {
      const dx = empty(dy.backend, x!.shape)
      run('crossEntropyGrad', { dx, dy, x: x!, lse: lse!, target: target! }, params)
      return [dx]
    },
  }))
}
