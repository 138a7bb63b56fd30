// The results as text for a terminal: one block a data set, then the average. Not the page's table.
import type { ExperimentResult } from './experiment-result.ts'
import { bytes, count, methodName, percent, plain, seconds, share } from './format.ts'
import { type MethodSummary, summarise } from './summarise.ts'

const heads = ['', 'accuracy', 'trainable parameters', 'peak memory', 'time a run']

function row(summary: MethodSummary): string[] {
  const part = share(summary.trainable, summary.total)
  return [
    `  ${plain(methodName(summary.method))}`,
    percent(summary.accuracy, summary.spread),
    `${count(summary.trainable)} (${part})`,
    bytes(summary.peakBytes),
    seconds(summary.seconds),
  ]
}

/**
 * The results table: accuracy with its spread over seeds, trainable parameters, peak memory and seconds of a run, by data
 * set and on average. With `color`, the most accurate method of a block is bold and heads are dim (ANSI). No newline at
 * the end.
 */
export function renderTable(result: ExperimentResult, options: { color?: boolean } = {}): string {
  const style = (code: number, text: string) => (options.color ? `\u001b[${code}m${text}\u001b[0m` : text)
  const titles = result.datasets.map((dataset) => dataset.name)
  const blocks = titles.map((name) => ({ title: plain(name), summaries: summarise(result, name) }))
  if (blocks.length > 1) blocks.push({ title: `average of ${blocks.length} data sets`, summaries: summarise(result) })
  const filled = blocks.filter((block) => block.summaries.length > 0)
  const cells = filled.map((block) => block.summaries.map(row))
  const widths = heads.map((head, i) => Math.max(head.length, ...cells.flat().map((line) => line[i]!.length)))
  // Names are flush left, numbers flush right.
  const align = (line: string[]) =>
    line
      .map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
      .join('  ')
      .trimEnd()
  const lines = [style(2, align(heads))]
  for (const [i, { title, summaries }] of filled.entries()) {
    lines.push(title)
    const top = Math.max(...summaries.map((summary) => summary.accuracy))
    for (const [j, summary] of summaries.entries()) {
      const line = align(cells[i]![j]!)
      lines.push(summary.accuracy === top && summaries.length > 1 ? style(1, line) : line)
    }
  }
  return lines.join('\n')
}
