// The experiment as one HTML file: summary in words, the three pictures, the tables, and how to repeat it.
// Nothing in it is loaded from elsewhere and no script runs.
import { bars } from './charts/bars.ts'
import { bubbles } from './charts/bubbles.ts'
import { draw, type Look, lookOf } from './charts/chart.ts'
import { curves } from './charts/curves.ts'
import { lines } from './charts/lines.ts'
import { checkResult, type ExperimentResult } from './experiment-result.ts'
import { bytes, count, list, methodName, percent } from './format.ts'
import { escapeHtml, type Html, html, trusted } from './html.ts'
import { conditions, legend, resultsTable, runsTable } from './html-parts.ts'
import { style } from './style.ts'
import { type MethodSummary, summarise } from './summarise.ts'
import { summaryWords } from './summary-words.ts'

const WIDE = 826
const NARROW = 342

type Draw = (width: number, narrow: boolean) => Parameters<typeof draw>[0]

// Each picture is drawn twice, for a desk and for a phone; the style sheet shows one.
async function figure(title: string, note: string, says: string, make: Draw, extra?: Html): Promise<Html> {
  const [name, text] = [escapeHtml(title), escapeHtml(says)]
  const wide = await draw(make(WIDE, false), name, text, 'wide')
  const narrow = await draw(make(NARROW, true), name, text, 'narrow')
  return html`<figure><figcaption><h2>${title}</h2><p class="note">${keep(note)}</p></figcaption>${extra}${trusted(wide)}${trusted(narrow)}</figure>
`
}

// Numbers stay on one line with their units.
const keep = (text: string) =>
  text.replace(/(?<=\d) (?=(?:%|s|min|MB|GB|kB|points|seeds)(?!\w))| (?=±)|(?<=±) /g, '\u00a0')

const spoken = (summaries: MethodSummary[]) =>
  summaries.map((s) => `${methodName(s.method)} ${percent(s.accuracy, s.spread)}`).join('; ')

async function curvesSection(result: ExperimentResult, looks: Map<string, Look>): Promise<Html | undefined> {
  const parts: Html[] = []
  for (const { name } of result.datasets) {
    const runs = result.runs.filter((run) => run.dataset === name)
    const pair: Html[] = []
    for (const key of ['accuracy', 'loss'] as const) {
      const spec = curves(runs, looks, key)
      if (!spec) continue
      const title = `Training ${key} by epoch on ${name}`
      pair.push(trusted(await draw(spec, escapeHtml(title), escapeHtml(`${title}, one line a method.`), 'curve')))
    }
    if (pair.length > 0) parts.push(html`<h3>${name}</h3><div class="pair">${pair}</div>`)
  }
  if (parts.length === 0) return undefined
  return html`<section><h2>How training went</h2>
<p class="note">Accuracy and loss on the training images during each epoch, the mean over seeds. Not on the test images: those are seen once, at the end.</p>
<div>${legend(looks, '')}</div>${parts}</section>
`
}

/**
 * One self-contained HTML page of `result`: no network, no script, light and dark, readable on a phone and on paper.
 * Every name is escaped. Throws where `result` is inconsistent (see checkResult) or the package `vega` is missing.
 */
export async function renderReport(result: ExperimentResult): Promise<string> {
  checkResult(result)
  const looks = new Map(result.methods.map((method, i) => [method, lookOf(i)]))
  const average = summarise(result)
  const shown = new Map([...looks].filter(([method]) => average.some((s) => s.method === method)))
  const columns = result.datasets
    .map(({ name }) => ({ name, summaries: summarise(result, name) }))
    .filter((column) => column.summaries.length > 0)
  const chance = result.datasets.reduce((sum, d) => sum + 1 / d.classes, 0) / result.datasets.length
  const seeds = new Set(result.runs.map((run) => run.seed)).size
  const [first, ...others] = summaryWords(result)
  const over = columns.length > 1 ? `the mean over ${columns.length} data sets` : `on ${columns[0]!.name}`
  const spread = seeds > 1 ? `Lines show one standard deviation over ${seeds} seeds.` : 'One seed: no spread is known.'
  const pictures = [
    await figure(
      'Average accuracy by method',
      `Share of test images classified correctly, ${over}. ${spread}`,
      `${spoken(average)}.`,
      (width, narrow) => bars(average, looks, chance, width, narrow),
    ),
    await figure(
      'Accuracy by data set',
      `${columns.length > 1 ? 'One line a method.' : 'One mark a method.'} ${spread} The axis need not start at zero.`,
      columns.map(({ name, summaries }) => `${name}: ${spoken(summaries)}.`).join(' '),
      (width, narrow) => lines(columns, looks, width, narrow),
      legend(shown, 'narrow'),
    ),
    await figure(
      'Memory against accuracy',
      `Up is more accurate, left needs less memory. A bubble's area grows with the logarithm of the number of trainable parameters, which stands beside it.`,
      average
        .map(
          (s) =>
            `${methodName(s.method)}: ${bytes(s.peakBytes)}, ${percent(s.accuracy)}, ${count(s.trainable)} trainable parameters.`,
        )
        .join(' '),
      (width, narrow) => bubbles(average, looks, width, narrow),
    ),
  ]
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${result.title}</title>
<style>${trusted(style)}</style>
</head>
<body>
<main>
<header><h1>${result.title}</h1>
<p class="facts">${result.model.name}, ${count(result.model.parameters)} parameters · ${list(columns.map((c) => c.name))} · ${seeds === 1 ? '1 seed' : `${seeds} seeds`} · ${result.runs.length} runs</p></header>
<section><h2>In short</h2><p class="lead">${keep(first!)}</p><ul class="words">${others.map((words) => html`<li>${keep(words)}</li>`)}</ul></section>
${pictures}
${resultsTable(result, looks)}
${await curvesSection(result, shown)}
${conditions(result)}
${runsTable(result)}
</main>
</body>
</html>
`
  return page.text
}
