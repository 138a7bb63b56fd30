// Image folders: class/*.jpg, or train|val|test/class/*.jpg. Finds files and splits them; nothing is decoded here.
import { platform } from '#platform'
import { InputError } from '../platform/errors.ts'
import type { Files } from '../platform/platform.ts'
import { Rng } from '../tensor/philox.ts'
import { type Dataset, fileDataset, joined, subset } from './dataset.ts'

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
  /** Files and folders that were passed over: hidden, of another kind, or class folders without images. */
  readonly ignored: number
}

const IMAGE = /\.(jpe?g|png|webp)$/i
/** Whether a file is taken for an image, by its name. */
export const isImageName = (name: string): boolean => IMAGE.test(name)

const VAL_NAMES = ['val', 'valid', 'validation']
const SPLIT_STREAM = 0x59117

interface Found {
  readonly classes: string[]
  readonly files: string[][]
  readonly ignored: number
}

function localFiles(dir: string): Files {
  if (platform.files) return platform.files
  throw new InputError(`${dir}: folders cannot be read in a browser; use memoryDataset`)
}

async function requireFolder(files: Files, dir: string): Promise<void> {
  const kind = await files.kind(dir)
  if (kind !== 'folder') throw new InputError(`${dir}: must be a folder of images, got ${kind ?? 'nothing there'}`)
}

const isHidden = (name: string): boolean => name.startsWith('.')
const folderName = (name: string): string => name.slice(0, -1)

/** The class folders of `dir` that hold images, and those images, all sorted by name. */
async function findClasses(files: Files, dir: string): Promise<Found> {
  await requireFolder(files, dir)
  const classes: string[] = []
  const found: string[][] = []
  let ignored = 0
  for (const entry of await files.list(dir)) {
    if (isHidden(entry) || !entry.endsWith('/')) {
      ignored++
      continue
    }
    const folder = files.join(dir, folderName(entry))
    const names = await files.list(folder)
    const images = names.filter((name) => !isHidden(name) && isImageName(name))
    ignored += names.length - images.length
    if (images.length === 0) ignored++
    else {
      classes.push(folderName(entry))
      found.push(images.map((name) => files.join(folder, name)))
    }
  }
  return { classes, files: found, ignored }
}

function toDataset(found: Found, classes: readonly string[], cacheBytes: number | undefined): Dataset {
  const labels = found.files.flatMap((list, i) => list.map(() => classes.indexOf(found.classes[i]!)))
  return fileDataset({
    files: found.files.flat(),
    labels,
    classes,
    ...(cacheBytes === undefined ? {} : { cacheBytes }),
  })
}

function checkSubset(found: Found, classes: readonly string[], dir: string): void {
  const unknown = found.classes.filter((name) => !classes.includes(name))
  if (unknown.length > 0) {
    throw new InputError(
      `${dir}: its classes must be among those trained on, got also ${unknown.slice(0, 5).join(', ')}`,
    )
  }
  if (found.classes.length === 0) throw new InputError(`${dir}: has no class folders with jpg, png or webp images`)
}

function checkTrain(found: Found, dir: string): void {
  const layout = 'expected CLASS/*.jpg or train/CLASS/*.jpg (jpg, jpeg, png or webp)'
  if (found.classes.length === 0) throw new InputError(`${dir}: has no images in class folders, ${layout}`)
  if (found.classes.length === 1) {
    throw new InputError(`${dir}: needs at least two classes, got only "${found.classes[0]}", ${layout}`)
  }
}

/** The subfolder of `dir` with one of these names, in their order and any case, if it holds folders itself. */
async function splitFolder(files: Files, dir: string, names: readonly string[]): Promise<string | undefined> {
  const entries = (await files.list(dir)).filter((entry) => entry.endsWith('/')).map(folderName)
  for (const name of names) {
    const entry = entries.find((candidate) => candidate.toLowerCase() === name)
    if (entry === undefined) continue
    const folder = files.join(dir, entry)
    // A class may be called "train" too; then there are images in it, and no folders.
    if ((await files.list(folder)).some((inner) => inner.endsWith('/') && !isHidden(inner))) return folder
  }
  return undefined
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
  const trainDir = await splitFolder(files, dir, ['train'])
  const found = await findClasses(files, trainDir ?? dir)
  checkTrain(found, trainDir ?? dir)
  const { classes } = found
  let { ignored } = found

  const other = async (folder: string | undefined): Promise<Dataset | undefined> => {
    if (folder === undefined) return undefined
    const part = await findClasses(files, folder)
    checkSubset(part, classes, folder)
    ignored += part.ignored
    return toDataset(part, classes, cacheBytes)
  }
  const all = toDataset(found, classes, cacheBytes)
  const val = await other(options.val ?? (trainDir && (await splitFolder(files, dir, VAL_NAMES))))
  const test = await other(trainDir && (await splitFolder(files, dir, ['test'])))
  const rest = { classes, test, ignored }
  if (val) return { ...rest, train: all, val, valSource: 'folder' }
  if (valFraction === 0) return { ...rest, train: all, val: undefined, valSource: 'none' }
  const labels = Array.from({ length: all.length }, (_, i) => all.label(i))
  const split = stratifiedSplit(labels, valFraction, seed)
  if (split.val.length === 0) {
    throw new InputError(`${dir}: no class has two images, so none can be set aside to validate on; give a val folder`)
  }
  return { ...rest, train: subset(all, split.train), val: subset(all, split.val), valSource: 'split' }
}

/**
 * Opens a folder to test a trained model on: its test folder, else its validation folder, else the class folders in it; with
 * `all` everything that it holds, also what is there to train on. `classes` are the model's own; throws an InputError on any other.
 */
export async function openTestFolder(
  dir: string,
  options: { readonly classes: readonly string[]; readonly cacheBytes?: number; readonly all?: boolean },
): Promise<Dataset> {
  const files = localFiles(dir)
  await requireFolder(files, dir)
  const split = await splitFolder(files, dir, ['train'])
  const test = split && (await splitFolder(files, dir, ['test']))
  const val = split && (await splitFolder(files, dir, VAL_NAMES))
  if (split && !test && !val && !options.all) {
    throw new InputError(
      `${dir}: has a train folder but no test or val folder to test on; test it with all, or another`,
    )
  }
  const folders = options.all ? [split ?? dir, val, test] : [test ?? val ?? dir]
  const parts: Dataset[] = []
  for (const folder of folders) {
    if (folder === undefined) continue
    const found = await findClasses(files, folder)
    checkSubset(found, options.classes, folder)
    parts.push(toDataset(found, options.classes, options.cacheBytes))
  }
  return parts.length === 1 ? parts[0]! : joined(parts)
}
