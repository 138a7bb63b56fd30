// The classifier of a model for the classes of some data: the model's own, its own in another order, or a new one.
import type { Init, Linear } from '../nn/layers.ts'
import { gather, overwrite, reshape } from '../ops/view.ts'
import { scope } from '../tensor/scope.ts'
import { tensor } from '../tensor/tensor.ts'
import { areGeneric } from './labels.ts'
import type { Classifier } from './model-kind.ts'

export interface HeadFit {
  /** Whether the classifier was made anew. */
  readonly isNew: boolean
  /** What was done to it, where anything was. */
  readonly note?: string
}

/** Puts the rows of a classifier, and of what adapts it, into another order: row i becomes what row order[i] was. */
function permute({ weight, bias, adapter }: Linear, order: readonly number[]): void {
  for (const value of [weight, bias, ...(adapter?.byOutput() ?? [])]) {
    if (!value) continue
    scope(() => {
      const index = tensor(value.backend, Int32Array.from(order), [order.length])
      overwrite(value, gather(reshape(value, [order.length, value.size / order.length]), index))
    })
  }
}

/** Why the model's classifier is not one for these classes. */
function whyNew(model: Classifier, classes: readonly string[]): string {
  const own = model.config.classes
  if (!model.head || own.length === 0) return 'the model has none'
  if (areGeneric(own)) return 'the model numbers its classes and does not name them'
  const absent = classes.filter((name) => !own.includes(name))
  const rest = own.filter((name) => !classes.includes(name))
  const first = absent[0] ?? rest[0]
  const whose = absent.length > 0 ? 'the model has no' : 'the data has no'
  return `the model's ${own.length} classes are not the data's, ${whose} "${first}"`
}

/**
 * A classifier for `classes`: the loaded one when it names exactly these, with its rows in their order; a fresh one
 * otherwise.
 */
export function fitHead(model: Classifier, classes: readonly string[], init: Init): HeadFit {
  const own = model.config.classes
  const at = new Map(own.map((name, i) => [name, i]))
  const order = classes.map((name) => at.get(name))
  const same = model.head && own.length === classes.length && at.size === own.length && !order.includes(undefined)
  if (!same || new Set(order).size !== classes.length) {
    const note = `new classifier for ${classes.length} classes: ${whyNew(model, classes)}`
    model.setHead([...classes], init)
    return { isNew: true, note }
  }
  if (order.every((from, to) => from === to)) return { isNew: false }
  for (const head of model.heads) permute(head, order as number[])
  model.config.classes = [...classes]
  return { isNew: false, note: "the classifier's classes were put into the order of the data's" }
}
