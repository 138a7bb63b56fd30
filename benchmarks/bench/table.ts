// A result as text: tables for a terminal, and the Markdown of the README's performance section.
import { type BenchResult, type Check, met, type Row, type Section, type Spread, type Table } from './result.ts'

/** Three digits or so: 1234, 123, 12.3, 1.23, 0.123. */
export function digits(value: number): string {
  if (value >= 1000) return Math.round(value).toLocaleString('en-US')
  return value >= 100
    ? value.toFixed(0)
    : value >= 10
      ? value.toFixed(1)
      : value >= 1
        ? value.toFixed(2)
        : value.toFixed(3)
}

/** Columns flush left, then right. No newline at the end. */
export function columns(rows: readonly (readonly string[])[]): string {
  const count = Math.max(...rows.map((row) => row.length))
  const widths = Array.from({ length: count }, (_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)))
  return rows
    .map((row) =>
      row
        .map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

const range = ({ p10, p90, runs }: Spread) => (runs === 1 ? '' : `${digits(p10)} to ${digits(p90)}`)

/** The rows of one subject: the fastest of vitune's counts as 1. */
function relative(row: Row, all: readonly Row[]): string {
  const alike = all.filter((other) => other.what === row.what && other.unit === row.unit)
  const ours = alike.filter((other) => other.who.startsWith('vitune'))
  if (ours.length === 0 || alike.length === 1) return ''
  const medians = ours.map(({ spread }) => spread.median)
  const best = row.more ? Math.max(...medians) : Math.min(...medians)
  return `${digits(row.spread.median / best)} x`
}

/** Rows by what was done and counted. */
function subjectsOf(rows: readonly Row[]): (readonly [string, readonly Row[]])[] {
  const subjects = new Map<string, Row[]>()
  for (const row of rows) {
    const subject = `${row.what}\n${row.unit}`
    subjects.set(subject, [...(subjects.get(subject) ?? []), row])
  }
  return [...subjects.values()].map((some) => [some[0]!.what, some])
}

/** Measured rows. */
function rowsText(rows: readonly Row[]): string {
  const head = ['', 'median', 'unit', 'p10 to p90', 'runs', 'of vitune']
  const body = subjectsOf(rows).flatMap(([what, some]) => [
    [what],
    ...some.map((row) => {
      const { median, runs } = row.spread
      return [`  ${row.who}`, digits(median), row.unit, range(row.spread), String(runs), relative(row, rows)]
    }),
  ])
  return columns([head, ...body])
}

const tableText = ({ title, head, rows }: Table) => `${title}\n${columns([head, ...rows])}`

/** `0.48 x (at most 0.50 x)`. */
export const checkText = ({ value, limit, atMost, unit }: Check) =>
  `${digits(value)} ${unit} (${atMost ? 'at most' : 'at least'} ${digits(limit)} ${unit})`

/** Where a target's value lay by round, if it is a median of rounds. */
export const checkRange = ({ spread }: Check) => (spread ? range(spread) : '')

/** The targets with their marks. */
function checksText(checks: readonly Check[]): string {
  return columns(
    checks.map((check) => [`${met(check) ? 'pass' : 'FAIL'}  ${check.what}`, checkText(check), checkRange(check)]),
  )
}

/** One section as text. */
export function sectionText({ title, rows, checks, tables, notes }: Section): string {
  const parts = [title]
  if (rows.length > 0) parts.push(rowsText(rows))
  parts.push(...tables.map(tableText))
  if (checks.length > 0) parts.push(`Targets\n${checksText(checks)}`)
  if (notes.length > 0) parts.push(notes.map((note) => `Note: ${note}`).join('\n'))
  return parts.join('\n\n')
}

const markdownTable = (head: readonly string[], rows: readonly (readonly string[])[]) =>
  [head, head.map((_, i) => (i === 0 ? '---' : '---:')), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n')

const machineLine = ({ machine, versions, created }: BenchResult) =>
  `${machine.processor}, ${machine.runtime}, ${created.slice(0, 10)}. ${Object.entries(versions)
    .map(([name, version]) => `${name} ${version}`)
    .join(', ')}.`

/** What README shows of a section: one line a subject, one column a contender. */
function sectionMarkdown({ title, rows }: Section): string {
  const who = [...new Set(rows.map((row) => row.who))]
  const body = subjectsOf(rows).map(([what, some]) => {
    const cells = who.map((name) => {
      const row = some.find((other) => other.who === name)
      return row ? digits(row.spread.median) : ''
    })
    return [`${what} (${some[0]!.unit})`, ...cells]
  })
  return `${title}:\n\n${markdownTable(['', ...who], body)}`
}

/** The README's performance section from a result: machine and versions, a table a section, then the targets. */
export function readmeMarkdown(result: BenchResult): string {
  const apart = ['matmul', 'growth', 'targets']
  const shown = result.sections.filter(({ name, rows }) => rows.length > 0 && !apart.includes(name))
  const matmul = result.sections.find(({ name }) => name === 'matmul')
  const products = matmul && {
    ...matmul,
    title: 'Matrix product of 2056 x 384 x 1536, GFLOP/s',
    rows: matmul.rows.filter((row) => row.what === '2056 x 384 x 1536'),
  }
  const byWho = products?.rows.map((row) => [row.who, digits(row.spread.median), range(row.spread)])
  const checks = result.sections.flatMap((section) => section.checks)
  const targets = checks.map((check) => [check.what, checkText(check), checkRange(check), met(check) ? 'yes' : 'no'])
  return [
    `${machineLine(result)} Medians of interleaved runs${result.quick ? ', few of them' : ''}, f32${result.complete ? '' : '; stopped before its end'}.`,
    ...(byWho && byWho.length > 0
      ? [`${products!.title}:\n\n${markdownTable(['', 'median', 'p10 to p90'], byWho)}`]
      : []),
    ...shown.map(sectionMarkdown),
    ...(targets.length > 0 ? [`Targets:\n\n${markdownTable(['', 'measured', 'p10 to p90', 'met'], targets)}`] : []),
  ].join('\n\n')
}

const begin = '<!-- bench:begin, written by npm run bench -- readme -->'
const end = '<!-- bench:end -->'

/** `text` with what stands between the markers replaced. Throws where the markers are missing. */
export function putBetweenMarkers(text: string, markdown: string): string {
  const [from, to] = [text.indexOf(begin), text.indexOf(end)]
  if (from < 0 || to < from) throw new Error(`readme: needs the lines ${begin} and ${end}`)
  return `${text.slice(0, from + begin.length)}\n${markdown}\n${text.slice(to)}`
}
