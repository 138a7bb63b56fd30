// CSV as RFC 4180 and spreadsheets write it: quotes, and commas, semicolons or tabs between cells.
import Papa from 'papaparse'
import { InputError } from '../../platform/errors.ts'
import type { Table } from './table.ts'

/** What stands between cells: the first line tells. */
function delimiterOf(text: string): string {
  const end = text.search(/[\r\n]/)
  const first = (end < 0 ? text : text.slice(0, end)).replace(/"[^"]*"/g, '')
  return first.includes('\t') ? '\t' : first.includes(',') || !first.includes(';') ? ',' : ';'
}

const reasons: Readonly<Record<string, string>> = {
  MissingQuotes: 'a quote that does not end',
  InvalidQuotes: 'text after a quote that ended',
}

/** The line that each row begins in: cells may have line breaks in them. */
function linesOf(rows: readonly (readonly string[])[]): number[] {
  let line = 1
  return rows.map((cells) => {
    const start = line
    line += 1 + cells.reduce((sum, cell) => sum + (cell.match(/\r\n|\n|\r/g)?.length ?? 0), 0)
    return start
  })
}

/** The rows of CSV text whose first line has the columns. Throws an InputError that names the line. */
export function csvTable(text: string, name: string): Table {
  const { data, errors } = Papa.parse<string[]>(text, { delimiter: delimiterOf(text) })
  const lines = linesOf(data)
  const [error] = errors
  if (error) {
    const line = lines[error.row ?? 0] ?? lines.length
    throw new InputError(`${name}, line ${line}: must be a row of CSV, got ${reasons[error.code] ?? error.message}`)
  }
  const rows = data
    .map((cells, i) => ({ at: `${name}, line ${lines[i]}`, cells }))
    .filter(({ cells }) => cells.some((cell) => cell.trim() !== ''))
  const [head, ...rest] = rows
  if (!head) throw new InputError(`${name}: must have a first line with the names of its columns, got an empty file`)
  const columns = head.cells
  const odd = rest.find(({ cells }) => cells.length !== columns.length)
  if (odd) {
    const got = `${odd.cells.length} cells, where the first line has ${columns.length}`
    throw new InputError(`${odd.at}: must be a row of CSV, got ${got}; quote cells that have a delimiter in them`)
  }
  return { name, columns, rows: rest }
}
