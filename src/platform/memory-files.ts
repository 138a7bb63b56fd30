// Files in memory, for a session in a browser that keeps none: with the answers and errors of browser-files.ts, seen by the
// thread that made them alone, and gone with it.
import { absent, baseName, entriesOf, join, partsOf, resolve } from './browser-paths.ts'
import { InputError } from './errors.ts'
import { partsIn } from './parts.ts'
import type { Data, Files } from './platform.ts'

/** Appended lines stay as they came: a run's metrics are many. */
interface MemoryFile {
  parts: Uint8Array[]
  size: number
}
type Folder = Map<string, Folder | MemoryFile>

/** Bytes of all files together: what a tab bears beside the training that goes on in it. */
const MOST = 2 ** 31

/** Part of a file's bytes, in memory of their own. */
function bytesOf(file: MemoryFile, from: number, to: number): Uint8Array {
  const out = new Uint8Array(to - from)
  let at = 0
  for (const part of file.parts) {
    const piece = part.subarray(Math.max(0, from - at), Math.max(0, to - at))
    if (piece.length > 0) out.set(piece, Math.max(0, at - from))
    at += part.length
  }
  return out
}

/** New files in memory; writing more than `most` bytes throws an InputError and leaves the file as it was. */
export function createMemoryFiles(most = MOST): Files {
  const root: Folder = new Map()
  let held = 0

  const full = (path: string): InputError =>
    new InputError(
      `${path}: the memory that stands in for this browser's storage is full (${Math.round(held / 1e6)} of ${Math.round(most / 1e6)} MB); remove models, images or runs`,
    )
  function at(path: string): Folder | MemoryFile | undefined {
    let found: Folder | MemoryFile | undefined = root
    for (const part of partsOf(path)) found = found instanceof Map ? found.get(part) : undefined
    return found
  }
  function folderAt(path: string): Folder {
    const found = at(path)
    if (found instanceof Map) return found
    throw absent(path)
  }
  function fileAt(path: string): MemoryFile {
    const found = at(path)
    if (found && !(found instanceof Map)) return found
    throw absent(path)
  }
  /** The folder that a file is to be in, and its name there. */
  function placeOf(path: string): { folder: Folder; name: string } {
    const parts = partsOf(path)
    const name = parts.pop()
    const folder = folderAt(`/${parts.join('/')}`)
    if (name === undefined || folder.get(name) instanceof Map) throw absent(path)
    return { folder, name }
  }
  function list(path: string): string[] {
    const names = [...folderAt(path)].map(([name, entry]) => (entry instanceof Map ? `${name}/` : name))
    return names.sort((a, b) => (a < b ? -1 : 1))
  }
  /** A copy, counted; throws where there is no room for it. */
  function keep(path: string, bytes: Uint8Array): Uint8Array {
    if (held + bytes.length > most) throw full(path)
    try {
      const copy = bytes.slice()
      held += copy.length
      return copy
    } catch (error) {
      throw error instanceof RangeError ? full(path) : error
    }
  }
  const sizeOf = (entry: Folder | MemoryFile | undefined): number => {
    if (entry instanceof Map) return [...entry.values()].reduce((sum, inside) => sum + sizeOf(inside), 0)
    return entry?.size ?? 0
  }

  async function writeTogether(entries: readonly (readonly [path: string, data: Data])[]): Promise<void> {
    const made: MemoryFile[] = []
    try {
      for (const [path, data] of entries) {
        placeOf(path)
        const file: MemoryFile = { parts: [], size: 0 }
        made.push(file)
        for await (const part of partsIn(data)) {
          file.parts.push(keep(path, part))
          file.size += part.length
        }
      }
      // Looked for again: the parts may have come slowly.
      const places = entries.map(([path]) => placeOf(path))
      for (const [i, { folder, name }] of places.entries()) {
        held -= sizeOf(folder.get(name))
        folder.set(name, made[i]!)
      }
    } catch (error) {
      for (const { size } of made) held -= size
      throw error
    }
  }

  return {
    shared: false,
    async read(path) {
      const file = fileAt(path)
      return bytesOf(file, 0, file.size)
    },
    async readRange(path, offset, length) {
      const file = fileAt(path)
      if (!(offset >= 0 && length >= 0 && offset + length <= file.size)) {
        throw new Error(`${path}: bytes ${offset} to ${offset + length} asked for, the file has ${file.size}`)
      }
      return bytesOf(file, offset, offset + length)
    },
    async size(path) {
      const found = at(path)
      return found instanceof Map ? undefined : found?.size
    },
    async kind(path) {
      const found = at(path)
      return found && (found instanceof Map ? 'folder' : 'file')
    },
    async list(path) {
      return list(path)
    },
    async entries(path) {
      return entriesOf(list(path))
    },
    async realPath(path) {
      return resolve(path)
    },
    async makeFolder(path) {
      let folder = root
      for (const part of partsOf(path)) {
        const inside = folder.get(part) ?? new Map()
        if (!(inside instanceof Map)) throw absent(path)
        folder.set(part, inside)
        folder = inside
      }
    },
    writeAtomic: (path, data) => writeTogether([[path, data]]),
    writeTogether,
    async append(path, text) {
      const { folder, name } = placeOf(path)
      const part = keep(path, new TextEncoder().encode(text))
      const file = folder.get(name)
      if (file && !(file instanceof Map)) {
        file.parts.push(part)
        file.size += part.length
      } else folder.set(name, { parts: [part], size: part.length })
    },
    async remove(path) {
      const parts = partsOf(path)
      const name = parts.pop()
      if (name === undefined) throw new Error('/: the root cannot be removed')
      const folder = at(`/${parts.join('/')}`)
      if (!(folder instanceof Map)) return
      held -= sizeOf(folder.get(name))
      folder.delete(name)
    },
    join,
    baseName,
    resolve,
  }
}
