// Images that a session keeps, as files in class folders: JPEG, PNG, WebP, GIF and BMP as they came, all else as PNG.
import { isImageName } from '../data/candidates.ts'
import { sameText } from '../data/class-folders.ts'
import { BrokenImage, decodeSource, nameOf } from '../data/dataset.ts'
import { bitmapOf, encodePng, fetchImage, fileOfElement } from '../platform/browser-images.ts'
import { inTurn } from '../platform/browser-locks.ts'
import { InputError } from '../platform/errors.ts'
import { checkPixels, withBytes } from '../platform/image-budget.ts'
import type { ImageFormat } from '../platform/image-formats.ts'
import { headerOf } from '../platform/image-header.ts'
import type { Files, ImageObject, ImageSource, RgbImage } from '../platform/platform.ts'
import { checkName, describeDataset, foldersIn, places } from './store.ts'
import type { StoredDataset } from './types.ts'

/** An image as it travels to the worker: addresses as text, image elements as their files, other elements and frames as bitmaps. */
export type SentImage = string | Blob | ImageBitmap | ImageData | RgbImage

export interface SentExample {
  readonly source: SentImage
  readonly class: string
  readonly name: string | undefined
}

/** Makes of any image what a worker can take. Throws an InputError where an element or frame shows nothing. */
export async function toSent(source: ImageSource): Promise<SentImage> {
  if (typeof source === 'string') return new URL(source, globalThis.document?.baseURI).href
  if (source instanceof URL) return source.href
  if (source instanceof Blob || source instanceof ImageData || !isPicture(source)) return source
  const file = await fileOfElement(source)
  if (file) return file
  try {
    return await bitmapOf(source)
  } catch (error) {
    throw new InputError(
      `image: this ${source.constructor.name} shows nothing to read (${error instanceof Error ? error.message : error}); wait until it is loaded`,
    )
  }
}

function isPicture(source: ImageObject | RgbImage): source is Exclude<ImageObject, URL | Blob | ImageData> {
  return !('data' in source && source.data instanceof Uint8Array)
}

/** What an image that travels hands over rather than copies. */
export const transfersOf = (images: readonly SentImage[]): Transferable[] =>
  images.filter((image) => image instanceof ImageBitmap)

/** Formats whose files are kept as they came, by the ending that they get: every platform reads them. */
const kept: Partial<Record<ImageFormat, string>> = { JPEG: 'jpg', PNG: 'png', WebP: 'webp', GIF: 'gif', BMP: 'bmp' }

async function fetched(address: string): Promise<Blob> {
  try {
    return await fetchImage(new URL(address))
  } catch (error) {
    throw new BrokenImage(nameOf(address, 0), error instanceof Error ? error.message : String(error))
  }
}

/** The file to keep and its ending. Throws a BrokenImage for what is no image. */
async function fileOf(source: SentImage): Promise<{ bytes: Uint8Array; ending: string }> {
  const name = typeof source === 'string' ? nameOf(source, 0) : ''
  const blob = typeof source === 'string' ? await fetched(source) : source
  if (blob instanceof Blob) {
    try {
      const bytes = await withBytes(blob.size, async () => new Uint8Array(await blob.arrayBuffer()))
      const { format, width, height } = headerOf(bytes)
      checkPixels(width, height)
      const ending = kept[format]
      if (ending) return { bytes, ending }
    } catch (error) {
      throw new BrokenImage(name || nameOf(blob, 0), error instanceof Error ? error.message : String(error))
    }
  }
  try {
    return { bytes: await encodePng(await decodeSource(blob, name || nameOf(blob, 0))), ending: 'png' }
  } finally {
    if (blob instanceof ImageBitmap) blob.close()
  }
}

/** Names that some file systems take for one: those of other accents' bytes or other case. */
const keyOf = (name: string): string => name.normalize('NFC').toLowerCase()

/** The images of a class so far by their keys, and the next free number among them. */
async function classFolder(files: Files, dataset: string, label: string) {
  const above = files.join(places.images, checkName('dataset', dataset))
  // One text is one class, however its accents are stored.
  const same = (await foldersIn(files, above)).find((name) => sameText(name) === sameText(label))
  const folder = files.join(above, same ?? checkName('class', label))
  await files.makeFolder(folder)
  const names = new Map((await files.list(folder)).filter(isImageName).map((name) => [keyOf(name), name]))
  let count = names.size
  const free = (): string => {
    for (;;) {
      const name = `image-${String(++count).padStart(4, '0')}`
      if (![...Object.values(kept)].some((ending) => names.has(`${name}.${ending}`))) return name
    }
  }
  return { folder, names, free }
}

/** As many letters as a file system takes: 100, and 150 bytes. */
function shortened(name: string): string {
  const letters = [...name].slice(0, 100)
  while (new TextEncoder().encode(letters.join('')).length > 150) letters.pop()
  return letters.join('')
}

/** A file's name without folders, an image's ending and what a file system may refuse; empty where nothing is left. */
const plainName = (name: string): string =>
  shortened(
    name
      .replace(/^.*[/\\]/, '')
      .replace(/^(.*)\.\w+$/, (whole, stem) => (isImageName(whole) ? stem : whole))
      .replace(/[:*?"<>|\p{Cc}]/gu, '_')
      .replace(/^[. ]+|[. ]+$/g, ''),
  )

/** Eight digits that tell files of one name apart (FNV-1a). */
function shortHash(bytes: Uint8Array): string {
  let hash = 0x811c9dc5
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193)
  return (hash >>> 0).toString(16).padStart(8, '0')
}

async function holds(files: Files, path: string, bytes: Uint8Array): Promise<boolean> {
  if ((await files.size(path)) !== bytes.length) return false
  const there = await files.read(path)
  return there.every((byte, i) => byte === bytes[i])
}

/** Keeps one image under a name of its own; one that is there under its name already is not kept twice. */
async function keepImage(
  files: Files,
  { folder, names, free }: Awaited<ReturnType<typeof classFolder>>,
  given: string,
  { bytes, ending }: { bytes: Uint8Array; ending: string },
): Promise<void> {
  const plain = plainName(given) || free()
  for (let n = 1; ; n++) {
    const name = `${n === 1 ? plain : `${plain}-${shortHash(bytes)}${n === 2 ? '' : `-${n}`}`}.${ending}`
    const there = names.get(keyOf(name))
    if (there === undefined) {
      await files.writeAtomic(files.join(folder, name), bytes)
      names.set(keyOf(name), name)
      return
    }
    if (await holds(files, files.join(folder, there), bytes)) return
  }
}

/**
 * Keeps images. Different ones of the same class and name are all kept, told apart by what they hold; the same one of the
 * same name is kept once. Answers with what could not be decoded and was left out.
 */
export const addImages = (
  files: Files,
  { dataset, examples }: { dataset: string; examples: readonly SentExample[] },
): Promise<{ file: string; reason: string }[]> =>
  // Two at once would take the same name for free.
  inTurn(`${places.images}/${dataset}`, async () => {
    const folders = new Map<string, Awaited<ReturnType<typeof classFolder>>>()
    const broken: { file: string; reason: string }[] = []
    for (const { source, class: label, name } of examples) {
      const to = folders.get(label) ?? (await classFolder(files, dataset, label))
      folders.set(label, to)
      const given = name ?? (source instanceof File ? source.name : '')
      try {
        await keepImage(files, to, given, await fileOf(source))
      } catch (error) {
        if (!(error instanceof BrokenImage)) throw error
        broken.push({ file: given || error.file, reason: error.reason })
      }
    }
    return broken
  })

export const describeImages = (files: Files, dataset: string): Promise<StoredDataset> =>
  describeDataset(files, checkName('dataset', dataset))
