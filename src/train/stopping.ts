// What follows from validations: which epoch is the best, and when there was none better for long enough to end. Also which
// epochs are validated at all. Pure: the numbers are those of a state.
import { defaults } from '../settings/schema.ts'
import type { Evaluation } from './evaluate.ts'
import type { FitOptions, FitState } from './fit-options.ts'

type Numbers = FitState['numbers']

/** Below every metric, and JSON can hold it. */
const LEAST = -1e308

/** The numbers of a state in which nothing was validated yet. */
export const noBest = {
  best: LEAST,
  bestMetrics: {},
  bestLoss: -LEAST,
  bestEpoch: 0,
  sinceBest: 0,
  patienceBest: LEAST,
} satisfies Partial<Numbers>

/** How often a run validates, and how patient it is, in validations. */
export interface Pace {
  /** Epochs from one validation to the next. */
  readonly every: number
  readonly patience: number
  readonly plateauPatience: number
}

/** OTX's interval, of up to five epochs, fewer where epochs have many batches: max(round(5 exp(-0.025 batches)), 1). */
function adaptiveInterval(batches: number, epochs: number): number {
  // Never halfway between two whole numbers: exp of a fraction is none.
  return Math.max(Math.round(Math.exp(-0.025 * batches) * Math.min(5, epochs)), 1)
}

/**
 * The pace that the options ask for, of epochs of so many batches. `adaptive` is OTX 2.6's AdaptiveTrainScheduling as its engine
 * sets it up: where the interval is above 1, patience is divided by it, but is at least 5, and a plateau's at least 2.
 */
export function paceOf(
  options: Pick<FitOptions, 'valEvery' | 'patience' | 'plateauPatience' | 'epochs'>,
  batches: number,
): Pace {
  const {
    valEvery = defaults.valEvery,
    patience = defaults.patience,
    plateauPatience = defaults.plateauPatience,
  } = options
  const every = valEvery === 'adaptive' ? adaptiveInterval(batches, options.epochs) : valEvery
  if (valEvery !== 'adaptive' || every === 1) return { every, patience, plateauPatience }
  return {
    every,
    patience: patience === 0 ? 0 : Math.max(Math.floor(patience / every), 5),
    plateauPatience: Math.max(Math.floor((plateauPatience + 1) / every), 3) - 1,
  }
}

/** Whether an epoch, counted from 1, is validated: each `every`th, and the last. */
export const isValidated = (epoch: number, epochs: number, { every }: Pace): boolean =>
  epoch % every === 0 || epoch === epochs

/** What patience does not count. */
export interface Leniency {
  /** By how much a metric must be better than the best to count as better. */
  readonly minDelta: number
  /** Steps after which patience begins; validations before it count as nothing, not as a best one either. */
  readonly from: number
}

/**
 * Takes the validation of an epoch in: the metric (higher is better) and the loss. Whether the epoch is the best, of the best
 * metric and among equals of the lowest loss. Patience is Lightning's EarlyStopping, with OTX's EarlyStoppingWithWarmup.
 */
export function takeIn(
  now: Numbers,
  value: number,
  { metrics, loss }: Pick<Evaluation, 'metrics' | 'loss'>,
  { minDelta, from }: Leniency,
): boolean {
  if (now.step >= from) {
    const better = value - minDelta > now.patienceBest
    if (better) now.patienceBest = value
    now.sinceBest = better ? 0 : now.sinceBest + 1
  }
  const best = value > now.best || (value === now.best && loss < now.bestLoss)
  if (best) Object.assign(now, { best: value, bestLoss: loss, bestMetrics: { ...metrics, loss } })
  return best
}
