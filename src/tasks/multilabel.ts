// Any number of labels an image, none too: sigmoids, losses by label, and a threshold for all labels or one for each.
// Labels that nobody looked for count in no loss and in no metric.
import { type LabelSpace, multilabelLabels } from '../labels/labels.ts'
import { sum } from '../ops/reduce.ts'
import { reshape } from '../ops/view.ts'
import { each } from './each.ts'
import { labelMetrics, share, sigmoidOf, total } from './label-metrics.ts'
import { labelLosses } from './losses.ts'
import { argmax, type Task, type TaskKind, type TaskOptions } from './task.ts'

const monitors = {
  map: 'higher',
  accuracy: 'higher',
  f1: 'higher',
  f1_micro: 'higher',
  map_present: 'higher',
  loss: 'lower',
} as const

const text = (labels: readonly string[]) => labels.join(', ')

function create(labels: LabelSpace, { loss = 'aal', threshold = 0.5, positiveWeights }: TaskOptions = {}): Task {
  const { names } = labels
  const k = names.length
  const limits = each('threshold', threshold, k, 'in [0, 1]', (value) => value >= 0 && value <= 1)
  const weights =
    positiveWeights && each('positiveWeights', positiveWeights, k, 'above 0', (w) => w > 0 && w < Infinity)
  const { by, mean } = labelLosses[loss]!
  const isThere = (logit: number, label: number) => sigmoidOf(logit) >= limits[label]!
  return {
    name: 'multilabel',
    labels,
    classes: names,
    outputs: k,
    monitors,
    sums: !mean,
    targets(given) {
      const shape = [given.length, k]
      const [present, known] = [new Float32Array(given.length * k), new Float32Array(given.length * k).fill(1)]
      given.forEach((image, at) => {
        for (const label of image.unknown ?? []) known[at * k + label] = 0
        for (const label of image.present) present[at * k + label] = known[at * k + label] = 1
      })
      const weight = weights && known.map((is, i) => (present[i] === 1 ? weights[i % k]! : is))
      return {
        present: { data: present, shape },
        known: { data: known, shape },
        ...(weight && { weight: { data: weight, shape } }),
      }
    },
    counts: ({ known }) => [mean ? total(known!.data) : known!.shape[0]!],
    scales: ([count]) => [mean ? share(1, count!) : 1],
    epochScales: ([count]) => [share(1, count!)],
    terms: (logits, { present, known, weight }) => {
      const all = by(logits, present!, weight ?? known!)
      return reshape(sum(reshape(all, [all.size]), 0), [1])
    },
    right(logits, { present, known }) {
      const places = [...known!.data.keys()].filter((i) => known!.data[i] === 1)
      const right = places.filter((i) => isThere(logits[i]!, i % k) === (present!.data[i] === 1)).length
      return { right, of: places.length }
    },
    metrics: () => labelMetrics(names, limits),
    /** The score is that of the surest label, whether or not it is there. */
    predict(logits) {
      const scores = Array.from(logits, sigmoidOf)
      const found = names.map((_, i) => i).filter((i) => isThere(logits[i]!, i))
      const there = found.map((i) => names[i]!)
      return { label: text(there), score: scores[argmax(scores)]!, labels: there, scores, logits: Array.from(logits) }
    },
    text,
    names: ({ present, known }, at) =>
      names.filter((_, i) => present!.data[at * k + i] === 1 && known!.data[at * k + i] === 1),
  }
}

export const multilabelTask: TaskKind = {
  name: 'multilabel',
  says: 'any number of labels',
  noun: 'label',
  problemType: 'multi_label_classification',
  losses: Object.keys(labelLosses),
  options: ['loss', 'threshold', 'positiveWeights'],
  monitors,
  shown: ['map', 'f1'],
  bare: multilabelLabels,
  create,
}

/** Any number of labels an image, of these. */
export const multilabel = (names: readonly string[], options: TaskOptions = {}): Task =>
  create(multilabelLabels(names), options)
