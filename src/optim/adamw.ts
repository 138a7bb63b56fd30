// AdamW with decoupled decay (Loshchilov and Hutter, arXiv:1711.05101), as torch.optim.AdamW computes it.
import { run } from '../ops/dispatch.ts'
import { keep } from '../tensor/scope.ts'
import { type Tensor, tensor } from '../tensor/tensor.ts'
import { byScale, type Optimizer, type ParameterGroup, zerosLike } from './optimizer.ts'

export interface AdamwOptions {
  betas?: [number, number]
  eps?: number
}

/** AdamW over groups; the moments m and v cost two copies of what trains. */
export function adamw(groups: readonly ParameterGroup[], options: AdamwOptions = {}): Optimizer {
  // Kernels get f32, and 1 - f32(0.999) is 5e-5 off 0.001: the bias corrections must come from the same rounded numbers.
  const [beta1, beta2] = (options.betas ?? [0.9, 0.999]).map(Math.fround) as [number, number]
  const eps = options.eps ?? 1e-8
  const states = groups.map(({ params, weightDecay, rateScale = 1 }) => ({
    decay: weightDecay,
    scale: rateScale,
    slots: params.map(([name, p]) => ({ name, p, m: zerosLike(p), v: zerosLike(p) })),
  }))
  const all = states.flatMap(({ slots }) => slots)
  const first = all[0]
  if (!first) throw new Error('adamw: needs at least one trainable parameter, got none')
  // What changes from step to step is a tensor, so that a recorded step stays valid.
  const hypers = byScale(groups, () => keep(tensor(first.p.backend, new Float32Array(6), [6])))
  let steps = 0
  const prepare: Optimizer['prepare'] = (lr) => {
    steps++
    const rest = [beta1, beta2, eps, 1 - beta1 ** steps, 1 - beta2 ** steps]
    for (const [scale, hyper] of hypers) hyper.assign(Float32Array.of(lr * scale, ...rest))
  }
  const update: Optimizer['update'] = (grads, gradScale) => {
    for (const { decay, scale, slots } of states) {
      const used = slots.filter(({ name }) => grads.has(name))
      if (used.length === 0) continue
      const g = used.map(({ name }) => grads.get(name)!)
      const [p, m, v] = [used.map(({ p }) => p), used.map(({ m }) => m), used.map(({ v }) => v)]
      run('adamw', { p, m, v, g, hyper: hypers.get(scale)!, gradScale }, { decay })
    }
  }
  return {
    prepare,
    update,
    step(grads, lr, gradScale) {
      prepare(lr)
      update(grads, gradScale)
    },
    state: () => ({
      steps,
      tensors: all.flatMap(({ name, m, v }): [string, Tensor][] => [
        [`${name}.m`, m],
        [`${name}.v`, v],
      ]),
    }),
    setSteps(n) {
      steps = n
    },
    dispose() {
      for (const hyper of hypers.values()) hyper.dispose()
      for (const { m, v } of all) {
        m.dispose()
        v.dispose()
      }
    },
  }
}
