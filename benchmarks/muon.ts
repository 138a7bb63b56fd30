// Muon (Jordan et al., 2024) for the matrices of the blocks, AdamW for the rest: what pretrain.ts trains with.
// The momentum of a matrix is made orthogonal by five Newton-Schulz steps, so that every direction learns at one pace.
import {
  adamw,
  add,
  affine,
  linear,
  matmul,
  mul,
  type Optimizer,
  overwrite,
  type Parameter,
  reshape,
  rsqrt,
  scope,
  sumSquares,
  type Tensor,
  tensor,
  transpose,
} from 'vitune/tensor'

const [a, b, c] = [3.4445, -4.775, 2.0315]

/** The orthogonal matrix nearest in direction to g, roughly: singular values come out between 0.7 and 1.2. */
function orthogonal(g: Tensor): Tensor {
  const [rows, cols] = g.shape as [number, number]
  if (rows > cols) return transpose(orthogonal(transpose(g)))
  const norm = affine(sumSquares(reshape(g, [1, g.size])), 1, 1e-12)
  let x = mul(g, rsqrt(norm))
  for (let i = 0; i < 5; i++) {
    const xx = linear(x, x) // x x^T
    const p = add(affine(xx, b), affine(linear(xx, xx), c))
    x = add(affine(x, a), matmul(p, x))
  }
  return x
}

/** `rate` multiplies the learning rate for the matrices. */
export function muon(
  params: readonly [string, Parameter][],
  options: { rate: number; weightDecay: number; momentum?: number },
): Optimizer {
  const { rate, weightDecay, momentum = 0.95 } = options
  const isMatrix = ([name, p]: [string, Parameter]) => p.shape.length === 2 && name.startsWith('blocks.')
  const matrices = params
    .filter(isMatrix)
    .map(([name, p]) => ({ name, p, m: tensor(p.backend, new Float32Array(p.size), p.shape) }))
  const rest = adamw([{ params: params.filter((entry) => !isMatrix(entry)), weightDecay: 0 }])
  return {
    step(grads, lr, gradScale) {
      rest.step(grads, lr, gradScale)
      for (const { name, p, m } of matrices) {
        const g = grads.get(name)!
        scope(() => {
          const next = add(affine(m, momentum), g)
          overwrite(m, next)
          const direction = orthogonal(add(affine(next, momentum), g))
          const [rows, cols] = p.shape as [number, number]
          const step = lr * rate * Math.sqrt(Math.max(1, rows / cols))
          overwrite(p, add(affine(p, 1 - lr * weightDecay), affine(direction, -step)))
        })
      }
    },
    state: () => {
      const { steps, tensors } = rest.state()
      return {
        steps,
        tensors: [...tensors, ...matrices.map(({ name, m }): [string, Tensor] => [`${name}.momentum`, m])],
      }
    },
    setSteps: (n) => rest.setSteps(n),
    dispose() {
      rest.dispose()
      for (const { m } of matrices) m.dispose()
    },
  }
}
