// Datumaro's JSON (1.13; OTX reads it too): labels with parents and groups, and items with annotations by the labels' places.
// An export is annotations/SPLIT.json beside images/SPLIT/; one file alone is read as well.
import { isRecord, parseJson } from '../../io/json.ts'
import type { LabelTree } from '../../labels/labels.ts'
import { InputError } from '../../platform/errors.ts'
import { listed } from '../../platform/listed.ts'
import { splitOf } from '../split-folders.ts'
import type { ListedItem } from './listed-files.ts'
import { labelName } from './source.ts'
import { labelsLimit } from './text.ts'

/** What one file says. */
export interface DatumaroFile {
  readonly declared: readonly string[]
  /** Absent where labels have neither groups nor parents. */
  readonly tree?: LabelTree
  readonly items: readonly ListedItem[]
  readonly notes: readonly string[]
}

const textOr = (value: unknown): string => (typeof value === 'string' ? value : '')
const listOf = (value: unknown): unknown[] => (Array.isArray(value) ? value : [])

/** Whether JSON has the two parts that Datumaro's has. */
export const isDatumaro = (json: unknown): json is Record<string, unknown> =>
  isRecord(json) && isRecord(json.categories) && Array.isArray(json.items)

function labelsIn(
  category: Record<string, unknown>,
  name: string,
): { declared: string[]; parents: [string, string][] } {
  const labels = listOf(category.labels).filter(isRecord)
  const declared = labels.map((label) => labelName(textOr(label.name)))
  const wrong = declared.find((label, i) => label === '' || declared.indexOf(label) !== i)
  if (wrong !== undefined || labels.length === 0 || labels.length !== listOf(category.labels).length) {
    const got = wrong === undefined ? `${labels.length} labels` : JSON.stringify(wrong)
    throw new InputError(`${name}: categories.label.labels must have names, each once, got ${got}`)
  }
  const parents = labels.flatMap((label, i): [string, string][] => {
    const parent = labelName(textOr(label.parent))
    return parent === '' ? [] : [[declared[i]!, parent]]
  })
  return { declared, parents }
}

/** The tree of labels: its groups as they are given, or where they name what is no label, children of one parent. */
function treeOf(
  category: Record<string, unknown>,
  { declared, parents }: ReturnType<typeof labelsIn>,
  name: string,
  notes: string[],
): LabelTree | undefined {
  const known = new Set(declared)
  const all = listOf(category.label_groups).filter(isRecord)
  const given = all.map((group) => listOf(group.labels).map((label) => labelName(textOr(label))))
  const stray = given.flat().find((label) => !known.has(label))
  let groups = given.filter((_, i) => textOr(all[i]!.group_type) === 'exclusive')
  if (stray !== undefined) {
    notes.push(`${name}: its groups name "${stray}", which is no label; labels of one parent are a group instead`)
    const above = new Map(parents)
    const children = new Map<string, string[]>()
    for (const label of declared) {
      const parent = above.get(label) ?? ''
      children.set(parent, [...(children.get(parent) ?? []), label])
    }
    groups = [...children.values()]
  }
  if (all.length === 0 && parents.length === 0) return undefined
  const grouped = new Set(groups.flat())
  return {
    groups,
    parents: Object.fromEntries(parents),
    others: declared.filter((label) => !grouped.has(label)),
  }
}

/** Reads Datumaro's JSON; `name` is the file, for messages, `split` that of its images. Throws an InputError. */
export function datumaroFile(text: string, name: string, split: string): DatumaroFile {
  const json = parseJson(text, name, labelsLimit)
  if (!isDatumaro(json)) {
    const keys = isRecord(json) ? listed(Object.keys(json)) : 'no object'
    throw new InputError(`${name}: must be Datumaro's JSON with categories and items, got ${keys || 'an empty object'}`)
  }
  const category = (json.categories as Record<string, unknown>).label
  if (!isRecord(category)) throw new InputError(`${name}: must have labels in categories, got none`)
  const labels = labelsIn(category, name)
  const { declared } = labels
  const notes: string[] = []
  const tree = treeOf(category, labels, name, notes)
  let shapes = 0
  const items = (json.items as unknown[]).flatMap((item, i): ListedItem[] => {
    const at = `${name}, item ${i + 1}`
    if (!isRecord(item) || typeof item.id !== 'string') throw new InputError(`${at}: must have an id, got none`)
    const names = new Set<string>()
    for (const annotation of listOf(item.annotations)) {
      if (!isRecord(annotation) || annotation.label_id === null || annotation.label_id === undefined) continue
      const label = declared[annotation.label_id as number]
      if (typeof annotation.label_id !== 'number' || label === undefined) {
        const most = declared.length - 1
        throw new InputError(`${at}: label_id must be 0 to ${most}, got ${JSON.stringify(annotation.label_id)}`)
      }
      if (annotation.type !== 'label') shapes++
      names.add(label)
    }
    const media = [item.image, item.media].find(isRecord)
    const path = textOr(media?.path) || `${item.id}.jpg`
    const places = [`images/${split}/${path}`, `images/${path}`, path]
    const unknown = ignoredOf(item, declared, at)
    const of = splitOf(split)
    return [{ at, names: [...names], places, ...(unknown.length > 0 && { unknown }), ...(of && { split: of }) }]
  })
  if (shapes > 0) notes.push(`${name}: ${shapes} boxes and shapes count as labels of the whole image`)
  return { declared, ...(tree && { tree }), items, notes }
}

/** Labels that an item's attribute `ignored_labels` names, or counts by place. */
function ignoredOf(item: Record<string, unknown>, declared: readonly string[], at: string): string[] {
  const list = isRecord(item.attr) ? listOf(item.attr.ignored_labels) : []
  return list.map((label) => {
    const name = typeof label === 'number' ? declared[label] : declared.find((one) => one === labelName(textOr(label)))
    if (name === undefined) throw new InputError(`${at}: ignored_labels must be labels, got ${JSON.stringify(label)}`)
    return name
  })
}
