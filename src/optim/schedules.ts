// Learning rates over time: warm-up with constant or cosine decay (as in Hugging Face), and reduction on a plateau (as in
// PyTorch) after OTX's warm-up.

/**
 * Factor of the base rate at a step (from 0): linear warm-up over `warmup` steps, then 1, or half a cosine down to 0 at `total`.
 * It is step / warmup, so the first step has rate 0; before a plateau (step + 1) / warmup, as OTX's LinearWarmupScheduler.
 */
export function rateFactor(
  schedule: 'constant' | 'cosine' | 'plateau',
  step: number,
  warmup: number,
  total: number,
): number {
  if (step < warmup) return (schedule === 'plateau' ? step + 1 : step) / warmup
  if (schedule !== 'cosine') return 1
  const progress = (step - warmup) / Math.max(1, total - warmup)
  return Math.max(0, 0.5 * (1 + Math.cos(Math.PI * progress)))
}

export interface PlateauOptions {
  factor?: number
  patience?: number
  /** Relative improvement that counts. */
  threshold?: number
  minFactor?: number
}

/** ReduceLROnPlateau for a metric that should grow, as a factor of the base rate. Its state is plain numbers. */
export class Plateau {
  factor = 1
  // Below every metric, and JSON can hold it.
  best = -1e308
  bad = 0
  private readonly options: Required<PlateauOptions>
  constructor(options: PlateauOptions = {}) {
    this.options = { factor: 0.5, patience: 3, threshold: 1e-4, minFactor: 0, ...options }
  }
  /** Takes one epoch's metric; the factor from now on. */
  update(metric: number): number {
    const { factor, patience, threshold, minFactor } = this.options
    // A loss comes in with its sign changed, and grows towards 0.
    if (metric > this.best * (1 + (this.best < 0 ? -threshold : threshold))) {
      this.best = metric
      this.bad = 0
    } else this.bad++
    if (this.bad > patience) {
      this.factor = Math.max(this.factor * factor, minFactor)
      this.bad = 0
    }
    return this.factor
  }
}
