// Averages of weights: what they are, and that they stand in for the weights and leave them as they were.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { evaluate } from 'vitune'
import { disposeModule } from 'vitune/nn'
import { type Backend, createReference, type Parameter, parameter } from 'vitune/tensor'
import { createEma } from '../src/train/ema.ts'
import { backends } from './backends.ts'
import { isEpoch, outcome, prepared, run, source, task } from './fit-tools.ts'
import { near } from './grad-check.ts'
import { json, weightsOf } from './small-vit.ts'

const walk = [
  [1, -2, 3],
  [2, -2, 0.5],
  [4, 1, 0.25],
  [8, 0, -0.125],
]

const make = (backend: Backend): [string, Parameter][] => [
  ['a', parameter(backend, Float32Array.of(9, 9, 9), [3])],
  ['b', parameter(backend, new Float32Array(67).fill(5), [67, 1])],
]

/** Weights of the step `i`. */
function setTo(params: [string, Parameter][], i: number): void {
  params[0]![1].assign(Float32Array.from(walk[i]!))
  params[1]![1].assign(new Float32Array(67).fill(i))
}

for (const [name, { start }] of Object.entries(backends)) {
  test(`the first update copies the weights, later ones average (${name})`, async () => {
    const backend = await start()
    const params = make(backend)
    const ema = createEma(params, 0.75)
    const mean = [...walk[0]!]
    for (const [i, weights] of walk.entries()) {
      setTo(params, i)
      ema.update()
      if (i > 0) for (const [j, w] of weights.entries()) mean[j] = 0.75 * mean[j]! + 0.25 * w
      near(await ema.tensors()[0]![1].data(), mean, 1e-6, `step ${i}`)
    }
    near(
      await ema.tensors()[1]![1].data(),
      new Array(67).fill(0.25 * (3 + 0.75 * 2 + 0.75 ** 2)),
      1e-6,
      'all of a larger one',
    )
    ema.dispose()
    for (const [, p] of params) p.dispose()
    assert.is(backend.memory().buffers, 0)
    await backend.dispose()
  })

  test(`averages stand in for the weights while they are asked to, and go on from a saved state (${name})`, async () => {
    const backend = await start()
    const params = make(backend)
    const ema = createEma(params, 0.5)
    for (const i of [0, 1]) {
      setTo(params, i)
      ema.update()
    }
    const all = () => Promise.all([params, ema.weights(), ema.tensors()].map((list) => list[0]![1].data()))
    const before = await all()
    assert.equal(
      before,
      [walk[1]!, walk[1]!, [1.5, -2, 1.75]].map((values) => Float32Array.from(values)),
    )
    const inside = await ema.swapped(async () => {
      assert.match(
        String(await ema.swapped(all).catch((e) => e)),
        /^Error: ema: the averages are in the place of the weights/,
      )
      return all()
    })
    assert.equal(inside, [before[2], before[1], before[2]])
    assert.equal(await all(), before)
    const failed = await ema.swapped(() => Promise.reject(new Error('no'))).catch(String)
    assert.is(failed, 'Error: no')
    assert.equal(await all(), before)
    // Another one takes over.
    const next = createEma(params, 0.5)
    for (const [i, [, t]] of ema.tensors().entries()) next.tensors()[i]![1].assign(await t.data())
    next.setBegun(true)
    setTo(params, 2)
    for (const one of [ema, next]) one.update()
    assert.equal(await next.tensors()[0]![1].data(), await ema.tensors()[0]![1].data())
    for (const one of [ema, next]) one.dispose()
    for (const [, p] of params) p.dispose()
    assert.is(backend.memory().buffers, 0)
    await backend.dispose()
  })
}

test("averages are those of PyTorch's AveragedModel with get_ema_multi_avg_fn", async () => {
  const { decay, weights, averages } = json('training/values.json').ema
  for (const [, { start }] of Object.entries(backends)) {
    const backend = await start()
    const p = parameter(backend, new Float32Array(6), [2, 3])
    const ema = createEma([['p', p]], decay)
    for (const [i, values] of weights.entries()) {
      p.assign(Float32Array.from(values))
      ema.update()
      near(await ema.tensors()[0]![1].data(), averages[i], 1e-6, `step ${i}`)
    }
    ema.dispose()
    p.dispose()
    await backend.dispose()
  }
})

test('averages change no step; they are what is validated, what is saved, and what the model has at the end', async () => {
  const backend = createReference()
  const options = { val: source(2, 4, 2), train: source(5), epochs: 2 }
  const plain = await outcome(backend, options)
  const model = prepared(backend)
  const steps: Map<string, ArrayLike<number>>[] = []
  const best: { loss: number | undefined; weights: Map<string, ArrayLike<number>> }[] = []
  const decay = 0.8
  const averaged = await run(model, {
    ...options,
    ema: decay,
    save: async ({ tensors }) => {
      const now = new Map<string, ArrayLike<number>>()
      for (const [name, t] of tensors) now.set(name, await t.data())
      steps.push(now)
    },
    saveEvery: 0,
    saveBest: async ({ loss }) => void best.push({ loss, weights: await weightsOf(model) }),
  })
  assert.equal(averaged.losses, plain.losses)
  const end = await weightsOf(model)
  const last = steps.at(-1)!
  for (const name of [...last.keys()].flatMap((key) => (key.startsWith('weight.') ? [key.slice(7)] : []))) {
    // One state a step, and one an epoch of the same.
    const walk = steps.filter((_, i) => i % 6 !== 5).map((state) => state.get(`weight.${name}`)!)
    assert.equal(last.get(`weight.${name}`), plain.weights.get(name), 'the weights are as without')
    const mean = Array.from(walk[0]!)
    for (const values of walk.slice(1)) {
      for (let j = 0; j < mean.length; j++) mean[j] = decay * mean[j]! + (1 - decay) * values[j]!
    }
    near(last.get(`ema.${name}`)!, mean, 1e-5, name)
    assert.equal(end.get(name), last.get(`ema.${name}`))
  }
  const epochs = averaged.events.filter(isEpoch)
  assert.not.equal(
    epochs.map((e) => e.loss),
    plain.events.filter(isEpoch).map((e) => e.loss),
  )
  assert.is(best.at(-1)!.loss, averaged.result.metrics.loss)
  const { loss } = await evaluate(model, task, options.val)
  if (averaged.result.bestEpoch === 2) assert.is(loss, averaged.result.metrics.loss)
  disposeModule(model)
  assert.is(backend.memory().buffers, 0)
})

test.run()
