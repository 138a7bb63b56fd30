// The report's tables, legend and conditions. The charts and the page around them are elsewhere.
import type { Look } from './charts/chart.ts'
import { type ExperimentResult, type ExperimentRun, scoreOf } from './experiment-result.ts'
import { bytes, count, methodName, metricName, metricsSay, metricTitle, percent, seconds, share } from './format.ts'
import { type Html, html, trusted } from './html.ts'
import { blocksOf, kindsOf, type MethodSummary } from './summarise.ts'

// Marks about 11 px across, centred at (14, 6), as the charts draw them.
const shapes: Record<string, string> = {
  circle: '<circle cx="14" cy="6" r="4.6"/>',
  square: '<rect x="9.8" y="1.8" width="8.4" height="8.4"/>',
  'triangle-up': '<path d="M14,1l5,9.5h-10Z"/>',
  'triangle-down': '<path d="M14,11l-5,-9.5h10Z"/>',
  'triangle-left': '<path d="M9,6l9.5,-5v10Z"/>',
  'triangle-right': '<path d="M19,6l-9.5,-5v10Z"/>',
  diamond: '<path d="M14,0.5l5,5.5l-5,5.5l-5,-5.5Z"/>',
  cross: '<path d="M12.2,1h3.6v3.2h3.2v3.6h-3.2v3.2h-3.6v-3.2h-3.2v-3.6h3.2Z"/>',
}

/** The methods with their line and mark, as a list. `className` `narrow` is shown on a phone only. */
export function legend(looks: Map<string, Look>, className: string): Html {
  const items = [...looks].map(
    ([method, { color, shape, dash }]) =>
      html`<li><svg width="28" height="12" viewBox="0 0 28 12" aria-hidden="true"><path d="M0,6h28" fill="none" stroke="${color}" stroke-width="2" stroke-dasharray="${dash.join(' ') || 'none'}"/><g fill="${color}">${trusted(shapes[shape]!)}</g></svg>${methodName(method)}</li>`,
  )
  return html`<ul class="legend ${className}">${items}</ul>`
}

function row(summary: MethodSummary, best: boolean, color: string, columns: number): Html {
  const part = share(summary.trainable, summary.total)
  const second = summary.second === undefined ? '' : percent(summary.second)
  return html`<tr class="${best ? 'best' : ''}"><th scope="row"><span class="swatch" style="background:${color}"></span>${methodName(summary.method)}</th>
<td>${percent(summary.score, summary.spread)}</td>${columns > 1 ? html`<td>${second}</td>` : ''}<td>${count(summary.trainable)} <span class="share">(${part})</span></td><td>${bytes(summary.peakBytes)}</td><td>${seconds(summary.seconds)}</td></tr>
`
}

/**
 * Scores, trainable parameters, memory and time by data set, and on average over those that are judged alike; the best
 * of a block is bold. Names of metrics stand in the head where all blocks have the same, else in each block.
 */
export function resultsTable(result: ExperimentResult, looks: Map<string, Look>): Html {
  const blocks = blocksOf(result)
  const columns = Math.max(...blocks.map(({ metrics }) => Math.min(2, metrics.length)))
  const alike = new Set(blocks.map(({ metrics }) => metrics.slice(0, 2).join())).size === 1
  const names = (metrics: readonly string[]) =>
    Array.from({ length: columns }, (_, i) => (metrics[i] === undefined ? '' : metricTitle(metrics[i])))
  const bodies = blocks.map(({ title: given, average, metrics, summaries }) => {
    const title = average ? given.replace('a', 'A') : given
    const top = Math.max(...summaries.map((s) => s.score))
    const rows = summaries.map((s) =>
      row(s, s.score === top && summaries.length > 1, looks.get(s.method)!.color, columns),
    )
    const head = alike
      ? html`<th class="group" colspan="${4 + columns}" scope="rowgroup">${title}</th>`
      : html`<th class="group" scope="rowgroup">${title}</th>${names(metrics).map((name) => html`<th class="group" scope="col">${name}</th>`)}<td class="group" colspan="3"></td>`
    return html`<tbody><tr>${head}</tr>
${rows}</tbody>`
  })
  const scores = alike ? names(blocks[0]!.metrics) : Array.from({ length: columns }, () => '')
  const said = alike ? metricTitle(blocks[0]!.metrics[0]!) : 'The first score of a data set'
  return html`<section><h2>Results</h2>
<p class="note">${said} on test images with its standard deviation over seeds; the largest peak memory; the mean seconds of a run.${metricsSay(blocks.flatMap(({ metrics }) => metrics))}</p>
<div class="scroll" role="region" aria-label="Results" tabindex="0"><table><thead><tr><th scope="col">Method</th>${scores.map((name) => (name ? html`<th scope="col">${name}</th>` : html`<td></td>`))}<th scope="col">Trainable parameters</th><th scope="col">Peak memory</th><th scope="col">Time</th></tr></thead>
${bodies}</table></div></section>
`
}

/** `2026-11-22T12:30:05Z` as `2026-11-22 12:30 UTC`; what is no such time stays as it came. */
export function when(created: string): string {
  const time = new Date(created)
  return Number.isNaN(time.getTime()) ? created : `${time.toISOString().slice(0, 16).replace('T', ' ')} UTC`
}

const distinct = (values: number[]) => [...new Set(values)].join(', ')

/** Everything needed to repeat the experiment: model, data, hyper-parameters, machine, command. */
export function conditions(result: ExperimentResult): Html {
  const facts: [string, string][] = [
    ['Made', when(result.created)],
    ['Model', `${result.model.name}, ${count(result.model.parameters)} parameters. ${result.model.source}`],
    ...result.datasets.map(({ name, source, classes, train, test, task }): [string, string] => [
      `Data: ${name}`,
      `${task === undefined ? '' : `${task[0]!.toUpperCase()}${task.slice(1)}. `}${classes} classes, ${count(train)} training and ${count(test)} test images. ${source}`,
    ]),
    ...(result.training === undefined ? [] : [['Training', result.training] as [string, string]]),
    ['Seeds', distinct(result.runs.map((run) => run.seed))],
    ...Object.entries(result.machine),
  ]
  const methods = result.methods.map((method) => {
    const runs = result.runs.filter((run) => run.method === method)
    if (runs.length === 0) return html`<tr><th scope="row">${methodName(method)}</th><td colspan="2">no runs</td></tr>`
    const [lr, epochs] = [distinct(runs.map((run) => run.lr)), distinct(runs.map((run) => run.epochs))]
    return html`<tr><th scope="row">${methodName(method)}</th><td>${lr}</td><td>${epochs}</td></tr>`
  })
  return html`<section><h2>Conditions</h2>
<dl>${facts.map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl>
<div class="scroll" role="region" aria-label="Learning rates" tabindex="0"><table><thead><tr><th scope="col">Method</th><th scope="col">Learning rate</th><th scope="col">Epochs</th></tr></thead><tbody>${methods}</tbody></table></div>
<h3>To repeat it</h3><pre><code>${result.command}</code></pre></section>
`
}

/** Every run as it was measured, behind a disclosure. */
export function runsTable(result: ExperimentResult): Html {
  const kinds = kindsOf(result)
  const alike = kinds.length === 1
  const metricOf = (run: ExperimentRun) => kinds.find(({ datasets }) => datasets.includes(run.dataset))!.metrics[0]!
  const score = alike ? metricTitle(kinds[0]!.metrics[0]!) : 'Score'
  const heads = ['Method', 'Data set', 'Seed', score, 'Trainable', 'Total', 'Peak memory', 'Seconds']
  const rows = result.runs.map((r) => {
    const metric = metricOf(r)
    const value = `${(100 * scoreOf(r, metric)).toFixed(2)} %`
    return html`<tr><th scope="row">${methodName(r.method)}</th><td>${r.dataset}</td><td>${r.seed}</td><td>${alike ? value : `${metricName(metric)} ${value}`}</td><td>${count(r.trainable)}</td><td>${count(r.total)}</td><td>${bytes(r.peakBytes)}</td><td>${r.seconds.toFixed(1)}</td></tr>
`
  })
  return html`<section><details><summary>Every run (${result.runs.length})</summary>
<div class="scroll" role="region" aria-label="Every run" tabindex="0"><table><thead><tr>${heads.map((head) => html`<th scope="col">${head}</th>`)}</tr></thead><tbody>
${rows}</tbody></table></div></details></section>
`
}
