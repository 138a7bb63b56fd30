// The files of a run folder but for models and adapters: run.json, metrics.jsonl, the checkpoint's name, and what a run that
// is continued must have in common with what is there.
import { localFiles } from '../io/local-files.ts'
import { InputError } from '../platform/errors.ts'
import type { EpochEvent, StepEvent } from './fit-options.ts'
import { readRun } from './open-model.ts'
import type { TrainSettings } from './settings.ts'

export const files = { run: 'run.json', metrics: 'metrics.jsonl', checkpoint: 'checkpoint.safetensors' }

/** What may differ between a run and its continuation. */
const changeable: readonly (keyof TrainSettings)[] = [
  'epochs',
  'device',
  'threads',
  'strict',
  'out',
  'onDeviceLost',
  'saveEvery',
]

/** The settings of the run in `out`, with those of the given ones that may change; InputError where others differ. */
export async function settingsToResume(given: TrainSettings): Promise<TrainSettings> {
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
export async function checkUnused(out: string): Promise<void> {
  const disk = localFiles(out)
  if ((await disk.kind(out)) === 'file') throw new InputError(`out: must be a folder, got the file ${out}`)
  for (const name of written) {
    if ((await disk.kind(disk.join(out, name))) === undefined) continue
    throw new InputError(`out: ${out} already holds ${name}; continue it with resume, or choose another folder`)
  }
}

/** Refuses to continue a run on other classes: its head would not fit, or mean something else. */
export async function checkClasses(out: string, classes: readonly string[]): Promise<void> {
  const { classes: before } = await readRun(out)
  if (JSON.stringify(before) === JSON.stringify(classes)) return
  throw new InputError(
    `resume: the run in ${out} has the classes ${before.join(', ')}, got ${classes.join(', ')}; restore the images or start a new run`,
  )
}

/** Keeps the lines of metrics.jsonl up to a step, so that a resumed run does not repeat itself. */
export async function trimMetrics(path: string, step: number): Promise<void> {
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

/** A line of metrics.jsonl, as an object. */
export function metricsLine(event: StepEvent | EpochEvent): Record<string, unknown> {
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
