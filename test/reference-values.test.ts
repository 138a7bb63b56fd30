// The reference kernels against values worked out by hand.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { binaryOps, reduceOps, unaryOps } from 'vitune/tensor'
import { dot, f64, near, normals, noWalk, run } from './reference-tools.ts'

test('every unary op has its value at a point worked out by hand', async () => {
  const x = 0.5
  const e = Math.E
  const known: Record<(typeof unaryOps)[number], number> = {
    affine: 2 * x - 3,
    exp: 1.6487212707001282,
    log: -0.6931471805599453,
    sqrt: 0.7071067811865476,
    rsqrt: 1.4142135623730951,
    reciprocal: 2,
    tanh: (e - 1) / (e + 1),
    sigmoid: 1 / (1 + e ** -x),
    relu: 0.5,
    gelu: 0.34573123063700656, // 0.5 Phi(0.5), Phi(0.5) = 0.6914624612740131
    silu: 0.5 / (1 + e ** -x),
    abs: 0.5,
    square: 0.25,
  }
  for (const [op, name] of unaryOps.entries()) {
    const { y } = await run('unary', { x: [x] }, { y: 1 }, { op, n: 1, a: 2, b: -3 })
    near(y!, [known[name]], 1e-15, name)
  }
  const negative = (name: (typeof unaryOps)[number]) =>
    run('unary', { x: [-2] }, { y: 1 }, { op: unaryOps.indexOf(name), n: 1, a: 0, b: 0 })
  assert.equal((await negative('relu')).y, [0])
  assert.equal((await negative('abs')).y, [2])
  near((await negative('gelu')).y!, [-2 * 0.022750131948179212], 1e-16, 'gelu(-2) = -2 Phi(-2)')
})

test('gelu holds 1e-15 over its whole range against the power series of erf', async () => {
  // erf(z) = 2 / sqrt(pi) exp(-z^2) sum_k 2^k z^(2k+1) / (2k+1)!!, all terms of one sign.
  const erf = (z: number) => {
    let term = z
    let sum = z
    for (let k = 1; Math.abs(term) > 1e-18 * Math.abs(sum); k++) {
      term *= (2 * z * z) / (2 * k + 1)
      sum += term
    }
    return (2 / Math.sqrt(Math.PI)) * Math.exp(-z * z) * sum
  }
  const x = Array.from({ length: 1001 }, (_, j) => (j - 500) / 100)
  const { y } = await run('unary', { x }, { y: x.length }, { op: unaryOps.indexOf('gelu'), n: x.length, a: 0, b: 0 })
  near(
    y!,
    x.map((v) => 0.5 * v * (1 + erf(v * Math.SQRT1_2))),
    4e-15,
    'gelu',
  )
})

test('every binary op has its value, and b is walked by (j / inner) % count', async () => {
  const known = { add: [5, -1], sub: [-1, 3], mul: [6, -2], div: [2 / 3, -0.5], max: [3, 1], min: [2, -2] }
  for (const [op, name] of binaryOps.entries()) {
    const { y } = await run('binary', { a: [2, 1], b: [3, -2] }, { y: 2 }, { op, n: 2, inner: 1, count: 2 })
    near(y!, known[name], 1e-16, name)
  }
  const a = [0, 0, 0, 0, 0, 0, 0]
  const { y } = await run('binary', { a, b: [1, 2, 3] }, { y: 7 }, { op: 0, n: 7, inner: 2, count: 3 })
  assert.equal(y, [1, 1, 2, 2, 3, 3, 1])
})

test('fill sets n elements and no more', async () => {
  const { y } = await run('fill', { y: [7, 7, 7] }, {}, { n: 2, value: 0.1 })
  assert.equal(y, [0.1, 0.1, 7])
})

test('copy walks both sides by their strides and offsets', async () => {
  const transpose = { ...noWalk, d4: 2, d5: 3, ys4: 3, ys5: 1, xs4: 1, xs5: 2, yo: 1 }
  const { y } = await run('copy', { x: [1, 2, 3, 4, 5, 6], y: [9, 9, 9, 9, 9, 9, 9] }, {}, transpose)
  assert.equal(y, [9, 1, 3, 5, 2, 4, 6])
  const back = { ...noWalk, d0: 3, ys0: 1, xs0: -1, xo: 2, accumulate: 1 }
  assert.equal((await run('copy', { x: [1, 2, 3], y: [10, 20, 30] }, {}, back)).y, [13, 22, 31])
  const all = { ...noWalk, d0: 2, d1: 2, d2: 2, d3: 2, d4: 2, d5: 2 }
  const strides = [1, 2, 4, 8, 16, 32]
  const reversed = Object.fromEntries(
    strides.flatMap((s, axis) => [
      [`ys${axis}`, 32 / s],
      [`xs${axis}`, s],
    ]),
  )
  const x = Array.from({ length: 64 }, (_, j) => j)
  const bits = (j: number) => Number.parseInt([...j.toString(2).padStart(6, '0')].reverse().join(''), 2)
  assert.equal((await run('copy', { x }, { y: 64 }, { ...all, ...reversed })).y, x.map(bits))
})

test('reduce takes the middle dimension away and scales the result', async () => {
  const x = [1, 2, -3, 4, 5, -6, 7, 8]
  const known = { sum: [-1, 3, 6, 1], max: [0.5, 2, 3.5, 4], sumSquares: [5, 10, 37, 50] }
  known.sumSquares = [(1 + 9) / 2, (4 + 16) / 2, (25 + 49) / 2, (36 + 64) / 2]
  for (const [op, name] of reduceOps.entries()) {
    const { y } = await run('reduce', { x }, { y: 4 }, { op, outer: 2, count: 2, inner: 2, scale: 0.5 })
    near(y!, known[name], 1e-16, name)
  }
})

test('matmul gives a small product, each way of storing its operands', async () => {
  const product = {
    batch: 1,
    m: 2,
    n: 2,
    k: 3,
    strideA: 6,
    strideB: 6,
    alpha: 1,
    act: 0,
    accumulate: 0,
    format: 0,
    block: 0,
  }
  const stored = {
    a: [
      [1, 2, 3, 4, 5, 6],
      [1, 4, 2, 5, 3, 6],
    ],
    b: [
      [7, 8, 9, 10, 11, 12],
      [7, 9, 11, 8, 10, 12],
    ],
  }
  for (const transA of [0, 1]) {
    for (const transB of [0, 1]) {
      const values = { a: stored.a[transA]!, b: stored.b[transB]! }
      const { y } = await run('matmul', values, { y: 4 }, { ...product, transA, transB })
      assert.equal(y, [58, 64, 139, 154], `transA ${transA} transB ${transB}`)
    }
  }
})

test('matmul adds bias before gelu, scales columns after it, then adds the residual; a gate multiplies', async () => {
  const product = {
    batch: 2,
    m: 1,
    n: 2,
    k: 1,
    transA: 0,
    transB: 0,
    strideA: 1,
    strideB: 0,
    format: 0,
    block: 0,
    alpha: 2,
    act: 1,
    accumulate: 0,
  }
  const values = { a: [1, 3], b: [1, -1], bias: [-2, 1], colScale: [10, 100], residual: [1, 2, 3, 4] }
  const { y, slope } = await run('matmul', values, { y: 4, slope: 4 }, product)
  const at = [0, -1, 4, -5]
  const density = [0.3989422804014327, 0.24197072451914337, 1.338302257648854e-4, 1.4867195147342979e-6]
  const phi = { '-1': 0.15865525393145707, '4': 0.9999683287581669, '-5': 2.866515718791939e-7 }
  const slopes = [0.5, phi['-1'], phi['4'], phi['-5']].map((v, i) => v + at[i]! * density[i]!)
  near(slope!, slopes, 1e-14, 'slope')
  near(y!, [1, 2 - 100 * phi['-1'], 3 + 40 * phi['4'], 4 - 500 * phi['-5']], 1e-14, 'y')
  near(
    (await run('matmul', { ...values, colScale: [1, 1], residual: [0, 0, 0, 0] }, { y: 4 }, { ...product, act: 2 })).y!,
    slopes,
    1e-14,
    'slope alone',
  )
  const gated = await run('matmul', { ...values, gate: [5, 6, 7, 8] }, { y: 4 }, { ...product, act: 0 })
  assert.equal(gated.y, [1, 2 - 600, 3 + 280, 4 - 4000])
  const plain = { ...product, act: 0, accumulate: 1 }
  assert.equal((await run('matmul', { a: [1, 3], b: [1, -1], y: [1, 1, 1, 1] }, {}, plain)).y, [3, -1, 7, -5])
})

test('softmax of log(1), log(2), log(5) is 1/8, 2/8, 5/8, wherever the row lies', async () => {
  for (const shift of [0, 700, -700]) {
    const x = [1, 2, 5].map((v) => Math.log(v) + shift)
    near((await run('softmax', { x }, { y: 3 }, { m: 1, n: 3 })).y!, [0.125, 0.25, 0.625], 1e-12, `shift ${shift}`)
  }
})

test('layerNorm of 1, 3 is -1, 1 times w plus b, with its mean and rstd', async () => {
  const values = { x: [1, 3, 10, 10], w: [2, 3], b: [0.5, 0.25] }
  const { y, mean, rstd } = await run('layerNorm', values, { y: 4, mean: 2, rstd: 2 }, { m: 2, n: 2, eps: 1e-14 })
  near(y!, [-1.5, 3.25, 0.5, 0.25], 1e-13, 'y')
  near(mean!, [2, 10], 1e-15, 'mean')
  near(rstd!, [1, 1e7], 1e-13, 'rstd')
})

test('crossEntropy is -log p of the target, mixed with the mean of -log p when smoothing; -1 costs nothing', async () => {
  const x = [...[1, 2, 5].map(Math.log), ...[1, 2, 5].map(Math.log)]
  const plain = await run('crossEntropy', { x, target: [1, -1] }, { loss: 2, lse: 2 }, { m: 2, n: 3, smoothing: 0 })
  near(plain.loss!, [Math.log(4), 0], 1e-15, 'loss')
  near(plain.lse!, [Math.log(8), Math.log(8)], 1e-15, 'lse')
  const smooth = await run('crossEntropy', { x, target: [1, -1] }, { loss: 2, lse: 2 }, { m: 2, n: 3, smoothing: 0.3 })
  const all = (Math.log(8) + Math.log(4) + Math.log(8 / 5)) / 3
  near(smooth.loss!, [0.7 * Math.log(4) + 0.3 * all, 0], 1e-15, 'smoothed')
})

test('gather takes rows by index and scatterAdd adds them back, repeats included', async () => {
  const index = [2, 0, 2]
  const x = [1, 2, 3, 4, 5, 6]
  assert.equal((await run('gather', { x, index }, { y: 6 }, { m: 3, n: 2 })).y, [5, 6, 1, 2, 5, 6])
  const start = { x, index, y: [10, 10, 20, 20, 30, 30] }
  assert.equal((await run('scatterAdd', start, {}, { m: 3, n: 2 })).y, [13, 14, 20, 20, 36, 38])
})

test('dropout follows the published Philox words: kept from the threshold on, scaled, else 0', async () => {
  // Block 0 under seed 0, 0 and stream 0 is 6627e8d5 e169c58d bc57ac4c 9b00dbd8.
  const values = { x: [1, 2, 3, 4], seed: [0, 0] }
  const params = { n: 4, inner: 1, scale: 2, stream: 0 }
  const kept = async (threshold: number) => (await run('dropout', values, { y: 4 }, { ...params, threshold })).y
  assert.equal(await kept(0), [2, 4, 6, 8])
  assert.equal(await kept(0xbc57ac4c), [0, 4, 6, 0])
  assert.equal(await kept(0xbc57ac4d), [0, 4, 0, 0])
  assert.equal(await kept(0xbc57ac4c | 0), [0, 4, 6, 0], 'the same bits as a negative number')
  const halves = { n: 4, inner: 2, scale: 1, stream: 0, threshold: 0x70000000 }
  assert.equal((await run('dropout', values, { y: 4 }, halves)).y, [0, 0, 3, 4])
})

test('dropout keeps its share, and stream, step and seed each change what is kept', async () => {
  const n = 20_000
  const x = new Array<number>(n).fill(1)
  const mask = async (seed: number[], stream: number) =>
    (await run('dropout', { x, seed }, { y: n }, { n, inner: 1, threshold: (0.3 * 2 ** 32) >>> 0, scale: 1, stream }))
      .y!
  const masks = await Promise.all([mask([1, 0], 0), mask([2, 0], 0), mask([1, 1], 0), mask([1, 0], 1)])
  for (const [at, m] of masks.entries()) {
    const share = m.reduce((a, b) => a + b, 0) / n
    assert.ok(Math.abs(share - 0.7) < 0.013, `kept ${share}`) // four standard errors
    for (const other of masks.slice(at + 1)) {
      const both = dot(m, other) / n
      assert.ok(Math.abs(both - 0.49) < 0.0142, `kept by both ${both}`)
    }
  }
})

/** Softmax attention of one head from first principles, without the kernels' row-by-row walk. */
function oneHead(q: number[][], k: number[][], v: number[][], scale: number): number[][] {
  return q.map((row) => {
    const e = k.map((other) => Math.exp(scale * dot(row, other)))
    const sum = e.reduce((a, b) => a + b, 0)
    return v[0]!.map((_, c) => e.reduce((acc, p, s) => acc + (p / sum) * v[s]![c]!, 0))
  })
}
test('attention works on each image and head alone, heads side by side in the columns', async () => {
  const [b, n, h, d, scale] = [2, 3, 2, 4, 0.5] as const
  const values = { q: normals(b * n * h * d), k: normals(b * n * h * d), v: normals(b * n * h * d) }
  const { o, lse } = await run('attention', values, { o: b * n * h * d, lse: b * h * n }, { b, n, h, d, scale })
  for (let z = 0; z < b; z++) {
    for (let head = 0; head < h; head++) {
      const rows = (x: number[]) => [0, 1, 2].map((t) => x.slice(((z * n + t) * h + head) * d).slice(0, d))
      const [q, k, v] = [rows(values.q), rows(values.k), rows(values.v)]
      near(rows(o!).flat(), oneHead(q, k, v, scale).flat(), 1e-14, `image ${z} head ${head}`)
      const sums = q.map((row) => Math.log(k.reduce((sum, other) => sum + Math.exp(scale * dot(row, other)), 0)))
      near(lse!.slice((z * h + head) * n).slice(0, n), sums, 1e-14, `lse of image ${z} head ${head}`)
    }
  }
})

test("adamw's first step moves each weight by lr against its gradient, after decay", async () => {
  const hyper = [0.1, 0.9, 0.999, 0, 0.1, 0.001]
  const values = { 'p:0': [1, 1], 'm:0': [0, 0], 'v:0': [0, 0], 'g:0': [5, -0.01], hyper }
  const other = { 'p:1': [2], 'm:1': [0], 'v:1': [0], 'g:1': [3] }
  const found = await run('adamw', { ...values, ...other }, {}, { decay: 0.5 })
  near(found['p:0']!, [0.95 - 0.1, 0.95 + 0.1], 1e-12, 'p')
  near(found['m:0']!, [0.5, -0.001], 1e-15, 'm')
  near(found['v:0']!, [0.025, 1e-7], 1e-15, 'v')
  near(found['p:1']!, [1.9 - 0.1], 1e-12, 'p of the second tensor')
  const scaled = await run('adamw', { ...values, gradScale: [2] }, {}, { decay: 0 })
  near(scaled['m:0']!, [1, -0.002], 1e-15, 'm of a scaled gradient')
})

test('sgd steps with momentum, with and without Nesterov', async () => {
  const values = { 'p:0': [1], 'buf:0': [2], 'g:0': [3], hyper: [0.1, 0.5], gradScale: [2] }
  const plain = await run('sgd', values, {}, { decay: 0.25, nesterov: 0 })
  near(plain['buf:0']!, [1 + 6.25], 1e-15, 'buf')
  near(plain['p:0']!, [1 - 0.725], 1e-15, 'p')
  const nesterov = await run('sgd', values, {}, { decay: 0.25, nesterov: 1 })
  near(nesterov['p:0']!, [1 - 0.1 * (6.25 + 0.5 * 7.25)], 1e-15, 'p, nesterov')
})

test('clipNorm is the norm over all tensors, and the factor that brings it down', async () => {
  const values = { 'g:0': [3, 0], 'g:1': [4], 'g:2': [12] }
  const { norm, factor } = await run('clipNorm', values, { norm: 1, factor: 1 }, { maxNorm: 6.5 })
  near([norm![0]!, factor![0]!], [13, 6.5 / (13 + 1e-6)], 1e-15, 'above the limit')
  const below = await run('clipNorm', values, { norm: 1, factor: 1 }, { maxNorm: 20 })
  near(below.factor!, [1], 0, 'below the limit')
})

test('no buffer is left', () => assert.is(f64.memory().buffers, 0))

test.run()
