// Adapters as PEFT stores them: adapter_config.json and adapter_model.safetensors, read onto a model and written from one.
import { readJsonObject } from '../io/json.ts'
import { localFiles } from '../io/local-files.ts'
import { openSafetensors, type SafetensorsFile } from '../io/safetensors.ts'
import { safetensorsParts, type TensorToWrite } from '../io/safetensors-write.ts'
import { huggingFaceName, storedShape } from '../models/names.ts'
import { architectureOf } from '../models/save.ts'
import type { Vit } from '../models/vit.ts'
import type { VitConfig } from '../models/vit-config.ts'
import { namedParameters } from '../nn/module.ts'
import { InputError } from '../platform/errors.ts'
import { showShape, sizeOf } from '../tensor/shape.ts'
import type { Parameter } from '../tensor/tensor.ts'
import { type LoraConfig, strength } from './config.ts'
import { adaptedLayers, adaptLayers, headModules, isSaved, linearLayers } from './inject.ts'
import { adapterConfigText, parseAdapterConfig } from './peft-config.ts'

const root = 'base_model.model.'
const parts = { lora_A: 'loraA', lora_B: 'loraB', lora_magnitude_vector: 'magnitude' } as const

/** An adapter folder, opened and checked; its tensors are read when it is applied. */
export interface Adapter {
  readonly folder: string
  readonly config: LoraConfig
  /** Class names, where vitune wrote the folder. */
  readonly classes: string[] | undefined
  readonly baseModel: string | undefined
  readonly tensors: SafetensorsFile
}

/** Opens an adapter folder that PEFT or vitune wrote. Throws InputError saying what is wrong with it. */
export async function openAdapter(folder: string): Promise<Adapter> {
  const files = localFiles(folder)
  const configPath = files.join(folder, 'adapter_config.json')
  const weightsPath = files.join(folder, 'adapter_model.safetensors')
  for (const path of [configPath, weightsPath]) {
    if ((await files.kind(path)) !== 'file') {
      throw new InputError(
        `${folder}: an adapter folder must have adapter_config.json and adapter_model.safetensors, got no ${files.baseName(path)}`,
      )
    }
  }
  const json = await readJsonObject(configPath)
  const config = parseAdapterConfig(json)
  const runPath = files.join(folder, 'run.json')
  const run = (await files.kind(runPath)) === 'file' ? await readJsonObject(runPath) : {}
  const classes =
    Array.isArray(run.classes) && run.classes.every((c) => typeof c === 'string') ? run.classes : undefined
  const baseModel = typeof json.base_model_name_or_path === 'string' ? json.base_model_name_or_path : undefined
  return { folder, config, classes, baseModel, tensors: await openSafetensors(weightsPath) }
}

/** Names of transformers 5 in the classic spelling that checkpoints keep. */
export function classicName(name: string, config: VitConfig): string {
  const plain = config.family === 'vit' || config.family === 'deit'
  const old = name
    .replace(/^(vit|deit)\.layers\./, '$1.encoder.layer.')
    .replace(
      /\.attention\.([qkv])_proj\b/,
      (_, l: 'q' | 'k' | 'v') => `.attention.attention.${{ q: 'query', k: 'key', v: 'value' }[l]}`,
    )
    .replace(/\.attention\.o_proj\b/, '.attention.output.dense')
  return plain
    ? old
        .replace(/(layer\.\d+)\.mlp\.fc1\b/, '$1.intermediate.dense')
        .replace(/(layer\.\d+)\.mlp\.fc2\b/, '$1.output.dense')
    : old
}

/** The reverse: what transformers 5 calls a module. */
export function modernName(name: string, config: VitConfig): string {
  const plain = config.family === 'vit' || config.family === 'deit'
  const found = plain
    ? name
        .replace(/^(vit|deit)\.encoder\.layer\./, '$1.layers.')
        .replace(/(layers\.\d+)\.intermediate\.dense\b/, '$1.mlp.fc1')
        .replace(/(layers\.\d+)\.output\.dense\b/, '$1.mlp.fc2')
    : name
  return found
    .replace(/\.attention\.attention\.(query|key|value)\b/, (_, l: string) => `.attention.${l[0]}_proj`)
    .replace(/\.attention\.output\.dense\b/, '.attention.o_proj')
}

/** A stored name without PEFT's prefix, with the base model's prefix, in classic spelling. */
function innerName(key: string, config: VitConfig): string {
  if (!key.startsWith(root))
    throw new InputError(`adapter: tensor names must start with ${root}, got ${key.slice(0, 80)}`)
  const name = key.slice(root.length)
  const known = [`${config.family}.`, 'classifier', 'cls_classifier', 'distillation_classifier']
  return classicName(known.some((k) => name.startsWith(k)) ? name : `${config.family}.${name}`, config)
}

type Part = 'loraA' | 'loraB' | 'loraBias' | 'magnitude'

interface Found {
  /** Each adapted layer's name as stored, and where its parts are. */
  adapted: Map<string, { stored: string; keys: Map<Part, string> }>
  /** Everything else by name: the classifier, other saved modules, biases. */
  others: Map<string, string>
}

/** Sorts the tensors by what they belong to; throws on an adapted layer that the model does not have. */
function findTensors(model: Vit, { tensors, folder }: Adapter, layers: ReadonlyMap<string, unknown>): Found {
  const adapted: Found['adapted'] = new Map()
  const others: Found['others'] = new Map()
  for (const key of tensors.names()) {
    const found = /^(.*)\.(lora_A|lora_B|lora_magnitude_vector)(?:\.(weight|bias))?$/.exec(key)
    if (!found) {
      if (!/\.(modules_to_save|original_module)\./.test(key))
        others.set(innerName(key, model.config).replace('.base_layer.', '.'), key)
      continue
    }
    const name = innerName(found[1]!, model.config)
    if (!layers.has(name))
      throw new InputError(`${folder}: adapts ${name}, which this model does not have; is it for another model?`)
    const entry = adapted.get(name) ?? { stored: found[1]!.slice(root.length), keys: new Map<Part, string>() }
    const part = found[2] === 'lora_B' && found[3] === 'bias' ? 'loraBias' : parts[found[2] as keyof typeof parts]
    entry.keys.set(part, key)
    adapted.set(name, entry)
  }
  if (adapted.size === 0) throw new InputError(`${folder}: adapter_model.safetensors holds no LoRA weights`)
  return { adapted, others }
}

/**
 * Puts an adapter on a model whose base weights are loaded, with its classifier and whatever else it saved.
 * Returns the configuration to save it with again. Throws InputError on shapes or names that do not fit; the model is
 * then as it was.
 */
export async function applyAdapter(model: Vit, adapter: Adapter, seed = 0): Promise<LoraConfig> {
  const { tensors, folder } = adapter
  if (adaptedLayers(model).length > 0)
    throw new Error('applyAdapter: the model already has an adapter; merge or remove it first')
  const layers = new Map(linearLayers(model).map((l) => [l.name, l]))
  const { adapted, others } = findTensors(model, adapter, layers)
  const values = new Map<string, Float32Array>()
  const read = async (key: string, shape: readonly number[]) => {
    const got = tensors.info(key).shape
    if (sizeOf(got) !== sizeOf(shape))
      throw new InputError(`${folder}: ${key} must be ${showShape(shape)}, got ${showShape(got)}`)
    values.set(key, await tensors.read(key))
  }

  const targets = []
  for (const [name, { stored, keys }] of adapted) {
    const target = layers.get(name)!
    const { r, alpha, scaling } = strength(adapter.config, stored)
    const rank = keys.has('loraA') ? tensors.info(keys.get('loraA')!).shape[0] : r
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
    targets.push({ ...target, r, alpha, scaling })
  }

  const heads = headModules(model)
  const sizes = new Map([...namedParameters(model)].map(([path, p]) => [huggingFaceName(path, model.config), p.shape]))
  const classes = headClasses(model, adapter)
  if (classes) {
    for (const head of heads) {
      sizes.set(`${head}.weight`, [classes.length, model.features])
      sizes.set(`${head}.bias`, [classes.length])
    }
  }
  for (const [name, key] of others) {
    const shape = sizes.get(name)
    if (!shape)
      throw new InputError(`${folder}: holds ${key}, which this model does not have; is it for another model?`)
    await read(key, shape)
  }

  // Nothing can fail any more: the model changes from here on.
  if (classes) model.setHead(classes)
  // PEFT reads a stored classifier even where modules_to_save does not name it; it must not be lost when saved again.
  const stored = heads.filter((head) => others.has(`${head}.weight`))
  const config = { ...ownNames(adapter.config, adapted, targets) }
  if (stored.length > 0) config.modulesToSave = [...new Set([...(config.modulesToSave ?? []), ...stored])]
  adaptLayers(model, targets, config, seed)
  for (const { name, layer } of adaptedLayers(model)) {
    for (const [part, key] of adapted.get(name)!.keys) layer[part]!.assign(values.get(key)!)
  }
  for (const [path, p] of namedParameters(model)) {
    const key = adapterFree(path) ? others.get(huggingFaceName(path, model.config)) : undefined
    if (key) p.assign(values.get(key)!)
  }
  return config
}

const storedPart: Record<Part, string> = {
  loraA: 'lora_A',
  loraB: 'lora_B',
  loraBias: 'lora_B.bias',
  magnitude: 'lora_magnitude_vector',
}

/** Class names of the stored classifier, where the model needs a new one for it. */
function headClasses(model: Vit, { tensors, classes }: Adapter): string[] | undefined {
  const key = tensors.names().find((k) => /^base_model\.model\.(cls_)?classifier\.weight$/.test(k))
  if (!key) return undefined
  const count = tensors.info(key).shape[0] ?? 0
  if (classes?.length === count) return classes
  return model.config.classes.length === count ? undefined : Array.from({ length: count }, (_, i) => `LABEL_${i}`)
}

/** The configuration in this model's names: one written by transformers 5 speaks of layers under its own. */
function ownNames(
  config: LoraConfig,
  adapted: Found['adapted'],
  targets: readonly { name: string; r: number; alpha: number }[],
): LoraConfig {
  if ([...adapted].every(([name, { stored }]) => name === stored)) return config
  const other = (of: 'r' | 'alpha') =>
    Object.fromEntries(targets.filter((t) => t[of] !== config[of]).map((t) => [t.name, t[of]]))
  return {
    ...config,
    targetModules: targets.map((t) => t.name),
    excludeModules: undefined,
    layersToTransform: undefined,
    layersPattern: undefined,
    rankPattern: other('r'),
    alphaPattern: other('alpha'),
  }
}

const adapterFree = (path: string): boolean => !/\.(loraA|loraB|loraBias|magnitude)$/.test(path)

export interface SaveAdapterOptions {
  /** base_model_name_or_path. */
  baseModel?: string | undefined
  /** Whose module names to write: transformers 4's (default), which checkpoints keep, or 5's. Both are read here. */
  transformers?: 4 | 5 | undefined
}

/** The adapter's tensors under PEFT's names, in f32. Throws where something trains that PEFT would not save. */
export async function adapterTensors(
  model: Vit,
  config: LoraConfig,
  transformers: 4 | 5 = 4,
): Promise<TensorToWrite[]> {
  const out: TensorToWrite[] = []
  const spelt = (name: string) => (transformers === 5 ? modernName(name, model.config) : name)
  const put = async (name: string, p: Parameter, shape: readonly number[] = p.shape) => {
    out.push({ name: root + spelt(name), shape, data: (await p.data()) as Float32Array })
  }
  const layers = adaptedLayers(model)
  for (const { name, layer } of layers) {
    await put(`${name}.lora_A.weight`, layer.loraA)
    await put(`${name}.lora_B.weight`, layer.loraB)
    if (layer.loraBias) await put(`${name}.lora_B.bias`, layer.loraBias)
    if (layer.magnitude) await put(`${name}.lora_magnitude_vector`, layer.magnitude)
  }
  const adapted = new Set(layers.map((l) => l.path))
  for (const [path, p] of namedParameters(model)) {
    if (!adapterFree(path)) continue
    const name = huggingFaceName(path, model.config)
    const owner = path.slice(0, -'.bias'.length)
    const bias = path.endsWith('.bias') ? config.bias : 'none'
    if (isSaved(config, name)) await put(name, p, storedShape(path, p.shape, model.config))
    else if (bias !== 'none' && adapted.has(owner)) await put(`${name.slice(0, -'.bias'.length)}.base_layer.bias`, p)
    else if (bias === 'all') await put(name, p)
    else if (p.trainable) {
      throw new InputError(`adapter: ${name} is trained but would not be saved; name its module in modulesToSave`)
    }
  }
  return out
}

/** What target_modules should say: the user's words, or whole names where the words do not hold in what is written. */
function targetsToWrite(model: Vit, config: LoraConfig, transformers: 4 | 5): string[] | string {
  // PEFT writes what 'all-linear' stood for.
  const named = config.targetModules === 'all-linear' ? linearLayers(model) : adaptedLayers(model)
  const names = named.map((l) => l.name).sort()
  if (transformers === 5) return names.map((name) => modernName(name, model.config)).sort()
  return config.targetModules === 'all-linear' ? names : config.targetModules
}

/** The configuration in transformers 5's names: patterns become one entry for each layer that differs. */
function respelt(model: Vit, config: LoraConfig): LoraConfig {
  const rankPattern: Record<string, number> = {}
  const alphaPattern: Record<string, number> = {}
  for (const { name } of adaptedLayers(model)) {
    const { r, alpha } = strength(config, name)
    if (r !== config.r) rankPattern[modernName(name, model.config)] = r
    if (alpha !== config.alpha) alphaPattern[modernName(name, model.config)] = alpha
  }
  const modulesToSave = config.modulesToSave?.map((name) => modernName(name, model.config))
  return { ...config, rankPattern, alphaPattern, modulesToSave, layersToTransform: undefined, layersPattern: undefined }
}

/** Writes both files of an adapter folder, or none. */
export async function saveAdapter(
  model: Vit,
  folder: string,
  config: LoraConfig,
  options: SaveAdapterOptions = {},
): Promise<void> {
  const { baseModel, transformers = 4 } = options
  const files = localFiles(folder)
  await files.makeFolder(folder)
  const base = { name: baseModel, architecture: architectureOf(model.config), family: model.config.family }
  const text = adapterConfigText(
    transformers === 5 ? respelt(model, config) : config,
    targetsToWrite(model, config, transformers),
    base,
  )
  // The weights take their name last: where they are, their settings are.
  await files.writeTogether([
    [files.join(folder, 'adapter_config.json'), text],
    [
      files.join(folder, 'adapter_model.safetensors'),
      safetensorsParts(await adapterTensors(model, config, transformers)),
    ],
  ])
}
