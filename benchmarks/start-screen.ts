// What `npm start` shows while it works, on standard error: a bar for the run in hand on a terminal, and one line for
// each finished run. Without a terminal only the lines.
import { stripVTControlCharacters } from 'node:util'
import type { ExperimentEvent } from '../src/index.ts'
import { methodName, percent, seconds } from '../src/train/report/format.ts'

const barWidth = 24
/** Milliseconds between two drawings of the bar. */
const pause = 80

type Stream = Pick<NodeJS.WriteStream, 'write' | 'isTTY' | 'columns'>

/** Whether escape codes may be written to a stream (https://no-color.org, and terminals that say they cannot). */
export const colorful = (stream: Pick<Stream, 'isTTY'>): boolean =>
  stream.isTTY === true && !process.env.NO_COLOR && process.env.TERM !== 'dumb'

/** Shows an experiment's events; `line` prints above the bar. */
export function startScreen(stream: Stream, seeds: number, names: { methods: string[]; datasets: string[] }) {
  const color = colorful(stream)
  const style = (code: number, text: string) => (color ? `\u001b[${code}m${text}\u001b[0m` : text)
  const width = (words: string[]) => Math.max(...words.map((word) => word.length))
  const [methodWidth, datasetWidth] = [width(names.methods.map(methodName)), width(names.datasets)]
  let drawn = 0
  let started = 0

  const clear = () => {
    if (drawn > 0) stream.write('\r\u001b[2K')
    drawn = 0
  }
  const line = (text: string) => {
    clear()
    stream.write(`${text}\n`)
  }
  const draw = (text: string) => {
    if (!color || performance.now() - drawn < pause) return
    // A line that wraps could not be cleared again.
    const room = (stream.columns ?? 80) - 1
    const shown = stripVTControlCharacters(text).length > room ? stripVTControlCharacters(text).slice(0, room) : text
    stream.write(`\r\u001b[2K${shown}`)
    drawn = performance.now()
  }
  const head = ({ index, runs, method, dataset, seed }: ExperimentEvent) => {
    const place = style(2, `${`${index + 1}`.padStart(String(runs).length)}/${runs}`)
    const which = seeds > 1 ? `  seed ${`${seed}`.padEnd(String(seeds - 1).length)}` : ''
    return `${place}  ${dataset.padEnd(datasetWidth)}${which}  ${methodName(method).padEnd(methodWidth)}`
  }
  const bar = (part: number) => {
    const full = Math.round(barWidth * part)
    return `${style(36, '━'.repeat(full))}${style(2, '─'.repeat(barWidth - full))}`
  }

  const show = (event: ExperimentEvent) => {
    if (event.kind === 'run') {
      started = performance.now()
      draw(`${head(event)}  ${bar(0)}`)
    } else if (event.kind === 'progress' && event.event.kind === 'step') {
      const { step, steps, epoch, epochs, loss, accuracy, images } = event.event
      const past = (performance.now() - started) / 1000
      const left = seconds((past / step) * (steps - step))
      const speed = `${Math.round((step * images) / past)} images/s`
      const numbers = `epoch ${epoch}/${epochs}  loss ${loss.toFixed(2)}  training ${percent(accuracy)}`
      draw(`${head(event)}  ${bar(step / steps)}  ${numbers}  ${speed}  ${left} left`)
    } else if (event.kind === 'test') {
      draw(`${head(event)}  ${bar(1)}  testing on ${event.images} images`)
    } else if (event.kind === 'done') {
      const { accuracy, seconds: time } = event.run
      line(`${head(event)}  ${style(1, percent(accuracy).padStart(7))}  ${style(2, `trained in ${seconds(time)}`)}`)
    }
  }
  return { show, line, clear }
}
