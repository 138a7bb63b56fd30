// Picture 2: the score by data set, one line a method, the spread over seeds as thin rules.
import type { Spec } from 'vega'
import { methodName, metricTitle, percent } from '../format.ts'
import type { MethodSummary } from '../summarise.ts'
import { axis, fit, type Look, place, texts, ticks } from './chart.ts'

/** `columns` are the data sets in order, each with its summaries. Names stand at the line's end unless `narrow`. */
export function lines(
  columns: { name: string; summaries: MethodSummary[] }[],
  looks: Map<string, Look>,
  metric: string,
  width: number,
  narrow: boolean,
): Spec {
  const padding = { top: 12, bottom: columns.length > 3 && narrow ? 84 : 36, left: 52, right: narrow ? 12 : 190 }
  const plot = width - padding.left - padding.right
  const height = narrow ? 260 : 320
  const all = columns.flatMap((column) => column.summaries)
  const values = ticks(
    100 * Math.max(0, Math.min(...all.map((s) => s.score - (s.spread ?? 0)))),
    100 * Math.min(1, Math.max(...all.map((s) => s.score + (s.spread ?? 0)))),
    5,
  )
  const y = (score: number) => place(100 * score, values, height, 0)
  // Room for names below the outer columns; one data set alone is in the middle.
  const edge = columns.length === 1 ? plot / 2 : Math.min(plot / columns.length / 2, 64)
  const room = (plot - 2 * edge) / Math.max(1, columns.length - 1)
  const columnX = (column: number) => edge + room * column
  const methods = [...new Set(all.map((s) => s.method))]
  // A small shift by method keeps the rules of the spread apart.
  const shift = Math.min(7, columns.length === 1 ? 7 : (0.4 * room) / methods.length)
  const rows = columns.flatMap(({ summaries }, column) =>
    summaries.map((s) => ({
      method: s.method,
      x: columnX(column) + (methods.indexOf(s.method) - (methods.length - 1) / 2) * shift,
      y: y(s.score),
      top: y(Math.min(1, s.score + (s.spread ?? 0))),
      bottom: y(Math.max(0, s.score - (s.spread ?? 0))),
      ...looks.get(s.method)!,
    })),
  )
  const tilted = columns.length > 3 && narrow
  const below = columns.map(({ name }, column) => ({
    x: columnX(column),
    y: height + 20,
    text: fit(name, tilted ? 90 : columns.length === 1 ? plot : Math.min(room, 2 * edge) - 8, 13),
    align: tilted ? 'right' : 'center',
    angle: tilted ? -40 : 0,
  }))
  const named = narrow ? [] : ends(rows, columns.at(-1)!.summaries, plot, height)
  const text = texts([...below, ...named])
  const stroke = { stroke: { field: 'color' } }
  return {
    width: plot,
    height,
    padding,
    data: [{ name: 'points', values: rows }, { name: 'leaders', values: named }, text.data],
    scales: [
      { name: 'y', type: 'linear', domain: [values[0]!, values.at(-1)!], range: [height, 0], zero: false },
      { name: 'x', type: 'linear', domain: [0, 1], range: [0, plot] },
    ],
    axes: [
      axis('left', values, `${metricTitle(metric)} on test images (%)`),
      { ...axis('bottom', [], ''), grid: false, labels: false },
    ],
    marks: [
      {
        type: 'rule',
        from: { data: 'leaders' },
        encode: {
          enter: {
            x: { field: 'fromX' },
            y: { field: 'fromY' },
            x2: { field: 'x', offset: -5 },
            y2: { field: 'y' },
            ...stroke,
            strokeOpacity: { value: 0.35 },
          },
        },
      },
      {
        type: 'rule',
        from: { data: 'points' },
        encode: {
          enter: {
            x: { field: 'x' },
            y: { field: 'top' },
            y2: { field: 'bottom' },
            ...stroke,
            strokeWidth: { value: 1.5 },
            strokeOpacity: { value: 0.7 },
          },
        },
      },
      {
        type: 'group',
        from: { facet: { name: 'line', data: 'points', groupby: 'method' } },
        marks: [
          {
            type: 'line',
            from: { data: 'line' },
            encode: {
              enter: {
                x: { field: 'x' },
                y: { field: 'y' },
                ...stroke,
                strokeWidth: { value: 2 },
                strokeDash: { field: 'dash' },
              },
            },
          },
        ],
      },
      {
        type: 'symbol',
        from: { data: 'points' },
        encode: {
          enter: {
            x: { field: 'x' },
            y: { field: 'y' },
            shape: { field: 'shape' },
            size: { value: 70 },
            fill: { field: 'color' },
            stroke: { value: 'var(--card)' },
            strokeWidth: { value: 1.5 },
          },
        },
      },
      text.mark,
    ],
  }
}

// Names beside the last column, pushed apart so that none covers another: down from the top, then up from the bottom.
function ends(
  rows: { method: string; x: number; y: number; color: string }[],
  last: MethodSummary[],
  plot: number,
  height: number,
) {
  const gap = 19
  const named = last
    .map((s) => {
      const row = rows.findLast((r) => r.method === s.method)!
      return {
        x: plot + 14,
        y: row.y,
        fromX: row.x + 8,
        fromY: row.y,
        text: fit(`${methodName(s.method)}  ${percent(s.score)}`, 180, 13),
        color: row.color,
        weight: 600,
      }
    })
    .sort((a, b) => a.y - b.y)
  for (const [i, label] of named.entries()) if (i > 0) label.y = Math.max(label.y, named[i - 1]!.y + gap)
  for (let i = named.length - 1, floor = height; i >= 0; i--, floor = named[i + 1]!.y - gap) {
    named[i]!.y = Math.min(named[i]!.y, floor)
  }
  return named
}
