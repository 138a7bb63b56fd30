// What an experiment (methods x data sets x seeds) left behind, as plain JSON. The report and the table read only this.

/** One training run. `accuracy` is on the test images, 0 to 1; `peakBytes` and `seconds` cover the run's training. */
export interface ExperimentRun {
  method: string
  dataset: string
  seed: number
  accuracy: number
  /** All that was measured on the test images, by name, 0 to 1; without it there is accuracy alone. */
  metrics?: Record<string, number>
  /** Trainable and total parameters, head and adapter included in both, as PEFT prints them. */
  trainable: number
  total: number
  peakBytes: number
  seconds: number
  lr: number
  epochs: number
  /** Mean loss and accuracy (0 to 1) over an epoch's training images, each as it was when its batch was trained. */
  curve?: { epoch: number; loss: number; accuracy: number }[]
}

/** What was trained and tested on. */
export interface ExperimentData {
  name: string
  source: string
  classes: number
  train: number
  test: number
  /** What is learnt, in words: `one class an image`. */
  task?: string
  /** The metrics to show: methods are compared by the first one. Default: accuracy alone. */
  metrics?: readonly string[]
  /** What guessing gives by the first metric. Default: one in so many classes where there is accuracy alone, else unknown. */
  chance?: number
}

/** `methods` and `datasets` are in the order to show; `created` is an ISO 8601 time; `command` repeats the experiment. */
export interface ExperimentResult {
  title: string
  model: { name: string; parameters: number; source: string }
  created: string
  command: string
  /** How every run was trained and tested, in words. */
  training?: string
  machine: Record<string, string>
  datasets: ExperimentData[]
  methods: string[]
  runs: ExperimentRun[]
}

/** The metrics that a data set is judged by, the one that methods are compared by first. */
export const metricsOf = ({ metrics }: ExperimentData): readonly string[] => metrics ?? ['accuracy']

/** What guessing gives; undefined where nobody knows. */
export const chanceOf = ({ chance, metrics, classes }: ExperimentData): number | undefined =>
  chance ?? (metrics ? undefined : 1 / classes)

/** What a run reached by a metric; NaN where it was not measured. */
export const scoreOf = ({ metrics, accuracy }: ExperimentRun, metric: string): number =>
  metrics?.[metric] ?? (metric === 'accuracy' ? accuracy : Number.NaN)

/** Throws where a result cannot be reported: nothing run, a name not listed, a number that is none. */
export function checkResult(result: ExperimentResult): void {
  if (result.runs.length === 0) throw new Error('report: needs at least one run, got 0')
  const datasets = result.datasets.map((dataset) => dataset.name)
  for (const [kind, names] of Object.entries({ methods: result.methods, datasets })) {
    if (new Set(names).size !== names.length) throw new Error(`report: ${kind} must differ, got ${names.join(', ')}`)
  }
  const seen = new Set<string>()
  for (const run of result.runs) {
    const name = `${run.method}, ${run.dataset}, seed ${run.seed}`
    if (!result.methods.includes(run.method) || !datasets.includes(run.dataset)) {
      throw new Error(`report: a run's method and data set must be listed, got ${name}`)
    }
    if (seen.has(JSON.stringify([run.method, run.dataset, run.seed])))
      throw new Error(`report: one run each, got ${name} twice`)
    seen.add(JSON.stringify([run.method, run.dataset, run.seed]))
    for (const metric of metricsOf(result.datasets.find((dataset) => dataset.name === run.dataset)!)) {
      const score = scoreOf(run, metric)
      if (!(score >= 0 && score <= 1)) throw new Error(`report: ${metric} must be 0 to 1, got ${score} (${name})`)
    }
    for (const key of ['trainable', 'total', 'peakBytes', 'seconds', 'lr', 'epochs'] as const) {
      if (!Number.isFinite(run[key]) || run[key] < 0) {
        throw new Error(`report: ${key} must be a number from 0, got ${run[key]} (${name})`)
      }
    }
  }
}
