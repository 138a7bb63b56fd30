// A batch of images with one class each, for tests that make their own.
import type { Batch } from 'vitune/train'

/** A batch of images (B, C, H, W) and the class of each. */
export function batchOf(
  images: Float32Array<ArrayBuffer>,
  shape: readonly number[],
  labels: ArrayLike<number>,
  names: readonly string[] = [],
): Batch {
  const label = Int32Array.from(labels)
  return {
    inputs: { images: { data: images, shape } },
    targets: { label: { data: label, shape: [label.length] } },
    count: label.length,
    names,
  }
}
