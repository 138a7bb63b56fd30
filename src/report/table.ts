// The results as text for a terminal: one block a data set, then the average. Not the page's table.
import type { ExperimentResult } from './experiment-result.ts'
import { bytes, count, methodName, metricName, percent, plain, seconds, share } from './format.ts'
import { blocksOf, type MethodSummary } from './summarise.ts'

function row(summary: MethodSummary, columns: number): string[] {
  const part = share(summary.trainable, summary.total)
  const second = summary.second === undefined ? '' : percent(summary.second)
  return [
    `  ${plain(methodName(summary.method))}`,
    percent(summary.score, summary.spread),
    ...(columns > 1 ? [second] : []),
    `${count(summary.trainable)} (${part})`,
    bytes(summary.peakBytes),
    seconds(summary.seconds),
  ]
}

/**
 * The results table: scores with the spread of the first over seeds, trainable parameters, peak memory and seconds of a
 * run, by data set, and on average over those that are judged alike. Names of metrics stand in the head where all blocks
 * have the same, else in each block. With `color`, the best method of a block is bold and heads are dim (ANSI). No newline
 * at the end.
 */
export function renderTable(result: ExperimentResult, options: { color?: boolean } = {}): string {
  const style = (code: number, text: string) => (options.color ? `\u001b[${code}m${text}\u001b[0m` : text)
  const blocks = blocksOf(result)
  const columns = Math.max(...blocks.map(({ metrics }) => Math.min(2, metrics.length)))
  const alike = new Set(blocks.map(({ metrics }) => metrics.slice(0, 2).join())).size === 1
  const names = (metrics: readonly string[]) =>
    Array.from({ length: columns }, (_, i) => (metrics[i] === undefined ? '' : metricName(metrics[i])))
  const scores = alike ? names(blocks[0]!.metrics) : names([])
  // Two scores leave less room in 80 columns.
  const rest =
    columns > 1 ? ['trainable', 'memory', 'time a run'] : ['trainable parameters', 'peak memory', 'time a run']
  const heads = ['', ...scores, ...rest]
  const cells = blocks.map(({ summaries }) => summaries.map((summary) => row(summary, columns)))
  const widths = heads.map((head, i) => Math.max(head.length, ...cells.flat().map((line) => line[i]!.length)))
  // Names are flush left, numbers flush right.
  const align = (line: string[]) =>
    line
      .map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
      .join('  ')
      .trimEnd()
  // A long title reaches into the column of the first score, whose name is short.
  const headed = (title: string, [first = '', ...others]: string[]) => {
    const room = Math.max(title.length + 2, widths[0]! + 2 + widths[1]! - first.length)
    return [`${title.padEnd(room)}${first}`, ...others.map((name, i) => name.padStart(widths[i + 2]!))].join('  ')
  }
  const lines = [style(2, align(heads))]
  for (const [i, { title, metrics, summaries }] of blocks.entries()) {
    lines.push(alike ? plain(title) : headed(plain(title), names(metrics)))
    const top = Math.max(...summaries.map((summary) => summary.score))
    for (const [j, summary] of summaries.entries()) {
      const line = align(cells[i]![j]!)
      lines.push(summary.score === top && summaries.length > 1 ? style(1, line) : line)
    }
  }
  return lines.join('\n')
}
