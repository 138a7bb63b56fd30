// The learning-rate range test: what it leaves behind (nothing), what it chooses, and runs that begin with it.
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type TrainEvent, type TrainOptions, train } from 'vitune'
import { disposeModule, type Model, Module } from 'vitune/nn'
import {
  affine,
  type Backend,
  createReference,
  createWasm,
  parameter,
  reshape,
  square,
  sum,
  type Tensor,
} from 'vitune/tensor'
import { type BatchSource, type FitOptions, findRate, type RateProgress, type RateTest } from 'vitune/train'
import { type Method, outcome, prepared, run, task, usual } from './fit-tools.ts'
import { refusal } from './refusal.ts'
import { fixtures, weightsOf } from './small-vit.ts'

const folder = mkdtempSync(join(tmpdir(), 'vitune-rates-'))
test.after(() => rmSync(folder, { recursive: true }))

/** A whole range test. */
async function tested(options: FitOptions): Promise<{ test: RateTest; told: RateProgress[] }> {
  const told: RateProgress[] = []
  const events = findRate(options)
  for (;;) {
    const { done, value } = await events.next()
    if (done) return { test: value, told }
    told.push(value)
  }
}

for (const method of ['full', 'linear', 'lora', 'dora'] as Method[]) {
  test(`${method}: a test leaves the model and what comes after it as they were, bit for bit`, async () => {
    const backend = await createWasm({ threads: 1 })
    const options = { ...usual, lr: method === 'full' ? 1e-3 : 1e-2, patchKeep: 0.5, accumulate: 2 }
    const changes = { dropout: 0.1 }
    const model = prepared(backend, method, changes)
    model.setDropout({ patchKeep: 0.5 })
    const before = await weightsOf(model)
    const { test: first, told } = await tested({ model, task, ...options })
    assert.equal(await weightsOf(model), before)
    assert.is(first.rates.length, told.length)
    assert.ok(first.losses[0]! > Math.min(...first.losses), 'it falls')
    assert.ok(first.rates.every((rate, i) => i === 0 || rate > first.rates[i - 1]!))
    assert.equal((await tested({ model, task, ...options })).test, first, 'the same again')
    const { losses } = await run(model, { ...options, lr: first.chosen })
    disposeModule(model)
    assert.equal(losses, (await outcome(backend, { ...options, lr: first.chosen }, method, changes)).losses)
    assert.is(backend.memory().buffers, 0)
    await backend.dispose()
  })
}

/** One weight, whose loss is a parabola of this steepness around 1: gradient descent grows from a rate of 2 / steepness on. */
class Parabola extends Module implements Model {
  readonly weight
  readonly tokens = 0
  constructor(
    readonly backend: Backend,
    start: number,
  ) {
    super()
    this.weight = parameter(backend, Float32Array.of(start), [1])
  }
  outputs(): Tensor {
    return affine(this.weight, 1, -1)
  }
}

const ones: BatchSource = {
  batches: 3,
  async *epoch() {
    for (const name of ['a', 'b', 'c']) {
      const x = { data: Float32Array.of(1), shape: [1] }
      yield { inputs: { x }, targets: { label: { data: Int32Array.of(0), shape: [1] } }, count: 1, names: [name] }
    }
  },
}

/** What a test makes of a parabola that is this steep. */
async function onParabola(steepness: number, lr: number, start = 3): Promise<RateTest> {
  const backend = createReference()
  const model = new Parabola(backend, start)
  const parabola = {
    ...task,
    terms: (out: Tensor) => reshape(sum(square(out), 0, steepness / 2), [1]),
    right: () => ({ right: 0, of: 1 }),
  }
  const options = { model, task: parabola, train: ones, epochs: 1, lr, optimizer: 'sgd', weightDecay: 0 } as const
  const { test } = await tested(options)
  assert.is((await model.weight.data())[0], start)
  disposeModule(model)
  assert.is(backend.memory().buffers, 0)
  return test
}

test('on a parabola the rate lies below that at which descent with momentum of 0.9 grows, whatever its steepness', async () => {
  for (const steepness of [0.1, 1, 10]) {
    const { chosen, rates, otherwise } = await onParabola(steepness, 0.1)
    assert.is(otherwise, undefined)
    // 2 (1 + 0.9) / steepness: B. Polyak, Some methods of speeding up the convergence of iteration methods, 1964.
    assert.ok(chosen < 3.8 / steepness && chosen > 0.002 / steepness, `${chosen} for ${steepness}`)
    assert.is(rates.at(-1)! < 100, true, 'a test ends where the loss grows')
  }
})

test('where the loss falls at no rate the given one is kept, with the reason', async () => {
  const { chosen, otherwise, losses } = await onParabola(1, 0.03, 1)
  assert.is(chosen, 0.03)
  assert.is(otherwise, 'the loss fell at no rate by more than chance')
  assert.is(Math.max(...losses.slice(0, 5)), 0)
})

/** Folders of small pictures in the colour of their class. */
async function photos(): Promise<string> {
  for (const [name, background] of Object.entries({ red: '#d23c32', green: '#3cc846' })) {
    mkdirSync(join(folder, 'data', name), { recursive: true })
    for (let i = 0; i < 8; i++) {
      const image = sharp({ create: { width: 16 + i, height: 16, channels: 3, background } })
      await image.png().toFile(join(folder, 'data', name, `${i}.png`))
    }
  }
  return join(folder, 'data')
}

const model = join(fixtures, 'checkpoints/vit')
const basics = { model, epochs: 2, batchSize: 4, threads: 1, seed: 5 } as const
const at = (name: string) => join(folder, name)
const runOf = (name: string) => JSON.parse(readFileSync(join(at(name), 'run.json'), 'utf8'))
const bytesOf = (name: string, file: string) =>
  createHash('sha256')
    .update(readFileSync(join(at(name), file)))
    .digest('hex')

/** Trains; stops after the first event that `until` says yes to, by `break` or the signal. */
async function trained(options: Partial<TrainOptions>, until?: (event: TrainEvent) => boolean, way = 'break') {
  const stop = new AbortController()
  const events: TrainEvent[] = []
  for await (const event of train({ ...options, signal: stop.signal } as TrainOptions)) {
    events.push(event)
    if (!until?.(event)) continue
    if (way === 'break') break
    stop.abort()
  }
  return events
}
const ratesIn = (events: TrainEvent[]) => events.filter((event) => event.kind === 'rates')

test('a run with auto is the run with the rate that it found, and keeps the curve', async () => {
  const data = await photos()
  const events = await trained({ ...basics, data, lr: 'auto', out: at('auto') })
  const tests = ratesIn(events)
  const { chosen, rates, losses, steps } = tests.at(-1)!
  assert.ok(chosen! > 0 && tests.slice(0, -1).every((event) => event.chosen === undefined))
  assert.is(
    events.indexOf(tests.at(-1)!) + 1,
    events.findIndex(({ kind }) => kind === 'start'),
  )
  const run = runOf('auto')
  assert.is(run.settings.lr, chosen)
  assert.equal(run.rates, JSON.parse(JSON.stringify({ rates, losses, window: run.rates.window, chosen })))
  assert.is(rates.length, steps)

  await trained({ ...basics, data, lr: chosen!, out: at('given') })
  for (const file of ['adapter_model.safetensors', 'metrics.jsonl'])
    assert.is(bytesOf('auto', file), bytesOf('given', file), file)

  // Cut off while it tests, then while it trains, which is tested no second time.
  await trained({ ...basics, data, lr: 'auto', out: at('cut') }, (e) => e.kind === 'rates' && e.rates.length === 3)
  assert.is(runOf('cut').settings.lr, 'auto')
  const stopped = await trained({ resume: true, out: at('cut') }, (e) => e.kind === 'rates', 'signal')
  const end = stopped.at(-1)!
  assert.is(end.kind === 'done' && end.ended, 'signal')
  assert.is(runOf('cut').settings.lr, 'auto')
  const again = await trained({ resume: true, out: at('cut') }, (e) => e.kind === 'step' && e.step === 2)
  assert.is(ratesIn(again).at(-1)!.chosen, chosen)
  assert.is(ratesIn(await trained({ resume: true, lr: 'auto', out: at('cut') })).length, 0)
  assert.is(bytesOf('cut', 'adapter_model.safetensors'), bytesOf('given', 'adapter_model.safetensors'))
  assert.equal(runOf('cut').rates, run.rates)

  writeFileSync(join(at('cut'), 'run.json'), JSON.stringify({ ...runOf('cut'), rates: { rates: [-1], losses: [1] } }))
  const refused = await refusal(trained({ resume: true, out: at('cut') }))
  assert.match(refused, /run\.json: rates must be rates above 0 with as many losses, a window and the chosen rate/)
})

test.run()
