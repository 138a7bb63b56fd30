// All files below a folder, each once. Links are followed where they lead to something below the folder that was given and
// that is not found on another way; pipes, devices and all other links are passed over by name.
import type { Files, FolderEntry } from '../platform/platform.ts'
import type { Collector } from './passed-over.ts'

/** A file, and the folders above it from the outermost in. */
export interface WalkedFile {
  readonly path: string
  readonly name: string
  readonly folders: readonly string[]
}

/** Where a file lies, from the folder that was given. */
export const placeOf = ({ folders, name }: Pick<WalkedFile, 'folders' | 'name'>): string => [...folders, name].join('/')

/** Where to look. */
export interface WalkOptions {
  /** The real path of the folder that was given: links that leave it are not followed. */
  readonly within: string
  readonly over: Collector
  /** Put before names that are told. */
  readonly prefix?: string
}

/** Whether a real path is a folder or lies below it. */
export function inside(files: Files, folder: string, path: string): boolean {
  return path === folder || path.startsWith(files.join(folder, 'x').slice(0, -1))
}

/** Sorted by folder after folder, then name, all by code unit. */
function sorted(files: readonly WalkedFile[]): WalkedFile[] {
  const keyed = files.map((file) => ({ file, key: [...file.folders, file.name].join('\0') }))
  return keyed.sort((a, b) => (a.key < b.key ? -1 : 1)).map(({ file }) => file)
}

/** Hidden ones are left to the file system: what tools and systems keep for themselves begins with a dot. */
export const isHidden = (name: string): boolean => name.startsWith('.')

/** All files below `top`, sorted by folder and name. */
export async function walk(
  files: Files,
  top: string,
  { within, over, prefix = '' }: WalkOptions,
): Promise<WalkedFile[]> {
  const found: WalkedFile[] = []
  const seen = new Set<string>()
  const links: { entry: FolderEntry; path: string; folders: readonly string[]; above: string }[] = []
  const nameOf = (folders: readonly string[], name: string) => prefix + placeOf({ folders, name })

  async function enter(folder: string, real: string, folders: readonly string[]): Promise<void> {
    seen.add(real)
    for (const entry of await files.entries(folder)) {
      const { name, kind, target, what } = entry
      const path = files.join(folder, name)
      const place = files.join(real, name)
      if (isHidden(name)) over.add('hidden entries', nameOf(folders, name))
      else if (kind === 'other') over.add(what ?? 'entries of an unknown kind', nameOf(folders, name))
      else if (target !== undefined) links.push({ entry, path, folders, above: real })
      else if (seen.has(place)) over.add('entries that a link led to before', nameOf(folders, name))
      else if (kind === 'folder') await enter(path, place, [...folders, name])
      else {
        seen.add(place)
        found.push({ path, name, folders })
      }
    }
  }

  await enter(top, await files.realPath(top), [])
  // Links come last, so that what is there itself is found under its own name.
  for (const { entry, path, folders, above } of links) {
    const { name, kind } = entry
    const target = entry.target!
    const told = nameOf(folders, name)
    if (!inside(files, within, target)) over.add('links that leave the folder', told)
    else if (inside(files, target, above)) over.add('links to a folder above them', told)
    else if (seen.has(target)) over.add('links to what is read under its own name', told)
    else if (kind === 'folder') await enter(path, target, [...folders, name])
    else {
      seen.add(target)
      found.push({ path, name, folders })
    }
  }
  return sorted(found)
}
