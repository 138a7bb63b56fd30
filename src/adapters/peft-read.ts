// Reading an adapter folder and putting it on a model. Every tensor finds its place, and everything that adapter_config.json
// asks for has its tensors; what is missing or over is named and refused. Not here: which tensor is what (peft-places.ts).
import { countNonFinite } from '../io/finite.ts'
import { readJsonObject } from '../io/json.ts'
import { localFiles } from '../io/local-files.ts'
import { openSafetensors, type SafetensorsFile } from '../io/safetensors.ts'
import { huggingFaceName, storedShape } from '../models/names.ts'
import type { Vit } from '../models/vit.ts'
import { namedParameters } from '../nn/module.ts'
import { InputError } from '../platform/errors.ts'
import { listed } from '../platform/listed.ts'
import { sameShape, showShape } from '../tensor/shape.ts'
import type { LoraConfig } from './config.ts'
import { adaptedLayers, adaptLayers, headModules, isHead, linearLayers } from './inject.ts'
import { parseAdapterConfig, unknownFields } from './peft-config.ts'
import { classic, type Spelling, spelt } from './peft-names.ts'
import { findPlaces, type Part, type Places, storedPart } from './peft-places.ts'
import { respellSaved } from './peft-write.ts'
import { idleModules, idlePatterns, idleTargets, type LayerRules, layerRules, moduleNames } from './rules.ts'

/** An adapter folder, opened and checked; its tensors are read when it is applied. */
export interface Adapter {
  readonly folder: string
  readonly config: LoraConfig
  /** Class names, where vitune wrote the folder. */
  readonly classes: string[] | undefined
  readonly baseModel: string | undefined
  /** The fingerprint of the base's weights, where vitune wrote the folder. */
  readonly baseWeights: string | undefined
  /** Hugging Face's model_type of the base, where the adapter says it. */
  readonly family: string | undefined
  readonly tensors: SafetensorsFile
  /** Sentences on what its settings hold and nobody reads. */
  readonly notes: readonly string[]
}

const [settingsFile, weightsFile] = ['adapter_config.json', 'adapter_model.safetensors'] as const

/** Throws unless the folder has both files, saying what it is instead. */
async function checkFolder(folder: string): Promise<void> {
  const files = localFiles(folder)
  const has = async (...path: string[]) => (await files.kind(files.join(folder, ...path))) === 'file'
  const absent: string[] = []
  for (const name of [settingsFile, weightsFile]) if (!(await has(name))) absent.push(name)
  if (absent.length === 0) return
  const refuse = (got: string): never => {
    throw new InputError(`${folder}: an adapter folder must have ${settingsFile} and ${weightsFile}, got ${got}`)
  }
  const kind = await files.kind(folder)
  if (kind === undefined) refuse('nothing there')
  if (kind === 'file') refuse('a file; give the folder that it lies in')
  if (await has('adapter_model.bin')) {
    refuse('adapter_model.bin, a pickle; load it in PEFT and save it again, which writes safetensors')
  }
  if (absent.includes(settingsFile)) {
    // PEFT writes an adapter of another name than "default" into a folder of that name; a Trainer into checkpoint-500.
    for (const name of await files.list(folder)) {
      if (name.endsWith('/') && (await has(name.slice(0, -1), settingsFile))) {
        refuse(`one in the folder ${name.slice(0, -1)} inside; give ${files.join(folder, name.slice(0, -1))}`)
      }
    }
    if (await has('model.safetensors')) refuse('a whole model; give it as the model, without an adapter')
  }
  refuse(`no ${absent[0]}`)
}

/** Opens an adapter folder that PEFT or vitune wrote. Throws InputError saying what is wrong with it. */
export async function openAdapter(folder: string): Promise<Adapter> {
  await checkFolder(folder)
  const files = localFiles(folder)
  const json = await readJsonObject(files.join(folder, settingsFile))
  const config = parseAdapterConfig(json)
  // Refuses expressions that are none, or too many.
  layerRules(config)
  const runPath = files.join(folder, 'run.json')
  const run = (await files.kind(runPath)) === 'file' ? await readJsonObject(runPath) : {}
  const classes =
    Array.isArray(run.classes) && run.classes.every((c) => typeof c === 'string') ? run.classes : undefined
  const text = (value: unknown) => (typeof value === 'string' && value !== '' ? value : undefined)
  const mapping = json.auto_mapping as Record<string, unknown> | null | undefined
  const strange = unknownFields(json)
  return {
    folder,
    config,
    classes,
    baseModel: text(json.base_model_name_or_path),
    baseWeights: text((run.fingerprint as Record<string, unknown> | undefined)?.weights),
    family: /^transformers\.models\.(\w+)\./.exec(text(mapping?.parent_library) ?? '')?.[1],
    tensors: await openSafetensors(files.join(folder, weightsFile)),
    notes:
      strange.length > 0
        ? [`${settingsFile}: ${listed(strange, 3)} is not known here or to PEFT 0.21, and left out`]
        : [],
  }
}

export interface ApplyOptions {
  /** For what is not stored: nothing, in an adapter that is whole. */
  seed?: number
  /** Is told what the adapter holds that is worth a sentence. */
  onNote?: ((note: string) => void) | undefined
  /** Take values that are not finite as they are, with a note; else they are refused. */
  allowNonFinite?: boolean | undefined
}

/**
 * Puts an adapter on a model whose base weights are loaded, with its classifier and whatever else it saved.
 * Returns the configuration to save it with again. Throws InputError on shapes or names that do not fit, on what is missing
 * or over; the model is then as it was.
 */
export async function applyAdapter(model: Vit, adapter: Adapter, options: ApplyOptions = {}): Promise<LoraConfig> {
  const { seed = 0, onNote = () => {} } = options
  const { folder } = adapter
  if (adaptedLayers(model).length > 0)
    throw new Error('applyAdapter: the model already has an adapter; merge or remove it first')
  for (const note of adapter.notes) onNote(note)
  const places = findPlaces(model, adapter, onNote)
  const layers = new Map(linearLayers(model).map((l) => [l.name, l]))
  const rules = layerRules(adapter.config)
  const speak = (name: string) => places.spellings.map((s) => spelt(name, s, model.config))
  const values = new Map<string, Float32Array>()
  const read = reader(adapter, values, options)

  const wanted = [...layers.values()].filter((l) => speak(l.name).some((n) => rules.isTarget(n, isHead(l.path))))
  checkTargets(folder, wanted, places)
  const targets = []
  for (const [name, { stored, keys }] of places.adapted) {
    const target = layers.get(name)!
    const strength = rules.strength(stored)
    const { r, alpha } = strength
    const rank = keys.has('loraA') ? adapter.tensors.info(keys.get('loraA')!).shape[0] : r
    if (rank !== r)
      throw new InputError(`${folder}: adapter_config.json gives ${name} rank ${r}, but its weights have rank ${rank}`)
    const { inFeatures, outFeatures } = target.layer
    const shapes: [Part, boolean, number[]][] = [
      ['loraA', true, [r, inFeatures]],
      ['loraB', true, [outFeatures, r]],
      ['loraBias', adapter.config.loraBias, [outFeatures]],
      ['magnitude', adapter.config.useDora, [outFeatures]],
    ]
    for (const [part, asked, shape] of shapes) {
      const key = keys.get(part)
      if (asked !== (key !== undefined)) {
        const [has, does] = asked ? ['no', 'asks'] : ['a', 'does not ask']
        throw new InputError(
          `${folder}: ${name} has ${has} ${storedPart[part]}, though adapter_config.json ${does} for it`,
        )
      }
      if (key) await read(key, shape)
    }
    targets.push({ ...target, r, alpha, strength })
  }

  const classes = headClasses(model, adapter, places)
  const sizes = parameterSizes(model, classes)
  checkOthers(model, adapter, places, rules, sizes)
  for (const [name, key] of places.others) await read(key, sizes.get(name)!)
  for (const [one, other] of places.twins) {
    await read(other, adapter.tensors.info(one).shape)
    if (!values.get(one)!.every((v, i) => Object.is(v, values.get(other)![i])))
      throw new InputError(`${folder}: ${one} and ${other} stand for the same weights, but differ; leave one out`)
  }

  // Nothing can fail any more but memory: the model changes from here on.
  if (classes) model.setHead(classes)
  const config = ownConfig(model, adapter, places, targets, rules, onNote)
  adaptLayers(model, targets, config, seed, true)
  for (const { name, layer } of adaptedLayers(model)) {
    for (const [part, key] of places.adapted.get(name)!.keys) layer[part]!.assign(values.get(key)!)
  }
  for (const [path, p] of namedParameters(model)) {
    const key = /\.(loraA|loraB|loraBias|magnitude)$/.test(path)
      ? undefined
      : places.others.get(huggingFaceName(path, model.config))
    if (key) p.assign(values.get(key)!)
  }
  return config
}

/** Reads tensors into `values`, of exactly the shape that is asked for and finite. */
function reader({ tensors, folder }: Adapter, values: Map<string, Float32Array>, options: ApplyOptions) {
  return async (key: string, shape: readonly number[]) => {
    const got = tensors.info(key).shape
    if (!sameShape(got, shape))
      throw new InputError(`${folder}: ${key} must be ${showShape(shape)}, got ${showShape(got)}`)
    const data = await tensors.read(key)
    const bad = countNonFinite(data)
    if (bad > 0) {
      const found = `${key} holds ${bad === 1 ? 'a value' : `${bad} values`} of ${data.length} that ${bad === 1 ? 'is' : 'are'} NaN or infinite`
      if (!options.allowNonFinite)
        throw new InputError(`${folder}: ${found}; its training went wrong, take an earlier adapter`)
      options.onNote?.(found)
    }
    values.set(key, data)
  }
}

/** Throws unless exactly the layers that the settings name have adapters. */
function checkTargets(folder: string, wanted: readonly { name: string }[], { adapted }: Places): void {
  const without = wanted.map((l) => l.name).filter((name) => !adapted.has(name))
  if (without.length > 0) {
    throw new InputError(
      `${folder}: adapter_config.json adapts ${listed(without, 3)}, but ${weightsFile} lacks their tensors, and they would stay as in the base; save it again`,
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
function parameterSizes(model: Vit, classes: readonly string[] | undefined): Map<string, readonly number[]> {
  const sizes = new Map<string, readonly number[]>()
  for (const [path, p] of namedParameters(model)) {
    sizes.set(huggingFaceName(path, model.config), storedShape(path, p.shape, model.config))
  }
  for (const head of classes ? headModules(model) : []) {
    sizes.set(`${head}.weight`, [classes!.length, model.features])
    sizes.set(`${head}.bias`, [classes!.length])
  }
  return sizes
}

/** Throws unless the modules to save and the biases that the settings name are there, and nothing that has no place. */
function checkOthers(
  model: Vit,
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
      `${folder}: adapter_config.json saves ${listed(unsaved, 2)}, but ${weightsFile} lacks ${unsaved.length > 1 ? 'them' : 'it'}, and the base's would be taken in place of what was trained; save it again`,
    )
  }
  const owner = (name: string) => name.slice(0, name.lastIndexOf('.'))
  const hasBias = (name: string) =>
    name.endsWith('.bias') && (config.bias === 'all' || (config.bias === 'lora_only' && adapted.has(owner(name))))
  const biases = [...sizes.keys()].filter((name) => hasBias(name) && !others.has(name))
  if (biases.length > 0) {
    throw new InputError(
      `${folder}: adapter_config.json trains biases (${config.bias}), but ${weightsFile} lacks ${listed(biases, 2)}; save it again`,
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

/** Class names of the stored classifier, where the model needs a new one for it. */
function headClasses(model: Vit, { tensors, classes }: Adapter, { others }: Places): string[] | undefined {
  const key = others.get(`${headModules(model)[0]}.weight`)
  if (!key) return undefined
  const count = tensors.info(key).shape[0] ?? 0
  if (classes?.length === count) return classes
  return model.config.classes.length === count ? undefined : Array.from({ length: count }, (_, i) => `LABEL_${i}`)
}

/** The configuration in this model's names, without what stands for nothing in it; says what is not as the settings say. */
function ownConfig(
  model: Vit,
  { config, folder }: Adapter,
  { adapted, others, spellings }: Places,
  targets: readonly { name: string; r: number; alpha: number }[],
  rules: LayerRules,
  onNote: (note: string) => void,
): LoraConfig {
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
    onNote(`${settingsFile}: ${listed([...new Set(idle)], 3)} is nothing in this model, and passed over`)
  const used = <T>(table: Record<string, T>) =>
    Object.fromEntries(Object.entries(table).filter(([key]) => !idle.includes(key)))
  const own: LoraConfig = {
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
  model: Vit,
  config: LoraConfig,
  spellings: readonly Spelling[],
  targets: readonly { name: string; r: number; alpha: number }[],
): LoraConfig {
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
