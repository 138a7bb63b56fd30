// The page's two pictures: how long each method takes, LoRA in f32 being 1, and how large a model is, whole, packed and as an
// adapter, as circles whose areas are bytes. Drawn from the rows of the sections steps and sizes.
import type { Mark, Spec } from 'vega'
import { axis, barMark, draw, texts, textWidth, ticks } from '../../src/report/charts/chart.ts'
import { escapeHtml, type Html, html, trusted } from '../../src/report/html.ts'
import type { Row, Section } from './result.ts'
import { digits } from './table.ts'

/** The unit of rows that are times by that of a LoRA step in f32. */
export const RELATIVE = 'x LoRA step'

/** How frozen weights are kept, with the colour of it. */
const kept = { f32: 'var(--accent)', int8: 'var(--m2)', NF4: 'var(--m3)', adapter: 'var(--m4)' } as const
type Kept = keyof typeof kept

const keptOf = (text: string): Kept =>
  text === 'adapter' ? 'adapter' : text.includes('int8') ? 'int8' : text.includes('NF4') ? 'NF4' : 'f32'

/** What people call a step by how its frozen weights are kept. */
const called: Readonly<Record<string, Partial<Record<Kept, string>>>> = {
  forward: { f32: 'forward', int8: 'forward, int8', NF4: 'forward, NF4' },
  'linear step, frozen features cached': { f32: 'linear, features kept' },
  'linear step': { f32: 'linear', int8: 'linear over int8', NF4: 'linear over NF4' },
  'LoRA step': { f32: 'LoRA', int8: 'LoRA over int8', NF4: 'QLoRA' },
  'DoRA step': { f32: 'DoRA', int8: 'DoRA over int8', NF4: 'QDoRA' },
  'full step': { f32: 'full' },
}

interface Bar {
  readonly name: string
  readonly kept: Kept
  readonly row: Row
  /** Middle of the bar. */
  readonly y: number
}

const STEP = 26
const THICK = 17
/** Between what is done otherwise than by another way to keep weights. */
const GAP = 8

/** A bar for each method; those with vectors of 128 bits alone are left to the numbers. */
function barsOf({ rows }: Section): Bar[] {
  const some = rows.filter(({ unit, who }) => unit === RELATIVE && !who.includes('128-bit'))
  const bars: Bar[] = []
  let y = 0
  for (const [what, names] of Object.entries(called)) {
    const before = bars.length
    for (const [way, name] of Object.entries(names)) {
      const row = some.find((one) => one.what === what && keptOf(one.who) === way)
      if (!row) continue
      bars.push({ name, kept: way as Kept, row, y: y + STEP / 2 })
      y += STEP
    }
    if (bars.length > before) y += GAP
  }
  return bars
}

/** Names of colours in a row, from `x` on at height `y`. */
function legend(names: readonly Kept[], x: number, y: number) {
  let at = x
  const squares: { x: number; y: number; color: string }[] = []
  const labels: { x: number; y: number; text: string; size: number }[] = []
  for (const name of names) {
    squares.push({ x: at, y: y - 6, color: kept[name] })
    labels.push({ x: at + 18, y, text: name, size: 12 })
    at += 18 + textWidth(name, 12) + 22
  }
  const mark: Mark = {
    type: 'rect',
    from: { data: 'squares' },
    encode: {
      enter: {
        x: { field: 'x' },
        y: { field: 'y' },
        width: { value: 12 },
        height: { value: 12 },
        cornerRadius: { value: 3 },
        fill: { field: 'color' },
      },
    },
  }
  return { data: { name: 'squares', values: squares }, labels, mark }
}

/** A rule at `x` from the top of the plot down, or from `low` to `high` at a bar's middle. */
function rules(name: string, values: readonly object[], color: string, dash: number[], width: number) {
  const mark: Mark = {
    type: 'rule',
    from: { data: name },
    encode: {
      enter: {
        x: { field: 'x' },
        x2: { field: 'x2' },
        y: { field: 'y' },
        y2: { field: 'y2' },
        stroke: { value: color },
        strokeWidth: { value: width },
        strokeDash: { value: dash },
      },
    },
  }
  return { data: { name, values: [...values] }, mark }
}

function timesSpec(bars: readonly Bar[], width: number): Spec {
  const narrow = width < 500
  const padding = { top: 40, bottom: 44, left: narrow ? 122 : 156, right: 52 }
  const plot = width - padding.left - padding.right
  const values = ticks(0, Math.max(1, ...bars.map(({ row }) => row.spread.p90)), narrow ? 3 : 6)
  const scale = plot / values.at(-1)!
  const rects = bars.map(({ row, kept: way, y }) => {
    return { y: y - THICK / 2, end: row.spread.median * scale, color: kept[way] }
  })
  const labels = bars.flatMap(({ name, row: { spread }, y }) => [
    { x: -10, y, text: name, align: 'right' },
    {
      x: Math.max(spread.p90 * scale, spread.median * scale) + 8,
      y,
      text: digits(spread.median),
      size: 12,
    },
  ])
  const key = legend([...new Set(bars.map((bar) => bar.kept))], 0, -20)
  const height = bars.at(-1)!.y + STEP / 2
  const spreads = rules(
    'spreads',
    bars.map(({ row: { spread }, y }) => {
      return { x: spread.p10 * scale, x2: spread.p90 * scale, y, y2: y }
    }),
    'var(--ink)',
    [],
    1.5,
  )
  const one = rules('one', [{ x: scale, x2: scale, y: 0, y2: height }], 'var(--ink)', [3, 3], 1)
  const text = texts([...labels, ...key.labels])
  return {
    width: plot,
    height,
    padding,
    data: [{ name: 'bars', values: rects }, text.data, key.data, spreads.data, one.data],
    scales: [{ name: 'x', type: 'linear', domain: [0, values.at(-1)!], range: [0, plot], zero: true }],
    axes: [axis('bottom', values, 'times a LoRA step in f32')],
    marks: [barMark(THICK), one.mark, spreads.mark, text.mark, key.mark],
  }
}

/** Largest circle's radius, by width of the picture. */
const RADIUS = { wide: 92, narrow: 44 }
const LABELS = 62

function sizesSpec(rows: readonly Row[], width: number): Spec {
  const narrow = width < 500
  const most = Math.max(...rows.map(({ spread }) => spread.median))
  const radiusOf = (row: Row) => (narrow ? RADIUS.narrow : RADIUS.wide) * Math.sqrt(row.spread.median / most)
  const circles: { x: number; y: number; size: number; color: string }[] = []
  const labels: Parameters<typeof texts>[0] = []
  const whos = [...new Set(rows.map((row) => row.who))]
  // Columns as wide as the largest circle or the words in them.
  const widths = whos.map((who) => {
    const radii = rows.filter((row) => row.who === who).map(radiusOf)
    return Math.max(2 * Math.max(...radii), narrow ? 52 : 92)
  })
  const gap = Math.min((width - 2 - widths.reduce((a, b) => a + b, 0)) / Math.max(1, whos.length - 1), 48)
  let y = 0
  for (const what of new Set(rows.map((row) => row.what))) {
    const some = rows.filter((row) => row.what === what)
    const whole = some[0]!.spread.median
    const tallest = Math.max(...some.map(radiusOf))
    labels.push({ x: 0, y: y + 10, text: what, weight: 600 })
    const floor = y + 26 + 2 * tallest
    let x = 0
    for (const [i, row] of some.entries()) {
      const r = radiusOf(row)
      const middle = x + widths[i]! / 2
      const { median } = row.spread
      // Their feet on one line, as balls on a floor.
      circles.push({ x: middle, y: floor - r, size: 4 * r * r, color: kept[keptOf(row.who)] })
      const words = [
        { text: row.who.replace('double quantisation', narrow ? 'DQ' : 'double q.'), weight: 600 },
        { text: `${digits(median)} MB` },
        { text: `${digits((100 * median) / whole)} %`, color: 'var(--muted)' },
      ]
      for (const [line, word] of words.entries()) {
        labels.push({ x: middle, y: floor + 14 + 17 * line, size: narrow ? 10 : 12, align: 'center', ...word })
      }
      x += widths[i]! + gap
    }
    y = floor + LABELS + 14
  }
  const text = texts(labels)
  return {
    width: width - 2,
    height: y,
    padding: 1,
    data: [{ name: 'circles', values: circles }, text.data],
    marks: [
      {
        type: 'symbol',
        from: { data: 'circles' },
        encode: {
          enter: {
            x: { field: 'x' },
            y: { field: 'y' },
            size: { field: 'size' },
            shape: { value: 'circle' },
            fill: { field: 'color' },
          },
        },
      },
      text.mark,
    ],
  }
}

async function figure(title: string, note: string, says: string, spec: (width: number) => Spec): Promise<Html> {
  const drawn = await Promise.all(
    (
      [
        ['wide', 826],
        ['narrow', 342],
      ] as const
    ).map(([name, width]) => draw(spec(width), escapeHtml(title), escapeHtml(says), name)),
  )
  return html`<figure><figcaption><h2>${title}</h2><p class="note">${note}</p></figcaption>${trusted(drawn.join(''))}</figure>`
}

/** Those of the pictures that the sections have numbers for. */
export async function pictures(sections: readonly Section[]): Promise<Html[]> {
  const bars = sections.filter(({ name }) => name === 'steps').flatMap(barsOf)
  const sizes = sections.filter(({ name }) => name === 'sizes').flatMap(({ rows }) => rows)
  const made: Html[] = []
  if (bars.length > 0) {
    const says = bars.map(({ name, row }) => `${name}: ${digits(row.spread.median)}.`).join(' ')
    const note =
      'Time of a step of vitune by that of a LoRA step in f32, which is 1; the line on a bar goes from p10 to p90.'
    made.push(await figure('Relative time by method', note, says, (width) => timesSpec(bars, width)))
  }
  if (sizes.length > 0) {
    const says = sizes.map(({ what, who, spread }) => `${what}, ${who}: ${digits(spread.median)} MB.`).join(' ')
    const note =
      'Areas are bytes: of all weights as they lie in memory, and of the file that LoRA leaves (rank 8, query and value).'
    made.push(
      await figure('Size of a model, whole, packed and as an adapter', note, says, (width) => sizesSpec(sizes, width)),
    )
  }
  return made
}
