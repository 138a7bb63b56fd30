// The images of a run, kept in its folder as images.jsonl: which are trained on and which validated on, with their sizes
// and SHA-256. One line an image, in the order of the data sets. What compares two such lists is image-changes.ts.
import { type Dataset, digestFile, joined, subset } from '../data/dataset.ts'
import { eachOf } from '../data/each-of.ts'
import type { LabelledData } from '../data/open-data.ts'
import { isRecord, parseJson } from '../io/json.ts'
import { localFiles } from '../io/local-files.ts'
import { isOneOfAll } from '../labels/labels.ts'
import { InputError } from '../platform/errors.ts'
import type { Files } from '../platform/platform.ts'

/** One image of a run. */
export interface RunImage {
  readonly part: 'train' | 'val'
  readonly class: string
  /** Its path in the data folder; `val:` and its path in the validation folder, where one was given beside the data. */
  readonly file: string
  /** Bytes. */
  readonly size: number
  /** SHA-256 in hex; undefined where it was not read yet, or cannot be. */
  readonly digest: string | undefined
}

/** All images of a run, those to train on first. */
export interface ImageList {
  readonly validation: LabelledData['valSource']
  readonly images: readonly RunImage[]
}

/** The files of a run folder that hold the list, and that of the images without labels that it learns from too. */
export const imagesFile = 'images.jsonl'
export const unlabelledFile = 'unlabelled.jsonl'

const columns = ['part', 'class', 'file', 'size', 'sha256'] as const

/** A path below a folder, with '/' between its parts. */
function below(files: Files, folder: string, path: string): string {
  const root = files.join(folder, '_').slice(0, -1)
  const inside = path.startsWith(root) ? path.slice(root.length) : path
  return inside.replaceAll('\\', '/')
}

/** The two data sets as one, to train on first. */
export const wholeOf = ({ train, val }: Pick<LabelledData, 'train' | 'val'>): Dataset =>
  val ? joined([train, val]) : train

/** What the images of a data set are called in lists: by their paths below a folder. */
export function listedNames(dataset: Dataset, root: string, mark = ''): string[] {
  const files = localFiles(root)
  return Array.from({ length: dataset.length }, (_, i) => mark + below(files, root, dataset.file(i)))
}

/**
 * The labels of an image in one text: its class; or several with semicolons between, those that are unknown behind a question
 * mark, and a backslash before either in a name, so that other labels are another text.
 */
function labelsText(dataset: Dataset, i: number): string {
  const { labelSpace, classes } = dataset
  const { present, unknown = [] } = dataset.labels(i)
  if (isOneOfAll(labelSpace)) return classes[present[0]!]!
  const name = (label: number) => classes[label]!.replace(/[\\;?]/g, '\\$&')
  return [...present.map(name), ...unknown.map((label) => `?${name(label)}`)].join(';')
}

/** Bytes of each file of a data set. */
export function sizesOf(dataset: Dataset): Promise<number[]> {
  const files = Array.from({ length: dataset.length }, (_, i) => dataset.file(i))
  return eachOf(files, async (file) => (await localFiles('images').size(file)) ?? 0, 64)
}

/** What a list is made of. */
export type Listed = Pick<LabelledData, 'train' | 'val' | 'valSource' | 'root' | 'valRoot'>

/** The list of the images as they lie there, with whatever digests are known. */
export async function listImages(folder: Listed): Promise<ImageList> {
  const { root, valRoot } = folder
  const whole = wholeOf(folder)
  const { val } = folder
  const names = [
    ...listedNames(folder.train, root),
    ...(!val ? [] : valRoot === undefined ? listedNames(val, root) : listedNames(val, valRoot, 'val:')),
  ]
  const sizes = await sizesOf(whole)
  const images = names.map((file, i): RunImage => {
    const part = i < folder.train.length ? 'train' : 'val'
    return { part, class: labelsText(whole, i), file, size: sizes[i]!, digest: whole.stored?.digests?.get(i) }
  })
  return { validation: folder.valSource, images }
}

/** The folder with its images divided as a list of them says; `order` are their places in both data sets as one. */
export function divided(
  folder: LabelledData,
  { images, validation }: ImageList,
  order: readonly number[],
): LabelledData {
  const whole = wholeOf(folder)
  const isTrain = (i: number) => i < folder.train.length
  // As it was opened, it keeps a cache for each part.
  if (order.every((index, i) => index === i && isTrain(i) === (images[i]!.part === 'train'))) return folder
  const part = (name: RunImage['part']) =>
    subset(
      whole,
      order.filter((_, i) => images[i]!.part === name),
    )
  const val = part('val')
  return { ...folder, train: part('train'), val: val.length > 0 ? val : undefined, valSource: validation }
}

/**
 * Reads the files whose SHA-256 is not known yet, a few at a time, and keeps it in the data set. Yields how many are done,
 * now and then. What cannot be read stays unknown: training will say why.
 */
export async function* findDigests(
  dataset: Dataset,
  which: readonly number[] = Array.from({ length: dataset.length }, (_, i) => i),
): AsyncGenerator<{ done: number; total: number }, void> {
  const digests = dataset.stored?.digests
  const wanted = which.filter((i) => digests && digests.get(i) === undefined)
  let done = 0
  let ended = false
  let left = false
  const hash = async (i: number) => {
    if (left) return
    const digest = await digestFile(dataset.file(i))
    if (digest !== undefined) digests!.set(i, digest)
    done++
  }
  const all = eachOf(wanted, hash, 8).finally(() => {
    ended = true
  })
  try {
    while (!ended) {
      const pause = new Promise((resolve) => setTimeout(resolve, 250))
      await Promise.race([all, pause])
      if (!ended) yield { done, total: wanted.length }
    }
  } finally {
    // Whoever left before the end wants no more files read.
    left = true
  }
  await all
}

/** The list as text: a line that says what follows, then a line an image. */
function imageListText({ validation, images }: ImageList): string {
  const head = JSON.stringify({ format: 1, validation, columns })
  const lines = images.map(({ part, class: label, file, size, digest }) =>
    JSON.stringify([part, label, file, size, digest ?? null]),
  )
  return `${[head, ...lines].join('\n')}\n`
}

function parseLine(line: string, label: string): RunImage {
  const row = parseJson(line, label)
  const [part, name, file, size, digest] = Array.isArray(row) ? row : []
  const fine =
    (part === 'train' || part === 'val') &&
    typeof name === 'string' &&
    typeof file === 'string' &&
    typeof size === 'number' &&
    (digest === null || typeof digest === 'string')
  if (!fine)
    throw new InputError(`${label}: must be ${JSON.stringify(columns)} of one image; restore the file from a copy`)
  return { part, class: name, file, size, digest: digest ?? undefined }
}

/** The list that a run folder keeps; undefined where it keeps none. Throws an InputError on a file that is not whole. */
export async function readImageList(folder: string, name = imagesFile): Promise<ImageList | undefined> {
  const files = localFiles(folder)
  const path = files.join(folder, name)
  if ((await files.kind(path)) !== 'file') return undefined
  const [first = '', ...lines] = new TextDecoder().decode(await files.read(path)).split('\n')
  const head = parseJson(first, path)
  const { validation } = isRecord(head) ? head : {}
  if (validation !== 'folder' && validation !== 'split' && validation !== 'none') {
    throw new InputError(`${path}: must begin with a line that says what it lists; restore it from a copy`)
  }
  const images = lines.filter((line) => line !== '').map((line, i) => parseLine(line, `${path}, line ${i + 2}`))
  return { validation, images }
}

/** Keeps a run's list in its folder up to date: digests come in while the first epoch reads the images. */
export interface ListKeeper {
  /** The list as it is known now. */
  now(): ImageList
  /** Writes it, whole or not at all, where more is known than was written last. */
  save(): Promise<void>
}

/** Keeps the list of these images, which must be those of the folder in its order; without `out` nothing is written. */
export function keepList(list: ImageList, folder: Listed, out: string | undefined, name = imagesFile): ListKeeper {
  const whole = wholeOf(folder)
  let known = -1
  const now = (): ImageList => ({
    ...list,
    images: list.images.map((image, i) => ({ ...image, digest: whole.stored?.digests?.get(i) ?? image.digest })),
  })
  return {
    now,
    async save() {
      if (out === undefined) return
      const current = now()
      const digests = current.images.reduce((sum, { digest }) => sum + (digest === undefined ? 0 : 1), 0)
      if (digests === known) return
      const files = localFiles(out)
      await files.writeAtomic(files.join(out, name), imageListText(current))
      known = digests
    },
  }
}
