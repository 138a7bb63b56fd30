// Files under Node: reading, and writing that leaves each file whole or as it was and says in one sentence what failed.
import { randomBytes } from 'node:crypto'
import { constants, mkdir, open, readdir, realpath, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { entries, read } from './entries-node.ts'
import { InputError, ReadError, WriteError } from './errors.ts'
import { partsIn } from './parts.ts'
import type { Data, Files } from './platform.ts'

const RANGE_LIMIT = 2 ** 31 - 1

/** The system's name of an error: ENOENT and the like. */
export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}

const nothing = ['ENOENT', 'ENOTDIR', 'ENAMETOOLONG', 'ELOOP', 'ERR_INVALID_ARG_VALUE']

/** What is at a path; undefined where there is nothing. */
export async function statOrNothing(path: string) {
  try {
    return await stat(path)
  } catch (error) {
    // A name that no file can have, and a link that leads to itself, lead to nothing.
    if (nothing.includes(codeOf(error) ?? '')) return undefined
    throw readError(error, path)
  }
}

async function readRange(path: string, offset: number, length: number): Promise<Uint8Array> {
  const file = await open(path, 'r')
  try {
    const { size } = await file.stat()
    if (!(offset >= 0 && length >= 0 && offset + length <= size)) {
      throw new InputError(
        `${path}: bytes ${offset} to ${offset + length} are asked for, the file has ${size}; is it cut short?`,
      )
    }
    const out = new Uint8Array(length)
    let done = 0
    while (done < length) {
      const { bytesRead } = await file.read(out, done, Math.min(length - done, RANGE_LIMIT), offset + done)
      if (bytesRead === 0) throw new InputError(`${path}: became shorter while it was read; try again`)
      done += bytesRead
    }
    return out
  } finally {
    await file.close()
  }
}

/** A folder with those above it. Node's own goes round for ever where one takes no others but says ENOENT, as /proc does. */
export async function makeFolder(path: string, again = true): Promise<void> {
  try {
    await mkdir(path)
  } catch (error) {
    if ((await statOrNothing(path))?.isDirectory()) return
    if (!again || codeOf(error) !== 'ENOENT' || dirname(path) === path) throw error
    await makeFolder(dirname(path))
    await makeFolder(path, false)
  }
}

async function syncFolder(path: string): Promise<void> {
  // Some systems (Windows) cannot open a folder; there the rename alone has to do.
  const folder = await open(path, 'r').catch(() => undefined)
  if (!folder) return
  await folder.sync().catch(() => {})
  await folder.close()
}

const reasons: Record<string, string> = {
  ENOSPC: 'the disk is full (ENOSPC); free some space',
  EDQUOT: 'the quota of this disk is used up (EDQUOT); free some space',
  EFBIG: 'a file may not become so large here (EFBIG); look at ulimit -f and at the file system',
  EIO: 'the disk or terminal does not take it (EIO); look whether it still works',
  EROFS: 'the disk is read-only (EROFS); choose another place',
  EACCES: 'this user may not write there (EACCES); choose another place or change its permissions',
  EPERM: 'this user may not write there (EPERM); choose another place or change its permissions',
  EMFILE: 'too many files are open (EMFILE); raise the limit, ulimit -n',
  ENFILE: 'too many files are open on this system (ENFILE); close some programs',
  ENAMETOOLONG: 'the name is too long (ENAMETOOLONG); choose a shorter one',
  ENOENT: 'its folder is not there (ENOENT); was it moved or removed?',
  ENOTDIR: 'a part of the path is a file (ENOTDIR); choose another place',
  EEXIST: 'a file has this name (EEXIST); choose another place',
  EISDIR: 'a folder has this name (EISDIR); choose another place',
  ENXIO: 'a pipe or a socket has this name (ENXIO); remove it',
}

/** An error of the system while something was written, as one sentence that names it; other errors as they are. */
export function writeError(error: unknown, what: string): unknown {
  const code = codeOf(error)
  if (code === undefined || !/^E[A-Z0-9]+$/.test(code)) return error
  return new WriteError(`${what}: cannot be written, ${reasons[code] ?? `the system says ${code}`}`, code)
}

const unread: Record<string, string> = {
  ENOENT: 'it is not there (ENOENT)',
  ENOTDIR: 'a part of the path is a file (ENOTDIR)',
  EISDIR: 'it is a folder (EISDIR)',
  ENAMETOOLONG: 'the name is too long (ENAMETOOLONG)',
  ELOOP: 'a link leads to itself (ELOOP)',
  EACCES: 'this user may not read it (EACCES); change its permissions',
  EPERM: 'this user may not read it (EPERM); change its permissions',
  EIO: 'the disk does not give it (EIO); look whether it still works',
  EMFILE: reasons.EMFILE!,
  ENFILE: reasons.ENFILE!,
  ERR_FS_FILE_TOO_LARGE: 'it is too large to be read whole',
  ERR_INVALID_ARG_VALUE: 'no file has such a name',
}

/** An error of the system while something was read, as one sentence that names it; other errors as they are. */
export function readError(error: unknown, what: string): unknown {
  const code = codeOf(error)
  if (code === undefined || error instanceof InputError) return error
  const reason = unread[code] ?? (/^E[A-Z0-9]+$/.test(code) ? `the system says ${code}` : undefined)
  return reason === undefined ? error : new ReadError(`${what}: cannot be read, ${reason}`, code)
}

async function naming<T>(path: string, body: () => Promise<T>, say = writeError): Promise<T> {
  try {
    return await body()
  } catch (error) {
    throw say(error, path)
  }
}

/** Writes data to a new file and has it on the disk; `path` is what errors name, but for those of the data's own making. */
async function writeNew(temporary: string, data: Data, path: string): Promise<void> {
  const file = await naming(path, () => open(temporary, 'wx'))
  try {
    for await (const part of partsIn(data)) {
      let done = 0
      while (done < part.length) {
        const most = Math.min(part.length - done, RANGE_LIMIT)
        const { bytesWritten } = await naming(path, () => file.write(part, done, most))
        done += bytesWritten
      }
    }
    await naming(path, () => file.sync())
  } finally {
    await naming(path, () => file.close())
  }
}

/** A name beside `path` for what is to become it: hidden, and never taken. */
export const temporaryName = (path: string): string =>
  join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}.tmp`)

async function writeTogether(entries: readonly (readonly [path: string, data: Data])[]): Promise<void> {
  const made: (readonly [temporary: string, path: string])[] = []
  try {
    for (const [path, data] of entries) {
      const temporary = temporaryName(path)
      made.push([temporary, path])
      await writeNew(temporary, data, path)
    }
    for (const [temporary, path] of made) await naming(path, () => rename(temporary, path))
  } catch (error) {
    for (const [temporary] of made) await rm(temporary, { force: true })
    throw error
  }
  for (const folder of new Set(entries.map(([path]) => dirname(path)))) await syncFolder(folder)
}

async function move(from: string, to: string): Promise<void> {
  await rename(from, to)
  await syncFolder(dirname(to))
}

async function append(path: string, text: string, flush: boolean): Promise<void> {
  // Opening a pipe would wait for its reader.
  const { O_APPEND, O_CREAT, O_WRONLY, O_NONBLOCK = 0 } = constants
  const file = await open(path, O_APPEND | O_CREAT | O_WRONLY | O_NONBLOCK)
  try {
    const { size } = await file.stat()
    try {
      await file.appendFile(text)
      if (flush) await file.sync()
    } catch (error) {
      // Half a line would be read as a whole one.
      await file.truncate(size).catch(() => {})
      throw error
    }
  } finally {
    await file.close()
  }
}

async function list(path: string): Promise<string[]> {
  const entries = await readdir(path, { withFileTypes: true })
  const folders = await Promise.all(
    entries.map(async (entry) => {
      if (!entry.isSymbolicLink()) return entry.isDirectory()
      return (await statOrNothing(join(path, entry.name)))?.isDirectory() ?? false
    }),
  )
  return entries
    .map((entry, i) => ({ name: entry.name, folder: folders[i] }))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ name, folder }) => (folder ? `${name}/` : name))
}

/** The files of this machine. */
export const files: Files = {
  shared: true,
  read: (path) => naming(path, () => read(path), readError),
  readRange: (path, offset, length) => naming(path, () => readRange(path, offset, length), readError),
  async size(path) {
    return (await statOrNothing(path))?.size
  },
  async kind(path) {
    const found = await statOrNothing(path)
    if (found?.isDirectory()) return 'folder'
    return found?.isFile() ? 'file' : undefined
  },
  list: (path) => naming(path, () => list(path), readError),
  entries: (path) => naming(path, () => entries(path), readError),
  realPath: (path) => naming(path, () => realpath(path), readError),
  async makeFolder(path) {
    await naming(path, () => makeFolder(path))
  },
  writeAtomic: (path, data) => writeTogether([[path, data]]),
  writeTogether,
  append: (path, text, flush = false) => naming(path, () => append(path, text, flush)),
  move: (from, to) => naming(to, () => move(from, to)),
  remove: (path) => naming(path, () => rm(path, { recursive: true, force: true })),
  join: (...parts) => join(...parts),
  baseName: (path) => basename(path),
  resolve: (path) => resolve(path),
}
