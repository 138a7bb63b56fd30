// Fine-tuning from folders to a run folder, as one async generator: settings, the run's folder, and what follows when a
// device is lost. Not here: training on one device (train-on.ts).
import type { Backend } from '../backend/backend.ts'
import { createBackend } from '../backend/create.ts'
import { localFiles } from '../io/local-files.ts'
import { DeviceLostError, InputError, WriteError } from '../platform/errors.ts'
import { checkRules } from '../schema/rules.ts'
import { recipeSettings } from '../settings/recipe.ts'
import { checkSettings, complete } from '../settings/setting-rules.ts'
import { inFull, pick, type TrainSettings } from '../settings/settings.ts'
import { keptRates, readRun, runLabels } from '../use/run-file.ts'
import { checkpointsAt, checkpointsInMemory } from './checkpoints.ts'
import { withRun } from './from-run.ts'
import type { Run } from './run.ts'
import { checkUnused, hasRun, runFolder, runId, settingsToResume } from './run-folder.ts'
import { openRunImages } from './run-images.ts'
import { checkFree, holdRun, type RunHold } from './run-lock.ts'
import { pastOf } from './run-record.ts'
import type { DoneEvent, TrainEvent } from './train-events.ts'
import { trainOn } from './train-on.ts'
import { optionRules, type TrainOptions } from './train-options.ts'

export type { TrainSettings } from '../settings/settings.ts'
export type * from './train-events.ts'
export type { TrainOptions } from './train-options.ts'

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
  // What goes with the model of another run is known with that run.
  const { model: _model, ...others } = rest
  checkSettings(rest.from === undefined ? rest : others)
  // Without a model there is a run that brings it, or the check below.
  const given = await inFull(rest as TrainSettings)
  const chosen: TrainSettings = resume ? await settingsToResume(given, acceptChanges) : await withRun(given)
  const where = resume ? `${chosen.out}/run.json: settings.` : ''
  checkSettings(chosen, where)
  const settings: TrainSettings = complete(chosen, recipeSettings)
  checkSettings(settings, where)
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
  const { out, onDeviceLost, threshold } = settings
  const { resume = false } = options
  const images = yield* openRunImages(settings, resume)
  // A run of an earlier version has none, nor have its checkpoints.
  const before = resume ? await readRun(out!) : undefined
  const id = before ? before.id : await runId(settings, images.folder, images.unlabelled?.dataset)
  const checkpoints =
    out === undefined ? checkpointsInMemory() : checkpointsAt(localFiles(out).join(out, runFolder.checkpoint), id)
  const run: Run = {
    id,
    before,
    hold,
    settings,
    reasons: (before?.reasons as Record<string, string> | undefined) ?? {},
    images,
    checkpoints,
    past: pastOf(before),
    broken: new Set(),
    untold: [],
    started: performance.now(),
    changes: (before?.changes as unknown[] | undefined) ?? [],
    thresholds: before
      ? runLabels(before, `${out}/run.json`).thresholds
      : typeof threshold === 'number'
        ? images.folder.classes.map(() => threshold)
        : undefined,
    byLabel: before?.byLabel,
    rates: before && keptRates(before.rates, `${out}/run.json: rates`),
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
