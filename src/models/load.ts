// Vision transformers from and to model folders: Hugging Face names, or timm's.
import type { Backend } from '../backend/backend.ts'
import type { Checkpoint } from '../io/checkpoint.ts'
import { type TensorToWrite, writeSafetensors } from '../io/safetensors-write.ts'
import { localFiles } from '../io/local-files.ts'
import { type Init, zeros } from '../nn/layers.ts'
import { namedParameters } from '../nn/module.ts'
import { InputError } from '../platform/errors.ts'
import { sameShape, showShape } from '../tensor/shape.ts'
import type { Parameter } from '../tensor/tensor.ts'
import { baseName, type Dialect, huggingFaceName, storedShape, timmName } from './names.ts'
import { interpolatePositions } from './positions.ts'
import { isTimm, timmConfig } from './timm.ts'
import { Vit } from './vit.ts'
import { type Interpolation, parseVitConfig, type VitConfig } from './vit-config.ts'

export interface LoadOptions {
  /** Input size in pixels (height, width) or one side; position embeddings are interpolated to it. Default: the checkpoint's. */
  inputSize?: number | [number, number]
  /** How positions are interpolated; default: what the checkpoint's own library does. */
  interpolation?: Interpolation
}

export interface LoadedVit {
  model: Vit
  dialect: Dialect
  /** Names in the checkpoint that the model has no use for. */
  unused: string[]
}

interface Source {
  config: VitConfig
  dialect: Dialect
  read(name: string, shape: readonly number[]): Promise<Float32Array>
  has(name: string): boolean
  used: Set<string>
}

function openSource(checkpoint: Checkpoint): Source {
  const names = checkpoint.names()
  const used = new Set<string>()
  const check = (name: string, got: readonly number[], shape: readonly number[]) => {
    const plain = (s: readonly number[]) => s.filter((d, i) => d !== 1 || i === s.length - 1)
    if (!sameShape(plain(got), plain(shape))) {
      throw new InputError(`${checkpoint.folder}: ${name} must be ${showShape(shape)} for this config.json, got ${showShape(got)}`)
    }
  }
  if (isTimm(names)) {
    const config = timmConfig(checkpoint.config, new Map(names.map((n) => [n, checkpoint.info(n).shape])))
    // One fused tensor is read once for its three parts.
    let fused: { name: string; data: Float32Array } | undefined
    return {
      config,
      dialect: 'timm',
      used,
      has: (name) => checkpoint.has(timmName(name).name),
      async read(name, shape) {
        const stored = timmName(name)
        used.add(stored.name)
        const got = checkpoint.info(stored.name).shape
        if (stored.third === undefined) {
          check(stored.name, got, storedShape(name, shape, config))
          return checkpoint.read(stored.name)
        }
        check(stored.name, got, [shape[0]! * 3, ...shape.slice(1)])
        if (fused?.name !== stored.name) fused = { name: stored.name, data: await checkpoint.read(stored.name) }
        const part = fused.data.length / 3
        return fused.data.slice(stored.third * part, (stored.third + 1) * part)
      },
    }
  }
  const config = parseVitConfig(checkpoint.config)
  const prefix = `${baseName(config)}.`
  // A bare backbone ('Dinov2Model') stores the same names without the leading class name.
  const bare = !names.some((name) => name.startsWith(prefix))
  const stored = (name: string) => {
    const full = huggingFaceName(name, config)
    return bare && full.startsWith(prefix) ? full.slice(prefix.length) : full
  }
  return {
    config,
    dialect: 'huggingface',
    used,
    has: (name) => checkpoint.has(stored(name)),
    read(name, shape) {
      used.add(stored(name))
      check(stored(name), checkpoint.info(stored(name)).shape, storedShape(name, shape, config))
      return checkpoint.read(stored(name))
    },
  }
}

/** Weights that a classifier is made of; a checkpoint may lack them. */
const isHead = (name: string): boolean => /^(head|distillationHead)\./.test(name)

/** Builds the model that a checkpoint describes and fills in its weights. Throws InputError naming everything missing. */
export async function loadVit(backend: Backend, checkpoint: Checkpoint, options: LoadOptions = {}): Promise<LoadedVit> {
  const source = openSource(checkpoint)
  const { config } = source
  const size = options.inputSize ?? config.imageSize
  config.imageSize = typeof size === 'number' ? [size, size] : size
  if (options.interpolation) config.positionInterpolation = options.interpolation
  const side = Math.min(...config.imageSize)
  if (side < config.patchSize) throw new InputError(`input size: must be at least one patch of ${config.patchSize} px, got ${side}`)
  if (config.classes.length > 0 && !source.has('head.weight')) config.classes = []
  const model = new Vit(backend, config, zeros)
  try {
    const parameters = [...namedParameters(model)]
    const missing = parameters.filter(([name]) => !source.has(name)).map(([name]) => name)
    if (missing.length > 0) {
      const names = missing.map((n) => (source.dialect === 'timm' ? timmName(n).name : huggingFaceName(n, config)))
      throw new InputError(`${checkpoint.folder}: ${missing.length} tensors are missing: ${names.slice(0, 8).join(', ')}${names.length > 8 ? ', ...' : ''}`)
    }
    for (const [name, p] of parameters) {
      p.assign(name === 'positions' ? await positionsFor(source, model) : await source.read(name, p.shape))
    }
  } catch (error) {
    for (const [, p] of namedParameters(model)) p.dispose()
    throw error
  }
  return { model, dialect: source.dialect, unused: checkpoint.names().filter((name) => !source.used.has(name)) }
}

async function positionsFor(source: Source, model: Vit): Promise<Float32Array> {
  const { hidden, positionPrefix, positionGrid, imageSize, patchSize, positionInterpolation } = source.config
  const stored = await source.read('positions', [positionPrefix + positionGrid[0] * positionGrid[1], hidden])
  const grid: [number, number] = [Math.floor(imageSize[0] / patchSize), Math.floor(imageSize[1] / patchSize)]
  const prefix = stored.subarray(0, positionPrefix * hidden)
  const patches = interpolatePositions(stored.subarray(prefix.length), hidden, positionGrid, grid, positionInterpolation)
  const all = new Float32Array(prefix.length + patches.length)
  all.set(prefix)
  all.set(patches, prefix.length)
  if (all.length !== model.positions.size) throw new Error(`positions: must have ${model.positions.size} values, got ${all.length}`)
  return all
}

/** A classifier for `classes`: the loaded one when it names exactly these, a fresh one otherwise. Returns whether it is new. */
export function fitHead(model: Vit, classes: readonly string[], init: Init): boolean {
  const same = model.head && model.config.classes.length === classes.length && classes.every((c, i) => model.config.classes[i] === c)
  if (same) return false
  model.setHead([...classes], init)
  return true
}

const architectures: Record<string, string> = {
  vit: 'ViTForImageClassification',
  deit: 'DeiTForImageClassification',
  dinov2: 'Dinov2ForImageClassification',
  dinov2_with_registers: 'Dinov2WithRegistersForImageClassification',
}

/** The class of Hugging Face's library that reads this model. */
export function architectureOf(config: VitConfig): string {
  return config.pooling === 'distilled' ? 'DeiTForImageClassificationWithTeacher' : architectures[config.family]!
}

/** config.json of the model as it is now: input size, classes and all. */
export function configJson(config: VitConfig): Record<string, unknown> {
  const [height, width] = config.imageSize
  const dino = config.family.startsWith('dinov2')
  return {
    architectures: [architectureOf(config)],
    model_type: config.family,
    hidden_size: config.hidden,
    num_hidden_layers: config.layers,
    num_attention_heads: config.heads,
    ...(dino
      ? {
          mlp_ratio: config.swiglu ? swigluRatio(config) : config.mlpHidden / config.hidden,
          use_swiglu_ffn: config.swiglu,
          layerscale_value: config.layerScaleInit,
        }
      : { intermediate_size: config.mlpHidden }),
    ...(config.registers > 0 ? { num_register_tokens: config.registers } : {}),
    hidden_act: 'gelu',
    layer_norm_eps: config.layerNormEps,
    qkv_bias: config.qkvBias,
    image_size: height === width ? height : [height, width],
    patch_size: config.patchSize,
    num_channels: config.channels,
    hidden_dropout_prob: config.dropout,
    attention_probs_dropout_prob: 0,
    drop_path_rate: config.dropPath,
    id2label: Object.fromEntries(config.classes.map((name, i) => [String(i), name])),
    label2id: Object.fromEntries(config.classes.map((name, i) => [name, i])),
    torch_dtype: 'float32',
  }
}

// Hugging Face derives the SwiGLU width from mlp_ratio by two roundings; this ratio leads back to the width.
function swigluRatio(config: VitConfig): number {
  return ((config.mlpHidden - 7) * 3) / 2 / config.hidden + 1e-9 > 0 ? (config.mlpHidden * 3) / 2 / config.hidden : 4
}

/** Every parameter under its Hugging Face name, as f32; for a timm model under timm's names, fused again. */
export async function exportTensors(
  model: Vit,
  dialect: Dialect,
  parameters: Iterable<[string, Parameter]> = namedParameters(model),
): Promise<TensorToWrite[]> {
  const out: TensorToWrite[] = []
  const fused = new Map<string, Float32Array[]>()
  const shapes = new Map<string, readonly number[]>()
  for (const [name, p] of parameters) {
    const data = (await p.data()) as Float32Array
    const shape = storedShape(name, p.shape, model.config)
    if (dialect === 'huggingface') {
      out.push({ name: huggingFaceName(name, model.config), shape, data })
      continue
    }
    const stored = timmName(name)
    if (stored.third === undefined) out.push({ name: stored.name, shape, data })
    else {
      const parts = fused.get(stored.name) ?? []
      parts[stored.third] = data
      fused.set(stored.name, parts)
      shapes.set(stored.name, shape)
    }
  }
  for (const [name, parts] of fused) {
    const data = new Float32Array(parts.reduce((n, p) => n + p.length, 0))
    parts.reduce((at, p) => (data.set(p, at), at + p.length), 0)
    const [rows, ...rest] = shapes.get(name)!
    out.push({ name, shape: [rows! * 3, ...rest], data })
  }
  return out
}

/** Writes a whole model folder that Hugging Face's library (or timm, for timm names) reads. */
export async function saveVit(
  model: Vit,
  folder: string,
  dialect: Dialect = 'huggingface',
  extra: { preprocessor?: unknown; config?: Record<string, unknown> } = {},
): Promise<void> {
  const files = localFiles(folder)
  await files.makeFolder(folder)
  await writeSafetensors(files.join(folder, 'model.safetensors'), await exportTensors(model, dialect))
  const config = dialect === 'timm' ? { ...extra.config, num_classes: model.config.classes.length } : configJson(model.config)
  await files.writeAtomic(files.join(folder, 'config.json'), `${JSON.stringify(config, null, 2)}\n`)
  if (extra.preprocessor) {
    await files.writeAtomic(files.join(folder, 'preprocessor_config.json'), `${JSON.stringify(extra.preprocessor, null, 2)}\n`)
  }
}
