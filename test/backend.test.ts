// What every backend promises besides its kernels: order, memory, and what it refuses.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Buf, createReference } from 'vitune/tensor'
import { backends } from './backends.ts'
import { affine, all, filled } from './buffers.ts'

// Small ones run on one thread, large ones on all.
const lengths = [3, 100_003]

for (const [label, { start }] of Object.entries(backends)) {
  test(`${label}: its name and what it found out stand fixed`, async () => {
    const backend = await start()
    assert.ok(label.startsWith(backend.name))
    assert.ok(Object.isFrozen(backend.caps))
    if (label.includes('threads')) assert.is(backend.caps.threads, Number(label.match(/(\d) threads/)![1]))
    else assert.is(backend.caps.threads, 1)
    assert.is(backend.caps.relaxedSimd, label.includes('relaxed'))
    await backend.dispose()
  })

  test(`${label}: a read gives what was there when it was asked for, whatever is queued behind it`, async () => {
    const backend = await start()
    for (const n of lengths) {
      const x = filled(backend, n, 1)
      const asked = [backend.read(x)]
      backend.write(x, new Float32Array(n).fill(2))
      asked.push(backend.read(x))
      affine(backend, x, x, n, 10, 5)
      asked.push(backend.read(x))
      affine(backend, x, x, n, 10, 5)
      asked.push(backend.read(x))
      backend.free(x)
      const next = filled(backend, n, -1)
      const found = await Promise.all(asked)
      const wanted = [1, 2, 25, 255]
      found.forEach((data, at) => {
        assert.is(data.length, n)
        assert.ok(all(data, wanted[at]!), `read ${at} of ${n}`)
      })
      backend.free(next)
    }
    await backend.dispose()
  })

  test(`${label}: a write waits for the commands before it and copies the data at once`, async () => {
    const backend = await start()
    for (const n of lengths) {
      const x = filled(backend, n, 3)
      const sum = filled(backend, n, 0)
      const data = new Float32Array(n)
      for (let round = 1; round <= 40; round++) {
        backend.dispatch('binary', { y: sum, a: sum, b: x }, { op: 0, n, inner: 1, count: n })
        backend.write(x, data.fill(round))
      }
      data.fill(Number.NaN)
      const total = 3 + (39 * 40) / 2
      assert.ok(all(await backend.read(sum), total), `sum of ${n}`)
      assert.ok(all(await backend.read(x), 40), `last write of ${n}`)
      for (const buf of [x, sum]) backend.free(buf)
    }
    await backend.dispose()
  })

  test(`${label}: ten thousand commands run in their order`, async () => {
    const backend = await start()
    // Counting up, and now and then starting over from 7: a command out of order changes the end.
    for (const [n, rounds] of [
      [3, 10_000],
      [30_011, 500],
    ] as const) {
      const x = filled(backend, n, 0)
      let wanted = 0
      for (let round = 0; round < rounds; round++) {
        const [a, b] = round % 300 === 100 ? [0, 7] : [1, 1]
        affine(backend, x, x, n, a, b)
        wanted = a * wanted + b
      }
      assert.ok(all(await backend.read(x), wanted), `${n} x ${rounds}`)
      backend.free(x)
    }
    await backend.dispose()
  })

  test(`${label}: memory given back is used again only behind the commands that still need it`, async () => {
    const backend = await start()
    for (const n of lengths) {
      const total = filled(backend, n, 0)
      for (let round = 1; round <= 60; round++) {
        const x = filled(backend, n, round)
        const y = backend.alloc(n, 'f32')
        affine(backend, y, x, n, 2, 0)
        backend.free(x)
        backend.dispatch('binary', { y: total, a: total, b: y }, { op: 0, n, inner: 1, count: n })
        backend.free(y)
      }
      assert.ok(all(await backend.read(total), 60 * 61), `${n}`)
      backend.free(total)
    }
    assert.is(backend.memory().buffers, 0)
    await backend.dispose()
  })

  test(`${label}: memory grows while commands run, and old buffers keep what they hold`, async () => {
    const backend = await start()
    const n = 1_000_003
    const bufs: Buf[] = []
    for (let k = 0; k < 24; k++) {
      const x = filled(backend, n, k)
      affine(backend, x, x, n, 2, 1)
      bufs.push(x)
    }
    for (const [k, buf] of bufs.entries())
      assert.ok(all(await backend.read(buf, 1000, n - 1000), 2 * k + 1), `buffer ${k}`)
    for (const buf of bufs) backend.free(buf)
    await backend.dispose()
  })

  test(`${label}: parts are written and read by their offset, integers stay integers`, async () => {
    const backend = await start()
    const x = filled(backend, 10, 0)
    backend.write(x, Float32Array.of(1, 2, 3), 4)
    assert.equal(Array.from(await backend.read(x)), [0, 0, 0, 0, 1, 2, 3, 0, 0, 0])
    assert.equal(Array.from(await backend.read(x, 2, 5)), [2, 3])
    assert.equal(Array.from(await backend.read(x, undefined, 6)), [3, 0, 0, 0])
    assert.is((await backend.read(x, 0, 10)).length, 0)
    const ints = backend.alloc(3, 'i32')
    backend.write(ints, Int32Array.of(-2147483648, -1, 2147483647))
    assert.equal(await backend.read(ints), Int32Array.of(-2147483648, -1, 2147483647))
    for (const buf of [x, ints]) backend.free(buf)
    await backend.dispose()
  })

  test(`${label}: memory is counted by bytes and buffers, with its peak`, async () => {
    const backend = await start()
    const [a, b] = [backend.alloc(1000, 'f32'), backend.alloc(500, 'i32')]
    assert.is(backend.memory().used, 6000)
    assert.is(backend.memory().buffers, 2)
    backend.free(a)
    assert.is(backend.memory().used, 2000)
    assert.is(backend.memory().peak, 6000)
    backend.resetPeak()
    assert.is(backend.memory().peak, 2000)
    assert.ok(backend.memory().pooled >= 0)
    backend.free(b)
    await backend.dispose()
    assert.is(backend.memory().used, 0)
    assert.is(backend.memory().buffers, 0)
  })

  test(`${label}: freed, foreign and missing buffers and ranges outside are refused at the call`, async () => {
    const backend = await start()
    const other = createReference()
    const [x, gone, foreign] = [filled(backend, 4, 0), backend.alloc(4, 'f32'), other.alloc(4, 'f32')]
    backend.free(gone)
    for (const bad of [gone, foreign]) {
      assert.throws(() => affine(backend, x, bad, 4, 1, 0))
      assert.throws(() => affine(backend, bad, x, 4, 1, 0))
      assert.throws(() => backend.write(bad, new Float32Array(1)))
      assert.throws(() => backend.free(bad))
      assert.ok(
        await backend.read(bad).then(
          () => false,
          () => true,
        ),
        'read',
      )
    }
    assert.throws(() => backend.dispatch('unary', { y: x } as never, { op: 0, n: 4, a: 1, b: 0 }), /x/)
    assert.throws(() => backend.write(x, new Float32Array(2), 3))
    assert.throws(() => backend.write(x, new Float32Array(1), -1))
    for (const [length, offset] of [
      [5, 0],
      [1, 4],
      [1, -1],
    ] as const) {
      assert.ok(
        await backend.read(x, length, offset).then(
          () => false,
          () => true,
        ),
        `read ${length} from ${offset}`,
      )
    }
    assert.ok(all(await backend.read(x), 0), 'nothing was run')
    backend.free(x)
    await backend.dispose()
  })

  test(`${label}: sync resolves once all has run, and nothing works after dispose`, async () => {
    const backend = await start()
    const x = filled(backend, 100_003, 1)
    for (let k = 0; k < 20; k++) affine(backend, x, x, 100_003, 2, 0)
    await backend.sync()
    assert.ok(all(await backend.read(x, 5, 99_998), 2 ** 20))
    await backend.dispose()
    await backend.dispose()
    assert.throws(() => backend.alloc(1, 'f32'))
    assert.throws(() => affine(backend, x, x, 1, 1, 0))
    assert.ok(
      await backend.read(x).then(
        () => false,
        () => true,
      ),
      'read',
    )
  })
}

test.run()
