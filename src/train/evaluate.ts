// Running a model over batches without training: loss, metrics, predictions.
import { Context } from '../nn/context.ts'
import type { Model } from '../nn/model.ts'
import { InputError } from '../platform/errors.ts'
import { type LabelRow, lossOf, type Prediction, type Task } from '../tasks/task.ts'
import type { HostInputs } from '../tensor/host.ts'
import { scope } from '../tensor/scope.ts'
import { type Tensor, tensor } from '../tensor/tensor.ts'
import { type Batch, type BatchSource, defaultMicroBatch, partsOf } from './batch.ts'
import { checkOutputs } from './finite.ts'

/** What came of one sample. */
export interface Evaluated extends Pick<Prediction, 'label' | 'score' | 'labels'> {
  /** What the sample is called. */
  name: string
  /** The labels that it has, as `labels` and as one text. */
  wanted: string[]
  target: string
}

export interface Evaluation {
  /** As the task averages it. */
  loss: number
  accuracy: number
  /** By name, `accuracy` among them. */
  metrics: Record<string, number>
  byLabel: LabelRow[]
  count: number
  predictions: Evaluated[]
  /** Thresholds by label that would give each its best F1 here, where the task has such. */
  thresholds?: number[]
}

/** Inputs or targets on the device. */
export const tensorsOf = (model: Pick<Model, 'backend'>, inputs: HostInputs): Record<string, Tensor> =>
  Object.fromEntries(
    Object.entries(inputs).map(([name, { data, shape }]) => [name, tensor(model.backend, data, shape)]),
  )

/** Logits (B, K) of one batch, on the host. Throws NotFiniteError where one is no finite number. */
export async function logitsOf(
  model: Model,
  batch: Pick<Batch, 'inputs'> & Partial<Pick<Batch, 'names'>>,
): Promise<Float32Array> {
  const logits = scope(() => model.outputs(tensorsOf(model, batch.inputs), new Context()))
  try {
    const values = (await logits.data()) as Float32Array
    checkOutputs(values, batch.names ?? [])
    return values
  } finally {
    logits.dispose()
  }
}

export interface EvaluateOptions {
  /** Most samples computed at a time. */
  microBatch?: number | undefined
  /** Called after each of these; what it rejects with ends the evaluation. */
  between?: () => Promise<void>
}

/**
 * Loss and metrics over one pass of a source, without label smoothing. Throws
 * NotFiniteError where an output is no finite number, and InputError where not one sample could be read.
 */
export async function evaluate(
  model: Model,
  task: Task,
  source: BatchSource,
  { microBatch = defaultMicroBatch(model), between }: EvaluateOptions = {},
): Promise<Evaluation> {
  const metrics = task.metrics()
  const predictions: Evaluated[] = []
  const sums: number[] = []
  const counts: number[] = []
  let count = 0
  async function add({ inputs, targets, count: samples, names }: Batch): Promise<void> {
    const [logits, terms] = scope(() => {
      const logits = model.outputs(tensorsOf(model, inputs), new Context())
      return [logits, task.terms(logits, tensorsOf(model, targets), false)]
    }) as [Tensor, Tensor]
    const [values, sum] = (await Promise.all([logits.data(), terms.data()]).finally(() => {
      logits.dispose()
      terms.dispose()
    })) as [Float32Array, Float32Array]
    checkOutputs(values, names)
    metrics.add(values, targets)
    addTo(sums, sum)
    addTo(counts, task.counts(targets))
    for (let i = 0; i < samples; i++) {
      const { label, score, labels } = task.predict(values.subarray(i * task.outputs, (i + 1) * task.outputs))
      const wanted = task.names(targets, i)
      predictions.push({ name: names[i] ?? '', label, score, labels, wanted, target: task.text(wanted) })
    }
    count += samples
  }
  for await (const batch of source.epoch(0, 0)) {
    if (batch.count === 0) continue
    for (const part of partsOf(batch, microBatch)) {
      await add(part)
      await between?.()
    }
  }
  if (count === 0) throw new InputError('evaluate: needs at least one sample that can be read, got none')
  const result = metrics.result()
  const thresholds = metrics.thresholds?.()
  return {
    loss: lossOf(task, sums, counts, true),
    accuracy: result.accuracy!,
    metrics: result,
    byLabel: metrics.byLabel(),
    count,
    predictions,
    ...(thresholds ? { thresholds } : {}),
  }
}

/** Adds values to the sums at their places. */
export function addTo(sums: number[], values: ArrayLike<number>): void {
  for (let i = 0; i < values.length; i++) sums[i] = (sums[i] ?? 0) + values[i]!
}
