// When a run validates, when it ends early and when its rate falls: what Lightning and OTX 2.6 do, and what the loop makes of it.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { disposeModule } from 'vitune/nn'
import { createReference, Plateau, rateFactor } from 'vitune/tensor'
import { startNumbers } from '../src/train/fit-state.ts'
import { isValidated, paceOf, takeIn } from '../src/train/stopping.ts'
import { isEpoch, isStep, outcome, prepared, run, source } from './fit-tools.ts'
import { near } from './grad-check.ts'
import { refusal } from './refusal.ts'
import { json } from './small-vit.ts'

const facts = json('training/values.json')

test("patience counts what Lightning's EarlyStopping with OTX's warm-up counts", () => {
  for (const stored of facts.early_stopping) {
    const { metrics, mode, min_delta: minDelta, patience, warmup_epochs, warmup_iters, batches, waits, stops } = stored
    const now = startNumbers(0, undefined)
    const lenient = { minDelta, from: Math.max(warmup_epochs * batches, warmup_iters) }
    const got = (waits as number[]).map((_, i) => {
      now.step = (i + 1) * batches
      takeIn(now, mode === 'max' ? metrics[i] : -metrics[i], { metrics: {}, loss: 1 }, lenient)
      return now.sinceBest
    })
    assert.equal(got, waits)
    assert.is(now.sinceBest >= patience, stops)
    // The best epoch is that of the best metric all the same.
    assert.is(now.best, mode === 'max' ? Math.max(...metrics.slice(0, got.length)) : -Math.min(...metrics))
  }
})

test("adaptive validation has the intervals and patience of OTX's AdaptiveTrainScheduling", () => {
  for (const [epochs, batches, patience, plateauPatience, ...want] of facts.adaptive as number[][]) {
    const options = { valEvery: 'adaptive', epochs, patience, plateauPatience } as Parameters<typeof paceOf>[0]
    const { every, patience: left, plateauPatience: fall } = paceOf(options, batches!)
    assert.equal([every, left, fall], want, `${batches} batches of ${epochs} epochs`)
  }
  assert.equal(paceOf({ valEvery: 3, epochs: 9, patience: 2 }, 1), { every: 3, patience: 2, plateauPatience: 3 })
  assert.is(paceOf({ valEvery: 'adaptive', epochs: 90, patience: 0 }, 4).patience, 0, 'never stays never')
  const pace = { every: 3, patience: 0, plateauPatience: 0 }
  assert.equal(
    [1, 2, 3, 4, 5, 6, 7].filter((epoch) => isValidated(epoch, 7, pace)),
    [3, 6, 7],
  )
})

test("the rate before a plateau rises as OTX's does, and no validation counts until it has", () => {
  for (const { base_lr, warmup, steps_per_epoch, factor, patience, metrics, lrs } of facts.warmup_before_plateau) {
    const plateau = new Plateau({ factor, patience })
    const got: number[] = []
    for (const metric of metrics) {
      for (let i = 0; i < steps_per_epoch; i++) {
        got.push(base_lr * plateau.factor * rateFactor('plateau', got.length, warmup, 99))
      }
      if (got.length >= warmup) plateau.update(metric)
    }
    near(got, lrs, 1e-12, `warm-up of ${warmup}`)
  }
})

/** Validation data on which a slow run gives the same answers every time. */
const same = { val: source(2, 4, 2), lr: 1e-7, train: source(2) }

test('with `valEvery` only some epochs have metrics, the last always; patience and the best epoch are of those', async () => {
  const backend = createReference()
  const saved: number[] = []
  const model = prepared(backend, 'linear')
  const { events, result } = await run(model, {
    ...same,
    epochs: 8,
    valEvery: 3,
    saveBest: async ({ epoch }) => void saved.push(epoch),
  })
  const epochs = events.filter(isEpoch)
  assert.equal(
    epochs.filter(({ accuracy }) => accuracy !== undefined).map(({ epoch }) => epoch),
    [3, 6, 8],
  )
  assert.equal(
    epochs.filter(({ best }) => best).map(({ epoch }) => epoch),
    saved,
  )
  assert.is(result.bestEpoch, saved.at(-1))
  const stopped = await run(model, { ...same, epochs: 30, valEvery: 2, patience: 3 })
  assert.equal([stopped.result.ended, stopped.result.epochs], ['patience', 8])
  disposeModule(model)
  assert.is(backend.memory().buffers, 0)
})

test('patience waits for its warm-up, in epochs or steps, and wants a metric to rise by enough', async () => {
  const backend = createReference()
  const epochsOf = async (options: object) =>
    (await outcome(backend, { ...same, epochs: 20, patience: 2, ...options }, 'linear')).result.epochs
  assert.is(await epochsOf({}), 3)
  assert.is(await epochsOf({ patienceWarmup: 4 }), 6)
  assert.is(await epochsOf({ patienceWarmup: 1, patienceWarmupSteps: 9 }), 7)
  const rising = { lr: 0.02, epochs: 12, monitor: 'loss', patience: 2 }
  assert.is(await epochsOf({ ...rising }), 12)
  assert.ok((await epochsOf({ ...rising, minDelta: 1 })) < 12)
  assert.is(backend.memory().buffers, 0)
})

test('the loop lowers the rate on a plateau by its own factor and patience, after the warm-up', async () => {
  const backend = createReference()
  const options = { ...same, epochs: 8, schedule: 'plateau', plateauFactor: 0.1, plateauPatience: 1 } as const
  const ratesOf = async (more: object) =>
    (await outcome(backend, { ...options, ...more }, 'linear')).events.filter(isStep).map(({ lr }) => lr / 1e-7)
  near(await ratesOf({}), [1, 1, 1, 1, 1, 1, 0.1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01, 0.01, 1e-3, 1e-3], 1e-12, 'plain')
  const warm = [0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 0.1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01, 0.01]
  near(await ratesOf({ warmup: 4 }), warm, 1e-12, 'with a warm-up')
  assert.is(backend.memory().buffers, 0)
})

test('what needs validation data is refused without it', async () => {
  const backend = createReference()
  const model = prepared(backend, 'linear')
  const said = async (options: object) => refusal(run(model, options))
  for (const [name, value] of [
    ['valEvery', 2],
    ['valEvery', 'adaptive'],
    ['patience', 1],
    ['monitor', 'loss'],
  ] as const) {
    assert.is(await said({ [name]: value }), `${name}: needs validation data, got none; give val or leave ${name} out`)
  }
  disposeModule(model)
})

test.run()
