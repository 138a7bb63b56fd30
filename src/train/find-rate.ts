// The learning-rate range test: a few dozen steps on a slice of the training data, at rates that grow from step to step,
// and the rate that their losses suggest. The model is left as it was, bit for bit. Not here: what a run makes of it (run/train-on.ts).
// Source: L. N. Smith, Cyclical Learning Rates for Training Neural Networks, 2015, section 3.3.
import { trainableParameters } from '../nn/module.ts'
import type { Batch, BatchSource } from './batch.ts'
import type { FitOptions } from './fit-options.ts'
import { makeOptimizer } from './optimizer.ts'
import { createStepper } from './step.ts'

/** What a range test measured. */
export interface RateCurve {
  /** Rates tried, growing, and the loss of the step at each: before its update, as the task optimises it. */
  readonly rates: readonly number[]
  readonly losses: readonly number[]
  /** So many neighbours are of the same samples, each as often: their average is free of how hard a batch is. */
  readonly window: number
}

/** What a range test came to. */
export interface RateTest extends RateCurve {
  /** The rate to train with. */
  readonly chosen: number
  /** Why that is not the test's own, as a sentence without its stop; absent where it is. */
  readonly otherwise?: string
}

/** How far a range test is: its curve so far, and how many rates there are at most. */
export type RateProgress = RateCurve & { readonly steps: number }

/** 10^(1/12): twelve rates a decade. A product of it, so that no engine's pow decides. */
const GROWTH = 1.2115276586285884
/** From a hundredth of the rate that is known to suit, over five decades. */
const STEPS = 60
const BELOW = 0.01
/** Steps of the slice, where that is not too much: they are gone through again and again. */
const SLICE = 7
/** Losses that are averaged, at least. */
const LEAST = 5
/** Numbers of the slice that are kept, 128 MB. */
const KEPT = 2 ** 25
/** The test ends where the average loss is that many times the lowest. */
const DIVERGED = 3

/** Sizes of all inputs together. */
const sizeOf = (batches: readonly Batch[]): number =>
  batches.flatMap(({ inputs }) => Object.values(inputs)).reduce((sum, { data }) => sum + data.length, 0)

/** The batches of the first steps of training; fewer where they are large, none where no sample can be read. */
async function sliceOf(train: BatchSource, accumulate: number, signal: AbortSignal | undefined): Promise<Batch[][]> {
  const steps: Batch[][] = []
  let pending: Batch[] = []
  let kept = 0
  for await (const batch of train.epoch(0, 0)) {
    if (signal?.aborted) break
    if (batch.count > 0) pending.push(batch)
    if (pending.length < accumulate) continue
    const size = sizeOf(pending)
    if (steps.length > 0 && kept + size > KEPT) return steps
    kept += size
    steps.push(pending)
    pending = []
    if (steps.length === SLICE) return steps
  }
  return pending.length > 0 && steps.length === 0 ? [pending] : steps
}

const mean = (values: readonly number[]): number => values.reduce((sum, x) => sum + x, 0) / values.length

/** Averages of `window` neighbours: that of the losses from `i` on. */
const averages = (losses: readonly number[], window: number): number[] =>
  Array.from({ length: Math.max(0, losses.length - window + 1) }, (_, i) => mean(losses.slice(i, i + window)))

/** Two digits: what a person would write, and the same wherever the last bits of a product differ. */
const rounded = (rate: number): number => Number(rate.toPrecision(2))

/** The average loss falls by less than that part of the first: no descent. */
const FLAT = 0.02

/** How far below the rate at the lowest average loss: fastai's `minimum` is 10. */
const BACK = 3

/**
 * The rate that a curve suggests; undefined where its average loss falls nowhere by more than chance. It is a third of that at the
 * lowest average loss, of the rules that benchmarks/find-rate.ts compares the best: a tenth learns too slowly, and the
 * loss may fall the most on its way down from where it had grown.
 */
function suggested({ rates, losses, window }: RateCurve): number | undefined {
  const smooth = averages(losses, window)
  if (smooth.length <= window) return undefined
  const lowest = smooth.indexOf(Math.min(...smooth))
  const fall = smooth[0]! - smooth[lowest]!
  // The same samples a window later: where their loss rises before the lowest, that is by what is random in a step.
  const rises = losses.slice(0, lowest).map((loss, i) => Math.max(0, losses[i + window]! - loss) ** 2)
  const chance = 3 * Math.sqrt((2 * mean(rises)) / window)
  if (lowest === 0 || fall <= Math.max(FLAT * Math.abs(smooth[0]!), chance)) return undefined
  return rounded(rates[lowest + (window >> 1)]! / BACK)
}

/**
 * A range test of what `fit` would be given, whose `lr` is the rate that is known to suit: it begins at a hundredth of that and
 * is what is chosen where the test finds none. Yields the curve so far after each step; `break` or the signal ends it. The model
 * is the same before and after, bit for bit, so that `fit` with the chosen rate does as if there had been no test.
 */
export async function* findRate(options: FitOptions): AsyncGenerator<RateProgress, RateTest> {
  const { model, train, lr, signal } = options
  const accumulate = Math.max(1, Math.min(options.accumulate ?? 1, train.batches))
  const rates: number[] = []
  const losses: number[] = []
  const slice = await sliceOf(train, accumulate, signal)
  const window = Math.max(1, slice.length) * Math.ceil(LEAST / Math.max(1, slice.length))
  const curve = () => ({ rates: [...rates], losses: [...losses], window })
  if (slice.length === 0) return { ...curve(), chosen: lr, otherwise: 'no sample could be read' }
  const params = trainableParameters(model)
  // Kept outside of the device, whose memory the test needs as training does.
  const before = await Promise.all(params.map(([, p]) => p.data()))
  const optimizer = makeOptimizer(options, params)
  const stepper = createStepper({ ...options, accumulate }, params, optimizer, options.seed ?? 0)
  try {
    let lowest = Number.POSITIVE_INFINITY
    for (let step = 0, rate = lr * BELOW; step < STEPS && !signal?.aborted; step++, rate *= GROWTH) {
      const { loss, notFinite } = await stepper.run(slice[step % slice.length]!, step, rate)
      if (notFinite !== undefined) break
      rates.push(rate)
      losses.push(loss)
      yield { ...curve(), steps: STEPS }
      if (losses.length < window) continue
      const now = mean(losses.slice(-window))
      lowest = Math.min(lowest, now)
      if (now > DIVERGED * lowest) break
    }
  } finally {
    stepper.dispose()
    optimizer.dispose()
    for (const [i, [, p]] of params.entries()) p.assign(before[i]!)
  }
  const found = suggested(curve())
  if (found !== undefined) return { ...curve(), chosen: found }
  return { ...curve(), chosen: lr, otherwise: 'the loss fell at no rate by more than chance' }
}
