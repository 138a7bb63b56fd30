// How well labels of a tree are found. Where nobody knows a label, it counts in nothing. OTX's own number stands beside the ones
// that are meant.
import type { HostInputs } from '../tensor/host.ts'
import { f1Of, LabelScores, meanOf, share, total } from './label-metrics.ts'
import { argmax, type LabelRow, type Metrics } from './task.ts'
import type { Decoded, Tree } from './tree-decode.ts'
import { truthOf } from './tree-targets.ts'

/** Whether every label that is known is decided right; undefined where none is. */
export function isRight(truth: Int8Array, present: Uint8Array): boolean | undefined {
  let known = false
  for (const [label, wanted] of truth.entries()) {
    if (wanted < 0) continue
    known = true
    if (wanted !== present[label]) return false
  }
  return known || undefined
}

/** Right ones of how many, by place. */
class Shares {
  readonly right: Float64Array
  readonly of: Float64Array
  constructor(places: number) {
    this.right = new Float64Array(places)
    this.of = new Float64Array(places)
  }
  add(place: number, right: boolean): void {
    if (right) this.right[place]!++
    this.of[place]!++
  }
  at = (place: number): number => share(this.right[place]!, this.of[place]!)
}

const count = (n: number): number[] => Array.from({ length: n }, (_, i) => i)

/**
 * By name:
 * accuracy: samples whose known labels are all right.
 * h_precision, h_recall, h_f1: labels with all that they are a kind of, over all samples (Kiritchenko et al. 2006, micro).
 * f1: mean over the labels that are there or are given.
 * accuracy_level_1, ...: samples with a label that far below the root (1 is a root itself) whose labels there are all right.
 * group_accuracy: mean accuracy of the groups, each by itself and without the tree; where there are labels without a group, the
 * mean of that and of their accuracies.
 * otx_accuracy: the same as OTX 2.6 counts it (MixedHLabelAccuracy): without the samples that have the first label of a group,
 * a group that is never met as 0, labels without a group above a score of .5.
 */
export function treeMetrics(
  tree: Tree,
  read: (logits: Float32Array) => Decoded,
  thresholds: readonly number[],
): Metrics {
  const { names, groups } = tree.labels
  const k = names.length
  const levels = Math.max(...tree.depths) + 1
  const byPlace = () => new Float64Array(k)
  const [hit, given, there, known] = [byPlace(), byPlace(), byPlace(), byPlace()]
  const whole = new Shares(1)
  const byLevel = new Shares(levels)
  const [group, groupOtx] = [new Shares(groups.length), new Shares(groups.length)]
  const others = count(k - tree.grouped).map((i) => tree.grouped + i)
  const [other, otherOtx] = [new Shares(k), new Shares(k)]
  const alone = new Map(others.map((label) => [label, new LabelScores(names[label]!, thresholds[label]!)]))

  function addLevels(truth: Int8Array, present: Uint8Array): void {
    const met = new Uint8Array(levels)
    const wrong = new Uint8Array(levels)
    for (let label = 0; label < k; label++) {
      if (truth[label]! < 0) continue
      if (truth[label] === 1) met[tree.depths[label]!] = 1
      if (truth[label] !== present[label]) wrong[tree.depths[label]!] = 1
    }
    for (let level = 0; level < levels; level++) if (met[level] === 1) byLevel.add(level, wrong[level] === 0)
  }
  function addAlone(logits: Float32Array, targets: HostInputs, at: number, scores: Float64Array): void {
    for (const [place, labels] of groups.entries()) {
      const wanted = targets.group!.data[at * groups.length + place]!
      if (wanted < 0) continue
      const right = argmax(logits.subarray(labels[0], labels[0]! + labels.length)) === wanted
      group.add(place, right)
      if (wanted > 0) groupOtx.add(place, right)
    }
    for (const [i, label] of others.entries()) {
      if (targets.known!.data[at * others.length + i] !== 1) continue
      const isThere = targets.present!.data[at * others.length + i] === 1
      alone.get(label)!.add(logits[label]!, isThere)
      other.add(label, scores[label]! >= thresholds[label]! === isThere)
      // torchmetrics compares in f32, and above the threshold.
      otherOtx.add(label, Math.fround(scores[label]!) > 0.5 === isThere)
    }
  }
  /** Groups and labels without one count half each. */
  function mixed(groupShares: number[], otherShares: number[]): number {
    const parts = [groupShares, otherShares].filter((shares) => shares.length > 0)
    return meanOf(parts.map(meanOf))
  }
  const f1 = (tp: number, found: number, wanted: number) => f1Of({ tp, fp: found - tp, fn: wanted - tp })
  const f1At = (label: number) => f1(hit[label]!, given[label]!, there[label]!)

  return {
    add(logits, targets) {
      for (let at = 0; at * k < logits.length; at++) {
        const row = logits.subarray(at * k, (at + 1) * k)
        const { present, scores } = read(row)
        const truth = truthOf(tree, targets, at)
        for (let label = 0; label < k; label++) {
          if (truth[label]! < 0) continue
          known[label]!++
          if (truth[label] === 1) there[label]!++
          if (present[label] === 1) given[label]!++
          if (truth[label] === 1 && present[label] === 1) hit[label]!++
        }
        const right = isRight(truth, present)
        if (right !== undefined) whole.add(0, right)
        addLevels(truth, present)
        addAlone(row, targets, at, scores)
      }
    },
    result() {
      const met = (shares: Shares, places: readonly number[]) =>
        places.filter((place) => shares.of[place]! > 0).map(shares.at)
      const places = count(groups.length)
      return {
        accuracy: whole.at(0),
        f1: meanOf(
          count(k)
            .filter((label) => given[label]! + there[label]! > 0)
            .map(f1At),
        ),
        h_precision: share(total(hit), total(given)),
        h_recall: share(total(hit), total(there)),
        h_f1: f1(total(hit), total(given), total(there)),
        ...Object.fromEntries(count(levels).map((level) => [`accuracy_level_${level + 1}`, byLevel.at(level)])),
        group_accuracy: mixed(met(group, places), met(other, others)),
        otx_accuracy: mixed(places.map(groupOtx.at), others.map(otherOtx.at)),
      }
    },
    byLabel: () =>
      names.map((label, i): LabelRow => {
        const ap = alone.get(i)?.averagePrecision()
        return {
          label,
          positives: there[i]!,
          known: known[i]!,
          precision: share(hit[i]!, given[i]!),
          recall: share(hit[i]!, there[i]!),
          f1: f1At(i),
          ...(ap !== undefined && { ap }),
          ...(alone.has(i) && { threshold: thresholds[i]! }),
        }
      }),
    // One a label: those in groups have none, so that theirs is never read.
    ...(others.length > 0 && { thresholds: () => names.map((_, i) => alone.get(i)?.bestThreshold() ?? 0.5) }),
  }
}
