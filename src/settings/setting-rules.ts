// What the settings of a run must be: each by itself, and together. Nothing that was given is left out in silence.
import type { LoraConfig } from '../adapters/lora-config.ts'
import { adapterMethods, type Method, methodOf, methods } from '../adapters/methods.ts'
import { devices } from '../backend/create.ts'
import { interpolations } from '../models/vit/config.ts'
import { InputError } from '../platform/errors.ts'
import { checkTaskOptions, taskNames, tasks } from '../tasks/registry.ts'
import { decodings, monitorOf } from '../tasks/task.ts'
import {
  checkRules,
  choice,
  either,
  flag,
  list,
  number,
  numbers,
  object,
  part,
  type RulesOf,
  shown,
  text,
  textOrList,
  weights,
  whole,
  wholes,
  word,
} from './rules.ts'
import { defaults, defined, onDeviceLost, pick, samplers, type TrainSettings } from './settings.ts'

const names = "names, or one regular expression over a layer's whole name"

/** What the fields of PEFT's LoraConfig must be. */
const loraRules: RulesOf<LoraConfig> = {
  r: whole(1, 4096),
  alpha: number('above 0', (v) => v > 0),
  dropout: part,
  targetModules: textOrList(names),
  excludeModules: textOrList(names),
  useDora: flag,
  doraNormGradient: flag,
  useRslora: flag,
  bias: choice(['none', 'all', 'lora_only']),
  loraBias: flag,
  rankPattern: numbers('ranks by pattern'),
  alphaPattern: numbers('alphas by pattern'),
  layersToTransform: either(whole(0), wholes('a list of them')),
  layersPattern: textOrList('names or patterns'),
  modulesToSave: list('a list of names'),
  initLoraWeights: either(flag, text('a name')),
}

/** The most images of a batch, and batches of a step: more than anyone has, so that a slip is told from a wish. */
export const MOST = 1_000_000

/** What any task has, each once. */
const ofTasks = (names: (task: (typeof tasks)[keyof typeof tasks]) => readonly string[]) => [
  ...new Set(Object.values(tasks).flatMap(names)),
]

/** What each setting must be. */
export const settingRules: RulesOf<TrainSettings> = {
  data: text('a folder of images'),
  model: text('a model folder or name'),
  peft: choice(methods),
  out: text('a folder'),
  val: text('a folder of class folders or a file of labels'),
  task: choice(taskNames),
  loss: choice(ofTasks(({ losses }) => losses)),
  monitor: choice(ofTasks(({ monitors }) => Object.keys(monitors))),
  threshold: either(
    number('a number in (0, 1)', (v) => v > 0 && v < 1),
    word('tune'),
  ),
  positiveWeights: either(weights('numbers above 0 by label'), word('balanced')),
  pathConsistency: number('at least 0', (v) => v >= 0),
  decoding: choice(decodings),
  sampler: choice(samplers),
  epochs: whole(1),
  batchSize: whole(1, MOST),
  lr: number('above 0', (v) => v > 0),
  weightDecay: number('at least 0', (v) => v >= 0),
  optimizer: choice(['adamw', 'sgd']),
  schedule: choice(['constant', 'cosine', 'plateau']),
  warmup: whole(0, Number.MAX_SAFE_INTEGER, 'a whole number of steps'),
  clip: number('at least 0, where 0 clips nothing', (v) => v >= 0),
  accumulate: whole(1, MOST),
  microBatch: whole(1, MOST),
  labelSmoothing: part,
  patience: whole(0, Number.MAX_SAFE_INTEGER, 'a whole number of epochs'),
  checkpointing: flag,
  patchKeep: number('in (0, 1]', (v) => v > 0 && v <= 1),
  dropout: part,
  dropPath: part,
  seed: whole(0, 2 ** 31 - 1),
  device: choice(devices),
  onDeviceLost: choice(onDeviceLost),
  saveEvery: number('seconds from 0', (v) => v >= 0),
  threads: whole(1, 64),
  rank: loraRules.r,
  alpha: loraRules.alpha,
  targets: loraRules.targetModules,
  loraDropout: loraRules.dropout,
  rslora: loraRules.useRslora,
  bias: loraRules.bias,
  modulesToSave: loraRules.modulesToSave,
  lora: object,
  transformers: number('4 or 5', (v) => v === 4 || v === 5),
  adapter: text('an adapter folder'),
  inputSize: whole(1, 8192, 'a whole number of pixels'),
  interpolation: choice(interpolations),
  augment: flag,
  shuffle: flag,
  strict: flag,
  allowNonFinite: flag,
}

/** Settings that say what a field of `lora` says. */
const sameAs = {
  rank: 'r',
  alpha: 'alpha',
  targets: 'targetModules',
  loraDropout: 'dropout',
  rslora: 'useRslora',
  bias: 'bias',
  modulesToSave: 'modulesToSave',
} as const satisfies Partial<Record<keyof TrainSettings, keyof LoraConfig>>

/** LoRA's and DoRA's settings as one. */
export function loraOf(s: Pick<Partial<TrainSettings>, keyof typeof sameAs | 'lora'>): Partial<LoraConfig> {
  const short = Object.entries(sameAs).map(([name, field]) => [field, s[name as keyof typeof sameAs]])
  return { ...defined(s.lora ?? {}), ...defined(Object.fromEntries(short)) }
}

/** Throws InputError where settings of adapters are given to a method without, twice, or against each other. */
function checkAdapterSettings(s: Partial<TrainSettings>, where: string): void {
  const fail = (text: string): never => {
    throw new InputError(`${where}${text}`)
  }
  const { peft, lora = {} } = s
  const fields = Object.keys(defined(lora)) as (keyof LoraConfig)[]
  const given: string[] = (Object.keys(sameAs) as (keyof typeof sameAs)[]).filter((name) => s[name] !== undefined)
  if (fields.length > 0) given.push('lora')
  if (given.length > 0 && s.adapter !== undefined) {
    fail(`${given.join(', ')}: cannot be chosen together with adapter, which brings its own`)
  }
  if (s.transformers !== undefined) given.push('transformers')
  if (given.length > 0 && peft !== undefined && !methodOf(peft).adapter) {
    fail(`${given.join(', ')}: for peft ${adapterMethods} only, got ${peft}`)
  }
  for (const [name, field] of Object.entries(sameAs) as [keyof typeof sameAs, keyof LoraConfig][]) {
    const [short, long] = [s[name], lora[field]]
    if (short === undefined || long === undefined || JSON.stringify(short) === JSON.stringify(long)) continue
    fail(`${name}: must be what lora.${field} is, got ${shown(short)} and ${shown(long)}; give one of them`)
  }
  const method = peft ?? defaults.peft
  // Which adapter it is (DoRA, say) is the method's to tell.
  const { adapter } = methodOf(method)
  for (const field of adapter?.decided ?? []) {
    const [asked, got] = [adapter!.configure({})[field as keyof LoraConfig], lora[field as keyof LoraConfig]]
    if (got !== undefined && got !== asked) {
      fail(`lora.${field}: must agree with peft, got ${got} with peft ${method}; choose peft ${adapterMethods}`)
    }
  }
  const isGiven = (field: string) => Boolean(lora[field as keyof LoraConfig])
  for (const other of methods) {
    const field = methodOf(other).adapter?.ownSettings?.find(isGiven)
    if (field !== undefined && other !== method) fail(`lora.${field}: for peft ${other} only, got peft ${method}`)
  }
}

/** Throws InputError where settings mean nothing to the task, as far as it is known, or contradict each other. */
function checkTaskSettings(s: Partial<TrainSettings>, where: string): void {
  if (s.task !== undefined) {
    const kind = tasks[s.task]
    const given = pick(s, 'loss', 'labelSmoothing', 'threshold', 'positiveWeights', 'pathConsistency', 'decoding')
    checkTaskOptions(kind, given, where)
    monitorOf(kind, s.monitor, where)
  }
  if (s.sampler !== undefined && s.shuffle === false) {
    throw new InputError(
      `${where}sampler: must be left out where shuffle is false, got ${s.sampler}; choose one of them`,
    )
  }
}

/** Throws InputError on LoRA and DoRA settings that cannot be, or are not for the method. */
export function checkAdapter(method: Method, lora: Partial<LoraConfig> = {}): void {
  checkSettings({ peft: method, lora })
}

/**
 * Throws InputError naming the first setting that is unknown, of another type, out of range, or against another. `where`
 * comes before its name.
 */
export function checkSettings(s: Partial<TrainSettings>, where = ''): void {
  checkRules(s, settingRules, where)
  checkRules(s.lora ?? {}, loraRules, `${where}lora.`)
  if (s.adapter !== undefined && s.peft !== undefined && !methodOf(s.peft).adapter) {
    throw new InputError(`${where}adapter: goes with peft ${adapterMethods}, got ${s.peft}`)
  }
  checkTaskSettings(s, where)
  checkAdapterSettings(s, where)
  methodOf(s.peft ?? defaults.peft).adapter?.configure(loraOf(s))
}
