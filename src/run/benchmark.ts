// How fast a model runs and trains here, on random images: the training step measured is the one that train() takes.
import type { LoraConfig } from '../adapters/lora-config.ts'
import { type Method, methodOf } from '../adapters/methods.ts'
import { type BackendOptions, createBackend } from '../backend/create.ts'
import { outputSize } from '../data/preprocess.ts'
import type { ResolveOptions } from '../io/hub.ts'
import { multiclassLabels } from '../labels/labels.ts'
import { countParameters, disposeModule, weightBytes } from '../nn/module.ts'
import { checkRules, func, object, type RulesOf, whole } from '../schema/rules.ts'
import { defaultsOf, rulesOf, type SettingsOf } from '../schema/setting.ts'
import type { Quantize } from '../settings/quantize.ts'
import { settings } from '../settings/schema.ts'
import { checkAdapter, checkQuantize } from '../settings/setting-rules.ts'
import { defined, pick } from '../settings/settings.ts'
import { Rng } from '../tensor/philox.ts'
import type { Batch, BatchSource } from '../train/batch.ts'
import { logitsOf } from '../train/evaluate.ts'
import { fit } from '../train/fit.ts'
import { type OpenModel, openModel } from '../use/open-model.ts'
import { plan } from './plan.ts'

export interface BenchmarkOptions extends BackendOptions {
  /** A model folder or a hub name. */
  model: string
  peft?: Method
  /** Images a batch. */
  batch?: number
  /** Input side in pixels, default the model's own. */
  size?: number
  /** Timed runs of each kind, after two that are not timed. */
  steps?: number
  /** LoRA and DoRA settings. */
  lora?: Partial<LoraConfig>
  checkpointing?: boolean
  /** How frozen weights are packed. */
  quantize?: Quantize
  doubleQuant?: boolean
  quantizeSkip?: string[]
  hub?: ResolveOptions
  /** Runs done so far, of all. */
  onProgress?: (done: number, total: number) => void
}

/** Milliseconds an image over the timed runs. */
export interface Spread {
  median: number
  p10: number
  p90: number
}

export interface BenchmarkResult {
  /** Inference with the adapter in place. */
  forward: Spread
  /** A whole training step: forward, backward, optimizer, loss read back. */
  step: Spread
  /** Highest tensor memory of the training steps. */
  peakBytes: number
  trainable: number
  total: number
  /** Bytes of all weights as they lie in memory. */
  weightBytes: number
  device: string
  threads: number
  method: Method
  batch: number
  /** Height and width. */
  size: [number, number]
  steps: number
}

const warmUp = 2

/** Order statistics of a list, the nearest rank below. */
function spread(milliseconds: readonly number[]): Spread {
  const sorted = [...milliseconds].sort((a, b) => a - b)
  const at = (q: number) => sorted[Math.floor(q * (sorted.length - 1) + 0.5)]!
  return { median: at(0.5), p10: at(0.1), p90: at(0.9) }
}

const { model, peft, batchSize, inputSize, checkpointing, quantize, doubleQuant, quantizeSkip, device, threads } =
  settings

/** What a benchmark may be told, as a run's settings are. */
export const benchmarkSettings = {
  model,
  peft,
  batch: { ...batchSize, value: whole(1, 4096), default: 8, flag: '--batch <n>' },
  size: { ...inputSize, flag: '--size <px>', description: 'input side in pixels' },
  steps: {
    value: whole(1, 100_000),
    default: 10,
    group: 'Training',
    flag: '--steps <n>',
    description: 'timed runs, of which the median counts',
  },
  checkpointing,
  quantize,
  doubleQuant,
  quantizeSkip,
  device,
  threads,
} satisfies Partial<SettingsOf<BenchmarkOptions>>

const defaults = defaultsOf(benchmarkSettings)
const rules: RulesOf<BenchmarkOptions> = {
  ...rulesOf(benchmarkSettings),
  lora: object,
  hub: object,
  onProgress: func,
}

/** Measures one model with one method. Throws an InputError on bad options or an unreadable model. */
export async function benchmark(options: BenchmarkOptions): Promise<BenchmarkResult> {
  checkRules(options, rules)
  const { peft, batch, steps, size, checkpointing, onProgress } = { ...defaults, ...defined(options) }
  checkAdapter(peft, options.lora)
  checkQuantize(peft, options.quantize)
  const backend = await createBackend(options)
  let opened: OpenModel | undefined
  try {
    const packing = {
      ...pick(options, 'quantize', 'doubleQuant'),
      ...(methodOf(peft).trains === 'all' ? ({ quantize: 'none' } as const) : {}),
      quantizeSkip: options.quantizeSkip,
      modulesToSave: options.lora?.modulesToSave,
    }
    opened = await openModel(backend, options.model, { ...options.hub, ...packing, inputSize: size })
    const { model, preprocess } = opened
    const own = model.config.classes
    const classes = own.length > 1 ? own : Array.from({ length: 10 }, (_, i) => `class ${i}`)
    // The rate is so small that the weights stay where they are, however long this runs.
    const still = { peft, lora: options.lora ?? {}, epochs: 1, lr: 1e-9, checkpointing }
    const planned = plan(still, { model, labels: multiclassLabels(classes) })
    const { height, width } = outputSize(preprocess)
    const rng = new Rng(0)
    const images = Float32Array.from({ length: batch * 3 * height * width }, () => rng.uniform() * 4 - 2)
    const random: Batch = {
      inputs: { images: { data: images, shape: [batch, 3, height, width] } },
      targets: planned.task.targets(Array.from({ length: batch }, (_, i) => ({ present: [i % classes.length] }))),
      count: batch,
      names: [],
    }
    const runs = warmUp + steps
    const perImage = (seconds: readonly number[]) => spread(seconds.slice(warmUp).map((s) => (s * 1000) / batch))

    const forward: number[] = []
    while (forward.length < runs) {
      const begun = performance.now()
      await logitsOf(model, random)
      forward.push((performance.now() - begun) / 1000)
      onProgress?.(forward.length, 2 * runs)
    }
    const train: BatchSource = {
      batches: runs,
      async *epoch() {
        for (let i = 0; i < runs; i++) yield random
      },
    }
    backend.resetPeak()
    const step: number[] = []
    for await (const event of fit(planned.fit(train))) {
      if (event.kind !== 'step') continue
      step.push(event.seconds)
      onProgress?.(runs + step.length, 2 * runs)
    }
    return {
      forward: perImage(forward),
      step: perImage(step),
      peakBytes: backend.memory().peak,
      ...countParameters(model),
      weightBytes: weightBytes(model),
      device: backend.name,
      threads: backend.caps.threads,
      method: peft,
      batch,
      size: [height, width],
      steps,
    }
  } finally {
    if (opened) disposeModule(opened.model)
    await backend.dispose()
  }
}
