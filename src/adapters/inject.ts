// Putting adapters into a model and choosing what trains: full, linear (frozen backbone), LoRA, DoRA.

import { huggingFaceName } from '../models/names.ts'
import type { Vit } from '../models/vit.ts'
import { Linear } from '../nn/layers.ts'
import { namedModules, namedParameters, replaceModule, setTrainable } from '../nn/module.ts'
import { InputError } from '../platform/errors.ts'
import { Rng } from '../tensor/philox.ts'
import { isTarget, type LoraConfig, strength } from './config.ts'
import { LoraLinear } from './lora.ts'

export type Method = 'full' | 'linear' | 'lora' | 'dora'
export const methods: readonly Method[] = ['full', 'linear', 'lora', 'dora']

const isHead = (name: string): boolean => /^(head|distillationHead)(\.|$)/.test(name)

/** Checkpoint names of the classifier modules, PEFT's usual modules_to_save. */
export function headModules(model: Vit): string[] {
  return model.config.pooling === 'distilled' ? ['cls_classifier', 'distillation_classifier'] : ['classifier']
}

/** The linear layers of a model by our name, with their checkpoint names. The patch embedding is a convolution there, so it is none. */
export function linearLayers(model: Vit): { path: string; name: string; layer: Linear }[] {
  const found: { path: string; name: string; layer: Linear }[] = []
  for (const [path, layer] of namedModules(model)) {
    if (layer instanceof Linear && path !== 'patch')
      found.push({ path, name: huggingFaceName(path, model.config), layer })
  }
  return found
}

/** The adapted layers of a model. */
export function adaptedLayers(model: Vit): { path: string; name: string; layer: LoraLinear }[] {
  return linearLayers(model).filter(
    (l): l is { path: string; name: string; layer: LoraLinear } => l.layer instanceof LoraLinear,
  )
}

/** PEFT saves only what modules_to_save names: without the classifier an adapter would come back with a random one. */
export function withHead(config: LoraConfig, model: Vit): LoraConfig {
  return { ...config, modulesToSave: [...new Set([...(config.modulesToSave ?? []), ...headModules(model)])] }
}

/**
 * Replaces every target by an adapted layer and freezes the rest but the classifier, the modules to save and the biases
 * that the bias mode names. Returns the configuration to save the adapter with: the classifier is among its modules to
 * save. Throws InputError when nothing matches, listing the names that there are.
 */
export function injectLora(model: Vit, config: LoraConfig, seed: number): LoraConfig {
  const layers = linearLayers(model)
  if (layers.some((l) => l.layer instanceof LoraLinear))
    throw new Error('inject: the model already has adapters; merge or remove them first')
  const targets = layers.filter((l) => isTarget(config, l.name, isHead(l.path)))
  if (targets.length === 0) {
    const endings = [...new Set(layers.map((l) => l.name.slice(l.name.lastIndexOf('.') + 1)))]
    throw new InputError(
      `targets: no linear layer matches ${JSON.stringify(config.targetModules)}; layer names end in ${endings.join(', ')}`,
    )
  }
  if (Array.isArray(config.targetModules)) {
    const idle = config.targetModules.filter((t) => !layers.some((l) => l.name === t || l.name.endsWith(`.${t}`)))
    if (idle.length > 0)
      throw new InputError(`targets: no linear layer is called ${idle.join(', ')}; check the spelling`)
  }
  const saved = withHead(config, model)
  adaptLayers(model, targets, saved, seed)
  return saved
}

/** Adapts exactly these layers, at ranks and scalings of their own or the configuration's, and marks what trains. */
export function adaptLayers(
  model: Vit,
  targets: readonly { path: string; name: string; layer: Linear; r?: number; scaling?: number }[],
  config: LoraConfig,
  seed: number,
): void {
  targets.forEach((target, i) => {
    const { r, scaling } = { ...strength(config, target.name), ...target }
    const { dropout, useDora, doraNormGradient, loraBias, initLoraWeights: init } = config
    const options = { r, scaling, dropout, useDora, doraNormGradient, loraBias, init }
    replaceModule(model, target.path, new LoraLinear(target.layer, options, new Rng(seed, 1000 + i)))
  })
  markTrainable(model, config)
}

/** Whether one of PEFT's modules_to_save holds this checkpoint name. */
export function isSaved(config: LoraConfig, name: string): boolean {
  return (config.modulesToSave ?? []).some((m) => `.${name}.`.includes(`.${m}.`))
}

/** Lets train what PEFT would: adapters, modules to save, and the biases that the bias mode names. */
export function markTrainable(model: Vit, config: LoraConfig): void {
  const adapted = new Set(adaptedLayers(model).map((l) => l.path))
  setTrainable(model, true, () => true)
  setTrainable(model, false, (path) => {
    if (/\.(loraA|loraB|loraBias|magnitude)$/.test(path)) return false
    if (isSaved(config, huggingFaceName(path, model.config))) return false
    if (!path.endsWith('.bias') || config.bias === 'none') return true
    return config.bias === 'lora_only' && !adapted.has(path.slice(0, -'.bias'.length))
  })
}

/** Linear probing: the backbone is frozen, the classifier trains. */
export function freezeBackbone(model: Vit): void {
  setTrainable(model, true)
  setTrainable(model, false, (name) => !isHead(name))
}

/** Takes the adapters off without merging: the model is the base model again (its head stays as trained). */
export function removeAdapters(model: Vit): void {
  for (const { path, layer } of adaptedLayers(model)) {
    replaceModule(model, path, new Linear(layer.weight, layer.bias))
    layer.disposeAdapter()
  }
}

/** Names of trainable parameters in checkpoint terms, for messages. */
export function trainableNames(model: Vit): string[] {
  return [...namedParameters(model)].filter(([, p]) => p.trainable).map(([name]) => huggingFaceName(name, model.config))
}
