// A position in training, begun or taken up again.
import { overwrite } from '../ops/view.ts'
import { InputError } from '../platform/errors.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { FitState } from './fit-options.ts'
import { noBest } from './stopping.ts'

/** The numbers that training goes on from; a state from before patience had a best of its own goes on from the best. */
export const startNumbers = (seed: number, resume: FitState['numbers'] | undefined): FitState['numbers'] => ({
  step: 0,
  epoch: 0,
  batch: 0,
  optimizerSteps: 0,
  seed,
  ...noBest,
  patienceBest: resume?.best ?? noBest.patienceBest,
  plateau: { factor: 1, best: -1e308, bad: 0 },
  sums: [],
  counts: [],
  right: 0,
  of: 0,
  ...structuredClone(resume),
})

/** Tensors of a state, each under what it is of. */
export const prefixed = (prefix: string, tensors: readonly [string, Tensor][]): [string, Tensor][] =>
  tensors.map(([name, t]) => [`${prefix}.${name}`, t])

/** Copies a saved state into the live tensors of the same names; throws InputError when they do not correspond. */
export function restore(live: readonly [string, Tensor][], saved: readonly [string, Tensor][]): void {
  const from = new Map(saved)
  for (const [name, t] of live) {
    const source = from.get(name)
    if (!source || source.size !== t.size)
      throw new InputError(`resume: the saved state has no fitting ${name}; was it made with other options?`)
    overwrite(t, source)
    from.delete(name)
  }
  const [left] = from.keys()
  if (left !== undefined)
    throw new InputError(`resume: nothing takes ${left} of the saved state; was it made with other options?`)
}
