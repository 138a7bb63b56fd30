// Fields of adapter_config.json, each read with care, and those of every adapter: on which layers, and what is saved beside it.
import { InputError } from '../../platform/errors.ts'
import type { AdapterConfig } from '../adapter.ts'

export type Json = Readonly<Record<string, unknown>>

/** Whether a field says nothing. */
export const isOff = (value: unknown): boolean =>
  value === undefined ||
  value === null ||
  value === false ||
  (typeof value === 'object' && Object.keys(value).length === 0)

export function fail(field: string, rule: string, value: unknown): never {
  throw new InputError(`adapter_config.json: ${field} must be ${rule}, got ${JSON.stringify(value)?.slice(0, 100)}`)
}

export function strings(json: Json, field: string): string[] | string | undefined {
  const value = json[field] ?? undefined
  if (value === undefined || typeof value === 'string') return value
  if (Array.isArray(value) && value.every((v) => typeof v === 'string')) return value.length > 0 ? value : undefined
  return fail(field, 'a text or a list of texts', value)
}

export function numbers(json: Json, field: string): Record<string, number> {
  const value = json[field] ?? {}
  if (typeof value !== 'object' || Object.values(value as object).some((v) => typeof v !== 'number')) {
    return fail(field, 'an object of numbers', value)
  }
  return value as Record<string, number>
}

export function flag(json: Json, field: string): boolean {
  const value = json[field] ?? false
  return typeof value === 'boolean' ? value : fail(field, 'true or false', value)
}

export function number(json: Json, field: string, fallback: number): number {
  const value = json[field] ?? fallback
  return typeof value === 'number' ? value : fail(field, 'a number', value)
}

/** Fields that are read of every adapter. */
export const commonFields = [
  'bias',
  'exclude_modules',
  'layers_pattern',
  'layers_to_transform',
  'modules_to_save',
  'target_modules',
] as const

/** Reads them. */
export function parseCommon(json: Json): AdapterConfig {
  const layers = json.layers_to_transform ?? undefined
  const isLayer = (v: unknown): v is number => Number.isInteger(v)
  if (layers !== undefined && !isLayer(layers) && !(Array.isArray(layers) && layers.every(isLayer))) {
    fail('layers_to_transform', 'a layer number or a list of them', layers)
  }
  const targets = strings(json, 'target_modules')
  if (targets === undefined) fail('target_modules', 'given', json.target_modules)
  const saved = strings(json, 'modules_to_save')
  return {
    targetModules: targets,
    excludeModules: strings(json, 'exclude_modules'),
    layersToTransform: layers as number[] | number | undefined,
    layersPattern: strings(json, 'layers_pattern'),
    modulesToSave: saved === undefined ? undefined : [saved].flat(),
    bias: (json.bias ?? 'none') as AdapterConfig['bias'],
  }
}

/** What PEFT writes of them, but for the targets, whose names depend on the model. */
export function writeCommon(config: AdapterConfig): Record<string, unknown> {
  return {
    bias: config.bias,
    exclude_modules: config.excludeModules ?? null,
    layers_pattern: config.layersPattern ?? null,
    layers_to_transform: config.layersToTransform ?? null,
    modules_to_save: config.modulesToSave ?? null,
  }
}
