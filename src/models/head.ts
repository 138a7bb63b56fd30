// The classifier of a model for the classes of some data: the model's own, or a new one.
import type { Init } from '../nn/layers.ts'
import type { Vit } from './vit.ts'

/** A classifier for `classes`: the loaded one when it names exactly these, a fresh one otherwise. Returns whether it is new. */
export function fitHead(model: Vit, classes: readonly string[], init: Init): boolean {
  const same =
    model.head &&
    model.config.classes.length === classes.length &&
    classes.every((c, i) => model.config.classes[i] === c)
  if (same) return false
  model.setHead([...classes], init)
  return true
}
