// Files in a browser: the origin private file system (OPFS), which pages and workers of one origin share and which stays
// when the tab is closed. Paths are absolute; '/' is its root.
import { InputError } from './errors.ts'
import type { Files } from './platform.ts'

/** The parts of a path, with '.' and '..' worked out; it cannot leave the root. */
function partsOf(path: string): string[] {
  const parts: string[] = []
  for (const part of path.split('/')) {
    if (part === '..') parts.pop()
    else if (part !== '' && part !== '.') parts.push(part)
  }
  return parts
}

const resolve = (path: string): string => `/${partsOf(path).join('/')}`
const baseName = (path: string): string => partsOf(path).at(-1) ?? ''
const nameOf = (error: unknown): string => (error instanceof DOMException || error instanceof Error ? error.name : '')
const isAbsent = (error: unknown): boolean => /^(NotFound|TypeMismatch)Error$/.test(nameOf(error))

/** What a caller can act upon: Node's code for a file that is not there, one sentence where storage is full or closed. */
async function explain(error: unknown, path: string): Promise<unknown> {
  const name = nameOf(error)
  if (isAbsent(error)) return Object.assign(new Error(`ENOENT: no such file or folder, ${path}`), { code: 'ENOENT' })
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

async function root(): Promise<FileSystemDirectoryHandle> {
  // Only secure pages have it.
  if (!navigator.storage?.getDirectory) {
    throw new InputError(
      'files: need the origin private file system, which this page lacks; serve it by https or localhost',
    )
  }
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
  getSize(): number
  flush(): void
  close(): void
}
type WithSync = FileSystemFileHandle & {
  createSyncAccessHandle?(): Promise<SyncHandle>
  move?(name: string): Promise<void>
}

type Parts = Iterable<Uint8Array> | AsyncIterable<Uint8Array>

async function writeWhole(path: string, parts: Parts): Promise<void> {
  const target = (await fileAt(path, true)) as WithSync
  if ('createWritable' in target) {
    // What is written shows at close, at once.
    const stream = await target.createWritable()
    try {
      for await (const part of parts) await stream.write(part as Uint8Array<ArrayBuffer>)
    } catch (error) {
      await stream.abort().catch(() => {})
      throw error
    }
    return stream.close()
  }
  // Safari before 26, in a worker: a temporary file, then its name.
  const name = baseName(path)
  const temporary = `.${name}.${crypto.randomUUID()}.tmp`
  const folder = await folderAt(partsOf(path).slice(0, -1))
  const made = (await folder.getFileHandle(temporary, { create: true })) as WithSync
  try {
    if (!made.createSyncAccessHandle || !made.move) {
      throw new InputError(`${path}: this browser cannot write files here; use a newer one`)
    }
    const handle = await made.createSyncAccessHandle()
    try {
      for await (const part of parts) handle.write(part)
      handle.flush()
    } finally {
      handle.close()
    }
    await made.move(name)
  } catch (error) {
    await folder.removeEntry(temporary).catch(() => {})
    throw error
  }
}

async function writeAtomic(path: string, data: string | Uint8Array | Parts): Promise<void> {
  const parts = typeof data === 'string' ? [new TextEncoder().encode(data)] : data instanceof Uint8Array ? [data] : data
  const before = await kind(path)
  try {
    await writeWhole(path, parts)
  } catch (error) {
    // The name exists, empty, before the first byte is written.
    if (before === undefined) await files.remove(path).catch(() => {})
    throw await explain(error, path)
  }
}

async function append(path: string, text: string): Promise<void> {
  const bytes = new TextEncoder().encode(text)
  const file = (await fileAt(path, true)) as WithSync
  if (file.createSyncAccessHandle) {
    const handle = await file.createSyncAccessHandle()
    try {
      handle.write(bytes, { at: handle.getSize() })
      handle.flush()
    } finally {
      handle.close()
    }
    return
  }
  const stream = await file.createWritable({ keepExistingData: true })
  await stream.seek((await file.getFile()).size)
  await stream.write(bytes)
  await stream.close()
}

/** The files of this origin. */
export const files: Files = {
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
  entries: async (path) =>
    (await files.list(path)).map((name) =>
      name.endsWith('/') ? { name: name.slice(0, -1), kind: 'folder' } : { name, kind: 'file' },
    ),
  realPath: async (path) => resolve(path),
  makeFolder: (path) =>
    guarded(path, async () => {
      await folderAt(partsOf(path), true)
    }),
  writeAtomic,
  async writeTogether(entries) {
    for (const [path, data] of entries) await writeAtomic(path, data)
  },
  append: (path, text) => guarded(path, () => append(path, text)),
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
  join: (...parts) => parts.join('/').replace(/\/{2,}/g, '/'),
  baseName,
  resolve,
}
