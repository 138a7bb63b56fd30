// From settings to something that trains: the one way, for training, comparing, estimating and measuring, in Node and in a
// page. It reads no file and writes none.
import type { LoraConfig } from '../adapters/lora-config.ts'
import { type Method, methodFor, methodOf } from '../adapters/methods.ts'
import { augmentationPresets, type TrainTransformOptions } from '../data/augmentations.ts'
import type { Dataset } from '../data/dataset.ts'
import { type BatchSourceOptions, batchSource } from '../data/loader.ts'
import type { Preprocess } from '../data/preprocess.ts'
import { evalTransform, trainTransform } from '../data/transforms.ts'
import { viewSource } from '../data/view-source.ts'
import type { LabelSpace } from '../labels/labels.ts'
import type { AnyModel } from '../models/registry.ts'
import { countParameters } from '../nn/module.ts'
import { InputError } from '../platform/errors.ts'
import { listed } from '../platform/listed.ts'
import { defaults } from '../settings/schema.ts'
import { checkLayerDecay, checkQuantize, loraOf } from '../settings/setting-rules.ts'
import { pick, type TrainSettings } from '../settings/settings.ts'
import { type Distillation, distilled } from '../tasks/distill.ts'
import { mixedTask } from '../tasks/mixed.ts'
import { checkTaskOptions, checkThresholds, createTask, tasks } from '../tasks/registry.ts'
import { type SelfTrainingTask, selfTraining } from '../tasks/self-training.ts'
import { monitorOf, type Task } from '../tasks/task.ts'
import { type BatchSource, defaultMicroBatch } from '../train/batch.ts'
import type { FitOptions } from '../train/fit-options.ts'
import type { FeatureRoom } from './feature-room.ts'
import { featureSource } from './frozen-features.ts'
import { labelWeights } from './label-weights.ts'
import { mixedBatches } from './mixed-batches.ts'
import { type Prepared, prepare } from './prepare.ts'
import { repeating } from './repeats.ts'
import { selfTrainingSource, weakAndStrong } from './self-training.ts'
import { type Teacher, taught } from './teacher.ts'

/** Settings of training, without where things lie and on what they are computed. */
export type PlanSettings = Omit<
  Partial<TrainSettings>,
  'data' | 'model' | 'out' | 'val' | 'augment' | 'optimizer' | 'schedule'
> &
  Pick<FitOptions, 'optimizer' | 'schedule' | 'nesterov' | 'decayVectors'> & {
    /** Random changes of training images; true for crops and mirror images as OTX's. */
    augment?: boolean | TrainTransformOptions | undefined
    /** Share of the steps in which the rate rises, instead of `warmup` steps. */
    warmupShare?: number | undefined
  }

/** What is planned for. */
export interface PlanInput {
  readonly model: AnyModel
  /** How images become what the model reads; only `source` needs it. */
  readonly preprocess?: Preprocess
  readonly labels: LabelSpace
  /** Images to train on, where weights of labels are to follow from them. */
  readonly train?: Dataset | undefined
  /** Images without labels, where the settings ask to learn from some. */
  readonly unlabelled?: Dataset | undefined
  /** The configuration of an adapter that is on the model already, to be trained further. */
  readonly adapter?: LoraConfig | undefined
  /** Whether classes that stay keep their rows of the classifier, whatever the others are. */
  readonly keep?: boolean
  /** An old model whose outputs are kept, as `distill` says. */
  readonly teacher?: Teacher | undefined
}

export interface Plan {
  readonly model: AnyModel
  readonly task: Task
  /** The same, where it learns from images without labels too. */
  readonly selfTraining?: SelfTrainingTask | undefined
  readonly method: Method
  readonly prepared: Prepared
  /** Where a range test is to find it, the rate that it begins from. */
  readonly lr: number
  readonly counts: { readonly trainable: number; readonly total: number }
  /** Whether batches, to train or to validate on, may be of features that a frozen backbone made once of each image. */
  readonly repeats: { readonly train: boolean; readonly val: boolean }
  /** Batches of images: changed at random and in random order to train on, else as they are. */
  source(dataset: Dataset, training: boolean, more?: SourceHooks): BatchSource
  /** What `fit` is given for these batches. */
  fit(train: BatchSource, val?: BatchSource): FitOptions
}

export interface SourceHooks {
  /** Told of every image that has to be left out. */
  onBroken?: (file: string, reason: string) => void
  batchSize?: number
  /** Where features are kept: then batches are of features where `repeats` says so. */
  room?: FeatureRoom
}

/** Labels, by place, that no image has. */
function withoutImages({ names }: LabelSpace, train: Dataset | undefined): number[] {
  if (!train) return []
  const met = new Set(Array.from({ length: train.length }, (_, i) => train.labels(i).present).flat())
  return [...names.keys()].filter((label) => !met.has(label))
}

/** How much of an old model is kept, where there is one. */
function distillationOf(settings: PlanSettings, labels: LabelSpace, train: Dataset | undefined): Distillation {
  const { distill = defaults.distill, distillTemperature = defaults.distillTemperature, labelSmoothing = 0 } = settings
  const absent = withoutImages(labels, train)
  if (absent.length > 0 && labelSmoothing > 0) {
    const names = listed(absent.map((label) => labels.names[label]!))
    throw new InputError(`labelSmoothing: would be learnt of labels that no image has, got ${names}; leave it out`)
  }
  return { weight: distill, temperature: distillTemperature, absent }
}

/** The method: what the settings say, or that of the adapter that is there. */
function methodIn({ peft, adapter: place }: PlanSettings, adapter: LoraConfig | undefined): Method {
  if (!adapter) return peft ?? defaults.peft
  const own = methodFor(adapter)
  if (peft === undefined || peft === own) return own
  throw new InputError(`adapter: ${place} is a ${own} adapter, got peft ${peft}; leave peft out`)
}

/** How sure a teacher must be, and how much its answers count. */
const surenessOf = ({ unlabelledThreshold, unlabelledWeight }: PlanSettings) => ({
  threshold: unlabelledThreshold ?? defaults.unlabelledThreshold,
  weight: unlabelledWeight ?? defaults.unlabelledWeight,
})

/** Steps in which the rate rises, of `steps`; a share that is written with its sign is rounded up, as Hugging Face's warmup_ratio. */
function warmupSteps({ warmup = defaults.warmup, warmupShare }: PlanSettings, steps: number): number {
  if (warmupShare !== undefined) return Math.round(warmupShare * steps)
  // Multiplied first, so that 7 % of 100 steps are 7.
  return typeof warmup === 'string' ? Math.ceil((Number(warmup.slice(0, -1)) * steps) / 100) : warmup
}

/**
 * Makes a model ready to be trained as the settings say: its task, classifier, adapter and rates. The model is changed; whoever
 * made it disposes it. Throws an InputError on settings that do not go together.
 */
export function plan(settings: PlanSettings, input: PlanInput): Plan {
  const { model, preprocess, labels, train, unlabelled, adapter, keep, teacher } = input
  const { seed = defaults.seed, batchSize = defaults.batchSize, augment = true } = settings
  const method = methodIn(settings, adapter)
  checkLayerDecay(method, settings.layerDecay)
  checkQuantize(method, settings.quantize)
  const { threshold, positiveWeights } = settings
  const chosen = pick(settings, 'loss', 'labelSmoothing', 'pathConsistency', 'decoding')
  // Also those that are no option of the task itself: thresholds to be tuned, and the metric that chooses.
  checkTaskOptions(tasks[labels.task], { ...chosen, threshold, positiveWeights })
  monitorOf(tasks[labels.task], settings.monitor)
  const task = createTask(labels, {
    ...chosen,
    ...(typeof threshold === 'number' ? { threshold } : {}),
    ...(positiveWeights === undefined ? {} : { positiveWeights: labelWeights(positiveWeights, labels, train) }),
  })
  if (typeof threshold === 'number') checkThresholds(task)
  const learner = settings.unlabelled === undefined ? undefined : selfTraining(task, surenessOf(settings))
  model.setDropout(pick(settings, 'dropout', 'dropPath', 'patchKeep'))
  const prepared = prepare(model, labels.names, method, { seed, lora: loraOf(settings), adapter, keep })
  // A rate that is still to be found begins with the method's.
  const lr = typeof settings.lr === 'number' ? settings.lr : methodOf(method).defaultRate
  const epochs = settings.epochs ?? defaults.epochs
  const { mixup = defaults.mixup, cutmix = defaults.cutmix } = settings
  const mixes = mixup > 0 || cutmix > 0
  const learnt = mixes ? mixedTask(task) : (learner ?? task)
  const kept = teacher && distilled(learnt, teacher.labels, distillationOf(settings, labels, train))
  const sampler = settings.sampler ?? (settings.shuffle === false ? 'sequential' : 'shuffle')
  const changes = augment === true ? augmentationPresets.otx : augment
  const more = mixes || learner !== undefined || teacher !== undefined
  const repeats = repeating({ method, model, changes, more })
  return {
    model,
    task,
    selfTraining: learner,
    method,
    prepared,
    lr,
    counts: countParameters(model),
    repeats,
    source(dataset, training, { room, ...more } = {}) {
      if (!preprocess) throw new Error('plan: batches of images need to know how the model takes them')
      const { strict = false } = settings
      const options: BatchSourceOptions = {
        transform: training && changes ? trainTransform(preprocess, changes) : evalTransform(preprocess),
        targets: task.targets,
        order: training ? sampler : 'sequential',
        batchSize,
        seed,
        strict,
        ...more,
      }
      if (room && (training ? repeats.train : repeats.val)) {
        const { microBatch = defaultMicroBatch(model, settings.checkpointing) } = settings
        return featureSource(model, dataset, { ...options, microBatch, room, inParts: !training })
      }
      const batches = batchSource(dataset, options)
      if (training && mixes) return mixedBatches(batches, { mixup, cutmix }, seed)
      if (!training || !learner || !unlabelled) return batches
      const ratio = settings.unlabelledRatio ?? defaults.unlabelledRatio
      const { onBroken } = more
      const others = viewSource(unlabelled, {
        views: weakAndStrong(preprocess, changes),
        batchSize: ratio * batchSize,
        batches: batches.batches,
        seed,
        strict,
        onBroken,
      })
      return selfTrainingSource({
        labelled: batches,
        unlabelled: others,
        task: learner,
        model,
        ...pick(settings, 'microBatch'),
      })
    },
    fit: (train, val) => ({
      model,
      task: kept ?? learnt,
      train: kept ? taught(train, teacher!, kept, settings.microBatch) : train,
      val,
      epochs,
      lr,
      seed,
      ...pick(settings, 'schedule', 'optimizer', 'nesterov', 'weightDecay', 'decayVectors', 'clip', 'accumulate'),
      ...pick(
        settings,
        'microBatch',
        'monitor',
        'checkpointing',
        'plateauFactor',
        'plateauPatience',
        'layerDecay',
        'ema',
      ),
      ...pick(settings, 'patience', 'minDelta', 'patienceWarmup', 'patienceWarmupSteps', 'valEvery'),
      warmup: warmupSteps(settings, epochs * Math.ceil(train.batches / (settings.accumulate ?? 1))),
    }),
  }
}
