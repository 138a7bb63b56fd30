// Labels of a tree: one of each group whose parent is there, and labels that are there or not by themselves, as OTX 2.6 has them.
// Groups learn by cross-entropy, the others by a loss of their own in which absent labels count too. Which labels go together:
// tree-decode.ts; how well they are found: tree-metrics.ts; their arrays: tree-targets.ts; the loss along paths: tree-path.ts.
import { hierarchicalLabels, type LabelSpace, type LabelTree, pathOf } from '../labels/labels.ts'
import { crossEntropy } from '../ops/loss.ts'
import { sum } from '../ops/reduce.ts'
import { concat, reshape, slice } from '../ops/view.ts'
import { InputError } from '../platform/errors.ts'
import { each } from './each.ts'
import { share } from './label-metrics.ts'
import { labelLosses } from './losses.ts'
import { argmax, decodings, type Task, type TaskKind, type TaskOptions } from './task.ts'
import { decode, pathsOf, pathText, treeOf } from './tree-decode.ts'
import { isRight, treeMetrics } from './tree-metrics.ts'
import { pathCount, pathTargets, pathTerm } from './tree-path.ts'
import { targetsOf, truthOf } from './tree-targets.ts'

const monitors = {
  accuracy: 'higher',
  f1: 'higher',
  h_f1: 'higher',
  group_accuracy: 'higher',
  otx_accuracy: 'higher',
  loss: 'lower',
} as const

function create(
  labels: LabelSpace,
  { loss = 'aal', labelSmoothing = 0, threshold = 0.5, pathConsistency = 0, decoding = 'path' }: TaskOptions = {},
): Task {
  const tree = treeOf(labels)
  const { groups, names } = labels
  const [k, { grouped }] = [names.length, tree]
  const thresholds = each('threshold', threshold, k, 'in [0, 1]', (value) => value >= 0 && value <= 1)
  const ofOthers = labelLosses[loss]!
  if (!(pathConsistency >= 0 && pathConsistency < Infinity)) {
    throw new InputError(`pathConsistency: must be at least 0, got ${pathConsistency}`)
  }
  if (!decodings.includes(decoding)) {
    throw new InputError(`decoding: must be one of ${decodings.join(', ')}, got ${decoding}`)
  }
  const told = (paths: readonly number[][]) => paths.map((path) => pathText(labels, path)).join(', ')
  const read = (logits: Float32Array) => decode(tree, logits, thresholds, decoding)

  /** What the terms are multiplied by: groups that have any share alike; `other` is that of labels without a group. */
  function scales(counts: readonly number[], other: (count: number) => number): number[] {
    const met = counts.slice(0, groups.length).filter((count) => count > 0).length
    const rest = counts.slice(groups.length)
    return [
      ...counts.slice(0, groups.length).map((count) => share(1, count * met)),
      ...(k > grouped ? [other(rest.shift()!)] : []),
      ...rest.map((count) => share(pathConsistency, count)),
    ]
  }
  const averaged = (count: number) => share(1, count)
  return {
    name: 'hierarchical',
    labels,
    outputs: k,
    classes: names,
    monitors,
    sums: !ofOthers.mean,
    targets(given) {
      const targets = targetsOf(tree, given)
      return pathConsistency > 0 ? { ...targets, ...pathTargets(tree, targets.group!.data as Int32Array) } : targets
    },
    counts(targets) {
      const counts = new Array<number>(groups.length).fill(0)
      targets.group!.data.forEach((place: number, i: number) => {
        if (place >= 0) counts[i % groups.length]!++
      })
      const known = ofOthers.mean ? targets.known?.data.filter((is) => is === 1).length : targets.known?.shape[0]
      return [...counts, ...(known === undefined ? [] : [known]), ...(pathConsistency > 0 ? [pathCount(targets)] : [])]
    },
    // A sum over labels without a group stays one in what is optimised, as in OTX.
    scales: (counts) => scales(counts, ofOthers.mean ? averaged : () => 1),
    epochScales: (counts) => scales(counts, averaged),
    terms(logits, targets, training) {
      const ofGroup = (group: readonly number[], i: number) => {
        const outputs = slice(logits, 1, group[0]!, group[0]! + group.length)
        const wanted = reshape(slice(targets.group!, 1, i, i + 1), [-1])
        return reshape(sum(crossEntropy(outputs, wanted, training ? labelSmoothing : 0), 0), [1])
      }
      const terms = groups.map(ofGroup)
      if (k > grouped) {
        const all = ofOthers.by(slice(logits, 1, grouped, k), targets.present!, targets.known!)
        terms.push(reshape(sum(reshape(all, [all.size]), 0), [1]))
      }
      if (pathConsistency > 0) terms.push(pathTerm(tree, logits, targets))
      return concat(terms, 0)
    },
    right(logits, targets) {
      let [right, of] = [0, 0]
      for (let at = 0; at * k < logits.length; at++) {
        const found = isRight(truthOf(tree, targets, at), read(logits.subarray(at * k, (at + 1) * k)).present)
        if (found !== undefined) of++
        if (found) right++
      }
      return { right, of }
    },
    metrics: () => treeMetrics(tree, read, thresholds),
    /**
     * A label's score is the product along its path: no kind is surer than what it is a kind of. That of all is the score of the
     * least sure path; where no label is there, 1 - the highest.
     */
    predict(logits) {
      const { present, logs } = read(logits)
      const paths = pathsOf(tree, present)
      const sureOf = (path: readonly number[]) => Math.exp(path.reduce((total, label) => total + logs[label]!, 0))
      const sure = paths.map(sureOf)
      const scores = names.map((_, label) => sureOf(pathOf(labels, label)))
      return {
        label: told(paths),
        score: paths.length > 0 ? Math.min(...sure) : 1 - scores[argmax(scores)]!,
        labels: tree.order.filter((label) => present[label] === 1).map((label) => names[label]!),
        scores,
        logits: Array.from(logits),
      }
    },
    text: (given) =>
      told(
        pathsOf(
          tree,
          names.map((name) => (given.includes(name) ? 1 : 0)),
        ),
      ),
    names(targets, at) {
      const truth = truthOf(tree, targets, at)
      return tree.order.filter((label) => truth[label] === 1).map((label) => names[label]!)
    },
  }
}

export const hierarchicalTask: TaskKind = {
  name: 'hierarchical',
  says: 'labels of a tree',
  noun: 'label',
  losses: Object.keys(labelLosses),
  options: ['loss', 'labelSmoothing', 'threshold', 'pathConsistency', 'decoding'],
  monitors,
  shown: ['accuracy', 'h_f1'],
  create,
}

/** Labels of this tree. */
export const hierarchical = (tree: LabelTree, options: TaskOptions = {}): Task =>
  create(hierarchicalLabels(tree), options)
