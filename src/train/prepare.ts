// Makes a loaded model ready for a fine-tuning method and a set of classes.
import { type LoraConfig, loraConfig } from '../adapters/config.ts'
import {
  adaptedLayers,
  freezeBackbone,
  injectLora,
  isHead,
  type Method,
  markTrainable,
  withHead,
} from '../adapters/inject.ts'
import { fitHead } from '../models/head.ts'
import type { Vit } from '../models/vit.ts'
import { truncatedNormal } from '../nn/layers.ts'
import { setTrainable } from '../nn/module.ts'
import { InputError } from '../platform/errors.ts'
import { Rng } from '../tensor/philox.ts'

/** Learning rates that suit each method with AdamW. OTX uses 1e-4 for all, which leaves adapters and heads behind. */
export const defaultRates: Readonly<Record<Method, number>> = { full: 1e-4, linear: 1e-3, lora: 1e-3, dora: 1e-3 }

export interface Prepared {
  /** The adapter's configuration, with the classifier among the modules to save. */
  lora?: LoraConfig
  /** Whether the classifier was made anew. */
  newHead: boolean
}

/** Random number streams of a run: shuffling and augmentation use small numbers. */
const headStream = 900

/**
 * Gives the model a classifier for these classes (the old one when it names the same), then freezes and adapts as the
 * method says. `adapter` is the configuration of an adapter that is already on the model, to be trained further. Throws an
 * InputError where that adapts the classifier.
 */
export function prepare(
  model: Vit,
  classes: readonly string[],
  method: Method,
  options: { seed: number; lora?: Partial<LoraConfig>; adapter?: LoraConfig | undefined },
): Prepared {
  if (options.adapter && adaptedLayers(model).some(({ path }) => isHead(path))) {
    throw new InputError(
      'adapter: adapts the classifier, which trains whole here; merge it into its model first (vitune merge), then train that',
    )
  }
  const newHead = fitHead(model, classes, truncatedNormal(new Rng(options.seed, headStream), 0.02))
  if (options.adapter) {
    const lora = withHead(options.adapter, model)
    markTrainable(model, lora)
    return { lora, newHead }
  }
  if (method === 'full') setTrainable(model, true)
  else if (method === 'linear') freezeBackbone(model)
  else {
    const config = loraConfig({ ...options.lora, useDora: method === 'dora' })
    return { lora: injectLora(model, config, options.seed), newHead }
  }
  return { newHead }
}
