// Files in a browser: the origin private file system (OPFS), which pages and workers of one origin share and which stays
// when the tab is closed.
import { absent, baseName, entriesOf, join, partsOf, randomId, resolve } from './browser-paths.ts'
import { InputError } from './errors.ts'
import { partsIn } from './parts.ts'
import type { Data, Files } from './platform.ts'

const nameOf = (error: unknown): string => (error instanceof DOMException || error instanceof Error ? error.name : '')
const isAbsent = (error: unknown): boolean => /^(NotFound|TypeMismatch)Error$/.test(nameOf(error))

/** What a caller can act upon: Node's code for a file that is not there, one sentence where storage is full or closed. */
async function explain(error: unknown, path: string): Promise<unknown> {
  const name = nameOf(error)
  if (isAbsent(error)) return absent(path)
  if (name === 'QuotaExceededError') {
    const { usage, quota } = await navigator.storage.estimate().catch(() => ({ usage: undefined, quota: undefined }))
    const megabytes = (bytes: number | undefined) => (bytes === undefined ? '?' : Math.round(bytes / 1e6))
    return new InputError(
      `${path}: the browser's storage for this site is full (${megabytes(usage)} of ${megabytes(quota)} MB); remove models, images or runs, or free space on the device`,
    )
  }
  if (name === 'SecurityError') {
    return new InputError(
      `${path}: this browser keeps no files here; leave private mode or allow the site to store data`,
    )
  }
  if (name === 'TypeError')
    return new InputError(`${path}: this browser does not allow such a file name; choose another`)
  return error
}

async function guarded<T>(path: string, body: () => Promise<T>): Promise<T> {
  try {
    return await body()
  } catch (error) {
    throw await explain(error, path)
  }
}

/** Why this page has no such files, as far as can be known without asking for them. */
export function filesMissing(): string | undefined {
  if (globalThis.isSecureContext === false) return 'only pages served by https or from localhost may keep files'
  if (!navigator.storage?.getDirectory) return 'this browser has no origin private file system'
  return undefined
}

async function root(): Promise<FileSystemDirectoryHandle> {
  const missing = filesMissing()
  if (missing)
    throw new InputError(`files: cannot be kept here, ${missing}; open a session, which keeps them in memory`)
  return navigator.storage.getDirectory()
}

async function folderAt(parts: readonly string[], create = false): Promise<FileSystemDirectoryHandle> {
  let folder = await root()
  for (const part of parts) folder = await folder.getDirectoryHandle(part, { create })
  return folder
}

async function fileAt(path: string, create = false): Promise<FileSystemFileHandle> {
  const parts = partsOf(path)
  const name = parts.pop()
  if (name === undefined) throw new DOMException('the root is no file', 'TypeMismatchError')
  return (await folderAt(parts)).getFileHandle(name, { create })
}

async function kind(path: string): Promise<'file' | 'folder' | undefined> {
  const parts = partsOf(path)
  const name = parts.pop()
  if (name === undefined) return 'folder'
  try {
    const folder = await folderAt(parts)
    try {
      await folder.getFileHandle(name)
      return 'file'
    } catch (error) {
      if (nameOf(error) === 'TypeMismatchError') return 'folder'
      throw error
    }
  } catch (error) {
    // A name that cannot be stored is not there either.
    if (isAbsent(error) || error instanceof TypeError) return undefined
    throw await explain(error, path)
  }
}

async function size(path: string): Promise<number | undefined> {
  try {
    return (await (await fileAt(path)).getFile()).size
  } catch (error) {
    if (isAbsent(error) || error instanceof TypeError) return undefined
    throw await explain(error, path)
  }
}

/** Not yet in the compiler's library: only workers have them. */
interface SyncHandle {
  write(data: Uint8Array, options?: { at: number }): number
  truncate(size: number): void
  getSize(): number
  flush(): void
  close(): void
}
type WithSync = FileSystemFileHandle & {
  createSyncAccessHandle?(): Promise<SyncHandle>
  move?(name: string): Promise<void>
}

type Parts = ReturnType<typeof partsIn>

/** As browsers say it where they say it. */
const isFull = () => new DOMException('the storage is full', 'QuotaExceededError')

/**
 * Writes all of it. Where storage is full, a handle may throw nothing and answer with less than it was given, or with
 * more (Chromium in a private window: 4294967288, an error taken for a count).
 */
function writeAll(handle: SyncHandle, data: Uint8Array, at: number): void {
  if (handle.write(data, { at }) !== data.byteLength) throw isFull()
}

/** Writes parts from the start of a new file. */
async function fillFile(file: WithSync, parts: Parts, path: string): Promise<void> {
  if (!file.createSyncAccessHandle) {
    throw new InputError(`${path}: this browser cannot write files here; use a newer one`)
  }
  const handle = await file.createSyncAccessHandle()
  try {
    let at = 0
    for await (const part of parts) {
      writeAll(handle, part, at)
      at += part.byteLength
    }
    handle.flush()
    if (handle.getSize() !== at) throw isFull()
  } finally {
    handle.close()
  }
}

/** A file's new bytes, stored beside the old ones. */
interface Staged {
  /** Puts them in the old ones' place, at once. */
  commit(): Promise<void>
  discard(): Promise<void>
}

async function stage(path: string, parts: Parts): Promise<Staged> {
  const target = (await fileAt(path, true)) as WithSync
  if ('createWritable' in target) {
    // What is written shows at close, at once.
    const stream = await target.createWritable()
    const discard = () => stream.abort().catch(() => {})
    let bytes = 0
    try {
      for await (const part of parts) {
        await stream.write(part as Uint8Array<ArrayBuffer>)
        bytes += part.byteLength
      }
    } catch (error) {
      await discard()
      throw error
    }
    const commit = async () => {
      await stream.close()
      if ((await target.getFile()).size !== bytes) throw isFull()
    }
    return { commit, discard }
  }
  // Safari before 26, in a worker: a temporary file, then its name.
  const name = baseName(path)
  const temporary = `.${name}.${randomId()}.tmp`
  const folder = await folderAt(partsOf(path).slice(0, -1))
  const made = (await folder.getFileHandle(temporary, { create: true })) as WithSync
  const discard = () => folder.removeEntry(temporary).catch(() => {})
  try {
    if (!made.move) throw new InputError(`${path}: this browser cannot write files here; use a newer one`)
    await fillFile(made, parts, path)
    return { commit: () => made.move!(name), discard }
  } catch (error) {
    await discard()
    throw error
  }
}

async function writeTogether(entries: readonly (readonly [path: string, data: Data])[]): Promise<void> {
  const staged: Staged[] = []
  const fresh: string[] = []
  let at = ''
  try {
    for (const [path, data] of entries) {
      at = path
      if ((await kind(path)) === undefined) fresh.push(path)
      staged.push(await stage(path, partsIn(data)))
    }
    for (const [i, [path]] of entries.entries()) {
      at = path
      await staged[i]!.commit()
    }
  } catch (error) {
    for (const one of staged) await one.discard()
    // The name exists, empty, before the first byte is written.
    for (const path of fresh) await files.remove(path).catch(() => {})
    throw await explain(error, at)
  }
}

/** Adds bytes at the end of a file, all or none. */
async function addBytes(file: WithSync, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  if (!file.createSyncAccessHandle) {
    // What is written shows at close, at once.
    const stream = await file.createWritable({ keepExistingData: true })
    try {
      await stream.seek((await file.getFile()).size)
      await stream.write(bytes)
    } catch (error) {
      await stream.abort().catch(() => {})
      throw error
    }
    return stream.close()
  }
  const handle = await file.createSyncAccessHandle()
  try {
    const before = handle.getSize()
    try {
      writeAll(handle, bytes, before)
      handle.flush()
    } catch (error) {
      handle.truncate(before) // part of it may be there
      throw error
    }
  } finally {
    handle.close()
  }
}

async function append(path: string, text: string): Promise<void> {
  const before = await kind(path)
  try {
    await addBytes(await fileAt(path, true), new TextEncoder().encode(text))
  } catch (error) {
    if (before === undefined) await files.remove(path).catch(() => {})
    throw await explain(error, path)
  }
}

/** The files of this origin. */
export const files: Files = {
  shared: true,
  read: (path) => guarded(path, async () => new Uint8Array(await (await (await fileAt(path)).getFile()).arrayBuffer())),
  readRange: (path, offset, length) =>
    guarded(path, async () => {
      const file = await (await fileAt(path)).getFile()
      if (!(offset >= 0 && length >= 0 && offset + length <= file.size)) {
        throw new Error(`${path}: bytes ${offset} to ${offset + length} asked for, the file has ${file.size}`)
      }
      return new Uint8Array(await file.slice(offset, offset + length).arrayBuffer())
    }),
  size,
  kind,
  list: (path) =>
    guarded(path, async () => {
      const names: string[] = []
      for await (const [name, entry] of await folderAt(partsOf(path))) {
        // Chrome's own temporary files of what is being written.
        if (!name.endsWith('.crswap')) names.push(entry.kind === 'directory' ? `${name}/` : name)
      }
      return names.sort((a, b) => (a < b ? -1 : 1))
    }),
  entries: async (path) => entriesOf(await files.list(path)),
  realPath: async (path) => resolve(path),
  makeFolder: (path) =>
    guarded(path, async () => {
      await folderAt(partsOf(path), true)
    }),
  writeAtomic: (path, data) => writeTogether([[path, data]]),
  writeTogether,
  append,
  remove: (path) =>
    guarded(path, async () => {
      const parts = partsOf(path)
      const name = parts.pop()
      if (name === undefined) throw new Error('/: the root cannot be removed')
      try {
        await (await folderAt(parts)).removeEntry(name, { recursive: true })
      } catch (error) {
        if (!isAbsent(error)) throw error
      }
    }),
  join,
  baseName,
  resolve,
}
