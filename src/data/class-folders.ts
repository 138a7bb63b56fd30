// The class folders of one folder: their images at any depth, what else lies there by name, and classes that hold no image
// that can be read, which are refused rather than left out.
import { sameText } from '../labels/same-text.ts'
import { InputError } from '../platform/errors.ts'
import { listed } from '../platform/listed.ts'
import type { Files } from '../platform/platform.ts'
import { candidates, headOf, noneReadable, tellRest } from './candidates.ts'
import { eachOf } from './each-of.ts'
import { isHidden, placeOf, type WalkedFile, type WalkOptions, walk } from './walk.ts'

/** Classes sorted by code unit, and their images. */
export interface ClassFolders {
  readonly classes: readonly string[]
  readonly images: readonly (readonly WalkedFile[])[]
  /** What was done with names, in sentences. */
  readonly notes: readonly string[]
}

/** Names that differ only in what `key` takes away. */
function alike(names: readonly string[], key: (name: string) => string): string[][] {
  const groups = new Map<string, string[]>()
  for (const name of names) groups.set(key(name), [...(groups.get(key(name)) ?? []), name])
  return [...groups.values()].filter((group) => group.length > 1)
}

/** Finds the classes in `dir`; throws an InputError that names those of which no image can be read. */
export async function findClasses(files: Files, dir: string, options: WalkOptions): Promise<ClassFolders> {
  const { over, prefix = '' } = options
  const all = await walk(files, dir, options)
  const told = (file: WalkedFile) => prefix + placeOf(file)
  const byFolder = new Map<string, WalkedFile[]>()
  for (const file of all) {
    const [folder] = file.folders
    if (folder === undefined) continue
    const list = byFolder.get(folder)
    if (list) list.push(file)
    else byFolder.set(folder, [file])
  }
  const loose = await candidates(
    all.filter(({ folders }) => folders.length === 0),
    ({ path }) => headOf(files, path),
  )
  for (const file of loose.images) over.add('images outside the class folders', told(file))
  tellRest(loose, over, told)
  for (const { name, kind, target } of await files.entries(dir)) {
    if (kind === 'folder' && !isHidden(name) && target === undefined && !byFolder.has(name)) byFolder.set(name, [])
  }

  const looked = await eachOf([...byFolder], async ([folder, inside]) => {
    const found = await candidates(inside, ({ path }) => headOf(files, path))
    const [first] = found.unread
    const none = first && `${first.file.name}: ${first.reason}`
    return {
      folder,
      found,
      reason: found.images.length > 0 ? await noneReadable(found.images, ({ path }) => headOf(files, path)) : none,
    }
  })
  const broken = looked.filter(({ reason }) => reason !== undefined)
  const images = new Map<string, WalkedFile[]>()
  for (const { folder, found, reason } of looked) {
    tellRest(found, over, told)
    if (reason !== undefined) continue
    if (found.images.length > 0) images.set(folder, found.images)
    else over.add('folders without images', `${prefix}${folder}`)
  }
  if (broken.length > 0) {
    const classes = listed(broken.map(({ folder }) => folder))
    throw new InputError(`${dir}: no image of ${classes} can be read, ${broken[0]!.reason}; or remove the folder`)
  }

  const names = [...images.keys()]
  const notes = [
    ...alike(names, sameText).map(
      (group) =>
        `${group.length} folders are called "${sameText(group[0]!)}", spelled in other bytes: they are one class`,
    ),
    ...alike([...new Set(names.map(sameText))], (name) => name.toLowerCase()).map(
      (group) => `${listed(group)} differ only in upper and lower case: they are ${group.length} classes`,
    ),
  ]
  const joined = new Map<string, WalkedFile[]>()
  const twins = new Set(alike(names, sameText).flat())
  for (const name of names) {
    const label = twins.has(name) ? sameText(name) : name
    joined.set(label, [...(joined.get(label) ?? []), ...images.get(name)!])
  }
  const classes = [...joined.keys()].sort((a, b) => (a < b ? -1 : 1))
  return { classes, images: classes.map((name) => joined.get(name)!), notes }
}
