// Putting adapters on a model's layers, taking them off, and marking what trains beside them.

import type { Classifier } from '../models/model-kind.ts'
import { namesOf } from '../models/registry.ts'
import { Linear, type LinearAdapter } from '../nn/layers.ts'
import { disposeModule, namedModules, setTrainable } from '../nn/module.ts'
import { InputError } from '../platform/errors.ts'
import { listed } from '../platform/listed.ts'
import { Rng } from '../tensor/philox.ts'
import { type AdapterConfig, adapterField, type Strength } from './adapter.ts'
import { type AnyAdapterConfig, adapterOf } from './registry.ts'
import {
  idleModules,
  idlePatterns,
  idleTargets,
  type LayerRules,
  layerRules,
  moduleNames,
  parameterNames,
  savedBy,
} from './rules.ts'

/** Whether one of our names is the classifier's, or of something in it. */
export const isHead = (model: Classifier, path: string): boolean => namesOf(model.config).isHead(path)

/** Checkpoint names of the classifier modules, PEFT's usual modules_to_save. */
export const headModules = (model: Classifier): string[] => namesOf(model.config).heads(model.config)

/** A linear layer by our name, with its checkpoint name. */
export interface NamedLayer {
  readonly path: string
  readonly name: string
  readonly layer: Linear
}

/** The linear layers of a model by our name, with their checkpoint names. Those that are none there, as the patch embedding, are left out. */
export function linearLayers(model: Classifier): NamedLayer[] {
  const names = namesOf(model.config)
  const found: NamedLayer[] = []
  for (const [path, layer] of namedModules(model)) {
    if (layer instanceof Linear && names.isLinear(path))
      found.push({ path, name: names.checkpoint(path, model.config), layer })
  }
  return found
}

/** The adapted layers of a model, with what adapts them. */
export function adaptedLayers(model: Classifier): (NamedLayer & { readonly adapter: LinearAdapter })[] {
  return linearLayers(model).flatMap((l) => (l.layer.adapter ? [{ ...l, adapter: l.layer.adapter }] : []))
}

/** PEFT saves only what modules_to_save names: without the classifier an adapter would come back with a random one. */
export function withHead<C extends AdapterConfig>(config: C, model: Classifier): C {
  const isSaved = savedBy(config.modulesToSave ?? [])
  const missing = headModules(model).filter((head) => !isSaved(`${head}.weight`))
  return { ...config, modulesToSave: [...(config.modulesToSave ?? []), ...missing] }
}

/** Throws where a name of the configuration stands for nothing in the model: mostly a slip, which PEFT would pass over. */
function checkNames(
  model: Classifier,
  config: AdapterConfig,
  rules: LayerRules,
  layers: NamedLayer[],
  targets: NamedLayer[],
): void {
  const names = layers.map((l) => l.name)
  const slip = (what: string, idle: readonly (string | number)[], of: string) => {
    if (idle.length > 0) throw new InputError(`${what}: no ${of} ${listed(idle.map(String), 3)}; check the spelling`)
  }
  const blocks = config.modulesToSave?.find((m) => `${model.config.family}.encoder.layer`.endsWith(m))
  if (blocks !== undefined) {
    throw new InputError(
      `modulesToSave: ${blocks} is the list of all blocks, which PEFT cannot save; name ${model.config.family}.encoder`,
    )
  }
  if (targets.length === 0) {
    const endings = [...new Set(names.map((name) => name.slice(name.lastIndexOf('.') + 1)))]
    throw new InputError(
      `targets: no linear layer matches ${JSON.stringify(config.targetModules).slice(0, 100)}; layer names end in ${endings.join(', ')}`,
    )
  }
  slip('targets', idleTargets(config, names), 'linear layer is called')
  if (config.excludeModules?.length && !names.some(rules.isExcluded))
    slip('excludeModules', [config.excludeModules].flat(), 'linear layer is called')
  const wanted = [config.layersToTransform ?? []].flat()
  slip(
    'layersToTransform',
    wanted.filter((n) => n >= model.config.layers),
    `layer of 0 to ${model.config.layers - 1} is`,
  )
  slip(
    'rankPattern and alphaPattern',
    idlePatterns(
      config,
      targets.map((l) => l.name),
    ),
    'adapted layer matches',
  )
  const modules = moduleNames(parameterNames(model))
  slip('modulesToSave', idleModules(config, modules), "module's name ends in")
}

/**
 * Replaces every target by an adapted layer and freezes the rest but the classifier, the modules to save and the biases
 * that the bias mode names. Returns the configuration to save the adapter with: the classifier is among its modules to
 * save. Throws InputError when nothing matches, listing the names that there are, when a name matches nothing, and when the
 * classifier is a target.
 */
export function injectAdapter<C extends AnyAdapterConfig>(model: Classifier, config: C, seed: number): C {
  const layers = linearLayers(model)
  if (layers.some((l) => l.layer.adapter))
    throw new Error('inject: the model already has adapters; merge or remove them first')
  const rules = layerRules(config)
  const targets = layers.filter((l) => rules.isTarget(l.name, isHead(model, l.path)))
  checkNames(model, config, rules, layers, targets)
  if (targets.some((l) => isHead(model, l.path))) {
    throw new InputError(
      `targets: ${JSON.stringify(config.targetModules).slice(0, 100)} takes in the classifier, which trains whole and is saved; leave it out, or name it in modulesToSave (--modules-to-save ${headModules(model).join(',')})`,
    )
  }
  const saved = withHead(config, model)
  adaptLayers(model, targets, saved, seed)
  return saved
}

/**
 * Adapts exactly these layers, at ranks and scalings of their own or the configuration's, and marks what trains.
 * `overwritten` says that values will be read over what they start with.
 */
export function adaptLayers(
  model: Classifier,
  targets: readonly (NamedLayer & { strength?: Pick<Strength, 'r' | 'scaling'> })[],
  config: AnyAdapterConfig,
  seed: number,
  overwritten = false,
): void {
  const rules = layerRules(config)
  const kind = adapterOf(config)
  const made: LinearAdapter[] = []
  try {
    for (const [i, { name, layer, strength = rules.strength(name) }] of targets.entries()) {
      made.push(kind.create(layer, { config, strength, overwritten }, new Rng(seed, 1000 + i)))
    }
  } catch (error) {
    for (const adapter of made) disposeModule(adapter)
    throw error
  }
  for (const [i, { layer }] of targets.entries()) layer.adapter = made[i]
  markTrainable(model, config)
}

/** Lets train what PEFT would: adapters, modules to save, and the biases that the bias mode names. */
export function markTrainable(model: Classifier, config: AdapterConfig): void {
  const adapted = new Set(adaptedLayers(model).map((l) => l.path))
  const isSaved = savedBy(config.modulesToSave ?? [])
  const frozen = adapterOf(config).parts.filter((part) => part.frozen?.(config))
  setTrainable(model, true, () => true)
  setTrainable(model, false, (path) => {
    const field = adapterField(path)
    if (field !== undefined) return frozen.some((part) => part.field === field)
    if (isSaved(namesOf(model.config).checkpoint(path, model.config))) return false
    if (!path.endsWith('.bias') || config.bias === 'none') return true
    return config.bias === 'lora_only' && !adapted.has(path.slice(0, -'.bias'.length))
  })
}

/** Linear probing: the backbone is frozen, the classifier trains. */
export function freezeBackbone(model: Classifier): void {
  setTrainable(model, true)
  setTrainable(model, false, (name) => !isHead(model, name))
}

/** Takes the adapters off without merging: the model is the base model again (its head stays as trained). */
export function removeAdapters(model: Classifier): void {
  for (const { layer, adapter } of adaptedLayers(model)) {
    layer.adapter = undefined
    disposeModule(adapter)
  }
}
