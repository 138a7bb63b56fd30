// Every gradient kernel of the reference against central differences of its forward kernel, in f64.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { unaryOps } from 'vitune/tensor'
import { dot, f64, type Numbers, near, normals, run } from './reference-tools.ts'

/** d loss / d x by central differences. `step` 1e-5: the error of the formula and that of rounding are both near 1e-10. */
async function differences(x: readonly number[], loss: (x: number[]) => Promise<number>): Promise<number[]> {
  const step = 1e-5
  const slopes: number[] = []
  for (let j = 0; j < x.length; j++) {
    const moved = (by: number) => loss(x.map((v, at) => (at === j ? v + by : v)))
    slopes.push(((await moved(step)) - (await moved(-step))) / (2 * step))
  }
  return slopes
}

for (const [op, name] of unaryOps.entries()) {
  test(`the gradient of ${name} is its central difference`, async () => {
    const positive = ['log', 'sqrt', 'rsqrt', 'reciprocal'].includes(name)
    const x = positive ? normals(9).map((v) => 0.3 + v * v) : normals(9, 2).map((v) => v + Math.sign(v) * 0.01)
    const dy = normals(9)
    const params = { op, n: 9, a: 1.7, b: -0.4 }
    const { dx } = await run('unaryGrad', { dy, x }, { dx: 9 }, params)
    near(
      dx!,
      await differences(x, async (at) => dot(dy, (await run('unary', { x: at }, { y: 9 }, params)).y!)),
      1e-8,
      name,
    )
  })
}

test('the gradient of softmax is its central difference', async () => {
  const [m, n] = [2, 5]
  const x = normals(m * n)
  const dy = normals(m * n)
  const forward = async (at: number[]) => (await run('softmax', { x: at }, { y: m * n }, { m, n })).y!
  const { dx } = await run('softmaxGrad', { dy, y: await forward(x) }, { dx: m * n }, { m, n })
  near(dx!, await differences(x, async (at) => dot(dy, await forward(at))), 1e-8, 'dx')
})

test('the gradients of layerNorm by x, w and b are its central differences', async () => {
  const [m, n, eps] = [3, 5, 1e-2]
  const values: Numbers = { x: normals(m * n, 2), w: normals(n), b: normals(n) }
  const dy = normals(m * n)
  const forward = (at: Numbers) => run('layerNorm', at, { y: m * n, mean: m, rstd: m }, { m, n, eps })
  const { mean, rstd } = await forward(values)
  const saved = { dy, x: values.x!, w: values.w!, mean: mean!, rstd: rstd! }
  const grads = await run('layerNormGrad', saved, { dx: m * n, dw: n, db: n }, { m, n, accumulate: 0 })
  for (const name of ['x', 'w', 'b']) {
    const loss = async (at: number[]) => dot(dy, (await forward({ ...values, [name]: at })).y!)
    near(grads[`d${name}`]!, await differences(values[name]!, loss), 1e-8, `d${name}`)
  }
})

for (const smoothing of [0, 0.2]) {
  test(`the gradient of crossEntropy with smoothing ${smoothing} is its central difference, 0 in ignored rows`, async () => {
    const [m, n] = [4, 5]
    const x = normals(m * n, 2)
    const target = [3, -1, 0, 4]
    const dy = normals(m)
    const forward = (at: number[]) => run('crossEntropy', { x: at, target }, { loss: m, lse: m }, { m, n, smoothing })
    const { lse } = await forward(x)
    const { dx } = await run('crossEntropyGrad', { dy, x, lse: lse!, target }, { dx: m * n }, { m, n, smoothing })
    near(dx!, await differences(x, async (at) => dot(dy, (await forward(at)).loss!)), 1e-8, 'dx')
    assert.equal(dx!.slice(n, 2 * n), [0, 0, 0, 0, 0])
  })
}

test('the gradients of attention by q, k and v are its central differences', async () => {
  const [b, n, h, d, scale] = [2, 3, 2, 2, 0.6]
  const all = b * n * h * d
  const values: Numbers = { q: normals(all), k: normals(all), v: normals(all) }
  const dO = normals(all)
  const params = { b, n, h, d, scale }
  const forward = (at: Numbers) => run('attention', at, { o: all, lse: b * h * n }, params)
  const { o, lse } = await forward(values)
  const saved = { do: dO, ...values, o: o!, lse: lse! }
  const grads = await run('attentionGrad', saved, { dq: all, dk: all, dv: all }, params)
  for (const name of ['q', 'k', 'v']) {
    const loss = async (at: number[]) => dot(dO, (await forward({ ...values, [name]: at })).o!)
    near(grads[`d${name}`]!, await differences(values[name]!, loss), 1e-8, `d${name}`)
  }
})

test('dropout of dy is the gradient of dropout', async () => {
  const n = 21
  const x = normals(n)
  const dy = normals(n)
  const params = { n, inner: 2, threshold: 2 ** 31, scale: 2, stream: 4 }
  const drop = async (at: number[]) => (await run('dropout', { x: at, seed: [3, 9] }, { y: n }, params)).y!
  near(await drop(dy), await differences(x, async (at) => dot(dy, await drop(at))), 1e-8, 'dx')
})

test('scatterAdd of dy is the gradient of gather', async () => {
  const [m, n] = [5, 3]
  const index = [1, 0, 1, 3, 1]
  const x = normals(4 * n)
  const dy = normals(m * n)
  const gathered = async (at: number[]) => (await run('gather', { x: at, index }, { y: m * n }, { m, n })).y!
  const { y } = await run('scatterAdd', { x: dy, index, y: new Array<number>(4 * n).fill(0) }, {}, { m, n })
  near(y!, await differences(x, async (at) => dot(dy, await gathered(at))), 1e-8, 'dx')
})

test('no buffer is left', () => assert.is(f64.memory().buffers, 0))

test.run()
