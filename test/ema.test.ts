// Averages of weights: what they are, and that they stand in for the weights and leave them as they were.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Backend, type Parameter, parameter } from 'vitune/tensor'
import { createEma } from '../src/train/ema.ts'
import { backends } from './backends.ts'
import { near } from './grad-check.ts'

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

test.run()
