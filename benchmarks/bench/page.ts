// A result as one HTML page: a chart for each section and unit, tables, targets, machine. Nothing is loaded, no script runs.
// Looks are those of the training report (src/report).
import type { Spec } from 'vega'
import { axis, barMark, draw, fit, LOOKS, texts, ticks } from '../../src/report/charts/chart.ts'
import { escapeHtml, type Html, html, trusted } from '../../src/report/html.ts'
import { style } from '../../src/report/style.ts'
import { pictures, RELATIVE } from './pictures.ts'
import { type BenchResult, met, type Row, type Section, type Table } from './result.ts'
import { checkRange, checkText, digits } from './table.ts'

/** Names of targets are sentences. */
const own = 'th[scope="row"] { max-width: none; white-space: normal; overflow: visible; }'

const STEP = 26
const THICK = 15

/** Bars of rows of one unit, under a line of text for each subject; the line on a bar goes from p10 to p90. */
function bars(rows: readonly Row[], colors: Map<string, string>, width: number, narrow: boolean): Spec {
  const padding = { top: 8, bottom: 44, left: narrow ? 118 : 250, right: 56 }
  const plot = width - padding.left - padding.right
  const values = ticks(0, Math.max(...rows.map((row) => row.spread.p90)), narrow ? 3 : 6)
  const scale = plot / values.at(-1)!
  const labels: Parameters<typeof texts>[0] = []
  const marks: { y: number; end: number; low: number; high: number; color: string }[] = []
  let y = 0
  for (const what of new Set(rows.map((row) => row.what))) {
    labels.push({ x: 4 - padding.left, y: y + STEP / 2, text: fit(what, width - 8, 13), weight: 600 })
    y += STEP
    for (const { who, spread } of rows.filter((row) => row.what === what)) {
      const middle = y + STEP / 2
      const [end, low, high] = [spread.median, spread.p10, spread.p90].map((v) => v * scale) as [number, number, number]
      marks.push({ y: y + (STEP - THICK) / 2, end, low, high, color: colors.get(who)! })
      labels.push({ x: -10, y: middle, text: fit(who, padding.left - 16, 12), size: 12, align: 'right' })
      labels.push({ x: Math.max(end, high) + 8, y: middle, text: digits(spread.median), size: 12 })
      y += STEP
    }
    y += 6
  }
  const text = texts(labels)
  return {
    width: plot,
    height: y,
    padding,
    data: [{ name: 'bars', values: marks }, text.data],
    scales: [{ name: 'x', type: 'linear', domain: [0, values.at(-1)!], range: [0, plot], zero: true }],
    axes: [axis('bottom', values, rows[0]!.unit)],
    marks: [
      barMark(THICK),
      {
        type: 'rule',
        from: { data: 'bars' },
        encode: {
          enter: {
            x: { field: 'low' },
            x2: { field: 'high' },
            y: { field: 'y', offset: THICK / 2 },
            stroke: { value: 'var(--ink)' },
            strokeWidth: { value: 1.5 },
          },
        },
      },
      text.mark,
    ],
  }
}

async function figures(section: Section): Promise<Html[]> {
  const made: Html[] = []
  // Those have pictures of their own.
  if (section.name === 'sizes') return []
  for (const unit of new Set(section.rows.map((row) => row.unit))) {
    if (unit === RELATIVE) continue
    const rows = section.rows.filter((row) => row.unit === unit)
    // vitune in the accent colour, each peer in one of the others whatever its threads.
    const family = (who: string) => who.split(/[ ,]/)[0]!
    const peers = [...new Set(section.rows.map((row) => family(row.who)))].filter((name) => name !== 'vitune')
    const colorOf = (name: string) => (name === 'vitune' ? 'var(--accent)' : `var(--m${peers.indexOf(name) % LOOKS})`)
    const colors = new Map(rows.map(({ who }) => [who, colorOf(family(who))]))
    const better = rows[0]!.more ? 'Longer is better' : 'Shorter is better'
    const says = escapeHtml(
      rows.map((row) => `${row.what}: ${row.who} ${digits(row.spread.median)} ${unit}.`).join(' '),
    )
    const title = escapeHtml(`${section.title}, ${unit}`)
    const drawings = [
      await draw(bars(rows, colors, 826, false), title, says, 'wide'),
      await draw(bars(rows, colors, 342, true), title, says, 'narrow'),
    ]
    made.push(
      html`<figure><figcaption><h2>${section.name}, ${unit}</h2><p class="note">${better}; the line on a bar goes from p10 to p90.</p></figcaption>${trusted(drawings.join(''))}</figure>`,
    )
  }
  return made
}

function tableHtml(head: readonly string[], rows: readonly (readonly string[])[], title: string): Html {
  return html`<h3>${title}</h3><div class="scroll" role="region" aria-label="${title}" tabindex="0"><table><thead><tr>${head.map((cell) => html`<th scope="col">${cell}</th>`)}</tr></thead><tbody>
${rows.map(([first, ...cells]) => html`<tr><th scope="row">${first ?? ''}</th>${cells.map((cell) => html`<td>${cell}</td>`)}</tr>`)}</tbody></table></div>`
}

async function sectionHtml(section: Section): Promise<Html> {
  const { title, rows, checks, tables, notes } = section
  const measured = rows.map(({ what, who, unit, spread }) => [
    `${what}: ${who}`,
    `${digits(spread.median)} ${unit}`,
    `${digits(spread.p10)} to ${digits(spread.p90)}`,
    String(spread.runs),
  ])
  const targets = checks.map((check) => [check.what, checkText(check), checkRange(check), met(check) ? 'pass' : 'fail'])
  return html`<section><h2>${title}</h2>
${targets.length > 0 ? tableHtml(['Target', 'Measured', 'p10 to p90', ''], targets, 'Targets') : ''}
${tables.map((table: Table) => tableHtml(table.head, table.rows, table.title))}
${notes.map((note) => html`<p class="note">${note}</p>`)}
${rows.length > 0 ? html`<details><summary>All numbers</summary>${tableHtml(['', 'Median', 'p10 to p90', 'Runs'], measured, 'Measured')}</details>` : ''}</section>
${await figures(section)}`
}

/** The page. Throws where the package `vega` is missing. */
export async function renderPage(result: BenchResult): Promise<string> {
  const checks = result.sections.flatMap((section) => section.checks)
  const facts = { ...result.machine, ...result.versions, made: result.created, command: result.command }
  const sections: Html[] = []
  for (const section of result.sections) sections.push(await sectionHtml(section))
  const short = [
    ...(checks.length > 0 ? [`${checks.filter(met).length} of ${checks.length} targets are met.`] : []),
    ...(result.complete ? [] : ['Stopped before its end.']),
  ].join(' ')
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>vitune's benchmark</title>
<style>${trusted(style + own)}</style>
</head>
<body>
<main>
<header><h1>vitune beside its peers</h1>
<p class="facts">${result.machine.processor ?? ''} · ${result.machine.runtime ?? ''} · medians of interleaved runs${result.quick ? ', few of them (--quick)' : ''}</p></header>
${short ? html`<section><h2>In short</h2><p class="lead">${short}</p></section>` : ''}
${await pictures(result.sections)}
${sections}
<section><h2>Conditions</h2><dl>${Object.entries(facts).map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl></section>
</main>
</body>
</html>
`.text
}
