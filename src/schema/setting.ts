// A setting stands in one place: what it may be, what holds without it, and how people learn of it. Tables of settings are
// made into rules, defaults, flags, a form and documentation. Pure.
import type { Rule } from './rules.ts'

/** Under what settings are shown, in this order. */
export const groups = [
  'Input and output',
  'Data',
  'Task',
  'Training',
  'Augmentation',
  'LoRA and DoRA',
  'Model',
  'Machine',
] as const
export type Group = (typeof groups)[number]

export interface Setting<T = unknown> {
  readonly value: Rule<T>
  /** What holds without it. */
  readonly default?: T
  /** The same in words, where it depends on others or takes explaining. */
  readonly otherwise?: string
  readonly description: string
  /** What the flag does, where it switches off what is on without it. */
  readonly without?: string
  /** What a form calls it, where its name is none. */
  readonly title?: string
  readonly group: Group
  /** '--batch-size <n>'; '--no-shuffle' for what is on without it; absent where no flag can say it. */
  readonly flag?: string
  /** A second flag that gives false, where the first takes a value. */
  readonly off?: string
  /** Makes a value of a flag's text, where the rule alone does not say how. */
  readonly read?: (text: string) => unknown
  /** Whether a run that is continued may have another one; `place`: only where changes are accepted, since it says where something lies. */
  readonly again?: boolean | 'place'
}

/** A setting for each of an interface's fields, of its type; the compiler names those that are missing. */
export type SettingsOf<T> = { readonly [K in keyof T]-?: Setting<Exclude<T[K], undefined>> }
export type Settings = Readonly<Record<string, Setting>>

/** What holds of these settings where nothing is given. */
export type DefaultsOf<S> = {
  readonly [K in keyof S as S[K] extends { readonly default: unknown } ? K : never]: S[K] extends {
    readonly default: infer D
  }
    ? D
    : never
}

export const defaultsOf = <S extends Settings>(settings: S): DefaultsOf<S> =>
  Object.fromEntries(
    Object.entries(settings).flatMap(([name, setting]) => ('default' in setting ? [[name, setting.default]] : [])),
  ) as DefaultsOf<S>

export const rulesOf = <S extends Settings>(settings: S): { readonly [K in keyof S]: S[K]['value'] } =>
  Object.fromEntries(Object.entries(settings).map(([name, { value }]) => [name, value])) as {
    readonly [K in keyof S]: S[K]['value']
  }

/** These of them. */
export const only = <S extends Settings, K extends keyof S & string>(settings: S, ...names: K[]): Pick<S, K> =>
  Object.fromEntries(names.map((name) => [name, settings[name]])) as Pick<S, K>

/** The names in a text, between commas. */
export const namesOf = (text: string): string[] =>
  text
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '')

/** A value as a flag has it. */
const asText = (value: unknown): string => (Array.isArray(value) ? value.join(',') : String(value))

/** What holds without a setting, in words; undefined for what is merely off or on. */
export function otherwiseOf({ default: value, otherwise }: Setting): string | undefined {
  const known = value !== undefined && typeof value !== 'boolean' ? asText(value) : undefined
  return known === undefined ? otherwise : otherwise === undefined ? known : `${known}, ${otherwise}`
}
