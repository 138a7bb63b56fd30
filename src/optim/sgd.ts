// Stochastic gradient descent with momentum, as torch.optim.SGD computes it (decay added to the gradient, dampening 0).
import { run } from '../ops/dispatch.ts'
import { keep } from '../tensor/scope.ts'
import { type Tensor, tensor } from '../tensor/tensor.ts'
import { type Optimizer, type ParameterGroup, zerosLike } from './optimizer.ts'

export interface SgdOptions {
  momentum?: number
  nesterov?: boolean
}

/** SGD over groups; the momentum costs one copy of what trains. */
export function sgd(groups: readonly ParameterGroup[], options: SgdOptions = {}): Optimizer {
  const momentum = options.momentum ?? 0.9
  const nesterov = options.nesterov ? 1 : 0
  const slots = groups.flatMap(({ params, weightDecay }) =>
    params.map(([name, p]) => ({ name, p, decay: weightDecay, buf: zerosLike(p) })),
  )
  const first = slots[0]
  if (!first) throw new Error('sgd: needs at least one trainable parameter, got none')
  const hyper = keep(tensor(first.p.backend, new Float32Array(2), [2]))
  let steps = 0
  const prepare: Optimizer['prepare'] = (lr) => {
    steps++
    hyper.assign(Float32Array.of(lr, momentum))
  }
  const update: Optimizer['update'] = (grads, gradScale) => {
    for (const { name, p, decay, buf } of slots) {
      const g = grads.get(name)
      if (g) run('sgd', { p, buf, g, hyper, gradScale }, { n: p.size, decay, nesterov })
    }
  }
  return {
    prepare,
    update,
    step(grads, lr, gradScale) {
      prepare(lr)
      update(grads, gradScale)
    },
    state: () => ({ steps, tensors: slots.map(({ name, buf }): [string, Tensor] => [`${name}.momentum`, buf]) }),
    setSteps(n) {
      steps = n
    },
    dispose() {
      hyper.dispose()
      for (const { buf } of slots) buf.dispose()
    },
  }
}
