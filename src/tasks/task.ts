// What is learnt stands behind one interface: labels to targets, outputs to loss, metrics and predictions. Each task is a
// file beside this one and a line in registry.ts.
import type { ImageLabels, LabelSpace, TaskName } from '../labels/labels.ts'
import { InputError } from '../platform/errors.ts'
import type { HostInputs } from '../tensor/host.ts'
import type { Tensor } from '../tensor/tensor.ts'

/** What one sample was predicted to be. */
export interface Prediction {
  /** All of it in one text: 'cat', 'dog, sofa', 'animal/dog'; empty where nothing is. */
  label: string
  /** How sure that is, in [0, 1]; each task says of what. */
  score: number
  /** Labels that are there, in the order of the outputs, from the root down in a tree. */
  labels: string[]
  /** By label, in the order of the outputs. */
  scores: number[]
  logits: number[]
}

/** How one label did. */
export interface LabelRow {
  label: string
  /** Samples that have it, of those where it is known. */
  positives: number
  known: number
  precision: number
  recall: number
  f1: number
  /** Average precision; absent where a task has none. */
  ap?: number
  threshold?: number
}

/** Accumulates over batches. */
export interface Metrics {
  /** Outputs (B, K) and what they should be. */
  add(logits: Float32Array, targets: HostInputs): void
  /** By name; shares and scores in [0, 1], and at least `accuracy`. */
  result(): Record<string, number>
  byLabel(): LabelRow[]
  /** Thresholds by label that give each its best F1 on what was added; absent in a task without thresholds. */
  thresholds?(): number[]
}

/** Which way a metric is better. */
export type Better = 'higher' | 'lower'

/** Everything that training and evaluation must know about a task. */
export interface Task {
  readonly name: TaskName
  readonly labels: LabelSpace
  /** Names of its outputs. */
  readonly classes: readonly string[]
  /** Number of outputs of a sample. */
  readonly outputs: number
  /** Metrics that may choose the best epoch, the default first; `loss` is one of them. */
  readonly monitors: Readonly<Record<string, Better>>
  /** What samples should give, as arrays whose first dimension is the sample. */
  targets(labels: readonly ImageLabels[]): HostInputs
  /**
   * A loss is a sum over terms, each averaged over what it counts (samples, known labels), or a plain sum. This is how much
   * each term counts in a part of a batch: it adds up over parts.
   */
  counts(targets: HostInputs): number[]
  /** What the sum of each term is multiplied by to give the loss of samples with these counts, which is optimised. */
  scales(counts: readonly number[]): number[]
  /** The same for what is told of an epoch; absent where it is the same. A plain sum is told by sample there. */
  epochScales?(counts: readonly number[]): number[]
  /** What else is told of an epoch of training, by name, from its counts; absent where that is nothing. */
  told?(counts: readonly number[]): Record<string, number>
  /** Sum of each term, shape (terms), of outputs (B, K). Only training smooths labels. */
  terms(logits: Tensor, targets: Readonly<Record<string, Tensor>>, training: boolean): Tensor
  /** Decisions that are right, of how many: training's running accuracy. */
  right(logits: Float32Array, targets: HostInputs): { right: number; of: number }
  metrics(): Metrics
  /** Reads the outputs of one sample. */
  predict(logits: Float32Array): Prediction
  /** Labels in one text, as a prediction has it. */
  text(labels: readonly string[]): string
  /** Whether the loss of labels that are there or not is summed over samples, not averaged, in what is optimised. */
  readonly sums?: boolean
  /** Names of the labels that sample `at` has. */
  names(targets: HostInputs, at: number): string[]
}

/** What a task may be told, each where it means something to it. */
export interface TaskOptions {
  /** One of the task's losses; default its first. */
  loss?: string | undefined
  /** Share of the target given to all classes alike, in training. */
  labelSmoothing?: number | undefined
  /** From which score on a label is there: one for all, or one a label. Default 0.5. */
  threshold?: number | readonly number[] | undefined
  /** By how much a label's presence counts more than its absence; one a label. */
  positiveWeights?: readonly number[] | undefined
  /** Weight of the loss that holds the levels of a tree together; 0, the default, is none. */
  pathConsistency?: number | undefined
  /** Which labels of a tree are given together: those of the most probable whole, or the most probable of each level. */
  decoding?: Decoding | undefined
}

/** How labels of a tree are decided; the first is the default. */
export const decodings = ['path', 'threshold'] as const
export type Decoding = (typeof decodings)[number]

/** A task as the registry has it. */
export interface TaskKind {
  readonly name: TaskName
  /** In a sentence: 'one class an image'. */
  readonly says: string
  /** What one of its labels is called. */
  readonly noun: 'class' | 'label'
  /** What Hugging Face's config.json calls it in problem_type, where it does. */
  readonly problemType?: string
  /** Names of its losses, the default first. */
  readonly losses: readonly string[]
  /** Options that mean something to it. */
  readonly options: readonly (keyof TaskOptions)[]
  readonly monitors: Readonly<Record<string, Better>>
  /** The metrics of a short table: runs are compared by the first one. */
  readonly shown: readonly string[]
  /** Labels of this task from bare names, as a model's configuration or a list of classes has them; undefined where that takes more. */
  bare?(names: readonly string[]): LabelSpace
  create(labels: LabelSpace, options?: TaskOptions): Task
}

/**
 * The metric that chooses the best epoch, and which way it is better. Throws InputError on one that the task has not; `where`
 * comes before the option's name.
 */
export function monitorOf(
  { name: task, monitors }: Pick<Task, 'name' | 'monitors'>,
  wanted?: string,
  where = '',
): { name: string; better: Better } {
  const name = wanted ?? Object.keys(monitors)[0]!
  if (Object.hasOwn(monitors, name)) return { name, better: monitors[name]! }
  throw new InputError(
    `${where}monitor: must be one of ${Object.keys(monitors).join(', ')} for task ${task}, got ${name}`,
  )
}

/** The largest of some values' places; the first of equals. */
export function argmax(values: ArrayLike<number>): number {
  let best = 0
  for (let i = 1; i < values.length; i++) if (values[i]! > values[best]!) best = i
  return best
}

/** Softmax in f64. */
export function softmaxOf(logits: Float32Array): number[] {
  const most = logits[argmax(logits)]!
  const raised = Array.from(logits, (z) => Math.exp(z - most))
  const total = raised.reduce((a, b) => a + b, 0)
  return raised.map((e) => e / total)
}

/** The loss of sums and what each counts. */
export function lossOf(task: Task, sums: ArrayLike<number>, counts: readonly number[], epoch = false): number {
  const scales = (epoch && task.epochScales ? task.epochScales : task.scales)(counts)
  return scales.reduce((loss, scale, i) => loss + (scale === 0 ? 0 : scale * sums[i]!), 0)
}
