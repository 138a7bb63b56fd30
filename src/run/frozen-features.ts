// Linear probing without repeating itself: a frozen backbone gives an unchanged image the same features in every epoch,
// so they are computed once and the classifier trains on them. Only right where nothing random stands before the head.
import type { Dataset } from '../data/dataset.ts'
import { batchSource } from '../data/loader.ts'
import { epochOrder, toBatches } from '../data/sampler.ts'
import type { Transform } from '../data/transforms.ts'
import type { ImageLabels } from '../labels/labels.ts'
import type { AnyModel } from '../models/registry.ts'
import { Context } from '../nn/context.ts'
import type { Model } from '../nn/model.ts'
import { Module } from '../nn/module.ts'
import type { Task } from '../tasks/task.ts'
import { scope } from '../tensor/scope.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { Batch, BatchSource } from '../train/batch.ts'
import { tensorsOf } from '../train/evaluate.ts'

export interface FrozenFeaturesOptions {
  transform: Transform
  /** What the labels become: a task's `targets`. */
  targets: Task['targets']
  batchSize: number
  /** Shuffles each epoch as the images themselves would be. */
  seed: number
  signal?: AbortSignal | undefined
}

/** A model's classifier, reading pooled features that its backbone made before. It owns no weights: dispose the model. */
class OnFeatures extends Module implements Model {
  readonly tokens = 0
  constructor(private readonly vit: AnyModel) {
    super()
  }
  get backend() {
    return this.vit.backend
  }
  /** Logits (B, K) of features (B, ...), as the backbone pools them. */
  outputs({ features }: Readonly<Record<string, Tensor>>, ctx: Context): Tensor {
    return scope(() => this.vit.classify(features!, ctx))
  }
}

/**
 * The features of every readable image, once, as a model and a source of batches for `fit`: the same losses, in the
 * same order, as fitting the frozen `model` on the images. Undefined when the signal came in between.
 */
export async function frozenFeatures(
  model: AnyModel,
  dataset: Dataset,
  options: FrozenFeaturesOptions,
): Promise<{ model: OnFeatures; train: BatchSource } | undefined> {
  const { transform, targets, batchSize, seed, signal } = options
  const rows: Float32Array[] = []
  const labels: ImageLabels[] = []
  const names: string[] = []
  let pooled: readonly number[] = [model.features]
  for await (const batch of batchSource(dataset, { transform, batchSize }).epoch(0, 0)) {
    if (signal?.aborted) return undefined
    const { count } = batch
    if (count === 0) continue
    const features = scope(() => model.pool(model.encode(tensorsOf(model, batch.inputs).images!, new Context())))
    const values = (await features.data()) as Float32Array
    pooled = features.shape.slice(1)
    features.dispose()
    const size = values.length / count
    for (let i = 0; i < count; i++) rows.push(values.subarray(i * size, (i + 1) * size))
    labels.push(...batch.indices.map((i) => dataset.labels(i)))
    names.push(...batch.names)
  }
  const size = rows[0]?.length ?? 0
  const batchOf = (indices: readonly number[]): Batch => {
    const data = new Float32Array(indices.length * size)
    for (const [at, i] of indices.entries()) data.set(rows[i]!, at * size)
    return {
      inputs: { features: { data, shape: [indices.length, ...pooled] } },
      targets: targets(indices.map((i) => labels[i]!)),
      count: indices.length,
      names: indices.map((i) => names[i]!),
    }
  }
  const batches = (epoch: number) =>
    toBatches(epochOrder(new Int32Array(rows.length), { mode: 'shuffle', seed, epoch }), batchSize)
  const train: BatchSource = {
    batches: Math.ceil(rows.length / batchSize),
    async *epoch(epoch, firstBatch) {
      for (const indices of batches(epoch).slice(firstBatch)) yield batchOf(indices)
    },
  }
  return { model: new OnFeatures(model), train }
}
