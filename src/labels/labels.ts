// What images are labelled with: the labels that there are, how they belong together, and those of one image. Pure.
import { InputError } from '../platform/errors.ts'

/** What is learnt. */
export type TaskName = 'multiclass' | 'multilabel' | 'hierarchical'

/** The labels of some data, in the order of a model's outputs. */
export interface LabelSpace {
  readonly task: TaskName
  readonly names: readonly string[]
  /**
   * Labels of which an image has one at most, each group by places in `names`. A label in no group is there or not by itself.
   * All labels are one group for one class an image, and none for multi-label.
   */
  readonly groups: readonly (readonly number[])[]
  /** Of each label the place of the one that it is a kind of; -1 for none. */
  readonly parents: readonly number[]
}

/** The labels of one image, by their places. Where labels have parents, those are present too. */
export interface ImageLabels {
  readonly present: readonly number[]
  /** Labels that nobody looked for: they count neither as there nor as absent. */
  readonly unknown?: readonly number[]
}

/** One class an image. */
export const multiclassLabels = (names: readonly string[]): LabelSpace => ({
  task: 'multiclass',
  names,
  groups: [names.map((_, i) => i)],
  parents: names.map(() => -1),
})

/** Any number of labels an image, none too. */
export const multilabelLabels = (names: readonly string[]): LabelSpace => ({
  task: 'multilabel',
  names,
  groups: [],
  parents: names.map(() => -1),
})

/** A tree of labels by name: groups of which one at most is there, and of each label its parent. */
export interface LabelTree {
  readonly groups: readonly (readonly string[])[]
  /** Child to parent. */
  readonly parents: Readonly<Record<string, string>>
  /** Labels that are in no group. */
  readonly others?: readonly string[]
}

/** Levels that a tree may have: what goes up from each label must end soon, and no kinds of kinds are that deep. */
export const mostLevels = 100

/**
 * The labels of a tree in OTX's order: groups of two and more first, as they are given, then all other labels. Throws an
 * InputError on a label in two groups, a parent that is no label, a circle, a tree that is too deep, and one without any group
 * of two.
 */
export function hierarchicalLabels({ groups, parents, others = [] }: LabelTree): LabelSpace {
  const large = groups.filter((group) => group.length > 1)
  const names = [...large.flat(), ...groups.filter((group) => group.length === 1).flat(), ...others]
  const at = new Map(names.map((name, i) => [name, i]))
  const twice = names.find((name, i) => at.get(name) !== i)
  if (twice !== undefined) throw new InputError(`labels: "${twice}" must be in one group only, got two`)
  if (large.length === 0) {
    throw new InputError('labels: a hierarchy must have a group of two labels or more, got none; use multi-label')
  }
  for (const [child, parent] of Object.entries(parents)) {
    for (const name of [child, parent]) {
      if (!at.has(name)) throw new InputError(`labels: "${name}" in the tree must be a label, got no such label`)
    }
  }
  const above = names.map((name) => (Object.hasOwn(parents, name) ? at.get(parents[name]!)! : -1))
  for (const [i, name] of names.entries()) {
    let [up, steps] = [above[i]!, 0]
    for (; up >= 0 && up !== i && steps < mostLevels; steps++) up = above[up]!
    if (up === i) throw new InputError(`labels: the tree must have no circle, got one through "${name}"`)
    if (steps === mostLevels)
      throw new InputError(`labels: a tree may have ${mostLevels} levels and no circle, got more above "${name}"`)
  }
  let first = 0
  const places = large.map((group) => {
    first += group.length
    return group.map((_, i) => first - group.length + i)
  })
  return { task: 'hierarchical', names, groups: places, parents: above }
}

/** Whether an image has exactly one of all labels. */
export const isOneOfAll = ({ names, groups }: LabelSpace): boolean =>
  groups.length === 1 && groups[0]!.length === names.length

/** A label and those that it is a kind of, from the root down. */
export function pathOf({ parents }: LabelSpace, label: number): number[] {
  const path: number[] = []
  for (let at = label; at >= 0; at = parents[at]!) path.unshift(at)
  return path
}

/** The same labels with all that they are kinds of, each once, by place. */
export function withParents(space: LabelSpace, { present, unknown }: ImageLabels): ImageLabels {
  const all = [...new Set(present.flatMap((label) => pathOf(space, label)))].sort((a, b) => a - b)
  return { present: all, ...(unknown && { unknown: unknown.filter((label) => !all.includes(label)) }) }
}
