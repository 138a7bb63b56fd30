// Labelled images, on disk or in memory, and their decoding with a cache. Batches are made in loader.ts, folders are
// found in image-folder.ts.
import { platform } from '#platform'
import { InputError } from '../platform/errors.ts'
import type { RgbImage } from '../platform/platform.ts'

/** Labelled images by index. */
export interface Dataset {
  readonly classes: readonly string[]
  readonly length: number
  /** Index into `classes`. */
  label(i: number): number
  /** The file, or a name made up for an image in memory. */
  file(i: number): string
  /** The decoded image; rejects with a BrokenImage when it cannot be decoded. Not to be changed. */
  image(i: number): Promise<RgbImage>
}

/** An image that could not be read or decoded. */
export class BrokenImage extends Error {
  override name = 'BrokenImage'
  constructor(
    readonly file: string,
    readonly reason: string,
  ) {
    super(`${file}: cannot be decoded, ${reason}`)
  }
}

/** Reads and decodes one file; throws a BrokenImage, or an InputError where decoding itself is not possible. */
export async function decodeFile(file: string): Promise<RgbImage> {
  if (!platform.files) throw new InputError(`${file}: files cannot be read in a browser; pass images instead of paths`)
  try {
    return await platform.decodeImage(await platform.files.read(file))
  } catch (error) {
    if (error instanceof InputError) throw error
    throw new BrokenImage(file, (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? '')
  }
}

/** Settings of a dataset of files. */
export interface FileDatasetOptions {
  readonly files: readonly string[]
  readonly labels: ArrayLike<number>
  readonly classes: readonly string[]
  /** Bytes of decoded images to keep, so that later epochs do not decode again; default 256 MB. */
  readonly cacheBytes?: number
}

/** Files with labels. Decoded images are kept until the cache is full; what is kept stays, since every epoch reads all. */
export function fileDataset(options: FileDatasetOptions): Dataset {
  const { files, labels, classes } = options
  let room = options.cacheBytes ?? 256e6
  // One large photo would take the room of hundreds of small images.
  const largest = room / 64
  const kept = new Map<number, RgbImage>()
  const broken = new Map<number, BrokenImage>()
  checkLabels(labels, files.length, classes)
  return {
    classes,
    length: files.length,
    label: (i) => labels[i]!,
    file: (i) => files[i]!,
    async image(i) {
      const known = kept.get(i)
      if (known) return known
      const failed = broken.get(i)
      if (failed) throw failed
      try {
        const image = await decodeFile(files[i]!)
        if (image.data.length <= Math.min(room, largest) && !kept.has(i)) {
          kept.set(i, image)
          room -= image.data.length
        }
        return image
      } catch (error) {
        if (error instanceof BrokenImage) broken.set(i, error)
        throw error
      }
    },
  }
}

/** Images that are already decoded. */
export interface MemoryDatasetOptions {
  readonly images: readonly RgbImage[]
  readonly labels: ArrayLike<number>
  readonly classes: readonly string[]
  /** Names for reports; default `image 0`, `image 1`... */
  readonly files?: readonly string[]
}

/** A dataset over images in memory; works in a browser too. */
export function memoryDataset(options: MemoryDatasetOptions): Dataset {
  const { images, labels, classes, files } = options
  checkLabels(labels, images.length, classes)
  return {
    classes,
    length: images.length,
    label: (i) => labels[i]!,
    file: (i) => files?.[i] ?? `image ${i}`,
    image: async (i) => images[i]!,
  }
}

/** Part of a dataset, in the order of `indices`; shares the cache of the whole. */
export function subset(dataset: Dataset, indices: readonly number[]): Dataset {
  return {
    classes: dataset.classes,
    length: indices.length,
    label: (i) => dataset.label(indices[i]!),
    file: (i) => dataset.file(indices[i]!),
    image: (i) => dataset.image(indices[i]!),
  }
}

/** All labels of a dataset, by index. */
export function labelsOf(dataset: Dataset): Int32Array<ArrayBuffer> {
  return Int32Array.from({ length: dataset.length }, (_, i) => dataset.label(i))
}

function checkLabels(labels: ArrayLike<number>, length: number, classes: readonly string[]): void {
  if (labels.length !== length)
    throw new InputError(`dataset: ${length} images need as many labels, got ${labels.length}`)
  for (let i = 0; i < length; i++) {
    const label = labels[i]!
    if (!(Number.isInteger(label) && label >= 0 && label < classes.length)) {
      throw new InputError(`dataset: a label must be 0 to ${classes.length - 1}, got ${label} at ${i}`)
    }
  }
}
