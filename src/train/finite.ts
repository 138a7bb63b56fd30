// NaN and infinity never go on in silence: what looks for them in outputs and weights, and what is said then.

import { clipFactor } from '../optim/clip.ts'
import { NotFiniteError } from '../platform/errors.ts'
import { countNonFinite } from '../tensor/finite.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { Replay } from './replay.ts'

/** Place of the first value that is no finite number; -1 where all are. */
export const firstNotFinite = (values: Float32Array): number => values.findIndex((z) => !Number.isFinite(z))

/** Throws NotFiniteError, naming the sample, where one of these logits (B, K) is no finite number. */
export function checkOutputs(logits: Float32Array, names: readonly string[]): void {
  const at = firstNotFinite(logits)
  if (at < 0) return
  const sample = names[Math.floor((at * names.length) / logits.length)]
  throw new NotFiniteError(
    `model: its outputs must be finite numbers, got ${logits[at]}${sample ? ` for ${sample}` : ''}; its weights are damaged or have diverged in training, take others`,
  )
}

/**
 * The name of a tensor that holds a value that is no finite number; undefined where none does. Looks on the device first,
 * at the norm of all together, so that what is fine never comes back. `looks` keeps that, for always the same tensors.
 */
export async function notFiniteAmong(
  looks: Replay,
  tensors: readonly (readonly [string, Tensor])[],
): Promise<string | undefined> {
  const all = tensors.map(([, t]) => t)
  const norm = looks.run('', {}, () => clipFactor(all, 1).norm)
  const finite = Number.isFinite(await norm.item())
  looks.release()
  if (finite) return undefined
  // The sum of squares may be too large where no value is.
  for (const [name, t] of tensors) if (countNonFinite((await t.data()) as Float32Array) > 0) return name
  return undefined
}

/**
 * Why training ends: what is no finite number, in which step (counted from 1), at which rate, and the
 * step that was last saved (0 none, undefined where nothing is saved at all).
 */
export function diverged(what: string, step: number, lr: number, saved: number | undefined): NotFiniteError {
  const left =
    saved === undefined ? '' : saved === 0 ? '; nothing was saved before' : `; the state of step ${saved} is kept`
  return new NotFiniteError(
    `training: ${what} in step ${step}; lower the learning rate (now ${lr}) or clip gradients, else look for damaged weights or data${left}`,
  )
}
