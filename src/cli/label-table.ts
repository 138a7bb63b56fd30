// How each label did, as lines of a table that is still read where there are a hundred labels. --json has all of it.
import type { LabelSpace } from '../labels/labels.ts'
import type { LabelRow } from '../tasks/task.ts'
import { oneLine, percent, plural, table } from './format.ts'

/** From more labels on than this, only those are shown that did worst. */
const most = 24
const worst = 12

/** Names that are longer are cut, from the left: what tells labels of a tree apart stands at the end. */
const longest = 40
export const labelName = (label: string): string => {
  const text = oneLine(label)
  return text.length > longest ? `…${text.slice(1 - longest)}` : text
}

/**
 * A heading where there are too many rows, and the rows: as they are, or those of the worst labels that have images, worst
 * first. `value` is what a row is judged by; undefined where no image has its label.
 */
export function labelRows<T>(
  rows: readonly T[],
  value: (row: T) => number | undefined,
  what: string,
): { heading: string; rows: readonly T[] } {
  if (rows.length <= most) return { heading: '', rows }
  const judged = rows.flatMap((row) => {
    const is = value(row)
    return is === undefined ? [] : [{ row, is }]
  })
  const none = rows.length - judged.length
  const shown = judged.toSorted((a, b) => a.is - b.is).slice(0, worst)
  const without = none > 0 ? `; ${plural(none, 'label')} ${none === 1 ? 'has' : 'have'} no image here` : ''
  return {
    heading: `The ${shown.length} of ${rows.length} with the lowest ${what}${without} (all: --json)\n`,
    rows: shown.map(({ row }) => row),
  }
}

/** Labels of a tree from the root down, each before what is below it; others as they are. */
function inOrder(rows: readonly LabelRow[], { parents }: Pick<LabelSpace, 'parents'>): LabelRow[] {
  const below = (parent: number): LabelRow[] =>
    rows.flatMap((row, i) => (parents[i] === parent ? [row, ...below(i)] : []))
  return below(-1)
}

/** How each label did. */
export function labelTable(byLabel: readonly LabelRow[], labels: Pick<LabelSpace, 'parents'>): string {
  const { heading, rows } = labelRows(
    inOrder(byLabel, labels),
    ({ positives, f1 }) => (positives > 0 ? f1 : undefined),
    'F1',
  )
  const [hasAp, hasThreshold] = (['ap', 'threshold'] as const).map((field) =>
    byLabel.some((row) => row[field] !== undefined),
  )
  const head = ['label', 'images', 'precision', 'recall', 'F1']
  const lines = rows.map(({ label, positives, precision, recall, f1, ap, threshold }) => {
    // Where no image has it, only what was found wrongly could be told.
    const shares = positives > 0 ? [precision, recall, f1].map(percent) : ['no images', '', '']
    return [
      ...[labelName(label), String(positives), ...shares],
      ...(hasAp ? [ap === undefined || positives === 0 ? '' : percent(ap)] : []),
      ...(hasThreshold ? [threshold === undefined ? '' : threshold.toFixed(2)] : []),
    ]
  })
  const columns = [...head, ...(hasAp ? ['AP'] : []), ...(hasThreshold ? ['threshold'] : [])]
  return `${heading}${table([columns, ...lines], [1, 2, 3, 4, 5, 6])}`
}
