// Picture 1: the score by method, bars from zero with the spread over seeds.
import type { Mark, Spec } from 'vega'
import { methodName, metricTitle, percent } from '../format.ts'
import type { MethodSummary } from '../summarise.ts'
import { axis, barMark, fit, type Look, texts, ticks } from './chart.ts'

/**
 * Bars of `summaries`, one row each; `narrow` puts the names above the bars. `chance` (0 to 1), where there is such a
 * thing, is a dashed line.
 */
export function bars(
  summaries: MethodSummary[],
  looks: Map<string, Look>,
  { metric, chance }: { metric: string; chance: number | undefined },
  width: number,
  narrow: boolean,
): Spec {
  const step = narrow ? 54 : 42
  const thick = narrow ? 16 : 22
  const padding = { top: chance === undefined ? 4 : 24, bottom: 46, left: narrow ? 8 : 118, right: narrow ? 8 : 104 }
  const plot = width - padding.left - padding.right
  const high = Math.max(chance ?? 0, ...summaries.map((s) => s.score + (s.spread ?? 0)))
  const values = ticks(0, Math.min(100, 100 * high), narrow ? 4 : 5)
  const scale = plot / values.at(-1)!
  const height = step * summaries.length
  const rows = summaries.map((s, i) => {
    const low = Math.max(0, s.score - (s.spread ?? 0))
    return {
      y: i * step + (narrow ? step - thick - 8 : (step - thick) / 2),
      end: 100 * s.score * scale,
      low: 100 * low * scale,
      high: 100 * Math.min(1, s.score + (s.spread ?? 0)) * scale,
      color: looks.get(s.method)!.color,
    }
  })
  const labels = summaries.flatMap((s, i) => {
    const row = rows[i]!
    const middle = row.y + thick / 2
    const value = { text: percent(s.score, s.spread), weight: 600 }
    if (narrow) {
      const y = row.y - 12
      return [
        { x: 0, y, text: fit(methodName(s.method), plot - 110, 13) },
        { ...value, x: plot, y, align: 'right' },
      ]
    }
    return [
      { x: -12, y: middle, text: fit(methodName(s.method), padding.left - 20, 13), align: 'right' },
      { ...value, x: Math.max(row.end, row.high) + 10, y: middle },
    ]
  })
  const guess = 100 * (chance ?? 0) * scale
  const guessing = {
    x: guess,
    y: -12,
    text: `guessing ${percent(chance ?? 0)}`,
    size: 11,
    color: 'var(--muted)',
    align: guess > plot / 2 ? 'right' : 'left',
  }
  const text = texts(chance === undefined ? labels : [...labels, guessing])
  const line: Mark = {
    type: 'rule',
    encode: {
      enter: {
        x: { value: guess },
        y: { value: -4 },
        y2: { value: height },
        stroke: { value: 'var(--muted)' },
        strokeDash: { value: [3, 3] },
      },
    },
  }
  const whisker = (x: string, x2: string, from: number, to: number, halo: boolean): Mark => ({
    type: 'rule',
    from: { data: 'whiskers' },
    encode: {
      enter: {
        x: { field: x },
        x2: { field: x2 },
        y: { field: 'y', offset: from },
        y2: { field: 'y', offset: to },
        stroke: { value: halo ? 'var(--card)' : 'var(--ink)' },
        strokeWidth: { value: halo ? 3.5 : 1.5 },
        strokeCap: { value: 'square' },
      },
    },
  })
  // Each whisker is drawn twice: a wide rule in the card's colour keeps it legible on its bar.
  const whiskers = [true, false].flatMap((halo) => [
    whisker('low', 'high', thick / 2, thick / 2, halo),
    whisker('low', 'low', thick / 2 - 5, thick / 2 + 5, halo),
    whisker('high', 'high', thick / 2 - 5, thick / 2 + 5, halo),
  ])
  return {
    width: plot,
    height,
    padding,
    data: [
      { name: 'bars', values: rows },
      { name: 'whiskers', values: rows.filter((row) => row.high > row.low) },
      text.data,
    ],
    scales: [{ name: 'x', type: 'linear', domain: [0, values.at(-1)!], range: [0, plot], zero: true }],
    axes: [axis('bottom', values, `${metricTitle(metric)} on test images (%)`)],
    marks: [barMark(thick), ...(chance === undefined ? [] : [line]), ...whiskers, text.mark],
  }
}
