// From the outputs of a sample to labels of a tree that belong together: a child only where its parent is, one label of each
// group that a parent opens. Pure; what is counted of it stands in tree-metrics.ts.
import { type LabelSpace, pathOf } from '../labels/labels.ts'
import { InputError } from '../platform/errors.ts'
import { sigmoidOf } from './label-metrics.ts'
import type { Decoding } from './task.ts'

/** What is decided at once: which label of a group is there, or whether a label without a group is. */
interface Choice {
  readonly labels: readonly number[]
  /** The place of the group, or -1 for a label without one. */
  readonly group: number
}

/** A label space with what its tree says, worked out once. */
export interface Tree {
  readonly labels: LabelSpace
  /** How many labels stand in groups; the others follow them. */
  readonly grouped: number
  /** Each after those that hold the parents of its labels. */
  readonly choices: readonly Choice[]
  /** Of each label the choices among its children, and only those children. */
  readonly below: readonly (readonly Choice[])[]
  /** Of each label how many it is a kind of: 0 for a root. */
  readonly depths: readonly number[]
  /** Each label followed by what is below it: the order in which labels are told. */
  readonly order: readonly number[]
}

/** Throws an InputError on groups that are not the first labels in order, and on groups above each other. */
export function treeOf(labels: LabelSpace): Tree {
  const { names, groups, parents } = labels
  const grouped = groups.flat().length
  if (
    groups.length === 0 ||
    groups.some((group) => group.length < 2) ||
    groups.flat().some((label, i) => label !== i)
  ) {
    throw new InputError(
      `labels: groups of a hierarchy must hold two labels or more and be the first labels in order, got ${JSON.stringify(groups)}; make them with hierarchicalLabels`,
    )
  }
  const all: Choice[] = [
    ...groups.map((group, i) => ({ labels: group, group: i })),
    ...names.slice(grouped).map((_, i) => ({ labels: [grouped + i], group: -1 })),
  ]
  const placed = new Set<number>([-1])
  const choices: Choice[] = []
  for (let left = all; left.length > 0; ) {
    const ready = left.filter((choice) => choice.labels.every((label) => placed.has(parents[label]!)))
    if (ready.length === 0) {
      throw new InputError(
        `labels: groups must not hold parents of each other's labels in a circle, got one through "${names[left[0]!.labels[0]!]}"`,
      )
    }
    choices.push(...ready)
    for (const label of ready.flatMap((choice) => choice.labels)) placed.add(label)
    left = left.filter((choice) => !ready.includes(choice))
  }
  const below = names.map((_, parent) =>
    choices
      .map((choice) => ({ ...choice, labels: choice.labels.filter((label) => parents[label] === parent) }))
      .filter((choice) => choice.labels.length > 0),
  )
  const paths = names.map((_, label) => pathOf(labels, label))
  const childrenOf = (parent: number) => [...names.keys()].filter((label) => parents[label] === parent)
  const down = (label: number): number[] => [label, ...childrenOf(label).flatMap(down)]
  return {
    labels,
    grouped,
    choices,
    below,
    depths: paths.map((path) => path.length - 1),
    order: childrenOf(-1).flatMap(down),
  }
}

/** What a sample's outputs say. */
export interface Decoded {
  /** By label 1 or 0. */
  readonly present: Uint8Array
  /** Softmax in a group, sigmoid without one. */
  readonly scores: Float64Array
  /** Logarithms of the scores. */
  readonly logs: Float64Array
}

/** log(1 + e^x). */
const softplus = (x: number) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)))

/** Logarithms of the scores of outputs (K). */
function logScores({ labels: { groups }, grouped }: Tree, logits: Float32Array): Float64Array {
  const logs = Float64Array.from(logits, (z, i) => (i < grouped ? z : -softplus(-z)))
  for (const group of groups) {
    let most = Number.NEGATIVE_INFINITY
    for (const label of group) most = Math.max(most, logs[label]!)
    let total = 0
    for (const label of group) total += Math.exp(logs[label]! - most)
    for (const label of group) logs[label]! -= most + Math.log(total)
  }
  return logs
}

/** The label of these whose value is largest; the first of equals. */
function bestOf(labels: readonly number[], values: Float64Array): number {
  let best = labels[0]!
  for (const label of labels) if (values[label]! > values[best]!) best = label
  return best
}

/**
 * The labels of outputs (K). A label without a group is there from its threshold on where its parent is, and a group with a
 * label whose parent is there always gives one of those. By `path` that is the one which belongs to the most probable whole:
 * the product of scores over all that is decided below it (and of 1 - score where a label stays out). By `threshold` it is the
 * one with the largest score, level by level, as OTX goes down. `path` finds the most probable whole exactly where the parents of
 * a group's labels exclude each other, as in a tree of folders.
 */
export function decode(tree: Tree, logits: Float32Array, thresholds: readonly number[], decoding: Decoding): Decoded {
  const { parents } = tree.labels
  const logs = logScores(tree, logits)
  const scores = logs.map((log, i) => (i < tree.grouped ? Math.exp(log) : sigmoidOf(logits[i]!)))
  const isOn = (label: number) => scores[label]! >= thresholds[label]!
  const values = logs.slice()
  if (decoding === 'path') {
    for (const { labels } of tree.choices.toReversed()) {
      for (const label of labels) {
        for (const { labels: children, group } of tree.below[label]!) {
          const child = bestOf(children, values)
          values[label]! += group >= 0 || isOn(child) ? values[child]! : -softplus(logits[child]!)
        }
      }
    }
  }
  const present = new Uint8Array(logits.length)
  for (const { labels, group } of tree.choices) {
    const open = labels.filter((label) => parents[label] === -1 || present[parents[label]!] === 1)
    if (open.length === 0) continue
    const best = bestOf(open, values)
    if (group >= 0 || isOn(best)) present[best] = 1
  }
  return { present, scores, logs }
}

/** Labels in words by their paths: 'animal/dog'. A name that holds the path already stands for itself. */
export function pathText({ names }: LabelSpace, path: readonly number[]): string {
  return path.reduce((text, label) => {
    const name = names[label]!
    return text === '' || name.startsWith(`${text}/`) ? name : `${text}/${name}`
  }, '')
}

/** The paths to those labels below which no other is there, from the root down. */
export function pathsOf({ labels, order }: Tree, present: ArrayLike<number>): number[][] {
  const above = new Set(order.filter((label) => present[label] === 1).map((label) => labels.parents[label]!))
  return order.filter((label) => present[label] === 1 && !above.has(label)).map((label) => pathOf(labels, label))
}
