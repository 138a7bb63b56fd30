// How labels divide images: a part of each label set aside to validate on, and the one label that each image is drawn by
// where classes are balanced. For one class an image, any number of labels and trees alike. Pure.
import type { ImageLabels, LabelSpace } from '../labels/labels.ts'
import { Rng } from '../tensor/philox.ts'

const SPLIT_STREAM = 0x59117

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

/**
 * Indices for training and validation: a part of the images of every label that has two or more, at least one and never all.
 * Labels are gone through from the rarest on, as by Sechidis et al. (2011), so that what a rare label's images bring along
 * counts for the labels that come later; in a tree leaves come before what they are kinds of.
 */
export function stratifiedSplit(
  labels: readonly ImageLabels[],
  fraction: number,
  seed: number,
): { train: number[]; val: number[] } {
  const none = labels.reduce((most, { present }) => present.reduce((a, b) => Math.max(a, b), most), -1) + 1
  const groups = [...byLabel(labels, none)].sort(([a, x], [b, y]) => x.length - y.length || b - a)
  const taken = new Map<number, 'train' | 'val'>()
  for (const [label, list] of groups) {
    const count = list.length < 2 ? 0 : Math.min(list.length - 1, Math.max(1, Math.round(list.length * fraction)))
    // A stream of its own for each label, so that one more image here does not change the split there.
    const shuffled = new Rng(seed, SPLIT_STREAM + label).shuffle([...list])
    let wanted = count - list.filter((i) => taken.get(i) === 'val').length
    for (const i of shuffled) if (!taken.has(i)) taken.set(i, wanted-- > 0 ? 'val' : 'train')
  }
  const all = labels.map((_, i) => i)
  return { train: all.filter((i) => taken.get(i) === 'train'), val: all.filter((i) => taken.get(i) === 'val') }
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
