// Metrics of labels that are there or not, each by itself. What nobody knows of is not added.
import { averagePrecision, bestThreshold, rankedPrecision } from './average-precision.ts'
import type { LabelRow, Metrics } from './task.ts'

export const sigmoidOf = (logit: number): number => 1 / (1 + Math.exp(-logit))

/** a of b; 0 of nothing. */
export const share = (a: number, b: number): number => (b > 0 ? a / b : 0)

export const total = (values: Iterable<number>): number => [...values].reduce((a, b) => a + b, 0)
/** 0 of nothing. */
export const meanOf = (values: readonly number[]) => share(total(values), values.length)

/** F1 of counts; 0 where nothing is there nor found. */
export const f1Of = ({ tp, fp, fn }: { tp: number; fp: number; fn: number }): number => share(2 * tp, 2 * tp + fp + fn)

/** The outputs for one label. Ordered by logits, since scores near 0 and 1 run together. */
export class LabelScores {
  private readonly logits: number[] = []
  private readonly there: boolean[] = []
  constructor(
    readonly label: string,
    readonly threshold: number,
  ) {}
  add(logit: number, there: boolean): void {
    this.logits.push(logit)
    this.there.push(there)
  }
  /** True and false positives, false and true negatives. A score that equals the threshold says that the label is there. */
  table(): { tp: number; fp: number; fn: number; tn: number } {
    const table = { tp: 0, fp: 0, fn: 0, tn: 0 }
    this.logits.forEach((logit, i) => {
      if (sigmoidOf(logit) >= this.threshold) table[this.there[i] ? 'tp' : 'fp']++
      else table[this.there[i] ? 'fn' : 'tn']++
    })
    return table
  }
  rankedPrecision(): number {
    return rankedPrecision(this.logits, this.there)
  }
  averagePrecision(): number | undefined {
    return averagePrecision(this.logits, this.there)
  }
  bestThreshold(): number {
    return bestThreshold(this.logits.map(sigmoidOf), this.there)
  }
  row(): LabelRow {
    const { tp, fp, fn, tn } = this.table()
    const ap = this.averagePrecision()
    return {
      label: this.label,
      positives: tp + fn,
      known: tp + fp + fn + tn,
      precision: share(tp, tp + fp),
      recall: share(tp, tp + fn),
      f1: f1Of({ tp, fp, fn }),
      ...(ap === undefined ? {} : { ap }),
      threshold: this.threshold,
    }
  }
}

/**
 * Metrics of these labels, each there from its limit on. `accuracy` is of all decisions, `f1_micro` of all of them together, `f1`
 * the mean over labels as torchmetrics has it: a label that is neither there nor found counts as 0. `map` is OTX's and
 * getitune's, where a label without positives counts as 0, `map_present` the textbook's mean over labels that have some.
 */
export function labelMetrics(names: readonly string[], limits: readonly number[]): Metrics {
  const labels = names.map((name, k) => new LabelScores(name, limits[k]!))
  return {
    add(logits, { present, known }) {
      logits.forEach((logit, i) => {
        if (known!.data[i] === 1) labels[i % names.length]!.add(logit, present!.data[i] === 1)
      })
    },
    result() {
      const tables = labels.map((label) => label.table())
      const all = (name: 'tp' | 'fp' | 'fn' | 'tn') => total(tables.map((table) => table[name]))
      const [tp, fp, fn, tn] = [all('tp'), all('fp'), all('fn'), all('tn')]
      const precisions = labels.flatMap((label) => label.averagePrecision() ?? [])
      return {
        accuracy: share(tp + tn, tp + fp + fn + tn),
        f1: meanOf(tables.map(f1Of)),
        f1_micro: f1Of({ tp, fp, fn }),
        map: meanOf(labels.map((label) => label.rankedPrecision())),
        map_present: meanOf(precisions),
      }
    },
    byLabel: () => labels.map((label) => label.row()),
    thresholds: () => labels.map((label) => label.bestThreshold()),
  }
}
