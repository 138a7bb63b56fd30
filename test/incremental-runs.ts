// What tests of runs that begin from others share: small data, runs to begin from, and what came of a run.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { openRun, type TrainEvent, type TrainOptions, train } from 'vitune'
import type { Vit } from 'vitune/models'
import { disposeModule } from 'vitune/nn'
import { createReference } from 'vitune/tensor'
import { images, model, temporary } from './cli-tools.ts'

export const { folder, clean } = temporary()
let made = 0
export const fresh = () => join(folder, `run-${made++}`)

export const two = await images(join(folder, 'two'), 6, ['blue', 'red'])
export const three = await images(join(folder, 'three'), 6)
export const others = await images(join(folder, 'others'), 6, ['green', 'red', 'yellow'])

export type Given = Partial<TrainOptions>
const basics = { epochs: 1, batchSize: 4, lr: 1e-2, device: 'wasm', threads: 1, recipe: 'otx', seed: 7 } as const

export async function collect(given: Given, until?: (event: TrainEvent) => boolean): Promise<TrainEvent[]> {
  const events: TrainEvent[] = []
  const options = given.resume ? given : { ...basics, ...given }
  for await (const event of train(options as TrainOptions)) {
    events.push(event)
    if (until?.(event)) break
  }
  return events
}

type Only<K extends TrainEvent['kind']> = Extract<TrainEvent, { kind: K }>
export const only = <K extends TrainEvent['kind']>(events: readonly TrainEvent[], kind: K) =>
  events.filter((e): e is Only<K> => e.kind === kind)
export const startOf = (events: readonly TrainEvent[]) => only(events, 'start')[0]!
export const losses = (events: readonly TrainEvent[]) => only(events, 'step').map(({ loss }) => loss)
export const runOf = (out: string) => JSON.parse(readFileSync(join(out, 'run.json'), 'utf8'))

/** Rows of a classifier by class: the weights, then the bias. */
export async function rowsOf({ heads, config: { classes } }: Vit): Promise<Record<string, number[]>[]> {
  const all: Record<string, number[]>[] = []
  for (const { weight, bias } of heads) {
    const [w, b] = [await weight.data(), await bias!.data()]
    const width = w.length / classes.length
    all.push(Object.fromEntries(classes.map((name, i) => [name, [...w.slice(i * width, (i + 1) * width), b[i]!]])))
  }
  return all
}

/** A run's classifier, row by row. */
export async function savedRows(out: string): Promise<Record<string, number[]>> {
  const backend = createReference()
  const { model } = await openRun(backend, out)
  const [rows] = await rowsOf(model)
  disposeModule(model)
  assert.is(backend.memory().buffers, 0)
  return rows!
}

/** A new run on two classes. */
export async function begun(peft: NonNullable<TrainOptions['peft']>): Promise<string> {
  const out = fresh()
  await collect({ data: two, model, out, peft })
  return out
}

/** A rate at which f32 weights stay what they are. */
export const still = { lr: 1e-30, weightDecay: 0 }

/** A run from this one that keeps its outputs, whole and in two parts: the same numbers, which keeping does change. */
export async function goesOn(peft: NonNullable<TrainOptions['peft']>, from: string): Promise<void> {
  const given = { data: others, from, peft, epochs: 2, distill: 2, distillTemperature: 3 }
  const whole = fresh()
  const all = losses(await collect({ ...given, out: whole }))
  const plain = losses(await collect({ ...given, distill: 0, distillTemperature: undefined as never }))
  assert.is.not(all.at(-1), plain.at(-1))
  assert.is(all.length, plain.length)
  const stopped = fresh()
  const first = await collect({ ...given, out: stopped }, (event) => event.kind === 'step' && event.step === 4)
  const rest = await collect({ resume: true, out: stopped })
  assert.equal([...losses(first), ...losses(rest)], all)
  assert.equal(await savedRows(stopped), await savedRows(whole))
  assert.equal(runOf(stopped).from, { run: from, kept: ['red', 'blue'], added: ['green', 'yellow'], gone: [] })
  assert.equal(runOf(stopped).classes, ['green', 'red', 'yellow', 'blue'])
}
