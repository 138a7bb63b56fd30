// Settings of a run as YAML: read for --config, written for --print-config. The names are those of the settings, or OTX's and
// getitune's, which settings/otx translates.
import { stringify } from 'yaml'
import { loraFields } from '../adapters/lora-config.ts'
import { isRecord } from '../io/json.ts'
import { localFiles } from '../io/local-files.ts'
import { InputError } from '../platform/errors.ts'
import type { TrainOptions } from '../run/train.ts'
import { checkRules, type Rule, shown } from '../schema/rules.ts'
import { groups, otherwiseOf, rulesOf, type Setting } from '../schema/setting.ts'
import { checkAugment } from '../settings/augment.ts'
import { inFull } from '../settings/otx/merge.ts'
import { named, type Path, type Problem } from '../settings/otx/reading.ts'
import { isOtx, translateOtx } from '../settings/otx/translate.ts'
import { asRecipesSay, recipeSettings } from '../settings/recipe.ts'
import { settingRules, settings } from '../settings/schema.ts'
import { checkSettings, complete } from '../settings/setting-rules.ts'
import { defined, type TrainSettings } from '../settings/settings.ts'
import { type Dotted, readDotted, withOwn } from './dotted.ts'
import { type Parsed, parseYaml, textOf } from './yaml-text.ts'

/** What a file of settings, and dotted flags, have come to. */
export interface Config {
  readonly settings: Partial<TrainSettings>
  /** What of another tool's configuration is otherwise here, and what means nothing, a sentence each. */
  readonly notes: readonly string[]
  /** Why its model cannot be had, unless another takes its place. */
  readonly missing?: string
}

/** The settings in a text; `name` is what it is called in messages. Throws an InputError that names the line. */
export const parseConfig = (text: string, name: string): Partial<TrainSettings> =>
  configOf(parseYaml(text, name), name, noFlags).settings

const noFlags: Dotted = { theirs: [], own: [] }

/** The settings in a parsed text of ours or of OTX's, with dotted flags over them. */
export function configOf(
  parsed: Parsed | undefined,
  name: string,
  { theirs, own }: Dotted,
  { base, peft }: { base?: Parsed | undefined; peft?: TrainSettings['peft'] } = {},
): Config {
  const otx = parsed !== undefined && isOtx(parsed.values)
  if (parsed && !otx) checkOwn(parsed, name)
  const translated =
    otx || theirs.length > 0
      ? translateOtx(otx ? parsed.values : {}, { ...(base && { base: base.values }), overrides: theirs })
      : undefined
  const where = ({ path, text }: Problem) => placeOf(path, theirs, name, parsed, base) + text
  const [first] = translated?.problems ?? []
  if (first) throw new InputError(where(first))
  // What a method is there goes with it, where a flag chooses another.
  const { rank, alpha, targets, lora, ...others } = translated?.settings ?? {}
  const withMethod = defined({ rank, alpha, targets, lora })
  const said = { ...others, ...(peft === undefined || peft === others.peft ? withMethod : {}) }
  const given = withOwn({ ...(parsed && !otx ? parsed.values : {}), ...said, ...(peft && { peft }) }, own)
  if (parsed) checkSettings(given, otx || own.length + theirs.length > 0 ? '' : `${name}: `)
  return {
    settings: given,
    notes: translated?.notes ?? [],
    ...(translated?.missing && { missing: where(translated.missing) }),
  }
}

/** Throws an InputError with the line of a setting that is none, or has a value that cannot be. */
function checkOwn({ values, place }: Parsed, name: string): void {
  const check = (
    table: Readonly<Record<string, unknown>>,
    rules: Readonly<Record<string, Rule>>,
    ...above: string[]
  ) => {
    for (const [key, value] of Object.entries(table)) {
      checkRules({ [key]: value }, rules, `${place(...above, key)}${above.map((one) => `${one}.`).join('')}`)
    }
  }
  check(values, settingRules)
  const { lora, augment } = values as Partial<TrainSettings>
  if (lora) check({ ...lora }, rulesOf(loraFields), 'lora')
  for (const [key, value] of Object.entries(isRecord(augment) ? augment : {})) {
    checkAugment({ [key]: value }, `${place('augment', key)}augment.`)
  }
  checkSettings(values, `${name}: `)
}

/** Where a key of OTX's was said, and its name: a flag, or a line of the file, of its overrides, or of the file of data. */
function placeOf(path: Path, flags: Dotted['theirs'], name: string, parsed?: Parsed, base?: Parsed): string {
  const flag = flags.findLast(([key]) => {
    const keys = inFull(key.split('.'))
    return keys.every((one, i) => i >= path.length || one === String(path[i]))
  })
  if (flag) return `--${flag[0]}: `
  const says = `${named(path)}: `
  const sources = [
    ...(parsed
      ? ([
          [parsed, ['overrides', ...path], 1],
          [parsed, path, 0],
        ] as const)
      : []),
    ...(base && path[0] === 'data' ? ([[base, path.slice(1), -1]] as const) : []),
  ]
  const found = sources.map(([source, at, more]) => ({ source, at, steps: source.found(at) - more }))
  const best = found.reduce<(typeof found)[number] | undefined>((a, b) => (a && a.steps >= b.steps ? a : b), undefined)
  return `${best ? best.source.place(...best.at) : `${name}: `}${says}`
}

/** The one place where the packages keep what their recipes share: nothing else is read for a recipe. */
const shared = /^(?:\.\.\/){0,3}_base_\/data\/[\w-]+\.yaml$/

/** The file of data that a recipe names, where it lies beside it as in the package. */
async function baseOf(path: string, { values }: Parsed): Promise<Parsed | undefined> {
  const { data } = values
  if (typeof data !== 'string' || path === '-' || !isOtx(values)) return undefined
  if (!shared.test(data)) {
    throw new InputError(
      `${path}: data: must be a file like ../../_base_/data/classification.yaml, got ${shown(data)}; give images by --data`,
    )
  }
  const files = localFiles(path)
  const whole = files.join(path, '..', data)
  return (await files.kind(whole)) === 'file' ? parseYaml(await textOf(whole), whole) : undefined
}

/**
 * Reads a file of settings, or the standard input for `-`, and dotted flags (as `carryDotted` carries them); `peft` is the method
 * that a flag of its own chooses.
 */
export async function readConfig(
  path: string | undefined,
  carried: readonly string[] = [],
  peft?: TrainSettings['peft'],
): Promise<Config> {
  const flags = readDotted(carried)
  if (path === undefined) return configOf(undefined, '', flags, { peft })
  const name = path === '-' ? 'standard input' : path
  const parsed = parseYaml(await textOf(path), name)
  return configOf(parsed, name, flags, { base: await baseOf(path, parsed), peft })
}

/** A value on its line. */
const yamlOf = (value: unknown): string =>
  stringify(value, {
    version: '1.2',
    schema: 'core',
    collectionStyle: 'flow',
    blockQuote: false,
    lineWidth: 0,
  }).trimEnd()

/** These settings and all others that hold with them, as YAML that `parseConfig` reads. */
export function configText({ resume, acceptChanges: _, ...given }: Partial<TrainOptions>): string {
  if (resume) throw new InputError('--print-config: is for a new run; run.json has the settings of one that goes on')
  checkSettings(given)
  const all = complete(given, recipeSettings) as Readonly<Record<string, unknown>>
  const lines = groups.flatMap((group) => {
    const those = Object.entries(asRecipesSay(settings)).filter(([, setting]) => setting.group === group)
    return [`# ${group}`, ...those.map(([name, setting]) => lineOf(name, all[name], setting)), '']
  })
  return lines.join('\n').trimEnd()
}

function lineOf(name: string, value: unknown, setting: Setting): string {
  if (value !== undefined) return `${name}: ${yamlOf(value)}`
  const otherwise = otherwiseOf(setting)
  return `# ${name}:${otherwise === undefined ? '' : ` ${otherwise}`}`
}
