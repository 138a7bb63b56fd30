// Batches from a dataset: decoded a few at a time, transformed, and the next one made while the last is being used, by
// workers where images are large. What an image looks like depends on (seed, epoch, index) alone: not on who makes it,
// and not on the order in which decoding happens to end.
import type { ImageLabels } from '../labels/labels.ts'
import { InputError } from '../platform/errors.ts'
import type { HostInputs, HostValues } from '../tensor/host.ts'
import { BrokenImage, type Dataset, isImage } from './dataset.ts'
import { balanceKeys } from './divide.ts'
import { type ImageWorkers, imageWorkers, NoWorkers } from './image-workers.ts'
import { epochOrder, isBalanced, type OrderOptions, sampleRng, toBatches } from './sampler.ts'
import type { Transform } from './transforms.ts'

/** One batch of images; it is smaller than asked for where images were broken, and may be empty. */
export interface ImageBatch {
  /** `images`: (B, 3, H, W), normalised. */
  readonly inputs: { readonly images: HostValues & { readonly data: Float32Array<ArrayBuffer> } }
  /** What `targets` of the options makes of the labels; empty without. */
  readonly targets: HostInputs
  /** B */
  readonly count: number
  /** Files of the images. */
  readonly names: readonly string[]
  /** (B) indices into the dataset. */
  readonly indices: readonly number[]
}

/** How images are loaded. */
export interface BatchOptions {
  readonly transform: Transform
  /** What the labels become: a task's `targets`. */
  readonly targets?: (labels: readonly ImageLabels[]) => HostInputs
  /** For random transforms. */
  readonly seed?: number
  readonly epoch?: number
  /** Told of every image that had to be left out, each time it is met. */
  readonly onBroken?: ((file: string, reason: string) => void) | undefined
  /** Throw an InputError at the first broken image instead. */
  readonly strict?: boolean
  /** Images decoded at once where no workers do it, default 4. */
  readonly parallel?: number
}

/** Pixels from which on an image is worth handing to a worker. */
const LARGE = 96 * 96

/** Who makes the images of one loop over batches. */
interface Makers {
  workers: ImageWorkers | undefined
  /** Whether workers may be started once an image is large. */
  wanted: boolean
  stopped: boolean
}

/** Makes the sample `index` in `out`. */
async function makeImage(
  dataset: Dataset,
  index: number,
  options: BatchOptions,
  makers: Makers,
  out: Float32Array,
): Promise<void> {
  const { transform, seed = 0, epoch = 0 } = options
  const { recipe } = transform
  const { stored } = dataset
  if (makers.workers && stored && recipe) {
    const source = stored.source(index)
    const keep = isImage(source) ? 0 : stored.room()
    const { digests } = stored
    const onDigest =
      digests && digests.get(index) === undefined ? (digest: string) => digests.set(index, digest) : undefined
    try {
      const { values, image } = await makers.workers.make({ source, keep, recipe, seed, epoch, index }, onDigest)
      out.set(values)
      if (image) stored.keep(index, image)
      return
    } catch (error) {
      if (error instanceof BrokenImage) stored.keep(index, error)
      if (!(error instanceof NoWorkers)) throw error
      makers.wanted = false
      makers.workers?.release()
      makers.workers = undefined
    }
  }
  const image = await dataset.image(index)
  if (makers.wanted && image.width * image.height >= LARGE) makers.workers ??= imageWorkers()
  transform.apply(image, sampleRng(seed, epoch, index), out)
}

/** What is wrong with an image, with its name: a transform knows pixels alone. */
function withFile(error: unknown, file: string): unknown {
  if (!(error instanceof InputError) || error.message.includes(file)) return error
  return new InputError(`${file}: ${error.message}`)
}

/** Loads the samples of one batch, in the order of `indices`. */
export function loadBatch(dataset: Dataset, indices: readonly number[], options: BatchOptions): Promise<ImageBatch> {
  return makeBatch(dataset, indices, options, { workers: undefined, wanted: false, stopped: false })
}

async function makeBatch(
  dataset: Dataset,
  indices: readonly number[],
  options: BatchOptions,
  makers: Makers,
): Promise<ImageBatch> {
  const { transform, parallel = 4 } = options
  const { height, width } = transform
  const values = 3 * height * width
  const images = new Float32Array(indices.length * values)
  const reasons = new Map<number, BrokenImage>()
  let next = 0
  let stopped = false
  const work = async (): Promise<void> => {
    while (next < indices.length && !stopped && !makers.stopped) {
      const at = next++
      try {
        await makeImage(dataset, indices[at]!, options, makers, images.subarray(at * values, (at + 1) * values))
      } catch (error) {
        if (!(error instanceof BrokenImage)) {
          stopped = true
          throw withFile(error, dataset.file(indices[at]!))
        }
        reasons.set(at, error)
      }
    }
  }
  // Workers are given all at once, so that they go on while this thread is busy with a step; they keep their own measure.
  const lanes = makers.workers ? indices.length : Math.min(parallel, indices.length)
  await Promise.all(Array.from({ length: lanes }, work))

  // Told in the batch's order, and only now, so that reports do not depend on timing.
  const good: number[] = []
  for (let at = 0; at < indices.length; at++) {
    const error = reasons.get(at)
    if (!error) {
      if (good.length < at) images.copyWithin(good.length * values, at * values, (at + 1) * values)
      good.push(indices[at]!)
    } else if (options.strict) throw new InputError(`${error.message}; remove it, or run without strict to skip it`)
    else options.onBroken?.(error.file, error.reason)
  }
  const data = good.length === indices.length ? images : images.slice(0, good.length * values)
  return {
    inputs: { images: { data, shape: [good.length, 3, height, width] } },
    targets: options.targets?.(good.map((i) => dataset.labels(i))) ?? {},
    count: good.length,
    names: good.map((i) => dataset.file(i)),
    indices: good,
  }
}

/** How an epoch is cut into batches. */
export interface LoadBatchesOptions extends BatchOptions {
  readonly batchSize: number
  /** Leave out a last, shorter batch. */
  readonly dropLast?: boolean
  /** Batches to skip, for resuming within an epoch; they are neither decoded nor counted. */
  readonly start?: number
  /** False never starts workers; by default they make large images. */
  readonly workers?: boolean
}

/**
 * Batches over `order`, the next one loading while the last is in use. One with only broken images comes out empty, so
 * that batches count the same in every run. Throws an InputError when not one image could be read.
 */
export function loadBatches(
  dataset: Dataset,
  order: readonly number[],
  options: LoadBatchesOptions,
): AsyncGenerator<ImageBatch, void, undefined> {
  const { batchSize, dropLast, start = 0 } = options
  // After a start in the middle, the images before it have been read.
  return loadLists(dataset, toBatches(order, batchSize, dropLast).slice(start), { ...options, some: start > 0 })
}

/** How batches are loaded that are cut already. */
export interface LoadListsOptions extends BatchOptions, Pick<LoadBatchesOptions, 'workers'> {
  /** Whether some of the images were read before, so that it is no error where none of these can be. */
  readonly some?: boolean
}

/** Batches of these indices into the dataset, as `loadBatches` makes them. */
export async function* loadLists(
  dataset: Dataset,
  batches: readonly (readonly number[])[],
  options: LoadListsOptions,
): AsyncGenerator<ImageBatch, void, undefined> {
  const wanted = options.workers !== false && options.transform.recipe !== undefined && dataset.stored !== undefined
  const large = options.transform.height * options.transform.width >= LARGE
  const makers: Makers = { workers: wanted && large ? imageWorkers() : undefined, wanted, stopped: false }
  let first: string | undefined
  const onBroken = (file: string, reason: string): void => {
    first ??= `${file}: ${reason}`
    options.onBroken?.(file, reason)
  }
  const load = (i: number): Promise<ImageBatch> | undefined => {
    const indices = batches[i]
    if (!indices) return undefined
    const promise = makeBatch(dataset, indices, { ...options, onBroken }, makers)
    // The consumer may stop before it gets here; a failure then is nobody's, and awaiting it later still throws.
    promise.catch(() => {})
    return promise
  }
  let seen = 0
  try {
    let next = load(0)
    for (let i = 0; next; i++) {
      const batch: ImageBatch = await next
      next = load(i + 1)
      seen += batch.count
      yield batch
    }
  } finally {
    makers.stopped = true
    makers.wanted = false
    makers.workers?.release()
  }
  if (batches.length > 0 && seen === 0 && !options.some) {
    throw new InputError(`images: not one of ${batches.flat().length} could be decoded, ${first}`)
  }
}

/** Settings of a source of batches. */
export interface BatchSourceOptions extends Omit<BatchOptions, 'epoch'> {
  readonly batchSize: number
  /** Default sequential. */
  readonly order?: OrderOptions['mode']
  readonly dropLast?: boolean
}

/** Indices into the dataset, batch by batch, of the epoch that is asked for. */
export function batchLists(dataset: Dataset, options: BatchSourceOptions): (epoch: number) => number[][] {
  const { order: mode = 'sequential', seed = 0, batchSize, dropLast } = options
  const { length, labelSpace } = dataset
  const labels = () => Array.from({ length }, (_, i) => dataset.labels(i))
  const keys = isBalanced(mode) ? balanceKeys(labelSpace, labels()) : new Int32Array(length)
  return (epoch) => toBatches(epochOrder(keys, { mode, seed, epoch }), batchSize, dropLast)
}

/** Batches of a dataset, epoch by epoch; the same epoch number gives the same batches, bit for bit. */
export function batchSource(
  dataset: Dataset,
  options: BatchSourceOptions,
): { readonly batches: number; epoch(epoch: number, firstBatch: number): AsyncIterable<ImageBatch> } {
  const lists = batchLists(dataset, options)
  return {
    batches: lists(0).length,
    epoch: (epoch, firstBatch) =>
      loadLists(dataset, lists(epoch).slice(firstBatch), { ...options, epoch, some: firstBatch > 0 }),
  }
}
