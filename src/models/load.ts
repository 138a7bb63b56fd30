// Vision transformers from and to model folders: Hugging Face names, or timm's.
import type { Backend } from '../backend/backend.ts'
import type { Checkpoint } from '../io/checkpoint.ts'
import { localFiles } from '../io/local-files.ts'
import { type TensorToWrite, writeSafetensors } from '../io/safetensors-write.ts'
import { type Init, zeros } from '../nn/layers.ts'
import { disposeModule, namedParameters } from '../nn/module.ts'
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
  /** Throws where the stored shape is not that of our parameter. */
  check(name: string, shape: readonly number[]): void
  read(name: string, shape: readonly number[]): Promise<Float32Array>
  has(name: string): boolean
  used: Set<string>
}

function openSource(checkpoint: Checkpoint): Source {
  const names = checkpoint.names()
  const used = new Set<string>()
  const compare = (name: string, shape: readonly number[]) => {
    const got = checkpoint.info(name).shape
    const plain = (s: readonly number[]) => s.filter((d, i) => d !== 1 || i === s.length - 1)
    if (!sameShape(plain(got), plain(shape))) {
      throw new InputError(
        `${checkpoint.folder}: ${name} must be ${showShape(shape)} for this config.json, got ${showShape(got)}`,
      )
    }
  }
  if (isTimm(names)) {
    const config = timmConfig(checkpoint.config, new Map(names.map((n) => [n, checkpoint.info(n).shape])))
    // One fused tensor is read once for its three parts.
    let fused: { name: string; data: Float32Array } | undefined
    const check = (name: string, shape: readonly number[]) => {
      const [rows, ...rest] = storedShape(name, shape, config)
      const stored = timmName(name)
      compare(stored.name, [stored.third === undefined ? rows! : 3 * rows!, ...rest])
    }
    return {
      config,
      dialect: 'timm',
      used,
      has: (name) => checkpoint.has(timmName(name).name),
      check,
      async read(name, shape) {
        const stored = timmName(name)
        used.add(stored.name)
        check(name, shape)
        if (stored.third === undefined) return checkpoint.read(stored.name)
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
  // Hugging Face leaves out what is its default: two classes of no name.
  const head = stored('head.weight')
  if (config.classes.length === 0 && checkpoint.has(head)) {
    config.classes = Array.from({ length: checkpoint.info(head).shape[0] ?? 0 }, (_, i) => `LABEL_${i}`)
  }
  const check = (name: string, shape: readonly number[]) => compare(stored(name), storedShape(name, shape, config))
  return {
    config,
    dialect: 'huggingface',
    used,
    has: (name) => checkpoint.has(stored(name)),
    check,
    read(name, shape) {
      used.add(stored(name))
      check(name, shape)
      return checkpoint.read(stored(name))
    },
  }
}

/** Names of all parameters of such a model, from one whose every size is 1. */
function parameterNames(backend: Backend, c: VitConfig): string[] {
  const one = { hidden: 1, heads: 1, mlpHidden: 1, channels: 1, patchSize: 1, imageSize: [1, 1] as [number, number] }
  const model = new Vit(
    backend,
    { ...c, ...one, registers: Math.min(1, c.registers), classes: c.classes.slice(0, 1) },
    zeros,
  )
  const names = [...namedParameters(model)].map(([name]) => name)
  disposeModule(model)
  return names
}

/** Compares the sizes that config.json claims with what is stored, before memory for them is asked for. */
function checkSizes(source: Source): void {
  const { hidden, layers, mlpHidden, swiglu, channels, patchSize, registers, classes, pooling, positionPrefix } =
    source.config
  const grid = source.config.positionGrid
  source.check('patch.weight', [hidden, channels * patchSize ** 2])
  source.check('positions', [positionPrefix + grid[0] * grid[1], hidden])
  if (registers > 0) source.check('registerTokens', [registers, hidden])
  if (classes.length > 0) source.check('head.weight', [classes.length, pooling === 'cls+mean' ? 2 * hidden : hidden])
  for (let i = 0; i < layers; i++)
    source.check(`blocks.${i}.mlp.fc1.weight`, [swiglu ? 2 * mlpHidden : mlpHidden, hidden])
}

/** Builds the model that a checkpoint describes and fills in its weights. Throws InputError naming everything missing. */
export async function loadVit(backend: Backend, checkpoint: Checkpoint, options: LoadOptions = {}): Promise<LoadedVit> {
  const source = openSource(checkpoint)
  const { config } = source
  const size = options.inputSize ?? config.imageSize
  config.imageSize = typeof size === 'number' ? [size, size] : size
  if (options.interpolation) config.positionInterpolation = options.interpolation
  if (!config.imageSize.every((side) => Number.isInteger(side) && side >= config.patchSize)) {
    throw new InputError(
      `input size: must be whole pixels, at least one patch of ${config.patchSize}, got ${config.imageSize.join(' x ')}`,
    )
  }
  if (config.classes.length > 0 && !source.has('head.weight')) config.classes = []
  const missing = parameterNames(backend, config).filter((name) => !source.has(name))
  if (missing.length > 0) {
    const names = [
      ...new Set(missing.map((n) => (source.dialect === 'timm' ? timmName(n).name : huggingFaceName(n, config)))),
    ]
    const count = names.length === 1 ? 'one tensor is' : `${names.length} tensors are`
    throw new InputError(
      `${checkpoint.folder}: ${count} missing: ${names.slice(0, 8).join(', ')}${names.length > 8 ? ', ...' : ''}`,
    )
  }
  checkSizes(source)
  const model = new Vit(backend, config, zeros)
  try {
    for (const [name, p] of namedParameters(model)) {
      p.assign(name === 'positions' ? await positionsFor(source, model) : await source.read(name, p.shape))
    }
  } catch (error) {
    disposeModule(model)
    throw error
  }
  return { model, dialect: source.dialect, unused: checkpoint.names().filter((name) => !source.used.has(name)) }
}

async function positionsFor(source: Source, model: Vit): Promise<Float32Array> {
  const { hidden, positionPrefix, positionGrid, imageSize, patchSize, positionInterpolation } = source.config
  const stored = await source.read('positions', [positionPrefix + positionGrid[0] * positionGrid[1], hidden])
  const grid: [number, number] = [Math.floor(imageSize[0] / patchSize), Math.floor(imageSize[1] / patchSize)]
  const prefix = stored.subarray(0, positionPrefix * hidden)
  const patches = interpolatePositions(
    stored.subarray(prefix.length),
    hidden,
    positionGrid,
    grid,
    positionInterpolation,
  )
  const all = new Float32Array(prefix.length + patches.length)
  all.set(prefix)
  all.set(patches, prefix.length)
  if (all.length !== model.positions.size)
    throw new Error(`positions: must have ${model.positions.size} values, got ${all.length}`)
  return all
}

/** A classifier for `classes`: the loaded one when it names exactly these, a fresh one otherwise. Returns whether it is new. */
export function fitHead(model: Vit, classes: readonly string[], init: Init): boolean {
  const same =
    model.head &&
    model.config.classes.length === classes.length &&
    classes.every((c, i) => model.config.classes[i] === c)
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
          mlp_ratio: config.swiglu ? swigluRatio(config) : plainRatio(config),
          use_swiglu_ffn: config.swiglu,
          layerscale_value: config.layerScaleInit,
        }
      : { intermediate_size: config.mlpHidden }),
    ...(config.family === 'dinov2_with_registers' ? { num_register_tokens: config.registers } : {}),
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

// Hugging Face cuts hidden_size * mlp_ratio down to a whole number: rounding must not lead below the width.
function plainRatio({ hidden, mlpHidden }: VitConfig): number {
  return Math.trunc(hidden * (mlpHidden / hidden)) === mlpHidden ? mlpHidden / hidden : (mlpHidden + 0.5) / hidden
}

// Hugging Face derives the SwiGLU width from mlp_ratio by two roundings; this ratio leads back to the width.
function swigluRatio(config: VitConfig): number {
  return (config.mlpHidden * 3) / 2 / config.hidden
}

/** config.json for timm: the one that was loaded, with classes and input size as they are now. */
function timmConfigJson(loaded: Readonly<Record<string, unknown>>, config: VitConfig): Record<string, unknown> {
  const { classes, imageSize } = config
  const args = { ...(loaded.model_args as object | undefined), num_classes: classes.length, img_size: imageSize }
  const pretrained = { ...(loaded.pretrained_cfg as object | undefined), input_size: [config.channels, ...imageSize] }
  return { ...loaded, num_classes: classes.length, label_names: classes, model_args: args, pretrained_cfg: pretrained }
}

const shapeFields = [
  'hidden',
  'layers',
  'heads',
  'mlpHidden',
  'swiglu',
  'qkvBias',
  'layerScale',
  'registers',
  'distillationToken',
  'pooling',
  'positionPrefix',
] as const

/** Throws where Hugging Face's class of this family would be built otherwise than this model (timm's DINOv2, say). */
function checkHuggingFace(config: VitConfig): void {
  const read = parseVitConfig(configJson(config))
  const other = shapeFields.filter((field) => read[field] !== config[field])
  if (other.length > 0) {
    throw new InputError(
      `save: Hugging Face's ${config.family} cannot hold this model, which differs in ${other.join(', ')}; save it under timm's names`,
    )
  }
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
    for (const [third, part] of parts.entries()) data.set(part, third * part.length)
    const [rows, ...rest] = shapes.get(name)!
    out.push({ name, shape: [rows! * 3, ...rest], data })
  }
  return out
}

/**
 * Writes a whole model folder that Hugging Face's library (or timm, for timm names) reads; `extra.config` is the
 * config.json that a timm model was loaded with. Throws InputError where Hugging Face's library has no such model.
 */
export async function saveVit(
  model: Vit,
  folder: string,
  dialect: Dialect = 'huggingface',
  extra: { preprocessor?: unknown; config?: Record<string, unknown> } = {},
): Promise<void> {
  if (dialect === 'huggingface') checkHuggingFace(model.config)
  const files = localFiles(folder)
  await files.makeFolder(folder)
  await writeSafetensors(files.join(folder, 'model.safetensors'), await exportTensors(model, dialect))
  const config = dialect === 'timm' ? timmConfigJson(extra.config ?? {}, model.config) : configJson(model.config)
  await files.writeAtomic(files.join(folder, 'config.json'), `${JSON.stringify(config, null, 2)}\n`)
  if (extra.preprocessor) {
    await files.writeAtomic(
      files.join(folder, 'preprocessor_config.json'),
      `${JSON.stringify(extra.preprocessor, null, 2)}\n`,
    )
  }
}
