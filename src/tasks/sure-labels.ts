// What a teacher says of an image that nobody labelled, as labels to learn: only what it is sure of, all else unknown (FixMatch,
// Sohn and others, 2020, arXiv:2001.07685). Groups of labels by their softmax, labels without a group by their sigmoid. Pure.
import type { ImageLabels, LabelSpace } from '../labels/labels.ts'
import { argmax } from './task.ts'

/** One image by its teacher. */
export interface SureLabels {
  /** What the teacher is sure of; all other labels are unknown. */
  readonly labels: ImageLabels
  /** The same with every answer that was asked for, sure or not: what a mean over all of them counts. */
  readonly asked: ImageLabels
  /** Answers that are sure, of how many that were asked for. */
  readonly sure: number
  readonly of: number
}

/** e^x of x <= 0 by additions and products alone, so that every engine gives the same bits; within 1e-13 of itself, 0 below -64. */
function exp(x: number): number {
  if (x < -64) return 0
  let power = 1
  for (let n = 20; n > 0; n--) power = 1 + ((x / 64) * power) / n
  for (let i = 0; i < 6; i++) power *= power
  return power
}

/** The highest of a softmax. */
const highest = (logits: readonly number[]): number => {
  const most = logits[argmax(logits)]!
  return 1 / logits.reduce((total, z) => total + exp(z - most), 0)
}

/**
 * Reads outputs (K) of one image. In a group the highest score is there where it is at least `threshold`; a label without a group is
 * there from `threshold` on and absent up to 1 - `threshold`. What is a kind of another label is asked only where that is surely there.
 */
export function sureLabels(
  { names, groups, parents }: LabelSpace,
  logits: Float32Array,
  threshold: number,
): SureLabels {
  const grouped = new Set(groups.flat())
  const singles = names.map((_, label) => label).filter((label) => !grouped.has(label))
  const [sure, asked] = [new Set<number>(), new Set<number>()]
  const [known, met] = [new Set<number>(), new Set<number>()]
  let [right, of] = [0, 0]

  /** Whether the group, or the label by itself, was asked. */
  const ask = (choice: readonly number[], inGroup: boolean): boolean => {
    const values = choice.map((label) => logits[label]!)
    const top = choice[argmax(values)]!
    if (parents[top]! >= 0 && !sure.has(parents[top]!)) return false
    // A sigmoid is a softmax beside 0.
    const isSure = highest(inGroup ? values : [...values, 0]) >= threshold
    const there = inGroup || values[0]! >= 0
    of++
    for (const label of choice) met.add(label)
    if (there) asked.add(top)
    if (!isSure) return true
    right++
    for (const label of choice) known.add(label)
    if (there) sure.add(top)
    return true
  }
  // From the roots down: what is sure lets more be asked.
  let left = [...groups.map((group) => ({ choice: group, inGroup: true }))]
  left.push(...singles.map((label) => ({ choice: [label] as readonly number[], inGroup: false })))
  for (let before = -1; left.length !== before; ) {
    before = left.length
    left = left.filter(({ choice, inGroup }) => !ask(choice, inGroup))
  }

  const sorted = (given: ReadonlySet<number>) => [...given].sort((a, b) => a - b)
  const others = (given: ReadonlySet<number>) => names.map((_, label) => label).filter((label) => !given.has(label))
  return {
    labels: { present: sorted(sure), unknown: others(known) },
    asked: { present: sorted(asked), unknown: others(met) },
    sure: right,
    of,
  }
}

/** An image of which nothing is known. */
export const nothingKnown = ({ names }: LabelSpace): ImageLabels => ({ present: [], unknown: names.map((_, i) => i) })
