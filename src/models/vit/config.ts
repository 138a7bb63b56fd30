// What a ViT of any supported kind is made of, read and checked from a Hugging Face config.json. timm names: see timm.ts.
import { InputError } from '../../platform/errors.ts'
import { labelsOf } from '../labels.ts'
import { type VitFamily, type VitFamilyName, vitFamilies, vitFamilyNames } from './families.ts'

/** What the classifier reads: the class token, class token with the mean of the patches, or DeiT's two tokens. */
export type Pooling = 'cls' | 'cls+mean' | 'mean' | 'distilled'
export const interpolations = ['bicubic', 'bilinear', 'bicubic-antialias'] as const
export type Interpolation = (typeof interpolations)[number]

export interface VitConfig {
  family: VitFamilyName
  hidden: number
  layers: number
  heads: number
  /** Width of the MLP; for SwiGLU that of each half. */
  mlpHidden: number
  swiglu: boolean
  layerNormEps: number
  qkvBias: boolean
  layerScale: boolean
  layerScaleInit: number
  /** Input size in pixels, (height, width). */
  imageSize: [number, number]
  patchSize: number
  channels: number
  registers: number
  /** DeiT's second token. */
  distillationToken: boolean
  pooling: Pooling
  /** Size of the grid, in patches, for which the checkpoint's position embeddings were made. */
  positionGrid: [number, number]
  positionInterpolation: Interpolation
  /** Whether position embeddings have entries for the class (and distillation) token. */
  positionPrefix: number
  dropout: number
  dropPath: number
  /** Names of the classes, in the order of the logits; empty when the checkpoint has no head. */
  classes: string[]
}

type Json = Record<string, unknown>

/** A number field within limits, or the default when absent. */
export function numberField(json: Json, name: string, fallback: number | undefined, low: number, high: number): number {
  const value = json[name] ?? fallback
  if (typeof value !== 'number' || !(value >= low && value <= high)) {
    throw new InputError(`config.json: ${name} must be a number from ${low} to ${high}, got ${JSON.stringify(value)}`)
  }
  return value
}

/** A whole number field within limits. */
export function integerField(
  json: Json,
  name: string,
  fallback: number | undefined,
  low: number,
  high: number,
): number {
  const value = numberField(json, name, fallback, low, high)
  if (!Number.isInteger(value)) throw new InputError(`config.json: ${name} must be a whole number, got ${value}`)
  return value
}

function pair(json: Json, name: string, fallback: number): [number, number] {
  const value = json[name]
  if (Array.isArray(value)) {
    const [h, w] = value
    return [
      integerField({ [name]: h }, name, undefined, 1, 8192),
      integerField({ [name]: w }, name, undefined, 1, 8192),
    ]
  }
  const side = integerField(json, name, fallback, 1, 8192)
  return [side, side]
}

function flag(json: Json, name: string, fallback: boolean): boolean {
  const value = json[name] ?? fallback
  if (typeof value !== 'boolean')
    throw new InputError(`config.json: ${name} must be true or false, got ${JSON.stringify(value)}`)
  return value
}

/** The part of attention weights that training in Python would drop. They are never stored here, so that nothing is. */
export function attentionDropoutOf(json: Readonly<Record<string, unknown>>): number {
  return numberField(json, 'attention_probs_dropout_prob', 0, 0, 1)
}

/** Fields of other models' configurations, or of changed ones, which say that something else is computed. */
const foreign: readonly [string, (value: unknown) => boolean][] = [
  ['quantization_config', (v) => ((v as Json).quant_method ?? 'bitsandbytes') !== 'bitsandbytes'],
  ['pruned_heads', (v) => typeof v === 'object' && Object.keys(v as object).length > 0],
  ['auto_map', (v) => typeof v === 'object'],
  ['use_mean_pooling', (v) => v !== false],
  ['use_relative_position_bias', (v) => v !== false],
  ['use_shared_relative_position_bias', (v) => v !== false],
  ['use_absolute_position_embeddings', (v) => v !== true],
  ['use_rel_pos', (v) => v !== false],
  ['use_qk_norm', (v) => v !== false],
  ['qk_norm', (v) => v !== false],
  ['use_gated_mlp', (v) => v !== false],
  ['rope_theta', () => true],
  ['rope_parameters', (v) => typeof v === 'object'],
]

function checkForeign(json: Json, family: VitFamilyName): void {
  for (const [name, changes] of foreign) {
    const value = json[name]
    if (value === undefined || value === null || !changes(value)) continue
    throw new InputError(
      `config.json: ${name} is ${JSON.stringify(value)?.slice(0, 60)}, which a plain ${family} does not have and is not computed here; use an unchanged one`,
    )
  }
  for (const name of Array.isArray(json.architectures) ? json.architectures : []) {
    if (typeof name === 'string' && vitFamilies[family].holders.test(name)) continue
    throw new InputError(`config.json: architectures must be classes of ${family}, got ${JSON.stringify(name)}`)
  }
}

/**
 * A config.json of Hugging Face's ViT, DeiT, DINOv2 or DINOv2 with registers; `outputs` is how many its classifier has,
 * where that is known. Throws InputError on anything else.
 */
export function parseVitConfig(value: unknown, outputs?: number): VitConfig {
  if (value === null || typeof value !== 'object') throw new InputError('config.json: must hold an object')
  const json = value as Json
  const family = json.model_type as VitFamilyName
  if (!vitFamilyNames.includes(family)) {
    throw new InputError(
      `config.json: model_type must be one of ${vitFamilyNames.join(', ')}, got ${JSON.stringify(json.model_type)}`,
    )
  }
  checkForeign(json, family)
  const facts: VitFamily = vitFamilies[family]
  const { dino } = facts
  const act = json.hidden_act ?? 'gelu'
  if (act !== 'gelu') throw new InputError(`config.json: hidden_act must be "gelu", got ${JSON.stringify(act)}`)
  attentionDropoutOf(json)
  const hidden = integerField(json, 'hidden_size', 768, 1, 16384)
  const heads = integerField(json, 'num_attention_heads', 12, 1, 512)
  if (hidden % heads !== 0)
    throw new InputError(
      `config.json: hidden_size must be a multiple of num_attention_heads, got ${hidden} and ${heads}`,
    )
  const patchSize = integerField(json, 'patch_size', facts.patchSize, 1, 512)
  const imageSize = pair(json, 'image_size', 224)
  const swiglu = dino && flag(json, 'use_swiglu_ffn', false)
  const ratio = numberField(json, 'mlp_ratio', 4, 0.01, 64)
  const widened = Math.trunc(hidden * ratio)
  const architecture = Array.isArray(json.architectures) ? String(json.architectures[0]) : ''
  return {
    family,
    hidden,
    layers: integerField(json, 'num_hidden_layers', 12, 1, 1024),
    heads,
    mlpHidden: dino
      ? swiglu
        ? Math.floor((Math.trunc((widened * 2) / 3) + 7) / 8) * 8
        : widened
      : integerField(json, 'intermediate_size', hidden * 4, 1, 65536),
    swiglu,
    layerNormEps: numberField(json, 'layer_norm_eps', facts.layerNormEps, 0, 1),
    qkvBias: flag(json, 'qkv_bias', true),
    layerScale: dino,
    layerScaleInit: numberField(json, 'layerscale_value', 1, 0, 1e6),
    imageSize,
    patchSize,
    channels: integerField(json, 'num_channels', 3, 1, 64),
    registers: facts.registers > 0 ? integerField(json, 'num_register_tokens', facts.registers, 0, 1024) : 0,
    distillationToken: facts.distillationToken,
    pooling: dino ? 'cls+mean' : architecture.includes('WithTeacher') ? 'distilled' : 'cls',
    positionGrid: [Math.floor(imageSize[0] / patchSize), Math.floor(imageSize[1] / patchSize)],
    positionInterpolation: facts.positionInterpolation,
    positionPrefix: facts.distillationToken ? 2 : 1,
    dropout: numberField(json, 'hidden_dropout_prob', 0, 0, 0.999),
    dropPath: numberField(json, 'drop_path_rate', 0, 0, 0.999),
    classes: labelsOf(json, outputs).names,
  }
}
