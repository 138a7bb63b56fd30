// A small chart of one run: lines over epochs, steps or rates, each with its own look; what the curves of an experiment are in
// curves.ts.
import type { Spec } from 'vega'
import { axis, type Look, texts, textWidth, ticks } from './chart.ts'

export interface Line {
  readonly points: readonly { readonly x: number; readonly y: number }[]
  readonly look: Look
  /** Thin, behind the others. */
  readonly faint?: boolean
  /** A mark at each point, for values that are rare. */
  readonly marked?: boolean
}

export interface RunChart {
  readonly lines: readonly Line[]
  readonly xTitle: string
  readonly yTitle: string
  /** Shares as percentages. */
  readonly percent?: boolean
  /** Whole numbers alone along the bottom. */
  readonly whole?: boolean
  /** A logarithmic axis along the bottom. */
  readonly log?: boolean
  /** A rule at this place, and what it says. */
  readonly rule?: { readonly x: number; readonly text: string }
}

/** Powers of ten that span the values. */
function decades(low: number, high: number): number[] {
  const [from, to] = [Math.floor(Math.log10(low) + 1e-9), Math.ceil(Math.log10(high) - 1e-9)]
  return Array.from({ length: Math.max(1, to - from) + 1 }, (_, i) => Number(`1e${from + i}`))
}

/** At most `most` points: neighbours become their mean. */
export function thinned(points: Line['points'], most = 240): Line['points'] {
  const size = Math.ceil(points.length / most)
  if (size <= 1) return points
  return Array.from({ length: Math.ceil(points.length / size) }, (_, i) => {
    const part = points.slice(i * size, (i + 1) * size)
    const mean = (key: 'x' | 'y') => part.reduce((sum, point) => sum + point[key], 0) / part.length
    return { x: mean('x'), y: mean('y') }
  })
}

/** The specification of a chart; undefined where it has no point. */
export function runLines({ lines, xTitle, yTitle, percent, whole, log, rule }: RunChart): Spec | undefined {
  const [width, height, padding] = [310, 190, { top: rule ? 24 : 10, bottom: 44, left: 56, right: 14 }]
  const unit = percent ? 100 : 1
  const rows = lines.flatMap(({ points, look, faint = false, marked = false }, line) =>
    points.map(({ x, y }) => ({ x, y: y * unit, line, ...look, faint, marked })),
  )
  if (rows.length === 0) return undefined
  const spread = (key: 'x' | 'y') => [
    Math.min(...rows.map((row) => row[key])),
    Math.max(...rows.map((row) => row[key])),
  ]
  const [[left, right], [low, high]] = [spread('x') as [number, number], spread('y') as [number, number]]
  const xs = log ? decades(left, right) : ticks(left, right, 5)
  const ys = ticks(low, high, 4)
  const at = (field: string) => ({
    x: { scale: 'x', field: 'x' },
    y: { scale: 'y', field },
    stroke: { field: 'color' },
  })
  const place = (x: number) => {
    const [from, to] = [Math.log10(xs[0]!), Math.log10(xs.at(-1)!)]
    const part = log ? (Math.log10(x) - from) / (to - from) : (x - xs[0]!) / (xs.at(-1)! - xs[0]!)
    return Math.max(0, Math.min(1, part)) * width
  }
  // Inside of the chart's width, whichever side the rule stands at.
  const room = rule ? textWidth(rule.text, 12) / 2 : 0
  const said = texts(
    rule
      ? [
          {
            x: Math.min(width - room, Math.max(room, place(rule.x))),
            y: -12,
            text: rule.text,
            align: 'center',
            size: 12,
          },
        ]
      : [],
  )
  return {
    width,
    height,
    padding,
    data: [
      { name: 'points', values: rows },
      { name: 'marks', values: rows.filter(({ marked }) => marked) },
      { name: 'rules', values: rule ? [{ x: place(rule.x) }] : [] },
      said.data,
    ],
    scales: [
      { name: 'x', type: log ? 'log' : 'linear', domain: [xs[0]!, xs.at(-1)!], range: [0, width], zero: false },
      { name: 'y', type: 'linear', domain: [ys[0]!, ys.at(-1)!], range: [height, 0], zero: false },
    ],
    axes: [
      axis('left', ys, yTitle),
      {
        ...axis('bottom', whole ? xs.filter(Number.isInteger) : xs, xTitle),
        grid: false,
        ...(whole ? { format: 'd' } : log ? { format: '~g' } : {}),
      },
    ],
    marks: [
      {
        type: 'rule',
        from: { data: 'rules' },
        encode: {
          enter: {
            x: { field: 'x' },
            y: { value: -3 },
            y2: { value: height },
            stroke: { value: 'var(--muted)' },
            strokeDash: { value: [4, 3] },
          },
        },
      },
      {
        type: 'group',
        from: { facet: { name: 'line', data: 'points', groupby: 'line' } },
        marks: [
          {
            type: 'line',
            from: { data: 'line' },
            encode: {
              enter: {
                ...at('y'),
                strokeWidth: [{ test: 'datum.faint', value: 1 }, { value: 2 }],
                strokeOpacity: [{ test: 'datum.faint', value: 0.45 }, { value: 1 }],
                strokeDash: { field: 'dash' },
              },
            },
          },
        ],
      },
      {
        type: 'symbol',
        from: { data: 'marks' },
        encode: {
          enter: {
            ...at('y'),
            shape: { field: 'shape' },
            size: { value: 46 },
            fill: { field: 'color' },
            stroke: { value: 'var(--card)' },
            strokeWidth: { value: 1 },
          },
        },
      },
      said.mark,
    ],
  }
}
