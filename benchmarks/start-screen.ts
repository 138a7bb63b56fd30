// What `npm start` shows while it works, on standard error: a bar for the run in hand on a terminal, and a line for each
// finished run.
import { duration } from '../src/cli/format.ts'
import { bar, type Ui } from '../src/cli/ui.ts'
import type { ExperimentEvent } from '../src/index.ts'
import { scoreOf } from '../src/report/experiment-result.ts'
import { methodName, metricName, percent, seconds } from '../src/report/format.ts'

/** Called with every event of an experiment of `seeds` seeds. */
export function startScreen(ui: Ui, seeds: number, methods: readonly string[], datasets: readonly string[]) {
  const width = (words: readonly string[]) => Math.max(...words.map((word) => word.length))
  const [methodWidth, datasetWidth] = [width(methods.map(methodName)), width(datasets)]
  let began = 0

  const head = ({ index, runs, method, dataset, seed }: ExperimentEvent) => {
    const which = seeds > 1 ? `  seed ${String(seed).padEnd(String(seeds - 1).length)}` : ''
    const place = `${String(index + 1).padStart(String(runs).length)}/${runs}`
    return `${place}  ${dataset.padEnd(datasetWidth)}${which}  ${methodName(method).padEnd(methodWidth)}`
  }
  // Most important first: what does not fit is left out.
  const live = (event: ExperimentEvent, part: number, facts: string[]) =>
    ui.progress((columns) => {
      let line = `${head(event)}  ${bar(part, columns < 100 ? 16 : 24)}`
      for (const fact of facts) if (line.length + fact.length + 2 <= columns) line += `  ${fact}`
      return line
    })

  return (event: ExperimentEvent): void => {
    if (event.kind === 'run') {
      began = performance.now()
      live(event, 0, [])
    } else if (event.kind === 'progress' && event.event.kind === 'step') {
      const { step, steps, epoch, epochs, loss, accuracy, count } = event.event
      const past = (performance.now() - began) / 1000
      live(event, step / steps, [
        `epoch ${epoch}/${epochs}`,
        `loss ${loss.toFixed(2)}`,
        `acc ${percent(accuracy)}`,
        `${duration((past / step) * (steps - step))} left`,
        `${Math.round((step * count) / past)} images/s`,
      ])
    } else if (event.kind === 'test') {
      live(event, 1, [`testing on ${event.images} images`])
    } else if (event.kind === 'done') {
      const { run, metric } = event
      const score = ui.err('bold', percent(scoreOf(run, metric)).padStart(7))
      const trained = ui.err('dim', `trained in ${seconds(run.seconds)}`)
      ui.clear()
      ui.note(`${head(event)}  ${score} ${metricName(metric).padEnd(8)}  ${trained}`)
    }
  }
}
