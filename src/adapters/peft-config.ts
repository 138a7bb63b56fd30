// adapter_config.json: PEFT's LoraConfig in its own spelling, read with care and written with every field PEFT 0.20 writes.
import { InputError } from '../platform/errors.ts'
import { type LoraConfig, loraConfig, namedStarts } from './config.ts'

type Json = Readonly<Record<string, unknown>>

/** The version whose files these are. */
const peftVersion = '0.20.0'

// Fields that change the arithmetic in ways that this library does not follow: they must be at PEFT's "off" value.
const foreign = [
  'layer_replication',
  'target_parameters',
  'trainable_token_indices',
  'alora_invocation_tokens',
  'arrow_config',
  'megatron_config',
  'use_qalora',
  'use_bdlora',
  'velora_config',
  'monteclora_config',
  'kasa_config',
  'fan_in_fan_out',
] as const

// What PEFT 0.21 writes beside what is read here, none of which changes what an adapter computes.
const idle = [
  'auto_mapping',
  'base_model_name_or_path',
  'corda_config',
  'ensure_weight_tying',
  'eva_config',
  'inference_mode',
  'loftq_config',
  'lora_ga_config',
  'megatron_core',
  'peft_type',
  'peft_version',
  'qalora_group_size',
  'revision',
  'runtime_config',
  'task_type',
] as const

const read = [
  'alpha_pattern',
  'bias',
  'exclude_modules',
  'init_lora_weights',
  'layers_pattern',
  'layers_to_transform',
  'lora_alpha',
  'lora_bias',
  'lora_dropout',
  'modules_to_save',
  'r',
  'rank_pattern',
  'target_modules',
  'use_dora',
  'use_rslora',
] as const

// These change the base weights when an adapter starts, so that it fits no other base; PEFT can save it as plain LoRA.
const changesBase = /^(pissa(_niter_\d+)?|olora|corda|lora_ga|loftq)$/

const isOff = (value: unknown): boolean =>
  value === undefined ||
  value === null ||
  value === false ||
  (typeof value === 'object' && Object.keys(value).length === 0)

function fail(field: string, rule: string, value: unknown): never {
  throw new InputError(`adapter_config.json: ${field} must be ${rule}, got ${JSON.stringify(value)?.slice(0, 100)}`)
}

function strings(json: Json, field: string): string[] | string | undefined {
  const value = json[field] ?? undefined
  if (value === undefined || typeof value === 'string') return value
  if (Array.isArray(value) && value.every((v) => typeof v === 'string')) return value.length > 0 ? value : undefined
  return fail(field, 'a text or a list of texts', value)
}

function numbers(json: Json, field: string): Record<string, number> {
  const value = json[field] ?? {}
  if (typeof value !== 'object' || Object.values(value as object).some((v) => typeof v !== 'number')) {
    return fail(field, 'an object of numbers', value)
  }
  return value as Record<string, number>
}

function flag(json: Json, field: string): boolean {
  const value = json[field] ?? false
  return typeof value === 'boolean' ? value : fail(field, 'true or false', value)
}

/** Reads the fields that matter; throws InputError on another adapter type or on a variant that is not supported. */
export function parseAdapterConfig(json: Json): LoraConfig {
  if (json.peft_type !== 'LORA') fail('peft_type', '"LORA"', json.peft_type)
  for (const field of foreign) if (!isOff(json[field])) fail(field, 'off (this variant is not supported)', json[field])
  const init = json.init_lora_weights ?? true
  if (typeof init === 'string' && changesBase.test(init)) {
    fail(
      'init_lora_weights',
      'one that leaves the base weights alone (save it in PEFT with path_initial_model_for_weight_conversion, as plain LoRA)',
      init,
    )
  }
  if (typeof init !== 'boolean' && !namedStarts.some((name) => name === init)) {
    fail('init_lora_weights', `true, false or one of ${namedStarts.join(', ')}`, init)
  }
  const number = (field: string, fallback: number) => {
    const value = json[field] ?? fallback
    return typeof value === 'number' ? value : fail(field, 'a number', value)
  }
  const layers = json.layers_to_transform ?? undefined
  const isLayer = (v: unknown): v is number => Number.isInteger(v)
  if (layers !== undefined && !isLayer(layers) && !(Array.isArray(layers) && layers.every(isLayer))) {
    fail('layers_to_transform', 'a layer number or a list of them', layers)
  }
  const targets = strings(json, 'target_modules')
  if (targets === undefined) fail('target_modules', 'given', json.target_modules)
  const saved = strings(json, 'modules_to_save')
  return loraConfig({
    r: number('r', 8),
    alpha: number('lora_alpha', 8),
    dropout: number('lora_dropout', 0),
    targetModules: targets,
    excludeModules: strings(json, 'exclude_modules'),
    useDora: flag(json, 'use_dora'),
    useRslora: flag(json, 'use_rslora'),
    bias: (json.bias ?? 'none') as LoraConfig['bias'],
    loraBias: flag(json, 'lora_bias'),
    rankPattern: numbers(json, 'rank_pattern'),
    alphaPattern: numbers(json, 'alpha_pattern'),
    layersToTransform: layers as number[] | number | undefined,
    layersPattern: strings(json, 'layers_pattern'),
    modulesToSave: saved === undefined ? undefined : [saved].flat(),
    initLoraWeights: init as LoraConfig['initLoraWeights'],
  } as Partial<LoraConfig>)
}

/** Fields of adapter_config.json that PEFT 0.21 does not know, and would leave out, where they are not off. */
export function unknownFields(json: Json): string[] {
  const known: readonly string[] = [...foreign, ...idle, ...read]
  return Object.keys(json).filter((field) => !known.includes(field) && !isOff(json[field]))
}

export interface BaseModel {
  /** Its name on the hub, or folder. */
  name: string | undefined
  /** Hugging Face's class, 'ViTForImageClassification'. */
  architecture: string
  /** 'vit', 'dinov2', ... */
  family: string
}

/** The JSON text that PEFT writes: every field, sorted, two spaces, no newline at the end. */
export function adapterConfigText(config: LoraConfig, targetModules: string[] | string, base: BaseModel): string {
  const fields: Record<string, unknown> = {
    alora_invocation_tokens: null,
    alpha_pattern: config.alphaPattern,
    arrow_config: null,
    auto_mapping: {
      base_model_class: base.architecture,
      parent_library: `transformers.models.${base.family}.modeling_${base.family}`,
    },
    base_model_name_or_path: base.name ?? null,
    bias: config.bias,
    corda_config: null,
    ensure_weight_tying: false,
    eva_config: null,
    exclude_modules: config.excludeModules ?? null,
    fan_in_fan_out: false,
    inference_mode: true,
    init_lora_weights: config.initLoraWeights,
    kasa_config: null,
    layer_replication: null,
    layers_pattern: config.layersPattern ?? null,
    layers_to_transform: config.layersToTransform ?? null,
    loftq_config: {},
    lora_alpha: config.alpha,
    lora_bias: config.loraBias,
    // Python writes a float.
    lora_dropout: config.dropout,
    lora_ga_config: null,
    megatron_config: null,
    megatron_core: 'megatron.core',
    modules_to_save: config.modulesToSave ?? null,
    monteclora_config: null,
    peft_type: 'LORA',
    peft_version: peftVersion,
    qalora_group_size: 16,
    r: config.r,
    rank_pattern: config.rankPattern,
    revision: null,
    target_modules: targetModules,
    target_parameters: null,
    task_type: null,
    trainable_token_indices: null,
    use_bdlora: null,
    use_dora: config.useDora,
    use_qalora: false,
    use_rslora: config.useRslora,
    velora_config: null,
  }
  return JSON.stringify(fields, null, 2).replace(/("lora_dropout": \d+)(,|\n)/, '$1.0$2')
}
