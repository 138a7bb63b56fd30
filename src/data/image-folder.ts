// Image folders: class/*.jpg, or train|val|test/class/*.jpg. Finds files and splits them; nothing is decoded here.
import { platform } from '#platform'
import { InputError } from '../platform/errors.ts'
import { listed } from '../platform/listed.ts'
import type { Files } from '../platform/platform.ts'
import { Rng } from '../tensor/philox.ts'
import { type ClassFolders, findClasses, sameText } from './class-folders.ts'
import { type Dataset, fileDataset, joined, subset } from './dataset.ts'
import { collector, type PassedOver, passedOverText } from './passed-over.ts'
import { checkStrange, findSplits, onlySplit } from './split-folders.ts'
import type { WalkOptions } from './walk.ts'

/** How a folder is opened. */
export interface ImageFolderOptions {
  /** A folder of class folders to validate on, instead of the one inside or a split. */
  readonly val?: string | undefined
  /** Governs the split; default 0. */
  readonly seed?: number
  /** Part of each class set aside where there is no validation folder, default 0.2; 0 for none. */
  readonly valFraction?: number
  /** Bytes of decoded images each dataset keeps, default 256 MB. */
  readonly cacheBytes?: number
}

/** What a folder holds. */
export interface ImageFolder {
  /** Class names, sorted by code unit. */
  readonly classes: readonly string[]
  readonly train: Dataset
  readonly val: Dataset | undefined
  readonly test: Dataset | undefined
  /** Where `val` comes from. */
  readonly valSource: 'folder' | 'split' | 'none'
  /** Files and folders that were passed over, by kind and name: hidden, of another kind, links that leave the folder. */
  readonly ignored: readonly PassedOver[]
  /** What was taken for a split, what is not read beside it, and names that were joined. */
  readonly notes: readonly string[]
}

const SPLIT_STREAM = 0x59117

function localFiles(dir: string): Files {
  if (platform.files) return platform.files
  throw new InputError(`${dir}: folders cannot be read in a browser; use memoryDataset`)
}

async function requireFolder(files: Files, dir: string): Promise<void> {
  const kind = await files.kind(dir)
  if (kind !== 'folder') throw new InputError(`${dir}: must be a folder of images, got ${kind ?? 'nothing there'}`)
}

const layout = 'expected CLASS/*.jpg or train/CLASS/*.jpg (JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF)'

function toDataset(found: ClassFolders, classes: readonly string[], cacheBytes: number | undefined): Dataset {
  const index = new Map(classes.map((name, i) => [sameText(name), i]))
  const labels = found.files.flatMap((list, i) => list.map(() => index.get(sameText(found.classes[i]!))!))
  return fileDataset({
    files: found.files.flat(),
    labels,
    classes,
    ...(cacheBytes === undefined ? {} : { cacheBytes }),
  })
}

/** Throws an InputError on classes of a part that are not trained on; says which are only stored in other bytes. */
function checkSubset(found: ClassFolders, classes: readonly string[], dir: string, { over }: WalkOptions): string[] {
  const known = new Set(classes.map(sameText))
  const unknown = found.classes.filter((name) => !known.has(sameText(name)))
  if (unknown.length > 0) {
    const twin = classes.find((name) => unknown.some((other) => other.toLowerCase() === name.toLowerCase()))
    const hint = twin === undefined ? '' : `; "${twin}" has other upper and lower case`
    throw new InputError(`${dir}: its classes must be among those trained on, got also ${listed(unknown)}${hint}`)
  }
  if (found.classes.length === 0) {
    throw new InputError(`${dir}: has no class folders with images${alsoThere(over.list())}`)
  }
  const other = found.classes.filter((name) => !classes.includes(name))
  return other.length > 0 ? [`${dir}: ${listed(other)} is spelled in other bytes than the class of the same name`] : []
}

const alsoThere = ([first]: readonly PassedOver[]): string => (first ? `; ${passedOverText(first)}` : '')

function checkTrain(found: ClassFolders, dir: string, { over }: WalkOptions): void {
  if (found.classes.length === 0) {
    throw new InputError(`${dir}: has no images in class folders, ${layout}${alsoThere(over.list())}`)
  }
  if (found.classes.length === 1) {
    throw new InputError(
      `${dir}: needs at least two classes, got only "${found.classes[0]}", ${layout}${alsoThere(over.list())}`,
    )
  }
}

/** Indices for training and validation: a part of every class with two images or more, at least one and never all. */
export function stratifiedSplit(
  labels: ArrayLike<number>,
  fraction: number,
  seed: number,
): { train: number[]; val: number[] } {
  const byClass = new Map<number, number[]>()
  for (let i = 0; i < labels.length; i++) {
    const list = byClass.get(labels[i]!)
    if (list) list.push(i)
    else byClass.set(labels[i]!, [i])
  }
  const val = new Set<number>()
  for (const [label, list] of byClass) {
    const count = list.length < 2 ? 0 : Math.min(list.length - 1, Math.max(1, Math.round(list.length * fraction)))
    // A stream of its own for each class, so that one more image here does not change the split there.
    const shuffled = new Rng(seed, SPLIT_STREAM + label).shuffle([...list])
    for (const i of shuffled.slice(0, count)) val.add(i)
  }
  const all = Array.from({ length: labels.length }, (_, i) => i)
  return { train: all.filter((i) => !val.has(i)), val: all.filter((i) => val.has(i)) }
}

/**
 * Opens a folder of images to train on. Throws an InputError when there is no folder, no images, only one class, or a
 * validation or test class that is not trained on.
 */
export async function openImageFolder(dir: string, options: ImageFolderOptions = {}): Promise<ImageFolder> {
  const files = localFiles(dir)
  const { seed = 0, valFraction = 0.2, cacheBytes } = options
  if (!(valFraction >= 0 && valFraction < 1)) {
    throw new InputError(`validation part: must be from 0 to below 1, got ${valFraction}`)
  }
  await requireFolder(files, dir)
  const over = collector()
  const whole = { within: await files.realPath(dir), over }
  const splits = await findSplits(files, dir, whole)
  const trainName = onlySplit(dir, 'train', splits)
  checkStrange(dir, splits)
  const at = (name: string) => ({ folder: files.join(dir, name), options: { ...whole, prefix: `${name}/` } })
  const top = trainName === undefined ? { folder: dir, options: whole } : at(trainName)
  const found = await findClasses(files, top.folder, top.options)
  checkTrain(found, top.folder, whole)
  const { classes } = found
  const notes = [...splits.notes, ...found.notes]

  const other = async (part: ReturnType<typeof at> | undefined): Promise<Dataset | undefined> => {
    if (part === undefined) return undefined
    await requireFolder(files, part.folder)
    const found = await findClasses(files, part.folder, part.options)
    notes.push(...found.notes, ...checkSubset(found, classes, part.folder, part.options))
    return toDataset(found, classes, cacheBytes)
  }
  const split = (name: 'val' | 'test') => {
    const folder = trainName === undefined ? undefined : onlySplit(dir, name, splits)
    return folder === undefined ? undefined : at(folder)
  }
  const all = toDataset(found, classes, cacheBytes)
  const given = options.val
  if (given !== undefined) await requireFolder(files, given)
  if (given !== undefined && trainName !== undefined && splits.val.length > 0) {
    notes.push(`${listed(splits.val)} in the data is not read, since another folder is given to validate on`)
  }
  const val = await other(
    given === undefined
      ? split('val')
      : { folder: given, options: { within: await files.realPath(given), over, prefix: `${given}/` } },
  )
  const test = await other(split('test'))
  const rest = { classes, test, ignored: over.list(), notes }
  if (val) return { ...rest, train: all, val, valSource: 'folder' }
  if (valFraction === 0) return { ...rest, train: all, val: undefined, valSource: 'none' }
  const labels = Array.from({ length: all.length }, (_, i) => all.labels(i).present[0]!)
  const halves = stratifiedSplit(labels, valFraction, seed)
  if (halves.val.length === 0) {
    throw new InputError(`${dir}: no class has two images, so none can be set aside to validate on; give a val folder`)
  }
  return { ...rest, train: subset(all, halves.train), val: subset(all, halves.val), valSource: 'split' }
}

/** How a folder to test on is opened. */
export interface TestFolderOptions {
  /** The model's own. */
  readonly classes: readonly string[]
  readonly cacheBytes?: number
  /** Everything that the folder holds. */
  readonly all?: boolean
  /** Told what was taken for a split, what is not read and what was passed over, in sentences. */
  readonly onNote?: (note: string) => void
}

/**
 * Opens a folder to test a trained model on: its test folder, else its validation folder, else the class folders in it; with
 * `all` everything that it holds, also what is there to train on. Throws an InputError on any class that is not the model's.
 */
export async function openTestFolder(dir: string, options: TestFolderOptions): Promise<Dataset> {
  const files = localFiles(dir)
  await requireFolder(files, dir)
  const { classes, cacheBytes, onNote, all = false } = options
  const over = collector()
  const within = await files.realPath(dir)
  const splits = await findSplits(files, dir, { within, over })
  const [train, val, test] = (['train', 'val', 'test'] as const).map((split) => onlySplit(dir, split, splits))
  let parts = all ? [train, val, test].filter((part) => part !== undefined) : [test ?? val]
  if (train === undefined) {
    // Then they may be classes.
    const own = new Set(classes.map(sameText))
    if (parts.every((part) => part !== undefined && own.has(sameText(part)))) parts = [undefined]
  } else if (!all && parts[0] === undefined) {
    throw new InputError(
      `${dir}: has a train folder but no test or val folder to test on; test it with all, or another`,
    )
  }
  const notes: string[] = []
  const datasets: Dataset[] = []
  for (const part of parts) {
    const folder = part === undefined ? dir : files.join(dir, part)
    const inner = { within, over, prefix: part === undefined ? '' : `${part}/` }
    const found = await findClasses(files, folder, inner)
    if (part !== undefined) notes.push(`tests on ${part} in ${dir}`)
    notes.push(...checkSubset(found, classes, folder, inner), ...found.notes)
    datasets.push(toDataset(found, classes, cacheBytes))
  }
  for (const note of [...notes, ...over.list().map(passedOverText)]) onNote?.(note)
  return datasets.length === 1 ? datasets[0]! : joined(datasets)
}
