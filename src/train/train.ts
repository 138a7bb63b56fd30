// Fine-tuning from folders to a run folder, as one async generator: the loop is fit.ts, this file adds data and files.
import { platform } from '#platform'
import { adaptedLayers, type Method } from '../adapters/inject.ts'
import { saveAdapter } from '../adapters/peft-write.ts'
import type { Backend } from '../backend/backend.ts'
import { createBackend } from '../backend/create.ts'
import type { Dataset } from '../data/dataset.ts'
import { batchSource } from '../data/loader.ts'
import { evalTransform, trainTransform } from '../data/transforms.ts'
import type { ResolveOptions } from '../io/hub.ts'
import { localFiles } from '../io/local-files.ts'
import { saveVit } from '../models/save.ts'
import { countParameters, disposeModule } from '../nn/module.ts'
import { DeviceLostError, InputError, WriteError } from '../platform/errors.ts'
import { version } from '../platform/version.ts'
import { type Checkpoints, checkpointsAt, checkpointsInMemory, type SavedState } from './checkpoints.ts'
import { modelChanges } from './fingerprint.ts'
import { fit } from './fit.ts'
import type { EpochEvent, FitOptions, FitState } from './fit-options.ts'
import { checkFits } from './fits.ts'
import { describeChanges, sharedImages } from './image-changes.ts'
import { preprocessorJson } from './model-images.ts'
import { type OpenModel, openModel } from './open-model.ts'
import { defaultRates, prepare, trainingNotes } from './prepare.ts'
import { checkRules, flag, func, object, type RulesOf } from './rules.ts'
import { readRun } from './run-file.ts'
import { checkUnused, files, hasRun, type Metrics, openMetrics, runId, settingsToResume } from './run-folder.ts'
import { openRunImages, type RunImages, refuseChanges } from './run-images.ts'
import { checkFree, holdRun, type RunHold } from './run-lock.ts'
import { type Past, pastOf, runRecord } from './run-record.ts'
import { checkSettings, loraOf, settingRules } from './setting-rules.ts'
import { defaults, defined, inFull, pick, type TrainSettings } from './settings.ts'
import { multiclass } from './task.ts'
import type { DoneEvent, DuplicatesEvent, SkipEvent, TrainEvent } from './train-events.ts'

export type { TrainSettings } from './settings.ts'
export type * from './train-events.ts'

export interface TrainOptions extends TrainSettings {
  /** Continue the run in `out`; its own settings apply, only epochs, device, threads, strict, onDeviceLost and saveEvery may be given anew. */
  resume?: boolean
  /** Go on with a run although its images, its model or its preprocessor are not as they were; run.json keeps what changed. */
  acceptChanges?: boolean
  /** Starts the backend, also a new one after a loss; default: what `device` and `threads` say. The run disposes it. */
  startBackend?: () => Promise<Backend>
  signal?: AbortSignal
  hub?: ResolveOptions
}

const optionRules: RulesOf<TrainOptions> = {
  ...settingRules,
  resume: flag,
  acceptChanges: flag,
  startBackend: func,
  signal: object,
  hub: object,
}

/** Losses in a row after which a run gives up. */
const mostLosses = 3

/**
 * Fine-tunes a vision transformer on a folder of images:
 * `for await (const event of train({ data, model, out })) ...`. Yields a start event, steps, epochs, skipped images and
 * a done event; `break` or the signal stops it. In `out` it leaves an adapter in PEFT's format (or a whole model for
 * full and linear) of the best epoch, metrics.jsonl, run.json and a checkpoint to resume from.
 * A lost device is handled as `onDeviceLost` says. Throws InputError on bad input, and where the run would not fit into
 * memory, before anything is written; DeviceLostError where it is not to go on, or cannot.
 */
export async function* train(options: TrainOptions): AsyncGenerator<TrainEvent, DoneEvent> {
  checkRules(options, optionRules)
  const { resume, acceptChanges = false, signal: _signal, hub: _hub, startBackend: _start, ...rest } = options
  if (acceptChanges && !resume) throw new InputError('acceptChanges: goes with resume, a new run has nothing to accept')
  checkSettings(rest)
  const given = await inFull(rest)
  const settings: TrainSettings = {
    ...defaults,
    ...defined(resume ? await settingsToResume(given, acceptChanges) : given),
  }
  checkSettings(settings, resume ? `${settings.out}/run.json: settings.` : '')
  for (const name of ['data', 'model'] as const) {
    if (typeof settings[name] !== 'string')
      throw new InputError(`${name}: must be given, a ${name === 'data' ? 'folder of images' : 'model folder or name'}`)
  }
  const { out } = settings
  const hold = out === undefined ? undefined : holdRun(out)
  try {
    if (resume) await hold!.take()
    else if (out !== undefined) {
      await checkFree(out)
      await checkUnused(out)
    }
    return yield* trainAgain(options, settings, hold)
  } catch (error) {
    if (!(error instanceof WriteError) || out === undefined || !(await hasRun(out))) throw error
    throw new WriteError(`${error.message}, then continue with train --resume`, error.code)
  } finally {
    await hold?.release()
  }
}

/** Trains until the end, on a new device where one is lost. */
async function* trainAgain(
  options: TrainOptions,
  settings: TrainSettings,
  hold: RunHold | undefined,
): AsyncGenerator<TrainEvent, DoneEvent> {
  const { out, onDeviceLost = 'restart' } = settings
  const { resume = false } = options
  const images = yield* openRunImages(settings, resume)
  // A run of an earlier version has none, nor have its checkpoints.
  const before = resume ? await readRun(out!) : undefined
  const id = before ? before.id : await runId(settings, images.folder)
  const checkpoints =
    out === undefined ? checkpointsInMemory() : checkpointsAt(localFiles(out).join(out, files.checkpoint), id)
  const run: Run = {
    id,
    hold,
    settings,
    images,
    checkpoints,
    past: pastOf(before),
    broken: new Set(),
    untold: [],
    started: performance.now(),
    changes: (before?.changes as unknown[] | undefined) ?? [],
    looked: false,
  }
  let lost: DeviceLostError | undefined
  let losses = 0
  let furthest = -1
  for (;;) {
    const backend = await startAgain(options, settings, lost, onDeviceLost === 'fallback' && losses >= 2)
    const attempt = trainOn(backend, options, run, lost)
    let reached = -1
    try {
      let result = await attempt.next()
      for (; !result.done; result = await attempt.next()) {
        if (result.value.kind === 'step') reached = result.value.step
        yield result.value
      }
      return result.value
    } catch (error) {
      if (!(error instanceof DeviceLostError) || onDeviceLost === 'throw') throw error
      // Steps that were repeated are no progress.
      losses = reached > furthest ? 1 : losses + 1
      furthest = Math.max(furthest, reached)
      if (losses >= mostLosses || options.signal?.aborted) throw error
      lost = error
    } finally {
      await attempt.return(undefined as never)
    }
  }
}

/** The backend to train on; after a loss a new one, or wasm. */
async function startAgain(
  options: TrainOptions,
  settings: TrainSettings,
  lost: DeviceLostError | undefined,
  onWasm: boolean,
): Promise<Backend> {
  const wasm = () => createBackend({ ...pick(settings, 'threads'), device: 'wasm' })
  if (onWasm) return wasm()
  try {
    return await (options.startBackend?.() ?? createBackend(settings))
  } catch (error) {
    if (!lost) throw error
    if (settings.onDeviceLost === 'fallback') return wasm()
    const why = error instanceof Error ? error.message : error
    throw new DeviceLostError(`${lost.message}; no new device, ${why}`)
  }
}

/** What stays through a loss of the device. */
interface Run {
  readonly id: string | undefined
  readonly hold: RunHold | undefined
  readonly settings: TrainSettings
  readonly images: RunImages
  readonly checkpoints: Checkpoints
  readonly past: Past
  /** Files that this process could not read, and those of them that the caller does not know yet. */
  readonly broken: Set<string>
  readonly untold: SkipEvent[]
  readonly started: number
  /** What was accepted as changed, and at which step. */
  changes: readonly unknown[]
  /** Whether duplicates were looked for. */
  looked: boolean
}

/** Tells once of images that are in both parts, and keeps their number for run.json. */
function* duplicates(run: Run): Generator<DuplicatesEvent> {
  if (run.looked) return
  run.looked = true
  const shared = sharedImages(run.images.list.now().images)
  if (shared.length === 0) return
  // A run that goes on has told before.
  if (run.past.duplicates === shared.length) return
  run.past.duplicates = shared.length
  yield { kind: 'duplicates', count: shared.length, images: shared.slice(0, 10) }
}

/** Trains on one backend until the end, or its loss; disposes the backend. `lost` is why the one before is gone. */
async function* trainOn(
  backend: Backend,
  options: TrainOptions,
  run: Run,
  lost: DeviceLostError | undefined,
): AsyncGenerator<TrainEvent, DoneEvent> {
  const { id, hold, settings, images, checkpoints, past, started } = run
  const { folder, list } = images
  const { out, seed = defaults.seed, epochs = defaults.epochs, batchSize = defaults.batchSize } = settings
  let opened: OpenModel | undefined
  let state: SavedState | undefined
  let loop: ReturnType<typeof fit> | undefined
  const forget = () => {
    for (const [, t] of state?.tensors ?? []) t.dispose()
  }
  try {
    const before = options.resume ? await readRun(out!) : undefined
    opened = await openModel(backend, settings.model, {
      ...options.hub,
      fingerprint: out !== undefined,
      ...pick(settings, 'inputSize', 'interpolation', 'adapter', 'allowNonFinite'),
      // The weights of a name may change on the hub between two parts of a run.
      commit: before?.commit,
    })
    const { model } = opened
    const changes = before && !lost ? [...images.changes, ...modelChanges(before, opened)] : []
    if (images.begun && !options.acceptChanges) refuseChanges(changes)
    const method: Method = opened.lora ? (opened.lora.useDora ? 'dora' : 'lora') : (settings.peft ?? defaults.peft)
    if (opened.lora && options.peft !== undefined && options.peft !== method) {
      throw new InputError(
        `adapter: ${settings.adapter} is a ${method} adapter, got peft ${options.peft}; leave peft out`,
      )
    }
    const lora = loraOf(settings)
    model.setDropout(settings)
    const prepared = prepare(model, folder.classes, method, { seed, lora, adapter: opened.lora })
    const lr = settings.lr ?? defaultRates[method]
    const counts = countParameters(model)
    const disk = out === undefined ? undefined : localFiles(out)
    const at = (name: string) => disk!.join(out!, name)
    await checkFits(
      {
        config: model.config,
        classes: folder.classes,
        method,
        // As large as the data makes them.
        batchSize: Math.min(batchSize, Math.max(folder.train.length, folder.val?.length ?? 0)),
        accumulate: Math.min(settings.accumulate ?? 1, Math.ceil(folder.train.length / batchSize)),
        lora: prepared.lora && { ...prepared.lora, targetModules: adaptedLayers(model).map(({ name }) => name) },
        validates: folder.val !== undefined,
        ...pick(settings, 'optimizer', 'microBatch', 'checkpointing', 'clip', 'patchKeep'),
      },
      backend,
    )
    // A run that ended before its first checkpoint is begun again, with the same numbers.
    if (options.resume || lost) state = await checkpoints.last(backend)
    for (const [file, reason] of state?.skipped ?? []) past.skipped.set(file, reason)
    if (changes.length > 0) {
      run.changes = [...run.changes, { step: state?.numbers.step ?? 0, what: describeChanges(changes) }]
    }

    const onBroken = (file: string, reason: string) => {
      if (run.broken.has(file)) return
      run.broken.add(file)
      past.skipped.set(file, reason)
      run.untold.push({ kind: 'skip', file, reason })
    }
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

    const record = {
      vitune: version,
      ...(id === undefined ? {} : { id }),
      created: past.created,
      method,
      model: settings.model,
      ...(opened.commit ? { commit: opened.commit } : {}),
      classes: folder.classes,
      ...pick(settings, 'inputSize', 'interpolation'),
      settings: { ...settings, peft: method, lr },
      seed,
      lora: prepared.lora,
      preprocess: opened.preprocess,
      ...pick(opened, 'fingerprint'),
      versions: platform.describe(),
      device: backend.name,
      threads: backend.caps.threads,
      images: { train: folder.train.length, val: folder.val?.length ?? 0 },
      trainable: counts.trainable,
      total: counts.total,
      ...(run.changes.length > 0 ? { changes: run.changes } : {}),
    }
    const file = runRecord(disk && at(files.run), record, past, backend, started)
    let metrics: Metrics | undefined
    if (disk) {
      // Another process may have begun a run here since it was looked at.
      if (await hold!.take()) await checkUnused(out!)
      metrics = await openMetrics(at(files.metrics), state)
      await file.write({ finished: false })
      if (images.newValidation && state && !lost) {
        // What was measured on other images is no measure for those to come.
        state = { ...state, numbers: { ...state.numbers, best: -1, bestLoss: 1e308, bestEpoch: 0, sinceBest: 0 } }
        await checkpoints.save(state)
      }
      await list.save()
    }
    const { threads } = backend.caps
    const notes = [
      ...run.images.folder.notes,
      ...backend.caps.notes,
      ...opened.notes,
      // What a continued run trains is in its checkpoint.
      ...(state ? [] : trainingNotes(opened, prepared)),
      ...images.notes,
      ...(metrics?.note ? [metrics.note] : []),
    ]
    const done = state?.numbers.step ?? 0
    if (lost) yield { kind: 'restart', reason: lost.message, device: backend.name, threads, notes, step: done }
    else
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
        threads,
        notes,
        step: done,
        ...(changes.length > 0 ? { changes: describeChanges(changes) } : {}),
      }
    if (options.resume) yield* duplicates(run)

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
      resume: state,
      ...pick(settings, 'schedule', 'warmup', 'optimizer', 'weightDecay', 'clip', 'accumulate', 'labelSmoothing'),
      ...pick(settings, 'patience', 'checkpointing', 'patchKeep', 'microBatch'),
      saveEvery: settings.saveEvery ?? defaults.saveEvery,
      // The line comes before the checkpoint, which knows of it: a line that no checkpoint knows is cut off again.
      save: async (s: FitState, epoch?: EpochEvent) => {
        if (epoch) await metrics?.add(epoch)
        await metrics?.flush()
        await list.save()
        await checkpoints.save({ ...s, ...(metrics ? { metrics: metrics.bytes, skipped: [...past.skipped] } : {}) })
        await file.write({ finished: false })
      },
      ...(disk
        ? {
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
      if (result.value.kind === 'step') await metrics?.add(result.value)
      yield* run.untold.splice(0)
      yield result.value
      // By now every image has been read.
      if (result.value.kind === 'epoch') yield* duplicates(run)
    }
    const { ended, step, epochs: finished, best, bestEpoch } = result.value
    const summary = {
      ended,
      step,
      epochs: finished,
      bestEpoch,
      ...(best >= 0 ? { accuracy: best } : {}),
      skipped: past.skipped.size,
      trainable: counts.trainable,
      total: counts.total,
      ...file.soFar(),
    }
    const resident = platform.peakResident()
    const memory = resident === undefined ? {} : { peakResidentBytes: resident }
    await file.write({ finished: ended !== 'signal', ...summary, ...memory })
    const last: DoneEvent = { kind: 'done', ...summary, ...(out === undefined ? {} : { out }) }
    yield last
    return last
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
