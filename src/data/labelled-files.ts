// Files that a page was given, with their labels, under the rules that folders have on a disk: the first-level folder is the class,
// what lies below belongs to it or is a kind of it, whole first-level names are splits, a table beside images has their labels,
// content decides what is an image.
import type { Labelling } from '../labels/labelling.ts'
import { sameText } from '../labels/same-text.ts'
import { InputError } from '../platform/errors.ts'
import { SNIFFED } from '../platform/image-formats.ts'
import { listed } from '../platform/listed.ts'
import { type Candidates, candidates, tellRest } from './candidates.ts'
import { type Collector, collector, type PassedOver } from './passed-over.ts'
import { kindsOf, namedAsKinds } from './sources/folders.ts'
import { readTables } from './sources/page-tables.ts'
import { splitOf } from './split-folders.ts'
import { isHidden, placeOf } from './walk.ts'

/** A file, and the folders above it from the outermost in. */
export interface PlacedFile {
  readonly file: File
  readonly folders: readonly string[]
}

/** An image as `addImages` takes it, with a class, in a tree a path, or with any number of labels; its name has the folders that are no class in it. */
export interface LabelledFile {
  readonly source: File
  readonly class?: string
  readonly labels?: readonly string[]
  readonly unknown?: readonly string[]
  readonly name: string
}

/** What files were found to be. */
export interface LabelledFiles {
  /** How they are labelled: as was asked for, or as they say themselves. */
  readonly labelling: Labelling
  readonly images: readonly LabelledFile[]
  /** Images that lie in no folder. */
  readonly loose: readonly File[]
  readonly passedOver: readonly PassedOver[]
  /** What was taken for a split, and names that were joined. */
  readonly notes: readonly string[]
}

interface Placed {
  readonly file: File
  readonly name: string
  readonly folders: readonly string[]
}

/** A file's place: a picker of folders gives it with the file. */
function placed(item: File | PlacedFile): Placed {
  if ('file' in item) return { file: item.file, name: item.file.name, folders: item.folders }
  return { file: item, name: item.name, folders: (item.webkitRelativePath ?? '').split('/').slice(0, -1) }
}

/** One folder that holds folders is what was dropped, not a class; what lies below it is told from there. */
function belowRoot(files: readonly Placed[]): readonly Placed[] {
  const roots = new Set(files.map(({ folders }) => folders[0]))
  if (roots.size !== 1 || !files.some(({ folders }) => folders.length > 1)) return files
  return files.map((file) => ({ ...file, folders: file.folders.slice(1) }))
}

/** Takes away the folders of splits, where there is one to train on: what is to be tested on is left out. */
function withoutSplits(files: readonly Placed[], over: Collector, notes: string[]): readonly Placed[] {
  const deep = [...new Set(files.filter(({ folders }) => folders.length > 1).map(({ folders }) => folders[0]!))]
  const splits = new Map(deep.map((name) => [name, splitOf(name)]))
  if (![...splits.values()].includes('train')) return files
  const taken = deep.filter((name) => splits.get(name) === 'train' || splits.get(name) === 'val')
  if (taken.length > 1) notes.push(`${listed(taken)} are taken together; a part of each class is set aside in training`)
  return files.flatMap((file) => {
    const [first] = file.folders
    const split = first === undefined ? undefined : splits.get(first)
    if (split === 'train' || split === 'val') return { ...file, folders: file.folders.slice(1) }
    over.add(split === 'test' ? 'files to test on' : 'files beside the train folder', placeOf(file))
    return []
  })
}

const headOf = async ({ file }: Placed): Promise<Uint8Array> =>
  new Uint8Array(await file.slice(0, SNIFFED).arrayBuffer())

/** Which of a page's files are images. */
export const pictureFiles = (files: readonly File[]): Promise<Candidates<Placed>> =>
  candidates(files.map(placed), headOf)

/** Whether folders in the folders of classes are kinds of them, by their names; as `folderSource` tells. */
function areKinds(images: readonly Placed[]): boolean {
  const classes = new Map<string, Placed[]>()
  for (const image of images) {
    const [first = ''] = image.folders
    classes.set(first, [...(classes.get(first) ?? []), image])
  }
  const kinds = kindsOf([...classes.values()])
  return kinds !== undefined && namedAsKinds(kinds)
}

/** The labels of images from tables beside them. */
function fromTables(
  images: readonly Placed[],
  rows: Awaited<ReturnType<typeof readTables>>,
  over: Collector,
  wanted: Labelling | undefined,
): Pick<LabelledFiles, 'images' | 'labelling'> {
  const found = rows.flatMap((row) => {
    const image = row.find(images)
    if (!image) over.add('images that are not there', row.file)
    else if (row.toTest) over.add('files to test on', placeOf(image))
    return image && !row.toTest ? [{ image, row }] : []
  })
  const named = new Set(rows.map((row) => row.find(images)))
  for (const image of images) if (!named.has(image)) over.add('images without labels', placeOf(image))
  const odd = found.find(({ row }) => row.names.length !== 1 || row.unknown)
  const isPath = found.some(({ row }) => row.names[0]?.includes('/'))
  const labelling = wanted ?? (odd ? 'labels' : isPath ? 'tree' : 'classes')
  if (odd && labelling !== 'labels') {
    const { at, names } = odd.row
    throw new InputError(
      `${at}: an image must have one class, got ${listed([...names]) || 'none'}; use a set with several labels`,
    )
  }
  return {
    labelling,
    images: found.map(({ image: { file, name, folders }, row: { names, unknown } }) => ({
      source: file,
      ...(labelling === 'labels' ? { labels: names, ...(unknown && { unknown }) } : { class: names[0]! }),
      name: [...folders.slice(1), name].join('-'),
    })),
  }
}

/**
 * Images among files of a folder picker (`<input webkitdirectory>`), or among placed files, with their labels. With `label` all of
 * them have that one, in a tree with the folders below it. `labelling` says how they are to be labelled; without it a table beside
 * them or their folders tell. Throws an InputError on a table that cannot be read.
 */
export async function labelledFiles(
  items: Iterable<File | PlacedFile>,
  label?: string,
  labelling?: Labelling,
): Promise<LabelledFiles> {
  const over = collector()
  const notes: string[] = []
  const seen = [...items].map(placed).filter((file) => {
    const hidden = [...file.folders, file.name].some(isHidden)
    if (hidden) over.add('hidden entries', placeOf(file))
    return !hidden
  })
  const rows = label === undefined ? await readTables(seen) : []
  const tables = new Set(rows.map(({ table }) => table))
  const plain = label === undefined && rows.length === 0
  const files = plain ? withoutSplits(belowRoot(seen), over, notes) : seen.filter((file) => !tables.has(file))
  const found = await candidates(files, headOf)
  tellRest(found, over, placeOf)
  if (rows.length > 0) {
    const tabled = fromTables(found.images, rows, over, labelling)
    return { ...tabled, loose: [], passedOver: over.list(), notes }
  }
  const how = labelling ?? (label === undefined && areKinds(found.images) ? 'tree' : 'classes')
  // One folder of pictures is a place where they lay, several are labels.
  const one = new Set(found.images.map(({ folders }) => folders[0])).size === 1
  const spelled = new Map<string, Set<string>>()
  const loose: File[] = []
  const images: LabelledFile[] = []
  for (const { file, name, folders } of found.images) {
    const all = label === undefined ? folders : [label, ...folders]
    const [first, ...below] = all
    if (how === 'labels') {
      const labels = first === undefined || (label === undefined && one) ? [] : [sameText(first)]
      images.push({ source: file, labels, name: [...below, name].join('-') })
    } else if (first === undefined) loose.push(file)
    else {
      const text = sameText(how === 'tree' ? all.join('/') : first)
      spelled.set(text, (spelled.get(text) ?? new Set()).add(how === 'tree' ? all.join('/') : first))
      images.push({ source: file, class: text, name: how === 'tree' ? name : [...below, name].join('-') })
    }
  }
  const joined = [...spelled].filter(([, names]) => names.size > 1).map(([text]) => text)
  if (joined.length > 0) notes.push(`folders called ${listed(joined)}, spelled in other bytes, are one class`)
  return { labelling: how, images, loose, passedOver: over.list(), notes }
}
