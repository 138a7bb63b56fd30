// One trial: what it is told apart by, and its run with the SDK on one thread. Choosing trials is in trials.ts.
import { fileURLToPath } from 'node:url'
import { type Dataset, evaluate, openModel } from 'vitune'
import { batchSource, evalTransform, type TrainTransformOptions, trainTransform } from 'vitune/data'
import { disposeModule } from 'vitune/nn'
import type { Backend } from 'vitune/tensor'
import { type BatchSource, createTask, featureSource, fit, prepare } from 'vitune/train'
import { recipes } from '../../src/settings/recipes.ts'
import type { RecipeName } from '../../src/settings/settings.ts'
import type { TrialSet } from './sets.ts'

/** The augmentations compared: crops by share of the area, mirrored or not. */
export const augmentations = {
  none: undefined,
  flip: { area: [1, 1], aspect: [1, 1], flip: 0.5 },
  crop80: { area: [0.8, 1], flip: 0 },
  'crop80+flip': { area: [0.8, 1], flip: 0.5 },
  crop50: { area: [0.5, 1], flip: 0 },
  'crop50+flip': { area: [0.5, 1], flip: 0.5 },
  'crop08+flip': { area: [0.08, 1], flip: 0.5 },
} as const satisfies Record<string, TrainTransformOptions | undefined>

/** What makes a trial; equal trials have equal results. */
export interface Trial {
  readonly data: string
  readonly perClass: number
  readonly seed: number
  readonly method: 'linear' | 'lora' | 'dora' | 'full'
  readonly targets?: 'query,value' | 'all-linear'
  readonly rank?: number
  readonly lr: number
  readonly epochs: number
  readonly augment: keyof typeof augmentations
  readonly schedule: 'constant' | 'cosine'
  readonly batch: number
  /** Decay of averages of the weights. */
  readonly ema?: number
  readonly smoothing?: number
  /** The recipe that these settings are of. */
  readonly recipe?: RecipeName
}

/** The monitored metric after an epoch. */
export interface Mark {
  readonly epoch: number
  readonly loss: number
  readonly val: number
  readonly test: number
}

export interface TrialResult extends Trial {
  readonly images: number
  readonly metric: string
  readonly marks: readonly Mark[]
  /** Seconds of processor time of training, and of all. */
  readonly training: number
  readonly seconds: number
}

/** What sets are compared by: no threshold has a part in it. */
const metrics = { multiclass: 'accuracy', hierarchical: 'accuracy', multilabel: 'map' } as const

/** Epochs after which a trial of a constant rate is looked at, beside its last: each look costs as much as an epoch of 500 images. */
const looks: readonly number[] = [2, 5, 10, 20]

/** A trial's name, the same for equal trials. */
export function keyOf(trial: Trial): string {
  const { data, perClass, seed, method, targets, rank, lr, epochs, augment, schedule, batch, ema, smoothing } = trial
  const adapted = [targets ?? '-', rank ?? '-']
  const more = ema || smoothing ? [ema ?? 0, smoothing ?? 0] : []
  return [data, perClass, seed, method, ...adapted, lr, epochs, augment, schedule, batch, ...more].join(' ')
}

/** LoRA by a recipe, on a set of which an image has one of ten classes. */
export function byRecipe(recipe: 'default' | 'fast' | 'accurate', data: string, perClass: number, seed: number): Trial {
  const images = 10 * perClass
  const facts = { method: 'lora', task: 'multiclass', images, labels: 10, validates: true, inputSize: 32 } as const
  const said = recipes[recipe]({ ...facts, features: 128 })
  const { crop, flip } = (said.augment!.value || {}) as { crop?: { area?: readonly number[] }; flip?: number }
  const named = [
    ...(crop ? [`crop${String(100 * (crop.area?.[0] ?? 0.08)).padStart(2, '0')}`] : []),
    ...(flip ? ['flip'] : []),
  ]
  return {
    ...{ recipe, data, perClass, seed, method: 'lora', rank: 8 },
    targets: said.targets?.value === 'all-linear' ? 'all-linear' : 'query,value',
    lr: said.lr!.value as number,
    epochs: said.epochs!.value,
    augment: (named.join('+') || 'none') as Trial['augment'],
    schedule: said.schedule!.value as 'cosine',
    batch: said.batchSize!.value,
    ...(said.ema && { ema: said.ema.value }),
    ...(said.labelSmoothing && { smoothing: said.labelSmoothing.value }),
  }
}

const model = fileURLToPath(new URL('../vit-cifar100', import.meta.url))
const cpu = (since?: NodeJS.CpuUsage) => {
  const { user, system } = process.cpuUsage(since)
  return (user + system) / 1e6
}

/** Trains and tests; the weights are those of the epoch that is looked at, not of the best so far. */
export async function runTrial(backend: Backend, trial: Trial, set: TrialSet): Promise<TrialResult> {
  const { perClass, seed, method, targets, rank, lr, epochs, augment, schedule, batch, ema, smoothing } = trial
  const start = process.cpuUsage()
  const train = set.train(perClass, seed)
  const opened = await openModel(backend, model)
  try {
    const { labelSpace } = train
    const task = createTask(labelSpace, { labelSmoothing: smoothing })
    // The scaling stays 1 whatever the rank.
    const lora = rank === undefined ? {} : { r: rank, alpha: rank }
    const adapted =
      targets === undefined ? {} : { targetModules: targets === 'all-linear' ? targets : targets.split(',') }
    prepare(opened.model, labelSpace.names, method, { seed, lora: { ...lora, ...adapted } })
    const change = augmentations[augment]
    const plain = evalTransform(opened.preprocess)
    const source = (dataset: Dataset, training: boolean): BatchSource => {
      const options = {
        transform: training && change ? trainTransform(opened.preprocess, change) : plain,
        targets: task.targets,
        order: training ? ('shuffle' as const) : ('sequential' as const),
        batchSize: training ? batch : 100,
        seed,
      }
      const repeats = method === 'linear' && !(training && change)
      return repeats ? featureSource(opened.model, dataset, options) : batchSource(dataset, options)
    }
    const batches = source(train, true)
    const [val, test] = [source(set.val, false), source(set.test, false)]
    const metric = metrics[labelSpace.task]
    const loop = fit({
      model: opened.model,
      task,
      train: batches,
      epochs,
      lr,
      seed,
      weightDecay: 0.05,
      schedule,
      warmup: schedule === 'cosine' ? Math.round(0.1 * epochs * batches.batches) : 0,
      // Averages are looked at by the loop itself, once, on what is reported.
      ...(ema && { ema, val: test, valEvery: epochs }),
    })
    const marks: Mark[] = []
    let training = 0
    let since = process.cpuUsage()
    for await (const event of loop) {
      if (event.kind !== 'epoch') continue
      training += cpu(since)
      const { epoch } = event
      if (epoch === epochs || (schedule === 'constant' && looks.includes(epoch))) {
        const chosen = await evaluate(opened.model, task, val)
        const tested = event.metrics ?? (await evaluate(opened.model, task, test)).metrics
        marks.push({ epoch, loss: event.trainLoss, val: chosen.metrics[metric]!, test: tested[metric]! })
      }
      since = process.cpuUsage()
    }
    return { ...trial, images: train.length, metric, marks, training, seconds: cpu(start) }
  } finally {
    disposeModule(opened.model)
  }
}
