// Live charts: a few series over training steps, drawn with uPlot in the page's own colours, described in words.
import Uplot from 'uplot'
import { h, newId, setText } from './dom.ts'

/** One curve: a line through all steps, or dots joined by a line where values are rare. */
export interface Series {
  readonly label: string
  /** A custom property of the page that holds its colour. */
  readonly colour: string
  readonly kind: 'line' | 'faint' | 'dots'
}

export interface ChartOptions {
  readonly title: string
  readonly series: readonly Series[]
  readonly height: number
  /** How a value is written. */
  readonly show: (value: number) => string
  /** What lies along the bottom is the logarithm of this; else steps. */
  readonly along?: string
  /** Fixed range of values; else what the data needs, from 0. */
  readonly range?: readonly [number, number]
}

export interface Chart {
  readonly element: HTMLElement
  /** Names a series; one without a name has no legend. */
  name(series: number, label: string | undefined): void
  /** Values by series at a step; undefined where a series has none. Later steps are forgotten: they come again. Drawn soon. */
  add(step: number, values: readonly (number | undefined)[]): void
  clear(): void
  /** Says in words what the curves show. */
  describe(text: string): void
}

/** Milliseconds between drawings: often enough to look live, seldom enough to leave the processor to training. */
const PAUSE = 200

const colour = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name)

/** An empty chart; it follows its container's width and the page's colours. */
export function createChart({ title, series, height, show, range, along }: ChartOptions): Chart {
  /** Powers of ten without their mantissa where there is none. */
  const power = (x: number) =>
    Number((10 ** x).toPrecision(2))
      .toExponential()
      .replace('e+', 'e')
  let data: [number[], ...(number | null)[][]] = [[], ...series.map((): (number | null)[] => [])]
  let plot: Uplot | undefined
  let due = false
  const id = newId()
  const canvas = h('div', { class: 'plot', role: 'img', 'aria-labelledby': id, style: `height: ${height}px` })
  const at = h('span', { class: 'plot-at' })
  const values = series.map(() => h('output', { 'aria-live': 'off' }))
  const names = series.map(({ label }) => h('span', {}, `${label} `))
  const legend = series.map(({ label, colour, kind }, i) =>
    h(
      'span',
      { class: 'legend', hidden: kind === 'faint' || label === '' },
      series.length > 1 && h('i', { class: kind, style: `--colour: var(${colour})` }),
      series.length > 1 && names[i],
      values[i],
    ),
  )
  const words = h('p', { class: 'hidden', id }, `${title}: no values yet`)
  const element = h(
    'figure',
    { class: series.length > 1 ? 'chart several' : 'chart' },
    h('figcaption', {}, h('span', { class: 'plot-title' }, title), at, ...legend),
    canvas,
    words,
  )

  const axis = { stroke: () => colour('--soft'), font: '11px system-ui, sans-serif', ticks: { show: false } }
  const grid = { stroke: () => colour('--line'), width: 1 }
  function start(width: number): Uplot {
    return new Uplot(
      {
        width,
        height,
        legend: { show: false },
        cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
        padding: [8, 16, 0, 0],
        scales: {
          x: {
            time: false,
            range: (_, low, high) => (along ? [low, Math.max(high, low + 1)] : [Math.min(low, 1), Math.max(high, 10)]),
          },
          y: {
            range: (_, low, high) => (range ? [range[0], range[1]] : [Math.min(0, low), Math.max(high * 1.05, 1e-6)]),
          },
        },
        axes: [
          {
            ...axis,
            grid: { show: false },
            size: 24,
            space: 60,
            values: (_, ticks) => ticks.map((v) => (!Number.isInteger(v) ? '' : along ? power(v) : String(v))),
          },
          { ...axis, grid, size: 44, space: 32, values: (_, ticks) => ticks.map(show) },
        ],
        series: [
          {},
          ...series.map(
            (s): Uplot.Series => ({
              label: s.label,
              stroke: () => colour(s.colour),
              width: s.kind === 'faint' ? 1 : 2,
              ...(s.kind === 'faint' ? { alpha: 0.3 } : {}),
              spanGaps: true,
              points: s.kind === 'dots' ? { show: true, size: 7, fill: () => colour(s.colour) } : { show: false },
            }),
          ),
        ],
        hooks: { setCursor: [(self) => tell(self.cursor.idx ?? undefined)] },
      },
      data as Uplot.AlignedData,
      canvas,
    )
  }
  /** The last values, or those under the pointer. */
  function tell(index?: number): void {
    const here = index === undefined ? undefined : data[0][index]
    setText(at, here === undefined ? '' : along ? `${along} ${power(here)}` : `step ${here}`)
    for (const [i, output] of values.entries()) {
      const curve = data[i + 1] as (number | null)[]
      const value = index === undefined ? curve.findLast((v) => v !== null) : curve[index]
      setText(output, value === undefined || value === null ? '' : show(value))
    }
  }
  function draw(): void {
    if (due) return
    due = true
    setTimeout(() => {
      due = false
      plot?.setData(data as Uplot.AlignedData)
      tell(plot?.cursor.idx ?? undefined)
    }, PAUSE)
  }

  new ResizeObserver(([entry]) => {
    const width = Math.floor(entry!.contentRect.width)
    if (width < 40) return
    if (plot) plot.setSize({ width, height })
    else plot = start(width)
  }).observe(canvas)
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => plot?.redraw(false))

  return {
    element,
    name(i, label) {
      setText(names[i]!, `${label ?? ''} `)
      legend[i]!.hidden = label === undefined
    },
    add(step, values) {
      const [steps] = data
      const kept = steps.findLastIndex((at) => at <= step) + 1
      for (const column of data) column.length = kept
      if (steps[steps.length - 1] !== step) {
        steps.push(step)
        for (let i = 1; i < data.length; i++) data[i]!.push(null as never)
      }
      for (const [i, value] of values.entries()) if (value !== undefined) data[i + 1]![steps.length - 1] = value
      draw()
    },
    clear() {
      data = [[], ...series.map((): (number | null)[] => [])]
      setText(words, `${title}: no values yet`)
      draw()
    },
    describe: (text) => setText(words, text),
  }
}
