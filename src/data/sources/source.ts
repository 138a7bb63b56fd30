// What everything that labels are read from gives: files with names of labels. What the names mean together, and so what is
// to be learnt, recognise.ts finds out; where they come from, find.ts.
import type { LabelTree } from '../../labels/labels.ts'
import type { Files } from '../../platform/platform.ts'
import type { Collector } from '../passed-over.ts'
import type { Split } from '../split-folders.ts'

/** An image and what a source says of it. */
export interface SourceItem {
  readonly path: string
  /** Where that is said, for messages: `labels.csv, line 3`, or the image's own place. */
  readonly at: string
  /** Names of its labels, each once. */
  readonly names: readonly string[]
  /** Names of labels that nobody looked for. */
  readonly unknown?: readonly string[]
  readonly split?: Split
  /** What it shows, where several images show the same (a lesion, a drive): they belong in one part. */
  readonly group?: string
}

/** Labelled images as they were brought. */
export interface LabelSource {
  /** What was brought, in messages: a path. */
  readonly name: string
  /** The folder that all images lie in. */
  readonly root: string
  readonly items: readonly SourceItem[]
  /** All labels in their order, where the source has a list of them. */
  readonly declared?: readonly string[]
  /** How the labels belong together, where the source says so. */
  readonly tree?: LabelTree
  /** What was understood, in sentences. */
  readonly notes: readonly string[]
  /** What is looked for, and what else was there, where that may help with what is missing. */
  readonly hint?: string
}

/** Whether an image is to be trained on, or may be set aside. */
export const isToTrain = ({ split = 'train' }: SourceItem): boolean => split === 'train'

/** What readers of sources are given. */
export interface SourceContext {
  readonly files: Files
  readonly over: Collector
  /** Whether names are told with the folder that they lie in, since it is not that of the data. */
  readonly beside?: boolean
}

/** A label's name: without blanks around it, and the same text for the same letters. */
export const labelName = (text: string): string => text.normalize('NFC').trim()

/** Sorted by code unit. */
export const byCodeUnit = (names: Iterable<string>): string[] => [...names].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0))
