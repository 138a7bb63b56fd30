// Interleaved measuring: a round runs every lane once, in turn, so that what the machine does meanwhile meets all alike.
import { type Contender, type Facts, type Kind, openContender, type Run, type Spec } from './contender.ts'
import type { Torch } from './machine.ts'
import type { Row, Section } from './result.ts'
import { spreadOf } from './result.ts'

/** What sections are given. */
export interface Bench {
  readonly quick: boolean
  /** Threads of those that can have more than one. */
  readonly threads: number
  /** Why a peer cannot run here; absent where it can. */
  readonly missing: Partial<Record<Kind, string>>
  /** Every PyTorch that is here, torch.sh's first. */
  readonly torches: readonly Torch[]
  /** Measure only what this matches in `contender, name`; all where it is absent. */
  readonly only?: RegExp
  readonly signal: AbortSignal
  readonly versions: Record<string, string>
  progress(text: string): void
}

/** One thing done by one contender. */
export interface Lane {
  readonly kind: Kind
  readonly who: string
  readonly what: string
  readonly spec: Spec
  /** pytorch: by which Python. */
  readonly python?: string
  /** Which of the spec's works; default 0. */
  readonly index?: number
  /** Rounds to take part in where that is less than all: for those that are very slow. */
  readonly atMost?: number
}

/** What came of a lane: milliseconds by round, of one of a run's repeats, and the last run. */
export interface Lap extends Lane {
  readonly ms: number[]
  readonly facts: Facts
  last: Run
}

/** Starts a lane's contender. */
export type Opener = (lane: Lane, bench: Bench) => Promise<Contender>

const openHere: Opener = ({ kind, who, spec, python }) => openContender(kind, who, spec, python)

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

/**
 * Opens a process for each different (kind, spec), warms each lane up `warm` times, then takes `rounds` rounds. Lanes whose
 * contender is missing or fails are left out, with the reason among the section's notes. Stops in the lane in hand at the
 * signal; what was measured until then comes back.
 */
export async function interleave(
  bench: Bench,
  to: Section,
  lanes: readonly Lane[],
  { rounds, warm, open = openHere }: { rounds: number; warm: number; open?: Opener },
): Promise<Lap[]> {
  const opened = new Map<string, Contender>()
  const failed = new Set<string>()
  const note = (text: string) => {
    if (!to.notes.includes(text)) to.notes.push(text)
  }
  const keyOf = (lane: Lane) => `${lane.kind} ${lane.python ?? ''} ${JSON.stringify(lane.spec)}`
  const chosen = lanes.filter(({ who, what }) => bench.only === undefined || bench.only.test(`${who}, ${what}`))
  const laps: Lap[] = []
  async function turn(lane: Lane): Promise<Run | undefined> {
    const key = keyOf(lane)
    if (failed.has(key) || bench.signal.aborted) return undefined
    try {
      const contender = opened.get(key)!
      const run = await contender.run(lane.index)
      if (!Number.isFinite(run.value)) throw new Error(`${lane.who}: gave ${run.value} for ${lane.what}`)
      // Threads that spin for more work, and collectors of garbage, end before the next one's turn.
      await pause(150)
      return run
    } catch (error) {
      if (!bench.signal.aborted) note(`left out, ${(error as Error).message}`)
      failed.add(key)
      return undefined
    }
  }
  try {
    for (const lane of chosen) {
      const key = keyOf(lane)
      const reason = bench.missing[lane.kind]
      if (bench.signal.aborted) return []
      if (reason !== undefined) {
        note(`left out, ${lane.kind}: ${reason}`)
        failed.add(key)
      }
      if (opened.has(key) || failed.has(key)) continue
      bench.progress(`${to.name}: preparing ${lane.who}, ${lane.what}`)
      try {
        const contender = await open(lane, bench)
        opened.set(key, contender)
        Object.assign(bench.versions, contender.versions)
        if (lane.spec.check) for (const said of contender.notes) note(said)
      } catch (error) {
        if (!bench.signal.aborted) note(`left out, ${(error as Error).message}`)
        failed.add(key)
      }
    }
    for (const lane of chosen) {
      bench.progress(`${to.name}: warming up ${lane.who}, ${lane.what}`)
      let last: Run | undefined
      for (let i = 0; i < (lane.atMost === undefined ? warm : 1); i++) last = await turn(lane)
      if (last) laps.push({ ...lane, ms: [], facts: opened.get(keyOf(lane))!.facts, last })
    }
    for (let round = 1; round <= rounds; round++) {
      for (const lap of laps) {
        if (bench.signal.aborted) break
        if (round > (lap.atMost ?? rounds)) continue
        bench.progress(`${to.name}: round ${round} of ${rounds}, ${lap.who}, ${lap.what}`)
        const run = await turn(lap)
        if (!run) continue
        lap.ms.push(run.ms / (lap.spec.repeat ?? 1))
        lap.last = run
      }
    }
  } finally {
    for (const contender of opened.values()) contender.close()
  }
  return laps.filter((lap) => lap.ms.length > 0)
}

/** A lane for each PyTorch that is here. */
export const torchLanes = ({ torches }: Bench, lane: Omit<Lane, 'kind' | 'who' | 'python'>): Lane[] =>
  torches.length > 0
    ? torches.map(({ who, python }) => ({ ...lane, kind: 'pytorch', who, python }))
    : [{ ...lane, kind: 'pytorch', who: 'PyTorch (native)' }]

/** Debian 12's PyTorch, 1.13, which older targets are set on. */
export const oldTorch = ({ torches }: Bench) => torches.find(({ who }) => who.startsWith('PyTorch 1.'))?.who ?? ''

/** The lap of one contender at one thing, if it was measured. */
export const lapOf = (laps: readonly Lap[], who: string, what: string) =>
  laps.find((lap) => lap.who === who && lap.what === what)

/** A row of times, each multiplied or turned by `value`. */
export function rowOf(lap: Lap, unit: string, more: boolean, value: (ms: number) => number): Row {
  return { what: lap.what, who: lap.who, unit, more, spread: spreadOf(lap.ms.map(value)) }
}
