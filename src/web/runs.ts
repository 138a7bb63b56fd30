// Runs that a session keeps: the run folders that `train` writes, trained by one tab at a time, and their files to take away.
import { type Method, methodOf } from '../adapters/methods.ts'
import { adapterFiles, checkpointFiles } from '../io/checkpoint.ts'
import { openSafetensors } from '../io/safetensors.ts'
import { holdLock } from '../platform/browser-locks.ts'
import { InputError } from '../platform/errors.ts'
import type { Files } from '../platform/platform.ts'
import { parseNumbers } from '../run/checkpoint-file.ts'
import { runFolder } from '../run/run-folder.ts'
import { type DoneEvent, type TrainEvent, type TrainOptions, type TrainSettings, train } from '../run/train.ts'
import { defined } from '../settings/settings.ts'
import { tasks } from '../tasks/registry.ts'
import { monitorOf } from '../tasks/task.ts'
import type { FitState } from '../train/fit-options.ts'
import { findRun, readRun, runLabels } from '../use/run-file.ts'
import { readMetrics } from '../use/run-metrics.ts'
import { alone, taskOfSet } from './datasets.ts'
import { originOf } from './models.ts'
import { checkName, foldersIn, places } from './store.ts'
import type { HistoryEntry, StoredRun } from './types.ts'

/** What a session trains: names instead of paths, and any setting of `train`; `saveEvery` is 5 by default, since a tab may close. */
export interface SessionTrainOptions extends Omit<TrainSettings, 'data' | 'model' | 'out' | 'val' | 'adapter'> {
  /** The name to keep the run under. */
  run: string
  /** A kept model; that of `from` where it is left out. */
  model?: string
  /** A kept run to begin from. */
  from?: string
  dataset: string
}

/** What may be given anew when a run goes on; `acceptChanges` where its images are no longer those that it began with. */
export type ResumeOptions = Pick<TrainOptions, 'epochs' | 'onDeviceLost' | 'acceptChanges'>

/** Training in progress, an event at a time. */
export interface RunStream {
  next(): Promise<IteratorResult<TrainEvent, DoneEvent>>
  /** Stops after the step at hand, saves, and gives the run back. */
  stop(): Promise<void>
}

type Numbers = FitState['numbers']

/** Where the saved state stands; undefined before the first save. */
async function savedAt(files: Files, folder: string): Promise<Numbers | undefined> {
  const path = files.join(folder, runFolder.checkpoint)
  if ((await files.kind(path)) !== 'file') return undefined
  return parseNumbers((await openSafetensors(path)).metadata.state, path)
}

async function describeRun(files: Files, name: string): Promise<StoredRun> {
  const folder = files.join(places.runs, name)
  const run = await readRun(folder)
  const settings = run.settings as TrainSettings
  const { task } = runLabels(run, folder).space
  const images = run.images as { train: number }
  const { epochs = 0, batchSize = 1, accumulate = 1 } = settings
  const at = await savedAt(files, folder)
  return {
    name,
    model: files.baseName(run.model),
    dataset: files.baseName(settings.data),
    method: run.method as Method,
    task,
    classes: run.classes,
    step: at?.step ?? 0,
    steps: epochs * Math.ceil(Math.ceil(images.train / batchSize) / accumulate),
    epoch: at?.epoch ?? 0,
    epochs,
    loss: settings.loss ?? tasks[task].losses[0]!,
    batchSize: batchSize * accumulate,
    monitor: monitorOf(tasks[task], settings.monitor).name,
    ...(at?.bestMetrics.accuracy === undefined
      ? {}
      : { accuracy: at.bestMetrics.accuracy, metrics: { ...at.bestMetrics } }),
    finished: run.finished === true,
  }
}

/** Every run, finished or not. */
export async function listRuns(files: Files): Promise<StoredRun[]> {
  const names: string[] = []
  for (const name of await foldersIn(files, places.runs)) {
    if ((await files.kind(files.join(places.runs, name, runFolder.run))) === 'file') names.push(name)
  }
  return Promise.all(names.map((name) => describeRun(files, name)))
}

/** Takes a run for this tab. Throws an InputError while another trains it. */
async function takeRun(name: string): Promise<() => void> {
  const release = await holdLock(`vitune run ${checkName('run', name)}`, 1000)
  if (!release)
    throw new InputError(`run: ${name} is being trained already, here or in another tab; stop it there first`)
  return release
}

/** An image's place in its set, of its path. */
const placeInSet = (path: string): string =>
  path.startsWith(`${places.images}/`) ? path.slice(places.images.length + 1).replace(/^[^/]*\//, '') : path

/** Names where `train` has paths. */
function named(event: TrainEvent, run: string): TrainEvent {
  const last = (path: string) => path.split('/').at(-1)!
  if (event.kind === 'start') {
    const { from } = event
    return { ...event, model: last(event.model), ...(from && { from: { ...from, run: last(from.run) } }) }
  }
  if (event.kind === 'skip') return { ...event, file: placeInSet(event.file) }
  return event.kind === 'done' ? { ...event, out: run } : event
}

/** Seconds of training that a tab which is closed may lose. */
const SAVE_EVERY = 5

async function stream(name: string, options: TrainOptions, dataset: string): Promise<RunStream> {
  const release = await takeRun(name)
  const events = train({ saveEvery: SAVE_EVERY, ...options })
  let started = false
  return {
    async next() {
      try {
        // Images are looked for before the first event: nothing of the set changes meanwhile.
        const result = started ? await events.next() : await alone(dataset, () => events.next())
        started = true
        if (!result.done) return { value: named(result.value, name) }
        release()
        return result
      } catch (error) {
        release()
        throw error
      }
    },
    async stop() {
      try {
        await events.return(undefined as never)
      } finally {
        release()
      }
    },
  }
}

/** What is kept under a name; throws an InputError when nothing is. */
async function stored(files: Files, place: 'models' | 'images' | 'runs', what: string, name: string): Promise<string> {
  const folder = files.join(places[place], checkName(what, name))
  if ((await files.kind(folder)) === 'folder') return folder
  const have = await foldersIn(files, places[place])
  throw new InputError(`${what}: nothing is kept under ${name}; there is ${have.join(', ') || 'none yet'}`)
}

/** Begins a run. Throws an InputError when the name is taken or model or dataset are not kept. */
export async function startRun(files: Files, options: SessionTrainOptions): Promise<RunStream> {
  const { run, model, from, dataset, ...settings } = options
  const out = files.join(places.runs, checkName('run', run))
  const full = {
    task: await taskOfSet(files, dataset),
    ...settings,
    ...(from === undefined ? {} : { from: await stored(files, 'runs', 'from', from) }),
    ...(model === undefined && from !== undefined ? {} : { model: await stored(files, 'models', 'model', model!) }),
    data: await stored(files, 'images', 'dataset', dataset),
    out,
  }
  if ((await files.kind(files.join(out, runFolder.run))) !== undefined) {
    throw new InputError(`run: ${run} is kept already; resume it, remove it or choose another name`)
  }
  return stream(run, full, dataset)
}

/** What a run's steps and epochs measured so far, in the order in which it was. */
export async function runHistory(files: Files, name: string): Promise<HistoryEntry[]> {
  const { lines } = await readMetrics(files.join(places.runs, checkName('run', name)))
  return lines.map((line): HistoryEntry => {
    const { step, epoch } = line
    if ('loss' in line) return { step, epoch, loss: line.loss }
    const { trainAccuracy, valLoss, metrics } = line
    const named = defined({ loss: valLoss, ...metrics })
    return { step, epoch, trainAccuracy, ...defined({ valLoss, valAccuracy: metrics.accuracy }), metrics: named }
  })
}

/** Continues a run from where it was saved last. */
export async function resumeRun(
  files: Files,
  { run, ...more }: { run: string } & ResumeOptions & Pick<TrainSettings, 'device' | 'threads'>,
): Promise<RunStream> {
  const out = files.join(places.runs, checkName('run', run))
  if (!files.shared && (await files.kind(out)) === undefined) {
    throw new InputError(
      `run: nothing is kept under ${run}; this browser keeps no files, so a run cannot go on after the tab was closed or reloaded`,
    )
  }
  const before = await findRun(out)
  const { data } = (before?.settings ?? {}) as Partial<TrainSettings>
  return stream(run, { ...more, out, resume: true } as TrainOptions, data === undefined ? run : files.baseName(data))
}

/** Removes a run that nothing trains. */
export async function removeRun(files: Files, name: string): Promise<void> {
  const release = await takeRun(name)
  try {
    const folder = files.join(places.runs, name)
    if ((await files.kind(folder)) === undefined) throw new InputError(`run: nothing is kept under ${name}`)
    await files.remove(folder)
  } finally {
    release()
  }
}

/**
 * What a run made, of its best epoch so far: PEFT's two files, or for full and linear the model folder's; and run.json,
 * which holds the classes. They name the model as others know it. Throws an InputError before the first epoch is done.
 */
export async function runFiles(files: Files, name: string): Promise<File[]> {
  const folder = files.join(places.runs, checkName('run', name))
  const run = await readRun(folder)
  const adapted = methodOf(run.method).saves === 'adapter'
  const weights = adapted ? adapterFiles.weights : checkpointFiles.weights
  if ((await files.kind(files.join(folder, weights))) !== 'file') {
    throw new InputError(`run: ${name} has made no ${weights} yet; let its first epoch finish`)
  }
  const own = run.model
  const origin = await originOf(files, files.baseName(own))
  const named = (text: string) => text.replaceAll(JSON.stringify(own), JSON.stringify(origin))
  const wanted = adapted ? [adapterFiles.config] : [checkpointFiles.config, checkpointFiles.preprocessor]
  const out: File[] = []
  for (const file of [...wanted, runFolder.run]) {
    const path = files.join(folder, file)
    if ((await files.kind(path)) !== 'file') continue
    const text = new TextDecoder().decode(await files.read(path))
    out.push(new File([named(text)], file, { type: 'application/json' }))
  }
  out.push(new File([(await files.read(files.join(folder, weights))) as Uint8Array<ArrayBuffer>], weights))
  return out
}
