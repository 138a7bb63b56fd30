// Putting an adapter folder on a model: every tensor finds its place, and everything that adapter_config.json asks for has its
// tensors; what is missing or over is named and refused. Not here: which tensor is what (places.ts), what is refused
// (checks.ts).

import { checkWeights } from '../../io/safetensors.ts'
import { numbered } from '../../models/labels.ts'
import type { Classifier } from '../../models/model-kind.ts'
import { namesOf } from '../../models/registry.ts'
import { namedParameters } from '../../nn/module.ts'
import { InputError } from '../../platform/errors.ts'
import { countNonFinite } from '../../tensor/finite.ts'
import { adapterField, spokenName } from '../adapter.ts'
import { adaptedLayers, adaptLayers, headModules, isHead, linearLayers } from '../inject.ts'
import { type AnyAdapterConfig, adapterOf, everyPart } from '../registry.ts'
import { layerRules } from '../rules.ts'
import { checkOthers, checkTargets, parameterSizes } from './checks.ts'
import type { Adapter } from './folder.ts'
import { spelt } from './names.ts'
import { ownConfig } from './own.ts'
import { findPlaces, type Places } from './places.ts'

export interface ApplyOptions {
  /** For what is not stored: nothing, in an adapter that is whole. */
  seed?: number
  /** Is told what the adapter holds that is worth a sentence. */
  onNote?: ((note: string) => void) | undefined
  /** Take values that are not finite as they are, with a note; else they are refused. */
  allowNonFinite?: boolean | undefined
}

/**
 * Puts an adapter on a model whose base weights are loaded, with its classifier and whatever else it saved.
 * Returns the configuration to save it with again. Throws InputError on shapes or names that do not fit, on what is missing
 * or over; the model is then as it was.
 */
export async function applyAdapter(
  model: Classifier,
  adapter: Adapter,
  options: ApplyOptions = {},
): Promise<AnyAdapterConfig> {
  const { seed = 0, onNote = () => {} } = options
  const { folder } = adapter
  if (adaptedLayers(model).length > 0)
    throw new Error('applyAdapter: the model already has an adapter; merge or remove it first')
  for (const note of adapter.notes) onNote(note)
  const places = findPlaces(model, adapter, onNote)
  const layers = new Map(linearLayers(model).map((l) => [l.name, l]))
  const rules = layerRules(adapter.config)
  const kind = adapterOf(adapter.config)
  const speak = (name: string) => places.spellings.map((s) => spelt(name, s, model.config))
  const values = new Map<string, Float32Array>()
  const read = reader(adapter, values, options)

  const wanted = [...layers.values()].filter((l) => speak(l.name).some((n) => rules.isTarget(n, isHead(model, l.path))))
  checkTargets(folder, wanted, places)
  const targets = []
  for (const [name, { stored, keys }] of places.adapted) {
    const target = layers.get(name)!
    const strength = rules.strength(stored)
    const { r, alpha } = strength
    const ranked = kind.rankField === undefined ? undefined : keys.get(kind.rankField)
    const rank = ranked === undefined ? r : adapter.tensors.info(ranked).shape[0]
    if (rank !== r)
      throw new InputError(`${folder}: adapter_config.json gives ${name} rank ${r}, but its weights have rank ${rank}`)
    const { inFeatures: nIn, outFeatures: nOut } = target.layer
    for (const part of everyPart) {
      const key = keys.get(part.field)
      const asked = kind.parts.some(({ field }) => field === part.field) && (part.asked?.(adapter.config) ?? true)
      if (asked !== (key !== undefined)) {
        const [has, does] = asked ? ['no', 'asks'] : ['a', 'does not ask']
        throw new InputError(
          `${folder}: ${name} has ${has} ${spokenName(part)}, though adapter_config.json ${does} for it`,
        )
      }
      if (key) await read(key, part.shape({ nIn, nOut, r }))
    }
    targets.push({ ...target, r, alpha, strength })
  }

  const classes = headClasses(model, adapter, places, onNote)
  const sizes = parameterSizes(model, classes)
  checkOthers(model, adapter, places, rules, sizes)
  for (const [name, key] of places.others) await read(key, sizes.get(name)!)
  for (const [one, other] of places.twins) {
    await read(other, adapter.tensors.info(one).shape)
    if (!values.get(one)!.every((v, i) => Object.is(v, values.get(other)![i])))
      throw new InputError(`${folder}: ${one} and ${other} stand for the same weights, but differ; leave one out`)
  }

  // Nothing can fail any more but memory: the model changes from here on.
  if (classes) model.setHead(classes)
  const config = ownConfig(model, adapter, places, targets, rules, onNote)
  adaptLayers(model, targets, config, seed, true)
  for (const { name, adapter } of adaptedLayers(model)) {
    const parameters = new Map(namedParameters(adapter))
    for (const [field, key] of places.adapted.get(name)!.keys) parameters.get(field)!.assign(values.get(key)!)
  }
  for (const [path, p] of namedParameters(model)) {
    const key = adapterField(path) ? undefined : places.others.get(namesOf(model.config).checkpoint(path, model.config))
    if (key) p.assign(values.get(key)!)
  }
  return config
}

/** Reads tensors into `values`, of exactly the shape that is asked for and finite. */
function reader({ tensors, folder }: Adapter, values: Map<string, Float32Array>, options: ApplyOptions) {
  return async (key: string, shape: readonly number[]) => {
    checkWeights(`${folder}: ${key}`, tensors.info(key), shape)
    const data = await tensors.read(key)
    const bad = countNonFinite(data)
    if (bad > 0) {
      const found = `${key} holds ${bad === 1 ? 'a value' : `${bad} values`} of ${data.length} that ${bad === 1 ? 'is' : 'are'} NaN or infinite`
      if (!options.allowNonFinite)
        throw new InputError(`${folder}: ${found}; its training went wrong, take an earlier adapter`)
      options.onNote?.(found)
    }
    values.set(key, data)
  }
}

/** Class names of the stored classifier, where the model needs a new one for it. */
function headClasses(
  model: Classifier,
  { tensors, classes }: Adapter,
  { others }: Places,
  onNote: (note: string) => void,
): string[] | undefined {
  const key = others.get(`${headModules(model)[0]}.weight`)
  if (!key) return undefined
  const count = tensors.info(key).shape[0] ?? 0
  if (classes?.length === count) return classes
  if (classes)
    onNote(`run.json names ${classes.length} classes for a classifier of ${count}, and is not taken for names`)
  return model.config.classes.length === count ? undefined : numbered(count)
}
