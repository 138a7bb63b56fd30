// What train() yields, but for steps and epochs (fit-options.ts).
import type { Method } from '../adapters/methods.ts'
import type { PassedOver } from '../data/passed-over.ts'
import type { TaskName } from '../labels/labels.ts'
import type { RecipeName } from '../settings/settings.ts'
import type { RateProgress, RateTest } from '../train/find-rate.ts'
import type { EpochEvent, FitResult, StepEvent } from '../train/fit-options.ts'
import type { SharedImage } from '../use/image-changes.ts'
import type { CheckEvent } from './run-images.ts'

export type { CheckEvent, EpochEvent, StepEvent }

/** What a run took over from another one: rows of the classifier by the names of their labels. */
export interface BegunFrom {
  /** The folder of that run. */
  run: string
  kept: readonly string[]
  /** Labels that are new, and those of that run that are no more. */
  added: readonly string[]
  gone: readonly string[]
}

/** What is about to be trained: the first event, but for those that say how far a check or a range test is. */
export interface StartEvent {
  kind: 'start'
  task: TaskName
  /** Why it is that, as the end of a sentence: 'each image has one label'. */
  recognised: string
  /** What chooses the best epoch. */
  monitor: string
  method: Method
  model: string
  classes: readonly string[]
  train: number
  val: number
  /** Images without labels, where some are learnt from. */
  unlabelled?: number
  valSource: 'folder' | 'split' | 'none'
  /** What was passed over in the data folder, by kind and name. */
  ignored: readonly PassedOver[]
  trainable: number
  total: number
  lr: number
  /** What the recipe decided, by the setting's name; the reasons are in run.json. */
  recipe: { readonly name: RecipeName; readonly decided: Readonly<Record<string, unknown>> }
  device: string
  threads: number
  notes: readonly string[]
  /** Steps done before, in a resumed run. */
  step: number
  /** What is not as it was when the run began, and was accepted. */
  changes?: string
  /** What was taken over from the run that it begins from. */
  from?: BegunFrom
}
/** Before training with `lr: 'auto'`: the range test so far, told after each of its steps; what was chosen comes last. */
export interface RatesEvent extends RateProgress, Partial<Pick<RateTest, 'chosen' | 'otherwise'>> {
  kind: 'rates'
}
/** The device was lost: training goes on from its last checkpoint, on a new one. */
export interface RestartEvent {
  kind: 'restart'
  reason: string
  device: string
  threads: number
  notes: readonly string[]
  /** Steps done at the checkpoint; the steps after it are repeated, with the same numbers. */
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
  /** The best epoch (0 where none was finished), what chose it, and its metrics on the validation data. */
  bestEpoch: number
  monitor: string
  accuracy?: number
  metrics?: Record<string, number>
  /** From which score on each label is there, in tasks with thresholds: as it was given, or tuned on the validation data. */
  thresholds?: readonly number[]
  skipped: number
  trainable: number
  total: number
  /** Highest tensor memory of training, bytes. */
  peakBytes: number
  seconds: number
  out?: string
}
/** Images to validate on that are trained on too, byte for byte: told once, when all have been read. */
export interface DuplicatesEvent {
  kind: 'duplicates'
  /** How many images to validate on this concerns. */
  count: number
  /** The first of them, each with one that it equals. */
  images: readonly SharedImage[]
}
export type TrainEvent =
  | CheckEvent
  | RatesEvent
  | StartEvent
  | RestartEvent
  | SkipEvent
  | StepEvent
  | EpochEvent
  | DuplicatesEvent
  | DoneEvent
