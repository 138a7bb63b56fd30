// What training says while it runs: one live line on a terminal, one plain line an epoch anywhere.
import { passedOverText } from '../data/passed-over.ts'
import { isRecord } from '../io/json.ts'
import { sentence } from '../platform/errors.ts'
import type { CheckEvent, DuplicatesEvent, RatesEvent, SkipEvent, StartEvent } from '../run/train.ts'
import { tasks } from '../tasks/registry.ts'
import type { EpochEvent, StepEvent } from '../train/fit-options.ts'
import { count, duration, oneLine, percent, plural } from './format.ts'
import { bar, type Ui } from './ui.ts'

/** Follows the events of one training. */
export interface TrainProgress {
  start(event: StartEvent): void
  step(event: StepEvent): void
  epoch(event: EpochEvent): void
  skip(event: SkipEvent): void
  check(event: CheckEvent): void
  rates(event: RatesEvent): void
  duplicates(event: DuplicatesEvent): void
}

/** Steps over which the speed is averaged. */
const window = 20

/** What a task tells of an epoch beside its accuracy, in words. */
const toldAs: Readonly<Record<string, string>> = { sure: 'sure of unlabelled' }

/** Part of an epoch's time from which on it is told that training waited for its images. */
const SLOW_DATA = 0.03

/** A value of a setting in a line: what a table holds by its names, with numbers that stand for themselves. */
function wordsOf(value: unknown): string {
  if (!isRecord(value)) return String(value)
  const all = Object.entries(value).map(([name, one]) => (isRecord(one) ? name : `${name} ${one}`))
  return all.length > 0 ? all.join(' + ') : 'none'
}

/** `clock` gives seconds. */
export function trainProgress(ui: Ui, clock: () => number = () => performance.now() / 1000): TrainProgress {
  let began = 0
  let firstStep = 0
  let validates = false
  /** What a line of an epoch may show, the first that it has: what chooses, else the task's own. */
  let metrics: string[] = []
  const recent: { at: number; images: number }[] = []

  const speed = (): number => {
    const [oldest] = recent
    const span = recent.at(-1)!.at - oldest!.at
    const images = recent.slice(1).reduce((sum, r) => sum + r.images, 0)
    return span > 0 ? images / span : 0
  }
  const stepLine = (e: StepEvent, columns: number): string => {
    const left = ((clock() - began) / (e.step - firstStep)) * (e.steps - e.step)
    const perEpoch = e.steps / e.epochs
    const inEpoch = e.step - (e.epoch - 1) * perEpoch
    const head = `epoch ${e.epoch}/${e.epochs} `
    const tail = [
      '',
      `loss ${e.loss.toFixed(4)}`,
      `acc ${percent(e.accuracy)}`,
      `${speed().toFixed(1)} images/s`,
      validates && inEpoch === perEpoch ? 'validating' : `${duration(left)} left`,
    ].join('  ')
    const steps = ` ${inEpoch}/${perEpoch}`
    const room = columns - head.length - tail.length - 2
    const counted = room >= 12 + steps.length ? steps : ''
    return head + bar(inEpoch / perEpoch, Math.min(24, Math.max(6, room - counted.length))) + counted + tail
  }
  return {
    start(e) {
      began = clock()
      firstStep = e.step
      validates = e.val > 0
      const { noun, monitors } = tasks[e.task]
      metrics = [e.monitor, ...Object.keys(monitors)]
      recent.push({ at: began, images: 0 })
      const from = { folder: 'as given', split: `set aside from each ${noun}`, none: '' }[e.valSource]
      const val = e.val > 0 ? `${plural(e.val, 'image')} to validate (${from})` : 'none to validate'
      ui.note(`${ui.err('bold', e.method)} on ${oneLine(e.model)}: ${plural(e.classes.length, noun)}`)
      ui.note(`task ${e.task}, since ${oneLine(e.recognised)}`)
      const without = e.unlabelled === undefined ? '' : ` and ${count(e.unlabelled)} without labels`
      ui.note(`${plural(e.train, 'image')}${without} to train, ${val}`)
      const share = percent(e.trainable / e.total)
      const threads = e.threads === 1 ? '1 thread' : `${e.threads} threads`
      ui.note(
        `trains ${count(e.trainable)} of ${count(e.total)} parameters (${share}), lr ${e.lr}, ${e.device} with ${threads}`,
      )
      const decided = Object.entries(e.recipe.decided).map(([name, value]) => `${name} ${wordsOf(value)}`)
      if (decided.length > 0 && e.step === 0) ui.note(`recipe ${e.recipe.name}: ${decided.join(', ')}`)
      for (const kind of e.ignored) ui.note(oneLine(passedOverText(kind)))
      for (const note of e.notes) ui.note(`note: ${oneLine(note)}`)
      if (e.changes !== undefined) ui.note(`since the run began ${oneLine(e.changes)}: accepted, run.json keeps it`)
      if (e.step > 0) ui.note(`continues after step ${e.step}`)
    },
    step(e) {
      recent.push({ at: clock(), images: e.count })
      if (recent.length > window) recent.shift()
      ui.progress((columns) => stepLine(e, columns))
    },
    epoch(e) {
      // Where the loss chooses, the task's own metric stands beside it.
      const shown = metrics.find((name) => e.metrics?.[name] !== undefined)
      const parts = [
        `epoch ${String(e.epoch).padStart(String(e.epochs).length)}/${e.epochs}`,
        `loss ${e.trainLoss.toFixed(4)}`,
        `accuracy ${percent(e.trainAccuracy)}`,
        ...Object.entries(e.told ?? {}).map(([name, value]) => `${toldAs[name] ?? name} ${percent(value)}`),
        ...(e.loss === undefined ? [] : [`val loss ${e.loss.toFixed(4)}`]),
        ...(shown === undefined ? [] : [`val ${shown} ${percent(e.metrics![shown]!)}`]),
        duration(e.seconds),
        ...(e.dataSeconds > SLOW_DATA * e.seconds ? [`waited for images ${percent(e.dataSeconds / e.seconds)}`] : []),
        ...(e.best && e.accuracy !== undefined ? [ui.err('green', 'best so far')] : []),
      ]
      ui.note(parts.join('  '))
    },
    check: (e) => ui.progress(() => `comparing images with the run's ${bar(e.done / e.total)} ${e.done}/${e.total}`),
    rates(e) {
      if (e.chosen === undefined) {
        const [rate, loss] = [e.rates.at(-1)!.toPrecision(2), e.losses.at(-1)!.toFixed(4)]
        ui.progress(
          (columns) => `trying rates ${bar(e.rates.length / e.steps, columns < 60 ? 8 : 24)} ${rate}  loss ${loss}`,
        )
      } else if (e.otherwise === undefined) {
        ui.note(
          `range test: ${plural(e.rates.length, 'rate')} from ${e.rates[0]!.toPrecision(2)} to ${e.rates.at(-1)!.toPrecision(2)}, lr ${e.chosen}`,
        )
      }
    },
    duplicates(e) {
      const pairs = e.images.slice(0, 3).map(({ val, train }) => `${oneLine(val)} is ${oneLine(train)}`)
      const more = e.count > pairs.length ? ', …' : ''
      ui.note(
        `note: ${plural(e.count, 'validation image')} ${e.count === 1 ? 'is' : 'are'} trained on too, byte for byte, which flatters the accuracy: ${pairs.join(', ')}${more}`,
      )
    },
    skip: (e) => ui.note(`${ui.err('yellow', 'skipped')} ${sentence(`${e.file}: ${e.reason}`)}`),
  }
}
