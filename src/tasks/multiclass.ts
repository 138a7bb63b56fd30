// One class an image: softmax, cross-entropy averaged over images, top-1 accuracy, macro F1.
import { type LabelSpace, multiclassLabels } from '../labels/labels.ts'
import { crossEntropy } from '../ops/loss.ts'
import { sum } from '../ops/reduce.ts'
import { reshape } from '../ops/view.ts'
import type { HostInputs, HostValues } from '../tensor/host.ts'
import { share } from './label-metrics.ts'
import { argmax, type Metrics, softmaxOf, type Task, type TaskKind, type TaskOptions } from './task.ts'

const monitors = { accuracy: 'higher', f1: 'higher', loss: 'lower' } as const

/** How many samples have a class that is known. */
const known = ({ data }: HostValues): number => data.filter((label) => label >= 0).length

/** Counts of a class: right, predicted, there. */
function metrics(labels: LabelSpace): Metrics {
  const k = labels.names.length
  const [right, predicted, there] = [new Float64Array(k), new Float64Array(k), new Float64Array(k)]
  let count = 0
  const f1 = (i: number) => share(2 * right[i]!, predicted[i]! + there[i]!)
  return {
    add(logits, { label }) {
      label!.data.forEach((wanted: number, i: number) => {
        if (wanted < 0) return
        const found = argmax(logits.subarray(i * k, (i + 1) * k))
        if (found === wanted) right[wanted]!++
        predicted[found]!++
        there[wanted]!++
        count++
      })
    },
    result() {
      // As torchmetrics: classes that are neither there nor predicted are left out of the mean.
      const met = labels.names.map((_, i) => i).filter((i) => predicted[i]! + there[i]! > 0)
      return {
        accuracy: share(
          right.reduce((a, b) => a + b, 0),
          count,
        ),
        f1: share(
          met.reduce((total, i) => total + f1(i), 0),
          met.length,
        ),
      }
    },
    byLabel: () =>
      labels.names.map((label, i) => ({
        label,
        positives: there[i]!,
        known: count,
        precision: share(right[i]!, predicted[i]!),
        recall: share(right[i]!, there[i]!),
        f1: f1(i),
      })),
  }
}

function create(labels: LabelSpace, { labelSmoothing = 0 }: TaskOptions = {}): Task {
  const { names } = labels
  const k = names.length
  const labelOf = (targets: HostInputs, at: number) => targets.label!.data[at]!
  return {
    name: 'multiclass',
    labels,
    classes: names,
    outputs: k,
    monitors,
    // -1 where nobody knows the class.
    targets: (given) => ({
      label: { data: Int32Array.from(given, ({ present }) => present[0] ?? -1), shape: [given.length] },
    }),
    counts: ({ label }) => [known(label!)],
    scales: ([count]) => [share(1, count!)],
    terms: (logits, { label }, training) =>
      reshape(sum(crossEntropy(logits, label!, training ? labelSmoothing : 0), 0), [1]),
    right(logits, targets) {
      let right = 0
      for (let i = 0; i * k < logits.length; i++) {
        if (argmax(logits.subarray(i * k, (i + 1) * k)) === labelOf(targets, i)) right++
      }
      return { right, of: known(targets.label!) }
    },
    metrics: () => metrics(labels),
    predict(logits) {
      const scores = softmaxOf(logits)
      const top = argmax(logits)
      const label = names[top]!
      return { label, score: scores[top]!, labels: [label], scores, logits: Array.from(logits) }
    },
    text: ([label]) => label ?? '',
    names: (targets, at) => names.filter((_, label) => label === labelOf(targets, at)),
  }
}

export const multiclassTask: TaskKind = {
  name: 'multiclass',
  says: 'one class an image',
  noun: 'class',
  problemType: 'single_label_classification',
  losses: ['ce'],
  options: ['loss', 'labelSmoothing'],
  monitors,
  shown: ['accuracy', 'f1'],
  bare: multiclassLabels,
  create,
}

/** One class an image, of these. */
export const multiclass = (classes: readonly string[], options: TaskOptions = {}): Task =>
  create(multiclassLabels(classes), options)
