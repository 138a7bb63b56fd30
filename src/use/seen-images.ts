// What a run has seen of the images that it is to be tested on: which it was trained on, and which chose its best epoch.
import { type Dataset, joined } from '../data/dataset.ts'
import { findDigests, listedNames, type RunImage, readImageList, sizesOf } from './image-list.ts'

/** Where test images come from: a data set, the folder that its files lie in, and whether that is the run's own `val`. */
export interface TestImages {
  readonly dataset: Dataset
  readonly root: string
  readonly val?: boolean
}

/** A run's view of a data set. */
export interface SeenImages {
  /** By index: the part of the run that the image is in, undefined where it is in none. In both, it was trained on. */
  readonly part: readonly (RunImage['part'] | undefined)[]
  /** What each image is called in the run's list, or would be. */
  readonly names: readonly string[]
  /** Whether every image that the run set aside is here under its name: its own data, or a copy of it. */
  readonly whole: boolean
}

/**
 * Compares data sets with the list that the run in a folder keeps: by content, and where the run ended before an image was
 * read, by name and size. Only files of a size that is in the list are read. Undefined where the folder keeps no list.
 * Yields how many are read, now and then.
 */
export async function* seenImages(
  folder: string,
  given: readonly TestImages[],
): AsyncGenerator<{ done: number; total: number }, SeenImages | undefined> {
  const list = await readImageList(folder)
  if (!list) return undefined
  const dataset = joined(given.map((images) => images.dataset))
  const sizes = await sizesOf(dataset)
  const known = new Set(list.images.map(({ size }) => size))
  yield* findDigests(
    dataset,
    sizes.flatMap((size, i) => (known.has(size) ? [i] : [])),
  )
  const names = given.flatMap(({ dataset, root, val }) => listedNames(dataset, root, val ? 'val:' : ''))
  const digests = names.map((_, i) => dataset.stored?.digests?.get(i))
  const byContent = new Map<string, RunImage['part']>()
  const byName = new Map<string, RunImage>()
  for (const image of list.images) {
    byName.set(image.file, image)
    if (image.digest !== undefined && byContent.get(image.digest) !== 'train') byContent.set(image.digest, image.part)
  }
  const same = names.map((name, i) => {
    const image = byName.get(name)
    if (!image || image.size !== sizes[i]) return undefined
    const differ = image.digest !== undefined && digests[i] !== undefined && image.digest !== digests[i]
    return differ ? undefined : image
  })
  const part = digests.map((digest, i) => byContent.get(digest ?? '') ?? same[i]?.part)
  const here = new Set(same)
  const held = list.images.filter((image) => image.part === 'val')
  return { part, names, whole: held.length > 0 && held.every((image) => here.has(image)) }
}

/** What a test is of. */
export interface Tested {
  /** Indices of the images to test. */
  readonly indices: readonly number[]
  /** `held-out`: those that were trained on are left out. */
  readonly part: 'held-out' | 'all'
  /** Names of the tested images that were trained on. */
  readonly trainedOn: readonly string[]
  /** Tested images that chose the best epoch. */
  readonly validatedOn: number
  /** Images that are left out, since they were trained on. */
  readonly leftOut: number
}

/** Of a run's own data (`own`, or a copy of it) what was not trained on, where there is such; with `all`, everything. */
export function testedOf({ part, names, whole }: SeenImages, { all, own }: { all: boolean; own: boolean }): Tested {
  const every = part.map((_, i) => i)
  const held = every.filter((i) => part[i] !== 'train')
  const heldOut = !all && (own || whole) && held.length > 0 && held.length < every.length
  const indices = heldOut ? held : every
  return {
    indices,
    part: heldOut ? 'held-out' : 'all',
    trainedOn: indices.filter((i) => part[i] === 'train').map((i) => names[i]!),
    validatedOn: indices.filter((i) => part[i] === 'val').length,
    leftOut: every.length - indices.length,
  }
}
