// A folder that is made whole or not at all: filled beside its place under a hidden name, then given its own.
import { platform } from '#platform'
import { InputError, WriteError } from '../platform/errors.ts'
import { localFiles } from './local-files.ts'

/** Throws an InputError unless `path` is free for a new folder, or is an empty one; `what` is what the place is called. */
export async function checkNewFolder(path: string, what: string): Promise<void> {
  const files = localFiles(path)
  const kind = await files.kind(path)
  if (kind === 'file') throw new InputError(`${what}: must be a folder, got the file ${path}`)
  if (kind === 'folder' && (await files.list(path)).length > 0) {
    throw new InputError(`${what}: must be a new or empty folder, got ${path}, which has files in it`)
  }
}

/**
 * Makes the folder `path` of what `fill` writes into the folder that it is given. Where that fails, or the process ends,
 * nothing is at `path`; what is then left beside it is swept the next time. Throws an InputError where the place is taken.
 */
export async function makeNewFolder(
  path: string,
  what: string,
  fill: (folder: string) => Promise<void>,
): Promise<void> {
  const files = localFiles(path)
  if (!files.move) return fill(path)
  const place = files.resolve(path)
  const beside = (ending: string) => files.join(place, '..', `.${files.baseName(place)}.${ending}`)
  await checkNewFolder(path, what)
  await files.makeFolder(files.join(place, '..'))
  const lock = await platform.takeLock(beside('lock'))
  if (!('release' in lock)) {
    const remedy = lock.known
      ? 'wait for its end or choose another folder'
      : `remove ${lock.path} if nothing writes there`
    throw new InputError(`${what}: ${path} is being made by ${lock.who}; ${remedy}`)
  }
  const unfinished = beside('tmp')
  try {
    await files.remove(unfinished)
    await files.makeFolder(unfinished)
    await fill(unfinished)
    await checkNewFolder(path, what)
    try {
      await files.move(unfinished, place)
    } catch (error) {
      // The folder that is there cannot go: a link, a mounted disk.
      if (!(error instanceof WriteError) || (await files.kind(place)) !== 'folder') throw error
      await checkNewFolder(path, what)
      await fill(place)
    }
  } catch (error) {
    // Nobody knows the hidden name.
    throw error instanceof WriteError ? new WriteError(error.message.replace(unfinished, path), error.code) : error
  } finally {
    await files.remove(unfinished)
    await lock.release()
  }
}
