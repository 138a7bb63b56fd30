// Vision transformers to model folders that Hugging Face's library, or timm, reads.

import {
  type BitsAndBytesType,
  type PackedToWrite,
  packedTensors,
  quantizationConfig,
  scalesByRow,
} from '../../io/bitsandbytes-write.ts'
import { checkpointFiles } from '../../io/checkpoint.ts'
import { localFiles } from '../../io/local-files.ts'
import { safetensorsParts, type TensorToWrite } from '../../io/safetensors-write.ts'
import { namedWeights } from '../../nn/module.ts'
import { InputError, NotFiniteError } from '../../platform/errors.ts'
import type { Data } from '../../platform/platform.ts'
import { countNonFinite } from '../../tensor/finite.ts'
import { Packed } from '../../tensor/packed.ts'
import type { Parameter } from '../../tensor/tensor.ts'
import type { Dialect, SaveExtra } from '../model-kind.ts'
import { packableLayers } from '../packing.ts'
import { parseVitConfig, type VitConfig } from './config.ts'
import { vitFamily } from './families.ts'
import { architectureOf, headModules, huggingFaceName, modernName, storedShape, timmName } from './names.ts'
import type { Vit } from './vit.ts'

/** config.json of the model as it is now: input size, classes and all. */
export function configJson(config: VitConfig): Record<string, unknown> {
  const [height, width] = config.imageSize
  const { dino, registers } = vitFamily(config)
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
    ...(registers > 0 ? { num_register_tokens: config.registers } : {}),
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
  const { classes, imageSize, registers, positionPrefix } = config
  const args = {
    ...(loaded.model_args as object | undefined),
    num_classes: classes.length,
    img_size: imageSize,
    // Meta's register tokens became timm's when they were loaded.
    ...(registers > 0 ? { reg_tokens: registers, no_embed_class: positionPrefix === 0 } : {}),
  }
  const pretrained = { ...(loaded.pretrained_cfg as object | undefined), input_size: [config.channels, ...imageSize] }
  // What the outputs are is said anew.
  const { problem_type: _, vitune: __, quantization_config: ___, ...rest } = loaded
  return { ...rest, num_classes: classes.length, label_names: classes, model_args: args, pretrained_cfg: pretrained }
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

interface Exported {
  readonly tensors: TensorToWrite[]
  /** How weights are packed in them. */
  readonly packed: { readonly type: BitsAndBytesType; readonly double: boolean } | undefined
  /** Names of ours whose weights are packed in them. */
  readonly packedNames: ReadonlySet<string>
  /** What is stored otherwise than the model has it, a sentence each. */
  readonly notes: string[]
}

async function onHost(p: Packed): Promise<PackedToWrite> {
  const [words, scales] = await Promise.all([p.words.data(), p.scales.data()])
  const { shape, format, double, block } = p
  return {
    words: words as PackedToWrite['words'],
    scales: scales as PackedToWrite['scales'],
    shape,
    format,
    double,
    block,
  }
}

/** Whether bitsandbytes has the formats of all packed weights: blocks of integers only where all of a row have one scale. */
async function haveForms(weights: readonly [string, Parameter | Packed][]): Promise<boolean> {
  for (const [, p] of weights) {
    if (p instanceof Packed && p.format === 'int8-block' && !scalesByRow(await onHost(p))) return false
  }
  return true
}

async function exported(
  model: Vit,
  dialect: Dialect,
  weights: Iterable<[string, Parameter | Packed]>,
): Promise<Exported> {
  const out: TensorToWrite[] = []
  const fused = new Map<string, Float32Array[]>()
  const shapes = new Map<string, readonly number[]>()
  const packedNames = new Set<string>()
  const whole = new Map<string, number>()
  let packed: Exported['packed']
  const all = [...weights]
  const has = dialect === 'huggingface' && (await haveForms(all))
  for (const [name, p] of all) {
    if (p instanceof Packed) {
      // One file is packed in one way: that of its first packed weight.
      const made = has && packedTensors(huggingFaceName(name, model.config), await onHost(p))
      if (made && (packed?.type ?? made.type) === made.type) {
        packed ??= { type: made.type, double: p.double }
        packedNames.add(name)
        out.push(...made.tensors)
        continue
      }
      whole.set(p.format, (whole.get(p.format) ?? 0) + 1)
    }
    const data = (await p.data()) as Float32Array
    const bad = countNonFinite(data)
    if (bad > 0) {
      throw new NotFiniteError(
        `save: weights must be finite, got ${bad} of ${data.length} values of ${huggingFaceName(name, model.config)} that are not; take others`,
      )
    }
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
  const why = dialect === 'timm' ? "timm's files have no packed weights" : 'bitsandbytes has no such format'
  const notes = [...whole].map(([format, n]) => `${n} weights packed as ${format} are saved as f32, since ${why}`)
  return { tensors: out, packed, packedNames, notes }
}

/**
 * Every weight under its Hugging Face name, as f32 or packed under bitsandbytes' keys; for a timm model under timm's names, fused
 * again, all f32. Throws NotFiniteError.
 */
export async function exportTensors(
  model: Vit,
  dialect: Dialect,
  weights: Iterable<[string, Parameter | Packed]> = namedWeights(model),
): Promise<TensorToWrite[]> {
  return (await exported(model, dialect, weights)).tensors
}

/** Modules that transformers is to leave unpacked, by both of its versions' names. */
function skipped(model: Vit, packedNames: ReadonlySet<string>): string[] {
  const { config } = model
  const whole = packableLayers(model).filter(({ path }) => !packedNames.has(`${path}.weight`))
  const names = whole.map(({ path }) => huggingFaceName(path, config))
  return [...new Set([...headModules(config), ...names, ...names.map((name) => modernName(name, config))])]
}

/**
 * Writes a whole model folder, all files or none, that Hugging Face's library (or timm, for timm names) reads; `extra.config` is the
 * config.json that a timm model was loaded with. Packed weights have bitsandbytes' keys where it has their format. Returns what is
 * stored otherwise than the model has it, a sentence each. Throws InputError where Hugging Face's library has no such model.
 */
export async function saveVit(
  model: Vit,
  folder: string,
  dialect: Dialect = 'huggingface',
  extra: SaveExtra = {},
): Promise<string[]> {
  if (dialect === 'huggingface') checkHuggingFace(model.config)
  const files = localFiles(folder)
  await files.makeFolder(folder)
  const { tensors, packed, packedNames, notes } = await exported(model, dialect, namedWeights(model))
  const own = dialect === 'timm' ? timmConfigJson(extra.config ?? {}, model.config) : configJson(model.config)
  const packing = packed && {
    quantization_config: quantizationConfig(packed.type, packed.double, skipped(model, packedNames)),
  }
  const config = { ...own, ...packing, ...extra.labels }
  const at = (name: string, data: Data) => [files.join(folder, name), data] as const
  const json = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`
  // transformers 5 takes no whole number where it has a float.
  const configText = json(config).replace(/^( *"(?:layerscale_value|llm_int8_threshold)": -?\d+)(?=,?$)/gm, '$1.0')
  // The weights take their name last: where they are, the rest is.
  await files.writeTogether([
    at(checkpointFiles.config, configText),
    ...(extra.preprocessor ? [at(checkpointFiles.preprocessor, json(extra.preprocessor))] : []),
    at(checkpointFiles.weights, safetensorsParts(tensors)),
  ])
  return notes
}

export { architectureOf } from './names.ts'
