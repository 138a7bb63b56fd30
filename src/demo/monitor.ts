// What a run does, live: a bar with the time left, numbers, three charts. It is fed the session's events.

import { methodOf } from '../adapters/methods.ts'
import type { TaskName } from '../labels/labels.ts'
import type { DoneEvent, RatesEvent, RestartEvent, StartEvent, TrainEvent } from '../run/train.ts'
import type { EpochEvent, StepEvent } from '../train/fit-options.ts'
import type { HistoryEntry } from '../web/types.ts'
import { createChart } from './charts.ts'
import { announce, h, newId, setText } from './dom.ts'
import { bytes, duration, percent, plural, short } from './format.ts'
import { metricTitle, metricValue, perPicture } from './metrics.ts'

/** A run that is shown. */
export interface Followed {
  /** Its name here. */
  readonly title: string
  readonly loss: string | undefined
  /** Of a run that goes on: images a step, its task, and what chooses its best epoch. */
  readonly batchSize?: number
  readonly task?: TaskName
  readonly monitor?: string
}

export interface Monitor {
  readonly element: HTMLElement
  /** Forgets the last run and shows another, with what it measured before it is continued. */
  begin(run: Followed, past: readonly HistoryEntry[]): void
  event(event: TrainEvent): void
  /** What the run's state is now, when no event says it. */
  say(text: string): void
}

/** How fast old values are forgotten, a step. */
const SMOOTH = 0.9

interface Stat {
  readonly element: HTMLElement
  set(text: string): void
  /** What it is of; without a name it is not shown. */
  name(label: string | undefined): void
}

function stat(label?: string): Stat {
  const term = h('dt', {}, label)
  const value = h('dd', {}, '–')
  const element = h('div', { class: 'stat', hidden: label === undefined }, term, value)
  return {
    element,
    set: (text) => setText(value, text),
    name(label) {
      setText(term, label ?? '')
      element.hidden = label === undefined
    },
  }
}

const where = ({ device, threads }: StartEvent | RestartEvent): string =>
  device === 'wasm' ? `the processor with ${plural(threads, 'thread')}` : device

/** An empty monitor. */
export function createMonitor(): Monitor {
  const name = h('p', { class: 'run-title' })
  const state = h('p', { class: 'run-state', id: newId() })
  const bar = h('progress', { max: 1, value: 0, 'aria-labelledby': state.id })
  const left = h('p', { class: 'quiet' })
  const stats = {
    accuracy: stat('Accuracy'),
    chosen: stat(),
    loss: stat('Loss'),
    speed: stat('Images/s'),
    memory: stat('Memory'),
  }
  const device = h('p', { class: 'quiet' })
  const training = '--accent'
  const loss = createChart({
    title: 'Loss',
    height: 150,
    show: short,
    series: [
      { label: 'each step', colour: training, kind: 'faint' },
      { label: 'training', colour: training, kind: 'line' },
      { label: 'validation', colour: '--second', kind: 'dots' },
    ],
  })
  const accuracy = createChart({
    title: 'Accuracy',
    height: 150,
    show: percent,
    range: [0, 1],
    series: [
      { label: 'training', colour: training, kind: 'line' },
      { label: 'validation', colour: '--second', kind: 'dots' },
      { label: '', colour: '--third', kind: 'dots' },
    ],
  })
  const speed = createChart({
    title: 'Images/s',
    height: 90,
    show: (v) => (v >= 10 ? String(Math.round(v)) : short(v)),
    series: [{ label: 'images a second', colour: '--soft', kind: 'line' }],
  })

  const rates = createChart({
    title: 'Loss by learning rate, tried before training',
    height: 110,
    along: 'rate',
    show: short,
    series: [{ label: 'loss', colour: training, kind: 'line' }],
  })
  const found = h('p', { class: 'quiet' })
  const tested = h('div', { class: 'tested', hidden: true }, rates.element, found)

  let followed: Followed = { title: '', loss: undefined }
  let start: StartEvent | undefined
  /** What chooses the best epoch, where that is neither accuracy nor loss, which are shown anyway. */
  let chosen: string | undefined
  let restarts = 0
  let last: StepEvent | undefined
  let epochs: EpochEvent[] = []
  let first = 0
  let smooth = Number.NaN
  /** Seconds a step takes, by the clock, evaluation and pauses of the tab left out by the median of the last ones. */
  let pace: number[] = []
  let before = 0
  let due: ReturnType<typeof setTimeout> | undefined

  function showStep(): void {
    clearTimeout(due)
    due = undefined
    if (!last || !start) return
    const { step, steps, epoch } = last
    bar.value = step / steps
    setText(state, `Step ${step} of ${steps}, epoch ${epoch} of ${last.epochs}`)
    const sorted = [...pace].sort((a, b) => a - b)
    const median = sorted[sorted.length >> 1]
    setText(left, median === undefined || step >= steps ? '' : `about ${duration((steps - step) * median)} left`)
    stats.loss.set(short(smooth))
    const val = epochs.at(-1)?.accuracy
    stats.accuracy.set(percent(val ?? last.accuracy))
    const value = chosen === undefined ? undefined : epochs.at(-1)?.metrics?.[chosen]
    if (value !== undefined) stats.chosen.set(metricValue(chosen!, value))
    stats.speed.set(short(last.count / last.seconds))
    stats.memory.set(bytes(last.peakBytes))
  }
  function smoothed(step: number, value: number): void {
    if (Number.isNaN(smooth)) first = value
    smooth = Number.isNaN(smooth) ? value : SMOOTH * smooth + (1 - SMOOTH) * value
    loss.add(step, [value, smooth])
  }
  function onStep(event: StepEvent): void {
    const time = performance.now() / 1000
    if (before > 0) pace = [...pace.slice(-30), time - before]
    before = time
    last = event
    smoothed(event.step, event.loss * perPicture(start?.task ?? 'multiclass', followed.loss, event.count))
    accuracy.add(event.step, [event.accuracy])
    speed.add(event.step, [event.count / event.seconds])
    due ??= setTimeout(showStep, 100)
  }
  function onEpoch(event: EpochEvent): void {
    epochs.push(event)
    before = 0
    loss.add(event.step, [undefined, undefined, event.loss])
    const value = chosen === undefined ? undefined : event.metrics?.[chosen]
    accuracy.add(event.step, [undefined, event.accuracy, value])
    const words = [`loss ${short(event.trainLoss)}`]
    if (value !== undefined) words.push(`${metricTitle(chosen!)} ${metricValue(chosen!, value)}`)
    if (event.accuracy !== undefined) words.push(`accuracy ${percent(event.accuracy)} on pictures set aside`)
    announce(`Epoch ${event.epoch} of ${event.epochs}: ${words.join(', ')}`)
    loss.describe(`Loss: from ${short(first)} at the first step to ${short(smooth)} at step ${event.step}`)
    const list = epochs.flatMap((e) => (e.accuracy === undefined ? [] : [percent(e.accuracy)]))
    accuracy.describe(`Accuracy after each epoch: ${list.join(', ') || percent(event.trainAccuracy)}`)
    speed.describe(`Images a second: ${last ? short(last.count / last.seconds) : 'unknown'}`)
  }
  function onRates({ rates: tried, losses, steps, chosen: rate, otherwise }: RatesEvent): void {
    tested.hidden = false
    const [last, loss] = [tried.at(-1), losses.at(-1)]
    if (rate === undefined && last !== undefined) {
      rates.add(Math.log10(last), [loss])
      setText(state, `Trying learning rates, ${tried.length} of up to ${steps}`)
      bar.value = tried.length / steps
      return
    }
    bar.value = 0
    const text =
      otherwise === undefined
        ? `Learning rate ${rate}, found by a test`
        : `Learning rate ${rate}: a test found none better`
    setText(found, `${text}.`)
    rates.describe(
      `${text}. Losses of ${tried.length} steps at growing rates, the lowest ${short(Math.min(...losses))}`,
    )
    announce(text)
  }
  /** Shows one metric more, where that is what chooses the best epoch. */
  function choose(monitor: string): void {
    chosen = monitor === 'accuracy' || monitor === 'loss' ? undefined : monitor
    const title = chosen && metricTitle(chosen)
    stats.chosen.name(title)
    accuracy.name(2, title?.toLowerCase())
  }
  function onStart(event: StartEvent): void {
    start = event
    choose(event.monitor)
    const data = `${plural(event.train, 'picture')} to train on, ${event.val} set aside to check`
    const part = `${event.trainable.toLocaleString('en')} of ${event.total.toLocaleString('en')} weights`
    setText(state, `${methodOf(event.method).title} trains ${part}`)
    // What the files of model and pictures hold that is worth a sentence.
    const notes = event.notes.map((note) => ` Note: ${note}.`).join('')
    setText(device, `${data}. Computed on ${where(event)}.${notes}`)
    announce('Training has started')
  }
  function onRestart(event: RestartEvent): void {
    clearTimeout(due)
    due = undefined
    before = 0
    pace = []
    epochs = epochs.filter(({ step }) => step <= event.step)
    restarts++
    const text = `The device was lost. Training goes on from step ${event.step}, on ${where(event)}.`
    setText(state, text)
    setText(left, '')
    const times = restarts === 1 ? 'once' : `${restarts} times`
    setText(device, `Computed on ${where(event)}. The device was lost ${times}; what was not saved yet was repeated.`)
    announce(text)
  }
  function onDone(event: DoneEvent): void {
    setText(left, '')
    stats.memory.set(bytes(event.peakBytes))
    const { monitor, metrics = {}, accuracy } = event
    const value = metrics[monitor]
    const reached =
      chosen !== undefined && value !== undefined
        ? `: ${metricTitle(chosen)} ${metricValue(chosen, value)} on the pictures set aside`
        : accuracy === undefined
          ? ''
          : `: ${percent(accuracy)} of the pictures set aside are right`
    const text =
      event.ended === 'signal'
        ? `Stopped at step ${event.step}. It can go on from here.`
        : `Done in ${duration(event.seconds)}${reached}`
    setText(state, text)
    if (event.ended !== 'signal') bar.value = 1
    announce(text)
  }

  const element = h(
    'div',
    { class: 'monitor waiting' },
    h('p', { class: 'waiting-text' }, 'Loss, accuracy and speed appear here when training starts.'),
    name,
    h('div', { class: 'run-head' }, state, left),
    bar,
    tested,
    h('dl', { class: 'stats' }, ...Object.values(stats).map((s) => s.element)),
    h('div', { class: 'charts' }, loss.element, accuracy.element, speed.element),
    device,
  )
  return {
    element,
    begin(run, past) {
      followed = run
      element.classList.remove('waiting')
      start = undefined
      restarts = 0
      last = undefined
      smooth = Number.NaN
      epochs = []
      pace = []
      before = 0
      bar.value = 0
      choose(run.monitor ?? 'accuracy')
      setText(name, run.title)
      setText(state, 'Getting ready')
      setText(left, '')
      setText(device, '')
      for (const s of Object.values(stats)) s.set('–')
      tested.hidden = true
      setText(found, '')
      for (const chart of [loss, accuracy, speed, rates]) chart.clear()
      const scale = perPicture(run.task ?? 'multiclass', run.loss, run.batchSize ?? 1)
      for (const { step, loss: value, valLoss, valAccuracy, metrics } of past) {
        if (value === undefined) {
          loss.add(step, [undefined, undefined, valLoss])
          accuracy.add(step, [undefined, valAccuracy, chosen === undefined ? undefined : metrics?.[chosen]])
        } else smoothed(step, value * scale)
      }
    },
    event(event) {
      if (event.kind === 'check') setText(state, `Comparing pictures, ${event.done} of ${event.total}`)
      else if (event.kind === 'rates') onRates(event)
      else if (event.kind === 'start') onStart(event)
      else if (event.kind === 'step') onStep(event)
      else if (event.kind === 'epoch') onEpoch(event)
      else if (event.kind === 'restart') onRestart(event)
      else if (event.kind === 'done') {
        showStep()
        onDone(event)
      }
    },
    say(text) {
      showStep() // what is due, before and not after
      setText(state, text)
      setText(left, '')
    },
  }
}
