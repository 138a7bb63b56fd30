// A task that also learns from samples without labels, by what a teacher is surely right about (sure-labels.ts). It wraps any task:
// batches bring the teacher's targets beside its own, the loss gets the task's terms once more, of those. What a batch without
// them gives, in validation say, is the task's own.
import { concat } from '../ops/view.ts'
import { type HostInputs, joinInputs, samplesOf } from '../tensor/host.ts'
import { share, total } from './label-metrics.ts'
import { nothingKnown, sureLabels } from './sure-labels.ts'
import type { Task } from './task.ts'

export interface SelfTrainingOptions {
  /** From which score on an answer is learnt, in (0, 1]. */
  readonly threshold: number
  /** What the loss of samples without labels is multiplied by. */
  readonly weight: number
}

/** A task with what batches of it need beside its own targets. */
export interface SelfTrainingTask extends Task {
  /** Targets of a batch whose first samples have these targets; of the others, which follow, there are a teacher's outputs (U, K). */
  withTeacher(targets: HostInputs, count: number, outputs: Float32Array): HostInputs
}

const marked = (mark: string, inputs: HostInputs): HostInputs =>
  Object.fromEntries(Object.entries(inputs).map(([name, values]) => [mark + name, values]))

function unmarked<T>(mark: string, inputs: Readonly<Record<string, T>>): Record<string, T> {
  const own = Object.entries(inputs).filter(([name]) => name.startsWith(mark))
  return Object.fromEntries(own.map(([name, values]) => [name.slice(mark.length), values]))
}

/**
 * The loss is the task's own over samples with labels, and `weight` times the task's over the others, where only sure answers add to
 * the sums while all that were asked for count: FixMatch's mean, whose unsure samples are zeros. A plain sum is told as if there were
 * as many samples without labels as with.
 */
export function selfTraining(task: Task, { threshold, weight }: SelfTrainingOptions): SelfTrainingTask {
  /** How many counts the task has of its own; then come those of the answers, samples with labels and without, sure answers of how many. */
  const own = task.counts(task.targets([])).length
  const both = (counts: readonly number[], by: Task['scales']) => {
    if (counts.length === own) return by(counts)
    const [labelled, unlabelled] = counts.slice(2 * own) as [number, number]
    const part = share(labelled, unlabelled)
    const answers = counts.slice(own, 2 * own).map((count) => count * part)
    return [...by(counts.slice(0, own)), ...by(answers).map((scale) => weight * part * scale)]
  }
  /** Samples with labels come first in whatever part of a batch. */
  const labelledIn = ({ asked }: HostInputs) => asked!.data.filter((_, i) => i % 3 === 0 && asked!.data[i] === 1).length
  return {
    ...task,
    withTeacher(targets, count, outputs) {
      const { labels: space, outputs: k } = task
      const found = Array.from({ length: outputs.length / k }, (_, at) =>
        sureLabels(space, outputs.subarray(at * k, (at + 1) * k), threshold),
      )
      const unknown = (length: number) => task.targets(Array.from({ length }, () => nothingKnown(space)))
      const rows = [...Array.from({ length: count }, () => [1, 0, 0]), ...found.map(({ sure, of }) => [0, sure, of])]
      return {
        ...joinInputs(targets, unknown(found.length)),
        ...marked('sure.', joinInputs(unknown(count), task.targets(found.map(({ labels }) => labels)))),
        ...marked('all.', joinInputs(unknown(count), task.targets(found.map(({ asked }) => asked)))),
        // Whether the sample has labels; answers that are sure, of how many.
        asked: { data: Float32Array.from(rows.flat()), shape: [rows.length, 3] },
      }
    },
    counts(targets) {
      if (!targets.asked) return task.counts(targets)
      const labelled = labelledIn(targets)
      const all = targets.asked.shape[0]!
      const column = (at: number) => total(targets.asked!.data.filter((_, i) => i % 3 === at))
      return [
        ...task.counts(samplesOf(ownOf(targets), 0, labelled)),
        ...task.counts(samplesOf(unmarked('all.', targets), labelled, all)),
        ...[labelled, all - labelled, column(1), column(2)],
      ]
    },
    scales: (counts) => both(counts, task.scales),
    epochScales: (counts) => both(counts, task.epochScales ?? task.scales),
    terms(logits, targets, training) {
      const terms = task.terms(logits, targets, training)
      if (!targets.asked) return terms
      return concat([terms, task.terms(logits, unmarked('sure.', targets), training)], 0)
    },
    right(logits, targets) {
      if (!targets.asked) return task.right(logits, targets)
      const labelled = labelledIn(targets)
      return task.right(logits.subarray(0, labelled * task.outputs), samplesOf(ownOf(targets), 0, labelled))
    },
    told: (counts) => ({
      ...task.told?.(counts.slice(0, own)),
      sure: share(counts[2 * own + 2]!, counts[2 * own + 3]!),
    }),
  }
}

/** The targets that the task itself made. */
const ownOf = (targets: HostInputs): HostInputs =>
  Object.fromEntries(Object.entries(targets).filter(([name]) => name !== 'asked' && !/^(sure|all)\./.test(name)))
