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
  /** Where image workers find the images; without it they are asked for here. */
  readonly stored?: StoredImages
}

/** What image workers need to know of a dataset, by index. */
export interface StoredImages {
  /** A path, a file of a page, or the image itself where it is decoded already; throws the BrokenImage that is known. */
  source(i: number): string | File | RgbImage
  /** Most bytes that a decoded image may have to be worth giving to `keep`. */
  room(): number
  /** Takes what a worker has found. */
  keep(i: number, found: RgbImage | BrokenImage): void
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

const nameOf = (file: string | File): string => (typeof file === 'string' ? file : file.name)

/** Reads and decodes one file; throws a BrokenImage, or an InputError where decoding itself is not possible. */
export async function decodeFile(file: string | File): Promise<RgbImage> {
  if (typeof file === 'string' && !platform.files) {
    throw new InputError(`${file}: paths cannot be read in a browser; pass File objects instead`)
  }
  try {
    const bytes = typeof file === 'string' ? await platform.files!.read(file) : new Uint8Array(await file.arrayBuffer())
    return await platform.decodeImage(bytes)
  } catch (error) {
    if (error instanceof InputError) throw error
    throw new BrokenImage(nameOf(file), (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? '')
  }
}

/** Settings of a dataset of files. */
export interface FileDatasetOptions {
  /** Paths, or the files that a page was given. */
  readonly files: readonly (string | File)[]
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
  const stored: StoredImages = {
    source(i) {
      const failed = broken.get(i)
      if (failed) throw failed
      return kept.get(i) ?? files[i]!
    },
    room: () => Math.min(room, largest),
    keep(i, found) {
      if (found instanceof BrokenImage) broken.set(i, found)
      else if (found.data.length <= stored.room() && !kept.has(i)) {
        kept.set(i, found)
        room -= found.data.length
      }
    },
  }
  return {
    classes,
    length: files.length,
    label: (i) => labels[i]!,
    file: (i) => nameOf(files[i]!),
    async image(i) {
      const source = stored.source(i)
      if (isImage(source)) return source
      try {
        const image = await decodeFile(source)
        stored.keep(i, image)
        return image
      } catch (error) {
        if (error instanceof BrokenImage) stored.keep(i, error)
        throw error
      }
    },
    stored,
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
    stored: { source: (i) => images[i]!, room: () => 0, keep: () => {} },
  }
}

/** Part of a dataset, in the order of `indices`; shares the cache of the whole. */
export function subset(dataset: Dataset, indices: readonly number[]): Dataset {
  const { stored } = dataset
  return {
    classes: dataset.classes,
    length: indices.length,
    label: (i) => dataset.label(indices[i]!),
    file: (i) => dataset.file(indices[i]!),
    image: (i) => dataset.image(indices[i]!),
    ...(stored && {
      stored: {
        source: (i) => stored.source(indices[i]!),
        room: () => stored.room(),
        keep: (i, found) => stored.keep(indices[i]!, found),
      },
    }),
  }
}

/** Whether an image is decoded already. */
export function isImage(source: string | File | RgbImage): source is RgbImage {
  return typeof source !== 'string' && 'data' in source
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
