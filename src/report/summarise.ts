// Means and spreads of an experiment: by method and data set, and by method over all data sets.
import type { ExperimentResult, ExperimentRun } from './experiment-result.ts'

/** What one method did on one data set, over its seeds, or over several data sets. Accuracies are 0 to 1. */
export interface MethodSummary {
  method: string
  /** Over several data sets: the mean of their means, so that each counts the same. */
  accuracy: number
  /** Sample standard deviation over seeds (of each seed's mean over data sets); undefined for fewer than two seeds. */
  spread: number | undefined
  /** The largest over the runs: heads differ by data set. */
  trainable: number
  total: number
  /** The largest over the runs, in bytes. */
  peakBytes: number
  /** The mean of a run. */
  seconds: number
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

function summariseRuns(method: string, runs: ExperimentRun[]): MethodSummary {
  const names = [...new Set(runs.map((run) => run.dataset))]
  const seeds = [...new Set(runs.map((run) => run.seed))]
  const ofDataset = names.map((name) => mean(runs.filter((run) => run.dataset === name).map((run) => run.accuracy)))
  // A seed counts towards the spread only where it ran on every data set: else data sets would be compared, not seeds.
  const ofSeed = seeds
    .map((seed) => runs.filter((run) => run.seed === seed))
    .filter((mine) => mine.length === names.length)
    .map((mine) => mean(mine.map((run) => run.accuracy)))
  return {
    method,
    accuracy: mean(ofDataset),
    spread: deviation(ofSeed),
    trainable: Math.max(...runs.map((run) => run.trainable)),
    total: Math.max(...runs.map((run) => run.total)),
    peakBytes: Math.max(...runs.map((run) => run.peakBytes)),
    seconds: mean(runs.map((run) => run.seconds)),
    seeds: seeds.length,
    datasets: names.length,
  }
}

/** One summary a method with runs, in the order of `result.methods`; of all data sets, or of the one named. */
export function summarise(result: ExperimentResult, dataset?: string): MethodSummary[] {
  const summaries: MethodSummary[] = []
  for (const method of result.methods) {
    const runs = result.runs.filter((r) => r.method === method && (dataset === undefined || r.dataset === dataset))
    if (runs.length > 0) summaries.push(summariseRuns(method, runs))
  }
  return summaries
}
