// Reading JSON that others wrote: its size, its depth and its names are bounded before anyone relies on them.
import { InputError } from '../platform/errors.ts'
import { localFiles } from './local-files.ts'

/** What JSON may weigh here: a configuration of 22,000 classes has 2 MB, the header of the largest models less. */
export const jsonLimit = 8_000_000
const deepest = 100

/** Refuses what costs more to parse than it can be worth: a million names, or lists in lists without end. */
function checkSize(text: string, file: string, limit: number): void {
  if (text.length > limit) throw new InputError(`${file}: may hold ${limit} bytes of JSON, got ${text.length}`)
  let depth = 0
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i)
    if (c === 0x22) for (i++; i < text.length && text.charCodeAt(i) !== 0x22; i++) if (text.charCodeAt(i) === 0x5c) i++
    if (c === 0x5b || c === 0x7b) depth++
    else if (c === 0x5d || c === 0x7d) depth--
    if (depth > deepest) throw new InputError(`${file}: JSON may be nested ${deepest} deep, got more`)
  }
}

/** Where a parser stopped, in words of our own. */
function whereBroken(error: unknown, text: string): string {
  const [, position] = (error instanceof Error ? error.message : '').match(/position (\d+)/) ?? []
  if (text.trim() === '') return 'an empty file'
  if (position === undefined || Number(position) >= text.length) return 'text that is none, perhaps cut short'
  const before = text.slice(0, Number(position)).split('\n')
  return `text that is none at line ${before.length}, column ${before.at(-1)!.length + 1}`
}

/** Whether an object inside has the key; label2id may, since there the keys are names of classes, which are never settings. */
function hasKey(value: unknown, key: string): boolean {
  if (typeof value !== 'object' || value === null) return false
  if (Object.hasOwn(value, key)) return true
  return Object.entries(value).some(([name, inner]) => name !== 'label2id' && hasKey(inner, key))
}

function decoded(bytes: Uint8Array, file: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw new InputError(`${file}: must hold JSON, got bytes that are no UTF-8`)
  }
}

/** Parses JSON text of at most `limit` letters; throws an InputError that names the file. */
export function parseJson(text: string, file: string, limit = jsonLimit): unknown {
  checkSize(text, file, limit)
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new InputError(`${file}: must hold JSON, got ${whereBroken(error, text)}`)
  }
}

/** An object in a JSON file; throws an InputError that names the file. */
export async function readJsonObject(path: string): Promise<Record<string, unknown>> {
  const files = localFiles(path)
  const kind = await files.kind(path)
  if (kind !== 'file') throw new InputError(`${path}: must be a file, got ${kind ? `a ${kind}` : 'none'}`)
  // Asked first: a file of any length is made in no time.
  const size = (await files.size(path)) ?? 0
  if (size > jsonLimit) throw new InputError(`${path}: may hold ${jsonLimit} bytes of JSON, got ${size}`)
  const text = decoded(await files.read(path), path)
  const json = parseJson(text, path)
  if (!isRecord(json)) throw new InputError(`${path}: must hold a JSON object`)
  // Where settings are put together this name would change what an object is.
  if (/__proto__|\\u/.test(text) && hasKey(json, '__proto__'))
    throw new InputError(`${path}: may not have a "__proto__"; take it out`)
  return json
}

/** Whether a parsed JSON value is an object (not null, not an array). */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
