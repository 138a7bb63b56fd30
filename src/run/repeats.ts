// Where a frozen backbone sees the same images in every epoch, so that their features are worth keeping.
import { type Method, methodOf } from '../adapters/methods.ts'
import { augmentationsOf, type TrainTransformOptions } from '../data/augmentations.ts'
import type { AnyModel } from '../models/registry.ts'

export interface RepeatFacts {
  readonly method: Method
  /** With its rates of dropout as they are in training. */
  readonly model: Pick<AnyModel, 'config' | 'rates'>
  /** Changes of training images. */
  readonly changes: TrainTransformOptions | false
  /** Whether batches to train on are mixed, joined with others or shown to a teacher: then they are of images. */
  readonly more: boolean
}

/** Whether images to train on, and those to validate on, come to the same features in every epoch, and nothing else reads them. */
export function repeating({ method, model, changes, more }: RepeatFacts): { train: boolean; val: boolean } {
  const frozen = methodOf(method).trains === 'classifier'
  const { dropout, dropPath } = model.config
  const random = Object.keys(augmentationsOf(changes || {})).length > 0 || dropout > 0 || dropPath > 0
  return { train: frozen && !random && !more && model.rates.patchKeep === 1, val: frozen }
}
