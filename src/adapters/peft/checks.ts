// Whether an adapter holds exactly what its settings ask for, and nothing that this model has no place for.
import { adapterFiles } from '../../io/checkpoint.ts'
import type { Classifier } from '../../models/model-kind.ts'
import { namesOf } from '../../models/registry.ts'
import { namedWeights } from '../../nn/module.ts'
import { InputError } from '../../platform/errors.ts'
import { listed } from '../../platform/listed.ts'
import { headModules } from '../inject.ts'
import type { LayerRules } from '../rules.ts'
import type { Adapter } from './folder.ts'
import { spelt } from './names.ts'
import type { Places } from './places.ts'

/** Throws unless exactly the layers that the settings name have adapters. */
export function checkTargets(folder: string, wanted: readonly { name: string }[], { adapted }: Places): void {
  const without = wanted.map((l) => l.name).filter((name) => !adapted.has(name))
  if (without.length > 0) {
    throw new InputError(
      `${folder}: adapter_config.json adapts ${listed(without, 3)}, but ${adapterFiles.weights} lacks their tensors, and they would stay as in the base; save it again`,
    )
  }
  const names = new Set(wanted.map((l) => l.name))
  const over = [...adapted.keys()].filter((name) => !names.has(name))
  if (over.length > 0) {
    throw new InputError(
      `${folder}: holds adapters of ${listed(over, 3)}, which adapter_config.json does not adapt, so PEFT would leave them out; mend target_modules`,
    )
  }
}

/** Shapes as stored of all parameters by checkpoint name, with a classifier for `classes` where there is to be a new one. */
export function parameterSizes(
  model: Classifier,
  classes: readonly string[] | undefined,
): Map<string, readonly number[]> {
  const sizes = new Map<string, readonly number[]>()
  for (const [path, p] of namedWeights(model)) {
    sizes.set(
      namesOf(model.config).checkpoint(path, model.config),
      namesOf(model.config).shape(path, p.shape, model.config),
    )
  }
  for (const head of classes ? headModules(model) : []) {
    sizes.set(`${head}.weight`, [classes!.length, model.features])
    sizes.set(`${head}.bias`, [classes!.length])
  }
  return sizes
}

/** Throws unless the modules to save and the biases that the settings name are there, and nothing that has no place. */
export function checkOthers(
  model: Classifier,
  { folder, config }: Adapter,
  { others, adapted, spellings }: Places,
  rules: LayerRules,
  sizes: ReadonlyMap<string, readonly number[]>,
): void {
  const strange = [...others].filter(([name]) => !sizes.has(name)).map(([, key]) => key)
  if (strange.length > 0) {
    throw new InputError(
      `${folder}: holds ${listed(strange, 3)}, which this model does not have; is it for another model?`,
    )
  }
  const heads = headModules(model).flatMap((head) => [`${head}.weight`, `${head}.bias`])
  const every = new Set([...sizes.keys(), ...heads])
  const isSaved = (name: string) => spellings.some((s) => rules.isSaved(spelt(name, s, model.config)))
  const unsaved = [...every].filter((name) => isSaved(name) && !others.has(name))
  if (unsaved.length > 0) {
    throw new InputError(
      `${folder}: adapter_config.json saves ${listed(unsaved, 2)}, but ${adapterFiles.weights} lacks ${unsaved.length > 1 ? 'them' : 'it'}, and the base's would be taken in place of what was trained; save it again`,
    )
  }
  const owner = (name: string) => name.slice(0, name.lastIndexOf('.'))
  const hasBias = (name: string) =>
    name.endsWith('.bias') && (config.bias === 'all' || (config.bias === 'lora_only' && adapted.has(owner(name))))
  const biases = [...sizes.keys()].filter((name) => hasBias(name) && !others.has(name))
  if (biases.length > 0) {
    throw new InputError(
      `${folder}: adapter_config.json trains biases (${config.bias}), but ${adapterFiles.weights} lacks ${listed(biases, 2)}; save it again`,
    )
  }
  const loose = [...others.keys()].filter((name) => {
    if (isSaved(name) || hasBias(name)) return false
    // Base weights under an adapter, and biases alone: they would be lost when the adapter is saved again.
    return adapted.has(owner(name)) || (name.endsWith('.bias') && !others.has(name.replace(/bias$/, 'weight')))
  })
  if (loose.length > 0) {
    throw new InputError(
      `${folder}: holds ${listed(
        loose.map((name) => others.get(name)!),
        2,
      )}, which no adapter of these settings changes; is it for another base, or bias not "none"?`,
    )
  }
}
