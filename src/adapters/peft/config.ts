// adapter_config.json: PEFT's configurations in their own spelling, read with care and written with every field PEFT 0.20
// writes. What one adapter alone has in it is in that adapter's file.

import { type AnyAdapterConfig, adapterOf, adaptersOfType, peftTypes } from '../registry.ts'
import { commonFields, fail, isOff, type Json, writeCommon } from './fields.ts'

/** The version whose files these are. */
const peftVersion = '0.20.0'

// What PEFT 0.21 writes of every adapter, none of which changes what it computes.
const idle = [
  'auto_mapping',
  'base_model_name_or_path',
  'inference_mode',
  'peft_type',
  'peft_version',
  'revision',
  'runtime_config',
  'task_type',
] as const

/** Reads the fields that matter; throws InputError on another adapter type or on a variant that is not supported. */
export function parseAdapterConfig(json: Json): AnyAdapterConfig {
  const [kind] = adaptersOfType(json.peft_type)
  if (!kind) return fail('peft_type', peftTypes.map((type) => `"${type}"`).join(' or '), json.peft_type)
  return kind.parse(json) as AnyAdapterConfig
}

/** Fields of adapter_config.json that PEFT 0.21 does not know, and would leave out, where they are not off. */
export function unknownFields(json: Json): string[] {
  const own = adaptersOfType(json.peft_type).flatMap(({ fields }) => fields)
  const known: readonly string[] = [...idle, ...commonFields, ...own]
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
export function adapterConfigText(config: AnyAdapterConfig, targetModules: string[] | string, base: BaseModel): string {
  const kind = adapterOf(config)
  const fields: Record<string, unknown> = {
    ...kind.write(config),
    ...writeCommon(config),
    auto_mapping: {
      base_model_class: base.architecture,
      parent_library: `transformers.models.${base.family}.modeling_${base.family}`,
    },
    base_model_name_or_path: base.name ?? null,
    inference_mode: true,
    peft_type: kind.peftType,
    peft_version: peftVersion,
    revision: null,
    target_modules: targetModules,
    task_type: null,
  }
  const sorted = Object.fromEntries(Object.entries(fields).sort(([a], [b]) => (a < b ? -1 : 1)))
  // Python writes a float.
  return JSON.stringify(sorted, null, 2).replace(/("\w+_dropout": \d+)(,|\n)/, '$1.0$2')
}
