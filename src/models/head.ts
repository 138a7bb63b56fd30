// The classifier of a model for the classes of some data: the model's own, its own in another order, a new one, or one that
// keeps the rows of the classes that stay.
import { sameText } from '../labels/same-text.ts'
import type { Init, Linear } from '../nn/layers.ts'
import { concat, gather, overwrite, reshape } from '../ops/view.ts'
import { listed } from '../platform/listed.ts'
import { keep, scope } from '../tensor/scope.ts'
import { empty, type Tensor, tensor } from '../tensor/tensor.ts'
import { areGeneric } from './labels.ts'
import type { Classifier } from './model-kind.ts'

/** What became of a classifier's rows, by the names of their classes. */
export interface HeadRows {
  readonly kept: readonly string[]
  /** Begun as a new classifier's. */
  readonly added: readonly string[]
  readonly gone: readonly string[]
}

export interface HeadFit {
  /** Whether the classifier was made anew. */
  readonly isNew: boolean
  /** What was done to it, where anything was. */
  readonly note?: string
}

/** Row i of `to` becomes row order[i] of what stands in `from`, one below the other. */
function takeRows(to: Tensor, from: readonly Tensor[], order: readonly number[]): void {
  scope(() => {
    const width = to.size / order.length
    const rows = from.map((value) => reshape(value, [value.size / width, width]))
    const index = tensor(to.backend, Int32Array.from(order), [order.length])
    overwrite(to, gather(rows.length === 1 ? rows[0]! : concat(rows, 0), index))
  })
}

/** Puts the rows of a classifier, and of what adapts it, into another order: row i becomes what row order[i] was. */
function permute({ parameter, bias, adapter }: Linear, order: readonly number[]): void {
  for (const value of [parameter, bias, ...(adapter?.byOutput() ?? [])]) {
    if (value) takeRows(value, [value], order)
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

/** What became of the rows, in a sentence. */
function rowsText({ kept, added, gone }: HeadRows, own: number): string {
  const names = (list: readonly string[]) => `${list.length} (${listed(list)})`
  return [
    kept.length > 0
      ? `the classifier keeps the rows of ${names(kept)} of ${own} classes`
      : 'the classifier keeps no row',
    added.length > 0 ? `${names(added)} ${added.length === 1 ? 'is' : 'are'} new` : 'none is new',
    gone.length > 0 ? `${names(gone)} ${gone.length === 1 ? 'is' : 'are'} gone` : 'none is gone',
  ].join(', ')
}

/**
 * A classifier for `classes` that keeps the rows (weight and bias, bit for bit) of those that the model names already, in any
 * Unicode form; the others begin as a new classifier's. A classifier that an adapter is on is not one to call this for.
 */
export function keepRows(model: Classifier, classes: readonly string[], init: Init): HeadFit & { rows: HeadRows } {
  const own = model.head ? model.config.classes : []
  const at = new Map(own.map((name, i) => [sameText(name), i]))
  const from = classes.map((name) => at.get(sameText(name)))
  const stays = new Set(from)
  const rows: HeadRows = {
    kept: classes.filter((_, to) => from[to] !== undefined),
    added: classes.filter((_, to) => from[to] === undefined),
    gone: own.filter((_, i) => !stays.has(i)),
  }
  const note = rowsText(rows, own.length)
  const before = model.heads.map(({ parameter, bias }) => [parameter, bias].map((value) => value && copyOf(value)))
  model.setHead([...classes], init)
  const order = from.map((row, to) => row ?? own.length + to)
  for (const [i, { parameter, bias }] of model.heads.entries()) {
    for (const [place, value] of [parameter, bias].entries()) {
      const old = before[i]?.[place]
      if (value && old) takeRows(value, [old, value], order)
    }
  }
  for (const old of before.flat()) old?.dispose()
  return { isNew: rows.kept.length === 0, note, rows }
}

function copyOf(value: Tensor): Tensor {
  const copy = keep(empty(value.backend, value.shape))
  overwrite(copy, value)
  return copy
}
