// The settings of a run as plain JSON, as types. Not here: what they may be and what holds without them (schema.ts), where a
// run is kept (run-folder.ts).
import type { LoraConfig } from '../adapters/lora-config.ts'
import type { Method } from '../adapters/methods.ts'
import type { Device } from '../backend/devices.ts'
import type { Augmentations } from '../data/augmentations.ts'
import type { FormatName } from '../data/sources/formats/names.ts'
import { localFiles } from '../io/local-files.ts'
import type { TaskName } from '../labels/labels.ts'
import type { Interpolation } from '../models/vit/config.ts'
import type { Decoding } from '../tasks/task.ts'
import type { Quantize } from './quantize.ts'

/** What `onDeviceLost` may be. */
export const onDeviceLost = ['restart', 'fallback', 'throw'] as const
export type OnDeviceLost = (typeof onDeviceLost)[number]

/** What `recipe` may be. */
export const recipeNames = ['default', 'otx', 'getitune', 'fast', 'accurate'] as const
export type RecipeName = (typeof recipeNames)[number]

/** What `sampler`, `optimizer` and `schedule` may be. */
export const samplers = ['shuffle', 'balanced', 'balanced-efficient'] as const
export const optimizers = ['adamw', 'sgd'] as const
export const schedules = ['constant', 'cosine', 'plateau'] as const

/** Options as plain JSON: what run.json keeps so that a run can be repeated. What holds without them is in docs/settings.md. */
export interface TrainSettings {
  /** A folder of images, class/*.jpg or train|val/class/*.jpg, or a file of labels (docs/data.md). */
  data: string
  /** A folder in Hugging Face layout, or a hub name ('facebook/dinov2-small'). */
  model: string
  /** The fine-tuning method. */
  peft?: Method
  /** What holds of how a run is trained where it is not given (docs/recipes.md). */
  recipe?: RecipeName
  /** Where the run is kept; nothing is written without it. */
  out?: string
  /** Labelled images to validate on, instead of those inside or a part of each class. */
  val?: string
  /** The layout of a published data set, by name, instead of what is recognised. */
  format?: FormatName
  /** Images of each label to train on, drawn by seed; without it all. */
  perClass?: number
  /** Parts that the images are cut into by seed, and which of them, from 0, to validate on. */
  folds?: number
  fold?: number
  /** A run whose weights and labels this one begins with. */
  from?: string
  /** Weight of the loss that holds outputs to those of the model that the run began `from`; 0 is none. */
  distill?: number
  distillTemperature?: number
  /** A folder of images without labels to learn from as well. */
  unlabelled?: string
  /** How sure a prediction must be to be learnt from. */
  unlabelledThreshold?: number
  unlabelledWeight?: number
  /** Unlabelled images for each labelled one. */
  unlabelledRatio?: number
  /** What is learnt, instead of what the labels of the data say. */
  task?: TaskName
  /** One of the task's losses. */
  loss?: string
  /** The metric that chooses the best epoch, ends training early and lowers the rate of `plateau`. */
  monitor?: string
  /**
   * From which score on a label is there, in tasks with thresholds: one for all, or `tune`, which takes for each
   * the one with the best F1 on the validation data.
   */
  threshold?: number | 'tune'
  /** By how much a label's presence counts more than its absence: numbers by label, or `balanced`, negatives / positives of the training labels. */
  positiveWeights?: 'balanced' | Record<string, number>
  /** Weight of the loss that holds the levels of a tree together; 0 is none. */
  pathConsistency?: number
  /** Which labels of a tree are given together: those of the most probable whole (`path`), or the most probable of each level. */
  decoding?: Decoding
  /** How images are drawn: `shuffle` all in a new order, `balanced` all classes alike, `balanced-efficient` in no more images than it takes; without `shuffle`, in order. */
  sampler?: (typeof samplers)[number]
  epochs?: number
  batchSize?: number
  /** Without it, one that suits the method; `auto`: the one that a short range test finds before the first step. */
  lr?: number | 'auto'
  weightDecay?: number
  optimizer?: (typeof optimizers)[number]
  schedule?: (typeof schedules)[number]
  /** Steps, or a share of all steps: '11%'. */
  warmup?: number | string
  /** What the rate is multiplied by on a plateau, and after how many epochs without a better metric. */
  plateauFactor?: number
  plateauPatience?: number
  /** Largest global gradient norm; none and 0 clip nothing. */
  clip?: number
  accumulate?: number
  /** Most images computed at a time; without it, by device and input size. */
  microBatch?: number
  labelSmoothing?: number
  patience?: number
  /** By how much a metric must be better to count. */
  minDelta?: number
  /** Epochs, and steps, before which patience does not count. */
  patienceWarmup?: number
  patienceWarmupSteps?: number
  /** Epochs from one validation to the next, or `adaptive`: fewer validations where epochs are short. */
  valEvery?: number | 'adaptive'
  /** Decay of the averages of weights that are validated and kept; 0 is none. */
  ema?: number
  /** What the rate of a layer is multiplied by for each layer above it; 1 leaves all alike. */
  layerDecay?: number
  checkpointing?: boolean
  patchKeep?: number
  /** Dropout and drop path inside the model, over what its configuration says. */
  dropout?: number
  dropPath?: number
  seed?: number
  device?: Device
  /**
   * What to do when the device is lost: `restart` continues from the last checkpoint on a new device and gives up
   * after three losses in a row, `fallback` continues on wasm after two or where there is no new device, `throw` ends.
   */
  onDeviceLost?: OnDeviceLost
  /** Seconds after which a checkpoint is written within an epoch. */
  saveEvery?: number
  threads?: number
  /** LoRA and DoRA. */
  rank?: number
  alpha?: number
  targets?: string[] | string
  loraDropout?: number
  rslora?: boolean
  bias?: LoraConfig['bias']
  modulesToSave?: string[]
  /** Further LoRA and DoRA settings. */
  lora?: Partial<LoraConfig>
  /** Whose module names the adapter is written with: transformers 4's or 5's. */
  transformers?: 4 | 5
  /** Start from this adapter folder instead of a new adapter. */
  adapter?: string
  /** Take weights of the model that are not finite as they are; else they are refused. */
  allowNonFinite?: boolean
  /** How the frozen weights of the blocks are packed; their products are of integers with int8. */
  quantize?: Quantize
  /** nf4: the maxima of its blocks are packed too. */
  doubleQuant?: boolean
  /** Modules that stay f32, as bitsandbytes' llm_int8_skip_modules. */
  quantizeSkip?: string[]
  /** Input side in pixels. */
  inputSize?: number
  interpolation?: Interpolation
  /** How training images are changed at random: as the recipe says, not at all, or a table of changes. */
  augment?: boolean | Augmentations
  /** Alpha of MixUp and of CutMix; 0 is none. */
  mixup?: number
  cutmix?: number
  shuffle?: boolean
  /** End at the first broken image instead of skipping it. */
  strict?: boolean
}

/** Paths in full, so that run.json means the same from any folder. A model that is no folder here is a name. */
export async function inFull(settings: TrainSettings): Promise<TrainSettings> {
  const disk = localFiles('training')
  const full: TrainSettings = { ...settings }
  for (const name of ['data', 'val', 'adapter', 'from', 'unlabelled'] as const) {
    if (settings[name] !== undefined) full[name] = disk.resolve(settings[name])
  }
  const { model } = settings
  if (model !== undefined && (await disk.kind(model)) === 'folder') full.model = disk.resolve(model)
  return full
}

/** Without what is undefined. */
export function defined<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, v]) => v !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>
  }
}

/** These of its fields, where they are defined. */
export function pick<T extends object, K extends keyof T>(
  value: T,
  ...keys: K[]
): { [P in K]?: Exclude<T[P], undefined> } {
  return Object.fromEntries(keys.filter((k) => value[k] !== undefined).map((k) => [k, value[k]])) as {
    [P in K]?: Exclude<T[P], undefined>
  }
}
