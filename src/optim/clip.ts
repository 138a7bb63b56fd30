// Gradient clipping by global norm, on the device: the norm never has to come back before the step.
import { run } from '../ops/dispatch.ts'
import { empty, type Tensor } from '../tensor/tensor.ts'

/**
 * The global L2 norm (1) of the gradients, and the factor (1) that brings it down to `maxNorm`:
 * min(1, maxNorm / (norm + 1e-6)), as torch.nn.utils.clip_grad_norm_.
 */
export function clipFactor(grads: readonly Tensor[], maxNorm: number): { norm: Tensor; factor: Tensor } {
  const { backend } = grads[0]!
  const norm = empty(backend, [1])
  const factor = empty(backend, [1])
  run('clipNorm', { norm, factor, g: grads }, { maxNorm })
  return { norm, factor }
}
