// The batches that PyTorch's stored losses were made with.
import { openSafetensors } from 'vitune/io'
import type { Batch } from 'vitune/train'
import { batchOf } from './batch-of.ts'
import { fixture } from './fixtures.ts'

/** The batches of a model family: `losses/batches-NAME.safetensors`. */
export async function batchesOf(name: string): Promise<Batch[]> {
  const file = await openSafetensors(await fixture(`losses/batches-${name}.safetensors`))
  const [count, ...shape] = file.info('pixel_values').shape as [number, number, number, number, number]
  const images = await file.read('pixel_values')
  const labels = Int32Array.from(await file.read('labels'))
  const [size, each] = [images.length / count, labels.length / count]
  return Array.from({ length: count }, (_, i) =>
    batchOf(images.slice(i * size, (i + 1) * size), shape, labels.slice(i * each, (i + 1) * each)),
  )
}
