// What a frozen backbone makes of images that nothing changes at random is the same in every epoch: here batches of such
// images are batches of their features, which are computed when an image is first met and kept on the host.
// Not here: when that is right (plan.ts), and how much may be kept (feature-room.ts).
import type { Dataset } from '../data/dataset.ts'
import { type BatchSourceOptions, batchLists, type ImageBatch, loadLists } from '../data/loader.ts'
import type { AnyModel } from '../models/registry.ts'
import { Context } from '../nn/context.ts'
import { type HostValues, samplesOf } from '../tensor/host.ts'
import { scope } from '../tensor/scope.ts'
import { type Batch, type BatchSource, defaultMicroBatch, partsOf } from '../train/batch.ts'
import { tensorsOf } from '../train/evaluate.ts'
import type { FeatureRoom } from './feature-room.ts'

export interface FeatureSourceOptions extends BatchSourceOptions {
  /** Most images that the backbone computes at a time; default, and as well the numbers, those of `fit`. */
  readonly microBatch?: number | undefined
  /** Where features are kept, shared by the sources of a run; default without a limit. */
  readonly room?: FeatureRoom | undefined
  /**
   * Hands on what is computed part by part, each as a batch: for a validation, which may be stopped after each of them. Steps
   * of training take whole batches.
   */
  readonly inParts?: boolean
}

type Rows = Map<number, Float32Array>

/** What the classifier reads of images (B, 3, H, W), (B, ...pooled), on the host. */
export async function featuresOf(model: AnyModel, images: HostValues): Promise<Float32Array> {
  const features = scope(() => model.pool(model.encode(tensorsOf(model, { images }).images!, new Context())))
  try {
    return (await features.data()) as Float32Array
  } finally {
    features.dispose()
  }
}

/** The images at these places of a batch; all of them share its memory. */
function imagesAt({ inputs: { images }, count }: ImageBatch, places: readonly number[]): HostValues {
  const first = places[0]!
  const last = places.at(-1)!
  if (last - first === places.length - 1) return samplesOf({ images }, first, last + 1).images!
  const size = images.data.length / count
  const data = new Float32Array(places.length * size)
  for (const [at, place] of places.entries())
    data.set(images.data.subarray(place * size, (place + 1) * size), at * size)
  return { data, shape: [places.length, ...images.shape.slice(1)] }
}

/**
 * Batches of features in the order, with the targets, names and reports of `batchSource`. Fitted on them the model, whose backbone
 * must be frozen, comes to the same numbers, bit for bit, as on the images. The transform must not be random.
 */
export function featureSource(model: AnyModel, dataset: Dataset, options: FeatureSourceOptions): BatchSource {
  const { targets, onBroken, microBatch = defaultMicroBatch(model), room, inParts = false } = options
  if (options.transform.random) throw new Error('featureSource: images must not be changed at random; use batchSource')
  const { pooled } = model
  const size = pooled.reduce((a, b) => a * b, 1)
  const lists = batchLists(dataset, options)
  const most = room ? room.take(dataset.length, 4 * size) : dataset.length
  const kept: Rows = new Map()
  /** Reasons by file, and those images that were met already. */
  const reasons = new Map<string, string>()
  const broken = new Set<number>()

  /** What has to be loaded for each batch: images that are not known by then. */
  const toLoad = (batches: readonly (readonly number[])[]): number[][] => {
    const known = new Set([...kept.keys(), ...broken])
    return batches.map((indices) => {
      const missing = [...new Set(indices)].filter((i) => !known.has(i))
      for (const i of missing) if (known.size < most + broken.size) known.add(i)
      return missing
    })
  }

  /** Computes those of these images that were just loaded, where they are not known yet. */
  const compute = async (indices: readonly number[], loaded: ImageBatch, places: Map<number, number>, found: Rows) => {
    const wanted = [...new Set(indices)].filter((i) => places.has(i) && !found.has(i))
    if (wanted.length === 0) return
    const values = await featuresOf(
      model,
      imagesAt(
        loaded,
        wanted.map((i) => places.get(i)!),
      ),
    )
    for (const [at, i] of wanted.entries()) {
      const row = values.subarray(at * size, (at + 1) * size)
      found.set(i, row)
      if (kept.size < most) kept.set(i, row)
    }
  }

  /** A batch of known features; `part` has all but these. */
  const withFeatures = (part: Batch, indices: readonly number[], found: Rows): Batch => {
    const data = new Float32Array(indices.length * size)
    for (const [at, i] of indices.entries()) data.set((found.get(i) ?? kept.get(i))!, at * size)
    return { ...part, inputs: { features: { data, shape: [indices.length, ...pooled] } } }
  }

  return {
    batches: lists(0).length,
    async *epoch(epoch, firstBatch) {
      const batches = lists(epoch).slice(firstBatch)
      const missing = toLoad(batches)
      const loads = loadLists(
        dataset,
        missing.filter(({ length }) => length > 0),
        {
          ...options,
          epoch,
          some: firstBatch > 0 || kept.size > 0,
          onBroken(file, reason) {
            reasons.set(file, reason)
            onBroken?.(file, reason)
          },
        },
      )
      try {
        for (const [b, indices] of batches.entries()) {
          const loaded = missing[b]!.length > 0 ? (await loads.next()).value || undefined : undefined
          const places = new Map(loaded?.indices.map((i, at) => [i, at]))
          for (const i of indices) if (broken.has(i)) onBroken?.(dataset.file(i), reasons.get(dataset.file(i))!)
          for (const i of missing[b]!) if (!places.has(i)) broken.add(i)
          const good = indices.filter((i) => !broken.has(i))
          const whole: Batch = {
            inputs: {},
            targets: targets?.(good.map((i) => dataset.labels(i))) ?? {},
            count: good.length,
            names: good.map((i) => dataset.file(i)),
          }
          const found: Rows = new Map()
          const begun = performance.now()
          let at = 0
          for (const part of loaded ? partsOf(whole, microBatch) : []) {
            const own = good.slice(at, at + part.count)
            at += part.count
            await compute(own, loaded!, places, found)
            if (inParts) yield withFeatures(part, own, found)
          }
          const computeSeconds = (performance.now() - begun) / 1000
          if (!inParts || !loaded) yield { ...withFeatures(whole, good, found), computeSeconds }
        }
        // Says where not one image could be read.
        await loads.next()
      } finally {
        await loads.return()
      }
    },
  }
}
