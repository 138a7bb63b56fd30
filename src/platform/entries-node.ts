// What a folder holds under Node, links followed and special files told apart, and files read that are nothing else.
import { constants, type Dirent, type Stats } from 'node:fs'
import { open, readdir, realpath, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { FolderEntry } from './platform.ts'

/** What is neither file nor folder, in words. */
function wordsFor(entry: Dirent | Stats): string {
  if (entry.isFIFO()) return 'pipes'
  if (entry.isSocket()) return 'sockets'
  return entry.isCharacterDevice() || entry.isBlockDevice() ? 'devices' : 'entries of an unknown kind'
}

function kindOf(entry: Dirent | Stats): Pick<FolderEntry, 'kind' | 'what'> {
  if (entry.isFile()) return { kind: 'file' }
  return entry.isDirectory() ? { kind: 'folder' } : { kind: 'other', what: wordsFor(entry) }
}

/** What a link leads to. */
async function followed(path: string): Promise<Omit<FolderEntry, 'name'>> {
  try {
    return { ...kindOf(await stat(path)), target: await realpath(path) }
  } catch (error) {
    const loop = (error as { code?: unknown }).code === 'ELOOP'
    return { kind: 'other', what: loop ? 'links that lead to themselves' : 'links to nowhere' }
  }
}

/** What is in a folder, sorted by code unit. */
export async function entries(path: string): Promise<FolderEntry[]> {
  const found = await readdir(path, { withFileTypes: true })
  const all = found.map(async (entry): Promise<FolderEntry> => {
    const { name } = entry
    if (entry.isSymbolicLink()) return { name, ...(await followed(join(path, name))) }
    const known = kindOf(entry)
    // Some file systems do not say what an entry is.
    if (known.kind === 'other') return { name, ...kindOf(await stat(join(path, name))) }
    return { name, ...known }
  })
  return (await Promise.all(all)).sort((a, b) => (a.name < b.name ? -1 : 1))
}

/** All bytes of a file; throws where the path is a pipe, a socket or a device, which may have no end. */
export async function read(path: string): Promise<Uint8Array> {
  // A pipe that nobody writes to would wait here for good.
  const file = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0))
  try {
    const found = await file.stat()
    if (!found.isFile() && !found.isDirectory()) throw new Error(`${path}: must be a file, is among ${wordsFor(found)}`)
    const bytes = await file.readFile()
    return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  } finally {
    await file.close()
  }
}
