// Section targets: every side of every target of targets.ts in one interleaved run, and what comes of each.
import { readFile } from 'node:fs/promises'
import type { Spec } from '../contender.ts'
import { multipliesBytes } from '../machine.ts'
import { type Bench, interleave, type Lane, type Lap, lapOf, rowOf } from '../measure.ts'
import { type Check, ratiosOf, type Section, section, spreadOf } from '../result.ts'
import { dinov2Small } from '../shapes.ts'
import { type Engine, targets as list, type SideName, sides, type Target } from '../targets.ts'

const BATCH = 8

/** One lane a side. PyTorch is the newest that is here. */
function laneOf(bench: Bench, name: SideName): Lane {
  const { kind, who, what, spec } = sides[name]
  const common: Spec = { work: 'vit', shape: dinov2Small, batch: BATCH, threads: bench.threads }
  const lane: Lane = { kind, who, what, spec: { ...common, ...spec } }
  const torch = bench.torches[0]
  return kind === 'pytorch' && torch ? { ...lane, ...torch } : lane
}

/** What a target came to; undefined where a side was not measured, or the engine has not what it is about. */
function checkOf(target: Target, of: Lap, by: Lap): Omit<Check, 'what' | 'limit' | 'atMost'> | undefined {
  const { packed } = of.facts
  if (target.measure === 'time') {
    const spread = ratiosOf(of.ms, by.ms)
    return { value: spread.median, unit: 'x', spread }
  }
  if (!packed) return undefined
  if (target.measure === 'packed') return { value: packed.bytes / packed.f32, unit: 'x' }
  return { value: (by.last.rss - of.last.rss) / (packed.f32 - packed.bytes), unit: 'x' }
}

/** Runs the section. */
export async function targets(bench: Bench): Promise<Section> {
  const to = section('targets', `Targets: ${dinov2Small.name}, ${BATCH} images of 224 px, ${bench.threads} thread(s)`)
  const names = [...new Set(list.flatMap(({ of, by }) => [of, by]))]
  // Those of one method beside each other; forward passes first.
  const order = Object.keys(sides)
  names.sort((a, b) => order.indexOf(a) - order.indexOf(b))
  const lanes = new Map(names.map((name) => [name, laneOf(bench, name)]))
  const laps = await interleave(bench, to, [...lanes.values()], { rounds: bench.quick ? 3 : 15, warm: 1 })
  const lapNamed = (name: SideName) => {
    const { who, what } = lanes.get(name)!
    return lapOf(laps, who, what)
  }
  const cpuinfo = await readFile('/proc/cpuinfo', 'utf8').catch(() => '')
  const own = laps.map(({ facts }) => facts)
  const engine: Engine = {
    dot: own.some(({ integer }) => integer === 'dot') && multipliesBytes(cpuinfo),
    wide: own.some(({ wide }) => wide === true),
  }
  for (const target of list) {
    const { what, limit, atMost = true } = target
    if (target.where?.(engine) === false) continue
    const [of, by] = [lapNamed(target.of), lapNamed(target.by)]
    const made = of && by && checkOf(target, of, by)
    if (made) to.checks.push({ what, limit, atMost, ...made })
    else if (bench.only === undefined && !bench.signal.aborted) to.notes.push(`not measured: ${what}`)
  }
  for (const lap of laps) to.rows.push(rowOf(lap, 'ms', false, (ms) => ms))
  for (const { what, who, last } of laps) {
    to.rows.push({ what, who, unit: 'MB at the peak', more: false, spread: spreadOf([last.rss / 1e6]) })
  }
  to.notes.push(
    `four products of bytes in one instruction: ${engine.dot ? 'yes' : 'no'}; 256-bit vectors: ${engine.wide ? 'yes' : 'no'}`,
  )
  return to
}
