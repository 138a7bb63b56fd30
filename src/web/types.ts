// What a session takes and gives, and what is kept in the browser's storage. The same on the page and in the worker.

import type { Method } from '../adapters/methods.ts'
import type { LabelFacts } from '../labels/facts.ts'
import type { Labelling } from '../labels/labelling.ts'
import type { TaskName } from '../labels/labels.ts'

/** Images kept under a name. */
export interface StoredDataset {
  readonly name: string
  readonly labelling: Labelling
  /** What is learnt of it, unless a run says otherwise. */
  readonly task: TaskName
  /** Classes or labels, and how many images have each; in a tree by their paths (`animal`, `animal/dog`), with all that is below them. */
  readonly classes: readonly { readonly name: string; readonly images: number }[]
  readonly images: number
  readonly bytes: number
}

/** An image of a set. */
export interface StoredImage {
  /** Where it lies in its set: `rose/1.png`, or `1.png` where images have any number of labels. */
  readonly image: string
  /** Its labels, or its one class; in a tree that is a path. */
  readonly labels: readonly string[]
  /** Labels that nobody looked for. */
  readonly unknown?: readonly string[]
}

/** A model kept under a name. */
export interface StoredModel {
  readonly name: string
  readonly bytes: number
  /** The class of Hugging Face's library that reads it. */
  readonly architecture: string
  /** Pixels, height and width. */
  readonly imageSize: readonly [number, number]
  readonly parameters: number
}

/** What a session has open. */
export interface Opened {
  readonly classes: readonly string[]
  /** What its outputs are: the task, groups and parents of a tree, thresholds; undefined where it has no classifier of ours. */
  readonly labels: LabelFacts | undefined
  /** What its files hold that is worth a sentence. */
  readonly notes: readonly string[]
}

/** A run kept under a name, finished or not. */
export interface StoredRun {
  readonly name: string
  readonly model: string
  readonly dataset: string
  readonly method: Method
  readonly task: TaskName
  readonly classes: readonly string[]
  /** Steps done, of how many. */
  readonly step: number
  readonly steps: number
  readonly epoch: number
  readonly epochs: number
  /** What is optimised, and over how many images a step. */
  readonly loss: string
  readonly batchSize: number
  /** What chooses the best epoch. */
  readonly monitor: string
  /** Of the best epoch so far, on the validation data. */
  readonly accuracy?: number
  readonly metrics?: Readonly<Record<string, number>>
  readonly finished: boolean
}

/** What one step of a run measured (`loss`), or the end of one epoch (all else). */
export interface HistoryEntry {
  readonly step: number
  readonly epoch: number
  readonly loss?: number
  readonly trainAccuracy?: number
  readonly valLoss?: number
  readonly valAccuracy?: number
  /** All that was measured on the validation data. */
  readonly metrics?: Readonly<Record<string, number>>
}
