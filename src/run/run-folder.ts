// The files of a run folder but for models and adapters: run.json, metrics.jsonl, the checkpoint's name, and what a run that
// is continued must have in common with what is there.
import { platform } from '#platform'
import { type Method, methodOf } from '../adapters/methods.ts'
import type { Dataset } from '../data/dataset.ts'
import type { LabelledData } from '../data/open-data.ts'
import { adapterFiles, checkpointFiles } from '../io/checkpoint.ts'
import { localFiles } from '../io/local-files.ts'
import type { LabelSpace } from '../labels/labels.ts'
import { InputError } from '../platform/errors.ts'
import { listed } from '../platform/listed.ts'
import type { Setting } from '../schema/setting.ts'
import { settings } from '../settings/schema.ts'
import type { TrainSettings } from '../settings/settings.ts'
import type { EpochEvent, StepEvent } from '../train/fit-options.ts'
import { imagesFile, unlabelledFile } from '../use/image-list.ts'
import { readRun, runFile, runLabels } from '../use/run-file.ts'
import type { SavedState } from './checkpoints.ts'

/** File names of a run folder. */
export const runFolder = {
  run: runFile,
  metrics: 'metrics.jsonl',
  images: imagesFile,
  unlabelled: unlabelledFile,
  checkpoint: 'checkpoint.safetensors',
}

const withAgain = (wanted: Setting['again']) =>
  (Object.keys(settings) as (keyof TrainSettings)[]).filter((name) => (settings[name] as Setting).again === wanted)

/** What may differ between a run and its continuation. */
const changeable = withAgain(true)

/** What else may differ where changes are accepted: where things lie. */
const places = withAgain('place')

/** The settings of the run in `out`, with those of the given ones that may change; InputError where others differ. */
export async function settingsToResume(given: TrainSettings, acceptChanges: boolean): Promise<TrainSettings> {
  if (!given.out) throw new InputError('resume: needs the run folder, give out')
  const run = await readRun(given.out)
  const saved = run.settings as TrainSettings | undefined
  if (!saved) throw new InputError(`${given.out}: run.json has no settings to resume with`)
  const may = acceptChanges ? [...changeable, ...places] : changeable
  for (const [name, value] of Object.entries(given) as [keyof TrainSettings, unknown][]) {
    if (value === undefined || may.includes(name)) continue
    // It was asked for, and has found the rate that the run has.
    if (name === 'lr' && value === 'auto' && run.rates !== undefined) continue
    if (JSON.stringify(saved[name]) !== JSON.stringify(value)) {
      const remedy = places.includes(name)
        ? 'leave it out, start a new run, or --accept-changes'
        : 'leave it out or start a new run'
      throw new InputError(
        `resume: ${name} was ${JSON.stringify(saved[name]) ?? 'not given'} in this run and cannot become ${JSON.stringify(value)}; ${remedy}`,
      )
    }
  }
  const kept: Partial<TrainSettings> = Object.fromEntries(
    may.filter((n) => given[n] !== undefined).map((n) => [n, given[n]]),
  )
  // A run's folder that is the model has moved with it.
  const moved = kept.from !== undefined && saved.model === saved.from ? { model: kept.from } : {}
  return { ...saved, ...moved, ...kept }
}

/** What a run writes, and what would make a model folder of it. */
const written = [...Object.values(runFolder), ...Object.values(adapterFiles), ...Object.values(checkpointFiles)]

/** Refuses a run folder that already holds a run or a model. */
export async function checkUnused(out: string): Promise<void> {
  const disk = localFiles(out)
  if ((await disk.kind(out)) === 'file') throw new InputError(`out: must be a folder, got the file ${out}`)
  for (const name of written) {
    if ((await disk.kind(disk.join(out, name))) === undefined) continue
    throw new InputError(`out: ${out} already holds ${name}; continue it with resume, or choose another folder`)
  }
}

/** Which of the files that hold the best epoch are not there. */
export async function lostBest(out: string, method: Method): Promise<string[]> {
  const disk = localFiles(out)
  const { config, weights } = methodOf(method).saves === 'adapter' ? adapterFiles : checkpointFiles
  const kinds = await Promise.all([config, weights].map((name) => disk.kind(disk.join(out, name))))
  return [config, weights].filter((_, i) => kinds[i] !== 'file')
}

/** Whether there is a run to continue. */
export async function hasRun(out: string): Promise<boolean> {
  const disk = localFiles(out)
  return (await disk.kind(disk.join(out, runFolder.run))) === 'file'
}

/** Where a label stands: below which other one, and among which only one is there at most. */
const standing = ({ names, groups, parents }: LabelSpace, label: number) =>
  JSON.stringify([names[parents[label]!], groups.find((group) => group.includes(label))])

/** Both lists where they are short, else what is in one of them only. */
function classesDiffer(before: readonly string[], now: readonly string[]): string {
  if (before.length <= 20 && now.length <= 20) return `${before.join(', ')}, got ${now.join(', ')}`
  const [gone, added] = [before.filter((name) => !now.includes(name)), now.filter((name) => !before.includes(name))]
  const more = added.length > 0 ? ` with ${listed(added)}` : ''
  const less = gone.length > 0 ? ` without ${listed(gone)}` : ''
  return `${listed(before)}, got ${now.length}${more}${less || more ? less : ' in another order'}`
}

/** Refuses to continue a run on other labels: its head would not fit, or mean something else. */
export async function checkLabels(out: string, space: LabelSpace): Promise<void> {
  const before = runLabels(await readRun(out), `${out}/run.json`).space
  const remedy = 'restore the data or start a new run'
  if (JSON.stringify(before.names) !== JSON.stringify(space.names)) {
    const differ = classesDiffer(before.names, space.names)
    throw new InputError(`resume: the run in ${out} has the classes ${differ}; ${remedy}`)
  }
  if (before.task !== space.task) {
    throw new InputError(`resume: the run in ${out} is of task ${before.task}, got data of ${space.task}; ${remedy}`)
  }
  const moved = space.names.filter((_, label) => standing(before, label) !== standing(space, label))
  if (moved.length === 0) return
  throw new InputError(
    `resume: in the run in ${out} ${listed(moved)} stood elsewhere in the tree of labels than in the data now; ${remedy}`,
  )
}

/**
 * What a run is told by: equal settings and images give equal ids, and equal numbers. Undefined where the engine has no
 * SHA-256. A checkpoint of another id is not this run's.
 */
export async function runId(
  settings: TrainSettings,
  folder: LabelledData,
  unlabelled: Dataset | undefined,
): Promise<string | undefined> {
  const fixed = Object.entries(settings).filter(([name]) => !changeable.includes(name as keyof TrainSettings))
  const images = [folder.train, folder.val].map((set) =>
    Array.from({ length: set?.length ?? 0 }, (_, i) => [set!.file(i), set!.labels(i)]),
  )
  const others = unlabelled && Array.from({ length: unlabelled.length }, (_, i) => unlabelled.file(i))
  const sorted = fixed.sort(([a], [b]) => (a < b ? -1 : 1))
  const all = [sorted, folder.train.labelSpace, images, ...(others ? [others] : [])]
  return (await platform.digest(new TextEncoder().encode(JSON.stringify(all))))?.slice(0, 32)
}

/** metrics.jsonl while a run writes it. */
export interface Metrics {
  /** Its length so far. */
  readonly bytes: number
  add(event: StepEvent | EpochEvent): Promise<void>
  /** Has all that was added on the disk, so that no checkpoint tells of lines that are not there. */
  flush(): Promise<void>
  /** One sentence where lines that the checkpoint knows of are gone. */
  readonly note?: string
}

/** Opens metrics.jsonl for what comes after a saved state (or the beginning): what was written after that is cut off. */
export async function openMetrics(path: string, saved: SavedState | undefined): Promise<Metrics> {
  const disk = localFiles(path)
  const before = (await disk.kind(path)) === 'file' ? await disk.read(path) : new Uint8Array()
  const known = saved ? saved.metrics : 0
  // A whole line ends where the checkpoint says.
  const whole = known !== undefined && known <= before.length && (known === 0 || before[known - 1] === 10)
  const kept = whole ? before.subarray(0, known) : linesUpTo(before, saved!.numbers.step)
  if (kept.length < before.length) await disk.writeAtomic(path, kept)
  let bytes = kept.length
  // Lines that could not be written: no state is saved without them.
  let waiting = ''
  const write = async (flush?: boolean) => {
    await disk.append(path, waiting, flush)
    bytes += waiting.length
    waiting = ''
  }
  return {
    get bytes() {
      return bytes
    },
    add(event) {
      waiting += `${JSON.stringify(metricsLine(event))}\n`
      return write()
    },
    flush: () => write(true),
    ...(whole || known === undefined
      ? {}
      : { note: `${path} is not as it was at the checkpoint: its lines up to step ${saved!.numbers.step} are kept` }),
  }
}

/** The whole lines up to a step, of a file that is not as its checkpoint knows it. */
function linesUpTo(bytes: Uint8Array, step: number): Uint8Array {
  const lines = new TextDecoder()
    .decode(bytes)
    .split('\n')
    .filter((line) => {
      try {
        return JSON.parse(line).step <= step
      } catch {
        return false
      }
    })
  return new TextEncoder().encode(lines.map((line) => `${line}\n`).join(''))
}

/** A line of metrics.jsonl, as an object. */
function metricsLine(event: StepEvent | EpochEvent): Record<string, unknown> {
  const { step, epoch, lr } = event
  if (event.kind === 'step') return { step, epoch, loss: event.loss, lr }
  const { trainLoss, trainAccuracy, told = {}, loss, metrics = {} } = event
  const named = (start: string, values: Readonly<Record<string, number>>) =>
    Object.fromEntries(Object.entries(values).map(([name, value]) => [`${start}_${name}`, value]))
  return {
    step,
    epoch,
    train_loss: trainLoss,
    train_accuracy: trainAccuracy,
    ...named('train', told),
    val_loss: loss,
    ...named('val', metrics),
    lr,
  }
}
