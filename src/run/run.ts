// A run while this process trains it: what stays when a device is lost and the next one takes over.

import type { KnownLabels } from '../labels/facts.ts'
import type { TrainSettings } from '../settings/settings.ts'
import type { Task } from '../tasks/task.ts'
import type { RateTest } from '../train/find-rate.ts'
import { sharedImages } from '../use/image-changes.ts'
import type { RunFile } from '../use/run-file.ts'
import type { Checkpoints } from './checkpoints.ts'
import type { RunImages } from './run-images.ts'
import type { RunHold } from './run-lock.ts'
import type { DuplicatesEvent, SkipEvent } from './train-events.ts'

/** What a run came to before this process, or its last device, took it up; the trainer adds to it. */
export interface Past {
  readonly created: string
  /** Of earlier processes. */
  readonly seconds: number
  /** Highest tensor memory so far. */
  peakBytes: number
  /** Files that could not be read, with reasons; a checkpoint keeps those of the steps before it. */
  readonly skipped: Map<string, string>
  /** How many images to validate on are among those to train on. */
  duplicates?: number
  /** What was told when it began or went on, each once. */
  readonly notes: Set<string>
}

/** What is known of a run, and what came of it so far. */
export interface Run {
  readonly id: string | undefined
  /** What run.json said of it, where it goes on. */
  readonly before: (RunFile & Readonly<Record<string, unknown>>) | undefined
  readonly hold: RunHold | undefined
  /** With what the recipe decides once the model is there, and why. */
  settings: TrainSettings
  reasons: Readonly<Record<string, string>>
  readonly images: RunImages
  readonly checkpoints: Checkpoints
  readonly past: Past
  /** Files that this process could not read, and those of them that the caller does not know yet. */
  readonly broken: Set<string>
  readonly untold: SkipEvent[]
  /** When this process took it up, by performance.now(). */
  readonly started: number
  /** What was accepted as changed, and at which step. */
  changes: readonly unknown[]
  /** From which score on each label is there, as found with the best epoch. */
  thresholds: readonly number[] | undefined
  /** How each label did in the best epoch, on the validation data. */
  byLabel: unknown
  /** The rate that the recipe would take, where a range test is to find one. */
  usualRate?: number
  /** The range test that found the rate, where it was asked for and is done. */
  rates: RateTest | undefined
  /** Whether duplicates were looked for. */
  looked: boolean
}

/** The labels of a run, with what was found or chosen for reading its outputs. */
export const knownLabels = ({ thresholds, settings: { decoding } }: Run, { labels }: Task): KnownLabels => ({
  space: labels,
  thresholds,
  decoding,
})

/** Tells once of images that are in both parts, and keeps their number for run.json. */
export function* duplicates(run: Run): Generator<DuplicatesEvent> {
  if (run.looked) return
  run.looked = true
  const shared = sharedImages(run.images.list.now().images)
  if (shared.length === 0) return
  // A run that goes on has told before.
  if (run.past.duplicates === shared.length) return
  run.past.duplicates = shared.length
  yield { kind: 'duplicates', count: shared.length, images: shared.slice(0, 10) }
}

/** Takes down a file that could not be read, once. */
export function noteBroken({ broken, past, untold }: Run, file: string, reason: string): void {
  if (broken.has(file)) return
  broken.add(file)
  past.skipped.set(file, reason)
  untold.push({ kind: 'skip', file, reason })
}
