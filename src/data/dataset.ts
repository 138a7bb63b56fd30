// Labelled images, on disk or in memory, and their decoding with a cache. Batches are made in loader.ts, folders are
// found in open-data.ts.
import { platform } from '#platform'
import { type ImageLabels, type LabelSpace, multiclassLabels, withParents } from '../labels/labels.ts'
import { InputError, ReadError } from '../platform/errors.ts'
import { withBytes } from '../platform/image-budget.ts'
import type { ImageSource, RgbImage } from '../platform/platform.ts'

/** Labelled images by index. */
export interface Dataset {
  readonly labelSpace: LabelSpace
  /** The names in it. */
  readonly classes: readonly string[]
  readonly length: number
  /** By places in `classes`. */
  labels(i: number): ImageLabels
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
  /** What the files were when they were read; absent for images in memory. */
  readonly digests?: Digests
}

/** SHA-256 of the bytes of a dataset's files in hex, by index: found by whoever reads a file first, then kept. */
export interface Digests {
  /** Undefined before the file was read. */
  get(i: number): string | undefined
  set(i: number, digest: string): void
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

/** What an image is called in reports: its path, address or file name, or `image 3` by its place. */
export function nameOf(source: ImageSource, place = 0): string {
  if (typeof source === 'string') return source.startsWith('data:') ? `image ${place}` : source
  if (source instanceof URL) return source.href
  return source instanceof File ? source.name : `image ${place}`
}

const firstLine = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? ''

/**
 * Reads and decodes one file; throws a BrokenImage, or an InputError where decoding itself is not possible. `onDigest` is
 * told the SHA-256 of what was read, also where that is no image.
 */
export async function decodeFile(file: string | File, onDigest?: (digest: string) => void): Promise<RgbImage> {
  const { files } = platform
  if (typeof file === 'string' && !files) {
    throw new InputError(`${file}: paths cannot be read in a browser; pass File objects instead`)
  }
  try {
    const size = typeof file === 'string' ? await files!.size(file) : file.size
    return await withBytes(size ?? 0, async () => {
      const bytes = typeof file === 'string' ? await files!.read(file) : new Uint8Array(await file.arrayBuffer())
      const digest = onDigest && (await platform.digest(bytes))
      if (digest !== undefined) onDigest?.(digest)
      return platform.decodeImage(bytes)
    })
  } catch (error) {
    // One file that cannot be read is no reason to end.
    if (error instanceof InputError && !(error instanceof ReadError)) throw error
    const name = nameOf(file)
    throw new BrokenImage(name, firstLine(error).replace(`${name}: `, ''))
  }
}

/** SHA-256 of a file, as decoding it would find; undefined where it cannot be read or is more than may be read. */
export async function digestFile(file: string): Promise<string | undefined> {
  const files = platform.files!
  try {
    const size = (await files.size(file)) ?? 0
    return await withBytes(size, async () => platform.digest(await files.read(file)))
  } catch {
    return undefined
  }
}

const ADDRESS = /^(https?|blob|data):/i

/** Decodes an image however it is given; throws a BrokenImage that names it. */
export async function decodeSource(source: ImageSource, name = nameOf(source)): Promise<RgbImage> {
  if (typeof source === 'string' && !(platform.name === 'browser' && ADDRESS.test(source))) return decodeFile(source)
  try {
    if (typeof source === 'string') return await platform.readImage(new URL(source))
    if (!isImage(source)) return await platform.readImage(source)
  } catch (error) {
    if (error instanceof InputError) throw error
    throw new BrokenImage(name, firstLine(error))
  }
  const { width, height, data } = source
  if (data.length === 3 * width * height && data.length > 0) return source
  throw new BrokenImage(name, `${width} x ${height} pixels need three bytes each, got ${data.length}`)
}

/**
 * 8-bit RGB of an image however it is given: a path or a Blob, in a browser also an address, ImageBitmap, ImageData,
 * canvas, image or video element, or a camera's VideoFrame. Turned as EXIF says, alpha dropped. Throws an InputError.
 */
export async function toRgbImage(source: ImageSource): Promise<RgbImage> {
  try {
    return await decodeSource(source)
  } catch (error) {
    throw error instanceof BrokenImage ? new InputError(error.message) : error
  }
}

/** What the images of a dataset are. */
export interface LabelOptions {
  /** Of each image a place in `classes`, several, or all that is known of it. */
  readonly labels: ArrayLike<number | readonly number[] | ImageLabels>
  /** Names of the labels. */
  readonly classes: readonly string[]
  /** How they belong together; default one class an image. */
  readonly labelSpace?: LabelSpace
}

/** Settings of a dataset of files. */
export interface FileDatasetOptions extends LabelOptions {
  /** Paths, or the files that a page was given. */
  readonly files: readonly (string | File)[]
  /** Bytes of decoded images to keep, so that later epochs do not decode again; default 256 MB. */
  readonly cacheBytes?: number
}

/** Files with labels. Decoded images are kept until the cache is full; what is kept stays, since every epoch reads all. */
export function fileDataset(options: FileDatasetOptions): Dataset {
  const { files } = options
  const digests = new Map<number, string>()
  const decode = (i: number) =>
    decodeFile(files[i]!, digests.has(i) ? undefined : (digest) => void digests.set(i, digest))
  const { image, stored } = keeping(files, decode, options.cacheBytes)
  return {
    ...labelled(options, files.length),
    file: (i) => nameOf(files[i]!),
    image,
    stored: { ...stored, digests },
  }
}

/** Decoding that keeps what fits, and knows again what is broken. */
function keeping<T extends ImageSource>(
  sources: readonly T[],
  decode: (i: number) => Promise<RgbImage>,
  cacheBytes = 256e6,
) {
  let room = cacheBytes
  // One large photo would take the room of hundreds of small images.
  const largest = room / 64
  const kept = new Map<number, RgbImage>()
  const broken = new Map<number, BrokenImage>()
  const stored = {
    source(i: number): T | RgbImage {
      const failed = broken.get(i)
      if (failed) throw failed
      return kept.get(i) ?? sources[i]!
    },
    room: () => Math.min(room, largest),
    keep(i: number, found: RgbImage | BrokenImage): void {
      if (found instanceof BrokenImage) broken.set(i, found)
      else if (found.data.length <= stored.room() && !kept.has(i)) {
        kept.set(i, found)
        room -= found.data.length
      }
    },
  }
  return {
    stored,
    async image(i: number): Promise<RgbImage> {
      const source = stored.source(i)
      if (isImage(source)) return source
      try {
        const image = await decode(i)
        stored.keep(i, image)
        return image
      } catch (error) {
        if (error instanceof BrokenImage) stored.keep(i, error)
        throw error
      }
    },
  }
}

/** Images in memory. */
export interface MemoryDatasetOptions extends LabelOptions {
  /** What is not pixels yet is decoded when it is first asked for, and must stay as it is until then. */
  readonly images: readonly ImageSource[]
  /** Names for reports; default each file's own, or `image 0`, `image 1`... */
  readonly files?: readonly string[]
  /** Bytes of images decoded here to keep, default 256 MB. */
  readonly cacheBytes?: number
}

/** A dataset over images in memory; works in a browser too. */
export function memoryDataset(options: MemoryDatasetOptions): Dataset {
  const { images, files, cacheBytes } = options
  const file = (i: number) => files?.[i] ?? nameOf(images[i]!, i)
  const whole = { ...labelled(options, images.length), file }
  if (images.every(isImage)) {
    const image = async (i: number) => images[i]!
    return { ...whole, image, stored: { source: (i) => images[i]!, room: () => 0, keep: () => {} } }
  }
  // Canvases and frames stay on the thread they are from.
  return { ...whole, image: keeping(images, (i) => decodeSource(images[i]!, file(i)), cacheBytes).image }
}

/** Part of a dataset, in the order of `indices`; shares the cache of the whole. */
export function subset(dataset: Dataset, indices: readonly number[]): Dataset {
  const { stored } = dataset
  const digests = stored?.digests
  return {
    labelSpace: dataset.labelSpace,
    classes: dataset.classes,
    length: indices.length,
    labels: (i) => dataset.labels(indices[i]!),
    file: (i) => dataset.file(indices[i]!),
    image: (i) => dataset.image(indices[i]!),
    ...(stored && {
      stored: {
        source: (i) => stored.source(indices[i]!),
        room: () => stored.room(),
        keep: (i, found) => stored.keep(indices[i]!, found),
        ...(digests && {
          digests: { get: (i) => digests.get(indices[i]!), set: (i, digest) => digests.set(indices[i]!, digest) },
        }),
      },
    }),
  }
}

/** Several datasets of the same classes as one, one after the other; each keeps its own cache. */
export function joined(parts: readonly Dataset[]): Dataset {
  const starts = parts.map((_, n) => parts.slice(0, n).reduce((sum, { length }) => sum + length, 0))
  const length = parts.reduce((sum, part) => sum + part.length, 0)
  /** The part that holds an index, and the index there. */
  const at = <T>(i: number, use: (part: Dataset, index: number) => T): T => {
    const n = starts.findLastIndex((start) => start <= i)
    return use(parts[n]!, i - starts[n]!)
  }
  return {
    labelSpace: parts[0]!.labelSpace,
    classes: parts[0]!.classes,
    length,
    labels: (i) => at(i, (part, j) => part.labels(j)),
    file: (i) => at(i, (part, j) => part.file(j)),
    image: (i) => at(i, (part, j) => part.image(j)),
    ...(parts.every(({ stored }) => stored) && {
      stored: {
        source: (i) => at(i, ({ stored }, j) => stored!.source(j)),
        room: () => Math.min(...parts.map(({ stored }) => stored!.room())),
        keep: (i, found) => at(i, ({ stored }, j) => stored!.keep(j, found)),
        ...(parts.every(({ stored }) => stored!.digests) && {
          digests: {
            get: (i) => at(i, ({ stored }, j) => stored!.digests!.get(j)),
            set: (i, digest) => at(i, ({ stored }, j) => stored!.digests!.set(j, digest)),
          },
        }),
      },
    }),
  }
}

/** Whether an image is decoded already. */
export function isImage(source: ImageSource): source is RgbImage {
  return typeof source === 'object' && source !== null && 'data' in source && source.data instanceof Uint8Array
}

/** The labels of so many images, checked. */
function labelled(
  options: LabelOptions,
  length: number,
): Pick<Dataset, 'labelSpace' | 'classes' | 'length' | 'labels'> {
  const { labels: given, classes, labelSpace = multiclassLabels(classes) } = options
  if (given.length !== length)
    throw new InputError(`dataset: ${length} images need as many labels, got ${given.length}`)
  const labels = Array.from(given, (label, i) => {
    const all = typeof label === 'number' ? { present: [label] } : 'present' in label ? label : { present: label }
    for (const place of [...all.present, ...(all.unknown ?? [])]) {
      if (Number.isInteger(place) && place >= 0 && place < classes.length) continue
      throw new InputError(`dataset: a label must be 0 to ${classes.length - 1}, got ${place} at ${i}`)
    }
    return withParents(labelSpace, all)
  })
  return { labelSpace, classes, length, labels: (i) => labels[i]! }
}
