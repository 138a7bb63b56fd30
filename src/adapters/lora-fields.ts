// What adapter_config.json says of LoRA and DoRA: PEFT's LoraConfig in its own spelling, read and written with every field.
import { type LoraConfig, loraConfig, namedStarts } from './lora-config.ts'
import { fail, flag, isOff, type Json, number, numbers, parseCommon } from './peft/fields.ts'

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
  'corda_config',
  'ensure_weight_tying',
  'eva_config',
  'loftq_config',
  'lora_ga_config',
  'megatron_core',
  'qalora_group_size',
] as const

const read = [
  'alpha_pattern',
  'init_lora_weights',
  'lora_alpha',
  'lora_bias',
  'lora_dropout',
  'r',
  'rank_pattern',
  'use_dora',
  'use_rslora',
] as const

/** All that it is known by. */
export const loraFields: readonly string[] = [...foreign, ...idle, ...read]

// These change the base weights when an adapter starts, so that it fits no other base; PEFT can save it as plain LoRA.
const changesBase = /^(pissa(_niter_\d+)?|olora|corda|lora_ga|loftq)$/

/** Reads the fields that matter; throws InputError on a variant that is not supported. */
export function parseLora(json: Json): LoraConfig {
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
  return loraConfig({
    ...parseCommon(json),
    r: number(json, 'r', 8),
    alpha: number(json, 'lora_alpha', 8),
    dropout: number(json, 'lora_dropout', 0),
    useDora: flag(json, 'use_dora'),
    useRslora: flag(json, 'use_rslora'),
    loraBias: flag(json, 'lora_bias'),
    rankPattern: numbers(json, 'rank_pattern'),
    alphaPattern: numbers(json, 'alpha_pattern'),
    initLoraWeights: init as LoraConfig['initLoraWeights'],
  })
}

/** What PEFT 0.20 writes of them. */
export function writeLora(config: LoraConfig): Record<string, unknown> {
  return {
    alora_invocation_tokens: null,
    alpha_pattern: config.alphaPattern,
    arrow_config: null,
    corda_config: null,
    ensure_weight_tying: false,
    eva_config: null,
    fan_in_fan_out: false,
    init_lora_weights: config.initLoraWeights,
    kasa_config: null,
    layer_replication: null,
    loftq_config: {},
    lora_alpha: config.alpha,
    lora_bias: config.loraBias,
    lora_dropout: config.dropout,
    lora_ga_config: null,
    megatron_config: null,
    megatron_core: 'megatron.core',
    monteclora_config: null,
    qalora_group_size: 16,
    r: config.r,
    rank_pattern: config.rankPattern,
    target_parameters: null,
    trainable_token_indices: null,
    use_bdlora: null,
    use_dora: config.useDora,
    use_qalora: false,
    use_rslora: config.useRslora,
    velora_config: null,
  }
}
