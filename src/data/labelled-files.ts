// Files that a page was given, by class, under the rules that folders have on a disk: the first-level folder is the class,
// whatever lies below belongs to it, whole first-level names are splits, content decides what is an image.
import { SNIFFED } from '../platform/image-formats.ts'
import { listed } from '../platform/listed.ts'
import { type Candidates, candidates, tellRest } from './candidates.ts'
import { sameText } from './class-folders.ts'
import { type Collector, collector, type PassedOver } from './passed-over.ts'
import { splitOf } from './split-folders.ts'
import { isHidden, placeOf } from './walk.ts'

/** A file, and the folders above it from the outermost in. */
export interface PlacedFile {
  readonly file: File
  readonly folders: readonly string[]
}

/** An image of a class as `addImages` takes it; its name has the folders below the class in it. */
export interface LabelledFile {
  readonly source: File
  readonly class: string
  readonly name: string
}

/** What files were found to be. */
export interface LabelledFiles {
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

/**
 * Images among files of a folder picker (`<input webkitdirectory>`), or among placed files, by class. With `label` all of them
 * are of that class.
 */
export async function labelledFiles(items: Iterable<File | PlacedFile>, label?: string): Promise<LabelledFiles> {
  const over = collector()
  const notes: string[] = []
  const seen = [...items].map(placed).filter((file) => {
    const hidden = [...file.folders, file.name].some(isHidden)
    if (hidden) over.add('hidden entries', placeOf(file))
    return !hidden
  })
  const files = label === undefined ? withoutSplits(belowRoot(seen), over, notes) : seen
  const found = await candidates(files, headOf)
  tellRest(found, over, placeOf)
  const spelled = new Map<string, Set<string>>()
  const loose: File[] = []
  const images: LabelledFile[] = []
  for (const { file, name, folders } of found.images) {
    const [first, ...below] = label === undefined ? folders : [label, ...folders]
    if (first === undefined) loose.push(file)
    else {
      const text = sameText(first)
      spelled.set(text, (spelled.get(text) ?? new Set()).add(first))
      images.push({ source: file, class: text, name: [...below, name].join('-') })
    }
  }
  const joined = [...spelled].filter(([, names]) => names.size > 1).map(([text]) => text)
  if (joined.length > 0) notes.push(`folders called ${listed(joined)}, spelled in other bytes, are one class`)
  return { images, loose, passedOver: over.list(), notes }
}
