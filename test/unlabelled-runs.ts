// What tests of runs with images without labels share: small data, whole runs, and that one which is stopped goes on as it was.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { type TrainEvent, type TrainOptions, train } from 'vitune'
import { model, temporary } from './cli-tools.ts'
import { filesOf } from './kills.ts'
import { classFolders, labelledTable, labelledTree } from './task-pictures.ts'

export const { folder, clean } = temporary()
let made = 0
export const fresh = (name = 'run') => join(folder, `${name}-${made++}`)

export const data = await classFolders(join(folder, 'classes'), 6)
export const table = await labelledTable(join(folder, 'table'), 12)
export const tree = await labelledTree(join(folder, 'tree'), 3)
// In folders whose names mean nothing here.
export const pool = await classFolders(join(folder, 'pool'), 4)

export type Given = Partial<TrainOptions>
const basics = { model, threads: 1, epochs: 3, batchSize: 4, lr: 1e-2, device: 'wasm' } as const

export async function collect(given: Given, until = (_: TrainEvent) => false): Promise<TrainEvent[]> {
  const events: TrainEvent[] = []
  const options = given.resume ? given : { ...basics, data, unlabelled: pool, unlabelledThreshold: 0.4, ...given }
  for await (const event of train(options as TrainOptions)) {
    events.push(event)
    if (until(event)) break
  }
  return events
}

type Only<K extends TrainEvent['kind']> = Extract<TrainEvent, { kind: K }>
export const only = <K extends TrainEvent['kind']>(events: readonly TrainEvent[], kind: K) =>
  events.filter((e): e is Only<K> => e.kind === kind)
export const read = (...path: string[]) => readFileSync(join(...path), 'utf8')
export const lines = (...path: string[]) =>
  read(...path)
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))

/** Runs of every task, with what else may change a batch. */
export const tasks: Readonly<Record<string, Given>> = {
  'one class an image': { peft: 'lora' },
  'one class an image, linear': { peft: 'linear', augment: false },
  'any number of labels': { data: table, peft: 'lora', unlabelledWeight: 0.5 },
  'a tree': { data: tree, peft: 'full', lr: 1e-3, accumulate: 2, unlabelledRatio: 2 },
}

/** Of a run, what is told and kept is one, and where it is stopped after some step it ends as if it had not been. */
export async function checkRun(given: Given, stopsOf: (steps: number) => readonly number[]): Promise<void> {
  const out = fresh()
  const events = await collect({ ...given, out })
  const [start] = only(events, 'start')
  assert.is(start!.unlabelled, 12)
  const epochs = only(events, 'epoch')
  const sure = epochs.map(({ told }) => told!.sure!)
  assert.ok(sure.every((share) => share >= 0 && share <= 1) && sure.some((share) => share > 0), `sure: ${sure}`)
  const kept = lines(out, 'metrics.jsonl').filter((line) => 'train_sure' in line)
  assert.equal(
    kept.map((line) => line.train_sure),
    sure,
  )
  const run = JSON.parse(read(out, 'run.json'))
  assert.is(run.images.unlabelled, 12)
  assert.equal([run.settings.unlabelled, run.settings.unlabelledThreshold, run.settings.ema], [pool, 0.4, 0.9])
  const listed = lines(out, 'unlabelled.jsonl').slice(1)
  assert.is(listed.length, 12)
  assert.ok(
    listed.every(([part, label, , , digest]) => part === 'train' && label === '' && /^[\da-f]{64}$/.test(digest)),
  )

  for (const stop of stopsOf(only(events, 'step').length)) {
    const other = fresh()
    await collect({ ...given, out: other }, (event) => event.kind === 'step' && event.step === stop)
    await collect({ out: other, resume: true })
    assert.equal(filesOf(other), filesOf(out), `stopped after step ${stop}`)
  }
}
