// What options may be: for each function that takes some, one table of names with what their values must be. A name that is
// in no table is refused, since whoever wrote it meant something.
import { isRecord } from '../io/json.ts'
import { InputError } from '../platform/errors.ts'

export interface Rule {
  /** What a value must be, as the end of 'must be ...'. */
  readonly says: string
  readonly fits: (value: unknown) => boolean
}

/** A rule for each of an interface's fields; the compiler names those that are missing. */
export type RulesOf<T> = { readonly [K in keyof T]-?: Rule }

const rule = (says: string, fits: (value: unknown) => boolean): Rule => ({ says, fits })
const isNumber = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value)
const isText = (value: unknown): value is string => typeof value === 'string' && value !== ''

/** A finite number of which this holds. */
export const number = (says: string, fits: (value: number) => boolean): Rule =>
  rule(says, (value) => isNumber(value) && fits(value))
/** `of` says what is counted: 'a whole number of steps'. */
export const whole = (from: number, to = Number.MAX_SAFE_INTEGER, of = 'a whole number'): Rule =>
  number(
    `${of} from ${from}${to < Number.MAX_SAFE_INTEGER ? ` to ${to}` : ''}`,
    (value) => Number.isInteger(value) && value >= from && value <= to,
  )
/** A share that may be 0, which switches it off, but not 1. */
export const part: Rule = number('in [0, 1)', (value) => value >= 0 && value < 1)
export const choice = (words: readonly string[]): Rule =>
  rule(`one of ${words.join(', ')}`, (value) => words.includes(value as string))
export const flag: Rule = rule('true or false', (value) => typeof value === 'boolean')
/** Any text, also an empty one. */
export const string: Rule = rule('a text', (value) => typeof value === 'string')
/** A text that is not empty. */
export const text = (of: string): Rule => rule(of, isText)
export const list = (of: string): Rule => rule(of, (value) => Array.isArray(value) && value.every(isText))
export const textOrList = (of: string): Rule =>
  rule(of, (value) => isText(value) || (Array.isArray(value) && value.every(isText)))
export const wholes = (of: string): Rule =>
  rule(of, (value) => Array.isArray(value) && value.every((n) => Number.isInteger(n) && n >= 0))
export const someOf = (of: string): Rule => rule(of, (value) => Array.isArray(value))
export const func: Rule = rule('a function', (value) => typeof value === 'function')
export const object: Rule = rule('an object', isRecord)
/** One word alone. */
export const word = (only: string): Rule => rule(only, (value) => value === only)
/** Either is fine. */
export const either = (a: Rule, b: Rule): Rule =>
  rule(`${a.says}, or ${b.says}`, (value) => a.fits(value) || b.fits(value))
/** A table of numbers by text. */
export const numbers = (of: string): Rule =>
  rule(of, (value) => isRecord(value) && Object.values(value).every((entry) => isNumber(entry)))
/** A table of numbers above 0 by text. */
export const weights = (of: string): Rule =>
  rule(of, (value) => isRecord(value) && Object.values(value).every((entry) => isNumber(entry) && entry > 0))

/** What other tools call the settings that are here; letters and digits alone, since they differ in the rest. */
const otherNames: Readonly<Record<string, string>> = {
  learningrate: 'lr',
  maxepochs: 'epochs',
  numepochs: 'epochs',
  numtrainepochs: 'epochs',
  perdevicetrainbatchsize: 'batchSize',
  batch: 'batchSize',
  batchsize: 'batch',
  gradientclipval: 'clip',
  maxgradnorm: 'clip',
  accumulategradbatches: 'accumulate',
  gradientaccumulationsteps: 'accumulate',
  warmupsteps: 'warmup',
  labelsmoothingfactor: 'labelSmoothing',
  earlystopping: 'patience',
  gradientcheckpointing: 'checkpointing',
  imagesize: 'inputSize',
  method: 'peft',
  peft: 'method',
  outputdir: 'out',
  output: 'out',
  loraalpha: 'alpha',
  lorar: 'rank',
  r: 'rank',
  rank: 'r',
  targetmodules: 'targets',
  targets: 'targetModules',
  loradropout: 'dropout',
  userslora: 'rslora',
  rslora: 'useRslora',
}

/** Letters to put in, take out, change or swap with the next to make one text of the other. */
function edits(a: string, b: string): number {
  let [before, row]: number[][] = [[], Array.from({ length: b.length + 1 }, (_, j) => j)]
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1]
      next[j] = Math.min(row![j]! + 1, next[j - 1]! + 1, row![j - 1]! + (same ? 0 : 1))
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      if (swapped) next[j] = Math.min(next[j]!, before![j - 2]! + 1)
    }
    before = row
    row = next
  }
  return row![b.length]!
}

/** The known name that was likely meant. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  const bare = (text: string) => text.toLowerCase().replace(/[^a-z0-9]/g, '')
  const wanted = bare(name).slice(0, 40)
  const same = known.find((one) => bare(one) === wanted)
  const other = otherNames[wanted]
  if (same ?? (other !== undefined && known.includes(other))) return same ?? other
  const [best] = known.map((one) => ({ one, far: edits(wanted, bare(one)) })).sort((a, b) => a.far - b.far)
  return best && best.far <= Math.max(1, Math.floor(best.one.length / 3)) ? best.one : undefined
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
    if (!known.fits(value)) throw new InputError(`${where}${name}: must be ${known.says}, got ${shown(value)}`)
  }
}
