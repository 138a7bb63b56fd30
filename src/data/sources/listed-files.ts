// The files that a table or a list names: found below the folder of the data, by the same text however accents are stored;
// what is not there, is no image, or is there and in no list is told by name.
import { InputError } from '../../platform/errors.ts'
import type { Files, FolderEntry } from '../../platform/platform.ts'
import { candidates, headOf, isImageName, tellRest } from '../candidates.ts'
import { inside, isHidden } from '../walk.ts'
import type { SourceContext, SourceItem } from './source.ts'

/** An image as a list names it. */
export interface ListedItem extends Omit<SourceItem, 'path'> {
  /** Where it may lie: the first that is there counts. */
  readonly places: readonly string[]
  /** The folders below that of the data that paths begin from. */
  readonly from?: readonly string[]
}

/** The folders and name of a path below `root`; throws an InputError where it leads out of it. */
function partsOf(text: string, { at, from = [] }: ListedItem, root: string, files: Files): string[] {
  const path = text.includes('/') ? text : text.replaceAll('\\', '/')
  const top = `${files.resolve(root).replaceAll('\\', '/').replace(/\/$/, '')}/`
  const own = path.replaceAll('\\', '/').startsWith(top)
  const parts = own ? [] : [...from]
  for (const part of (own ? path.slice(top.length) : path).split('/')) {
    if (part === '' || part === '.') continue
    if (part === '..') {
      if (parts.length === 0) leaves(text, at, root)
      parts.pop()
    } else parts.push(part)
  }
  if (!own && (/^[/\\]|^[A-Za-z]:[/\\]/.test(path) || parts.length === 0)) leaves(text, at, root)
  return parts
}

function leaves(text: string, at: string, root: string): never {
  throw new InputError(`${at}: a path must lie below ${root}, got ${text}; put the list beside the images`)
}

/** The entries of folders below a root, each looked at once; folders are joined by '/'. */
function lookup(files: Files, root: string, within: string) {
  const folders = new Map<string, Promise<Map<string, FolderEntry>>>()
  const look = async (folder: string): Promise<Map<string, FolderEntry>> => {
    const path = folder === '' ? root : files.join(root, ...folder.split('/'))
    if (!inside(files, within, await files.realPath(path))) return new Map()
    const entries = await files.entries(path)
    // Its very name goes before the same text in other bytes.
    return new Map(
      [...entries.map(({ name }) => name.normalize('NFC')), ...entries.map(({ name }) => name)].map((name, i) => [
        name,
        entries[i % entries.length]!,
      ]),
    )
  }
  const entriesOf = (folder: string) => {
    const known = folders.get(folder) ?? look(folder)
    folders.set(folder, known)
    return known
  }
  const entryOf = async (folder: string, name: string) => {
    const entries = await entriesOf(folder)
    return entries.get(name) ?? entries.get(name.normalize('NFC'))
  }
  return {
    folders,
    /** The entry at a path, and the path as it is on the disk. */
    async at(parts: readonly string[]): Promise<{ entry: FolderEntry; place: string } | undefined> {
      let folder = ''
      for (const [i, part] of parts.entries()) {
        const entry = await entryOf(folder, part)
        if (!entry) return undefined
        const place = folder === '' ? entry.name : `${folder}/${entry.name}`
        if (i === parts.length - 1) return { entry, place }
        if (entry.kind !== 'folder') return undefined
        folder = place
      }
      return undefined
    },
  }
}

/** Finds the files of items. Throws an InputError on a path that leads out of the folder, and where no file is there. */
export async function findListed(
  items: readonly ListedItem[],
  root: string,
  { files, over, beside = false }: SourceContext,
): Promise<SourceItem[]> {
  const within = await files.realPath(root)
  const told = (place: string) => (beside ? files.join(root, ...place.split('/')) : place)
  const { folders, at } = lookup(files, root, within)
  const named = new Map<string, string>()
  const found: (SourceItem & { name: string; place: string })[] = []
  let missing: string | undefined
  for (const listedItem of items) {
    const { places, from: _from, ...item } = listedItem
    const parts = places.map((way) => partsOf(way, listedItem, root, files))
    let there: Awaited<ReturnType<typeof at>>
    for (const way of parts) there ??= await at(way)
    const { entry, place } = there ?? { entry: undefined, place: parts[0]!.join('/') }
    const outside = entry?.target !== undefined && !inside(files, within, entry.target)
    if (entry?.kind !== 'file' || outside) {
      missing ??= place
      over.add(
        !entry ? 'images that are not there' : outside ? 'links that leave the folder' : 'names of no file',
        told(place),
      )
      continue
    }
    const before = named.get(place)
    if (before !== undefined) {
      throw new InputError(
        `${item.at}: an image must be named once, got ${place} as in ${before}; write its path alike`,
      )
    }
    named.set(place, item.at)
    found.push({ ...item, path: files.join(root, ...place.split('/')), place, name: entry.name })
  }
  if (found.length === 0) {
    const where = [root, ...(items[0]?.from ?? [])].join('/')
    throw new InputError(
      `${items[0]?.at ?? root}: none of ${items.length} images is there, as ${missing}; paths begin in ${where}`,
    )
  }
  const images = await candidates(found, ({ path }) => headOf(files, path))
  tellRest(images, over, ({ place }) => told(place))
  for (const [folder, entries] of folders) {
    for (const { name, kind } of new Set((await entries).values())) {
      const place = folder === '' ? name : `${folder}/${name}`
      if (kind === 'file' && !named.has(place) && !isHidden(name) && isImageName(name)) {
        over.add('images without labels', told(place))
      }
    }
  }
  const taken = new Set(images.images)
  return found.filter((item) => taken.has(item)).map(({ name: _name, place: _place, ...item }) => item)
}
