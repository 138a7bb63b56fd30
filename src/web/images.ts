// Images that a session keeps, as files in class folders: JPEG, PNG and WebP as they came, all else as PNG.

import { isImageName } from '../data/candidates.ts'
import { BrokenImage, decodeSource, nameOf } from '../data/dataset.ts'
import { bitmapOf, encodePng, fetchImage, fileOfElement } from '../platform/browser-images.ts'
import { InputError } from '../platform/errors.ts'
import type { Files, ImageObject, ImageSource, RgbImage } from '../platform/platform.ts'
import { checkName, describeDataset, places } from './store.ts'
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

/** The ending of a file that Node reads too, by its first bytes. */
function endingOf(bytes: Uint8Array): 'jpg' | 'png' | 'webp' | undefined {
  const text = (from: number, to: number) => String.fromCharCode(...bytes.subarray(from, to))
  if (bytes[0] === 0xff && bytes[1] === 0xd8 && bytes[2] === 0xff) return 'jpg'
  if (bytes[0] === 0x89 && text(1, 4) === 'PNG') return 'png'
  return text(0, 4) === 'RIFF' && text(8, 12) === 'WEBP' ? 'webp' : undefined
}

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
    const bytes = new Uint8Array(await blob.arrayBuffer())
    const ending = endingOf(bytes)
    if (ending) return { bytes, ending }
  }
  try {
    return { bytes: await encodePng(await decodeSource(blob, name || nameOf(blob, 0))), ending: 'png' }
  } finally {
    if (blob instanceof ImageBitmap) blob.close()
  }
}

/** Names of the images of a class so far, and the next free number among them. */
async function classFolder(files: Files, dataset: string, label: string) {
  const folder = files.join(places.images, checkName('dataset', dataset), checkName('class', label))
  await files.makeFolder(folder)
  const taken = new Set((await files.list(folder)).filter(isImageName).map((name) => name.replace(/\.\w+$/, '')))
  let count = taken.size
  const free = (): string => {
    for (;;) {
      const name = `image-${String(++count).padStart(4, '0')}`
      if (!taken.has(name)) return name
    }
  }
  return { folder, free }
}

/** A file's name without folders, ending and what a file system may refuse; empty where nothing is left. */
const plainName = (name: string): string =>
  name
    .replace(/^.*[/\\]/, '')
    .replace(/\.\w{1,5}$/, '')
    .replace(/[:*?"<>|\p{Cc}]/gu, '_')
    .replace(/^[. ]+|[. ]+$/g, '')
    .slice(0, 100)

/** Keeps images; a file of the same class and name is replaced. Answers with what could not be decoded and was left out. */
export async function addImages(
  files: Files,
  { dataset, examples }: { dataset: string; examples: readonly SentExample[] },
): Promise<{ file: string; reason: string }[]> {
  const folders = new Map<string, Awaited<ReturnType<typeof classFolder>>>()
  const broken: { file: string; reason: string }[] = []
  for (const example of examples) {
    const { source, class: label } = example
    const to = folders.get(label) ?? (await classFolder(files, dataset, label))
    folders.set(label, to)
    const given = example.name ?? (source instanceof File ? source.name : '')
    try {
      const { bytes, ending } = await fileOf(source)
      await files.writeAtomic(files.join(to.folder, `${plainName(given) || to.free()}.${ending}`), bytes)
    } catch (error) {
      if (!(error instanceof BrokenImage)) throw error
      broken.push({ file: given || error.file, reason: error.reason })
    }
  }
  return broken
}

export const describeImages = (files: Files, dataset: string): Promise<StoredDataset> =>
  describeDataset(files, checkName('dataset', dataset))
