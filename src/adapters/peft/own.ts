// The settings that an adapter on a model is saved with again: its own, in this model's names, without what is idle in it.
import { adapterFiles } from '../../io/checkpoint.ts'
import type { Classifier } from '../../models/model-kind.ts'
import { listed } from '../../platform/listed.ts'
import { headModules, linearLayers } from '../inject.ts'
import type { AnyAdapterConfig } from '../registry.ts'
import { idleModules, idlePatterns, idleTargets, type LayerRules, moduleNames } from '../rules.ts'
import { parameterSizes } from './checks.ts'
import type { Adapter } from './folder.ts'
import { classic, type Spelling, spelt } from './names.ts'
import type { Places } from './places.ts'
import { respellSaved } from './write.ts'

/** The configuration in this model's names, without what stands for nothing in it; says what is not as the settings say. */
export function ownConfig(
  model: Classifier,
  { config, folder }: Adapter,
  { adapted, others, spellings }: Places,
  targets: readonly { name: string; r: number; alpha: number }[],
  rules: LayerRules,
  onNote: (note: string) => void,
): AnyAdapterConfig {
  const every = [...new Set([...parameterSizes(model, undefined).keys(), ...others.keys()])]
  const all = (names: readonly string[]) => spellings.flatMap((s) => names.map((name) => spelt(name, s, model.config)))
  const layers = linearLayers(model).map((l) => l.name)
  const { excludeModules, layersToTransform } = config
  const excludes = excludeModules === undefined || all(layers).some(rules.isExcluded)
  const beyond = [layersToTransform ?? []].flat().filter((n) => n >= model.config.layers)
  const idle = [
    ...idleTargets(config, all(layers)),
    ...(excludes ? [] : [excludeModules!].flat()),
    ...beyond.map((n) => `layer ${n}`),
    ...idlePatterns(config, all([...adapted.keys()])),
    ...idleModules(config, moduleNames(all(every))),
  ]
  if (idle.length > 0)
    onNote(`${adapterFiles.config}: ${listed([...new Set(idle)], 3)} is nothing in this model, and passed over`)
  const used = <T>(table: Record<string, T>) =>
    Object.fromEntries(Object.entries(table).filter(([key]) => !idle.includes(key)))
  const own: AnyAdapterConfig = {
    ...config,
    targetModules:
      typeof config.targetModules === 'string'
        ? config.targetModules
        : config.targetModules.filter((t) => !idle.includes(t)),
    excludeModules: excludes ? excludeModules : undefined,
    layersToTransform:
      beyond.length > 0 ? [layersToTransform!].flat().filter((n) => !beyond.includes(n)) : layersToTransform,
    rankPattern: used(config.rankPattern),
    alphaPattern: used(config.alphaPattern),
    modulesToSave: config.modulesToSave?.filter((m) => !idle.includes(m)),
  }
  if (own.modulesToSave?.length === 0) own.modulesToSave = undefined
  // PEFT reads what is stored even where modules_to_save does not name it; it must not be lost when saved again.
  const saved = (name: string) => spellings.some((s) => rules.isSaved(spelt(name, s, model.config)))
  const hidden = new Set<string>()
  for (const name of others.keys()) {
    const owner = name.slice(0, name.lastIndexOf('.'))
    if (!saved(name) && (others.has(`${owner}.weight`) || !name.endsWith('.bias'))) hidden.add(owner)
  }
  const heads = headModules(model)
  const more = [...hidden].filter((name) => !heads.includes(name))
  if (more.length > 0) onNote(`${folder}: also holds ${listed(more, 3)}, taken as a module to save`)
  if (hidden.size > 0) own.modulesToSave = [...(own.modulesToSave ?? []), ...hidden]
  return spellings.every((s) => !s.modern && !s.bare) ? own : inOwnNames(model, own, spellings, targets)
}

/** A configuration that speaks of layers under other names, by the names of checkpoints. */
function inOwnNames(
  model: Classifier,
  config: AnyAdapterConfig,
  spellings: readonly Spelling[],
  targets: readonly { name: string; r: number; alpha: number }[],
): AnyAdapterConfig {
  const other = (of: 'r' | 'alpha') =>
    Object.fromEntries(targets.filter((t) => t[of] !== config[of]).map((t) => [t.name, t[of]]))
  return {
    ...config,
    modulesToSave: respellSaved(model, config, spellings, classic),
    targetModules: targets.map((t) => t.name),
    excludeModules: undefined,
    layersToTransform: undefined,
    layersPattern: undefined,
    rankPattern: other('r'),
    alphaPattern: other('alpha'),
  }
}
