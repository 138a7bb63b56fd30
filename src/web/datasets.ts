// Sets of images that a session keeps, as the library's own readers open them: folders of classes; folders in folders, which
// are a tree (animal/dog); or images with a list of labels (label-list.ts). Here: describing, listing, alone and removing.
// Images come in by images.ts.
import { isImageName } from '../data/candidates.ts'
import { type Labelling, taskOfLabelling } from '../labels/labelling.ts'
import type { TaskName } from '../labels/labels.ts'
import { sameText } from '../labels/same-text.ts'
import { inTurn } from '../platform/browser-locks.ts'
import { InputError } from '../platform/errors.ts'
import type { Files } from '../platform/platform.ts'
import {
  checkLabel,
  checkLabels,
  type ImageLabelNames,
  type LabelList,
  readLabelList,
  writeLabelList,
} from './label-list.ts'
import { checkName, foldersIn, places } from './store.ts'
import type { StoredDataset, StoredImage } from './types.ts'

/** A set as it lies there. */
interface OpenedSet {
  readonly folder: string
  readonly labelling: Labelling
  /** Where images have labels by a list. */
  readonly list: LabelList | undefined
  /** Else the folders, from the top down, and the names of the images in each. */
  readonly classes: readonly { readonly path: string; readonly names: readonly string[] }[]
}

/** Where a set lies. */
export const folderOf = (files: Files, name: string): string => files.join(places.images, checkName('dataset', name))

/** The folders of a class, each a name that may be one; throws an InputError on any other. */
export function classPath(label: unknown): string[] {
  const parts = typeof label === 'string' ? label.split('/') : [label]
  return parts.map((part) => checkName('class', part))
}

/** Every folder below one, before those in it. */
async function classesIn(files: Files, folder: string, above: readonly string[] = []): Promise<OpenedSet['classes']> {
  const found: { path: string; names: string[] }[] = []
  for (const name of await foldersIn(files, folder)) {
    const [inside, path] = [files.join(folder, name), [...above, name]]
    found.push({ path: path.join('/'), names: (await files.list(inside)).filter(isImageName) })
    found.push(...((await classesIn(files, inside, path)) as typeof found))
  }
  return found
}

async function openSet(files: Files, name: string): Promise<OpenedSet> {
  const folder = folderOf(files, name)
  const list = (await files.kind(folder)) === undefined ? undefined : await readLabelList(files, folder)
  if (list) return { folder, labelling: 'labels', list, classes: [] }
  const classes = await classesIn(files, folder)
  return { folder, labelling: classes.some(({ path }) => path.includes('/')) ? 'tree' : 'classes', list, classes }
}

/** How the images of a set are labelled; undefined where there are none yet. */
export async function labellingOf(files: Files, name: string): Promise<Labelling | undefined> {
  const { labelling, list, classes } = await openSet(files, name)
  return list || classes.length > 0 ? labelling : undefined
}

/** Who looks at a set or changes it does so alone: a file that is being replaced cannot be read. */
export const alone = <T>(dataset: string, body: () => Promise<T>): Promise<T> =>
  inTurn(`${places.images}/${dataset}`, body)

/** What a run learns of a set. */
export const taskOfSet = async (files: Files, name: string): Promise<TaskName> =>
  taskOfLabelling[(await alone(name, () => openSet(files, name))).labelling]

/** Images of a set, each with its labels; of a class in a tree its path stands for all that it is a kind of. */
function imagesOf({ list, classes }: OpenedSet): StoredImage[] {
  if (list) return [...list].map(([image, labels]) => ({ image, ...labels }))
  return classes.flatMap(({ path, names }) => names.map((name) => ({ image: `${path}/${name}`, labels: [path] })))
}

const isBelow = (path: string, above: string): boolean => path === above || path.startsWith(`${above}/`)

function countsOf({ list, classes }: OpenedSet): { name: string; images: number }[] {
  if (!list) {
    return classes.map(({ path }) => {
      const own = classes.filter((one) => isBelow(one.path, path))
      return { name: path, images: own.reduce((sum, { names }) => sum + names.length, 0) }
    })
  }
  const counts = new Map<string, number>()
  for (const { labels, unknown = [] } of list.values()) {
    for (const label of labels) counts.set(label, (counts.get(label) ?? 0) + 1)
    for (const label of unknown) counts.set(label, counts.get(label) ?? 0)
  }
  return [...counts].map(([name, images]) => ({ name, images })).sort((a, b) => (a.name < b.name ? -1 : 1))
}

/** What a set holds. */
export const describeDataset = (files: Files, name: string): Promise<StoredDataset> =>
  alone(name, async () => {
    const set = await openSet(files, name)
    const images = imagesOf(set)
    const sizes = await Promise.all(images.map(({ image }) => files.size(files.join(set.folder, ...image.split('/')))))
    return {
      name,
      labelling: set.labelling,
      task: taskOfLabelling[set.labelling],
      classes: countsOf(set),
      images: images.length,
      bytes: sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0),
    }
  })

export async function listDatasets(files: Files): Promise<StoredDataset[]> {
  return Promise.all((await foldersIn(files, places.images)).map((name) => describeDataset(files, name)))
}

/** Every image of a set, with its labels. */
export const listImages = async (files: Files, dataset: string): Promise<StoredImage[]> =>
  imagesOf(await alone(dataset, () => openSet(files, dataset)))

/** Images as they are kept. Throws an InputError on one that is not there. */
export async function readImages(
  files: Files,
  { dataset, images }: { dataset: string; images: readonly string[] },
): Promise<File[]> {
  const folder = folderOf(files, dataset)
  const read = async (image: string) => {
    const parts = image.split('/')
    if (parts.some((part) => /^\.*$/.test(part))) throw noImage(dataset, image)
    const path = files.join(folder, ...parts)
    if ((await files.kind(path)) !== 'file') throw noImage(dataset, image)
    return new File([(await files.read(path)) as Uint8Array<ArrayBuffer>], parts.at(-1)!)
  }
  return Promise.all(images.map(read))
}

const noImage = (dataset: string, image: string) => new InputError(`image: ${dataset} has none called ${image}`)

/** The first images of a class, in a tree also those below it, or of those with a label. */
export async function readClass(
  files: Files,
  { dataset, class: label, count }: { dataset: string; class: string; count: number },
): Promise<File[]> {
  const set = await alone(dataset, () => openSet(files, dataset))
  const has = ({ labels }: StoredImage) => labels.some((own) => (set.list ? own === label : isBelow(own, label)))
  const images = imagesOf(set).filter(has).slice(0, count)
  return readImages(files, { dataset, images: images.map(({ image }) => image) })
}

/** The folder of a class, made where it is not there: one text is one class, however its accents are stored. */
export async function classFolder(files: Files, dataset: string, label: string): Promise<string> {
  let folder = folderOf(files, dataset)
  for (const part of classPath(label)) {
    const same = (await foldersIn(files, folder)).find((name) => sameText(name) === sameText(part))
    folder = files.join(folder, same ?? part)
  }
  await files.makeFolder(folder)
  return folder
}

/** Removes folders that hold nothing any more, the set's own last. */
async function prune(files: Files, folder: string): Promise<boolean> {
  for (const name of await foldersIn(files, folder)) await prune(files, files.join(folder, name))
  const empty = (await files.list(folder)).length === 0
  if (empty) await files.remove(folder)
  return empty
}

/** Moves an image to another folder, under its own name or one that is free there; its place in the set. */
async function moveImage(files: Files, { folder }: OpenedSet, image: string, to: string): Promise<void> {
  const from = files.join(folder, ...image.split('/'))
  const taken = new Set((await files.list(to)).map((name) => name.toLowerCase()))
  const [, stem, ending] = /^(.*?)(\.\w+)$/.exec(image.split('/').at(-1)!)!
  let name = `${stem}${ending}`
  for (let n = 2; taken.has(name.toLowerCase()); n++) name = `${stem}-${n}${ending}`
  await files.writeAtomic(files.join(to, name), await files.read(from))
  await files.remove(from)
}

/**
 * Gives an image other labels. Where images lie in folders it moves to that of its one label, which may be a path. Throws an
 * InputError on several labels there, and on an image that is not there.
 */
export const setLabels = (
  files: Files,
  { dataset, image, labels, unknown }: { dataset: string; image: string } & ImageLabelNames,
): Promise<void> =>
  alone(dataset, async () => {
    const set = await openSet(files, dataset)
    const own = imagesOf(set).find((one) => one.image === image)
    if (!own) throw noImage(dataset, image)
    if (set.list) {
      set.list.set(image, checkLabels(labels, unknown))
      return writeLabelList(files, set.folder, set.list)
    }
    const [label] = labels
    if (label === undefined || labels.length > 1 || unknown?.length) {
      throw new InputError(`labels: an image of ${dataset} must have one class, got ${JSON.stringify(labels)}`)
    }
    if (label === own.labels[0]) return
    await moveImage(files, set, image, await classFolder(files, dataset, label))
    await prune(files, set.folder)
  })

/** Removes images. A set without any goes too. */
export const removeImages = (
  files: Files,
  { dataset, images }: { dataset: string; images: readonly string[] },
): Promise<void> =>
  alone(dataset, async () => {
    const set = await openSet(files, dataset)
    const known = new Set(imagesOf(set).map(({ image }) => image))
    for (const image of images) if (!known.has(image)) throw noImage(dataset, image)
    const { list, folder } = set
    if (list) {
      for (const image of images) list.delete(image)
      await writeLabelList(files, folder, list)
    }
    for (const image of images) await files.remove(files.join(folder, ...image.split('/')))
    if (list?.size === 0) await files.remove(folder)
    else if (!list) await prune(files, folder)
  })

/** Removes a class with its images and all that is below it; of images with several labels only the label. A set without images goes too. */
export const removeClass = (
  files: Files,
  { dataset, class: label }: { dataset: string; class: string },
): Promise<void> =>
  alone(dataset, async () => {
    const { list, folder } = await openSet(files, dataset)
    if (list) {
      const without = (names: readonly string[]) => names.filter((name) => name !== label)
      for (const [image, { labels, unknown = [] }] of list)
        list.set(image, checkLabels(without(labels), without(unknown)))
      return writeLabelList(files, folder, list)
    }
    await files.remove(files.join(folder, ...classPath(label)))
    await prune(files, folder)
  })

/**
 * Gives a class another name, and with it another place in a tree: `renameClass(set, 'dog', 'animal/dog')`. What is below it
 * comes along; where there is such a class already the two become one. Throws an InputError where a class would lie below itself.
 */
export const renameClass = (
  files: Files,
  { dataset, class: label, to }: { dataset: string; class: string; to: string },
): Promise<void> =>
  alone(dataset, async () => {
    const set = await openSet(files, dataset)
    const { list, folder, classes } = set
    if (list) {
      const other = checkLabel(to)
      const renamed = (names: readonly string[]) => names.map((name) => (name === label ? other : name))
      for (const [image, { labels, unknown = [] }] of list)
        list.set(image, checkLabels(renamed(labels), renamed(unknown)))
      return writeLabelList(files, folder, list)
    }
    if (!classes.some(({ path }) => path === label)) throw new InputError(`class: ${dataset} has none called ${label}`)
    if (to === label) return
    if (isBelow(to, label)) throw new InputError(`class: ${label} must not lie below itself, got ${to}`)
    for (const { path, names } of classes.filter(({ path }) => isBelow(path, label))) {
      const target = await classFolder(files, dataset, `${to}${path.slice(label.length)}`)
      for (const name of names) await moveImage(files, set, `${path}/${name}`, target)
    }
    await prune(files, folder)
  })
