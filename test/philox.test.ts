// The generator behind dropout, shuffling and initial weights: known answers, and what its streams look like.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { philox, Rng } from 'vitune/tensor'

const hex = (words: ArrayLike<number>) => Array.from(words, (w) => w.toString(16).padStart(8, '0')).join(' ')

// philox4x32-10 in kat_vectors of Random123 (Salmon et al., 2011): counter, key, result.
const known = [
  ['00000000 00000000 00000000 00000000', '00000000 00000000', '6627e8d5 e169c58d bc57ac4c 9b00dbd8'],
  ['ffffffff ffffffff ffffffff ffffffff', 'ffffffff ffffffff', '408f276d 41c83b0e a20bc7c6 6d5451fd'],
  ['243f6a88 85a308d3 13198a2e 03707344', 'a4093822 299f31d0', 'd16cfe09 94fdcceb 5001e420 24126ea1'],
] as const

for (const [counter, key, result] of known) {
  test(`the block of counter ${counter} under key ${key} is the published one`, () => {
    const [c0, c1, c2, c3, k0, k1] = `${counter} ${key}`.split(' ').map((word) => Number.parseInt(word, 16))
    const out = new Uint32Array(4)
    philox(c0!, c1!, c2!, c3!, k0!, k1!, out)
    assert.is(hex(out), result)
  })
}

const take = (n: number, next: () => number) => Array.from({ length: n }, next)
const mean = (x: number[]) => x.reduce((a, b) => a + b, 0) / x.length
const variance = (x: number[]) => {
  const mu = mean(x)
  return mean(x.map((v) => (v - mu) ** 2))
}

test('the same seed and stream give the same numbers, any other pair gives others', () => {
  const words = (seed: number, stream: number) => {
    const rng = new Rng(seed, stream)
    return take(8, () => rng.uint32()).join()
  }
  assert.is(words(5, 2), words(5, 2))
  const all = new Set([words(5, 2), words(5, 3), words(6, 2), words(-5, 2), words(0, 0)])
  assert.is(all.size, 5)
})

test('uniform numbers lie in [0, 1) with the mean and variance of the uniform distribution', () => {
  const rng = new Rng(1)
  const x = take(40_000, () => rng.uniform())
  assert.ok(x.every((v) => v >= 0 && v < 1))
  // Four standard errors: 4 sqrt(1/12 / 40000) and 4 sqrt(1/180 / 40000).
  assert.ok(Math.abs(mean(x) - 1 / 2) < 0.0058, `mean ${mean(x)}`)
  assert.ok(Math.abs(variance(x) - 1 / 12) < 0.0015, `variance ${variance(x)}`)
})

test('normal numbers have mean 0, variance 1 and the tails of the normal distribution', () => {
  const rng = new Rng(2)
  const x = take(40_000, () => rng.normal())
  assert.ok(x.every(Number.isFinite))
  // Four standard errors: 4 / sqrt(40000), 4 sqrt(2 / 40000), 4 sqrt(0.0455 * 0.9545 / 40000).
  assert.ok(Math.abs(mean(x)) < 0.02, `mean ${mean(x)}`)
  assert.ok(Math.abs(variance(x) - 1) < 0.0283, `variance ${variance(x)}`)
  const outside = x.filter((v) => Math.abs(v) > 2).length / x.length
  assert.ok(Math.abs(outside - 0.0455) < 0.0042, `${outside} beyond 2`)
})

test('whole numbers below n take every value about equally often', () => {
  const rng = new Rng(3)
  const counts = new Array<number>(7).fill(0)
  for (let i = 0; i < 14_000; i++) counts[rng.below(7)]!++
  // Four standard errors of a count of 2000: 4 sqrt(14000 * 1/7 * 6/7).
  assert.ok(
    counts.every((c) => Math.abs(c - 2000) < 166),
    counts.join(),
  )
})

test('a shuffle keeps the items, works in place, and repeats with its seed', () => {
  const items = take(100, () => 0).map((_, i) => i)
  const shuffled = new Rng(4).shuffle(items)
  assert.is(shuffled, items)
  assert.is.not(shuffled.join(), [...shuffled].sort((a, b) => a - b).join())
  assert.equal(
    [...shuffled].sort((a, b) => a - b),
    [...shuffled.keys()],
  )
  assert.equal(shuffled, new Rng(4).shuffle([...shuffled.keys()]))
  assert.equal(new Rng(4).shuffle([]), [])
})

test('every order of three items comes up about equally often', () => {
  const rng = new Rng(5)
  const counts = new Map<string, number>()
  for (let i = 0; i < 6000; i++) {
    const order = rng.shuffle(['a', 'b', 'c']).join('')
    counts.set(order, (counts.get(order) ?? 0) + 1)
  }
  assert.is(counts.size, 6)
  // Four standard errors of a count of 1000: 4 sqrt(6000 * 1/6 * 5/6).
  assert.ok(
    [...counts.values()].every((c) => Math.abs(c - 1000) < 116),
    JSON.stringify([...counts]),
  )
})

test.run()
