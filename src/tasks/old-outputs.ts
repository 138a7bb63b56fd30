// Which outputs of an old model are to be kept by a new one: those of labels that both know, and that are decided in both in the
// same way. Pure.
import type { LabelSpace } from '../labels/labels.ts'
import { sameText } from '../labels/same-text.ts'

/** Outputs of a new model and of the old one that stand for the same label. */
export type Pair = readonly [now: number, before: number]

/** The outputs that two models have in common. */
export interface SharedOutputs {
  /** Numbers of outputs of the new model and of the old one. */
  readonly outputs: number
  readonly before: number
  /** Outputs of the new model that are in groups; they come first. */
  readonly grouped: number
  /** Groups of which two labels or more were in one group: where a group begins and ends among the new outputs, and its pairs. */
  readonly groups: readonly { readonly start: number; readonly end: number; readonly pairs: readonly Pair[] }[]
  /** Labels that were and are there or not by themselves. */
  readonly singles: readonly Pair[]
  /** Labels that both know and that are in neither: decided otherwise now, or alone in what is left of their group. */
  readonly otherwise: readonly string[]
}

/** What an old model's outputs say of a new one's. Of a group that is made of several, the one with the most labels counts. */
export function sharedOutputs(now: LabelSpace, before: LabelSpace): SharedOutputs {
  const at = new Map(before.names.map((name, i) => [sameText(name), i]))
  const pairs = now.names.flatMap((name, i): Pair[] => {
    const old = at.get(sameText(name))
    return old === undefined ? [] : [[i, old]]
  })
  const groupOf = ({ groups }: LabelSpace, label: number) => groups.findIndex((group) => group.includes(label))
  const groups = now.groups.flatMap((group) => {
    const own = pairs.filter(([i]) => group.includes(i))
    const parts = before.groups.map((old) => own.filter(([, label]) => old.includes(label)))
    const [most] = parts.sort((a, b) => b.length - a.length)
    return most && most.length > 1 ? [{ start: group[0]!, end: group[0]! + group.length, pairs: most }] : []
  })
  const singles = pairs.filter(([i, old]) => groupOf(now, i) < 0 && groupOf(before, old) < 0)
  const used = new Set([...groups.flatMap((group) => group.pairs), ...singles].map(([i]) => i))
  return {
    outputs: now.names.length,
    before: before.names.length,
    grouped: now.groups.reduce((sum, group) => sum + group.length, 0),
    groups,
    singles,
    otherwise: pairs.filter(([i]) => !used.has(i)).map(([i]) => now.names[i]!),
  }
}
