// Running a model over batches without training: loss, metrics, predictions. Also what a source of batches is.
import type { Vit } from '../models/vit.ts'
import { Context } from '../nn/context.ts'
import type { Module } from '../nn/module.ts'
import { InputError } from '../platform/errors.ts'
import type { Prediction, Task } from '../tasks/task.ts'
import { scope } from '../tensor/scope.ts'
import { type Tensor, tensor } from '../tensor/tensor.ts'
import { checkOutputs } from './finite.ts'
import { defaultMicroBatch, partsOf } from './micro-batch.ts'

/** What is trained and evaluated: a Vit, or a part of one that reads something else than images. */
export type Network = Module & Pick<Vit, 'backend' | 'patches' | 'forward'>

export interface Batch {
  /** (B, 3, H, W), normalised. */
  images: Float32Array
  shape: [number, number, number, number]
  /** (B) class indices. */
  labels: Int32Array
  files: readonly string[]
}

/** Where batches come from, epoch by epoch; the same epoch number gives the same batches. */
export interface BatchSource {
  /** Batches of an epoch. */
  readonly batches: number
  epoch(epoch: number, firstBatch: number): AsyncIterable<Batch>
}

export interface Evaluation {
  /** Mean over images. */
  loss: number
  accuracy: number
  metrics: Record<string, number>
  images: number
  predictions: { file: string; label: string; target: string; score: number }[]
}

/** Logits (B, K) of one batch, on the host. Throws NotFiniteError where one is no finite number. */
export async function logitsOf(
  model: Network,
  batch: Pick<Batch, 'images' | 'shape'> & Partial<Pick<Batch, 'files'>>,
): Promise<Float32Array> {
  const logits = scope(() => model.forward(tensor(model.backend, batch.images, batch.shape), new Context()))
  try {
    const values = (await logits.data()) as Float32Array
    checkOutputs(values, batch.files ?? [])
    return values
  } finally {
    logits.dispose()
  }
}

export interface EvaluateOptions {
  /** Most images computed at a time. */
  microBatch?: number | undefined
  /** Called after each of these; what it rejects with ends the evaluation. */
  between?: () => Promise<void>
}

/**
 * Loss and metrics over one pass of a source, without label smoothing. Throws
 * NotFiniteError where an output is no finite number, and InputError where not one image could be read.
 */
export async function evaluate(
  model: Network,
  task: Task,
  source: BatchSource,
  { microBatch = defaultMicroBatch(model), between }: EvaluateOptions = {},
): Promise<Evaluation> {
  const metrics = task.metrics()
  const predictions: Evaluation['predictions'] = []
  let lossSum = 0
  let images = 0
  async function add(batch: Batch): Promise<void> {
    const count = batch.labels.length
    const [logits, loss] = scope(() => {
      const logits = model.forward(tensor(model.backend, batch.images, batch.shape), new Context())
      return [logits, task.loss(logits, task.targets(model.backend, batch.labels), 0)]
    }) as [Tensor, Tensor]
    const [values, value] = await Promise.all([logits.data() as Promise<Float32Array>, loss.item()]).finally(() => {
      logits.dispose()
      loss.dispose()
    })
    checkOutputs(values, batch.files)
    metrics.add(values, batch.labels)
    for (let i = 0; i < count; i++) {
      const p: Prediction = task.predict(values.subarray(i * task.outputs, (i + 1) * task.outputs))
      predictions.push({
        file: batch.files[i] ?? '',
        label: p.label,
        target: task.classes[batch.labels[i]!]!,
        score: p.score,
      })
    }
    lossSum += value * count
    images += count
  }
  for await (const batch of source.epoch(0, 0)) {
    if (batch.labels.length === 0) continue
    for (const part of partsOf(batch, microBatch)) {
      await add(part)
      await between?.()
    }
  }
  if (images === 0) throw new InputError('evaluate: needs at least one image that can be read, got none')
  const result = metrics.result()
  return { loss: lossSum / images, accuracy: result.accuracy, metrics: result, images, predictions }
}
