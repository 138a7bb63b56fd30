// Linear probing without repeating itself: a frozen backbone gives an unchanged image the same features in every epoch,
// so they are computed once and the classifier trains on them. Only right where nothing random stands before the head.
import type { Dataset } from '../data/dataset.ts'
import { batchSource } from '../data/loader.ts'
import { epochOrder, toBatches } from '../data/sampler.ts'
import type { Transform } from '../data/transforms.ts'
import type { Vit } from '../models/vit.ts'
import { Context } from '../nn/context.ts'
import { Module } from '../nn/module.ts'
import { reshape } from '../ops/view.ts'
import { scope } from '../tensor/scope.ts'
import { type Tensor, tensor } from '../tensor/tensor.ts'
import type { Batch, BatchSource } from '../train/evaluate.ts'

export interface FrozenFeaturesOptions {
  transform: Transform
  batchSize: number
  /** Shuffles each epoch as the images themselves would be. */
  seed: number
  signal?: AbortSignal | undefined
}

/** A model's classifier, reading pooled features that its backbone made before. It owns no weights: dispose the model. */
class OnFeatures extends Module {
  readonly patches = 0
  constructor(
    private readonly vit: Vit,
    private readonly pooled: readonly number[],
  ) {
    super()
  }
  get backend() {
    return this.vit.backend
  }
  /** Logits (B, K) of features (B, F, 1, 1). */
  forward(features: Tensor, ctx: Context): Tensor {
    return scope(() => this.vit.classify(reshape(features, [features.shape[0]!, ...this.pooled]), ctx))
  }
}

/**
 * The features of every readable image, once, as a model and a source of batches for `fit`: the same losses, in the
 * same order, as fitting the frozen `model` on the images. Undefined when the signal came in between.
 */
export async function frozenFeatures(
  model: Vit,
  dataset: Dataset,
  options: FrozenFeaturesOptions,
): Promise<{ model: OnFeatures; train: BatchSource } | undefined> {
  const { transform, batchSize, seed, signal } = options
  const rows: Float32Array[] = []
  const labels: number[] = []
  const files: string[] = []
  let pooled: readonly number[] = [model.features]
  for await (const batch of batchSource(dataset, { transform, batchSize }).epoch(0, 0)) {
    if (signal?.aborted) return undefined
    const count = batch.labels.length
    if (count === 0) continue
    const images = tensor(model.backend, batch.images, batch.shape)
    const features = scope(() => model.pool(model.tokens(images, new Context())))
    images.dispose()
    const values = (await features.data()) as Float32Array
    pooled = features.shape.slice(1)
    features.dispose()
    const size = values.length / count
    for (let i = 0; i < count; i++) rows.push(values.subarray(i * size, (i + 1) * size))
    labels.push(...batch.labels)
    files.push(...batch.files)
  }
  const size = rows[0]?.length ?? 0
  const batchOf = (indices: readonly number[]): Batch => {
    const images = new Float32Array(indices.length * size)
    for (const [at, i] of indices.entries()) images.set(rows[i]!, at * size)
    return {
      images,
      shape: [indices.length, size, 1, 1],
      labels: Int32Array.from(indices, (i) => labels[i]!),
      files: indices.map((i) => files[i]!),
    }
  }
  const batches = (epoch: number) => toBatches(epochOrder(labels, { mode: 'shuffle', seed, epoch }), batchSize)
  const train: BatchSource = {
    batches: Math.ceil(rows.length / batchSize),
    async *epoch(epoch, firstBatch) {
      for (const indices of batches(epoch).slice(firstBatch)) yield batchOf(indices)
    },
  }
  return { model: new OnFeatures(model, pooled), train }
}
