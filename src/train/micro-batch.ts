// A batch computed in parts: samples do not meet in a vision transformer, so the gradients of parts add up to the batch's.
import type { Backend } from '../backend/backend.ts'
import type { Batch, Network } from './evaluate.ts'

/**
 * Patches in one part on wasm: what forward keeps for backward grows with them (35 kB a patch of DINOv2-small), while each
 * part packs the weights anew (1 % of the time at 1024). A GPU takes what it is given: it needs the batch to fill its cores.
 */
const PATCHES = 1024

/**
 * The most images to compute at a time where the user says nothing. Half as many under checkpointing, where a part keeps
 * little and the user wants memory more than the last percent of time.
 */
export function defaultMicroBatch(
  { backend, patches }: Pick<Network, 'patches'> & { readonly backend: Pick<Backend, 'name'> },
  checkpointing = false,
): number {
  if (backend.name !== 'wasm' || patches === 0) return Number.POSITIVE_INFINITY
  return Math.max(1, Math.floor(PATCHES / (checkpointing ? 2 : 1) / patches))
}

/** The parts of a batch, each of at most `most` images; their sizes differ by one at most, so that few are recorded. */
export function partsOf(batch: Batch, most: number): Batch[] {
  const count = batch.labels.length
  const parts = Math.max(1, Math.ceil(count / most))
  if (parts === 1) return [batch]
  const values = batch.images.length / count
  return Array.from({ length: parts }, (_, i) => {
    const from = Math.floor((i * count) / parts)
    const to = Math.floor(((i + 1) * count) / parts)
    const [, channels, height, width] = batch.shape
    return {
      images: batch.images.subarray(from * values, to * values),
      shape: [to - from, channels, height, width],
      labels: batch.labels.subarray(from, to),
      files: batch.files.slice(from, to),
    }
  })
}
