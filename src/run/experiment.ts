// Compares fine-tuning methods: every method on every data set with every seed, one after the other on one backend.
// Each run trains a fixed number of epochs and is tested once, at its end. No files are written and nothing is printed.
import { platform } from '#platform'
import { loraDefaults } from '../adapters/lora-config.ts'
import { comparedAs } from '../adapters/methods.ts'
import type { Backend } from '../backend/backend.ts'
import { createBackend } from '../backend/create.ts'
import { augmentationPresets, augmentationsInWords } from '../data/augmentations.ts'
import { buildModel } from '../models/registry.ts'
import { truncatedNormal } from '../nn/layers.ts'
import { countParameters, disposeModule } from '../nn/module.ts'
import { version } from '../platform/version.ts'
import type { ExperimentData, ExperimentResult, ExperimentRun } from '../report/experiment-result.ts'
import { defined, pick } from '../settings/settings.ts'
import { tasks } from '../tasks/registry.ts'
import { Rng } from '../tensor/philox.ts'
import type { BatchSource } from '../train/batch.ts'
import { evaluate } from '../train/evaluate.ts'
import { fit } from '../train/fit.ts'
import { openModel } from '../use/open-model.ts'
import {
  checkClasses,
  checkExperiment,
  type ExperimentDataset,
  type ExperimentEvent,
  type ExperimentMethod,
  type ExperimentOptions,
  experimentMethods,
  imagesOf,
  type RunPosition,
  type RunSettings,
  runDefaults,
} from './experiment-options.ts'
import { featureRoom, roomBeside } from './feature-room.ts'
import { plan } from './plan.ts'

/** Random numbers of fresh weights; prepare.ts uses 900 for the head. */
const scratchStream = 901

/** A source that ends early once the signal has come. */
function stoppable(source: BatchSource, signal: AbortSignal | undefined): BatchSource {
  return {
    batches: source.batches,
    async *epoch(epoch, firstBatch) {
      for await (const batch of source.epoch(epoch, firstBatch)) {
        if (signal?.aborted) return
        yield batch
      }
    },
  }
}

/** The model of a run as its checkpoint has it; for scratch the same architecture with fresh weights. */
async function startModel(backend: Backend, options: ExperimentOptions, method: ExperimentMethod, seed: number) {
  const { quantize, doubleQuant, lora = {} } = { ...options, ...options.perMethod?.[method] }
  const packed =
    comparedAs(method).kind.trains === 'all'
      ? ({ quantize: 'none' } as const)
      : { quantize, doubleQuant, modulesToSave: lora.modulesToSave }
  const opened = await openModel(backend, options.model, { ...options.hub, ...packed })
  const { total } = countParameters(opened.model)
  if (!comparedAs(method).fresh) return { model: opened.model, preprocess: opened.preprocess, parameters: total }
  const { config } = opened.model
  disposeModule(opened.model)
  const model = buildModel(backend, config, truncatedNormal(new Rng(seed, scratchStream), 0.02))
  return { model, preprocess: opened.preprocess, parameters: total }
}

/** One run; undefined when the signal ended it. */
async function* trainOnce(
  backend: Backend,
  options: ExperimentOptions,
  dataset: ExperimentDataset,
  position: RunPosition,
  tell: (parameters: number) => void,
): AsyncGenerator<ExperimentEvent, ExperimentRun | undefined> {
  const { method, seed } = position
  const { signal } = options
  const { kind } = comparedAs(method)
  const settings: RunSettings = { ...options, ...options.perMethod?.[method] }
  const { epochs, batchSize, schedule, lora = {} } = { ...runDefaults, ...defined(settings) }
  const { optimizer, augment } = settings
  const training = imagesOf(dataset, seed)
  const { model, preprocess, parameters } = await startModel(backend, options, method, seed)
  try {
    tell(parameters)
    const given = pick(settings, 'lr', 'weightDecay', 'decayVectors', 'clip', 'labelSmoothing', 'warmupShare')
    const planned = plan(
      {
        ...given,
        peft: kind.name,
        seed,
        epochs,
        batchSize,
        lora,
        schedule,
        augment: augment ?? false,
        ...(optimizer && { optimizer }),
      },
      { model, preprocess, labels: training.labelSpace, train: training },
    )
    const { task, lr, counts } = planned
    const sizes = { train: training.length, test: dataset.test.length }
    yield { kind: 'run', ...position, lr, epochs, ...counts, ...sizes }

    backend.resetPeak()
    const started = performance.now()
    const train = planned.source(training, true, { room: featureRoom(roomBeside(0)) })
    const curve: NonNullable<ExperimentRun['curve']> = []
    const loop = fit({ ...planned.fit(train), signal })
    for await (const event of loop) {
      if (event.kind === 'epoch') {
        curve.push({ epoch: event.epoch, loss: event.trainLoss, accuracy: event.trainAccuracy })
      }
      yield { kind: 'progress', ...position, event }
    }
    const seconds = (performance.now() - started) / 1000
    const peakBytes = backend.memory().peak
    if (signal?.aborted) return undefined

    yield { kind: 'test', ...position, images: dataset.test.length }
    const source = stoppable(planned.source(dataset.test, false, { batchSize: 100 }), signal)
    const tested = await evaluate(model, task, source).catch((error: unknown) => {
      // Stopped before its first image.
      if (!signal?.aborted) throw error
    })
    if (!tested || signal?.aborted) return undefined
    const { accuracy, metrics } = tested
    return { method, dataset: dataset.name, seed, accuracy, metrics, ...counts, peakBytes, seconds, lr, epochs, curve }
  } finally {
    disposeModule(model)
  }
}

/** The settings in words, those that are the same for every run. */
function inWords(options: ExperimentOptions): string {
  const { augment } = options
  const { optimizer, weightDecay, batchSize, schedule, warmupShare, clip } = { ...runDefaults, ...defined(options) }
  const compared = (options.methods ?? experimentMethods).map((method) => comparedAs(method))
  const adapted = compared.filter(({ kind }) => kind.adapter)
  const { r, alpha, targetModules } = { ...loraDefaults, ...defined(options.lora ?? {}) }
  return [
    `${typeof optimizer === 'function' ? 'an optimizer of its own' : optimizer === 'sgd' ? 'SGD' : 'AdamW'}, weight decay ${weightDecay}, batches of ${batchSize}, ${schedule} learning rate`,
    warmupShare > 0 ? ` with ${Math.round(100 * warmupShare)} % warm-up` : '',
    clip === 0 ? '' : `, gradient norm at most ${clip}`,
    `, ${augmentationsInWords(augment === true ? augmentationPresets.otx : augment || {})}`,
    adapted.length > 0 ? `; adapters of rank ${r}, alpha ${alpha} on ${[targetModules].flat().join(' and ')}` : '',
    (options.quantize ?? 'none') === 'none' ? '' : `; frozen weights packed as ${options.quantize}`,
    // What makes its memory and time so small belongs beside the numbers.
    compared.some(({ kind }) => kind.trains === 'classifier') && !augment
      ? '. Linear computes the features of the frozen backbone once and trains the classifier on them'
      : '',
    options.remark ? `. ${options.remark}` : '',
    '. A run is tested once, after its last epoch; its time and memory are those of training.',
  ].join('')
}

/** What the report tells of a data set. */
function dataOf(dataset: ExperimentDataset, seed: number): ExperimentData {
  const { name, source, test } = dataset
  const { task, groups } = test.labelSpace
  const classes = test.classes.length
  // Only where an image is one of all classes is guessing one in so many.
  const chance = groups[0]?.length === classes ? { chance: 1 / classes } : {}
  const { says, shown } = tasks[task]
  const sizes = { classes, train: imagesOf(dataset, seed).length, test: test.length }
  return { name, source, ...sizes, task: says, metrics: shown, ...chance }
}

/**
 * Runs every method on every data set with every seed and yields what happens; returns the result for `renderReport`.
 * The same options on the same backend and thread count give the same accuracies, bit for bit. After `signal` the result
 * holds the finished runs, maybe none. Throws InputError on bad options, models or images.
 */
export async function* experiment(options: ExperimentOptions): AsyncGenerator<ExperimentEvent, ExperimentResult> {
  checkExperiment(options)
  const { datasets, methods = experimentMethods, seeds = [0], signal } = options
  for (const dataset of datasets) for (const seed of seeds) checkClasses(dataset, seed)
  const created = new Date().toISOString()
  const backend = options.backend ?? (await createBackend({ device: options.device, threads: options.threads }))
  const runs: ExperimentRun[] = []
  let parameters = 0
  try {
    const plan = seeds.flatMap((seed) =>
      datasets.flatMap((dataset) => methods.map((method) => ({ seed, dataset, method }))),
    )
    for (const [index, { seed, dataset, method }] of plan.entries()) {
      if (signal?.aborted) break
      const position: RunPosition = { index, runs: plan.length, method, dataset: dataset.name, seed }
      const run = yield* trainOnce(backend, options, dataset, position, (n) => {
        parameters = n
      })
      if (!run) break
      runs.push(run)
      yield { kind: 'done', ...position, run, metric: tasks[dataset.test.labelSpace.task].shown[0]! }
    }
  } finally {
    if (!options.backend) await backend.dispose()
  }
  const { cpu, os, runtime, version: runtimeVersion } = platform.describe()
  const { threads, relaxedSimd } = backend.caps
  return {
    title: options.title ?? 'Fine-tuning methods compared',
    model: { name: options.modelName ?? options.model, parameters, source: options.modelSource ?? '' },
    created,
    command: options.command ?? '',
    training: inWords(options),
    machine: {
      Processor: `${cpu}, ${threads} ${threads === 1 ? 'thread' : 'threads'}`,
      Backend: `${backend.name}${relaxedSimd ? ' with relaxed SIMD' : ''}`,
      Versions: `vitune ${version}, ${runtime} ${runtimeVersion}, ${os}`,
    },
    datasets: datasets.map((dataset) => dataOf(dataset, seeds[0]!)),
    methods: [...methods],
    runs,
  }
}
