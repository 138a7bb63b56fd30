// What an experiment is given and what it tells: options, rules, events. The runs are in experiment.ts.
import type { LoraConfig } from '../adapters/lora-config.ts'
import { type Compared, comparedAs } from '../adapters/methods.ts'
import type { Backend } from '../backend/backend.ts'
import type { Device } from '../backend/devices.ts'
import { augmentationsOf, type TrainTransformOptions } from '../data/augmentations.ts'
import type { Dataset } from '../data/dataset.ts'
import type { ResolveOptions } from '../io/hub.ts'
import { InputError } from '../platform/errors.ts'
import type { ExperimentRun } from '../report/experiment-result.ts'
import {
  above,
  anyText,
  checkRules,
  choice,
  either,
  flag,
  func,
  object,
  type RulesOf,
  someOf,
  within,
} from '../schema/rules.ts'
import { checkAugment } from '../settings/augment.ts'
import type { Quantize } from '../settings/quantize.ts'
import { defaults, settingRules } from '../settings/schema.ts'
import { checkAdapter } from '../settings/setting-rules.ts'
import type { EpochEvent, FitOptions, StepEvent } from '../train/fit-options.ts'

/** A fine-tuning method, or the control: the same architecture with fresh weights, trained whole. */
export type ExperimentMethod = Compared
export const experimentMethods: readonly ExperimentMethod[] = ['linear', 'lora', 'dora', 'full', 'scratch']

export interface ExperimentDataset {
  name: string
  /** Where the images come from and under which licence, in one sentence. */
  source: string
  /** Training images; a function draws those of a seed. */
  train: Dataset | ((seed: number) => Dataset)
  test: Dataset
}

/** How a run is trained; without being given, `runDefaults` hold. */
export interface RunSettings
  extends Pick<FitOptions, 'optimizer' | 'weightDecay' | 'decayVectors' | 'schedule' | 'clip'> {
  labelSmoothing?: number | undefined
  epochs?: number
  /** Default: the method's (full's for scratch). */
  lr?: number
  batchSize?: number
  /** Share of the steps with a growing rate, 0 to 1. */
  warmupShare?: number
  /** LoRA and DoRA. */
  lora?: Partial<LoraConfig>
  /** How frozen weights are packed; methods that train all weights leave it alone. */
  quantize?: Quantize | undefined
  doubleQuant?: boolean | undefined
  /** Random changes of the training images, true for OTX's crops and mirror images; none without it. */
  augment?: boolean | TrainTransformOptions | undefined
}

export interface ExperimentOptions extends RunSettings {
  /** A model folder or hub name. */
  model: string
  /** How the report calls the model; default `model`. */
  modelName?: string
  /** Where the model comes from, in one sentence. */
  modelSource?: string
  datasets: readonly ExperimentDataset[]
  /** Default: all five. */
  methods?: readonly ExperimentMethod[]
  /** Settings of one method, before the common ones. */
  perMethod?: Partial<Record<ExperimentMethod, RunSettings>>
  /** Default: 0 alone. */
  seeds?: readonly number[]
  /** Used and left open; without it one is started (`device`, `threads`) and closed. */
  backend?: Backend
  device?: Device
  threads?: number
  /** Ends the run in hand after its current step; the result holds the finished ones. */
  signal?: AbortSignal
  hub?: ResolveOptions
  title?: string
  /** A sentence for the report on how the settings were found, without its full stop. */
  remark?: string
  /** What repeats the experiment. */
  command?: string
}

/** Which run an event is about: `index` counts from 0. */
export interface RunPosition {
  index: number
  runs: number
  method: ExperimentMethod
  dataset: string
  seed: number
}
export interface RunStartEvent extends RunPosition {
  kind: 'run'
  lr: number
  epochs: number
  trainable: number
  total: number
  /** Numbers of images. */
  train: number
  test: number
}
/** After a step or an epoch of a run's training. */
export interface RunProgressEvent extends RunPosition {
  kind: 'progress'
  event: StepEvent | EpochEvent
}
/** Training is over, the test images come now. */
export interface RunTestEvent extends RunPosition {
  kind: 'test'
  images: number
}
/** A run is finished and its memory given back. */
export interface RunDoneEvent extends RunPosition {
  kind: 'done'
  run: ExperimentRun
  /** What runs on this data set are compared by, one of `run.metrics`. */
  metric: string
}
export type ExperimentEvent = RunStartEvent | RunProgressEvent | RunTestEvent | RunDoneEvent

/** What holds of an experiment's runs without being given; images are augmented only where that is asked for. */
export const runDefaults = {
  optimizer: defaults.optimizer,
  weightDecay: defaults.weightDecay,
  clip: defaults.clip,
  epochs: 8,
  batchSize: 32,
  schedule: 'cosine',
  warmupShare: 0,
} as const

const s = settingRules
const runRules: RulesOf<RunSettings> = {
  epochs: s.epochs,
  lr: above(0),
  batchSize: s.batchSize,
  warmupShare: within(0, 1, 'a share of the steps'),
  lora: object,
  quantize: s.quantize,
  doubleQuant: s.doubleQuant,
  augment: s.augment,
  optimizer: either(s.optimizer, func),
  weightDecay: s.weightDecay,
  decayVectors: flag,
  // There are no images to validate on, so there is no plateau.
  schedule: choice(['constant', runDefaults.schedule]),
  clip: s.clip,
  labelSmoothing: s.labelSmoothing,
}
const rules: RulesOf<ExperimentOptions> = {
  ...runRules,
  model: s.model,
  modelName: anyText,
  modelSource: anyText,
  datasets: someOf('a list of data sets'),
  methods: someOf('a list of methods'),
  perMethod: object,
  seeds: someOf('a list of seeds'),
  backend: object,
  device: s.device,
  threads: s.threads,
  signal: object,
  hub: object,
  title: anyText,
  remark: anyText,
  command: anyText,
}
const anyMethod = Object.fromEntries(experimentMethods.map((method) => [method, object]))

/** A crop may also be given by `area` and `aspect` beside the others. */
function checkAugmentation({ augment }: RunSettings, where = ''): void {
  if (typeof augment === 'object') checkAugment(augmentationsOf(augment), `${where}augment.`)
}

/** Throws InputError on an option that is unknown, of another type, out of range, or against another. */
export function checkExperiment(options: ExperimentOptions): void {
  checkRules(options, rules)
  checkAdapter('lora', options.lora)
  checkRules(options.perMethod ?? {}, anyMethod, 'perMethod.')
  for (const [method, own] of Object.entries(options.perMethod ?? {})) {
    checkRules(own, runRules, `perMethod.${method}.`)
    checkAugmentation(own, `perMethod.${method}.`)
    checkAdapter(comparedAs(method as ExperimentMethod).kind.name, own.lora)
  }
  checkAugmentation(options)
  const { datasets, methods = experimentMethods, seeds = [0] } = options
  const lists = { datasets: datasets.map((d) => d.name), methods, seeds }
  for (const [name, values] of Object.entries(lists) as [string, readonly (string | number)[]][]) {
    if (values.length === 0) throw new InputError(`${name}: must name at least one, got none`)
    if (new Set(values).size !== values.length) throw new InputError(`${name}: must differ, got ${values.join(', ')}`)
  }
  for (const method of methods) {
    if (experimentMethods.includes(method)) continue
    throw new InputError(`methods: must be among ${experimentMethods.join(', ')}, got ${method}`)
  }
  for (const seed of seeds) {
    if (Number.isInteger(seed) && seed >= 0 && seed < 2 ** 31) continue
    throw new InputError(`seeds: must be whole numbers from 0 to 2147483647, got ${seed}`)
  }
}

/** Labels are places in a list of classes: what is tested must be what was trained. */
export function checkClasses(dataset: ExperimentDataset, seed: number): void {
  const [trained, tested] = [imagesOf(dataset, seed).classes, dataset.test.classes]
  const length = Math.max(trained.length, tested.length)
  const at = Array.from({ length }, (_, i) => i).find((i) => trained[i] !== tested[i])
  if (at === undefined) return
  throw new InputError(
    `datasets: ${dataset.name} must have the same classes to train and to test, in the same order, got ${trained[at] ?? 'none'} and ${tested[at] ?? 'none'} as number ${at + 1}`,
  )
}

/** The training images of a seed. */
export const imagesOf = (dataset: ExperimentDataset, seed: number): Dataset =>
  typeof dataset.train === 'function' ? dataset.train(seed) : dataset.train
