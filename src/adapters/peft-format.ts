// Adapters as PEFT stores them: adapter_config.json and adapter_model.safetensors, read onto a model and written from one.
import { readJsonObject } from '../io/checkpoint.ts'
import { localFiles } from '../io/local-files.ts'
import { openSafetensors, type SafetensorsFile } from '../io/safetensors.ts'
import { type TensorToWrite, writeSafetensors } from '../io/safetensors-write.ts'
import { architectureOf } from '../models/load.ts'
import { huggingFaceName, storedShape } from '../models/names.ts'
import type { Vit } from '../models/vit.ts'
import type { VitConfig } from '../models/vit-config.ts'
import { namedParameters } from '../nn/module.ts'
import { InputError } from '../platform/errors.ts'
import { showShape, sizeOf } from '../tensor/shape.ts'
import type { Parameter } from '../tensor/tensor.ts'
import { type LoraConfig, strength } from './config.ts'
import { adaptedLayers, adaptLayers, isSaved, linearLayers } from './inject.ts'
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
      throw new InputError(`${folder}: an adapter folder must have adapter_config.json and adapter_model.safetensors, got no ${files.baseName(path)}`)
    }
  }
  const json = await readJsonObject(configPath)
  const config = parseAdapterConfig(json)
  const runPath = files.join(folder, 'run.json')
  const run = (await files.kind(runPath)) === 'file' ? await readJsonObject(runPath) : {}
  const classes = Array.isArray(run.classes) && run.classes.every((c) => typeof c === 'string') ? run.classes : undefined
  const baseModel = typeof json.base_model_name_or_path === 'string' ? json.base_model_name_or_path : undefined
  return { folder, config, classes, baseModel, tensors: await openSafetensors(weightsPath) }
}

/** Names of transformers 5 in the classic spelling that checkpoints keep. */
export function classicName(name: string, config: VitConfig): string {
  const plain = config.family === 'vit' || config.family === 'deit'
  const old = name
    .replace(/^(vit|deit)\.layers\./, '$1.encoder.layer.')
    .replace(/\.attention\.([qkv])_proj\b/, (_, l: 'q' | 'k' | 'v') => `.attention.attention.${{ q: 'query', k: 'key', v: 'value' }[l]}`)
    .replace(/\.attention\.o_proj\b/, '.attention.output.dense')
  return plain ? old.replace(/(layer\.\d+)\.mlp\.fc1\b/, '$1.intermediate.dense').replace(/(layer\.\d+)\.mlp\.fc2\b/, '$1.output.dense') : old
}

/** A stored name without PEFT's prefix, with the base model's prefix, in classic spelling. */
function innerName(key: string, config: VitConfig): string {
  if (!key.startsWith(root)) throw new InputError(`adapter: tensor names must start with ${root}, got ${key.slice(0, 80)}`)
  const name = key.slice(root.length)
  const known = [`${config.family}.`, 'classifier', 'cls_classifier', 'distillation_classifier']
  return classicName(known.some((k) => name.startsWith(k)) ? name : `${config.family}.${name}`, config)
}

/**
 * Puts an adapter on a model whose base weights are loaded, with its classifier and whatever else it saved.
 * Returns the configuration to save it with again. Throws InputError on shapes or names that do not fit.
 */
export async function applyAdapter(model: Vit, adapter: Adapter, seed = 0): Promise<LoraConfig> {
  const { tensors, folder } = adapter
  let { config } = adapter
  const layers = new Map(linearLayers(model).map((l) => [l.name, l]))
  const adapted = new Map<string, { stored: string; keys: Map<string, string> }>()
  const others = new Map<string, string>()
  for (const key of tensors.names()) {
    const found = /^(.*)\.(lora_A|lora_B|lora_magnitude_vector)(?:\.(weight|bias))?$/.exec(key)
    if (!found) {
      if (!/\.(modules_to_save|original_module)\./.test(key)) others.set(innerName(key, model.config).replace('.base_layer.', '.'), key)
      continue
    }
    const name = innerName(found[1]!, model.config)
    if (!layers.has(name)) throw new InputError(`${folder}: adapts ${name}, which this model does not have; is it for another model?`)
    const entry = adapted.get(name) ?? { stored: found[1]!.slice(root.length), keys: new Map<string, string>() }
    const part = found[2] === 'lora_B' && found[3] === 'bias' ? 'loraBias' : parts[found[2] as keyof typeof parts]
    entry.keys.set(part, key)
    adapted.set(name, entry)
  }
  if (adapted.size === 0) throw new InputError(`${folder}: adapter_model.safetensors holds no LoRA weights`)
  const targets = [...adapted].map(([name, { stored, keys }]) => {
    const shape = keys.has('loraA') ? tensors.info(keys.get('loraA')!).shape : []
    if (shape.length !== 2) throw new InputError(`${folder}: ${name} must have lora_A of (r, in), got ${showShape(shape)}`)
    const { r, scaling } = strength(config, stored)
    if (r !== shape[0]) throw new InputError(`${folder}: adapter_config.json gives ${name} rank ${r}, but its weights have rank ${shape[0]}`)
    return { ...layers.get(name)!, r, scaling }
  })
  const head = tensors.names().find((key) => /^base_model\.model\.(cls_)?classifier\.weight$/.test(key))
  if (head) {
    const count = tensors.info(head).shape[0]!
    const names = adapter.classes?.length === count ? adapter.classes : undefined
    if (names || model.config.classes.length !== count) model.setHead(names ?? Array.from({ length: count }, (_, i) => `LABEL_${i}`))
  }
  if ([...adapted].some(([name, { stored }]) => name !== stored)) config = { ...config, targetModules: targets.map((t) => t.name), layersToTransform: undefined }
  adaptLayers(model, targets, config, seed)
  const assign = async (p: Parameter, key: string) => {
    const { shape } = tensors.info(key)
    if (sizeOf(shape) !== p.size) throw new InputError(`${folder}: ${key} must have ${p.size} values, got shape ${showShape(shape)}`)
    p.assign(await tensors.read(key))
  }
  for (const { name, layer } of adaptedLayers(model)) {
    const { keys } = adapted.get(name)!
    for (const part of ['loraA', 'loraB', 'loraBias', 'magnitude'] as const) {
      const p = layer[part]
      const key = keys.get(part)
      if (p && !key) throw new InputError(`${folder}: ${name} has no ${part === 'magnitude' ? 'lora_magnitude_vector' : part}, though adapter_config.json asks for it`)
      if (p && key) await assign(p, key)
    }
  }
  const parameters = new Map([...namedParameters(model)].map(([path, p]) => [adapterFree(path) ? huggingFaceName(path, model.config) : path, p]))
  for (const [name, key] of others) {
    const p = parameters.get(name)
    if (!p) throw new InputError(`${folder}: holds ${key}, which this model does not have; is it for another model?`)
    await assign(p, key)
  }
  return config
}

const adapterFree = (path: string): boolean => !/\.(loraA|loraB|loraBias|magnitude)$/.test(path)

/** The adapter's tensors under PEFT's names, in f32. */
export async function adapterTensors(model: Vit, config: LoraConfig): Promise<TensorToWrite[]> {
  const out: TensorToWrite[] = []
  const put = async (name: string, p: Parameter, shape: readonly number[] = p.shape) => {
    out.push({ name: root + name, shape, data: (await p.data()) as Float32Array })
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
    if (isSaved(config, name)) await put(name, p, storedShape(path, p.shape, model.config))
    else if (path.endsWith('.bias') && config.bias !== 'none') {
      if (adapted.has(owner)) await put(`${name.slice(0, -'.bias'.length)}.base_layer.bias`, p)
      else if (config.bias === 'all') await put(name, p)
    }
  }
  return out
}

/** Writes both files of an adapter folder, weights first, each whole or not at all. */
export async function saveAdapter(model: Vit, folder: string, config: LoraConfig, baseModel?: string): Promise<void> {
  const files = localFiles(folder)
  await files.makeFolder(folder)
  await writeSafetensors(files.join(folder, 'adapter_model.safetensors'), await adapterTensors(model, config))
  // PEFT writes what 'all-linear' stood for.
  const targets = config.targetModules === 'all-linear' ? linearLayers(model).map((l) => l.name).sort() : config.targetModules
  const base = { name: baseModel, architecture: architectureOf(model.config), family: model.config.family }
  await files.writeAtomic(files.join(folder, 'adapter_config.json'), adapterConfigText(config, targets, base))
}
