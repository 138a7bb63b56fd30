// The settings of LoRA and DoRA: PEFT's LoraConfig, its meanings, and what it may hold. Matching is in rules.ts.
import { InputError } from '../platform/errors.ts'
import type { AdapterConfig } from './adapter.ts'

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

export const loraDefaults: LoraConfig = {
  r: 8,
  alpha: 8,
  dropout: 0,
  targetModules: ['query', 'value'],
  excludeModules: undefined,
  useDora: false,
  doraNormGradient: false,
  useRslora: false,
  bias: 'none',
  loraBias: false,
  rankPattern: {},
  alphaPattern: {},
  layersToTransform: undefined,
  layersPattern: undefined,
  modulesToSave: undefined,
  initLoraWeights: true,
}

/** More names or patterns than any model has layers are a mistake, or meant to keep us busy. */
const mostNames = 10_000
const longestName = 1000

function refuse(name: string, rule: string, value: unknown): never {
  throw new InputError(`${name}: must be ${rule}, got ${(JSON.stringify(value) ?? String(value)).slice(0, 100)}`)
}

function checkNames(name: string, value: unknown, alone: boolean): void {
  if (value === undefined) return
  const list = alone && typeof value === 'string' ? [value] : value
  const fine = Array.isArray(list) && list.every((v) => typeof v === 'string' && v !== '')
  if (!fine) refuse(name, alone ? 'a text or a list of texts' : 'a list of texts', value)
  checkCount(name, list.length)
  // A text alone is an expression, whose length is bounded where it is compiled.
  const long = typeof value === 'string' ? undefined : list.find((v: string) => v.length > longestName)
  if (long) refuse(name, `names of at most ${longestName} characters`, long)
}

function checkCount(name: string, count: number): void {
  if (count > mostNames)
    throw new InputError(`${name}: may hold ${mostNames} entries, got ${count}; no model has so many`)
}

function checkRank(name: string, value: unknown): void {
  if (!Number.isInteger(value) || (value as number) < 1 || (value as number) > 4096) {
    refuse(name, 'a whole number from 1 to 4096', value)
  }
}

function checkPattern(name: string, value: unknown, check: (key: string, value: unknown) => void): void {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) refuse(name, 'an object of numbers', value)
  checkCount(name, Object.keys(value).length)
  for (const [key, v] of Object.entries(value)) check(key, v)
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

/** Fills in defaults and checks the values; throws InputError naming the first bad field. */
export function loraConfig(partial: Partial<LoraConfig> = {}): LoraConfig {
  const strange = Object.keys(partial).find((key) => !Object.hasOwn(loraDefaults, key))
  if (strange !== undefined) refuse('lora', `settings of ${Object.keys(loraDefaults).join(', ')}`, strange)
  const given = Object.fromEntries(Object.entries(partial).filter(([, v]) => v !== undefined && v !== null))
  const c: LoraConfig = { ...loraDefaults, ...given }
  checkRank('rank', c.r)
  checkPattern('rankPattern', c.rankPattern, (key, v) => checkRank(`rankPattern ${key}`, v))
  const checkAlpha = (key: string, v: unknown) => {
    if (!(typeof v === 'number' && Number.isFinite(v) && v > 0))
      throw new InputError(`alpha: must be a number above 0, got ${v} for ${key}`)
  }
  checkAlpha('alpha', c.alpha)
  checkPattern('alphaPattern', c.alphaPattern, checkAlpha)
  if (!(typeof c.dropout === 'number' && c.dropout >= 0 && c.dropout < 1)) refuse('dropout', 'in [0, 1)', c.dropout)
  if (!['none', 'all', 'lora_only'].includes(c.bias)) refuse('bias', 'none, all or lora_only', c.bias)
  for (const name of ['useDora', 'doraNormGradient', 'useRslora', 'loraBias'] as const) {
    if (typeof c[name] !== 'boolean') refuse(name, 'true or false', c[name])
  }
  if (typeof c.initLoraWeights !== 'boolean' && !namedStarts.includes(c.initLoraWeights)) {
    refuse('initLoraWeights', `true, false or one of ${namedStarts.join(', ')}`, c.initLoraWeights)
  }
  if (c.targetModules.length === 0) throw new InputError('targetModules: must name at least one layer, got none')
  for (const name of ['targetModules', 'excludeModules', 'layersPattern'] as const) checkNames(name, c[name], true)
  checkNames('modulesToSave', c.modulesToSave, false)
  const layers = c.layersToTransform === undefined ? [] : [c.layersToTransform].flat()
  if (!layers.every((v) => Number.isInteger(v) && v >= 0)) refuse('layersToTransform', 'layer numbers from 0', layers)
  checkCount('layersToTransform', layers.length)
  checkTogether(c)
  return c
}
