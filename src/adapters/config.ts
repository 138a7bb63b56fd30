// Which layers an adapter takes and how strong it is: PEFT's LoraConfig, its meanings and its matching rules.
import { InputError } from '../platform/errors.ts'
import { wholeMatch } from './pattern.ts'

export type BiasMode = 'none' | 'all' | 'lora_only'

/** The fields of PEFT's LoraConfig that apply to linear layers; names in camel case, defaults as in OTX (q and v, r 8, scaling 1). */
export interface LoraConfig {
  r: number
  alpha: number
  dropout: number
  /** Names, one regular expression over the whole module name, or 'all-linear'. */
  targetModules: string[] | string
  excludeModules: string[] | string | undefined
  useDora: boolean
  /** DoRA only: let gradients through the weight norm, as OTX does; PEFT and the paper's section 4.3 detach it. */
  doraNormGradient: boolean
  useRslora: boolean
  bias: BiasMode
  loraBias: boolean
  rankPattern: Record<string, number>
  alphaPattern: Record<string, number>
  layersToTransform: number[] | number | undefined
  layersPattern: string[] | string | undefined
  modulesToSave: string[] | undefined
  initLoraWeights: boolean | 'gaussian'
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

/** PEFT's rule: a string must match the whole name; a list holds names, or endings of names after a dot. */
function matches(spec: string[] | string, name: string, what: string): boolean {
  if (typeof spec === 'string') return wholeMatch(spec, what)(name)
  return spec.some((t) => name === t || name.endsWith(`.${t}`))
}

function layerOf(name: string, layersPattern: string[] | string | undefined): number | undefined {
  const patterns = layersPattern === undefined || layersPattern.length === 0 ? [] : [layersPattern].flat()
  if (patterns.length === 0) {
    const found = /^.*?\.[^.]*\.(\d+)\./.exec(name)
    return found ? Number(found[1]) : undefined
  }
  for (const p of patterns) {
    const before = wholeMatch(p, 'layersPattern', '.*\\.')
    const found = [...name.matchAll(/\.(\d+)(?=\.)/g)].find(({ index }) => before(name.slice(0, index)))
    if (found) return Number(found[1])
  }
  return undefined
}

/**
 * Whether a linear layer of that checkpoint name ('vit.encoder.layer.0.attention.attention.query') is a target.
 * Classifiers and modulesToSave never are.
 */
export function isTarget(config: LoraConfig, name: string, isClassifier: boolean): boolean {
  if (config.modulesToSave && matches(config.modulesToSave, name, 'modulesToSave')) return false
  if (config.excludeModules !== undefined && matches(config.excludeModules, name, 'excludeModules')) return false
  if (config.targetModules === 'all-linear') {
    if (isClassifier) return false
  } else if (!matches(config.targetModules, name, 'targetModules')) return false
  if (config.layersToTransform === undefined) return true
  const wanted = [config.layersToTransform].flat()
  const layer = layerOf(name, config.layersPattern)
  return wanted.length === 0 || (layer !== undefined && wanted.includes(layer))
}

function patterned(table: Record<string, number>, name: string, fallback: number, what: string): number {
  for (const [key, value] of Object.entries(table)) {
    if (wholeMatch(key, what, '(?:.*\\.)?')(name)) return value
  }
  return fallback
}

/** Rank, alpha and scaling (alpha / r, or alpha / sqrt r with rank-stabilised LoRA) of one layer. */
export function strength(config: LoraConfig, name: string): { r: number; alpha: number; scaling: number } {
  const r = patterned(config.rankPattern, name, config.r, 'rankPattern')
  const alpha = patterned(config.alphaPattern, name, config.alpha, 'alphaPattern')
  return { r, alpha, scaling: config.useRslora ? alpha / Math.sqrt(r) : alpha / r }
}

/** Fills in defaults and checks the values; throws InputError naming the first bad field. */
export function loraConfig(partial: Partial<LoraConfig> = {}): LoraConfig {
  const defined = Object.fromEntries(Object.entries(partial).filter(([, v]) => v !== undefined))
  const c: LoraConfig = { ...loraDefaults, ...defined }
  const rank = (value: unknown, what: string) => {
    if (!Number.isInteger(value) || (value as number) < 1 || (value as number) > 4096) {
      throw new InputError(`${what}: must be a whole number from 1 to 4096, got ${JSON.stringify(value)}`)
    }
  }
  rank(c.r, 'rank')
  for (const [key, value] of Object.entries(c.rankPattern)) rank(value, `rankPattern ${key}`)
  for (const [key, value] of [['alpha', c.alpha] as const, ...Object.entries(c.alphaPattern)]) {
    if (!Number.isFinite(value) || value <= 0)
      throw new InputError(`alpha: must be a number above 0, got ${value} for ${key}`)
  }
  if (!(c.dropout >= 0 && c.dropout < 1)) throw new InputError(`dropout: must be in [0, 1), got ${c.dropout}`)
  if (!['none', 'all', 'lora_only'].includes(c.bias)) {
    throw new InputError(`bias: must be none, all or lora_only, got ${JSON.stringify(c.bias)}`)
  }
  if (c.layersToTransform !== undefined && typeof c.targetModules === 'string') {
    throw new InputError('layersToTransform: needs targetModules as a list of names, got one string')
  }
  if (c.targetModules.length === 0) throw new InputError('targetModules: must name at least one layer, got none')
  return c
}
