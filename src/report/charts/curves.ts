// Training accuracy and loss of each epoch on one data set, one line a method (mean over the seeds that got there).
import type { Spec } from 'vega'
import type { ExperimentRun } from '../experiment-result.ts'
import { axis, type Look, place, ticks } from './chart.ts'

/** Mean of `key` by epoch over the runs' curves, in order of epochs; values that are no finite numbers are left out. */
export function meanCurve(runs: ExperimentRun[], key: 'accuracy' | 'loss'): { epoch: number; value: number }[] {
  const points = runs.flatMap((run) => run.curve ?? []).filter((p) => Number.isFinite(p[key]))
  return [...new Set(points.map((p) => p.epoch))]
    .sort((a, b) => a - b)
    .map((epoch) => {
      const values = points.filter((p) => p.epoch === epoch).map((p) => p[key])
      return { epoch, value: values.reduce((sum, v) => sum + v, 0) / values.length }
    })
}

/** A small chart of one data set's `runs`; undefined when no run has a curve. */
export function curves(runs: ExperimentRun[], looks: Map<string, Look>, key: 'accuracy' | 'loss'): Spec | undefined {
  const [width, height, padding] = [310, 190, { top: 10, bottom: 44, left: 50, right: 14 }]
  const unit = key === 'accuracy' ? 100 : 1
  const series = [...looks].flatMap(([method, look]) => {
    const points = meanCurve(
      runs.filter((run) => run.method === method),
      key,
    )
    return points.map((p, i) => ({ ...p, method, ...look, last: i === points.length - 1 }))
  })
  if (series.length === 0) return undefined
  const epochs = series.map((p) => p.epoch)
  const xs = ticks(Math.min(...epochs), Math.max(...epochs), 5)
  const whole = xs.filter(Number.isInteger)
  const ys = ticks(Math.min(...series.map((p) => p.value)) * unit, Math.max(...series.map((p) => p.value)) * unit, 4)
  const rows = series.map((p) => ({
    ...p,
    x: place(p.epoch, xs, 0, width),
    y: place(p.value * unit, ys, height, 0),
  }))
  return {
    width,
    height,
    padding,
    data: [
      { name: 'points', values: rows },
      { name: 'ends', values: rows.filter((row) => row.last) },
    ],
    scales: [
      { name: 'x', type: 'linear', domain: [xs[0]!, xs.at(-1)!], range: [0, width], zero: false },
      { name: 'y', type: 'linear', domain: [ys[0]!, ys.at(-1)!], range: [height, 0], zero: false },
    ],
    axes: [
      axis('left', ys, key === 'accuracy' ? 'Training accuracy (%)' : 'Training loss'),
      { ...axis('bottom', whole, 'Epoch'), grid: false, format: 'd' },
    ],
    marks: [
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
                stroke: { field: 'color' },
                strokeWidth: { value: 2 },
                strokeDash: { field: 'dash' },
              },
            },
          },
        ],
      },
      {
        type: 'symbol',
        from: { data: 'ends' },
        encode: {
          enter: {
            x: { field: 'x' },
            y: { field: 'y' },
            shape: { field: 'shape' },
            size: { value: 70 },
            fill: { field: 'color' },
            stroke: { value: 'var(--card)' },
            strokeWidth: { value: 1 },
          },
        },
      },
    ],
  }
}
