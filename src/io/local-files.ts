// The platform's files, or one clear sentence where there are none (a browser).
import { platform } from '#platform'
import { InputError } from '../platform/errors.ts'
import type { Files } from '../platform/platform.ts'

/** The local files; throws where the platform has none, naming what was wanted. */
export function localFiles(what: string): Files {
  if (platform.files) return platform.files
  throw new InputError(`${what}: needs local files, got a browser; fetch the bytes and pass them instead of a path`)
}

/**
 * Writes a file whole or not at all: to a temporary name beside it, flushed to the disk, then renamed. What was there
 * before stays until the rename, and stays for good when writing fails.
 */
export async function writeFileAtomic(path: string, data: string | Uint8Array | Iterable<Uint8Array>): Promise<void> {
  await localFiles(path).writeAtomic(path, data)
}
