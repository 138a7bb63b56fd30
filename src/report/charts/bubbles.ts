// Picture 3: peak memory against the score, trainable parameters as the bubble's area on a logarithmic scale.
import type { Spec } from 'vega'
import { methodName, metricTitle, shortCount } from '../format.ts'
import type { MethodSummary } from '../summarise.ts'
import { axis, fit, type Look, place, texts, textWidth, ticks } from './chart.ts'

const SMALL = 90
const LARGE = 2400

interface Box {
  left: number
  right: number
  top: number
  bottom: number
}

const overlap = (a: Box, b: Box) =>
  Math.max(0, Math.min(a.right, b.right) - Math.max(a.left, b.left)) *
  Math.max(0, Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top))

/** Areas in px² for parameter counts: linear in log10 between the decades that enclose all of them. */
export function bubbleAreas(counts: number[]): {
  areas: number[]
  decades: number[]
  areaOf: (count: number) => number
} {
  const logs = counts.map((n) => Math.log10(Math.max(1, n)))
  const low = Math.floor(Math.min(...logs))
  const high = Math.max(low + 1, Math.ceil(Math.max(...logs)))
  const areaOf = (n: number) => SMALL + ((Math.log10(Math.max(1, n)) - low) / (high - low)) * (LARGE - SMALL)
  return {
    areas: counts.map(areaOf),
    decades: Array.from({ length: high - low + 1 }, (_, i) => 10 ** (low + i)),
    areaOf,
  }
}

/** One labelled bubble a method at its (peak memory, mean score), the spread as a vertical rule; a key of sizes below. */
export function bubbles(
  summaries: MethodSummary[],
  looks: Map<string, Look>,
  metric: string,
  width: number,
  narrow: boolean,
): Spec {
  const padding = { top: 16, bottom: 142, left: 52, right: narrow ? 14 : 24 }
  const plot = width - padding.left - padding.right
  const height = narrow ? 300 : 340
  const { areas, decades, areaOf } = bubbleAreas(summaries.map((s) => s.trainable))
  const giga = Math.max(...summaries.map((s) => s.peakBytes)) >= 2e9
  const unit = giga ? 1e9 : 1e6
  const padded = (low: number, high: number, by: number, min: number, max: number) => {
    const extra = by * (high - low || Math.max(1, 0.1 * high))
    return [Math.max(min, low - extra), Math.min(max, high + extra)] as const
  }
  const memory = summaries.map((s) => s.peakBytes / unit)
  const xs = ticks(
    ...padded(Math.min(...memory), Math.max(...memory), 0.16, 0, Number.POSITIVE_INFINITY),
    narrow ? 4 : 6,
  )
  const lows = summaries.map((s) => 100 * (s.score - (s.spread ?? 0)))
  const highs = summaries.map((s) => 100 * (s.score + (s.spread ?? 0)))
  const ys = ticks(...padded(Math.min(...lows), Math.max(...highs), 0.14, 0, 100), 5)
  const y = (score: number) => place(100 * Math.min(1, Math.max(0, score)), ys, height, 0)
  const rows = summaries
    .map((s, i) => ({
      method: s.method,
      trainable: s.trainable,
      x: place(memory[i]!, xs, 0, plot),
      y: y(s.score),
      top: y(s.score + (s.spread ?? 0)),
      bottom: y(s.score - (s.spread ?? 0)),
      area: areas[i]!,
      color: looks.get(s.method)!.color,
    }))
    .sort((a, b) => b.area - a.area)
  // At most four sizes in the key.
  const every = Math.ceil(decades.length / 4)
  const keys = decades
    .filter((_, i) => (decades.length - 1 - i) % every === 0)
    .map((n, i) => ({ x: 28 + 70 * i, y: height + 96, area: areaOf(n), text: shortCount(n) }))
  const muted = { size: 12, color: 'var(--muted)' }
  const text = texts([
    ...labels(rows, plot, height),
    { ...muted, x: 0, y: height + 62, text: 'Area: trainable parameters' },
    ...keys.map((key) => ({ ...muted, x: key.x, y: height + 132, text: key.text, align: 'center' })),
  ])
  const at = { x: { field: 'x' }, y: { field: 'y' }, size: { field: 'area' } }
  return {
    width: plot,
    height,
    padding,
    data: [{ name: 'bubbles', values: rows }, { name: 'keys', values: keys }, text.data],
    scales: [
      { name: 'x', type: 'linear', domain: [xs[0]!, xs.at(-1)!], range: [0, plot], zero: false },
      { name: 'y', type: 'linear', domain: [ys[0]!, ys.at(-1)!], range: [height, 0], zero: false },
    ],
    axes: [
      axis('left', ys, `${metricTitle(metric)} on test images (%)`),
      axis('bottom', xs, `Peak memory (${giga ? 'GB' : 'MB'})`),
    ],
    marks: [
      {
        type: 'symbol',
        from: { data: 'bubbles' },
        encode: {
          enter: {
            ...at,
            fill: { field: 'color' },
            fillOpacity: { value: 0.72 },
            stroke: { field: 'color' },
            strokeWidth: { value: 1.5 },
          },
        },
      },
      {
        type: 'rule',
        from: { data: 'bubbles' },
        encode: {
          enter: {
            x: { field: 'x' },
            y: { field: 'top' },
            y2: { field: 'bottom' },
            stroke: { value: 'var(--ink)' },
            strokeWidth: { value: 1.25 },
          },
        },
      },
      {
        type: 'symbol',
        from: { data: 'keys' },
        encode: {
          enter: { ...at, fill: { value: 'none' }, stroke: { value: 'var(--muted)' }, strokeWidth: { value: 1 } },
        },
      },
      text.mark,
    ],
  }
}

// Each label goes to the side of its bubble where it covers least of bubbles, labels and the frame; right is tried first.
function labels(
  rows: { method: string; trainable: number; x: number; y: number; top: number; bottom: number; area: number }[],
  plot: number,
  height: number,
) {
  const circle = (row: { x: number; y: number; area: number }): Box => {
    const r = Math.sqrt(row.area / Math.PI) + 2
    return { left: row.x - r, right: row.x + r, top: row.y - r, bottom: row.y + r }
  }
  const taken = rows.flatMap((row) => [
    circle(row),
    { left: row.x - 3, right: row.x + 3, top: row.top, bottom: row.bottom },
  ])
  return rows.flatMap((row) => {
    const name = fit(methodName(row.method), 120, 13)
    const size = shortCount(row.trainable)
    const [w, h] = [Math.max(textWidth(name, 14), textWidth(size, 11)), 32]
    const { left, right, top, bottom } = circle(row)
    const candidates = [
      { x: right + 4, y: row.y - h / 2 },
      { x: left - 4 - w, y: row.y - h / 2 },
      { x: row.x - w / 2, y: top - 2 - h },
      { x: row.x - w / 2, y: bottom + 2 },
      { x: right - 2, y: top - h + 8 },
      { x: right - 2, y: bottom - 8 },
      { x: left + 2 - w, y: top - h + 8 },
      { x: left + 2 - w, y: bottom - 8 },
    ].map((at) => ({ left: at.x, right: at.x + w, top: at.y, bottom: at.y + h }))
    const cost = (box: Box) => {
      const inside = overlap(box, { left: 2, right: plot + 10, top: -12, bottom: height - 2 })
      return taken.reduce((sum, other) => sum + overlap(box, other), 0) + 4 * (w * h - inside)
    }
    const box = candidates.reduce((a, b) => (cost(b) < cost(a) - 0.5 ? b : a))
    // Some fonts are wider than was reckoned with.
    taken.push({ ...box, left: box.left - 10, right: box.right + 10 })
    const middle = (box.left + box.right) / 2
    return [
      { x: middle, y: box.top + 9, text: name, align: 'center', weight: 600 },
      { x: middle, y: box.top + 24, text: size, align: 'center', size: 11, color: 'var(--muted)' },
    ]
  })
}
