// Batches of images in several views each, in an order of their own that goes round and round: what is drawn beside the batches of
// another source that counts the epochs. Where a batch stands follows from its number alone, so a resumed run needs no stored state.
import type { HostInputs } from '../tensor/host.ts'
import { Rng } from '../tensor/philox.ts'
import { type Dataset, subset } from './dataset.ts'
import { loadBatches } from './loader.ts'
import { roundRobin } from './sampler.ts'
import { type Transform, viewsTransform } from './transforms.ts'

/** The same images in each view. */
export interface ViewBatch {
  /** Of each view `images`, (B, 3, H, W). */
  readonly views: readonly HostInputs[]
  /** B */
  readonly count: number
  readonly names: readonly string[]
}

export interface ViewSourceOptions {
  /** How each view is made, to one size. */
  readonly views: readonly Transform[]
  readonly batchSize: number
  /** Batches of an epoch: how many the other source has. */
  readonly batches: number
  readonly seed?: number
  readonly strict?: boolean
  readonly onBroken?: ((file: string, reason: string) => void) | undefined
}

/** Random numbers that no other order of the same seed has. */
const viewStream = 903

/** Batches of a dataset in views, as many an epoch as the other source has. */
export function viewSource(
  dataset: Dataset,
  { views, batchSize, batches, seed = 0, strict, onBroken }: ViewSourceOptions,
): { epoch(epoch: number, firstBatch: number): AsyncGenerator<ViewBatch, void, undefined> } {
  const transform = viewsTransform(views)
  const own = new Rng(seed, viewStream).uint32()
  const size = batchSize * batches
  return {
    async *epoch(epoch, firstBatch) {
      // An image may come twice in an epoch: its random numbers are those of its place.
      const places = roundRobin(dataset.length, own, epoch * size, size)
      const all = places.map((_, i) => i)
      const options = { transform, batchSize, epoch, seed: own, start: firstBatch, onBroken, ...(strict && { strict }) }
      for await (const { inputs, count, names } of loadBatches(subset(dataset, places), all, options)) {
        const { data, shape } = inputs.images
        const [channels, height, width] = [shape[1]!, shape[2]! / views.length, shape[3]!]
        const each = channels * height * width
        const made = views.map((_, view) => {
          const images = new Float32Array(count * each)
          for (let i = 0; i < count; i++) {
            const from = (i * views.length + view) * each
            images.set(data.subarray(from, from + each), i * each)
          }
          return { images: { data: images, shape: [count, channels, height, width] } }
        })
        yield { views: made, count, names }
      }
    },
  }
}
