// What the charts share: colours, shapes and dashes by method, axes, text sizes, and drawing a Vega specification to SVG.
// Vega is loaded on first use only: it is an optional package, and the browser bundle never needs it.
import type { Axis, Mark, Spec } from 'vega'
import { plain } from '../format.ts'

/** How a method is drawn: never by colour alone. `color` is a CSS variable of the page, light or dark. */
export interface Look {
  color: string
  shape: string
  dash: number[]
}

/** How many methods look different; the page defines `--m0` to `--m7`. */
export const LOOKS = 8

const shapes = [
  'circle',
  'square',
  'triangle-up',
  'diamond',
  'cross',
  'triangle-down',
  'triangle-right',
  'triangle-left',
]
const dashes = [[], [7, 3], [2, 3], [9, 3, 2, 3], [4, 4], [1, 2], [12, 3], [6, 2, 2, 2]]

/** The look of the method at `index` in the experiment's order. */
export function lookOf(index: number): Look {
  const i = index % LOOKS
  return { color: `var(--m${i})`, shape: shapes[i]!, dash: dashes[i]! }
}

/** Approximate width in px of text in a system sans-serif: no fonts are measured. */
export function textWidth(text: string, size: number): number {
  let width = 0
  for (const char of text) {
    width +=
      char.codePointAt(0)! > 0x2e7f ? 1 : /[mwMW@%]/.test(char) ? 0.85 : /[ilj.,:;|'!tfrI ]/.test(char) ? 0.34 : 0.59
  }
  return width * size
}

/** `text` in at most `width` px, its end cut to an ellipsis; control characters gone. */
export function fit(text: string, width: number, size: number): string {
  const chars = [...plain(text)]
  if (textWidth(chars.join(''), size) <= width) return chars.join('')
  while (chars.length > 1 && textWidth(`${chars.join('')}…`, size) > width) chars.pop()
  return `${chars.join('').trimEnd()}…`
}

/** Round ticks (steps of 1, 2 or 5) that span `low` to `high`; its first and last are the axis's ends. */
export function ticks(low: number, high: number, wanted: number): number[] {
  const span = high > low ? high - low : Math.max(1, Math.abs(high))
  const rough = span / wanted
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough * 0.999)!
  const first = Math.floor(low / step + 1e-9)
  const last = Math.max(first + 1, Math.ceil(high / step - 1e-9))
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)))
}

/** Where `value` lies between `from` and `to` px on an axis of these ticks. */
export function place(value: number, axis: number[], from: number, to: number): number {
  const low = axis[0]!
  return from + ((value - low) / (axis.at(-1)! - low)) * (to - from)
}

/** A horizontal or vertical axis with light grid lines; `title` names its unit. */
export function axis(side: 'bottom' | 'left', values: number[], title: string): Axis {
  return {
    orient: side,
    scale: side === 'bottom' ? 'x' : 'y',
    values,
    title,
    grid: true,
    gridColor: 'var(--grid)',
    domain: side === 'bottom',
    domainColor: 'var(--line)',
    ticks: false,
    labelPadding: 8,
    labelColor: 'var(--muted)',
    labelFontSize: 12,
    labelOverlap: true,
    titleColor: 'var(--muted)',
    titleFontSize: 12,
    titleFontWeight: 'normal',
    titlePadding: side === 'bottom' ? 10 : 12,
  }
}

/** Bars from the left edge, `thick` pixels high: `y end color` in each value of the data set `bars`. */
export const barMark = (thick: number): Mark => ({
  type: 'rect',
  from: { data: 'bars' },
  encode: {
    enter: {
      x: { value: 0 },
      x2: { field: 'end' },
      y: { field: 'y' },
      height: { value: thick },
      fill: { field: 'color' },
      cornerRadiusTopRight: { value: 3 },
      cornerRadiusBottomRight: { value: 3 },
    },
  },
})

/** A text mark at given pixels: `x y text` and optionally `size color weight align angle` in each value of `values`. */
export function texts(values: { x: number; y: number; text: string; [look: string]: unknown }[]): {
  data: { name: string; values: unknown[] }
  mark: Mark
} {
  const rows = values.map((value) => ({
    size: 13,
    color: 'var(--ink)',
    weight: 'normal',
    align: 'left',
    angle: 0,
    ...value,
  }))
  return {
    data: { name: 'texts', values: rows },
    mark: {
      type: 'text',
      from: { data: 'texts' },
      encode: {
        enter: {
          x: { field: 'x' },
          y: { field: 'y' },
          text: { field: 'text' },
          fontSize: { field: 'size' },
          fill: { field: 'color' },
          fontWeight: { field: 'weight' },
          align: { field: 'align' },
          angle: { field: 'angle' },
          baseline: { value: 'middle' },
        },
      },
    },
  }
}

let drawn = 0

/**
 * Draws `spec` as one `<svg>` for a page's body, with `title` and `description` as its text alternative (HTML already
 * escaped by the caller). Throws with the remedy where Vega is not installed.
 */
export async function draw(spec: Spec, title: string, description: string, className: string): Promise<string> {
  const vega = await import('vega').catch(() => {
    throw new Error('report: charts need the package vega; install it with `npm i vega`')
  })
  const view = new vega.View(vega.parse({ autosize: 'none', ...spec }), { renderer: 'none' })
  const svg = await view.toSVG()
  view.finalize()
  const size = /viewBox="([^"]+)"/.exec(svg)?.[1]
  if (!size) throw new Error('report: vega drew no SVG')
  const [, , width, height] = size.split(' ')
  const id = `chart-${drawn++}`
  const body = svg.slice(svg.indexOf('>') + 1)
  return (
    `<svg class="${className}" viewBox="${size}" width="${width}" height="${height}" role="img" ` +
    `aria-labelledby="${id}-title ${id}-text"><title id="${id}-title">${title}</title>` +
    `<desc id="${id}-text">${description}</desc>${body}`
  )
}
