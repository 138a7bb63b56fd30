// Fine-tuning from folders to a run folder, as one async generator: the loop is fit.ts, this file adds data and files.
import { platform } from '#platform'
import type { LoraConfig } from '../adapters/config.ts'
import { type Method, methods } from '../adapters/inject.ts'
import { saveAdapter } from '../adapters/peft-format.ts'
import { createBackend, type Device } from '../backend/create.ts'
import type { Dataset } from '../data/dataset.ts'
import { openImageFolder } from '../data/image-folder.ts'
import { batchSource } from '../data/loader.ts'
import { evalTransform, trainTransform } from '../data/transforms.ts'
import type { ResolveOptions } from '../io/hub.ts'
import { localFiles } from '../io/local-files.ts'
import { saveVit } from '../models/load.ts'
import type { Interpolation } from '../models/vit-config.ts'
import { countParameters, disposeModule } from '../nn/module.ts'
import { InputError } from '../platform/errors.ts'
import { version } from '../platform/version.ts'
import { readCheckpoint, writeCheckpoint } from './checkpoint-file.ts'
import { type EpochEvent, type FitOptions, type FitResult, type FitState, fit, type StepEvent } from './fit.ts'
import { type OpenModel, openModel, preprocessorJson, readRun } from './open-model.ts'
import { defaultRates, prepare } from './prepare.ts'
import { multiclass } from './task.ts'

/** Options as plain JSON: what run.json keeps so that a run can be repeated. */
export interface TrainSettings {
  /** A folder of images, class/*.jpg or train|val/class/*.jpg. */
  data: string
  /** A folder in Hugging Face layout, or a hub name ('facebook/dinov2-small'). */
  model: string
  /** Default 'lora'. */
  peft?: Method
  /** Where the run is kept; nothing is written without it. */
  out?: string
  /** A folder of class folders to validate on; default: the one inside, or a fifth of each class. */
  val?: string
  epochs?: number
  batchSize?: number
  /** Default by method: full 1e-4, linear, lora and dora 1e-3. */
  lr?: number
  weightDecay?: number
  optimizer?: 'adamw' | 'sgd'
  schedule?: 'constant' | 'cosine' | 'plateau'
  /** Steps. */
  warmup?: number
  clip?: number
  accumulate?: number
  labelSmoothing?: number
  patience?: number
  checkpointing?: boolean
  patchKeep?: number
  /** Dropout and drop path inside the model, over what its configuration says. */
  dropout?: number
  dropPath?: number
  seed?: number
  device?: Device
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
  /** Whose module names the adapter is written with: transformers 4's (default) or 5's. */
  transformers?: 4 | 5
  /** Start from this adapter folder instead of a new adapter. */
  adapter?: string
  /** Input side in pixels. */
  inputSize?: number
  interpolation?: Interpolation
  /** Random resized crop and mirroring; default true. */
  augment?: boolean
  shuffle?: boolean
  /** End at the first broken image instead of skipping it. */
  strict?: boolean
}

export interface TrainOptions extends TrainSettings {
  /** Continue the run in `out`; its own settings apply, only epochs, device, threads and strict may be given anew. */
  resume?: boolean
  signal?: AbortSignal
  /** Seconds after which a run in `out` is also saved within an epoch; default only after each. */
  saveEvery?: number | undefined
  hub?: ResolveOptions
}

/** The first event: what is about to be trained. */
export interface StartEvent {
  kind: 'start'
  method: Method
  model: string
  classes: readonly string[]
  train: number
  val: number
  valSource: 'folder' | 'split' | 'none'
  /** Files in the data folder that are no images. */
  ignored: number
  trainable: number
  total: number
  lr: number
  device: string
  threads: number
  notes: readonly string[]
  /** Steps done before, in a resumed run. */
  step: number
}
/** A broken image was left out; each file is told once. */
export interface SkipEvent {
  kind: 'skip'
  file: string
  reason: string
}
/** The last event. */
export interface DoneEvent {
  kind: 'done'
  ended: FitResult['ended']
  step: number
  epochs: number
  /** Best validation accuracy and its epoch (0 where no epoch was finished). */
  accuracy?: number
  bestEpoch: number
  skipped: number
  trainable: number
  total: number
  /** Highest tensor memory of training, bytes. */
  peakBytes: number
  seconds: number
  out?: string
}
export type TrainEvent = StartEvent | SkipEvent | StepEvent | EpochEvent | DoneEvent

const defaults = { peft: 'lora', epochs: 20, batchSize: 16, weightDecay: 0.05, seed: 0 } as const
const files = { run: 'run.json', metrics: 'metrics.jsonl', checkpoint: 'checkpoint.safetensors' }
/** What may differ between a run and its continuation. */
const changeable: readonly (keyof TrainSettings)[] = ['epochs', 'device', 'threads', 'strict', 'out']

function checkNumbers(s: TrainSettings): void {
  const rules: [keyof TrainSettings, (v: number) => boolean, string][] = [
    ['epochs', (v) => Number.isInteger(v) && v >= 1, 'a whole number from 1'],
    ['batchSize', (v) => Number.isInteger(v) && v >= 1, 'a whole number from 1'],
    ['accumulate', (v) => Number.isInteger(v) && v >= 1, 'a whole number from 1'],
    ['lr', (v) => v > 0, 'above 0'],
    ['weightDecay', (v) => v >= 0, 'at least 0'],
    ['warmup', (v) => Number.isInteger(v) && v >= 0, 'a whole number of steps from 0'],
    ['clip', (v) => v > 0, 'above 0'],
    ['labelSmoothing', (v) => v >= 0 && v < 1, 'in [0, 1)'],
    ['patience', (v) => Number.isInteger(v) && v >= 0, 'a whole number of epochs from 0'],
    ['patchKeep', (v) => v > 0 && v <= 1, 'in (0, 1]'],
    ['dropout', (v) => v >= 0 && v < 1, 'in [0, 1)'],
    ['dropPath', (v) => v >= 0 && v < 1, 'in [0, 1)'],
    ['seed', (v) => Number.isInteger(v) && v >= 0 && v < 2 ** 31, 'a whole number from 0 to 2147483647'],
    ['inputSize', (v) => Number.isInteger(v) && v >= 1 && v <= 8192, 'a whole number of pixels from 1 to 8192'],
  ]
  for (const [name, fine, rule] of rules) {
    const value = s[name]
    if (value !== undefined && !(typeof value === 'number' && Number.isFinite(value) && fine(value))) {
      throw new InputError(`${name}: must be ${rule}, got ${value}`)
    }
  }
  const choices = {
    peft: methods,
    optimizer: ['adamw', 'sgd'],
    schedule: ['constant', 'cosine', 'plateau'],
    interpolation: ['bicubic', 'bilinear', 'bicubic-antialias'],
  } as const
  for (const name of Object.keys(choices) as (keyof typeof choices)[]) {
    const value = s[name]
    const known: readonly string[] = choices[name]
    if (value !== undefined && !known.includes(value))
      throw new InputError(`${name}: must be one of ${known.join(', ')}, got ${value}`)
  }
  if (s.transformers !== undefined && s.transformers !== 4 && s.transformers !== 5) {
    throw new InputError(`transformers: must be 4 or 5, got ${s.transformers}`)
  }
  if (s.adapter !== undefined && s.peft !== undefined && s.peft !== 'lora' && s.peft !== 'dora') {
    throw new InputError(`adapter: goes with peft lora or dora, got ${s.peft}`)
  }
}

/** Paths in full, so that run.json means the same from any folder. A model that is no folder here is a name. */
async function inFull(settings: TrainSettings): Promise<TrainSettings> {
  const disk = localFiles('training')
  const full: TrainSettings = { ...settings }
  for (const name of ['data', 'val', 'adapter'] as const) {
    if (settings[name] !== undefined) full[name] = disk.resolve(settings[name])
  }
  const { model } = settings
  if (model !== undefined && (await disk.kind(model)) === 'folder') full.model = disk.resolve(model)
  return full
}

/** The settings to train with: those of the run that is continued, or the given ones. */
async function settingsOf(options: TrainOptions): Promise<TrainSettings> {
  const { resume, signal: _signal, hub: _hub, saveEvery: _saveEvery, ...rest } = options
  const given = await inFull(rest)
  if (!resume) return given
  if (!given.out) throw new InputError('resume: needs the run folder, give out')
  const run = await readRun(given.out)
  const saved = run.settings as TrainSettings
  if (saved === null || typeof saved !== 'object')
    throw new InputError(`${given.out}: run.json has no settings to resume with`)
  for (const [name, value] of Object.entries(given) as [keyof TrainSettings, unknown][]) {
    if (value === undefined || changeable.includes(name)) continue
    if (JSON.stringify(saved[name]) !== JSON.stringify(value)) {
      throw new InputError(
        `resume: ${name} was ${JSON.stringify(saved[name])} in this run and cannot become ${JSON.stringify(value)}; leave it out or start a new run`,
      )
    }
  }
  const kept = Object.fromEntries(changeable.filter((n) => given[n] !== undefined).map((n) => [n, given[n]]))
  return { ...saved, ...kept }
}

/** What a run writes, and what would make a model folder of it. */
const written = [
  ...Object.values(files),
  'adapter_model.safetensors',
  'adapter_config.json',
  'model.safetensors',
  'model.safetensors.index.json',
  'config.json',
  'preprocessor_config.json',
]

/** Refuses a run folder that already holds a run or a model. */
async function checkUnused(out: string): Promise<void> {
  const disk = localFiles(out)
  if ((await disk.kind(out)) === 'file') throw new InputError(`out: must be a folder, got the file ${out}`)
  for (const name of written) {
    if ((await disk.kind(disk.join(out, name))) === undefined) continue
    throw new InputError(`out: ${out} already holds ${name}; continue it with resume, or choose another folder`)
  }
}

/** Refuses to continue a run on other classes: its head would not fit, or mean something else. */
async function checkClasses(out: string, classes: readonly string[]): Promise<void> {
  const { classes: before } = await readRun(out)
  if (JSON.stringify(before) === JSON.stringify(classes)) return
  throw new InputError(
    `resume: the run in ${out} has the classes ${before.join(', ')}, got ${classes.join(', ')}; restore the images or start a new run`,
  )
}

/** Keeps the lines of metrics.jsonl up to a step, so that a resumed run does not repeat itself. */
async function trimMetrics(path: string, step: number): Promise<void> {
  const disk = localFiles(path)
  if ((await disk.kind(path)) !== 'file') return
  const lines = new TextDecoder()
    .decode(await disk.read(path))
    .split('\n')
    .filter((line) => {
      try {
        return JSON.parse(line).step <= step
      } catch {
        return false
      }
    })
  await disk.writeAtomic(path, lines.map((line) => `${line}\n`).join(''))
}

/**
 * Fine-tunes a vision transformer on a folder of images:
 * `for await (const event of train({ data, model, out })) ...`. Yields a start event, steps, epochs, skipped images and
 * a done event; `break` or the signal stops it. In `out` it leaves an adapter in PEFT's format (or a whole model for
 * full and linear) of the best epoch, metrics.jsonl, run.json and a checkpoint to resume from.
 * Throws InputError on bad input before anything is written.
 */
export async function* train(options: TrainOptions): AsyncGenerator<TrainEvent, DoneEvent> {
  checkNumbers(options)
  const settings: TrainSettings = { ...defaults, ...defined(await settingsOf(options)) }
  checkNumbers(settings)
  for (const name of ['data', 'model'] as const) {
    if (typeof settings[name] !== 'string')
      throw new InputError(`${name}: must be given, a ${name === 'data' ? 'folder of images' : 'model folder or name'}`)
  }
  const { out, seed = defaults.seed, epochs = defaults.epochs, batchSize = defaults.batchSize } = settings
  if (out !== undefined && !options.resume) await checkUnused(out)
  const folder = await openImageFolder(settings.data, {
    seed,
    ...(settings.val === undefined ? {} : { val: settings.val }),
  })
  if (options.resume) await checkClasses(out!, folder.classes)
  const backend = await createBackend(settings)
  let opened: OpenModel | undefined
  let state: FitState | undefined
  let loop: ReturnType<typeof fit> | undefined
  const forget = () => {
    for (const [, t] of state?.tensors ?? []) t.dispose()
  }
  try {
    opened = await openModel(backend, settings.model, {
      ...options.hub,
      ...pick(settings, 'inputSize', 'interpolation', 'adapter'),
    })
    const { model } = opened
    const method: Method = opened.lora ? (opened.lora.useDora ? 'dora' : 'lora') : (settings.peft ?? defaults.peft)
    if (opened.lora && options.peft !== undefined && options.peft !== method) {
      throw new InputError(
        `adapter: ${settings.adapter} is a ${method} adapter, got peft ${options.peft}; leave peft out`,
      )
    }
    const lora = defined({
      ...settings.lora,
      r: settings.rank,
      alpha: settings.alpha,
      targetModules: settings.targets,
      dropout: settings.loraDropout,
      useRslora: settings.rslora,
      bias: settings.bias,
      modulesToSave: settings.modulesToSave,
    })
    model.setDropout(settings)
    const prepared = prepare(model, folder.classes, method, { seed, lora, adapter: opened.lora })
    const lr = settings.lr ?? defaultRates[method]
    const counts = countParameters(model)
    const disk = out === undefined ? undefined : localFiles(out)
    const at = (name: string) => disk!.join(out!, name)
    // A run that ended before its first checkpoint is begun again.
    if (options.resume && (await disk!.kind(at(files.checkpoint))) !== undefined) {
      state = await readCheckpoint(backend, at(files.checkpoint))
    }

    const skipped = new Map<string, string>()
    const told = new Set<string>()
    const onBroken = (file: string, reason: string) => skipped.set(file, reason)
    const strict = settings.strict ?? false
    const plain = evalTransform(opened.preprocess)
    const source = (dataset: Dataset, training: boolean) =>
      batchSource(dataset, {
        transform: training && settings.augment !== false ? trainTransform(opened!.preprocess) : plain,
        order: training && settings.shuffle !== false ? 'shuffle' : 'sequential',
        batchSize,
        seed,
        onBroken,
        strict,
      })

    const started = performance.now()
    const record = {
      vitune: version,
      created: new Date().toISOString(),
      method,
      model: settings.model,
      classes: folder.classes,
      ...pick(settings, 'inputSize', 'interpolation'),
      settings: { ...settings, peft: method, lr },
      seed,
      lora: prepared.lora,
      preprocess: opened.preprocess,
      versions: platform.describe(),
      device: backend.name,
      threads: backend.caps.threads,
      images: { train: folder.train.length, val: folder.val?.length ?? 0 },
      trainable: counts.trainable,
      total: counts.total,
    }
    const writeRun = (more: Record<string, unknown>) =>
      disk!.writeAtomic(at(files.run), `${JSON.stringify({ ...record, ...more }, null, 2)}\n`)
    const note = async (event: StepEvent | EpochEvent) =>
      disk?.append(at(files.metrics), `${JSON.stringify(metricsLine(event))}\n`)
    if (disk) {
      await disk.makeFolder(out!)
      await trimMetrics(at(files.metrics), state?.numbers.step ?? 0)
      await writeRun({ finished: false })
    }
    yield {
      kind: 'start',
      method,
      model: options.model ?? settings.model,
      classes: folder.classes,
      train: folder.train.length,
      val: folder.val?.length ?? 0,
      valSource: folder.valSource,
      ignored: folder.ignored,
      ...counts,
      lr,
      device: backend.name,
      threads: backend.caps.threads,
      notes: backend.caps.notes,
      step: state?.numbers.step ?? 0,
    }

    backend.resetPeak()
    loop = fit({
      model,
      task: multiclass(folder.classes),
      train: source(folder.train, true),
      val: folder.val && source(folder.val, false),
      epochs,
      lr,
      seed,
      signal: options.signal,
      saveEvery: options.saveEvery,
      resume: state,
      ...pick(settings, 'schedule', 'warmup', 'optimizer', 'weightDecay', 'clip', 'accumulate', 'labelSmoothing'),
      ...pick(settings, 'patience', 'checkpointing', 'patchKeep'),
      ...(disk
        ? {
            // The line comes before the checkpoint: one without the other is cut off again when the run is resumed.
            save: async (s: FitState, epoch?: EpochEvent) => {
              if (epoch) await note(epoch)
              await writeCheckpoint(at(files.checkpoint), s)
            },
            saveBest: () =>
              prepared.lora
                ? saveAdapter(model, out!, prepared.lora, {
                    baseModel: settings.model,
                    transformers: settings.transformers,
                  })
                : saveVit(model, out!, opened!.dialect, {
                    preprocessor: preprocessorJson(opened!),
                    config: { ...opened!.checkpoint.config },
                  }),
          }
        : {}),
    } satisfies FitOptions)
    let result = await loop.next()
    forget()
    for (; !result.done; result = await loop.next()) {
      if (result.value.kind === 'step') await note(result.value)
      for (const [file, reason] of skipped) {
        if (told.has(file)) continue
        told.add(file)
        yield { kind: 'skip', file, reason }
      }
      yield result.value
    }
    const seconds = (performance.now() - started) / 1000
    const { ended, step, epochs: finished, best, bestEpoch } = result.value
    const summary = {
      ended,
      step,
      epochs: finished,
      bestEpoch,
      ...(best >= 0 ? { accuracy: best } : {}),
      skipped: skipped.size,
      trainable: counts.trainable,
      total: counts.total,
      peakBytes: backend.memory().peak,
      seconds,
    }
    if (disk) {
      const resident = platform.peakResident()
      await writeRun({
        finished: ended !== 'signal',
        ...summary,
        ...(resident === undefined ? {} : { peakResidentBytes: resident }),
        skippedImages: [...skipped].map(([file, reason]) => ({ file, reason })),
      })
    }
    const done: DoneEvent = { kind: 'done', ...summary, ...(out === undefined ? {} : { out }) }
    yield done
    return done
  } finally {
    try {
      // After a `break` the loop still has its last step to save.
      await loop?.return(undefined as never)
    } finally {
      forget()
      if (opened) disposeModule(opened.model)
      await backend.dispose()
    }
  }
}

function metricsLine(event: StepEvent | EpochEvent): Record<string, unknown> {
  const { step, epoch, lr } = event
  if (event.kind === 'step') return { step, epoch, loss: event.loss, lr }
  const { trainLoss, trainAccuracy, loss, accuracy } = event
  return {
    step,
    epoch,
    train_loss: trainLoss,
    train_accuracy: trainAccuracy,
    val_loss: loss,
    val_accuracy: accuracy,
    lr,
  }
}

function defined<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, v]) => v !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>
  }
}

function pick<T extends object, K extends keyof T>(value: T, ...keys: K[]): { [P in K]?: Exclude<T[P], undefined> } {
  return Object.fromEntries(keys.filter((k) => value[k] !== undefined).map((k) => [k, value[k]])) as {
    [P in K]?: Exclude<T[P], undefined>
  }
}
