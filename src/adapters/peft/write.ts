// Writing an adapter folder as PEFT does: adapter_config.json and adapter_model.safetensors.

import { adapterFiles } from '../../io/checkpoint.ts'
import { localFiles } from '../../io/local-files.ts'
import { safetensorsParts, type TensorToWrite } from '../../io/safetensors-write.ts'
import type { Classifier } from '../../models/model-kind.ts'
import { namesOf } from '../../models/registry.ts'
import { namedParameters } from '../../nn/module.ts'
import { InputError } from '../../platform/errors.ts'
import type { Parameter } from '../../tensor/tensor.ts'
import { adapterField, storedName } from '../adapter.ts'
import { adaptedLayers, linearLayers } from '../inject.ts'
import { type AnyAdapterConfig, adapterOf } from '../registry.ts'
import { isAllLinear, layerRules, moduleNames, parameterNames, savedBy } from '../rules.ts'
import { adapterConfigText } from './config.ts'
import { classic, root, type Spelling, spelt } from './names.ts'

const spellingFor = (transformers: 4 | 5): Spelling => ({ modern: transformers === 5, bare: false })

export interface SaveAdapterOptions {
  /** base_model_name_or_path. */
  baseModel?: string | undefined
  /** Whose module names to write: transformers 4's (default), which checkpoints keep, or 5's. Both are read here. */
  transformers?: 4 | 5 | undefined
}

/** The adapter's tensors under PEFT's names, in f32. Throws where something trains that PEFT would not save. */
export async function adapterTensors(
  model: Classifier,
  config: AnyAdapterConfig,
  transformers: 4 | 5 = 4,
): Promise<TensorToWrite[]> {
  const out: TensorToWrite[] = []
  const spelling = spellingFor(transformers)
  const put = async (name: string, p: Parameter, shape: readonly number[] = p.shape) => {
    out.push({ name: root + spelt(name, spelling, model.config), shape, data: (await p.data()) as Float32Array })
  }
  const layers = adaptedLayers(model)
  for (const { name, adapter } of layers) {
    const parameters = new Map(namedParameters(adapter))
    for (const part of adapterOf(config).parts) {
      const p = parameters.get(part.field)
      if (p) await put(`${name}.${storedName(part)}`, p)
    }
  }
  const adapted = new Set(layers.map((l) => l.path))
  const isSaved = savedBy(config.modulesToSave ?? [])
  for (const [path, p] of namedParameters(model)) {
    if (adapterField(path)) continue
    const name = namesOf(model.config).checkpoint(path, model.config)
    const owner = path.slice(0, -'.bias'.length)
    const bias = path.endsWith('.bias') ? config.bias : 'none'
    if (isSaved(name)) await put(name, p, namesOf(model.config).shape(path, p.shape, model.config))
    else if (bias !== 'none' && adapted.has(owner)) await put(`${name.slice(0, -'.bias'.length)}.base_layer.bias`, p)
    else if (bias === 'all') await put(name, p)
    else if (p.trainable) {
      throw new InputError(`adapter: ${name} is trained but would not be saved; name its module in modulesToSave`)
    }
  }
  return out
}

/** What target_modules should say: the user's words, or whole names where the words do not hold in what is written. */
function targetsToWrite(model: Classifier, config: AnyAdapterConfig, transformers: 4 | 5): string[] | string {
  // PEFT writes what 'all-linear' stood for.
  const all = isAllLinear(config.targetModules)
  const names = (all ? linearLayers(model) : adaptedLayers(model)).map((l) => l.name).sort()
  if (transformers === 5) return names.map((name) => namesOf(model.config).modern(name, model.config)).sort()
  return all ? names : config.targetModules
}

/** The configuration in transformers 5's names: patterns become one entry for each layer that differs. */
function respelt(model: Classifier, config: AnyAdapterConfig): AnyAdapterConfig {
  const rankPattern: Record<string, number> = {}
  const alphaPattern: Record<string, number> = {}
  const { strength } = layerRules(config)
  for (const { name } of adaptedLayers(model)) {
    const { r, alpha } = strength(name)
    if (r !== config.r) rankPattern[namesOf(model.config).modern(name, model.config)] = r
    if (alpha !== config.alpha) alphaPattern[namesOf(model.config).modern(name, model.config)] = alpha
  }
  return { ...config, rankPattern, alphaPattern, layersToTransform: undefined, layersPattern: undefined }
}

/**
 * Modules to save in another spelling: a name as it is where it means the same weights there, else the modules that hold
 * them. PEFT 0.21 cannot read back what it saves of a module inside another one to save ('attention' ends two names, one in
 * the other), so then the outer ones are named whole.
 */
export function respellSaved(
  model: Classifier,
  config: AnyAdapterConfig,
  from: readonly Spelling[],
  to: Spelling,
): string[] | undefined {
  if (!config.modulesToSave) return undefined
  const parameters = parameterNames(model)
  const owner = (name: string) => name.slice(0, name.lastIndexOf('.'))
  const there = (name: string) => spelt(name, to, model.config)
  const names = config.modulesToSave.flatMap((module) => {
    const isSaved = savedBy([module])
    const meant = new Set(parameters.filter((name) => from.some((s) => isSaved(spelt(name, s, model.config)))))
    const same = parameters.every((name) => isSaved(there(name)) === meant.has(name))
    return same ? [module] : [...meant].map((name) => owner(there(name)))
  })
  const modules = [...moduleNames(parameters.map(there))].filter((m) => names.some((name) => m.endsWith(name)))
  const outer = modules.filter((m) => !modules.some((other) => m.startsWith(`${other}.`)))
  return outer.length === modules.length ? [...new Set(names)] : outer
}

/** Writes both files of an adapter folder, or none. */
export async function saveAdapter(
  model: Classifier,
  folder: string,
  config: AnyAdapterConfig,
  options: SaveAdapterOptions = {},
): Promise<void> {
  const { baseModel, transformers = 4 } = options
  const files = localFiles(folder)
  await files.makeFolder(folder)
  const base = {
    name: baseModel,
    architecture: namesOf(model.config).architecture(model.config),
    family: model.config.family,
  }
  const own = transformers === 5 ? respelt(model, config) : config
  const modulesToSave = respellSaved(model, config, [classic], spellingFor(transformers))
  const text = adapterConfigText({ ...own, modulesToSave }, targetsToWrite(model, config, transformers), base)
  // The weights take their name last: where they are, their settings are.
  await files.writeTogether([
    [files.join(folder, adapterFiles.config), text],
    [files.join(folder, adapterFiles.weights), safetensorsParts(await adapterTensors(model, config, transformers))],
  ])
}
