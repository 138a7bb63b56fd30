// Runs as one HTML file: what each reached, how its training went, its labels, its settings and what was left out. Nothing in it
// is loaded from elsewhere and no script runs. The comparison of an experiment is html-report.ts.

import type { RateTest } from '../train/find-rate.ts'
import { draw, type Look, lookOf } from './charts/chart.ts'
import { type Line, type RunChart, runLines, thinned } from './charts/run-lines.ts'
import { bytes, count, methodName, metricName, metricTitle, percent, seconds, share } from './format.ts'
import { escapeHtml, type Html, html, trusted } from './html.ts'
import { when } from './html-parts.ts'
import type { RunResult, ShownSetting } from './run-result.ts'
import { style } from './style.ts'

/** Training is one colour, validation another, all through the page; runs beside each other have one each. */
const training: Look = { ...lookOf(1), dash: [] }
const validation: Look = { ...lookOf(2), shape: 'circle', dash: [] }

const plural = (n: number, noun: string) => `${count(n)} ${noun}${n === 1 ? '' : 's'}`
const scoreText = (name: string, value: number) => (name === 'loss' ? value.toFixed(4) : percent(value))
const byMonitor = ({ monitor, metrics: { epochs } }: RunResult) =>
  epochs.flatMap(({ epoch, valLoss, metrics }) => {
    const value = monitor === 'loss' ? valLoss : metrics[monitor]
    return value === undefined ? [] : [{ epoch, value, loss: valLoss ?? 0 }]
  })

/** The best epoch by what chose it, as far as metrics.jsonl tells: among equals that of the lowest loss, as training has it. */
function bestOf(run: RunResult): { epoch: number; value: number } | undefined {
  const sign = run.monitor === 'loss' ? -1 : 1
  const [first, ...others] = byMonitor(run)
  const better = (one: typeof first & object, best: typeof first & object) =>
    one.value === best.value ? one.loss < best.loss : sign * one.value > sign * best.value
  return first && others.reduce((best, one) => (better(one, best) ? one : best), first)
}

/** The folder at the end of a path, which is what tells models and data apart. */
const lastOf = (path: string) =>
  path
    .split(/[\\/]/)
    .filter((part) => part !== '')
    .at(-1) ?? path
const modelOf = ({ model }: RunResult) => (/^([\\/]|[A-Za-z]:[\\/])/.test(model) ? lastOf(model) : model)
const titleOf = (run: RunResult) => `${methodName(run.method)} on ${modelOf(run)}`

/** What came of it, in sentences. */
function wordsOf(run: RunResult): string[] {
  const { monitor, metrics, images, rates, skipped, duplicates } = run
  const best = bestOf(run)
  const done = metrics.epochs.at(-1)?.epoch ?? 0
  const of = done < run.epochs ? `${plural(done, 'epoch')} of ${run.epochs}` : plural(done, 'epoch')
  const reached = best
    ? `The best ${metricName(monitor)} is ${scoreText(monitor, best.value)}, in epoch ${best.epoch}; ${of} ${done === 1 ? 'was' : 'were'} trained.`
    : `No epoch was measured on validation images; ${of} ${done === 1 ? 'was' : 'were'} trained.`
  const ends: Readonly<Record<string, string>> = {
    patience: `It ended early, since ${metricName(monitor)} no longer got better.`,
    signal: 'It was stopped and can go on with train --resume.',
  }
  const ended = run.finished ? ends[run.ended ?? ''] : 'It has not ended; train --resume goes on with it.'
  const part =
    run.trainable !== undefined && run.total
      ? `${share(run.trainable, run.total)} of its ${count(run.total)} parameters`
      : 'It'
  const cost =
    run.seconds === undefined
      ? undefined
      : `${part === 'It' ? 'It' : `${methodName(run.method)} trained ${part} and`} took ${seconds(run.seconds)}${run.peakBytes === undefined ? '' : ` and ${bytes(run.peakBytes)} of tensor memory`}.`
  const tried = rates && `${plural(rates.rates.length, 'rate')} ${rates.rates.length === 1 ? 'was' : 'were'} tried`
  const found =
    rates &&
    (rates.otherwise === undefined
      ? `A range test found the learning rate ${rates.chosen}: ${tried}.`
      : `A range test found no learning rate, since ${rates.otherwise}; ${rates.chosen} is the recipe's.`)
  return [
    reached,
    ended,
    `${plural(images.train, 'image')} to train on and ${count(images.val)} to validate on, ${plural(run.labels, 'label')}: ${run.task}.`,
    cost,
    found,
    skipped.length > 0
      ? `${plural(skipped.length, 'image')} could not be read and ${skipped.length === 1 ? 'was' : 'were'} left out.`
      : undefined,
    duplicates > 0
      ? `${plural(duplicates, 'validation image')} ${duplicates === 1 ? 'is' : 'are'} trained on too, which flatters the scores.`
      : undefined,
    ...run.changes.map((what) => `Since it began ${what}; that was accepted.`),
    metrics.strange > 0
      ? `${plural(metrics.strange, 'line')} of metrics.jsonl ${metrics.strange === 1 ? 'is' : 'are'} no line of a run and not shown.`
      : undefined,
  ].filter((words) => words !== undefined)
}

async function drawn(chart: RunChart, title: string, says: string): Promise<Html | undefined> {
  const spec = runLines(chart)
  if (!spec) return undefined
  const svg = await draw(spec, escapeHtml(title), escapeHtml(says), 'curve')
  return html`<div><h3>${title}</h3>${trusted(svg)}</div>`
}

const line = (points: Line['points'], look: Look, more: Partial<Line> = {}): Line => ({ points, look, ...more })

/** What a rate is chosen by: averages of neighbours, at the rate in their middle. */
const averaged = ({ rates, losses, window }: RateTest) =>
  losses.slice(window - 1).map((_, i) => ({
    x: rates[i + (window >> 1)]!,
    y: losses.slice(i, i + window).reduce((sum, loss) => sum + loss, 0) / window,
  }))

/** Two marks and what they stand for. */
const key = html`<ul class="legend">${[
  { look: training, name: 'training' },
  { look: validation, name: 'validation' },
].map(
  ({ look, name }) =>
    html`<li><svg width="28" height="12" viewBox="0 0 28 12" aria-hidden="true"><path d="M0,6h28" stroke="${look.color}" stroke-width="2"/>${name === 'validation' ? html`<circle cx="14" cy="6" r="4" fill="${look.color}"/>` : undefined}</svg>${name}</li>`,
)}</ul>`

/** Loss, scores and rate over epochs, and the range test. */
async function curvesOf(run: RunResult): Promise<Html | undefined> {
  const { steps, epochs } = run.metrics
  const last = epochs.at(-1)
  const perEpoch = last ? last.step / last.epoch : Math.max(1, steps.at(-1)?.step ?? 1)
  const overSteps = (values: readonly { step: number; y: number }[]) =>
    thinned(values.map(({ step, y }) => ({ x: step / perEpoch, y })))
  const validated = epochs.flatMap(({ epoch, valLoss }) => (valLoss === undefined ? [] : [{ x: epoch, y: valLoss }]))
  const scored = byMonitor(run).map(({ epoch, value }) => ({ x: epoch, y: value }))
  const rated = steps.flatMap(({ step, lr }) => (lr === undefined ? [] : [{ step, y: lr }]))
  const first = epochs[0]
  const lossSays =
    first && last
      ? `Training loss from ${first.trainLoss.toFixed(4)} in the first epoch to ${last.trainLoss.toFixed(4)} in epoch ${last.epoch}.`
      : ''
  const accuracy = epochs.map(({ epoch, trainAccuracy }) => ({ x: epoch, y: trainAccuracy }))
  const { monitor, rates } = run
  const score = monitor === 'loss' ? 'accuracy' : monitor
  const scores =
    monitor === 'loss'
      ? epochs.flatMap(({ epoch, metrics: { accuracy: y } }) => (y === undefined ? [] : [{ x: epoch, y }]))
      : scored
  const charts = [
    await drawn(
      {
        lines: [
          line(overSteps(steps.map(({ step, loss }) => ({ step, y: loss }))), training, { faint: true }),
          line(
            epochs.map(({ epoch, trainLoss }) => ({ x: epoch, y: trainLoss })),
            training,
          ),
          line(validated, validation, { marked: true }),
        ],
        xTitle: 'Epoch',
        yTitle: 'Loss',
        whole: true,
      },
      'Loss',
      `${lossSays}${validated.length > 0 ? ` Validation loss ${validated.at(-1)!.y.toFixed(4)} in the last.` : ''}`,
    ),
    await drawn(
      {
        lines: [
          ...(score === 'accuracy' ? [line(accuracy, training)] : []),
          line(scores, validation, { marked: true }),
        ],
        xTitle: 'Epoch',
        yTitle: `${metricTitle(score)} (%)`,
        percent: true,
        whole: true,
      },
      metricTitle(score),
      `By epoch on validation images: ${scores.map(({ y }) => percent(y)).join(', ') || 'not measured'}.`,
    ),
    await drawn(
      { lines: [line(overSteps(rated), training)], xTitle: 'Epoch', yTitle: 'Learning rate', whole: true },
      'Learning rate',
      rated.length > 0 ? `From ${rated[0]!.y} to ${rated.at(-1)!.y}.` : '',
    ),
    rates &&
      (await drawn(
        {
          lines: [
            line(
              rates.rates.map((x, i) => ({ x, y: rates.losses[i]! })),
              training,
              { faint: true },
            ),
            line(averaged(rates), training),
          ],
          xTitle: 'Learning rate',
          yTitle: 'Loss of a step',
          log: true,
          rule: { x: rates.chosen, text: `${rates.otherwise === undefined ? 'chosen' : 'recipe'}: ${rates.chosen}` },
        },
        'Range test',
        `Losses of ${rates.rates.length} steps at growing rates, before training; the lowest is ${Math.min(...rates.losses).toFixed(4)}.`,
      )),
  ].filter((chart) => chart !== undefined)
  if (charts.length === 0) return undefined
  return html`<section><h2>How training went</h2><p class="note">Thin lines are of single steps, the others of whole epochs or averages.</p>${key}<div class="pair">${charts}</div></section>
`
}

const cell = (value: number | undefined) => (value === undefined || Number.isNaN(value) ? '–' : percent(value))

function labelTable({ byLabel, name }: RunResult): Html | undefined {
  if (byLabel.length === 0) return undefined
  const [ap, threshold] = (['ap', 'threshold'] as const).map((field) => byLabel.some((row) => row[field] !== undefined))
  const rows = byLabel.map(
    (
      row,
    ) => html`<tr><th scope="row">${row.label}</th><td>${Number.isNaN(row.positives) ? '–' : count(row.positives)}</td><td>${cell(row.precision)}</td><td>${cell(row.recall)}</td><td>${cell(row.f1)}</td>${ap ? html`<td>${cell(row.ap)}</td>` : ''}${threshold ? html`<td>${row.threshold?.toFixed(2) ?? '–'}</td>` : ''}</tr>
`,
  )
  const table = html`<div class="scroll" role="region" aria-label="Results by label of ${name}" tabindex="0"><table><thead><tr><th scope="col">Label</th><th scope="col">Images</th><th scope="col">Precision</th><th scope="col">Recall</th><th scope="col">F1</th>${ap ? html`<th scope="col">Average precision</th>` : ''}${threshold ? html`<th scope="col">Threshold</th>` : ''}</tr></thead><tbody>${rows}</tbody></table></div>`
  return html`<section><h2>Results by label</h2><p class="note">Of the best epoch, on its validation images.</p>${byLabel.length > 40 ? html`<details><summary>All ${byLabel.length} labels</summary>${table}</details>` : table}</section>
`
}

const isUsual = ({ from }: ShownSetting) => from === 'default'

/** What was decided in plain sight, what is as usual folded. */
function settingsTable({ settings, name }: RunResult): Html {
  const table = (shown: readonly ShownSetting[], label: string, withFrom: boolean) =>
    html`<div class="scroll" role="region" aria-label="${label} of ${name}" tabindex="0"><table class="words"><thead><tr><th scope="col">Setting</th><th scope="col">Value</th>${withFrom ? html`<th scope="col">From</th>` : ''}</tr></thead><tbody>${shown.map(
      (
        one,
      ) => html`<tr><th scope="row">${one.name}</th><td>${one.value}</td>${withFrom ? html`<td>${one.from}</td>` : ''}</tr>
`,
    )}</tbody></table></div>`
  const usual = settings.filter(isUsual)
  const decided = settings.filter((one) => !isUsual(one))
  return html`<section><h2>Settings</h2>${decided.length > 0 ? table(decided, 'Settings', true) : ''}${usual.length > 0 ? html`<details class="below"><summary>${plural(usual.length, 'default')}</summary>${table(usual, 'Defaults', false)}</details>` : ''}</section>
`
}

function notesList({ notes }: RunResult): Html | undefined {
  if (notes.length === 0) return undefined
  return html`<section><h2>Notes</h2><ul class="words">${notes.map((note) => html`<li>${note}</li>`)}</ul></section>
`
}

function skippedList({ skipped }: RunResult): Html | undefined {
  if (skipped.length === 0) return undefined
  const rows = skipped.map(({ file, reason }) => html`<dt>${file}</dt><dd>${reason}</dd>`)
  return html`<section><h2>Images left out</h2><details><summary>${plural(skipped.length, 'image')} that could not be read</summary><dl>${rows}</dl></details></section>
`
}

function conditions(run: RunResult): Html {
  const facts = { Begun: when(run.created), Model: run.model, Data: run.data, ...run.machine }
  return html`<section><h2>Conditions</h2><dl>${Object.entries(facts).map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl></section>
`
}

async function oneRun(run: RunResult): Promise<Html> {
  const [first, ...others] = wordsOf(run)
  return html`<section><h2>In short</h2><p class="lead">${first}</p><ul class="words">${others.map((words) => html`<li>${words}</li>`)}</ul></section>
${await curvesOf(run)}
${labelTable(run)}
${settingsTable(run)}
${notesList(run)}
${skippedList(run)}
${conditions(run)}
`
}

/** Several runs beside each other: a row each, and the validation score by epoch where they are judged alike. */
async function comparison(runs: readonly RunResult[]): Promise<Html> {
  const rows = runs.map((run, i) => {
    const best = bestOf(run)
    return html`<tr><th scope="row"><span class="swatch" style="background:${lookOf(i).color}"></span>${run.name}</th><td>${methodName(run.method)}</td><td>${best ? `${metricTitle(run.monitor)} ${scoreText(run.monitor, best.value)}` : '–'}</td><td>${best ? best.epoch : '–'}</td><td>${run.seconds === undefined ? '–' : seconds(run.seconds)}</td><td>${run.peakBytes === undefined ? '–' : bytes(run.peakBytes)}</td></tr>
`
  })
  const monitors = [...new Set(runs.map(({ monitor }) => monitor))]
  const charts = await Promise.all(
    monitors.map((monitor) => {
      const lines = runs.flatMap((run, i) => {
        const points = byMonitor(run).map(({ epoch, value }) => ({ x: epoch, y: value }))
        return run.monitor === monitor && points.length > 0 ? [line(points, lookOf(i), { marked: true })] : []
      })
      const isLoss = monitor === 'loss'
      const title = `${metricTitle(monitor)} by epoch on validation images`
      const yTitle = `${metricTitle(monitor)}${isLoss ? '' : ' (%)'}`
      const ends = runs.flatMap((run) => (run.monitor === monitor ? [`${run.name} ${cell(bestOf(run)?.value)}`] : []))
      return drawn({ lines, xTitle: 'Epoch', yTitle, percent: !isLoss, whole: true }, title, `${ends.join('; ')}.`)
    }),
  )
  return html`<section><h2>Runs</h2><div class="scroll" role="region" aria-label="Runs" tabindex="0"><table><thead><tr><th scope="col">Run</th><th scope="col">Method</th><th scope="col">Best score</th><th scope="col">In epoch</th><th scope="col">Time</th><th scope="col">Peak memory</th></tr></thead><tbody>${rows}</tbody></table></div><div class="pair">${charts}</div></section>
`
}

/**
 * One self-contained HTML page of one or more runs: no network, no script, light and dark, readable on a phone and on paper.
 * Every name is escaped. Throws where there is no run, or the package `vega` is missing.
 */
export async function renderRunReport(runs: readonly RunResult[]): Promise<string> {
  const [only] = runs
  if (!only) throw new Error('report: needs at least one run, got 0')
  const title = runs.length === 1 ? titleOf(only) : `${runs.length} runs`
  const facts =
    runs.length === 1
      ? [lastOf(only.data), plural(only.images.train, 'training image'), plural(only.labels, 'label'), only.name]
          .filter(Boolean)
          .join(' · ')
      : runs.map(({ name }) => name).join(' · ')
  const parts =
    runs.length === 1
      ? [await oneRun(only)]
      : [
          await comparison(runs),
          ...(await Promise.all(
            runs.map(async (run) => html`<h2 class="run">${run.name}: ${titleOf(run)}</h2>${await oneRun(run)}`),
          )),
        ]
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title}</title>
<style>${trusted(style)}</style>
</head>
<body>
<main>
<header><h1>${title}</h1>
<p class="facts">${facts}</p></header>
${parts}
</main>
</body>
</html>
`
  return page.text
}
