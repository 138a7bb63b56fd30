// Learning without Forgetting (Li and Hoiem, arXiv:1606.09282): beside a task's own loss, what an old model says of the same
// samples is kept for the labels that it knows. Around any task; where a batch brings no outputs of the old model, as in
// validation, the task is as it is without. Not here: whose outputs these are, and how they are made (run/teacher.ts).
import { add, affine, mul, sigmoid, sub } from '../ops/elementwise.ts'
import { crossEntropy } from '../ops/loss.ts'
import { softmax } from '../ops/normalise.ts'
import { sum } from '../ops/reduce.ts'
import { concat, reshape, slice } from '../ops/view.ts'
import { InputError } from '../platform/errors.ts'
import type { HostInputs } from '../tensor/host.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { labelLosses } from './losses.ts'
import { type SharedOutputs, sharedOutputs } from './old-outputs.ts'
import type { Task } from './task.ts'
import { CLOSED } from './tree-path.ts'

/** How much of an old model is kept. */
export interface Distillation {
  /** What its loss is multiplied by. */
  readonly weight: number
  /** T, by which outputs of groups are divided before their softmax. */
  readonly temperature: number
  /**
   * Labels of which no sample is there to learn from, by place: in groups they take no part in the task's own loss, which would push
   * them all down, and the divergence would not mind, since it does not change where all outputs of a group fall alike.
   */
  readonly absent?: readonly number[] | undefined
}

/** A task that keeps outputs of an old model, and what it needs of a batch for that. */
export interface DistilledTask extends Task {
  readonly shared: SharedOutputs
  /** Targets beside the task's own, of the old model's outputs (B, before). */
  oldTargets(outputs: Float32Array, count: number): HostInputs
}

/**
 * Old outputs at the places of the new ones, (B, K) each: `old_outputs`, 0 where there is none; `old_known`, 1 where there is
 * one; `old_first`, 1 at the first of each group; `old_open`, 0 at `closed` outputs. And `old_label` (B, G), the place of the first
 * within its group.
 */
function targetsOf(
  { outputs, before, groups, singles }: SharedOutputs,
  closed: readonly number[],
  old: Float32Array,
  count: number,
): HostInputs {
  const rows = () => new Float32Array(count * outputs)
  const [values, known, first] = [rows(), rows(), rows()]
  const label = new Int32Array(count * groups.length)
  const pairs = [...groups.flatMap((group) => group.pairs), ...singles]
  for (let at = 0; at < count; at++) {
    for (const [now, then] of pairs) {
      values[at * outputs + now] = old[at * before + then]!
      known[at * outputs + now] = 1
    }
    for (const [i, { start, pairs }] of groups.entries()) {
      first[at * outputs + pairs[0]![0]] = 1
      label[at * groups.length + i] = pairs[0]![0] - start
    }
  }
  const shape = [count, outputs]
  const open = rows().fill(1)
  for (let at = 0; at < count; at++) for (const label of closed) open[at * outputs + label] = 0
  return {
    old_outputs: { data: values, shape },
    old_known: { data: known, shape },
    ...(closed.length > 0 && { old_open: { data: open, shape } }),
    ...(groups.length > 0 && {
      old_first: { data: first, shape },
      old_label: { data: label, shape: [count, groups.length] },
    }),
  }
}

type Tensors = Readonly<Record<string, Tensor>>

/** Outputs with those closed to a softmax where `open` is 0. */
const close = (x: Tensor, open: Tensor): Tensor => add(mul(x, open), affine(open, CLOSED, -CLOSED))

/**
 * T^2 sum KL(p || q) over samples, shape (1), p and q the softmax of a / T and s / T over the known outputs of a group. With j any
 * one of them, KL = sum (p - e_j)(a - s) / T + ce(s / T, j) - ce(a / T, j), where outputs that are not known are closed.
 */
function groupTerm(
  { start, end }: { start: number; end: number },
  i: number,
  t: number,
  logits: Tensor,
  given: Tensors,
) {
  const part = (x: Tensor) => slice(x, 1, start, end)
  const known = part(given.old_known!)
  const closed = (x: Tensor) => close(affine(part(x), 1 / t), known)
  const [a, s] = [closed(given.old_outputs!), closed(logits)]
  const j = reshape(slice(given.old_label!, 1, i, i + 1), [-1])
  const pulled = sum(mul(sub(softmax(a), part(given.old_first!)), sub(a, s)), 1)
  const each = add(pulled, sub(crossEntropy(s, j), crossEntropy(a, j)))
  return reshape(sum(affine(each, t * t), 0), [1])
}

/** Binary cross-entropy against the old model's sigmoids, summed over samples and known labels without a group, shape (1). */
function singlesTerm({ grouped, outputs }: SharedOutputs, logits: Tensor, given: Tensors): Tensor {
  const part = (x: Tensor) => slice(x, 1, grouped, outputs)
  const all = labelLosses.bce!.by(part(logits), sigmoid(part(given.old_outputs!)), part(given.old_known!))
  return reshape(sum(reshape(all, [all.size]), 0), [1])
}

/**
 * The task with the old model's outputs as a further term or two: the divergences of groups, averaged over samples and groups,
 * and the cross-entropies of single labels, averaged as the task averages those (or summed, where it sums). Throws InputError
 * where the two models have nothing to compare.
 */
export function distilled(
  task: Task,
  before: Task['labels'],
  { weight, temperature, absent = [] }: Distillation,
): DistilledTask {
  const shared = sharedOutputs(task.labels, before)
  const { groups, singles, otherwise } = shared
  if (groups.length + singles.length === 0) {
    const why =
      otherwise.length > 0
        ? 'decided in the same way now; leave distill out, the rows of the classifier are kept all the same'
        : 'in the data now; leave distill out'
    throw new InputError(`distill: needs labels of the old run that are ${why}`)
  }
  const closed = absent.filter((label) => label < shared.grouped)
  // Terms of the task itself come first.
  const own = task.counts(task.targets([])).length
  const terms = [...(groups.length > 0 ? [groups.length] : []), ...(singles.length > 0 ? [singles.length] : [])]
  /** `summed` is what single labels are multiplied by where the task sums what they cost. */
  const scales = (of: Task['scales'], counts: readonly number[], summed: (samples: number) => number): number[] => {
    const ofTask = of(counts.slice(0, own))
    const samples = counts[own] ?? 0
    if (counts.length === own) return ofTask
    const mean = terms.map((labels) => (samples > 0 ? weight / (samples * labels) : 0))
    return [...ofTask, ...(task.sums && singles.length > 0 ? [...mean.slice(0, -1), summed(samples)] : mean)]
  }
  return {
    ...task,
    shared,
    oldTargets: (outputs, count) => targetsOf(shared, closed, outputs, count),
    counts(targets) {
      const samples = targets.old_known?.shape[0]
      return [...task.counts(targets), ...(samples === undefined ? [] : terms.map(() => samples))]
    },
    scales: (counts) => scales(task.scales, counts, () => weight),
    epochScales: (counts) =>
      scales(task.epochScales ?? task.scales, counts, (samples) => (samples > 0 ? weight / samples : 0)),
    terms(logits, targets, training) {
      const ofTask = task.terms(targets.old_open ? close(logits, targets.old_open) : logits, targets, training)
      if (!targets.old_known) return ofTask
      const ofGroups = groups.map((group, i) => groupTerm(group, i, temperature, logits, targets))
      return concat(
        [
          ofTask,
          ...(ofGroups.length > 0 ? [ofGroups.reduce(add)] : []),
          ...(singles.length > 0 ? [singlesTerm(shared, logits, targets)] : []),
        ],
        0,
      )
    },
  }
}
