// Flags that are keys of a configuration (`--model.peft dora`, `--max_epochs 5`, `--lora.alpha 8`), as they are typed and as they
// change settings. Not here: what OTX's keys mean (settings/otx).
import { isRecord } from '../io/json.ts'
import { InputError } from '../platform/errors.ts'
import { nearest } from '../schema/nearest.ts'
import { topKeys } from '../settings/otx/keys.ts'
import { settings } from '../settings/schema.ts'
import type { TrainSettings } from '../settings/settings.ts'
import { parseValue } from './yaml-text.ts'

/** The flag that such flags are handed on by. */
export const carrier = '--set'

/** A dot, or an underscore, which no flag of ours has; and two words that OTX's command line has. */
const shape = /^--([A-Za-z]\w*(?:\.\w+)+|[a-z]+(?:_[a-z]+)+|precision|deterministic)(?:=([\s\S]*))?$/

/** Arguments in which each dotted flag is `--set key=value`. Throws an InputError on one without a value. */
export function carryDotted(args: readonly string[]): string[] {
  const carried: string[] = []
  for (let i = 0; i < args.length; i++) {
    const arg = args[i]!
    if (arg === '--') return [...carried, ...args.slice(i)]
    const [, key, joined] = shape.exec(arg) ?? []
    if (key === undefined) carried.push(arg)
    else if (key === 'print_config') carried.push('--print-config')
    else {
      const value = joined ?? args[++i]
      if (value === undefined) throw new InputError(`--${key}: must be given a value, got none`)
      carried.push(carrier, `${key}=${value}`)
    }
  }
  return carried
}

export interface Dotted {
  /** For keys of OTX's configurations. */
  readonly theirs: readonly (readonly [string, unknown])[]
  /** For settings of ours that are tables. */
  readonly own: readonly (readonly [string, unknown])[]
}

const ownNames = Object.keys(settings)

/** Tells keys of OTX's from settings of ours, and reads their values. Throws an InputError on what is neither. */
export function readDotted(carried: readonly string[]): Dotted {
  const [theirs, own]: [[string, unknown][], [string, unknown][]] = [[], []]
  for (const one of carried) {
    const at = one.indexOf('=')
    const key = one.slice(0, at)
    const root = key.split('.')[0]!
    const value = parseValue(one.slice(at + 1), `--${key}`)
    if (Object.hasOwn(topKeys, root)) theirs.push([key, value])
    else if (key.includes('.') && Object.hasOwn(settings, root)) own.push([key, value])
    else {
      const meant = nearest(root, [...Object.keys(topKeys), ...ownNames])
      const flag =
        meant !== undefined && Object.hasOwn(settings, meant) && !key.includes('.') ? flagOf(meant) : `--${meant}`
      throw new InputError(
        `--${key}: is no option here; ${meant ? `did you mean ${flag}?` : 'see vitune train --help'}`,
      )
    }
  }
  return { theirs, own }
}

const flagOf = (name: string): string => {
  const { flag } = (settings as Readonly<Record<string, { flag?: string }>>)[name]!
  return flag?.split(' ')[0] ?? `--${name}`
}

/** A table with a value at a place inside. */
function nested(table: unknown, [key, ...rest]: readonly string[], value: unknown): unknown {
  if (key === undefined) return value
  const entries = new Map(isRecord(table) ? Object.entries(table) : [])
  return Object.fromEntries(entries.set(key, nested(entries.get(key), rest, value)))
}

/** Settings with values inside those that are tables. */
export const withOwn = (given: Partial<TrainSettings>, own: Dotted['own']): Partial<TrainSettings> =>
  own.reduce((values, [key, value]) => nested(values, key.split('.'), value) as Partial<TrainSettings>, given)
