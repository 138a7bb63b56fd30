// What the reference backend refuses, and how it counts and hands out memory.
// Its kernels are proved in reference-values.test.ts and reference-gradients.test.ts.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { createReference } from 'vitune/tensor'
import { noWalk } from './reference-tools.ts'

const refusals: [string, () => void, RegExp][] = []
{
  const backend = createReference()
  const [x, y, b] = [backend.alloc(4, 'f32'), backend.alloc(4, 'f32'), backend.alloc(2, 'f32')]
  const [ints, moreInts] = [backend.alloc(4, 'i32'), backend.alloc(4, 'i32')]
  const gone = backend.alloc(4, 'f32')
  backend.write(ints, Int32Array.of(0, 1, 4, -1))
  backend.free(gone)
  const fill = (bufs: unknown, params: unknown) => () => backend.dispatch('fill', bufs as never, params as never)
  const unary = (bufs: unknown, params: object) => () =>
    backend.dispatch('unary', bufs as never, { op: 0, n: 4, a: 1, b: 0, ...params })
  const add = { op: 0, n: 4, inner: 1, count: 4 }
  const matmul = (bufs: object, params: object) => () => {
    const square = {
      batch: 1,
      m: 2,
      n: 2,
      k: 1,
      transA: 0,
      transB: 0,
      strideA: 0,
      strideB: 0,
      alpha: 1,
      act: 0,
      format: 0,
      block: 0,
    }
    return backend.dispatch('matmul', { y, a: b, b, ...bufs }, { ...square, accumulate: 0, ...params })
  }
  refusals.push(
    ['a missing buffer', fill({}, { n: 4, value: 1 }), /^fill: buffer y is missing$/],
    ['an unknown buffer', fill({ y, z: x }, { n: 4, value: 1 }), /^fill: no buffer is called z; it takes y$/],
    ['a missing number', fill({ y }, { n: 4 }), /^fill: parameter value must be a number, got undefined$/],
    ['an unknown number', fill({ y }, { n: 4, value: 1, m: 1 }), /^fill: no parameter is called m; it takes n, value$/],
    [
      'a fraction for a size',
      fill({ y }, { n: 1.5, value: 1 }),
      /^fill: parameter n must be a whole number .* got 1\.5$/,
    ],
    ['a negative size', fill({ y }, { n: -1, value: 1 }), /got -1$/],
    ['a buffer that is too short', fill({ y }, { n: 5, value: 1 }), /^fill: y must hold 5 elements, got 4$/],
    ['a buffer of the wrong type', fill({ y: ints }, { n: 4, value: 1 }), /^fill: y must be f32, got i32$/],
    [
      'a freed buffer',
      fill({ y: gone }, { n: 4, value: 1 }),
      /^fill: y: buffer of 4 was freed, or is of another backend$/,
    ],
    ['freeing twice', () => backend.free(gone), /^free: buffer of 4 was freed/],
    [
      'an op outside its table',
      unary({ y, x }, { op: 13 }),
      /^unary: parameter op must be a whole number from 0 to 12, got 13$/,
    ],
    [
      'an output that is also an input',
      () => backend.dispatch('binary', { y, a: x, b: y }, add),
      /^binary: output y must not be the buffer b$/,
    ],
    [
      'a row that is too short',
      () => backend.dispatch('binary', { y, a: x, b }, { ...add, count: 3 }),
      /^binary: b must hold 3 elements, got 2$/,
    ],
    [
      'a walk below the start',
      () => backend.dispatch('copy', { y, x }, { ...noWalk, d0: 3, xs0: -1, ys0: 1, xo: 1 }),
      /^copy: the walk over x must not go below element 0, got -1$/,
    ],
    [
      'a walk past the end',
      () => backend.dispatch('copy', { y, x }, { ...noWalk, d0: 3, xs0: 2, ys0: 1 }),
      /^copy: x must hold 5 elements, got 4$/,
    ],
    [
      'a product added to itself and to a residual',
      matmul({ residual: x }, { accumulate: 1 }),
      /^matmul: residual must be left out when accumulate is 1$/,
    ],
    [
      'a slope without gelu',
      matmul({ slope: x }, { act: 0 }),
      /^matmul: slope must be left out unless act is 1, and gate unless it is 0$/,
    ],
    [
      'a gate on gelu',
      matmul({ gate: x }, { act: 1 }),
      /^matmul: slope must be left out unless act is 1, and gate unless it is 0$/,
    ],
    [
      'adding words of i32',
      () => backend.dispatch('copy', { y: moreInts, x: ints }, { ...noWalk, accumulate: 1 }),
      /^copy: accumulate must be 0 for i32 buffers, got 1$/,
    ],
    [
      'an index outside the rows',
      () => backend.dispatch('gather', { y, x: b, index: ints }, { m: 3, n: 1 }),
      /^gather: index must be in \[0, 2\), got 4 for row 2$/,
    ],
    [
      'a target outside the classes',
      () => backend.dispatch('crossEntropy', { loss: y, lse: b, x, target: ints }, { m: 2, n: 1, smoothing: 0 }),
      /^crossEntropy: target must be -1 or in \[0, 1\), got 1 in row 1$/,
    ],
    [
      'writing past the end',
      () => backend.write(y, new Float32Array(4), 1),
      /^write: elements must lie in the buffer of 4, got 4 from 1$/,
    ],
    [
      'writing floats to integers',
      () => backend.write(ints, new Float32Array(4)),
      /^write: data must suit an i32 buffer, got Float32Array$/,
    ],
    [
      'a length that is no length',
      () => backend.alloc(-1, 'f32'),
      /^alloc: length must be a whole number >= 0, got -1$/,
    ],
  )
}
for (const [what, act, message] of refusals) {
  test(`${what} is refused`, () => {
    assert.throws(act, (error: Error) => message.test(error.message) || assert.unreachable(error.message))
  })
}

// Memory

test('memory counts four bytes an element, live and at the peak, and nothing is left', async () => {
  for (const precision of ['f32', 'f64'] as const) {
    const backend = createReference({ precision })
    const [a, b] = [backend.alloc(10, 'f32'), backend.alloc(5, 'i32')]
    assert.equal(backend.memory(), { used: 60, pooled: 0, peak: 60, buffers: 2 })
    backend.free(a)
    assert.equal(backend.memory(), { used: 20, pooled: 0, peak: 60, buffers: 1 })
    backend.resetPeak()
    assert.is(backend.memory().peak, 20)
    backend.free(b)
    assert.equal(backend.memory(), { used: 0, pooled: 0, peak: 20, buffers: 0 })
  }
})

test('fresh memory holds NaN and odd integers, so that reading it before writing shows', async () => {
  const backend = createReference()
  const [x, i] = [backend.alloc(2, 'f32'), backend.alloc(2, 'i32')]
  assert.equal(Array.from(await backend.read(x)), [Number.NaN, Number.NaN])
  assert.ok((await backend.read(i)).every((v) => v > 2 ** 30 && v % 2 === 1))
})

test('read gives a copy of the asked range in the precision of the backend', async () => {
  const single = createReference()
  const double = createReference({ precision: 'f64' })
  for (const backend of [single, double]) {
    const buf = backend.alloc(4, 'f32')
    backend.write(buf, Float64Array.of(0.1, 0.2, 0.3), 1)
    const part = await backend.read(buf, 2, 2)
    backend.dispatch('fill', { y: buf }, { n: 4, value: 0.1 })
    const exact = backend === double
    assert.equal(part, exact ? Float64Array.of(0.2, 0.3) : Float32Array.of(0.2, 0.3))
    assert.equal((await backend.read(buf, 1))[0], exact ? 0.1 : Math.fround(0.1))
  }
})

test('after dispose every call fails', async () => {
  const backend = createReference()
  const buf = backend.alloc(1, 'f32')
  await backend.dispose()
  const message = /the backend was disposed$/
  assert.throws(() => backend.alloc(1, 'f32'), message)
  assert.throws(() => backend.dispatch('fill', { y: buf }, { n: 1, value: 1 }), message)
  for (const call of [() => backend.read(buf), () => backend.sync()]) {
    const error = await call().then(
      () => undefined,
      (reason: Error) => reason,
    )
    assert.match(error!.message, message)
  }
})

test.run()
