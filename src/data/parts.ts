// Which of labelled images are trained on and which validated on, where that is asked for: one of several folds, a few images of
// each label. How labels divide them is divide.ts's; here it is said in sentences.
import type { ImageLabels, LabelSpace } from '../labels/labels.ts'
import { InputError } from '../platform/errors.ts'
import { listed } from '../platform/listed.ts'
import { type Dataset, subset } from './dataset.ts'
import { fewOfEach, type ImageGroups, stratifiedFolds } from './divide.ts'
import type { SourceItem } from './sources/source.ts'
import type { Split } from './split-folders.ts'

/** How images are to be divided. */
export interface Division {
  readonly perClass?: number | undefined
  readonly folds?: number | undefined
  readonly fold?: number | undefined
  /** Other images to validate on. */
  readonly val?: string | undefined
}

/** Throws an InputError where images cannot be divided so. */
export function checkDivision({ perClass, folds, fold, val }: Division): void {
  const whole = (x: number, least: number) => Number.isInteger(x) && x >= least
  if (perClass !== undefined && !whole(perClass, 1)) {
    throw new InputError(`perClass: must be a whole number from 1, got ${perClass}`)
  }
  if (folds !== undefined && !whole(folds, 2))
    throw new InputError(`folds: must be a whole number from 2, got ${folds}`)
  if (fold === undefined && folds === undefined) return
  if (folds === undefined)
    throw new InputError(`fold: must come with folds, got ${fold} alone; say how many folds there are`)
  if (val !== undefined)
    throw new InputError(`folds: must be left out where val is given, got ${folds}; choose one of them`)
  if (fold !== undefined && !(whole(fold, 0) && fold < folds)) {
    throw new InputError(`fold: must be a whole number from 0 to ${folds - 1}, got ${fold}`)
  }
}

/** The labels of all images of a data set. */
export const labelsOf = (dataset: Dataset): ImageLabels[] =>
  Array.from({ length: dataset.length }, (_, i) => dataset.labels(i))

/** Labels of which fewer than `least` images are there, though some are. */
function rare({ names }: LabelSpace, labels: readonly ImageLabels[], least: number): string[] {
  const counts = names.map(() => 0)
  for (const { present } of labels) for (const label of present) counts[label]!++
  return names.filter((_, label) => counts[label]! > 0 && counts[label]! < least)
}

/** One of several folds to validate on, the others to train on. */
export function inFolds(
  all: Dataset,
  groups: ImageGroups,
  path: string,
  options: { folds: number; fold: number; seed: number },
) {
  const { folds, fold, seed } = options
  const labels = labelsOf(all)
  const of = stratifiedFolds(labels, folds, seed, groups)
  const [train, val]: number[][] = [[], []]
  for (const [i, own] of of.entries()) (own === fold ? val! : train!).push(i)
  if (train!.length === 0 || val!.length === 0) {
    throw new InputError(`${path}: must have images for each of ${folds} folds, got ${all.length}; take fewer folds`)
  }
  const few = rare(all.labelSpace, labels, folds)
  const notes = [
    `fold ${fold} of 0 to ${folds - 1} is validated on, ${val!.length} of ${all.length} images, by seed ${seed}`,
    ...(few.length > 0 ? [`${listed(few)}: fewer images than folds, so not each fold has one`] : []),
  ]
  return { train: subset(all, train!), val: subset(all, val!), notes }
}

/** A few images of each label of those to train on. */
export function drawn(train: Dataset, perClass: number, seed: number): { train: Dataset; notes: string[] } {
  const labels = labelsOf(train)
  const chosen = fewOfEach(train.labelSpace, labels, perClass, seed)
  const few = rare(train.labelSpace, labels, perClass)
  const notes = [
    `${perClass} ${perClass === 1 ? 'image' : 'images'} of each label to train on, ${chosen.length} of ${train.length} images, by seed ${seed}`,
    ...(few.length > 0 ? [`${listed(few)}: fewer than ${perClass} images to train on, so all of them are taken`] : []),
  ]
  return { train: subset(train, chosen), notes }
}

/** Things that several images show, and that are in more than one part as it was brought: what is tested on was trained on. */
export function acrossNotes(items: readonly SourceItem[]): string[] {
  const parts = new Map<string, Set<Split>>()
  for (const { group, split = 'train' } of items) {
    if (group !== undefined) parts.set(group, (parts.get(group) ?? new Set()).add(split))
  }
  const several = [...parts].filter(([, own]) => own.size > 1).map(([group]) => group)
  return several.length === 0 ? [] : [`${listed(several)}: images of the same are in more than one part`]
}
