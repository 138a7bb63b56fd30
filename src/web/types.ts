// What a session takes and gives, and what is kept in the browser's storage. The same on the page and in the worker.

import type { Method } from '../adapters/methods.ts'

/** Images kept under a name, by class. */
export interface StoredDataset {
  readonly name: string
  readonly classes: readonly { readonly name: string; readonly images: number }[]
  readonly bytes: number
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

/** A run kept under a name, finished or not. */
export interface StoredRun {
  readonly name: string
  readonly model: string
  readonly dataset: string
  readonly method: Method
  readonly classes: readonly string[]
  /** Steps done, of how many. */
  readonly step: number
  readonly steps: number
  readonly epoch: number
  readonly epochs: number
  /** Best validation accuracy so far. */
  readonly accuracy?: number
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
}
