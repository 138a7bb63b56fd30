// What both kinds of a browser's files share. Paths are absolute; '/' is the root, which '..' cannot leave.
import type { FolderEntry } from './platform.ts'

/** The parts of a path, with '.' and '..' worked out. */
export function partsOf(path: string): string[] {
  const parts: string[] = []
  for (const part of path.split('/')) {
    if (part === '..') parts.pop()
    else if (part !== '' && part !== '.') parts.push(part)
  }
  return parts
}

export const join = (...parts: string[]): string => parts.join('/').replace(/\/{2,}/g, '/')
export const resolve = (path: string): string => `/${partsOf(path).join('/')}`
export const baseName = (path: string): string => partsOf(path).at(-1) ?? ''

/** The error of Node for what is not there. */
export const absent = (path: string): Error =>
  Object.assign(new Error(`ENOENT: no such file or folder, ${path}`), { code: 'ENOENT' })

/** A name that nothing else has; `crypto.randomUUID` is for secure pages alone. */
export const randomId = (): string =>
  [...crypto.getRandomValues(new Uint8Array(8))].map((byte) => byte.toString(16).padStart(2, '0')).join('')

/** What is in a folder, from its list: here are no links. */
export const entriesOf = (list: readonly string[]): FolderEntry[] =>
  list.map((name) => (name.endsWith('/') ? { name: name.slice(0, -1), kind: 'folder' } : { name, kind: 'file' }))
