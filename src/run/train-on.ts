// Training a run on one backend: its model and batches, the loop of fit.ts, and the files that this keeps in the run folder.
import { platform } from '#platform'
import { saveAdapter } from '../adapters/peft/write.ts'
import type { Backend } from '../backend/backend.ts'
import { localFiles } from '../io/local-files.ts'
import { saveModel } from '../models/registry.ts'
import { type DeviceLostError, InputError } from '../platform/errors.ts'
import { defaults } from '../settings/schema.ts'
import type { TrainSettings } from '../settings/settings.ts'
import { labelFields } from '../tasks/label-fields.ts'
import { monitorOf } from '../tasks/task.ts'
import { findRate, type RateTest } from '../train/find-rate.ts'
import { fit } from '../train/fit.ts'
import type { EpochEvent, FitOptions, FitState } from '../train/fit-options.ts'
import { noBest } from '../train/stopping.ts'
import { describeChanges } from '../use/image-changes.ts'
import { findDigests, wholeOf } from '../use/image-list.ts'
import { preprocessorJson } from '../use/model-images.ts'
import type { SavedState } from './checkpoints.ts'
import { featureRoom } from './feature-room.ts'
import { trainingNotes } from './prepare.ts'
import { duplicates, knownLabels, noteBroken, type Run } from './run.ts'
import { checkUnused, lostBest, type Metrics, openMetrics, runFolder } from './run-folder.ts'
import { refuseChanges } from './run-images.ts'
import { openRunModel, type RunModel } from './run-model.ts'
import { fromOf, keepNotes, runRecord } from './run-record.ts'
import type { DoneEvent, RatesEvent, TrainEvent } from './train-events.ts'
import type { TrainOptions } from './train-options.ts'

/** Writes what a run is for: its adapter, or its whole model; says what is stored otherwise than the model has it. */
async function saveTrained(
  { opened, plan: { prepared } }: RunModel,
  settings: TrainSettings,
  out: string,
  labels: Record<string, unknown>,
): Promise<string[]> {
  const { model, dialect, checkpoint } = opened
  if (prepared.lora) {
    await saveAdapter(model, out, prepared.lora, { baseModel: settings.model, transformers: settings.transformers })
    return []
  }
  const extra = { preprocessor: preprocessorJson(opened), config: { ...checkpoint.config }, labels }
  return saveModel(model, out, dialect, extra)
}

/** A range test, told as it goes; undefined where the signal ended it. */
async function* testRates(options: FitOptions): AsyncGenerator<RatesEvent, RateTest | undefined> {
  const test = findRate(options)
  try {
    for (;;) {
      const { done, value } = await test.next()
      if (options.signal?.aborted) return undefined
      if (!done) {
        yield { kind: 'rates', ...value }
        continue
      }
      yield { kind: 'rates', ...value, steps: value.rates.length }
      return value
    }
  } finally {
    await test.return(undefined as never)
  }
}

/** Trains on one backend until the end, or its loss; disposes the backend. `lost` is why the one before is gone. */
export async function* trainOn(
  backend: Backend,
  options: TrainOptions,
  run: Run,
  lost: DeviceLostError | undefined,
): AsyncGenerator<TrainEvent, DoneEvent> {
  const { hold, images, checkpoints, past } = run
  const { folder, list, unlabelled } = images
  const { out } = run.settings
  let ready: RunModel | undefined
  let state: SavedState | undefined
  let loop: ReturnType<typeof fit> | undefined
  const forget = () => {
    for (const [, t] of state?.tensors ?? []) t.dispose()
  }
  try {
    ready = await openRunModel(backend, options, run, lost !== undefined)
    const { opened } = ready
    const { settings } = run
    const { epochs = defaults.epochs } = settings
    const { task, method, counts } = ready.plan
    // A run that ended before its first checkpoint is begun again, with the same numbers.
    if (options.resume || lost) state = await checkpoints.last(backend)
    const epochsDone = state?.numbers.epoch ?? 0
    if (options.epochs !== undefined && options.epochs < epochsDone) {
      throw new InputError(`epochs: the run has done ${epochsDone}, got ${options.epochs}; give more, or leave it out`)
    }
    const gone = out !== undefined && !lost && state?.numbers.bestEpoch ? await lostBest(out, method) : []
    const goneChanges = gone.length > 0 ? [{ what: `the best epoch's files are gone`, names: gone }] : []
    if (!options.acceptChanges) refuseChanges(goneChanges)
    const changes = [...ready.changes, ...goneChanges]
    for (const [file, reason] of state?.skipped ?? []) past.skipped.set(file, reason)
    if (changes.length > 0) {
      run.changes = [...run.changes, { step: state?.numbers.step ?? 0, what: describeChanges(changes) }]
    }

    const whole = wholeOf(folder)
    const saveLists = () => Promise.all([list.save(), unlabelled?.list.save()])
    const hooks = { onBroken: (file: string, reason: string) => noteBroken(run, file, reason) }
    const room = featureRoom(ready.featureBytes)
    const train = ready.plan.source(folder.train, true, { ...hooks, room })
    const val = folder.val && ready.plan.source(folder.val, false, { ...hooks, room })

    const record = runRecord(run, ready, backend)
    const known = [
      ...folder.notes,
      ...backend.caps.notes,
      ...opened.notes,
      // What a continued run trains is in its checkpoint.
      ...(state ? [] : trainingNotes(opened, ready.plan)),
      ...images.notes,
      ...room.notes,
    ]
    keepNotes(past, known)
    let metrics: Metrics | undefined
    if (out !== undefined) {
      // Another process may have begun a run here since it was looked at.
      if (await hold!.take()) await checkUnused(out)
      metrics = await openMetrics(localFiles(out).join(out, runFolder.metrics), state)
      await record.write({ finished: false })
      if ((images.newValidation || gone.length > 0) && state && !lost) {
        // What was measured on other images is no measure for those to come, nor is what was lost.
        state = {
          ...state,
          numbers: { ...state.numbers, ...noBest },
        }
        await checkpoints.save(state)
      }
      await saveLists()
    }
    // A run that goes on has its rate in run.json.
    if (settings.lr === 'auto' && !run.rates) {
      run.rates = yield* testRates({
        ...ready.plan.fit(train, val),
        lr: run.usualRate ?? ready.plan.lr,
        signal: options.signal,
      })
      if (run.rates) await record.write({ finished: false })
    }
    const lr = run.rates?.chosen ?? ready.plan.lr
    const { threads } = backend.caps
    if (metrics?.note) keepNotes(past, [metrics.note])
    const notes = [
      ...known,
      ...(run.rates?.otherwise
        ? [`the range test found no rate, since ${run.rates.otherwise}: ${lr} is the recipe's`]
        : []),
      ...(metrics?.note ? [metrics.note] : []),
      ...(epochsDone >= epochs ? [`all ${epochs} epochs of the run are done; resume with more epochs to go on`] : []),
    ]
    const done = state?.numbers.step ?? 0
    const begunFrom = fromOf(run, ready)
    if (lost) yield { kind: 'restart', reason: lost.message, device: backend.name, threads, notes, step: done }
    else
      yield {
        kind: 'start',
        task: task.name,
        recognised: folder.recognised,
        monitor: monitorOf(task, settings.monitor).name,
        method,
        model: options.model ?? settings.model,
        classes: folder.classes,
        train: folder.train.length,
        val: folder.val?.length ?? 0,
        ...(unlabelled && { unlabelled: unlabelled.dataset.length }),
        valSource: folder.valSource,
        ignored: [...folder.ignored, ...(unlabelled?.ignored ?? [])],
        ...counts,
        lr,
        recipe: {
          name: settings.recipe ?? defaults.recipe,
          decided: Object.fromEntries(Object.keys(run.reasons).map((name) => [name, settings[name as 'recipe']])),
        },
        device: backend.name,
        threads,
        notes,
        step: done,
        ...(changes.length > 0 ? { changes: describeChanges(changes) } : {}),
        ...(begunFrom ? { from: begunFrom } : {}),
      }
    if (options.resume) yield* duplicates(run)

    backend.resetPeak()
    loop = fit({
      ...ready.plan.fit(train, val),
      lr,
      signal: options.signal,
      resume: state,
      saveEvery: settings.saveEvery ?? defaults.saveEvery,
      // The line comes before the checkpoint, which knows of it: a line that no checkpoint knows is cut off again.
      save: async (s: FitState, epoch?: EpochEvent) => {
        if (epoch) {
          // A balanced order leaves some images out for long: their digests are known from the first epoch on all the same.
          for await (const _ of findDigests(whole)) {
          }
          await metrics?.add(epoch)
        }
        await metrics?.flush()
        await saveLists()
        await checkpoints.save({ ...s, ...(metrics ? { metrics: metrics.bytes, skipped: [...past.skipped] } : {}) })
        await record.write({ finished: false })
      },
      saveBest: async (_, evaluation) => {
        if (typeof settings.threshold !== 'number') run.thresholds = evaluation?.thresholds
        run.byLabel = evaluation?.byLabel
        if (out === undefined) return
        keepNotes(past, await saveTrained(ready!, settings, out, labelFields(knownLabels(run, task))))
        // Its thresholds go with it.
        await record.write({ finished: false })
      },
    })
    let result = await loop.next()
    forget()
    for (; !result.done; result = await loop.next()) {
      if (result.value.kind === 'step') await metrics?.add(result.value)
      yield* run.untold.splice(0)
      yield result.value
      // By now every image has been read.
      if (result.value.kind === 'epoch') yield* duplicates(run)
    }
    const { ended, step, epochs: finished, metrics: reached, monitor: chosenBy, bestEpoch } = result.value
    const summary = {
      ended,
      step,
      epochs: finished,
      bestEpoch,
      monitor: chosenBy,
      ...(reached.accuracy === undefined ? {} : { accuracy: reached.accuracy, metrics: reached }),
      skipped: past.skipped.size,
      trainable: counts.trainable,
      total: counts.total,
      ...record.soFar(),
    }
    const resident = platform.peakResident()
    const memory = resident === undefined ? {} : { peakResidentBytes: resident }
    await record.write({ finished: ended !== 'signal', ...summary, ...memory })
    const { thresholds } = run
    const last: DoneEvent = {
      kind: 'done',
      ...summary,
      ...(thresholds && { thresholds }),
      ...(out === undefined ? {} : { out }),
    }
    yield last
    return last
  } finally {
    try {
      // After a `break` the loop still has its last step to save.
      await loop?.return(undefined as never)
    } finally {
      forget()
      ready?.dispose()
      await backend.dispose()
    }
  }
}
