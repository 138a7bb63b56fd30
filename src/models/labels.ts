// The names of classes as people and libraries write them: id2label and label2id of a config.json, lists, files of lines.
import { isRecord, parseJson } from '../io/json.ts'
import { InputError } from '../platform/errors.ts'

/** Names in the order of the logits. */
export interface Labels {
  readonly names: string[]
  /** What of them was read otherwise than it stands there, a sentence each. */
  readonly notes: readonly string[]
}

type Json = Readonly<Record<string, unknown>>

/** `LABEL_3`, as Hugging Face calls what has no name. */
const generic = (i: number): string => `LABEL_${i}`

/** Whether these are numbers and no names. */
export const areGeneric = (names: readonly string[]): boolean => names.every((name) => /^LABEL_\d+$/.test(name))

/** Names for classes of which only the number is known. */
export const numbered = (count: number): string[] => Array.from({ length: count }, (_, i) => generic(i))

/** A whole number, also where it is written as text; undefined for anything else. */
function wholeNumber(value: unknown): number | undefined {
  if (typeof value === 'string' && !/^\s*\d{1,7}\s*$/.test(value)) return undefined
  const number = typeof value === 'string' || typeof value === 'number' ? Number(value) : Number.NaN
  return Number.isInteger(number) && number >= 0 && number < 1e7 ? number : undefined
}

const textOf = (value: unknown): string | undefined =>
  typeof value === 'string' ? value : typeof value === 'number' && Number.isFinite(value) ? String(value) : undefined

/** Which way a map goes: numbers to names, or names to numbers. */
type Way = 'names' | 'numbers'

/** Class numbers and names of a map: of the way that is expected, or else of the other. */
function pairsOf(map: Json, way: Way): [number, string][] | undefined {
  const entries = Object.entries(map)
  const toNames = entries.map(([key, value]) => [wholeNumber(key), textOf(value)] as const)
  const toNumbers = entries.map(([key, value]) => [wholeNumber(value), key] as const)
  const [first, second] = way === 'names' ? [toNames, toNumbers] : [toNumbers, toNames]
  const whole = (pairs: typeof first) => pairs.every(([i, name]) => i !== undefined && name !== undefined)
  return (whole(first) ? first : whole(second) ? second : undefined) as [number, string][] | undefined
}

/** Names that are empty are those of numbers; names that stand more than once are told apart by theirs. */
function toldApart(given: readonly string[], what: string): Labels {
  const names = given.map((name, i) => (name === '' ? generic(i) : name))
  const empty = given.indexOf('')
  const nameless = empty < 0 ? [] : [`${what} has an empty name for class ${empty}; it is only numbered`]
  const times = new Map<string, number>()
  for (const name of names) times.set(name, (times.get(name) ?? 0) + 1)
  const twice = names.find((name) => times.get(name)! > 1)
  if (twice === undefined) return { names, notes: nameless }
  return {
    names: names.map((name, i) => (times.get(name)! > 1 ? `${name} (${i})` : name)),
    notes: [...nameless, `${what} names several classes "${twice}"; they are told apart by their numbers`],
  }
}

/**
 * Names of `count` classes (as many as there are, where it is undefined) from a list, or a map of numbers and names.
 * Numbers that end with the last output are those of the outputs; others, from any start, are taken in their order.
 * Throws an InputError where a class has no name.
 */
export function readLabels(value: unknown, count: number | undefined, what: string, way: Way = 'names'): Labels {
  if (Array.isArray(value)) {
    const names = value.map(textOf)
    const bad = names.indexOf(undefined)
    if (bad >= 0) throw new InputError(`${what} must name its classes, got ${JSON.stringify(value[bad])} for ${bad}`)
    checkCount(names.length, count, what)
    return toldApart(names as string[], what)
  }
  const pairs = isRecord(value) ? pairsOf(value, way) : undefined
  if (!pairs) throw new InputError(`${what} must be a list of names, or numbers with names, got ${shown(value)}`)
  pairs.sort(([a], [b]) => a - b)
  const again = pairs.find(([i], at) => i === pairs[at - 1]?.[0])
  if (again) throw new InputError(`${what} must name a class once, got ${again[0]} twice`)
  const first = pairs[0]?.[0] ?? 0
  const last = pairs.at(-1)?.[0] ?? 0
  if (count !== undefined && last === count - 1) {
    const names = numbered(count)
    for (const [i, name] of pairs) names[i] = name
    const { names: apart, notes } = toldApart(names, what)
    const without = count - pairs.length
    return {
      names: apart,
      notes: without > 0 ? [`${what} names ${pairs.length} of ${count} classes`, ...notes] : notes,
    }
  }
  const gap = pairs.findIndex(([i], at) => i !== first + at)
  if (gap >= 0) {
    const range = `${first} to ${first + pairs.length - 1}`
    throw new InputError(`${what} must name classes ${range}, got no text for ${first + gap}`)
  }
  checkCount(pairs.length, count, what)
  const { names, notes } = toldApart(
    pairs.map(([, name]) => name),
    what,
  )
  return {
    names,
    notes: first > 0 ? [`${what} starts at ${first}; its names are taken in their order`, ...notes] : notes,
  }
}

const shown = (value: unknown) => JSON.stringify(value)?.slice(0, 80)

function checkCount(got: number, count: number | undefined, what: string): void {
  if (count !== undefined && got !== count) throw new InputError(`${what} must name ${count} classes, got ${got}`)
}

/**
 * Class names of a config.json, in the order of the logits: id2label, or label2id where that alone has names, or numbers
 * where only num_labels is there. `count` is the number of outputs, where it is known.
 */
export function labelsOf(json: Json, count?: number): Labels {
  const given = (key: string) => {
    const value = json[key]
    const empty = value === undefined || value === null || (isRecord(value) && Object.keys(value).length === 0)
    return empty ? undefined : value
  }
  const direct = given('id2label')
  const inverse = given('label2id')
  if (direct === undefined && inverse === undefined) return { names: numbered(countOf(json)), notes: [] }
  const read = (value: unknown, key: 'id2label' | 'label2id') =>
    readLabels(value, count, `config.json: ${key}`, key === 'id2label' ? 'names' : 'numbers')
  if (direct === undefined) return read(inverse, 'label2id')
  const labels = read(direct, 'id2label')
  if (inverse === undefined) return labels
  const other = tried(() => read(inverse, 'label2id').names)
  if (!other || JSON.stringify(other) === JSON.stringify(labels.names)) return labels
  if (areGeneric(labels.names) && !areGeneric(other) && other.length === labels.names.length) {
    return { names: other, notes: ['config.json: label2id names the classes, id2label only numbers them'] }
  }
  return { ...labels, notes: [...labels.notes, 'config.json: id2label is taken, label2id says otherwise'] }
}

function countOf(json: Json): number {
  const value = json.num_labels ?? 0
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 1e6) return value
  throw new InputError(`config.json: num_labels must be a number from 0 to 1000000, got ${JSON.stringify(value)}`)
}

function tried<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}

/** The text of a file; what an editor saved as UTF-16 would be names of other letters. */
function utf8(bytes: Uint8Array, file: string): string {
  const text = tried(() => new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  if (text === undefined || text.includes('\0')) {
    throw new InputError(`${file}: must hold names as UTF-8 text, got other bytes; save it as UTF-8`)
  }
  return text
}

/** Names for a model's `count` classes from the text of a file: one a line, or JSON, a list or an id2label object. */
export function parseLabels(data: string | Uint8Array, count: number, file: string): Labels {
  const text = typeof data === 'string' ? data : utf8(data, file)
  const trimmed = text.replace(/^\ufeff/, '').trim()
  if (/^[[{]/.test(trimmed)) {
    const json = tried(() => parseJson(trimmed, file))
    if (json !== undefined) {
      const config = isRecord(json) && ('id2label' in json || 'label2id' in json)
      return config ? labelsOf(json, count) : readLabels(json, count, file)
    }
  }
  const lines = trimmed.split(/\r?\n/).map((line) => line.trim())
  const empty = lines.indexOf('')
  if (empty >= 0 && trimmed !== '')
    throw new InputError(`${file}: must have a name in each line, got none in line ${empty + 1}`)
  return readLabels(trimmed === '' ? [] : lines, count, file)
}
