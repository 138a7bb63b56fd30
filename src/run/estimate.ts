// The memory that training will need, before anything runs: one step of the real loop on a backend that only plans.
// Not here: how memory is laid out (backend/wasm/planner.ts).
import type { LoraConfig } from '../adapters/lora-config.ts'
import { type Method, methods } from '../adapters/methods.ts'
import type { Backend } from '../backend/backend.ts'
import { createPlanner } from '../backend/wasm/planner.ts'
import { type LabelSpace, multiclassLabels } from '../labels/labels.ts'
import { type AnyConfig, type AnyModel, buildModel } from '../models/registry.ts'
import { zeros } from '../nn/layers.ts'
import { disposeModule, trainableParameters } from '../nn/module.ts'
import { InputError } from '../platform/errors.ts'
import { checkRules, choice, either, flag, list, object, type RulesOf, whole } from '../schema/rules.ts'
import { packingOf, type Quantize } from '../settings/quantize.ts'
import { defaults, settingRules } from '../settings/schema.ts'
import { checkAdapter, checkQuantize } from '../settings/setting-rules.ts'
import { pick } from '../settings/settings.ts'
import { type Batch, type BatchSource, defaultMicroBatch, partsOf } from '../train/batch.ts'
import { fit } from '../train/fit.ts'
import type { FitOptions } from '../train/fit-options.ts'
import { featuresOf } from './frozen-features.ts'
import { plan } from './plan.ts'
import { shareFrozen, type Teacher } from './teacher.ts'

export interface EstimateOptions
  extends Pick<FitOptions, 'accumulate' | 'microBatch' | 'checkpointing' | 'clip' | 'nesterov' | 'ema'> {
  /** Part of the patches that is computed in training. */
  patchKeep?: number | undefined
  /** How frozen weights are packed. */
  quantize?: Quantize | undefined
  doubleQuant?: boolean | undefined
  quantizeSkip?: readonly string[] | undefined
  /** The model, at the input size that it will be used at. */
  config: AnyConfig
  /** How many classes it will tell apart, or their names; or `labels`, what it will be trained for. */
  classes?: number | readonly string[]
  labels?: LabelSpace
  batchSize: number
  /** Images without labels that are learnt from, for each of the batch. */
  unlabelledRatio?: number | undefined
  method?: Method | undefined
  /** LoRA and DoRA settings. */
  lora?: Partial<LoraConfig> | undefined
  optimizer?: 'adamw' | 'sgd' | undefined
  /** Whether the run validates: a batch without gradients, over what a training step keeps. Default true. */
  validates?: boolean
  /** An old model of the same kind whose outputs are kept (`distill`), and whether it shares what is frozen. Default none. */
  teacher?: { labels: LabelSpace; shared?: boolean } | undefined
  /**
   * Images whose features are computed once and kept, where the backbone is frozen: those to train on if nothing changes them at
   * random, and those to validate on. Default none.
   */
  keeps?: { train?: number; val?: number } | undefined
  /** Whose default of `microBatch` holds; default 'wasm'. */
  device?: Backend['name']
  /** WASM threads, each of which takes scratch of its own; default 1. */
  threads?: number
}

/** Bytes. `weights` to `activations` add up to `total`. */
export interface MemoryEstimate {
  /** All weights, trained or not. */
  weights: number
  gradients: number
  /** AdamW's moments, or SGD's momentum, and averages of the weights. */
  optimizer: number
  /** The largest scratch of a kernel, as far as it adds to the peak. */
  workspace: number
  /** The rest: what forward keeps for backward, the batch, and what lies between. */
  activations: number
  /** As `backend.memory().peak` will be on the wasm device. */
  total: number
  /** How long the wasm device's memory becomes: with scratch, and room lost between buffers. */
  reserved: number
  /** The largest single buffer, which WebGPU limits. */
  largestBuffer: number
  /** Of the host beside all these: the features of the images that `keeps` names, as far as there is room for them. */
  features: number
  /** Parameters that train. */
  trainable: number
}

const s = settingRules
const rules: RulesOf<EstimateOptions> = {
  config: object,
  classes: either(whole(1, 100_000), list('a list of names')),
  labels: object,
  batchSize: s.batchSize,
  unlabelledRatio: s.unlabelledRatio,
  method: choice(methods),
  lora: object,
  optimizer: s.optimizer,
  validates: flag,
  teacher: object,
  keeps: object,
  device: choice(['webgpu', 'wasm', 'reference']),
  threads: s.threads,
  accumulate: s.accumulate,
  microBatch: s.microBatch,
  checkpointing: flag,
  clip: s.clip,
  nesterov: flag,
  patchKeep: s.patchKeep,
  quantize: s.quantize,
  doubleQuant: s.doubleQuant,
  quantizeSkip: s.quantizeSkip,
  ema: s.ema,
}

/** Throws InputError on an option of `estimate` that is unknown, of another type or out of range; all may be absent. */
export const checkEstimate = (options: Partial<EstimateOptions>): void => checkRules(options, rules)

/** What the run will be trained for: as given, or classes of which each image has one. */
function labelsOf({ labels, classes }: EstimateOptions): LabelSpace {
  if (labels) return labels
  if (classes === undefined) throw new InputError('classes: must be given, got none')
  return multiclassLabels(
    typeof classes === 'number' ? Array.from({ length: classes }, (_, i) => `${i}`) : [...classes],
  )
}

/** A batch as a frozen backbone hands it on. */
async function ofFeatures(model: AnyModel, batch: Batch, most: number): Promise<Batch> {
  for (const { inputs } of partsOf(batch, most)) await featuresOf(model, inputs.images!)
  const size = model.pooled.reduce((a, b) => a * b, 1)
  const features = { data: new Float32Array(batch.count * size), shape: [batch.count, ...model.pooled] }
  return { ...batch, inputs: { features } }
}

/** How many images have parts of the sizes that a batch has, so need its memory: what is computed in parts is like two. */
function fewerImages(batchSize: number, microBatch: number): number {
  const parts = Math.ceil(batchSize / microBatch)
  return parts <= 2 ? batchSize : Math.floor(batchSize / parts) + Math.ceil(batchSize / parts)
}

/**
 * What training will need, of one method. Exact on the wasm device for the number of threads; on WebGPU buffers are up
 * to a fifth larger than what they hold. Takes milliseconds, however large the batch, and none of that memory. Throws InputError
 * on options or a configuration that cannot be.
 */
export async function estimate(options: EstimateOptions): Promise<MemoryEstimate> {
  checkEstimate(options)
  for (const name of ['config', 'batchSize'] as const) {
    if (options[name] === undefined) throw new InputError(`${name}: must be given, got none`)
  }
  const {
    config,
    batchSize,
    method = defaults.peft,
    optimizer = defaults.optimizer,
    threads = 1,
    unlabelledRatio: ratio = 0,
    // A teacher is asked as a validation asks.
    validates: asks = true,
  } = options
  const validates = asks || ratio > 0
  const together = batchSize * (1 + ratio)
  const labels = labelsOf(options)
  checkAdapter(method, options.lora)
  checkQuantize(method, options.quantize)
  const packing = packingOf(options, options.lora?.modulesToSave)
  // Planning takes the thread for itself: here others have their turn, a stop signal among them.
  await new Promise<void>((resolve) => setTimeout(resolve))
  const planner = createPlanner({ threads })
  const model = buildModel(planner as Backend, structuredClone(config), zeros, packing)
  let teacher: Teacher | undefined
  try {
    const on = { backend: { name: options.device ?? 'wasm' }, tokens: model.tokens } as const
    const microBatch = Math.min(options.microBatch ?? defaultMicroBatch(on, options.checkpointing), together)
    // The third batch of a step needs what the second does.
    const accumulate = Math.min(options.accumulate ?? 1, 2)
    // How adapters start takes no memory, but may take the data.
    const lora = { ...options.lora, initLoraWeights: true as const }
    const given = pick(options, 'checkpointing', 'clip', 'nesterov', 'patchKeep', 'ema')
    const more = ratio > 0 ? { unlabelled: '', unlabelledRatio: ratio } : {}
    const { train: trained = 0, val: validated = 0 } = options.keeps ?? {}
    const settings = {
      ...given,
      ...more,
      augment: trained === 0,
      peft: method,
      lora,
      optimizer,
      epochs: 1,
      lr: 1,
      distill: 1,
      microBatch,
      accumulate,
    }
    if (options.teacher) {
      const before = buildModel(
        planner as Backend,
        { ...structuredClone(config), classes: [...options.teacher.labels.names] },
        zeros,
        packing,
      )
      teacher = { model: before, labels: options.teacher.labels }
    }
    const planned = plan(settings, { model, labels, teacher })
    if (teacher && options.teacher?.shared) shareFrozen(teacher.model, model)
    const weights = planner.memory().used
    const [height, width] = config.imageSize
    const images = fewerImages(together, microBatch)
    const values = images * config.channels * height * width
    if (values > 2 ** 30) {
      throw new InputError(
        `batchSize: ${images} images of ${height} x ${width} pixels at a time must fit into one buffer, got ${(values / 2 ** 28).toFixed(0)} GiB; choose a smaller batch or microBatch`,
      )
    }
    const { task, selfTraining } = planned
    const labelled = Math.ceil(images / (1 + ratio))
    const targets = task.targets(Array.from({ length: labelled }, () => ({ present: [0] })))
    const outputs = new Float32Array((images - labelled) * task.outputs)
    const batch: Batch = {
      inputs: { images: { data: new Float32Array(values), shape: [images, config.channels, height, width] } },
      targets: selfTraining?.withTeacher(targets, labelled, outputs) ?? targets,
      count: images,
      names: [],
    }
    const source = (batches: number, kept: number): BatchSource => ({
      batches,
      async *epoch() {
        for (let i = 0; i < batches; i++) yield kept > 0 ? await ofFeatures(model, batch, microBatch) : batch
      },
    })
    const counts = { train: planned.repeats.train ? trained : 0, val: planned.repeats.val ? validated : 0 }
    const loop = fit(planned.fit(source(accumulate, counts.train), validates ? source(1, counts.val) : undefined))
    planner.resetPeak()
    for await (const _ of loop) {
    }
    const trainable = trainableParameters(model).reduce((sum, [, p]) => sum + p.size, 0)
    const total = planner.memory().peak
    const inParts = accumulate > 1 || together > microBatch
    const gradients = 4 * trainable * (inParts ? 2 : 1)
    const state = 4 * trainable * ((optimizer === 'adamw' ? 2 : 1) + (options.ema ? 1 : 0))
    const largest = planner.largest()
    const rest = total - weights - gradients - state
    const workspace = Math.min(rest, largest.scratch)
    return {
      weights,
      gradients,
      optimizer: state,
      workspace,
      activations: rest - workspace,
      total,
      reserved: planner.reserved(),
      largestBuffer: largest.buffer,
      features: 4 * (counts.train + counts.val) * model.pooled.reduce((a, b) => a * b, 1),
      trainable,
    }
  } finally {
    if (teacher) disposeModule(teacher.model)
    disposeModule(model)
  }
}
