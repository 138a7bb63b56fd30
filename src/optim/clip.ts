// Gradient clipping by global norm, on the device: the norm never has to come back before the step.
import { binaryOps, reduceOps } from '../backend/kernels.ts'
import { run } from '../ops/dispatch.ts'
import { affine, reciprocal, sqrt } from '../ops/elementwise.ts'
import { copyStrided, fill } from '../ops/view.ts'
import { empty, type Tensor } from '../tensor/tensor.ts'

/**
 * The global L2 norm (1) of the gradients, and the factor (1) that brings it down to `maxNorm`:
 * min(1, maxNorm / (norm + 1e-6)), as torch.nn.utils.clip_grad_norm_.
 */
export function clipFactor(grads: readonly Tensor[], maxNorm: number): { norm: Tensor; factor: Tensor } {
  const { backend } = grads[0]!
  const sumSquares = { op: reduceOps.indexOf('sumSquares'), outer: 1, inner: 1, scale: 1 }
  const squares = empty(backend, [grads.length])
  grads.forEach((g, i) => {
    const one = empty(backend, [1])
    run('reduce', { y: one, x: g }, { ...sumSquares, count: g.size })
    copyStrided(squares, one, { sizes: [1], ys: [1], xs: [1], yo: i })
  })
  const total = empty(backend, [1])
  run('reduce', { y: total, x: squares }, { ...sumSquares, op: reduceOps.indexOf('sum'), count: grads.length })
  const norm = sqrt(total)
  const factor = affine(reciprocal(affine(norm, 1, 1e-6)), maxNorm)
  const one = empty(backend, [1])
  fill(one, 1)
  run('binary', { y: factor, a: factor, b: one }, { op: binaryOps.indexOf('min'), n: 1, inner: 1, count: 1 })
  return { norm, factor }
}
