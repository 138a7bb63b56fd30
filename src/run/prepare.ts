// Makes a loaded model ready for a fine-tuning method and a set of classes.

import { adaptedLayers, freezeBackbone, injectAdapter, isHead, markTrainable, withHead } from '../adapters/inject.ts'
import type { LoraConfig } from '../adapters/lora-config.ts'
import { type Method, methodOf } from '../adapters/methods.ts'
import { fitHead, type HeadRows, keepRows } from '../models/head.ts'
import { type AnyModel, modelKind } from '../models/registry.ts'
import { truncatedNormal } from '../nn/layers.ts'
import { setTrainable } from '../nn/module.ts'
import { InputError } from '../platform/errors.ts'
import { tasks } from '../tasks/registry.ts'
import type { Task } from '../tasks/task.ts'
import { Rng } from '../tensor/philox.ts'
import type { OpenModel } from '../use/open-model.ts'

export interface Prepared {
  /** The adapter's configuration, with the classifier among the modules to save. */
  lora?: LoraConfig
  /** Whether the classifier was made anew. */
  newHead: boolean
  /** What became of its rows, where those of classes that stay were to be kept. */
  rows?: HeadRows
  /** What was done to the classifier, where anything was. */
  notes: string[]
}

/** What training does otherwise than the model's files suggest, a sentence each. */
export function trainingNotes(
  { model, checkpoint, labels, otherwise }: OpenModel,
  { task, prepared: { notes, newHead } }: { task: Task; prepared: Prepared },
): string[] {
  const without = modelKind(model.config).leavesOut(checkpoint.config)
  const { says } = tasks[task.name]
  const before =
    otherwise ?? (labels && labels.space.task !== task.name ? `were for ${tasks[labels.space.task].says}` : undefined)
  return [
    ...notes,
    ...(before !== undefined && !newHead ? [`the outputs ${before}; from here on they are for ${says}`] : []),
    ...without.map((what) => `trains without ${what} that config.json asks for`),
  ]
}

/** Random number streams of a run: shuffling and augmentation use small numbers. */
const headStream = 900

/**
 * Gives the model a classifier for these classes (the old one when it names the same, in any order), then freezes and
 * adapts as the method says. `adapter` is the configuration of an adapter that is already on the model, to be trained
 * further. Throws an InputError where that adapts the classifier. With `keep`, classes that stay keep their rows whatever the others are.
 */
export function prepare(
  model: AnyModel,
  classes: readonly string[],
  method: Method,
  options: { seed: number; lora?: Partial<LoraConfig>; adapter?: LoraConfig | undefined; keep?: boolean | undefined },
): Prepared {
  if (options.adapter && adaptedLayers(model).some(({ path }) => isHead(model, path))) {
    throw new InputError(
      'adapter: adapts the classifier, which trains whole here; merge it into its model first (vitune merge), then train that',
    )
  }
  const init = truncatedNormal(new Rng(options.seed, headStream), 0.02)
  const kept = options.keep ? keepRows(model, classes, init) : undefined
  const { isNew: newHead, note } = kept ?? fitHead(model, classes, init)
  const done = { newHead, notes: note === undefined ? [] : [note], ...(kept && { rows: kept.rows }) }
  if (options.adapter) {
    const lora = withHead(options.adapter, model)
    markTrainable(model, lora)
    return { lora, ...done }
  }
  const { adapter, trains } = methodOf(method)
  if (adapter) {
    return { lora: injectAdapter(model, adapter.configure(options.lora ?? {}), options.seed), ...done }
  }
  if (trains === 'classifier') freezeBackbone(model)
  else setTrainable(model, true)
  return done
}
