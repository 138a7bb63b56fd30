// A table of labels, however it is written: a column of paths, then a column of labels (several rows an image, or `a;b`), or
// one column a label with 1, 0, and -1 or nothing for what nobody looked for; and perhaps a column of splits.
import { InputError } from '../../platform/errors.ts'
import { listed } from '../../platform/listed.ts'
import { type Split, splitOf } from '../split-folders.ts'
import { labelName } from './source.ts'

/** Rows by column; cells are text, or what JSON has. */
export interface Table {
  /** The file. */
  readonly name: string
  readonly columns: readonly string[]
  readonly rows: readonly { readonly at: string; readonly cells: readonly unknown[] }[]
}

/** What a table says of one image. */
export interface TableItem {
  /** The path as it is written. */
  readonly file: string
  readonly at: string
  readonly names: readonly string[]
  readonly unknown?: readonly string[]
  readonly split?: Split
}

/** A table that was understood. */
export interface TableLabels {
  readonly items: readonly TableItem[]
  /** The labels, where each has a column. */
  readonly declared?: readonly string[]
  readonly notes: readonly string[]
}

const pathColumns = ['path', 'file', 'file_name', 'filename', 'image']
const labelColumns = ['label', 'labels', 'class', 'category']
const unknownColumns = ['unknown']
const splitColumns = ['split', 'subset']

const isText = (cell: unknown): cell is string | number => typeof cell === 'string' || typeof cell === 'number'
const textOf = (cell: unknown): string => (isText(cell) ? String(cell).trim() : '')

/** The first column that has one of the names, in any case. */
function columnOf(columns: readonly string[], names: readonly string[]): number {
  const own = columns.map((column) => column.trim().toLowerCase())
  const name = names.find((name) => own.includes(name))
  return name === undefined ? -1 : own.indexOf(name)
}

type Mark = 'there' | 'absent' | 'unknown'
const marks = new Map<unknown, Mark>([
  ...['1', '1.0', 'true', 1, true].map((cell) => [cell, 'there'] as const),
  ...['0', '0.0', 'false', 0, false].map((cell) => [cell, 'absent'] as const),
  ...['-1', '-1.0', '', -1, null, undefined].map((cell) => [cell, 'unknown'] as const),
])
const markOf = (cell: unknown): Mark | undefined =>
  marks.get(typeof cell === 'string' ? cell.trim().toLowerCase() : cell)

const isMarked = (cell: unknown) => ['there', 'absent'].includes(markOf(cell) ?? '')

/** Whether a table has paths and any labels: other tools keep captions and sizes beside images too. */
export function hasLabels({ columns, rows }: Table): boolean {
  const taken = [pathColumns, splitColumns].map((names) => columnOf(columns, names))
  if (taken[0]! < 0) return false
  if (columnOf(columns, labelColumns) >= 0) return true
  return columns.some((_, column) => !taken.includes(column) && rows.some(({ cells }) => isMarked(cells[column])))
}

/** Names in a cell: of a list each, of text what stands between semicolons. */
function namesIn(cell: unknown, at: string): string[] {
  if (cell === null || cell === undefined) return []
  const parts = Array.isArray(cell) ? cell : isText(cell) ? String(cell).split(';') : [cell]
  const wrong = parts.find((part) => !isText(part))
  if (wrong !== undefined) {
    throw new InputError(`${at}: labels must be text or a list of it, got ${JSON.stringify(wrong)}`)
  }
  return parts.map((part) => labelName(String(part))).filter((name) => name !== '')
}

function splitIn(cell: unknown, at: string): Split | undefined {
  const text = textOf(cell)
  if (text === '') return undefined
  const split = splitOf(text)
  if (split === undefined) throw new InputError(`${at}: split must be train, val or test, got ${JSON.stringify(text)}`)
  return split
}

/** Columns of marks, those that hold none, and an error for one that holds both. */
function markColumns({ name, columns, rows }: Table, taken: readonly number[]): { labels: number[]; rest: number[] } {
  const [labels, rest]: number[][] = [[], []]
  for (const column of columns.keys()) {
    if (taken.includes(column)) continue
    // A table that numbers its rows (pandas) calls that column nothing.
    if (labelName(columns[column]!) === '') {
      rest!.push(column)
      continue
    }
    const odd = rows.find(({ cells }) => markOf(cells[column]) === undefined)
    const marked = rows.some(({ cells }) => isMarked(cells[column]))
    if (!odd) labels!.push(column)
    else if (!marked) rest!.push(column)
    else {
      const got = textOf(odd.cells[column]) || JSON.stringify(odd.cells[column])
      throw new InputError(
        `${odd.at}: column ${columns[column]} must hold 1, 0, and -1 or nothing for unknown, got ${got}; take the column out where it is no label`,
      )
    }
  }
  if (labels!.length === 0) {
    throw new InputError(
      `${name}: must have a column ${labelColumns.join(', ')}, or one column of 0 and 1 a label, got ${listed(columns)}`,
    )
  }
  return { labels: labels!, rest: rest! }
}

/** One item an image: rows of the same path are joined. */
function joinedByPath(items: readonly TableItem[], sameRows: boolean): TableItem[] {
  const byPath = new Map<string, TableItem>()
  const said = new Map<string, { names: Set<string>; unknown: Set<string> }>()
  for (const item of items) {
    const key = item.file.normalize('NFC')
    const before = byPath.get(key)
    if (before === undefined) {
      byPath.set(key, item)
      said.set(key, { names: new Set(item.names), unknown: new Set(item.unknown) })
      continue
    }
    if (before.split !== item.split) {
      const splits = `${before.split ?? 'no split'} and ${item.split ?? 'no split'}`
      throw new InputError(`${item.at}: an image must be in one split, got ${item.file} in ${splits}; keep one of them`)
    }
    if (sameRows && JSON.stringify([before.names, before.unknown]) !== JSON.stringify([item.names, item.unknown])) {
      throw new InputError(`${item.at}: ${item.file} must have the same labels in each of its rows; keep one row`)
    }
    for (const name of item.names) said.get(key)!.names.add(name)
    for (const name of item.unknown ?? []) said.get(key)!.unknown.add(name)
  }
  return [...byPath].map(([key, { unknown: _, ...item }]) => {
    const { names, unknown } = said.get(key)!
    // What one row says is there is known.
    const left = [...unknown].filter((name) => !names.has(name))
    return { ...item, names: [...names], ...(left.length > 0 && { unknown: left }) }
  })
}

/** Understands a table. Throws an InputError that names the line. */
export function tableLabels(table: Table): TableLabels {
  const { name, columns, rows } = table
  const [path, label, split] = [pathColumns, labelColumns, splitColumns].map((names) => columnOf(columns, names)) as [
    number,
    number,
    number,
  ]
  if (path < 0) {
    throw new InputError(`${name}: must have a column ${pathColumns.join(', ')} with paths, got ${listed(columns)}`)
  }
  if (rows.length === 0) throw new InputError(`${name}: must have a row for each image, got none`)
  const byLabel = label < 0 ? markColumns(table, [path, split]) : undefined
  const declared = byLabel?.labels.map((column) => labelName(columns[column]!))
  const twice = declared?.find((name, i) => declared.indexOf(name) !== i)
  if (twice !== undefined) throw new InputError(`${name}: one column a label is wanted, got two called ${twice}`)
  // Beside a column of labels, what nobody looked for may have one.
  const unlooked = byLabel ? -1 : columnOf(columns, unknownColumns)
  const rest = byLabel?.rest ?? [...columns.keys()].filter((column) => ![path, label, split, unlooked].includes(column))
  const items = rows.map(({ at, cells }): TableItem => {
    const file = textOf(cells[path])
    if (file === '') throw new InputError(`${at}: must have a path in column ${columns[path]}, got none`)
    const of = splitIn(cells[split], at)
    const said = { file, at, ...(of && { split: of }) }
    if (!byLabel || !declared) {
      const names = [...new Set(namesIn(cells[label], at))]
      const unknown = [...new Set(namesIn(cells[unlooked], at))].filter((name) => !names.includes(name))
      return { ...said, names, ...(unknown.length > 0 && { unknown }) }
    }
    const marked = (mark: Mark) => declared.filter((_, i) => markOf(cells[byLabel.labels[i]!]) === mark)
    const unknown = marked('unknown')
    return { ...said, names: marked('there'), ...(unknown.length > 0 && { unknown }) }
  })
  const notes =
    rest.length > 0
      ? [`${name}: ${listed(rest.map((column) => columns[column]!.trim() || 'a column without a name'))} not read`]
      : []
  return { items: joinedByPath(items, byLabel !== undefined), ...(declared && { declared }), notes }
}
