// How a configuration of OTX or getitune is read: tables of keys, nodes that name a class, and the draft that fills up while
// they are walked through. Not here: what the keys and classes mean (classes.ts, keys.ts).
import { isRecord } from '../../io/json.ts'
import { nearest } from '../../schema/nearest.ts'
import { type Rule, shown, wrongWith } from '../../schema/rules.ts'
import type { TrainSettings } from '../settings.ts'

export type Path = readonly (string | number)[]
export type Table = Readonly<Record<string, unknown>>

/** What is wrong, and where: `model.init_args.peft`, and what follows that name. */
export interface Problem {
  readonly path: Path
  readonly text: string
}

/** What a configuration has come to so far. */
export interface Draft {
  /** All classes by their full names. */
  readonly classes: Readonly<Record<string, ClassOf>>
  readonly settings: Partial<TrainSettings>
  readonly notes: string[]
  readonly problems: Problem[]
  /** Keys that mean nothing here. */
  readonly idle: Set<string>
  /** Where what was taken of the metric that is watched stood, and its name there. */
  readonly monitors: { path: Path; name: string }[]
  /** Where the task was named, and which it is. */
  readonly tasks: { path: Path; task: NonNullable<TrainSettings['task']> }[]
  /** Where a metric was said to be better one way, and which metric, where it stood beside. */
  readonly modes: { path: Path; mode: string; metric?: string }[]
  /** The class of the model, once it was met. */
  model?: ClassOf
  package?: 'otx' | 'getitune'
  /** Why its model cannot be had, where another may still take its place. */
  missing?: Problem
  /** Epochs in which the rate rises, of how many a cosine is long, and what the interval of validation falls by. */
  warmupEpochs?: number
  cosineEpochs?: number
  decay?: number
}

/** What a key is: a rule for its value, the setting that it goes to, the one value that it may have, what reads it, or nothing here. */
export type Entry = Rule | Goes | Fixed | Reader | 'idle'
export type Reader = (value: unknown, path: Path, draft: Draft) => void
export interface Fixed {
  readonly only: unknown
}
/** A key that may only say what is so here in any case. */
export const fixed = (only: unknown): Fixed => ({ only })

export interface Goes {
  readonly to: keyof TrainSettings
  readonly rule: Rule
}
/** A key whose value is a setting as it stands. */
export const goes = (to: keyof TrainSettings, rule: Rule): Goes => ({ to, rule })

/** Keys that mean nothing here. */
export const idle = (...names: string[]): Readonly<Record<string, 'idle'>> =>
  Object.fromEntries(names.map((name) => [name, 'idle' as const]))

export type Role = 'model' | 'optimizer' | 'scheduler' | 'callback' | 'sampler' | 'transform' | 'logger' | 'metric'

/** A class as the table has it. */
export interface ClassOf {
  readonly role: Role
  /** Its arguments; none are read where it is idle. */
  readonly args: Readonly<Record<string, Entry>> | 'idle'
  /** Turns arguments that passed their rules into settings; `path` is that of the class. */
  readonly apply?: (args: Table, draft: Draft, path: Path) => void
  /** Of a model that transformers' Trainer trains, not Lightning's. */
  readonly trainer?: boolean
}

export const named = (path: Path): string =>
  path.map((part, i) => (typeof part === 'number' ? `[${part}]` : i > 0 ? `.${part}` : part)).join('')

export const own = <T>(table: Readonly<Record<string, T>>, key: string): T | undefined =>
  Object.hasOwn(table, key) ? table[key] : undefined

export const problem = (draft: Draft, path: Path, text: string): void => {
  draft.problems.push({ path, text })
}

export const note = (draft: Draft, text: string): void => {
  if (!draft.notes.includes(text)) draft.notes.push(text)
}

/** Whether two plain values are one; of lists only their members count. */
const same = (a: unknown, b: unknown): boolean =>
  Array.isArray(a) && Array.isArray(b) ? a.length === b.length && a.every((one, i) => one === b[i]) : a === b

/** Reads each key by its entry; what passed its rule, by name. None, which is null here, is what was not given. */
export function walk(value: unknown, entries: Readonly<Record<string, Entry>>, path: Path, draft: Draft): Table {
  if (value === null || value === undefined) return {}
  if (!isRecord(value)) {
    problem(draft, path, `must hold keys and values, got ${shown(value)}`)
    return {}
  }
  const passed: Record<string, unknown> = {}
  for (const [key, given] of Object.entries(value)) {
    const entry = own(entries, key)
    const at = [...path, key]
    if (entry === undefined) {
      const meant = nearest(key, Object.keys(entries))
      problem(draft, at, `is no key here; ${meant ? `did you mean ${meant}?` : 'take it out'}`)
    } else if (entry === 'idle') draft.idle.add(key)
    else if (typeof entry === 'function') entry(given, at, draft)
    else if (given === null) continue
    else if ('only' in entry) {
      if (!same(given, entry.only)) problem(draft, at, `can only be ${shown(entry.only)} here, got ${shown(given)}`)
    } else {
      const rule = 'to' in entry ? entry.rule : entry
      const wrong = wrongWith(given, rule)
      if (wrong !== undefined) problem(draft, at, withNearest(wrong, given, rule))
      else if ('to' in entry) Object.assign(draft.settings, { [entry.to]: given })
      else passed[key] = given
    }
  }
  return passed
}

/** The words that a rule takes. */
const wordsOf = (rule: unknown): string[] =>
  typeof rule === 'string' ? [rule] : ((rule as { options?: readonly unknown[] }).options ?? []).flatMap(wordsOf)

/** A refusal of a word that is none of a choice, with the one that was likely meant. */
function withNearest(wrong: string, given: unknown, rule: Rule): string {
  const meant = typeof given === 'string' ? nearest(given, wordsOf(rule).filter(Boolean)) : undefined
  return meant ? `${wrong}; did you mean ${meant}?` : wrong
}

/** Keys beside the arguments that a node of a class may have. */
const ofNodes = ['class_path', 'init_args', 'dict_kwargs', 'enable']

/** Whether a value is a node that names a class. */
export const isNode = (value: unknown): value is Table =>
  isRecord(value) && (Object.hasOwn(value, 'class_path') || Object.hasOwn(value, 'init_args'))

/** The class that a name stands for: in full, or its last part where that is enough, as jsonargparse has it. */
function classNamed(name: string, role: Role, classes: Readonly<Record<string, ClassOf>>): ClassOf | undefined {
  const found = own(classes, name)
  if (found) return found.role === role ? found : undefined
  if (name.includes('.')) return undefined
  return Object.entries(classes).find(([full, one]) => one.role === role && full.endsWith(`.${name}`))?.[1]
}

/**
 * Reads a node of a class: its class by the table, its arguments by that class's. A node without a class, of an override that stands
 * alone, is read by `without`.
 */
export function walkClass(value: unknown, role: Role, path: Path, draft: Draft, without?: ClassOf): void {
  if (value === null || value === undefined || value === '') return
  const node: unknown = typeof value === 'string' ? { class_path: value } : value
  const found = isRecord(node)
    ? classIn(node, role, draft.classes, without)
    : `must name a class by class_path, got ${shown(value)}`
  if (typeof found === 'string') problem(draft, path, found)
  else if ('text' in found) problem(draft, [...path, found.key], found.text)
  else if ((node as Table).enable !== false) readClass(node as Table, found, path, draft)
}

/** The class of a node, or what is wrong with the node or one of its keys. */
function classIn(
  node: Table,
  role: Role,
  classes: Readonly<Record<string, ClassOf>>,
  without?: ClassOf,
): ClassOf | string | { key: string; text: string } {
  const stray = Object.keys(node).find((key) => !ofNodes.includes(key))
  if (stray !== undefined) {
    const meant = nearest(stray, ofNodes)
    return { key: stray, text: `is no key here; ${meant ? `did you mean ${meant}?` : 'arguments stand in init_args'}` }
  }
  const { class_path: name } = node
  if (name === undefined) return without ?? 'must name its class by class_path'
  const kind = typeof name === 'string' ? classNamed(name, role, classes) : undefined
  if (kind) return kind
  const known = Object.keys(classes).filter((one) => classes[one]!.role === role)
  const meant = typeof name === 'string' ? nearestClass(name, known) : undefined
  const text = `is no ${role} that is known here, got ${shown(name)}`
  return { key: 'class_path', text: meant ? `${text}; did you mean ${meant}?` : text }
}

/** Reads the arguments of a node by its class. */
function readClass(node: Table, kind: ClassOf, path: Path, draft: Draft): void {
  const { class_path: name } = node
  if (kind.role === 'model' && name !== undefined) {
    draft.model = kind
    draft.package = String(name).startsWith('getitune.') ? 'getitune' : 'otx'
  }
  if (kind.args === 'idle') draft.idle.add(String(name))
  const { args } = kind
  const read = (key: string) => (args === 'idle' ? {} : walk(node[key], args, [...path, key], draft))
  kind.apply?.({ ...read('init_args'), ...read('dict_kwargs') }, draft, path)
}

/** The class that was likely meant: one whose last part is near, else whose whole name is. */
function nearestClass(name: string, known: readonly string[]): string | undefined {
  const last = (text: string) => text.slice(text.lastIndexOf('.') + 1)
  const ends = nearest(last(name), known.map(last))
  const those = known.filter((one) => last(one) === ends)
  const root = name.slice(0, Math.max(0, name.indexOf('.')))
  return those.find((one) => one.startsWith(`${root}.`)) ?? those[0] ?? nearest(name, known)
}

/** Reads each of a list of nodes. */
export function walkList(value: unknown, role: Role, path: Path, draft: Draft): void {
  if (value === null || value === undefined) return
  const list = Array.isArray(value) ? value : [value]
  for (const [i, one] of list.entries()) walkClass(one, role, Array.isArray(value) ? [...path, i] : path, draft)
}

/** [height, width], or one number for both. */
export const inputSize: Reader = (value, path, draft) => {
  if (value === null || value === 'auto' || value === '$(input_size)') return
  const [height, width] = Array.isArray(value) && value.length === 2 ? value : [value, value]
  if (height !== width || !Number.isInteger(height) || (height as number) < 1 || (height as number) > 8192) {
    return problem(draft, path, 'must be one side in pixels, or the same one twice: inputs are square here')
  }
  draft.settings.inputSize = height as number
}

/** The same class in both packages. */
export const native = (path: string, kind: ClassOf): Record<string, ClassOf> => ({
  [`otx.backend.native.${path}`]: kind,
  [`getitune.backend.lightning.${path}`]: kind,
})
