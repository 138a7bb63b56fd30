// What a run of the benchmark leaves behind, as plain JSON: rows that were measured, and checks against the targets.

/** Order statistics of repeated runs, in the row's unit. */
export interface Spread {
  readonly median: number
  readonly p10: number
  readonly p90: number
  readonly runs: number
}

export interface Row {
  /** What was done, the same text for all who did it. */
  readonly what: string
  /** Who did it, with threads and variant. */
  readonly who: string
  readonly unit: string
  /** Whether a larger number is better. */
  readonly more: boolean
  readonly spread: Spread
}

/** One target: `value` is to be at most, or at least, `limit`. */
export interface Check {
  readonly what: string
  readonly value: number
  readonly limit: number
  readonly atMost: boolean
  readonly unit: string
  /** Of `value` by round, where it is a median of rounds. */
  readonly spread?: Spread
}

/** Text cells of a report that is no measurement of time: profile, traffic. */
export interface Table {
  readonly title: string
  readonly head: readonly string[]
  readonly rows: readonly (readonly string[])[]
}

export interface Section {
  readonly name: string
  readonly title: string
  readonly rows: Row[]
  readonly checks: Check[]
  readonly tables: Table[]
  /** Who was left out and why, and what to know when reading it. */
  readonly notes: string[]
}

export interface BenchResult {
  readonly format: 1
  readonly created: string
  readonly command: string
  readonly quick: boolean
  /** False where it was stopped before its end. */
  complete: boolean
  /** Processor, cores, memory, runtime, versions. */
  readonly machine: Readonly<Record<string, string>>
  readonly versions: Record<string, string>
  readonly sections: Section[]
}

export const section = (name: string, title: string): Section => ({
  name,
  title,
  rows: [],
  checks: [],
  tables: [],
  notes: [],
})

/** Whether the target is met. */
export const met = ({ value, limit, atMost }: Check): boolean => (atMost ? value <= limit : value >= limit)

/** Median, p10 and p90 of at least one number, by nearest rank. */
export function spreadOf(values: readonly number[]): Spread {
  if (values.length === 0) throw new Error('spreadOf: needs at least one number, got none')
  const sorted = [...values].sort((a, b) => a - b)
  const at = (q: number) => sorted[Math.floor(q * (sorted.length - 1) + 0.5)]!
  return { median: at(0.5), p10: at(0.1), p90: at(0.9), runs: values.length }
}

/** a / b by round: what slows a whole round down does not count. Rounds that only one has are left out. */
export function ratiosOf(a: readonly number[], b: readonly number[]): Spread {
  const rounds = Math.min(a.length, b.length)
  return spreadOf(a.slice(0, rounds).map((value, i) => value / b[i]!))
}

/** Their median. */
export const ratioOf = (a: readonly number[], b: readonly number[]): number => ratiosOf(a, b).median
