// Stochastic gradient descent with momentum, as torch.optim.SGD computes it (decay added to the gradient, dampening 0).
import { run } from '../ops/dispatch.ts'
import { keep } from '../tensor/scope.ts'
import { type Tensor, tensor } from '../tensor/tensor.ts'
import { byScale, type Optimizer, type ParameterGroup, zerosLike } from './optimizer.ts'

export interface SgdOptions {
  momentum?: number
  nesterov?: boolean
}

/** SGD over groups; the momentum costs one copy of what trains. */
export function sgd(groups: readonly ParameterGroup[], options: SgdOptions = {}): Optimizer {
  const momentum = options.momentum ?? 0.9
  const nesterov = options.nesterov ? 1 : 0
  const states = groups.map(({ params, weightDecay, rateScale = 1 }) => ({
    decay: weightDecay,
    scale: rateScale,
    slots: params.map(([name, p]) => ({ name, p, buf: zerosLike(p) })),
  }))
  const all = states.flatMap(({ slots }) => slots)
  const first = all[0]
  if (!first) throw new Error('sgd: needs at least one trainable parameter, got none')
  const hypers = byScale(groups, () => keep(tensor(first.p.backend, new Float32Array(2), [2])))
  let steps = 0
  const prepare: Optimizer['prepare'] = (lr) => {
    steps++
    for (const [scale, hyper] of hypers) hyper.assign(Float32Array.of(lr * scale, momentum))
  }
  const update: Optimizer['update'] = (grads, gradScale) => {
    for (const { decay, scale, slots } of states) {
      const used = slots.filter(({ name }) => grads.has(name))
      if (used.length === 0) continue
      const g = used.map(({ name }) => grads.get(name)!)
      run(
        'sgd',
        { p: used.map(({ p }) => p), buf: used.map(({ buf }) => buf), g, hyper: hypers.get(scale)!, gradScale },
        { decay, nesterov },
      )
    }
  }
  return {
    prepare,
    update,
    step(grads, lr, gradScale) {
      prepare(lr)
      update(grads, gradScale)
    },
    state: () => ({ steps, tensors: all.map(({ name, buf }): [string, Tensor] => [`${name}.momentum`, buf]) }),
    setSteps(n) {
      steps = n
    },
    dispose() {
      for (const hyper of hypers.values()) hyper.dispose()
      for (const { buf } of all) buf.dispose()
    },
  }
}
