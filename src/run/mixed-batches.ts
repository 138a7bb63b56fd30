// Batches whose images and targets are mixed in pairs, to train on. How: data/mixing.ts, tasks/mixed.ts.
import { drawMix, type MixingOptions, mixImages, mixRng } from '../data/mixing.ts'
import { mixTargets } from '../tasks/mixed.ts'
import type { Batch, BatchSource } from '../train/batch.ts'

/**
 * The source with each batch mixed, by numbers of the seed, the epoch and the batch's place in it. Inputs are images
 * (B, C, H, W), all of them.
 */
export const mixedBatches = (source: BatchSource, options: MixingOptions, seed: number): BatchSource => ({
  batches: source.batches,
  async *epoch(epoch, firstBatch) {
    let place = firstBatch
    for await (const batch of source.epoch(epoch, firstBatch)) {
      yield batch.count === 0 ? batch : mixed(batch, options, seed, epoch, place)
      place++
    }
  },
})

function mixed(batch: Batch, options: MixingOptions, seed: number, epoch: number, place: number): Batch {
  const { images } = batch.inputs
  if (!images) throw new Error('mixing: needs batches of images, got others')
  const mix = drawMix(options, images.shape[2]!, images.shape[3]!, mixRng(seed, epoch, place))
  return { ...batch, inputs: { images: mixImages(images, mix) }, targets: mixTargets(batch.targets, mix.share) }
}
