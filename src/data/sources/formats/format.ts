// What a published data set's layout is, and how its files are reached: below the folder that was given, at one of the places
// that archives and mirrors put them. What each layout is stands in a file of its own, which of them there are in registry.ts.
import { InputError } from '../../../platform/errors.ts'
import type { Files } from '../../../platform/platform.ts'
import type { ListedItem } from '../listed-files.ts'
import { labelsText } from '../text.ts'

/** What the files of a layout say. */
export interface FormatListing {
  readonly items: readonly ListedItem[]
  /** Names of all classes, in the set's own order. */
  readonly declared: readonly string[]
  readonly notes: readonly string[]
}

/** A layout. */
export interface Format {
  /** The set's own name. */
  readonly title: string
  /** Folders below the one that was given in which the set may lie, '' for that itself; with '/' between them. */
  readonly folders: readonly string[]
  /** Whether its files are there. */
  is(place: Place): Promise<boolean>
  /** Whether they are there beyond doubt, where that takes more. */
  sure?(place: Place): Promise<boolean>
  /** What tells it, in words: said where it was asked for and is not there. */
  readonly wants: string
  /** False where its files alone do not say what is to be learnt of them; then `hint` says it. */
  readonly alone?: false
  readonly hint?: string
  read(place: Place): Promise<FormatListing>
}

/** Where a set lies. */
export interface Place {
  readonly files: Files
  /** Its folders below the one that was given. */
  readonly from: readonly string[]
  /** The path of a file of the set, for reading and for messages. */
  path(name: string): string
  kind(name: string): Promise<'file' | 'folder' | undefined>
  /** The first of these that is there. */
  first(kind: 'file' | 'folder', names: readonly string[]): Promise<string | undefined>
  /** A file's text; throws an InputError where it is not there or too long. */
  text(name: string): Promise<string>
}

/** A place below `root`. */
export function placeIn(files: Files, root: string, folder: string): Place {
  const from = folder === '' ? [] : folder.split('/')
  const path = (name: string) => files.join(root, ...from, ...name.split('/').filter((part) => part !== ''))
  const kind = (name: string) => files.kind(path(name))
  return {
    files,
    from,
    path,
    kind,
    async first(wanted, names) {
      for (const name of names) if ((await kind(name)) === wanted) return name
      return undefined
    },
    async text(name) {
      if ((await kind(name)) !== 'file') throw new InputError(`${path(name)}: must be there, got none; restore the set`)
      return labelsText(files, path(name))
    },
  }
}

/** Whether all of these are there: names that end in '/' as folders. */
export async function hasAll({ kind }: Place, ...names: readonly string[]): Promise<boolean> {
  for (const name of names) {
    if ((await kind(name.replace(/\/$/, ''))) !== (name.endsWith('/') ? 'folder' : 'file')) return false
  }
  return true
}

/** Those of the names that are there and are not read, as a note; or nothing. */
export async function notReadNote({ kind, path }: Place, names: readonly string[], why: string): Promise<string[]> {
  const there: string[] = []
  for (const name of names) if ((await kind(name)) !== undefined) there.push(name)
  return there.length === 0 ? [] : [`${there.join(', ')} in ${path('')}: not read${why}`]
}

/** Lines that one file may have. */
const mostLines = 2_000_000

/** A line that says something, and where it stands. */
export interface Line {
  readonly at: string
  readonly text: string
}

/** The lines of a file but for empty ones, without blanks around them. */
export async function linesOf(place: Place, name: string): Promise<Line[]> {
  const lines = (await place.text(name)).replace(/^\ufeff/, '').split(/\r?\n/)
  const path = place.path(name)
  if (lines.length > mostLines) throw new InputError(`${path}: may have ${mostLines} lines, got ${lines.length}`)
  return lines.map((text, i) => ({ at: `${path}, line ${i + 1}`, text: text.trim() })).filter(({ text }) => text !== '')
}

/** Lines of two words, the second of which may have blanks in it. */
export async function pairsOf(
  place: Place,
  name: string,
  what: string,
): Promise<{ at: string; key: string; value: string }[]> {
  return (await linesOf(place, name)).map(({ at, text }) => {
    const [, key, value] = /^(\S+)\s+(.+)$/.exec(text) ?? []
    if (key === undefined || value === undefined) {
      throw new InputError(`${at}: must be ${what}, got ${JSON.stringify(text.slice(0, 60))}`)
    }
    return { at, key, value }
  })
}

/** Pairs of which each key comes once, by key. */
export async function mapOf(
  place: Place,
  name: string,
  what: string,
): Promise<Map<string, { at: string; value: string }>> {
  const found = new Map<string, { at: string; value: string }>()
  for (const { at, key, value } of await pairsOf(place, name, what)) {
    if (found.has(key)) throw new InputError(`${at}: ${key} must stand here once, got it twice; keep one line`)
    found.set(key, { at, value })
  }
  return found
}

/** Throws an InputError on a class that is not in the set's list. */
export function knownClass(name: string, declared: ReadonlySet<string>, at: string, list: string): string {
  if (declared.has(name)) return name
  throw new InputError(`${at}: the class must be one of ${list}, got ${JSON.stringify(name)}`)
}

/** The classes that a file lists, each once; throws an InputError. */
export function checkClasses(names: readonly Line[], path: string): string[] {
  const seen = new Set<string>()
  for (const { at, text } of names) {
    if (seen.has(text)) throw new InputError(`${at}: each class must stand here once, got ${text} twice`)
    seen.add(text)
  }
  if (seen.size < 2) throw new InputError(`${path}: must list two classes or more, got ${seen.size}`)
  return [...seen]
}
