// The settings of LoRA and DoRA: PEFT's LoraConfig, its meanings, and what it may hold. Matching is in rules.ts.
import { InputError } from '../platform/errors.ts'
import {
  above,
  checkRule,
  checkRules,
  choice,
  either,
  flag,
  list,
  numbers,
  part,
  type Rule,
  shown,
  textOrList,
  whole,
  wholes,
} from '../schema/rules.ts'
import { defaultsOf, namesOf, rulesOf, type SettingsOf } from '../schema/setting.ts'
import { type AdapterConfig, biasModes } from './adapter.ts'

/**
 * How adapters start without touching the base, beside PEFT's default: `gaussian`, `orthogonal`; `eva` (from the data) and
 * `mica` (from the weights; its lora_B stays frozen) are begun in PEFT alone and read here.
 */
export const namedStarts = ['gaussian', 'orthogonal', 'eva', 'mica'] as const

/** The fields of PEFT's LoraConfig that apply to linear layers; names in camel case, defaults as in OTX (q and v, r 8, scaling 1). */
export interface LoraConfig extends AdapterConfig {
  r: number
  alpha: number
  useRslora: boolean
  rankPattern: Record<string, number>
  alphaPattern: Record<string, number>
  dropout: number
  useDora: boolean
  /** DoRA only: let gradients through the weight norm, as OTX does; PEFT and the paper's section 4.3 detach it. */
  doraNormGradient: boolean
  loraBias: boolean
  /** True is PEFT's default; false starts lora_A and lora_B both at random, so that the fresh adapter changes the outputs. */
  initLoraWeights: boolean | (typeof namedStarts)[number]
}

const names = "names, or one regular expression over a layer's whole name"
const group = 'LoRA and DoRA'

/** What `targetModules` says as one text: `all-linear`, names between commas, or (with any other character in it) one regular expression. */
export function parseTargets(text: string): string[] | string {
  if (text.trim() === 'all-linear') return 'all-linear'
  return /^[\w.,\s-]*$/.test(text) ? namesOf(text) : text
}

/** What the fields may be, and what holds without them. */
export const loraFields = {
  r: { group, value: whole(1, 4096), default: 8, description: 'rank of the added matrices' },
  alpha: { group, value: above(0, 'a number above'), default: 8, description: 'scaling is alpha / rank' },
  dropout: { group, value: part, default: 0, description: 'dropout before the adapter' },
  targetModules: {
    group,
    value: textOrList(names),
    default: ['query', 'value'],
    description: 'adapted layers: names (query,value), one regular expression, or all-linear',
    read: parseTargets,
  },
  excludeModules: { group, value: textOrList(names), description: 'layers that are not adapted, as targetModules' },
  useDora: { group, value: flag, default: false, description: 'what the method says; no other value is taken' },
  doraNormGradient: {
    group,
    value: flag,
    default: false,
    description: 'DoRA only: gradients also go through the norm, as in OTX',
  },
  useRslora: { group, value: flag, default: false, description: 'scaling is alpha / sqrt(rank)' },
  bias: { group, value: choice(biasModes), default: 'none', description: 'biases that train too' },
  loraBias: { group, value: flag, default: false, description: "a bias of the adapter's second matrix" },
  rankPattern: { group, value: numbers('ranks by pattern'), default: {}, description: 'ranks of layers by name' },
  alphaPattern: { group, value: numbers('alphas by pattern'), default: {}, description: 'alphas of layers by name' },
  layersToTransform: {
    group,
    value: either(whole(0), wholes('a list of them')),
    description: 'numbers of the blocks that are adapted',
    otherwise: 'all',
  },
  layersPattern: {
    group,
    value: textOrList('names or patterns'),
    description: 'what stands before the numbers of blocks',
  },
  modulesToSave: { group, value: list('a list of names'), description: 'further modules to train and keep whole' },
  initLoraWeights: {
    group,
    value: either(flag, choice(namedStarts)),
    default: true,
    description: 'how the matrices start; false: both at random',
  },
} satisfies SettingsOf<LoraConfig>

const withoutDefault = Object.fromEntries(Object.keys(loraFields).map((name) => [name, undefined]))
export const loraDefaults = { ...withoutDefault, ...defaultsOf(loraFields) } as unknown as LoraConfig

/** More names or patterns than any model has layers are a mistake, or meant to keep us busy. */
const mostNames = 10_000
const longestName = 1000

/** Bounds what is a list of texts; a text alone is an expression, whose length is bounded where it is compiled. */
function checkNames(name: string, value: string[] | string | undefined): void {
  if (!Array.isArray(value)) return
  checkCount(name, value.length)
  const long = value.find((one) => one.length > longestName)
  if (long === undefined) return
  throw new InputError(`${name}: must be names of at most ${longestName} characters, got ${shown(long)}`)
}

function checkCount(name: string, count: number): void {
  if (count > mostNames)
    throw new InputError(`${name}: may hold ${mostNames} entries, got ${count}; no model has so many`)
}

/** What holds of a field for all layers holds of each pattern too. */
function checkPattern(name: string, table: Readonly<Record<string, number>>, rule: Rule): void {
  checkCount(name, Object.keys(table).length)
  for (const [key, value] of Object.entries(table)) checkRule(`${name} ${key}`, value, rule)
}

/** What goes with what, as PEFT has it. */
function checkTogether(c: LoraConfig): void {
  if (c.layersToTransform !== undefined && typeof c.targetModules === 'string') {
    throw new InputError('layersToTransform: needs targetModules as a list of names, got one string')
  }
  if (c.layersPattern !== undefined && c.layersPattern.length > 0 && c.layersToTransform === undefined) {
    throw new InputError('layersPattern: needs layersToTransform, the numbers that it stands before, got none')
  }
  if (c.loraBias && c.useDora)
    throw new InputError('loraBias: does not go with DoRA, as in PEFT; leave one of them out')
  if (c.loraBias && typeof c.initLoraWeights === 'string') {
    throw new InputError(`loraBias: does not go with initLoraWeights ${c.initLoraWeights}, as in PEFT; leave one out`)
  }
}

/** Fills in defaults and checks the values; throws InputError naming the first bad field, with `where` before its name. */
export function loraConfig(partial: Partial<LoraConfig> = {}, where = ''): LoraConfig {
  const given = Object.fromEntries(Object.entries(partial).filter(([, v]) => v !== undefined && v !== null))
  checkRules(given, rulesOf(loraFields), where)
  const c: LoraConfig = { ...loraDefaults, ...given }
  checkPattern(`${where}rankPattern`, c.rankPattern, loraFields.r.value)
  checkPattern(`${where}alphaPattern`, c.alphaPattern, loraFields.alpha.value)
  if (c.targetModules.length === 0) {
    throw new InputError(`${where}targetModules: must name at least one layer, got none`)
  }
  for (const name of ['targetModules', 'excludeModules', 'layersPattern', 'modulesToSave'] as const) {
    checkNames(`${where}${name}`, c[name])
  }
  checkCount(`${where}layersToTransform`, [c.layersToTransform ?? []].flat().length)
  checkTogether(c)
  return c
}
