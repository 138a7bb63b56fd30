// What samples should give where labels form a tree, as arrays, and back again. Absent, unknown and not to be asked differ: a label
// in a group of which no label is there is unknown, unless its parent is known to be absent.
import type { ImageLabels } from '../labels/labels.ts'
import { InputError } from '../platform/errors.ts'
import type { HostInputs } from '../tensor/host.ts'
import type { Tree } from './tree-decode.ts'

/** group (B, G): the place in each group, or -1 where no label of it is there. present, known (B, M): of labels without one. */
export function targetsOf({ labels: { names, groups }, grouped }: Tree, given: readonly ImageLabels[]): HostInputs {
  const others = names.length - grouped
  const placeOf = groups.flatMap((group, g) => group.map((_, place) => ({ g, place })))
  const group = new Int32Array(given.length * groups.length).fill(-1)
  const [present, known] = [new Float32Array(given.length * others), new Float32Array(given.length * others).fill(1)]
  for (const [at, image] of given.entries()) {
    for (const label of image.unknown ?? []) if (label >= grouped) known[at * others + label - grouped] = 0
    for (const label of image.present) {
      if (label >= grouped) {
        present[at * others + label - grouped] = known[at * others + label - grouped] = 1
        continue
      }
      const { g, place } = placeOf[label]!
      const before = group[at * groups.length + g]!
      if (before >= 0 && before !== place) {
        throw new InputError(
          `labels: an image must have one label of a group at most, got "${names[groups[g]![before]!]}" and "${names[label]}"`,
        )
      }
      group[at * groups.length + g] = place
    }
  }
  const shape = [given.length, others]
  return {
    group: { data: group, shape: [given.length, groups.length] },
    ...(others > 0 && { present: { data: present, shape }, known: { data: known, shape } }),
  }
}

/** By label: 1 there, 0 not there, -1 nobody knows. Of the sample `at`. */
export function truthOf(tree: Tree, { group, present, known }: HostInputs, at: number): Int8Array {
  const { groups, parents } = tree.labels
  const others = parents.length - tree.grouped
  const truth = new Int8Array(parents.length).fill(-1)
  for (const { labels, group: place } of tree.choices) {
    const wanted = place >= 0 ? group!.data[at * groups.length + place]! : -1
    for (const [i, label] of labels.entries()) {
      const other = at * others + label - tree.grouped
      if (wanted >= 0) truth[label] = i === wanted ? 1 : 0
      else if (place < 0 && known!.data[other] === 1) truth[label] = present!.data[other]!
      else if (parents[label]! >= 0 && truth[parents[label]!] === 0) truth[label] = 0
    }
  }
  return truth
}
