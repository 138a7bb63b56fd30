// Every setting of a run, once: what it may be, what holds without it, what it is for, its flag, and whether a run that is
// continued may have another. Flags, help, configuration files, the page's form and docs/settings.md are made of this table.
// Not here: what settings must be together (setting-rules.ts).
import { type LoraConfig, loraFields } from '../adapters/lora-config.ts'
import { methodOf, methods } from '../adapters/methods.ts'
import { devices } from '../backend/devices.ts'
import { formatNames } from '../data/sources/formats/names.ts'
import { interpolations } from '../models/vit/config.ts'
import {
  above,
  atLeast,
  between,
  choice,
  either,
  flag,
  list,
  numbers,
  object,
  oneOf,
  part,
  percent,
  share,
  text,
  whole,
  word,
} from '../schema/rules.ts'
import { defaultsOf, namesOf, rulesOf, type SettingsOf } from '../schema/setting.ts'
import { taskNames, tasks } from '../tasks/registry.ts'
import { decodings, type TaskKind } from '../tasks/task.ts'
import { augmentRule, augmentWords, readAugment } from './augment.ts'
import { quantizeNames } from './quantize.ts'
import { onDeviceLost, optimizers, recipeNames, samplers, schedules, type TrainSettings } from './settings.ts'

/** The most images of a batch, and batches of a step: more than anyone has, so that a slip is told from a wish. */
const MOST = 1_000_000

/** What any task has, each once. */
const ofTasks = (names: (task: TaskKind) => readonly string[]) => [...new Set(Object.values(tasks).flatMap(names))]

/** Learning rates by method, in words. */
function ratesInWords(): string {
  const rates = [...new Set(methods.map((method) => methodOf(method).defaultRate))]
  const those = (rate: number) => methods.filter((method) => methodOf(method).defaultRate === rate)
  return rates.map((rate) => `${rate} for ${those(rate).join(', ')}`).join('; ')
}

/** A number where the text is one, else the text. */
const numberOrText = (given: string): number | string =>
  given.trim() !== '' && Number.isFinite(Number(given)) ? Number(given) : given

/** `balanced`, or `cat=2,dog=0.5`; the last `=` of a part counts, since labels may hold others. */
function readWeights(given: string): string | Record<string, number> {
  if (!given.includes('=')) return given
  const pairs = namesOf(given).map((pair) => /^(.*)=([^=]*)$/.exec(pair) ?? [pair, pair, ''])
  return Object.fromEntries(pairs.map(([, name, x]) => [name!.trim(), x!.trim() === '' ? Number.NaN : Number(x)]))
}

const dropoutOfModel = "as in the model's config.json"

export const settings = {
  data: {
    value: text('a folder of images or a file of labels'),
    group: 'Input and output',
    flag: '--data <path>',
    description:
      'images: CLASS/*.jpg, or train/CLASS/*.jpg with val/ and test/ beside it; or a file of labels (CSV, JSON lines, Datumaro)',
    again: 'place',
  },
  model: {
    value: text('a model folder or name'),
    group: 'Input and output',
    flag: '--model <dir|name>',
    description: 'a model folder in Hugging Face layout, or a name like facebook/dinov2-small',
    again: 'place',
  },
  recipe: {
    value: choice(recipeNames),
    default: 'default',
    group: 'Input and output',
    flag: '--recipe <name>',
    description: 'what holds where nothing else is given: rates, epochs, batches, augmentation (docs/recipes.md)',
  },
  peft: {
    value: choice(methods),
    default: 'lora',
    group: 'Input and output',
    flag: '--peft <method>',
    title: 'Method',
    description: 'fine-tuning method',
  },
  out: {
    value: text('a folder'),
    group: 'Input and output',
    flag: '--out <dir>',
    description: 'the folder that keeps the run',
    again: true,
  },
  val: {
    value: text('a folder of class folders or a file of labels'),
    otherwise: 'val/ in the data, else a fifth of each class',
    group: 'Input and output',
    flag: '--val <path>',
    description: 'labelled images to validate on',
    again: 'place',
  },
  adapter: {
    value: text('an adapter folder'),
    group: 'Input and output',
    flag: '--adapter <dir>',
    description: 'start from this adapter (PEFT format)',
    again: 'place',
  },
  strict: {
    value: flag,
    default: false,
    group: 'Input and output',
    flag: '--strict',
    description: 'end at the first broken image with code 2 instead of skipping it',
    again: true,
  },

  format: {
    value: choice(formatNames),
    otherwise: 'recognised',
    group: 'Data',
    flag: '--format <name>',
    description: 'layout of a published data set',
  },
  perClass: {
    value: whole(1, Number.MAX_SAFE_INTEGER, 'a whole number of images'),
    otherwise: 'all',
    group: 'Data',
    flag: '--per-class <n>',
    description: 'train on n images of each label, drawn by the seed',
  },
  folds: {
    value: whole(2, 1000, 'a whole number of parts'),
    group: 'Data',
    flag: '--folds <k>',
    description: 'cut the images into k parts by the seed; one is validated on',
  },
  fold: {
    value: whole(0, 999),
    otherwise: '0 with --folds',
    group: 'Data',
    flag: '--fold <i>',
    description: 'which of the parts is validated on, from 0',
  },
  from: {
    value: text('the folder of a run'),
    group: 'Input and output',
    flag: '--from <run>',
    description: 'begin with the weights of this run; the classifier keeps the labels that stay',
    again: 'place',
  },
  distill: {
    value: atLeast(0),
    default: 0,
    otherwise: 'none',
    group: 'Training',
    flag: '--distill <weight>',
    description: 'hold outputs to those of the model of --from, with this weight',
  },
  distillTemperature: {
    value: above(0),
    default: 2,
    group: 'Training',
    flag: '--distill-temperature <t>',
    description: 'by which outputs are divided to be compared',
  },
  unlabelled: {
    value: text('a folder of images'),
    group: 'Data',
    flag: '--unlabelled <dir>',
    description: 'images without labels, learnt from where the model is sure of them',
    again: 'place',
  },
  unlabelledThreshold: {
    value: share,
    default: 0.95,
    group: 'Data',
    flag: '--unlabelled-threshold <x>',
    description: 'how sure the model must be of an image without labels',
  },
  unlabelledWeight: {
    value: above(0),
    default: 1,
    group: 'Data',
    flag: '--unlabelled-weight <x>',
    description: 'weight of the loss on images without labels',
  },
  unlabelledRatio: {
    value: whole(1, 100),
    default: 4,
    group: 'Data',
    flag: '--unlabelled-ratio <n>',
    description: 'images without labels for each one with',
  },

  task: {
    value: choice(taskNames),
    otherwise: "what the data's labels say",
    group: 'Task',
    flag: '--task <name>',
    description: 'what is learnt',
  },
  loss: {
    value: choice(ofTasks(({ losses }) => losses)),
    otherwise: "the task's first",
    group: 'Task',
    flag: '--loss <name>',
    description: 'what training lowers',
  },
  monitor: {
    value: choice(ofTasks(({ monitors }) => Object.keys(monitors))),
    otherwise: 'by task',
    group: 'Task',
    flag: '--monitor <metric>',
    description: 'metric that chooses the best epoch, ends training early and lowers the rate of schedule plateau',
  },
  threshold: {
    value: either(between, word('tune')),
    default: 'tune',
    otherwise: 'in tasks that have thresholds',
    group: 'Task',
    flag: '--threshold <x|tune>',
    description: 'score from which a label is there; tune finds one a label, with the best F1 on the validation data',
    read: numberOrText,
  },
  positiveWeights: {
    value: either(numbers('numbers above 0 by label', above(0)), word('balanced')),
    otherwise: '1 each',
    group: 'Task',
    flag: '--positive-weights <x>',
    description:
      'how much more a label counts where it is there: label=number,..., or balanced, negatives / positives of the training labels',
    read: readWeights,
  },
  pathConsistency: {
    value: atLeast(0),
    default: 0,
    group: 'Task',
    flag: '--path-consistency <x>',
    description: 'weight of the loss that holds the levels of a tree together',
  },
  decoding: {
    value: choice(decodings),
    default: 'path',
    otherwise: 'in trees',
    group: 'Task',
    flag: '--decoding <how>',
    description: 'labels of the most probable path, or of each level',
  },
  labelSmoothing: {
    value: part,
    default: 0,
    group: 'Task',
    flag: '--label-smoothing <x>',
    description: 'share of the target that all classes get alike',
  },
  sampler: {
    value: choice(samplers),
    default: 'shuffle',
    group: 'Data',
    flag: '--sampler <how>',
    description:
      'images in a new order each epoch, or all classes equally often, in as many images or no more than it takes',
  },

  epochs: {
    value: whole(1),
    default: 20,
    group: 'Training',
    flag: '--epochs <n>',
    description: 'times through the data',
    again: true,
  },
  batchSize: {
    value: whole(1, MOST),
    default: 16,
    group: 'Training',
    flag: '--batch-size <n>',
    description: 'images a batch',
  },
  lr: {
    value: either(above(0), word('auto')),
    read: numberOrText,
    otherwise: ratesInWords(),
    group: 'Training',
    flag: '--lr <rate|auto>',
    title: 'Learning rate',
    description: 'learning rate; auto finds one by a short test on training images',
  },
  weightDecay: {
    value: atLeast(0),
    default: 0.05,
    group: 'Training',
    flag: '--weight-decay <x>',
    description: 'decoupled weight decay',
  },
  optimizer: {
    value: choice(optimizers),
    default: 'adamw',
    group: 'Training',
    flag: '--optimizer <name>',
    description: 'update rule',
  },
  schedule: {
    value: choice(schedules),
    default: 'constant',
    group: 'Training',
    flag: '--schedule <name>',
    description: 'learning rate over time',
  },
  warmup: {
    value: either(whole(0, Number.MAX_SAFE_INTEGER, 'a whole number of steps'), percent('of all')),
    default: 0,
    group: 'Training',
    flag: '--warmup <steps>',
    description: 'steps in which the rate rises from 0, or a share of all steps as 10%',
    read: numberOrText,
  },
  plateauFactor: {
    value: between,
    default: 0.5,
    group: 'Training',
    flag: '--plateau-factor <x>',
    description: 'what schedule plateau multiplies the rate by',
  },
  plateauPatience: {
    value: whole(0, Number.MAX_SAFE_INTEGER, 'a whole number of validations'),
    default: 3,
    group: 'Training',
    flag: '--plateau-patience <n>',
    description:
      'validations that did not better the monitored metric, after one more of which schedule plateau lowers the rate',
  },
  clip: {
    value: atLeast(0, (least) => `at least ${least}, where 0 clips nothing`),
    default: 0,
    otherwise: 'which clips nothing',
    group: 'Training',
    flag: '--clip <norm>',
    description: 'largest norm of all gradients together',
  },
  accumulate: {
    value: whole(1, MOST),
    default: 1,
    group: 'Training',
    flag: '--accumulate <n>',
    description: 'batches whose gradients make one step',
  },
  microBatch: {
    value: whole(1, MOST),
    otherwise: 'by device and input size',
    group: 'Training',
    flag: '--micro-batch <n>',
    description: 'most images computed at a time',
  },
  patience: {
    value: whole(0, Number.MAX_SAFE_INTEGER, 'a whole number of validations'),
    default: 0,
    otherwise: 'never',
    group: 'Training',
    flag: '--patience <n>',
    description: 'end after n validations that did not better the monitored metric',
  },
  minDelta: {
    value: atLeast(0),
    default: 0,
    group: 'Training',
    flag: '--min-delta <x>',
    description: 'by how much the monitored metric must be better for --patience',
  },
  patienceWarmup: {
    value: whole(0, Number.MAX_SAFE_INTEGER, 'a whole number of epochs'),
    default: 0,
    group: 'Training',
    flag: '--patience-warmup <n>',
    description: 'epochs before which --patience does not count',
  },
  patienceWarmupSteps: {
    value: whole(0, Number.MAX_SAFE_INTEGER, 'a whole number of steps'),
    default: 0,
    group: 'Training',
    flag: '--patience-warmup-steps <n>',
    description: 'steps before which --patience does not count',
  },
  valEvery: {
    value: either(whole(1, Number.MAX_SAFE_INTEGER, 'a whole number of epochs'), word('adaptive')),
    default: 1,
    group: 'Training',
    flag: '--val-every <n>',
    description: 'epochs from one validation to the next; adaptive validates less often where epochs are short',
    read: numberOrText,
  },
  ema: {
    value: part,
    default: 0,
    otherwise: 'none',
    group: 'Training',
    flag: '--ema <decay>',
    description: 'validate and keep averages of the weights, of this decay a step',
  },
  layerDecay: {
    value: share,
    default: 1,
    group: 'Training',
    flag: '--layer-decay <x>',
    description: 'what the rate of a layer is multiplied by for each layer above it, in full fine-tuning',
  },
  seed: {
    value: whole(0, 2 ** 31 - 1),
    default: 0,
    group: 'Training',
    flag: '--seed <n>',
    description: 'governs split, order, augmentation, dropout and new weights',
  },
  augment: {
    value: augmentRule,
    default: true,
    otherwise: 'as the recipe says',
    group: 'Augmentation',
    flag: '--augment <changes>',
    off: '--no-augment',
    description: `how training images are changed at random (docs/augmentations.md): some of ${augmentWords}`,
    read: readAugment,
  },
  mixup: {
    value: atLeast(0),
    default: 0,
    otherwise: 'none',
    group: 'Augmentation',
    flag: '--mixup <alpha>',
    description: 'mix images and their targets in pairs, by shares of Beta(alpha, alpha)',
  },
  cutmix: {
    value: atLeast(0),
    default: 0,
    otherwise: 'none',
    group: 'Augmentation',
    flag: '--cutmix <alpha>',
    description: 'put a part of another image in the place of its own, and mix targets by area',
  },
  shuffle: {
    value: flag,
    default: true,
    group: 'Data',
    flag: '--no-shuffle',
    description: 'images in another order than classes by name, files by name within a class',
    without: 'keep the order: classes by name, files by name within a class',
  },

  rank: { ...loraFields.r, flag: '--rank <r>' },
  alpha: { ...loraFields.alpha, flag: '--alpha <a>' },
  targets: { ...loraFields.targetModules, flag: '--targets <layers>' },
  loraDropout: { ...loraFields.dropout, flag: '--lora-dropout <x>' },
  rslora: { ...loraFields.useRslora, flag: '--rslora' },
  bias: { ...loraFields.bias, flag: '--bias <mode>' },
  modulesToSave: { ...loraFields.modulesToSave, flag: '--modules-to-save <names>' },
  lora: { value: object, group: 'LoRA and DoRA', description: 'further fields of LoRA and DoRA by name' },
  transformers: {
    value: oneOf(4, 5),
    default: 4,
    group: 'LoRA and DoRA',
    flag: '--transformers <version>',
    description: "the version of transformers whose module names the adapter's files use",
  },

  quantize: {
    value: choice(quantizeNames),
    otherwise: 'as the model is stored',
    group: 'Model',
    flag: '--quantize <format>',
    description:
      'pack frozen weights in 4 or 8 bits, or unpack (none); int8 multiplies integers, forward and back (docs/quantization.md)',
  },
  doubleQuant: {
    value: flag,
    default: true,
    group: 'Model',
    flag: '--no-double-quant',
    description: 'with nf4, pack the maxima of its blocks too, as bnb_4bit_use_double_quant',
    without: 'with nf4, keep the maxima of its blocks in f32',
  },
  quantizeSkip: {
    value: list('a list of names'),
    group: 'Model',
    flag: '--quantize-skip <names>',
    description: "modules that stay f32, as bitsandbytes' llm_int8_skip_modules",
    read: namesOf,
  },
  inputSize: {
    value: whole(1, 8192, 'a whole number of pixels'),
    otherwise: "the model's own",
    group: 'Model',
    flag: '--input-size <px>',
    description: 'side of the input; positions are interpolated',
  },
  interpolation: {
    value: choice(interpolations),
    otherwise: 'as Hugging Face',
    group: 'Model',
    flag: '--interpolation <name>',
    description: 'of positions',
  },
  allowNonFinite: {
    value: flag,
    default: false,
    group: 'Model',
    flag: '--allow-nonfinite',
    description: 'take weights that are NaN or infinite as they are, instead of refusing them',
  },
  dropout: {
    value: part,
    otherwise: dropoutOfModel,
    group: 'Model',
    flag: '--dropout <x>',
    description: 'dropout inside the model',
  },
  dropPath: {
    value: part,
    otherwise: dropoutOfModel,
    group: 'Model',
    flag: '--drop-path <x>',
    description: 'share of the samples that pass a block by',
  },
  checkpointing: {
    value: flag,
    default: false,
    group: 'Model',
    flag: '--checkpointing',
    description: 'recompute in the backward pass: less memory, about a third more time',
  },
  patchKeep: {
    value: share,
    default: 1,
    group: 'Model',
    flag: '--patch-keep <x>',
    description: 'part of the patches to train on, drawn for each image',
  },

  device: {
    value: choice(devices),
    default: 'auto',
    otherwise: 'the fastest here',
    group: 'Machine',
    flag: '--device <name>',
    description: 'where to compute',
    again: true,
  },
  threads: {
    value: whole(1, 64),
    otherwise: 'one a processor',
    group: 'Machine',
    flag: '--threads <n>',
    description: 'threads of the wasm device',
    again: true,
  },
  onDeviceLost: {
    value: choice(onDeviceLost),
    default: 'restart',
    group: 'Machine',
    flag: '--on-device-lost <what>',
    description:
      'when the device is lost: restart goes on from the last checkpoint on a new one and gives up after three losses in a row, fallback goes on with wasm after two or where there is no new one, throw ends with code 1',
    again: true,
  },
  saveEvery: {
    value: atLeast(0, (least) => `seconds from ${least}`),
    default: 120,
    group: 'Machine',
    flag: '--save-every <seconds>',
    description: 'write a checkpoint within an epoch too',
    again: true,
  },
} satisfies SettingsOf<TrainSettings>

/** What each setting must be. */
export const settingRules = rulesOf(settings)

/** What holds where nothing is given; what depends on others is not here. */
export const defaults = defaultsOf(settings)

/** Settings that say what a field of `lora` says. */
export const sameAs = {
  rank: 'r',
  alpha: 'alpha',
  targets: 'targetModules',
  loraDropout: 'dropout',
  rslora: 'useRslora',
  bias: 'bias',
  modulesToSave: 'modulesToSave',
} as const satisfies Partial<Record<keyof TrainSettings, keyof LoraConfig>>
