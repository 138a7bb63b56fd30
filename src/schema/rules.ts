// What values may be: schemas of valibot that know their own words for what they must be, so that a refusal reads as all
// others do. For each function that takes options, one table of names with such rules. A name that is in no table is
// refused, since whoever wrote it meant something.
import {
  array,
  boolean,
  check,
  custom,
  finite,
  function_,
  type GenericSchema,
  getMetadata,
  gtValue,
  integer,
  is,
  ltValue,
  maxValue,
  metadata,
  minLength,
  minValue,
  number,
  picklist,
  pipe,
  string,
  union,
} from 'valibot'
import { isRecord } from '../io/json.ts'
import { InputError } from '../platform/errors.ts'
import { nearest } from './nearest.ts'

/** What a value may be; made by the functions here, which know how to say it. */
export type Rule<T = unknown> = GenericSchema<T>

/** A rule for each of an interface's fields; the compiler names those that are missing. */
export type RulesOf<T> = { readonly [K in keyof T]-?: Rule }

/** Gives a schema its words, as the end of 'must be ...'. */
const said = <T>(schema: GenericSchema<T>, says: string): Rule<T> =>
  pipe(schema, metadata<T, { readonly says: string }>({ says }))

/** What a value must be, as the end of 'must be ...'. */
export const saysOf = (rule: Rule): string => String(getMetadata(rule).says)

const finiteNumber = pipe(number(), finite())
const fullText = pipe(string(), minLength(1))

/** `of` says what is counted: 'a whole number of steps'. */
export const whole = (from: number, to = Number.MAX_SAFE_INTEGER, of = 'a whole number'): Rule<number> =>
  said(
    pipe(number(), integer(), minValue(from), maxValue(to)),
    `${of} from ${from}${to < Number.MAX_SAFE_INTEGER ? ` to ${to}` : ''}`,
  )
export const above = (least: number, of = 'above'): Rule<number> =>
  said(pipe(finiteNumber, gtValue(least)), `${of} ${least}`)
export const atLeast = (least: number, of = (limit: number) => `at least ${limit}`): Rule<number> =>
  said(pipe(finiteNumber, minValue(least)), of(least))
/** A share that may be 0, which switches it off, but not 1. */
export const part: Rule<number> = said(pipe(number(), minValue(0), ltValue(1)), 'in [0, 1)')
/** A share that may be 1, which is all, but not 0. */
export const share: Rule<number> = said(pipe(number(), gtValue(0), maxValue(1)), 'in (0, 1]')
export const between: Rule<number> = said(pipe(number(), gtValue(0), ltValue(1)), 'a number in (0, 1)')
export const within = (least: number, most: number, of: string): Rule<number> =>
  said(pipe(number(), minValue(least), maxValue(most)), `${of}, from ${least} to ${most}`)
/** Two numbers, the first not above the second. */
export const span = (least: number, most: number, of: string): Rule<[number, number]> =>
  said(
    custom<[number, number]>(
      (value) =>
        Array.isArray(value) &&
        value.length === 2 &&
        value.every((one) => typeof one === 'number' && one >= least && one <= most) &&
        value[0] <= value[1],
    ),
    `${of} as two numbers, least and most, from ${least}${most < Number.MAX_VALUE ? ` to ${most}` : ''}`,
  )
export const choice = <const T extends string>(words: readonly T[]): Rule<T> =>
  said(picklist(words), `one of ${words.join(', ')}`)
/** One of two values. */
export const oneOf = <const T extends string | number>(...values: readonly T[]): Rule<T> =>
  said(picklist(values), values.join(' or '))
export const flag: Rule<boolean> = said(boolean(), 'true or false')
/** Any text, also an empty one. */
export const anyText: Rule<string> = said(string(), 'a text')
export const emptyText: Rule<''> = said(picklist(['']), 'an empty text')
/** A text that is not empty. */
export const text = (of: string): Rule<string> => said(fullText, of)
export const list = (of: string): Rule<string[]> => said(array(fullText), of)
export const textOrList = (of: string): Rule<string | string[]> => said(union([fullText, array(fullText)]), of)
export const wholes = (of: string): Rule<number[]> => said(array(pipe(number(), integer(), minValue(0))), of)
export const someOf = (of: string): Rule<unknown[]> => said(array(custom<unknown>(() => true)), of)
export const func: Rule = said(function_(), 'a function')
export const object: Rule<Record<string, unknown>> = said(custom<Record<string, unknown>>(isRecord), 'an object')
/** One word alone. */
export const word = <const T extends string>(only: T): Rule<T> => said(picklist([only]), only)
/** Either is fine. */
export const either = <A, B>(a: Rule<A>, b: Rule<B>): Rule<A | B> =>
  said(union([a, b]) as GenericSchema<A | B>, `${saysOf(a)}, or ${saysOf(b)}`)
/** A share written with its sign: '10%'. */
export const percent = (of: string): Rule<string> =>
  said(
    pipe(
      string(),
      check((value) => /^\d+(\.\d+)?%$/.test(value) && Number(value.slice(0, -1)) <= 100),
    ),
    `a share ${of} from 0% to 100%`,
  )
/** A table of numbers by text. */
export const numbers = (of: string, each: Rule<number> = number()): Rule<Record<string, number>> =>
  said(
    custom<Record<string, number>>((value) => isRecord(value) && Object.values(value).every((one) => is(each, one))),
    of,
  )

/** What a form or a command line must know of a rule. */
export interface Shape {
  readonly type: 'number' | 'choice' | 'flag' | 'text' | 'list' | 'other'
  /** Of a number. */
  readonly least?: number
  readonly most?: number
  readonly whole?: boolean
  /** Of a choice. */
  readonly options?: readonly (string | number)[]
}

interface Piece {
  readonly type: string
  readonly requirement?: unknown
  readonly options?: unknown
  readonly pipe?: readonly Piece[]
}
const piecesOf = (piece: Piece): Piece[] =>
  piece.pipe ? piece.pipe.flatMap((one) => (one === piece ? [] : piecesOf(one))) : [piece]

/** Reads a rule back. */
export function shapeOf(rule: Rule): Shape {
  const pieces = piecesOf(rule as unknown as Piece)
  const limit = (...types: string[]) => pieces.find(({ type }) => types.includes(type))?.requirement
  const { type } = rule
  if (type === 'picklist') return { type: 'choice', options: pieces[0]!.options as (string | number)[] }
  if (type === 'number') {
    const [least, most] = [limit('min_value', 'gt_value'), limit('max_value', 'lt_value')] as (number | undefined)[]
    const isWhole = pieces.some((piece) => piece.type === 'integer')
    return {
      type: 'number',
      ...(least === undefined ? {} : { least }),
      ...(most === undefined ? {} : { most }),
      whole: isWhole,
    }
  }
  const plain = { boolean: 'flag', string: 'text', array: 'list' } as const
  return { type: plain[type as keyof typeof plain] ?? 'other' }
}

/** A value as a message shows it: short, and a text that could be taken for something else in quotes. */
export function shown(value: unknown): string {
  if (typeof value === 'string' && /^[a-z][\w.-]{0,40}$/i.test(value) && !/^(true|false|null|nan)$/i.test(value)) {
    return value
  }
  if (typeof value === 'number' || typeof value === 'bigint' || value === undefined) return String(value)
  if (typeof value === 'function' || typeof value === 'symbol') return `a ${typeof value}`
  let json: string
  try {
    json = JSON.stringify(value) ?? String(value)
  } catch {
    return 'an object'
  }
  return json.length > 60 ? `${json.slice(0, 57)}...` : json
}

/** What is wrong with a value, as what follows its name; undefined where nothing is. */
export const wrongWith = (value: unknown, rule: Rule): string | undefined =>
  is(rule, value) ? undefined : `must be ${saysOf(rule)}, got ${shown(value)}`

/** Throws InputError where a value is not what the rule says. */
export function checkRule(name: string, value: unknown, rule: Rule): void {
  const wrong = wrongWith(value, rule)
  if (wrong !== undefined) throw new InputError(`${name}: ${wrong}`)
}

/**
 * Throws InputError where an option has another name or value than the table says; what is undefined was not given. `where`
 * comes before the option's name.
 */
export function checkRules(given: unknown, rules: Readonly<Record<string, Rule>>, where = ''): void {
  if (!isRecord(given)) throw new InputError(`${where || 'options'}: must be an object, got ${shown(given)}`)
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined) continue
    const known = Object.hasOwn(rules, name) ? rules[name]! : undefined
    if (!known) {
      const meant = nearest(name, Object.keys(rules))
      throw new InputError(
        `${where}${name.slice(0, 60)}: is no option here; ${meant ? `did you mean ${meant}?` : 'take it out'}`,
      )
    }
    checkRule(`${where}${name}`, value, known)
  }
}
