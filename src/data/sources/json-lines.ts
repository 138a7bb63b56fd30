// JSON lines: an object a line, whose keys are the columns.
import { isRecord, parseJson } from '../../io/json.ts'
import { InputError } from '../../platform/errors.ts'
import type { Table } from './table.ts'

/** The rows of JSON lines. Throws an InputError that names the line. */
export function jsonLinesTable(text: string, name: string): Table {
  const columns = new Map<string, number>()
  const rows: { at: string; cells: unknown[] }[] = []
  for (const [i, line] of text
    .replace(/^\ufeff/, '')
    .split('\n')
    .entries()) {
    if (line.trim() === '') continue
    const at = `${name}, line ${i + 1}`
    const row = parseJson(line, at)
    if (!isRecord(row)) throw new InputError(`${at}: must be an object in JSON, got ${line.trim().slice(0, 40)}`)
    const cells: unknown[] = []
    for (const [key, value] of Object.entries(row)) {
      if (!columns.has(key)) columns.set(key, columns.size)
      cells[columns.get(key)!] = value
    }
    rows.push({ at, cells })
  }
  if (rows.length === 0) throw new InputError(`${name}: must have an object a line, got an empty file`)
  return { name, columns: [...columns.keys()], rows }
}
