// Labels of some data together with older ones that the data lacks. Pure.
import { hierarchicalLabels, type LabelSpace, multiclassLabels, multilabelLabels } from './labels.ts'
import { sameText } from './same-text.ts'

/** Labels of `before` that `now` has not, in any Unicode form. */
export function lackingIn(now: LabelSpace, before: LabelSpace): string[] {
  const have = new Set(now.names.map(sameText))
  return before.names.filter((name) => !have.has(sameText(name)))
}

/** A tree of both: a group takes the older labels of the group that it shares a label with, or that stands below the same label. */
function joinTrees(now: LabelSpace, before: LabelSpace): LabelSpace {
  const lacks = new Set(lackingIn(now, before))
  const have = new Map(now.names.map((name) => [sameText(name), name]))
  /** A label as it is called now. */
  const called = (name: string) => have.get(sameText(name)) ?? name
  const namesIn = ({ names, groups }: LabelSpace) => groups.map((group) => group.map((i) => names[i]!))
  const parentsIn = ({ names, parents }: LabelSpace) =>
    names.flatMap((name, i) => (parents[i]! < 0 ? [] : [[called(name), called(names[parents[i]!]!)] as const]))
  const parents = Object.fromEntries([...parentsIn(before), ...parentsIn(now)])
  const parentOf = (name: string) => (Object.hasOwn(parents, name) ? parents[name] : undefined)
  const groups = namesIn(now)
  for (const group of namesIn(before)) {
    const old = group.map(called)
    const of = (own: string[]) => own.some((name) => old.includes(name))
    const beside = (own: string[]) => own.every((name) => old.every((one) => parentOf(one) === parentOf(name)))
    const more = old.filter((name) => lacks.has(name))
    const place = groups.find(of) ?? groups.find(beside)
    if (place) place.push(...more)
    else groups.push(more)
  }
  const grouped = new Set(groups.flat())
  const singles = [...now.names, ...lacks].filter((name) => !grouped.has(name))
  return hierarchicalLabels({ groups, parents, others: singles })
}

/**
 * The labels of `now`, and behind them those of `before` that it lacks; where the two are of different tasks, those of `now` alone.
 * Throws InputError where trees contradict each other.
 */
export function joinLabels(now: LabelSpace, before: LabelSpace): LabelSpace {
  const lacks = lackingIn(now, before)
  if (now.task !== before.task || lacks.length === 0) return now
  const names = [...now.names, ...lacks]
  const join = { multiclass: () => multiclassLabels(names), multilabel: () => multilabelLabels(names) }
  return Object.hasOwn(join, now.task) ? join[now.task as keyof typeof join]() : joinTrees(now, before)
}
