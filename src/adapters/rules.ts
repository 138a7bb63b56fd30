// Which layers a configuration takes, how strong each adapter is, and which modules are saved whole: PEFT's matching rules
// (check_target_module_exists, get_pattern_key and _set_trainable of PEFT 0.21), compiled once for all names of a model.
import type { Classifier } from '../models/model-kind.ts'
import { namesOf } from '../models/registry.ts'
import { namedWeights } from '../nn/module.ts'
import { type AdapterConfig, adapterField, type Strength } from './adapter.ts'
import { endMatch, someWork, type Work, wholeMatch } from './pattern.ts'

/** A configuration's rules. Each throws an InputError where its expressions take too long. */
export interface LayerRules {
  /** Whether the linear layer of that checkpoint name is a target. Modules to save and what they contain never are. */
  isTarget(name: string, isClassifier: boolean): boolean
  /** Whether the targets speak of that layer at all, whatever layers are chosen or left out. */
  isNamed(name: string, isClassifier: boolean): boolean
  isExcluded(name: string): boolean
  strength(name: string): Strength
  /** Whether one of the modules to save holds the parameter of that checkpoint name. */
  isSaved(parameter: string): boolean
}

/** What a name and the modules around it are called: 'a', 'a.b', 'a.b.c'. */
function* withParents(name: string): Generator<string> {
  for (let dot = name.indexOf('.'); dot !== -1; dot = name.indexOf('.', dot + 1)) yield name.slice(0, dot)
  yield name
}

/** Every module that holds a parameter, the model itself left out: what PEFT calls by name. */
export function moduleNames(parameters: Iterable<string>): Set<string> {
  const modules = new Set<string>()
  for (const name of parameters) {
    const dot = name.lastIndexOf('.')
    if (dot !== -1) for (const module of withParents(name.slice(0, dot))) modules.add(module)
  }
  return modules
}

/** A model's own parameters by their checkpoint names, without those of adapters. */
export function parameterNames(model: Classifier): string[] {
  const own = [...namedWeights(model)].filter(([path]) => adapterField(path) === undefined)
  return own.map(([path]) => namesOf(model.config).checkpoint(path, model.config))
}

/** A string must match the whole name; a list holds names, or endings of names after a dot. */
function namesMatch(spec: string[] | string, what: string, work: Work): (name: string) => boolean {
  if (typeof spec === 'string') return wholeMatch(spec, what, work)
  const all = new Set(spec)
  return (name) => {
    if (all.has(name)) return true
    for (let dot = name.indexOf('.'); dot !== -1; dot = name.indexOf('.', dot + 1)) {
      if (all.has(name.slice(dot + 1))) return true
    }
    return false
  }
}

/** Modules to save go by the end of a name, wherever it begins: 'norm' is 'vit.layernorm' too. */
function endingMatch(names: readonly string[]): (module: string) => boolean {
  const all = new Set(names)
  const lengths = [...new Set(names.map((n) => n.length))]
  return (module) => lengths.some((n) => n <= module.length && all.has(module.slice(module.length - n)))
}

/** Whether one of these modules to save holds the parameter of a name. */
export function savedBy(modules: readonly string[]): (parameter: string) => boolean {
  const saved = endingMatch(modules)
  return (parameter) => {
    const dot = parameter.lastIndexOf('.')
    if (dot === -1) return false
    for (const module of withParents(parameter.slice(0, dot))) if (saved(module)) return true
    return false
  }
}

/** The number of the layer that a name lies in, by PEFT's general rule or by patterns for what comes before it. */
function layerNumbers(config: AdapterConfig, work: Work): (name: string) => number | undefined {
  const patterns = [config.layersPattern ?? []].flat().map((p) => endMatch(p, 'layersPattern', work))
  if (patterns.length === 0) {
    return (name) => {
      const found = /^.*?\.[^.]*\.(\d+)\./.exec(name)
      return found ? Number(found[1]) : undefined
    }
  }
  return (name) => {
    const numbers = [...name.matchAll(/\.(\d+)(?=\.)/g)]
    for (const pattern of patterns) {
      const found = numbers.find(({ index }) => pattern(name.slice(0, index)))
      if (found) return Number(found[1])
    }
    return undefined
  }
}

/** The value of the first pattern that matches a name, whole or after a dot. */
function patterned(table: Record<string, number>, what: string, work: Work) {
  const entries = Object.entries(table).map(([key, value]) => [endMatch(key, what, work), value] as const)
  return (name: string, fallback: number) => entries.find(([matches]) => matches(name))?.[1] ?? fallback
}

/** Compiles a configuration's rules. Throws an InputError that names the field whose expressions are none, or too many. */
export function layerRules(config: AdapterConfig): LayerRules {
  const work = someWork()
  const { targetModules, excludeModules, modulesToSave = [], layersToTransform } = config
  const all = isAllLinear(targetModules)
  const named = all ? () => true : namesMatch(targetModules, 'targetModules', work)
  const excluded = excludeModules === undefined ? () => false : namesMatch(excludeModules, 'excludeModules', work)
  const saved = endingMatch(modulesToSave)
  // What is no plain name matches no module to save, yet PEFT leaves out the targets that match it as an expression.
  const odd = modulesToSave.filter((m) => !/^[\w.-]*$/.test(m)).map((m) => endMatch(m, 'modulesToSave', work))
  const layers = new Set([layersToTransform ?? []].flat())
  const whole = new Set(typeof targetModules === 'string' ? [] : targetModules)
  const layerOf = layerNumbers(config, work)
  const rank = patterned(config.rankPattern ?? {}, 'rankPattern', work)
  const alphaOf = patterned(config.alphaPattern ?? {}, 'alphaPattern', work)
  const isNamed = (name: string, isClassifier: boolean) => named(name) && !(all && isClassifier)
  return {
    isNamed,
    isExcluded: excluded,
    isTarget(name, isClassifier) {
      if (!isNamed(name, isClassifier) || excluded(name)) return false
      for (const module of withParents(name)) if (saved(module) || odd.some((m) => m(module))) return false
      // A name that is given whole is a target in whichever layer it is.
      if (layers.size === 0 || whole.has(name)) return true
      const layer = layerOf(name)
      return layer !== undefined && layers.has(layer)
    },
    strength(name) {
      const r = rank(name, config.r ?? 1)
      const alpha = alphaOf(name, config.alpha ?? r)
      return { r, alpha, scaling: config.useRslora ? alpha / Math.sqrt(r) : alpha / r }
    },
    isSaved: savedBy(modulesToSave),
  }
}

/** Whether all linear layers are meant but the classifier; PEFT does not mind the case. */
export function isAllLinear(targets: string[] | string): targets is string {
  return typeof targets === 'string' && targets.toLowerCase() === 'all-linear'
}

/** Whether a linear layer of that checkpoint name ('vit.encoder.layer.0.attention.attention.query') is a target. */
export function isTarget(config: AdapterConfig, name: string, isClassifier: boolean): boolean {
  return layerRules(config).isTarget(name, isClassifier)
}

/** Rank, alpha and scaling of one layer. */
export function strength(config: AdapterConfig, name: string): Strength {
  return layerRules(config).strength(name)
}

/** Whether one of the modules to save holds the parameter of that checkpoint name ('vit.layernorm.weight'). */
export function isSaved(config: AdapterConfig, parameter: string): boolean {
  return savedBy(config.modulesToSave ?? [])(parameter)
}

/** Modules to save that no module of these is called by: PEFT passes over them. */
export function idleModules(config: AdapterConfig, modules: Iterable<string>): string[] {
  const all = [...modules]
  return (config.modulesToSave ?? []).filter((m) => !all.some((module) => module.endsWith(m)))
}

/** Patterns of rank and alpha that no layer of these matches: PEFT warns of them. */
export function idlePatterns(config: AdapterConfig, layers: readonly string[]): string[] {
  const work = someWork()
  const idle = (table: Record<string, number>, what: string) =>
    Object.keys(table).filter((key) => !layers.some(endMatch(key, what, work)))
  return [...idle(config.rankPattern ?? {}, 'rankPattern'), ...idle(config.alphaPattern ?? {}, 'alphaPattern')]
}

/** Names of targets, where they are a list, that no layer of these is called by: PEFT passes over them. */
export function idleTargets(config: AdapterConfig, layers: readonly string[]): string[] {
  const { targetModules } = config
  if (typeof targetModules === 'string') return []
  return targetModules.filter((t) => !layers.some((name) => name === t || name.endsWith(`.${t}`)))
}
