// How labels divide images: a part of each label set aside to validate on, folds, a few images of each label, and the one label
// that each image is drawn by where classes are balanced. For one class an image, any number of labels and trees alike. Pure.
import type { ImageLabels, LabelSpace } from '../labels/labels.ts'
import { Rng } from '../tensor/philox.ts'

const SPLIT_STREAM = 0x59117
const FOLD_STREAM = 0xf01d0000
const FEW_STREAM = 0xfe300000

/** What images show, where several show the same, by image: those of one name are in one part. */
export type ImageGroups = readonly (string | undefined)[]

/** Images by label; those without any come under `none`. */
function byLabel(labels: readonly ImageLabels[], none: number): Map<number, number[]> {
  const groups = new Map<number, number[]>()
  for (const [i, { present }] of labels.entries()) {
    for (const label of present.length > 0 ? present : [none]) {
      const list = groups.get(label)
      if (list) list.push(i)
      else groups.set(label, [i])
    }
  }
  return groups
}

/** Labels with their images, the rarest first; in a tree leaves come before what they are kinds of. */
function fromRarest(labels: readonly ImageLabels[]): [label: number, images: number[]][] {
  const none = labels.reduce((most, { present }) => present.reduce((a, b) => Math.max(a, b), most), -1) + 1
  return [...byLabel(labels, none)].sort(([a, x], [b, y]) => x.length - y.length || b - a)
}

/** What is divided: images that show the same as one, with all their labels; where none do, the images. */
function unitsOf(labels: readonly ImageLabels[], groups: ImageGroups): { members: number[][]; labels: ImageLabels[] } {
  const byGroup = new Map<string, number[]>()
  const members: number[][] = []
  for (const i of labels.keys()) {
    const group = groups[i]
    const known = group === undefined ? undefined : byGroup.get(group)
    if (known) known.push(i)
    else {
      const own = [i]
      members.push(own)
      if (group !== undefined) byGroup.set(group, own)
    }
  }
  const present = (own: readonly number[]) =>
    [...new Set(own.flatMap((i) => [...labels[i]!.present]))].sort((a, b) => a - b)
  return { members, labels: members.map((own) => ({ present: present(own) })) }
}

/**
 * Indices for training and validation: a part of the images of every label that has two or more, at least one and never all.
 * Labels are gone through from the rarest on, as by Sechidis et al. (2011), so that what a rare label's images bring along
 * counts for the labels that come later; in a tree leaves come before what they are kinds of. Images of one group count as one.
 */
export function stratifiedSplit(
  labels: readonly ImageLabels[],
  fraction: number,
  seed: number,
  groups: ImageGroups = [],
): { train: number[]; val: number[] } {
  const units = unitsOf(labels, groups)
  const taken = new Map<number, 'train' | 'val'>()
  for (const [label, list] of fromRarest(units.labels)) {
    const count = list.length < 2 ? 0 : Math.min(list.length - 1, Math.max(1, Math.round(list.length * fraction)))
    // A stream of its own for each label, so that one more image here does not change the split there.
    const shuffled = new Rng(seed, SPLIT_STREAM + label).shuffle([...list])
    let wanted = count - list.filter((i) => taken.get(i) === 'val').length
    for (const i of shuffled) if (!taken.has(i)) taken.set(i, wanted-- > 0 ? 'val' : 'train')
  }
  const of = (part: 'train' | 'val') =>
    units.members.flatMap((own, unit) => (taken.get(unit) === part ? own : [])).sort((a, b) => a - b)
  return { train: of('train'), val: of('val') }
}

/**
 * The fold of each image, 0 to `folds` - 1: each label's images are dealt to the folds in turn, in an order that hangs on the seed.
 * Labels are gone through from the rarest on; a fold that has fewer of a label is dealt to first, and of equal ones the turn begins
 * with another fold for each label, so that folds are as large as each other. Images of one group come into one fold.
 */
export function stratifiedFolds(
  labels: readonly ImageLabels[],
  folds: number,
  seed: number,
  groups: ImageGroups = [],
): Int32Array<ArrayBuffer> {
  const units = unitsOf(labels, groups)
  const taken = new Map<number, number>()
  for (const [label, list] of fromRarest(units.labels)) {
    const counts = new Int32Array(folds)
    for (const unit of list) if (taken.has(unit)) counts[taken.get(unit)!]!++
    for (const unit of new Rng(seed, FOLD_STREAM + label).shuffle([...list])) {
      if (taken.has(unit)) continue
      let best = label % folds
      for (let i = 1; i < folds; i++) {
        const fold = (label + i) % folds
        if (counts[fold]! < counts[best]!) best = fold
      }
      counts[best]!++
      taken.set(unit, best)
    }
  }
  const found = new Int32Array(labels.length)
  for (const [unit, own] of units.members.entries()) for (const i of own) found[i] = taken.get(unit)!
  return found
}

/**
 * Indices of `count` images of each label, of all where there are fewer: the first of an order that hangs on the seed and the
 * label, so that fewer are among those of more. An image of several labels counts as its rarest, as `balanceKeys` has it.
 */
export function fewOfEach(space: LabelSpace, labels: readonly ImageLabels[], count: number, seed: number): number[] {
  const keys = balanceKeys(space, labels)
  const byKey = new Map<number, number[]>()
  for (const [i, key] of keys.entries()) {
    const own = byKey.get(key)
    if (own) own.push(i)
    else byKey.set(key, [i])
  }
  const chosen = [...byKey].flatMap(([key, own]) => new Rng(seed, FEW_STREAM + key).shuffle(own).slice(0, count))
  return chosen.sort((a, b) => a - b)
}

/**
 * For balanced sampling, the label that each image counts as: of those that nothing in it is a kind of, the one that fewest
 * images have. That is the class, the rarest label, or the leaf. Images without labels count as one more label.
 */
export function balanceKeys({ names, parents }: LabelSpace, labels: readonly ImageLabels[]): Int32Array<ArrayBuffer> {
  const groups = byLabel(labels, names.length)
  const count = (label: number) => groups.get(label)!.length
  return Int32Array.from(labels, ({ present }) => {
    const above = new Set(present.map((label) => parents[label]!))
    const ends = present.filter((label) => !above.has(label))
    return ends.reduce((best, label) => (count(label) < count(best) ? label : best), ends[0] ?? names.length)
  })
}
