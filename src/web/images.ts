// Images on their way into a session: JPEG, PNG, WebP, GIF and BMP are kept as they came, all else as PNG, in the folder of
// their class or with a list of labels (datasets.ts).
import { isImageName } from '../data/candidates.ts'
import { BrokenImage, decodeSource, nameOf } from '../data/dataset.ts'
import type { Labelling } from '../labels/labelling.ts'
import { bitmapOf, encodePng, fetchImage, fileOfElement } from '../platform/browser-images.ts'
import { InputError } from '../platform/errors.ts'
import { checkPixels, withBytes } from '../platform/image-budget.ts'
import type { ImageFormat } from '../platform/image-formats.ts'
import { headerOf } from '../platform/image-header.ts'
import type { Files, ImageObject, ImageSource, RgbImage } from '../platform/platform.ts'
import { alone, classFolder, folderOf, labellingOf } from './datasets.ts'
import { checkLabels, type LabelList, readLabelList, writeLabelList } from './label-list.ts'

/** An image as it travels to the worker: addresses as text, image elements as their files, other elements and frames as bitmaps. */
export type SentImage = string | Blob | ImageBitmap | ImageData | RgbImage

export interface SentExample {
  readonly source: SentImage
  /** Its class, in a tree a path. */
  readonly class?: string | undefined
  /** Or its labels, of which there may be any number. */
  readonly labels?: readonly string[] | undefined
  readonly unknown?: readonly string[] | undefined
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

/** The images of a folder so far by their keys, and the next free number among them. */
async function imageFolder(files: Files, folder: string) {
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
type ImageFolder = Awaited<ReturnType<typeof imageFolder>>

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

/** Keeps one image under a name of its own, which is the answer; one that is there under its name already is not kept twice. */
async function keepImage(
  files: Files,
  { folder, names, free }: ImageFolder,
  given: string,
  { bytes, ending }: { bytes: Uint8Array; ending: string },
): Promise<string> {
  const plain = plainName(given) || free()
  for (let n = 1; ; n++) {
    const name = `${n === 1 ? plain : `${plain}-${shortHash(bytes)}${n === 2 ? '' : `-${n}`}`}.${ending}`
    const there = names.get(keyOf(name))
    if (there === undefined) {
      await files.writeAtomic(files.join(folder, name), bytes)
      names.set(keyOf(name), name)
      return name
    }
    if (await holds(files, files.join(folder, there), bytes)) return there
  }
}

/** Throws an InputError on an example that a set labelled this way cannot take. */
function checkExample({ class: label, labels, unknown }: SentExample, labelling: Labelling, dataset: string): void {
  const given = Number(label !== undefined) + Number(labels !== undefined)
  if (given !== 1) throw new InputError(`image: must have a class or labels, got ${given === 0 ? 'neither' : 'both'}`)
  if (labelling === 'labels') checkLabels(labels ?? [label!], unknown)
  if (labels === undefined && unknown !== undefined) throw new InputError('unknown: goes with labels, got a class')
  if (labels !== undefined && labelling !== 'labels') {
    throw new InputError(
      `labels: the images of ${dataset} have one class each, got ${JSON.stringify(labels)}; use another set`,
    )
  }
}

/** Adds what is said of an image to what is known of it, as further rows of a table do. */
function addLabels(list: LabelList, image: string, { class: label, labels, unknown = [] }: SentExample): void {
  const before = list.get(image) ?? { labels: [] }
  const now = labels ?? [label!]
  const left = [...(before.unknown ?? []), ...unknown]
  list.set(image, checkLabels([...before.labels, ...now], left))
}

/**
 * Keeps images. Different ones of the same place and name are all kept, told apart by what they hold; the same one of the
 * same name is kept once, with all labels that were said of it. Answers with what could not be decoded and was left out.
 */
export const addImages = (
  files: Files,
  { dataset, examples }: { dataset: string; examples: readonly SentExample[] },
): Promise<{ file: string; reason: string }[]> =>
  // Two at once would take the same name for free.
  alone(dataset, async () => {
    const some = examples.some(({ labels }) => labels !== undefined) ? 'labels' : 'classes'
    const labelling = (await labellingOf(files, dataset)) ?? some
    for (const example of examples) checkExample(example, labelling, dataset)
    const top = folderOf(files, dataset)
    const list: LabelList | undefined =
      labelling === 'labels' ? ((await readLabelList(files, top)) ?? new Map()) : undefined
    const folders = new Map<string, ImageFolder>()
    const broken: { file: string; reason: string }[] = []
    try {
      for (const example of examples) {
        const { source, name } = example
        const label = list ? '' : example.class!
        const to =
          folders.get(label) ?? (await imageFolder(files, list ? top : await classFolder(files, dataset, label)))
        folders.set(label, to)
        const given = name ?? (source instanceof File ? source.name : '')
        try {
          const image = await keepImage(files, to, given, await fileOf(source))
          if (list) addLabels(list, image, example)
        } catch (error) {
          if (!(error instanceof BrokenImage)) throw error
          broken.push({ file: given || error.file, reason: error.reason })
        }
      }
    } finally {
      if (list && list.size > 0) await writeLabelList(files, top, list)
    }
    return broken
  })
