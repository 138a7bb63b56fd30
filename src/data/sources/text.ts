// The text of a file of labels: bounded, and UTF-8.
import { InputError } from '../../platform/errors.ts'
import type { Files } from '../../platform/platform.ts'

/** Bytes that a file of labels may have: a line for each of a million images. */
export const labelsLimit = 100_000_000

/** Reads it; throws an InputError that names the file. */
export async function labelsText(files: Files, path: string): Promise<string> {
  const size = (await files.size(path)) ?? 0
  if (size > labelsLimit) throw new InputError(`${path}: may hold ${labelsLimit} bytes of labels, got ${size}`)
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(await files.read(path))
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    throw new InputError(`${path}: must be text in UTF-8, got other bytes; save it as UTF-8`)
  }
}
