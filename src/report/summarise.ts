// Means and spreads of an experiment: by method and data set, and by method over the data sets that one metric judges.
import { chanceOf, type ExperimentResult, type ExperimentRun, metricsOf, scoreOf } from './experiment-result.ts'

/** What a method took, whatever it was trained for. */
export interface Costs {
  method: string
  /** The largest over the runs, in bytes. */
  peakBytes: number
  /** The mean of a run. */
  seconds: number
}

/** What one method did on one data set, over its seeds, or over several data sets. Scores are 0 to 1. */
export interface MethodSummary extends Costs {
  /** By the metric that the data sets are judged by; over several data sets the mean of their means, so that each counts the same. */
  score: number
  /** The same by the next metric, where there is one. */
  second?: number
  /** Of `score`: sample standard deviation over seeds (of each seed's mean over data sets); undefined for fewer than two seeds. */
  spread: number | undefined
  /** The largest over the runs: heads differ by data set. */
  trainable: number
  total: number
  seeds: number
  /** How many data sets the method has runs on. */
  datasets: number
}

const mean = (values: number[]) => values.reduce((sum, v) => sum + v, 0) / values.length

/** Sample standard deviation (n - 1); undefined for fewer than two values. */
export function deviation(values: number[]): number | undefined {
  if (values.length < 2) return undefined
  const centre = mean(values)
  return Math.sqrt(values.reduce((sum, v) => sum + (v - centre) ** 2, 0) / (values.length - 1))
}

const costsOf = (method: string, runs: ExperimentRun[]): Costs => ({
  method,
  peakBytes: Math.max(...runs.map((run) => run.peakBytes)),
  seconds: mean(runs.map((run) => run.seconds)),
})

/** What each method took over all its runs, in the order of `result.methods`. */
export const costsBy = ({ methods, runs }: ExperimentResult): Costs[] =>
  methods.flatMap((method) => {
    const mine = runs.filter((run) => run.method === method)
    return mine.length > 0 ? [costsOf(method, mine)] : []
  })

function summariseRuns(method: string, runs: ExperimentRun[], [first, second]: readonly string[]): MethodSummary {
  const names = [...new Set(runs.map((run) => run.dataset))]
  const seeds = [...new Set(runs.map((run) => run.seed))]
  const overall = (metric: string) =>
    mean(names.map((name) => mean(runs.filter((run) => run.dataset === name).map((run) => scoreOf(run, metric)))))
  // A seed counts towards the spread only where it ran on every data set: else data sets would be compared, not seeds.
  const ofSeed = seeds
    .map((seed) => runs.filter((run) => run.seed === seed))
    .filter((mine) => mine.length === names.length)
    .map((mine) => mean(mine.map((run) => scoreOf(run, first!))))
  return {
    ...costsOf(method, runs),
    score: overall(first!),
    ...(second !== undefined && { second: overall(second) }),
    spread: deviation(ofSeed),
    trainable: Math.max(...runs.map((run) => run.trainable)),
    total: Math.max(...runs.map((run) => run.total)),
    seeds: seeds.length,
    datasets: names.length,
  }
}

/** Data sets that are judged alike: same task, same metrics. Only they have a mean. */
export interface Kind {
  /** What the task is, in words; absent where nobody said. */
  task?: string
  metrics: readonly string[]
  datasets: string[]
}

/** The data sets with runs by how they are judged, each kind at its first one's place. */
export function kindsOf(result: ExperimentResult): Kind[] {
  const kinds = new Map<string, Kind>()
  for (const dataset of result.datasets) {
    if (!result.runs.some((run) => run.dataset === dataset.name)) continue
    const { task } = dataset
    const metrics = metricsOf(dataset)
    const key = JSON.stringify([task, metrics])
    if (!kinds.has(key)) kinds.set(key, { ...(task !== undefined && { task }), metrics, datasets: [] })
    kinds.get(key)!.datasets.push(dataset.name)
  }
  return [...kinds.values()]
}

/** What guessing gives on average over the data sets of a kind; undefined where that is not known of all. */
export function chanceOn(result: ExperimentResult, { datasets }: Kind): number | undefined {
  const each = result.datasets.filter(({ name }) => datasets.includes(name)).map(chanceOf)
  const known = each.filter((chance) => chance !== undefined)
  return known.length === each.length ? mean(known) : undefined
}

/**
 * One summary a method with runs, in the order of `result.methods`; of all data sets, or of those named. Throws where
 * they are not judged alike: an accuracy and an average precision have no mean.
 */
export function summarise(result: ExperimentResult, named?: string | readonly string[]): MethodSummary[] {
  const wanted = named === undefined ? result.datasets.map(({ name }) => name) : [named].flat()
  const kinds = kindsOf(result).filter(({ datasets }) => datasets.some((name) => wanted.includes(name)))
  if (kinds.length > 1) {
    const metrics = kinds.map((kind) => kind.metrics[0]).join(' and ')
    throw new Error(`summarise: data sets must be judged alike, got ${metrics} of different tasks; name those of one`)
  }
  const summaries: MethodSummary[] = []
  for (const method of result.methods) {
    const runs = result.runs.filter((run) => run.method === method && wanted.includes(run.dataset))
    if (runs.length > 0) summaries.push(summariseRuns(method, runs, kinds[0]!.metrics))
  }
  return summaries
}

/** A part of the tables: a data set, or the average over those of a kind. */
export interface Block {
  title: string
  average: boolean
  metrics: readonly string[]
  summaries: MethodSummary[]
}

/** Every data set with runs in order; behind the last one of a kind its average, where it has several. */
export function blocksOf(result: ExperimentResult): Block[] {
  const kinds = kindsOf(result)
  return result.datasets.flatMap(({ name }): Block[] => {
    const kind = kinds.find(({ datasets }) => datasets.includes(name))
    if (!kind) return []
    const { metrics, datasets } = kind
    const own = { title: name, average: false, metrics, summaries: summarise(result, name) }
    if (datasets.length < 2 || datasets.at(-1) !== name) return [own]
    const title = `average of ${datasets.length} data sets`
    return [own, { title, average: true, metrics, summaries: summarise(result, datasets) }]
  })
}
