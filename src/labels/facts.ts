// What run.json and a model's config.json keep of labels beside their names: the task, the tree, thresholds. Names by name,
// so that the files can be read by people.
import { InputError } from '../platform/errors.ts'
import { hierarchicalLabels, type LabelSpace, multiclassLabels, multilabelLabels, type TaskName } from './labels.ts'

/** As JSON has it. */
export interface LabelFacts {
  task: TaskName
  /** Groups of which one label at most is there, where they are not all labels or none. */
  groups?: string[][]
  /** Child to parent. */
  parents?: Record<string, string>
  /** From which score on each label is there; absent where half is. */
  thresholds?: number[]
  /** How labels of a tree are given together, where that was chosen. */
  decoding?: string
}

/** Labels with the thresholds that were found for them. */
export interface KnownLabels {
  readonly space: LabelSpace
  readonly thresholds?: readonly number[] | undefined
  readonly decoding?: string | undefined
}

/** How each task's labels are made of names and what else is kept. */
const makers: Readonly<
  Record<TaskName, (names: readonly string[], tree: Pick<LabelFacts, 'groups' | 'parents'>) => LabelSpace>
> = {
  multiclass: multiclassLabels,
  multilabel: multilabelLabels,
  hierarchical(names, { groups = [[...names]], parents = {} }) {
    const grouped = new Set(groups.flat())
    return hierarchicalLabels({ groups, parents, others: names.filter((name) => !grouped.has(name)) })
  },
}

/** The facts of labels. */
export function labelFacts({ space, thresholds, decoding }: KnownLabels): LabelFacts {
  const { task, names, groups, parents } = space
  const children = names.flatMap((name, i) => (parents[i]! < 0 ? [] : [[name, names[parents[i]!]!] as const]))
  const plain = groups.length === 0 || groups[0]!.length === names.length
  return {
    task,
    ...(plain && children.length === 0
      ? {}
      : { groups: groups.map((group) => group.map((i) => names[i]!)), parents: Object.fromEntries(children) }),
    ...(thresholds ? { thresholds: [...thresholds] } : {}),
    ...(decoding === undefined ? {} : { decoding }),
  }
}

const isText = (value: unknown): value is string => typeof value === 'string'
const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** What `make` makes; an InputError of it says where it comes from. */
export function within<T>(where: string, make: () => T): T {
  try {
    return make()
  } catch (error) {
    if (!(error instanceof InputError)) throw error
    throw new InputError(`${where}: ${error.message.replace(/^labels: /, '')}`)
  }
}

/** Reads facts of labels with these names, whoever wrote them. `where` comes before what is wrong. */
export function readLabelFacts(value: unknown, names: readonly string[], where: string): KnownLabels {
  const fail = (what: string, got: unknown): never => {
    throw new InputError(`${where}: ${what}, got ${JSON.stringify(got)?.slice(0, 60)}`)
  }
  const facts = isObject(value) ? value : fail('must be an object', value)
  const { task, groups, parents, thresholds, decoding } = facts
  const make = isText(task) && Object.hasOwn(makers, task) ? makers[task as TaskName] : undefined
  if (!make) return fail(`task must be one of ${Object.keys(makers).join(', ')}`, task)
  const lists = (v: unknown): v is string[][] => Array.isArray(v) && v.every((l) => Array.isArray(l) && l.every(isText))
  const texts = (v: unknown): v is Record<string, string> => isObject(v) && Object.values(v).every(isText)
  if (groups !== undefined && !lists(groups)) fail('groups must be lists of names', groups)
  if (parents !== undefined && !texts(parents)) fail('parents must be names by name', parents)
  const space = within(where, () =>
    make(names, { ...(lists(groups) ? { groups } : {}), ...(texts(parents) ? { parents } : {}) }),
  )
  if (JSON.stringify(space.names) !== JSON.stringify(names)) {
    fail(`groups must name the ${names.length} labels in the order of the outputs`, groups)
  }
  const shares = (v: unknown): v is number[] =>
    Array.isArray(v) && v.length === names.length && v.every((t) => typeof t === 'number' && t >= 0 && t <= 1)
  if (thresholds !== undefined && !shares(thresholds))
    fail(`thresholds must be ${names.length} numbers in [0, 1]`, thresholds)
  if (decoding !== undefined && !isText(decoding)) fail('decoding must be text', decoding)
  return { space, ...(shares(thresholds) ? { thresholds } : {}), ...(isText(decoding) ? { decoding } : {}) }
}
