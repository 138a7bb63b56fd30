// What tests of the training loop share: batches that can be learnt, small models made ready, whole runs.
import type { EpochEvent, StepEvent } from 'vitune'
import { freezeBackbone, injectAdapter, loraConfig } from 'vitune/adapters'
import type { Vit, VitConfig } from 'vitune/models'
import { disposeModule, setTrainable } from 'vitune/nn'
import { type Backend, Rng } from 'vitune/tensor'
import {
  type Batch,
  type BatchSource,
  type FitEvent,
  type FitOptions,
  type FitResult,
  fit,
  multiclass,
} from 'vitune/train'
import { batchOf } from './batch-of.ts'
import { smallVit, weightsOf } from './small-vit.ts'

export const classes = ['ant', 'bee', 'cat']
export const task = multiclass(classes)

/** `count` batches of `size` images that can be told apart: each class is brighter in a channel of its own. */
export function source(count: number, size = 4, seed = 1): BatchSource {
  const rng = new Rng(seed, 8)
  const batches = Array.from({ length: count }, (_, b): Batch => {
    const labels = Int32Array.from({ length: size }, (_, i) => (b * size + i) % 3)
    const pixel = (j: number) => (Math.floor(j / 64) % 3 === labels[Math.floor(j / 192)] ? 1 : 0) + 0.5 * rng.normal()
    const images = Float32Array.from({ length: size * 192 }, (_, j) => pixel(j))
    return batchOf(
      images,
      [size, 3, 8, 8],
      labels,
      Array.from(labels, (_, i) => `${b}-${i}.png`),
    )
  })
  return {
    batches: count,
    async *epoch(epoch, first) {
      const order = new Rng(epoch, 9).shuffle(batches.map((_, i) => i))
      for (const i of order.slice(first)) yield batches[i]!
    },
  }
}

export type Method = 'full' | 'linear' | 'lora' | 'dora'

export function prepared(backend: Backend, method: Method = 'lora', changes: Partial<VitConfig> = {}): Vit {
  const model = smallVit(backend, { classes, layers: 2, ...changes })
  if (method === 'full') setTrainable(model, true)
  else if (method === 'linear') freezeBackbone(model)
  else injectAdapter(model, loraConfig({ r: 2, useDora: method === 'dora', dropout: changes.dropout ?? 0 }), 1)
  return model
}

export type Own = Omit<FitOptions, 'model' | 'task'> &
  Partial<Pick<FitOptions, 'task'>> & { patchKeep?: number; labelSmoothing?: number }
export const usual: Own = { train: source(4), epochs: 2, lr: 0.01, seed: 3 }

export interface Run {
  events: FitEvent[]
  losses: number[]
  result: FitResult
}

/** Trains to the end, or until `until` says so (then by its signal). */
export async function run(model: Vit, options: Partial<Own> = {}, until?: (event: FitEvent) => boolean): Promise<Run> {
  const stop = new AbortController()
  const { patchKeep, labelSmoothing, ...rest } = options
  model.setDropout(patchKeep === undefined ? {} : { patchKeep })
  const smoothed = multiclass(classes, { labelSmoothing })
  const loop = fit({ model, task: smoothed, ...usual, ...rest, signal: stop.signal })
  const events: FitEvent[] = []
  for (;;) {
    const next = await loop.next()
    if (next.done) return { events, losses: lossesOf(events), result: next.value }
    events.push(next.value)
    if (until?.(next.value)) stop.abort()
  }
}

export const isStep = (event: FitEvent): event is StepEvent => event.kind === 'step'
export const isEpoch = (event: FitEvent): event is EpochEvent => event.kind === 'epoch'
export const lossesOf = (events: FitEvent[]) => events.filter(isStep).map((e) => e.loss)
/** What must repeat: everything but time and memory. */
export const timeless = (events: FitEvent[]): FitEvent[] =>
  events.map((e) => ({ ...e, seconds: 0, dataSeconds: 0, ...(isStep(e) ? { peakBytes: 0 } : {}) }))

/** Losses and final weights of one run on a fresh model. */
export async function outcome(
  backend: Backend,
  options: Partial<Own>,
  method: Method = 'lora',
  changes: Partial<VitConfig> = {},
) {
  const model = prepared(backend, method, changes)
  const { events, losses, result } = await run(model, options)
  const weights = await weightsOf(model)
  disposeModule(model)
  return { events: timeless(events), losses, weights, result }
}
