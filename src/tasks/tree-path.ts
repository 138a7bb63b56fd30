// The loss that holds the levels of a tree together, after OTX's TreePathKLDivergenceLoss: over the outputs of all groups in
// which a sample has a label, taken as one distribution, the Kullback-Leibler divergence from the one that gives each of its L
// labels 1 / L. OTX takes the groups that any sample of a batch has, and fails where samples differ in theirs.
import { add, affine, mul } from '../ops/elementwise.ts'
import { crossEntropy } from '../ops/loss.ts'
import { sum } from '../ops/reduce.ts'
import { reshape, slice } from '../ops/view.ts'
import type { HostInputs } from '../tensor/host.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { Tree } from './tree-decode.ts'

/** What closes an output to a softmax: e to minus this is 0 beside any other. */
export const CLOSED = 1e4

/**
 * For samples with a label in two groups or more, by `group` (B, G); the others take no part:
 * path_label (B): the first of the labels, or -1; path_open (B, S): 1 at the outputs of the sample's groups;
 * path_pull (B, S): 1 at the first label, less 1 / L at each; path_log (B): log L.
 */
export function pathTargets({ labels: { groups }, grouped }: Tree, group: Int32Array): HostInputs {
  const count = group.length / groups.length
  const label = new Int32Array(count).fill(-1)
  const [open, pull] = [new Float32Array(count * grouped), new Float32Array(count * grouped)]
  const log = new Float32Array(count)
  for (let at = 0; at < count; at++) {
    const there = groups.flatMap((members, i) => {
      const place = group[at * groups.length + i]!
      return place < 0 ? [] : [{ members, label: members[place]! }]
    })
    if (there.length < 2) continue
    label[at] = there[0]!.label
    log[at] = Math.log(there.length)
    pull[at * grouped + label[at]!] = 1
    for (const { members, label } of there) {
      pull[at * grouped + label]! -= 1 / there.length
      for (const member of members) open[at * grouped + member] = 1
    }
  }
  return {
    path_label: { data: label, shape: [count] },
    path_open: { data: open, shape: [count, grouped] },
    path_pull: { data: pull, shape: [count, grouped] },
    path_log: { data: log, shape: [count] },
  }
}

/** How many samples take part. */
export const pathCount = ({ path_label }: HostInputs): number => path_label!.data.filter((label) => label >= 0).length

/** The divergences of outputs (B, K) summed, shape (1): log-sum-exp less the mean output of the labels less log L. */
export function pathTerm({ grouped }: Tree, logits: Tensor, targets: Readonly<Record<string, Tensor>>): Tensor {
  const { path_label, path_open, path_pull, path_log } = targets
  const x = slice(logits, 1, 0, grouped)
  const opened = add(mul(x, path_open!), affine(path_open!, CLOSED, -CLOSED))
  const pulled = sum(mul(x, path_pull!), 1)
  const each = add(add(crossEntropy(opened, path_label!), pulled), affine(path_log!, -1))
  return reshape(sum(each, 0), [1])
}
