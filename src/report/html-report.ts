// The experiment as one HTML file: summary in words, the pictures, the tables, and how to repeat it.
// Nothing in it is loaded from elsewhere and no script runs.
import { bars } from './charts/bars.ts'
import { bubbles } from './charts/bubbles.ts'
import { draw, type Look, lookOf } from './charts/chart.ts'
import { curves } from './charts/curves.ts'
import { lines } from './charts/lines.ts'
import { checkResult, type ExperimentResult } from './experiment-result.ts'
import { bytes, count, list, methodName, metricName, metricTitle, percent } from './format.ts'
import { escapeHtml, type Html, html, trusted } from './html.ts'
import { conditions, legend, resultsTable, runsTable } from './html-parts.ts'
import { style } from './style.ts'
import { chanceOn, type Kind, kindsOf, type MethodSummary, summarise } from './summarise.ts'
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
  summaries.map((s) => `${methodName(s.method)} ${percent(s.score, s.spread)}`).join('; ')

const inWords = (summaries: MethodSummary[]) =>
  summaries
    .map(
      (s) =>
        `${methodName(s.method)}: ${bytes(s.peakBytes)}, ${percent(s.score)}, ${count(s.trainable)} trainable parameters.`,
    )
    .join(' ')

const bubbleNote = (better: string) =>
  `Up is ${better}, left needs less memory. A bubble's area grows with the logarithm of the number of trainable parameters, which stands beside it.`

/** One kind of data sets: the three pictures, each as wide as the page. */
async function pictures(
  result: ExperimentResult,
  kind: Kind,
  looks: Map<string, Look>,
  shown: Map<string, Look>,
  spread: string,
): Promise<Html[]> {
  const metric = kind.metrics[0]!
  const chance = chanceOn(result, kind)
  const average = summarise(result, kind.datasets)
  const columns = kind.datasets.map((name) => ({ name, summaries: summarise(result, name) }))
  const over = columns.length > 1 ? `the mean over ${columns.length} data sets` : `on ${columns[0]!.name}`
  const accurate = metric === 'accuracy'
  return [
    await figure(
      `Average ${metricName(metric)} by method`,
      `${accurate ? 'Share of test images classified correctly' : `${metricTitle(metric)} on test images`}, ${over}. ${spread}`,
      `${spoken(average)}.`,
      (width, narrow) => bars(average, looks, { metric, chance }, width, narrow),
    ),
    await figure(
      `${metricTitle(metric)} by data set`,
      `${columns.length > 1 ? 'One line a method.' : 'One mark a method.'} ${spread} The axis need not start at zero.`,
      columns.map(({ name, summaries }) => `${name}: ${spoken(summaries)}.`).join(' '),
      (width, narrow) => lines(columns, looks, metric, width, narrow),
      legend(shown, 'narrow'),
    ),
    await figure(
      `Memory against ${metricName(metric)}`,
      bubbleNote(accurate ? 'more accurate' : `more ${metricName(metric)}`),
      inWords(average),
      (width, narrow) => bubbles(average, looks, metric, width, narrow),
    ),
  ]
}

/** One of several kinds: its bars and its bubbles beside each other, since scores of two kinds share no axis. */
async function pairOf(result: ExperimentResult, kind: Kind, looks: Map<string, Look>, spread: string): Promise<Html> {
  const metric = kind.metrics[0]!
  const average = summarise(result, kind.datasets)
  const names = list(kind.datasets)
  const over = kind.datasets.length > 1 ? `, the mean over ${kind.datasets.length} data sets` : ''
  const scores = await draw(
    bars(average, looks, { metric, chance: chanceOn(result, kind) }, NARROW, true),
    escapeHtml(`${metricTitle(metric)} by method on ${names}`),
    escapeHtml(`${spoken(average)}.`),
    'half',
  )
  const memory = await draw(
    bubbles(average, looks, metric, NARROW, true),
    escapeHtml(`Memory against ${metricName(metric)} on ${names}`),
    escapeHtml(inWords(average)),
    'half',
  )
  const task = kind.task === undefined ? '' : `: ${kind.task}`
  return html`<figure><figcaption><h2>${names}${task}</h2><p class="note">${keep(`${metricTitle(metric)} on test images${over}, and the memory that its training took. ${spread}`)}</p></figcaption><div class="pair">${trusted(scores)}${trusted(memory)}</div></figure>
`
}

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
  const severally = kindsOf(result).length > 1
  return html`<section><h2>How training went</h2>
<p class="note">Accuracy and loss on the training images during each epoch, the mean over seeds.${severally ? ' Where an image may have several labels, accuracy counts each label that is told rightly.' : ''} Not on the test images: those are seen once, at the end.</p>
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
  const shown = new Map([...looks].filter(([method]) => result.runs.some((run) => run.method === method)))
  const kinds = kindsOf(result)
  const seeds = new Set(result.runs.map((run) => run.seed)).size
  const [first, ...others] = summaryWords(result)
  const spread = seeds > 1 ? `Lines show one standard deviation over ${seeds} seeds.` : 'One seed: no spread is known.'
  const [only] = kinds
  const figures =
    kinds.length === 1
      ? await pictures(result, only!, looks, shown, spread)
      : await Promise.all(kinds.map((kind) => pairOf(result, kind, looks, spread)))
  const tested = kinds.flatMap((kind) => kind.datasets)
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
<p class="facts">${result.model.name}, ${count(result.model.parameters)} parameters · ${list(tested)} · ${seeds === 1 ? '1 seed' : `${seeds} seeds`} · ${result.runs.length} runs</p></header>
<section><h2>In short</h2><p class="lead">${keep(first!)}</p><ul class="words">${others.map((words) => html`<li>${keep(words)}</li>`)}</ul></section>
${figures}
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
