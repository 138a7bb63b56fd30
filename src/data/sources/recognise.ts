// From names of labels to what is to be learnt: one class an image, any number of labels, or a tree of them. Said in a
// sentence; what is wanted overrules it, and what contradicts it is refused by the first image that does.
import {
  hierarchicalLabels,
  type ImageLabels,
  isOneOfAll,
  type LabelSpace,
  type LabelTree,
  mostLevels,
  multiclassLabels,
  multilabelLabels,
  type TaskName,
  withParents,
} from '../../labels/labels.ts'
import { InputError } from '../../platform/errors.ts'
import { listed } from '../../platform/listed.ts'
import { byCodeUnit, isToTrain, type LabelSource, type SourceItem } from './source.ts'

/** What a source is about. */
export interface Recognised {
  readonly space: LabelSpace
  /** How that was recognised, as the end of a sentence: 'each image has one label'. */
  readonly why: string
}

/** Characters that a label may have: names stand in messages, tables and files. */
const longest = 1000

/** Every label to train on, as declared or else sorted. */
function labelsOf({ name, declared, items }: LabelSource): readonly string[] {
  const found = new Set(items.filter(isToTrain).flatMap(({ names, unknown = [] }) => [...names, ...unknown]))
  const labels = declared ?? byCodeUnit(found)
  const long = labels.find((label) => label.length > longest)
  if (long === undefined) return labels
  throw new InputError(`${name}: a label may have ${longest} characters, got ${long.length}, ${long.slice(0, 40)}...`)
}

/**
 * The tree that paths of labels name: 'animal/dog' is a kind of 'animal'; undefined where there is no such label. Throws an
 * InputError on a level without a name ('animal/').
 */
export function treeOfPaths(names: Iterable<string>): LabelTree | undefined {
  const parents = new Map<string, string>()
  const children = new Map<string, Set<string>>()
  for (const name of names) {
    const parts = name.split('/')
    if (parts.some((part) => part.trim() === '')) {
      throw new InputError(`labels: each level of a tree must have a name, got ${listed([JSON.stringify(name)])}`)
    }
    if (parts.length > mostLevels) {
      throw new InputError(`labels: a tree may have ${mostLevels} levels, got ${parts.length} in ${listed([name])}`)
    }
    for (let i = parts.length; i > 0; i--) {
      const [label, parent] = [parts.slice(0, i).join('/'), parts.slice(0, i - 1).join('/')]
      if (parent !== '') parents.set(label, parent)
      children.set(parent, (children.get(parent) ?? new Set()).add(label))
    }
  }
  if (parents.size === 0) return undefined
  const groups = byCodeUnit(children.keys()).map((parent) => byCodeUnit(children.get(parent)!))
  return { groups, parents: Object.fromEntries(parents) }
}

const isPath = (name: string) => /^[^/]+(\/[^/]+)+$/.test(name)

function requireTree(source: LabelSource): LabelSpace {
  const names = labelsOf(source)
  const tree = source.tree ?? (names.some(isPath) ? treeOfPaths(names) : undefined)
  if (!tree) {
    throw new InputError(
      `${source.name}: a hierarchy must have labels below labels, as folders in folders or names like animal/dog, got none`,
    )
  }
  return hierarchicalLabels(tree)
}

function requireClasses(source: LabelSource): LabelSpace {
  const names = labelsOf(source)
  if (names.length < 2) {
    const got = names[0] === undefined ? 'none' : `only "${names[0]}"`
    throw new InputError(`${source.name}: needs at least two classes, got ${got}${source.hint ?? ''}`)
  }
  return multiclassLabels(names)
}

function requireLabels(source: LabelSource): LabelSpace {
  const names = labelsOf(source)
  if (names.length === 0) throw new InputError(`${source.name}: must have a label at one image or more, got none`)
  return multilabelLabels(names)
}

/** The labels of a source, by what is to be learnt. */
const spaces: Readonly<Record<TaskName, (source: LabelSource) => LabelSpace>> = {
  multiclass: requireClasses,
  multilabel: requireLabels,
  hierarchical: requireTree,
}

/** What the tree of a source says by its form alone: one group of all labels, labels by themselves, or a true tree. */
function formOf({ groups, parents, others = [] }: LabelTree): TaskName {
  if (Object.keys(parents).length > 0) return 'hierarchical'
  const large = groups.filter((group) => group.length > 1)
  if (large.length === 0) return 'multilabel'
  return large.length === 1 && groups.length === 1 && others.length === 0 ? 'multiclass' : 'hierarchical'
}

const formWords: Readonly<Record<TaskName, string>> = {
  multiclass: 'its labels are one group',
  multilabel: 'each of its labels is by itself',
  hierarchical: 'its labels are in groups and below each other',
}

/** Finds out what a source is about; `wanted` overrules it. Throws an InputError where it cannot be that. */
export function recognise(source: LabelSource, wanted?: TaskName): Recognised {
  if (wanted !== undefined && !Object.hasOwn(spaces, wanted)) {
    throw new InputError(`task: must be one of ${Object.keys(spaces).join(', ')}, got ${JSON.stringify(wanted)}`)
  }
  if (wanted !== undefined) return { space: spaces[wanted](source), why: 'it is asked for' }
  if (source.tree) {
    const task = formOf(source.tree)
    return { space: spaces[task](source), why: formWords[task] }
  }
  const odd = source.items.find(({ names, unknown }) => names.length !== 1 || unknown)
  if (!odd) return { space: spaces.multiclass(source), why: 'each image has one label' }
  const has = odd.unknown ? 'labels that are unknown' : odd.names.length > 1 ? 'several labels' : 'no label'
  return { space: spaces.multilabel(source), why: `${odd.at} has ${has}` }
}

/**
 * The labels of an image in a space, with those that they are kinds of. Throws an InputError on a name that is no label,
 * and on several labels of which only one can be there, or none where one must be.
 */
export function imageLabels(space: LabelSpace, places: ReadonlyMap<string, number>, item: SourceItem): ImageLabels {
  const place = (name: string) => places.get(name.normalize('NFC')) ?? -1
  const stray = item.names.find((name) => place(name) < 0)
  if (stray !== undefined) {
    throw new InputError(`${item.at}: its labels must be among those trained on, got also ${stray}`)
  }
  const said = (what: string) =>
    new InputError(`${item.at}: an image must have ${what}, got ${listed(item.names) || 'none'}`)
  if (isOneOfAll(space)) {
    if (item.names.length !== 1) throw said('one class (task multilabel takes any number)')
    return { present: [place(item.names[0]!)] }
  }
  const unknown = (item.unknown ?? []).map(place).filter((label) => label >= 0)
  const labels = withParents(space, {
    present: item.names.map(place).sort((a, b) => a - b),
    ...(unknown.length > 0 && { unknown }),
  })
  const twice = space.groups.find((group) => group.filter((label) => labels.present.includes(label)).length > 1)
  if (twice) throw said(`one at most of ${listed(twice.map((label) => space.names[label]!))}`)
  return labels.unknown?.length === 0 ? { present: labels.present } : labels
}

/** Places of labels by the same text. */
export const placesOf = ({ names }: LabelSpace): Map<string, number> =>
  new Map(names.map((name, i) => [name.normalize('NFC'), i]))
