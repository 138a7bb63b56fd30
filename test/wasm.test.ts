// What only the wasm backend has: its variants, its heap, its workers. Not here: kernels (kernels.test.ts) and what holds
// for every backend (backend.test.ts).
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  type Backend,
  type Buf,
  type Bufs,
  createReference,
  createWasm,
  type KernelName,
  type Params,
  Rng,
  type WasmOptions,
} from 'vitune/tensor'
import { createPlanner } from '../src/backend/wasm/planner.ts'
import { failureOf } from './errors.ts'

const run = promisify(execFile)
const variants: [string, WasmOptions][] = [
  ['one thread', { threads: 1, disable: ['relaxed-simd'] }],
  ['one thread, relaxed', { threads: 1 }],
  ['two threads', { threads: 2, disable: ['relaxed-simd'] }],
  ['three threads, relaxed', { threads: 3 }],
]

function random(backend: Backend, length: number, seed: number): Buf {
  const rng = new Rng(seed)
  const buf = backend.alloc(length, 'f32')
  backend.write(
    buf,
    Float32Array.from({ length }, () => rng.uniform() - 0.5),
  )
  return buf
}

const affine = (backend: Backend, y: Buf, x: Buf, n: number, a: number, b: number) =>
  backend.dispatch('unary', { y, x }, { op: 0, n, a, b })

interface Call {
  start(): void
  outputs: Buf[]
}

/** Calls that are split over threads and need scratch. */
function calls(backend: Backend): Call[] {
  const seeded = (length: number, seed: number) => random(backend, length, seed)
  const [m, n, k] = [203, 131, 777]
  const params = {
    batch: 1,
    m,
    n,
    k,
    transA: 0,
    transB: 1,
    strideA: 0,
    strideB: 0,
    alpha: 0.5,
    act: 1,
    accumulate: 0,
    format: 0,
    block: 0,
  }
  const thin = { ...params, m: 8, n: 2056, k: 301, act: 0 }
  const many = { ...params, batch: 7, m: 19, n: 37, k: 23, strideA: 19 * 23, strideB: 37 * 23, act: 0 }
  const heads = { b: 3, n: 67, h: 3, d: 20, scale: 0.2 }
  const size = 3 * 67 * 3 * 20
  const [q, key, v, o, lse] = [
    seeded(size, 1),
    seeded(size, 2),
    seeded(size, 3),
    seeded(size, 4),
    seeded(3 * 3 * 67, 5),
  ]
  const [dq, dk, dv] = [seeded(size, 6), seeded(size, 7), seeded(size, 8)]
  const out = (length: number) => seeded(length, 9)
  const [y1, y2, y3, y4, y5, y6] = [out(m * n), out(8 * 2056), out(7 * 19 * 37), out(1), out(300), out(203 * 300)]
  const [mean, rstd, dw, db, x] = [out(203), out(203), out(300), out(300), seeded(203 * 300, 10)]
  const made: Call[] = []
  const add = <K extends KernelName>(kernel: K, bufs: Bufs<K>, numbers: Params<K>, outputs: Buf[]) =>
    made.push({ start: () => backend.dispatch(kernel, bufs, numbers), outputs })
  add('matmul', { y: y1, a: seeded(m * k, 11), b: seeded(n * k, 12), bias: seeded(n, 13) }, params, [y1])
  add('matmul', { y: y2, a: seeded(8 * 301, 14), b: seeded(2056 * 301, 15) }, thin, [y2])
  add('matmul', { y: y3, a: seeded(7 * 19 * 23, 16), b: seeded(7 * 37 * 23, 17) }, many, [y3])
  add('attention', { o, lse, q, k: key, v }, heads, [o, lse])
  add('attentionGrad', { dq, dk, dv, do: seeded(size, 18), q, k: key, v, o, lse }, heads, [dq, dk, dv])
  add('reduce', { y: y4, x }, { op: 2, outer: 1, count: 203 * 300, inner: 1, scale: 1 }, [y4])
  add('reduce', { y: y5, x }, { op: 0, outer: 1, count: 203, inner: 300, scale: 1 }, [y5])
  add('layerNorm', { y: y6, mean, rstd, x, w: seeded(300, 19), b: seeded(300, 20) }, { m: 203, n: 300, eps: 1e-5 }, [
    y6,
  ])
  const dx = out(203 * 300)
  const given = { dy: seeded(203 * 300, 21), x, mean, rstd, w: seeded(300, 22) }
  add('layerNormGrad', { dx, dw, db, ...given }, { m: 203, n: 300, accumulate: 0 }, [dx, dw, db])
  return made
}

async function results(backend: Backend, list: Call[]): Promise<Float32Array[]> {
  for (const call of list) call.start()
  const found: Float32Array[] = []
  for (const { outputs } of list) for (const buf of outputs) found.push((await backend.read(buf)) as Float32Array)
  return found
}

for (const [name, options] of variants) {
  test(`${name}: caps say what is in use and why the rest is not`, async () => {
    const backend = await createWasm(options)
    assert.is(backend.name, 'wasm')
    assert.is(backend.caps.threads, options.threads)
    assert.is(backend.caps.shared, options.threads !== 1)
    assert.is(backend.caps.relaxedSimd, !options.disable)
    assert.is(backend.caps.notes.length, options.disable ? 1 : 0)
    assert.ok(Object.isFrozen(backend.caps))
    await backend.dispose()
  })

  test(`${name}: the same work over and over takes no more memory`, async () => {
    const backend = await createWasm(options)
    const held = () => backend.memory().used + backend.memory().pooled
    const rng = new Rng(3)
    const round = async () => {
      const list = [40000, 17, 1, 90000, 2500].map(
        (n) => [n, backend.alloc(n, 'f32'), backend.alloc(n, 'f32')] as const,
      )
      for (const [n, x, y] of rng.shuffle([...list])) {
        backend.write(x, new Float32Array(n))
        affine(backend, y, x, n, 1, 1)
      }
      for (const [, x, y] of rng.shuffle(list)) {
        backend.free(y)
        backend.free(x)
      }
      await backend.sync()
    }
    for (let i = 0; i < 20; i++) await round()
    const before = held()
    for (let i = 0; i < 200; i++) await round()
    assert.is(held(), before)
    await backend.dispose()
  })

  test(`${name}: what freed memory held does not show in a result`, async () => {
    const backend = await createWasm(options)
    const list = calls(backend)
    const first = await results(backend, list)
    const n = 4_000_000
    for (const value of [Number.NaN, 1e30]) {
      const dirty = backend.alloc(n, 'f32')
      backend.dispatch('fill', { y: dirty }, { n, value })
      backend.free(dirty)
      assert.equal(await results(backend, list), first)
    }
    await backend.dispose()
  })
}

test('running out of memory says how much was needed and of how much, and freeing helps', async () => {
  const backend = await createWasm({ threads: 1, maxBytes: 4 << 20 })
  const most = 500_000
  const a = backend.alloc(most, 'f32')
  assert.match(
    await failureOf(() => backend.alloc(most, 'f32')),
    /^wasm: out of memory, needed 2000000 bytes of 4194304; use a smaller batch, checkpointing, LoRA .* or a smaller input size$/,
  )
  backend.free(a)
  backend.free(backend.alloc(most, 'f32'))
  assert.is(backend.memory().buffers, 0)
  await backend.dispose()
})

test('a recorded step that there is no memory for leaves nothing behind', async () => {
  const backend = await createWasm({ threads: 1, maxBytes: 4 << 20 })
  const held = backend.alloc(400_000, 'f32')
  const made: Buf[] = []
  const said = await failureOf(() =>
    backend.capture(() => {
      // Fits into the largest memory, so that only finding room for it beside the rest fails.
      made.push(backend.alloc(600_000, 'f32'))
      affine(backend, made[0]!, held, 400_000, 1, 1)
    }),
  )
  assert.match(said, /^wasm: out of memory, needed \d+ bytes of 4194304; /)
  assert.is(backend.memory().buffers, 1)
  assert.is(backend.memory().used, 1_600_000)
  // Whoever owns a tensor of the step may still dispose it.
  backend.free(made[0]!)
  backend.free(held)
  assert.equal([backend.memory().buffers, backend.memory().used], [0, 0])
  backend.free(backend.alloc(500_000, 'f32'))
  await backend.dispose()
})

test('the planner lays out lists and their scratch as the backend does', async () => {
  const backend = await createWasm({ threads: 1 })
  const planner = createPlanner({ threads: 1 })
  // More entries than one command holds, and one long enough for pieces of its own.
  const lengths = [...Array.from({ length: 30 }, (_, i) => 100 + i), 2_000_000]
  const after = (on: Backend) => {
    const g = lengths.map((length) => on.alloc(length, 'f32'))
    const [norm, factor] = [on.alloc(1, 'f32'), on.alloc(1, 'f32')]
    on.dispatch('clipNorm', { norm, factor, g }, { maxNorm: 1 })
    const { used, pooled } = on.memory()
    return used + pooled
  }
  assert.is(after(planner), after(backend))
  // Pieces of 16384 values: one for each short entry, 123 for the long one, 8 bytes each.
  assert.is(planner.largest().scratch, (30 + 123) * 8)
  await backend.dispose()
})

test('addresses beyond 2 GiB work', async () => {
  const backend = await createWasm({ threads: 2 })
  // Never touched, so the system gives it no pages.
  const large = backend.alloc(560_000_000, 'f32')
  const n = 70003
  const x = backend.alloc(n, 'f32')
  const y = backend.alloc(n, 'f32')
  backend.write(
    x,
    Float32Array.from({ length: n }, (_, i) => i),
  )
  affine(backend, y, x, n, 2, 1)
  const found = await backend.read(y)
  assert.is(
    found.findIndex((v, i) => v !== 2 * i + 1),
    -1,
  )
  const [m, k] = [130, 70]
  const [a, b, p] = [random(backend, m * k, 1), random(backend, k * m, 2), backend.alloc(m * m, 'f32')]
  const params = {
    batch: 1,
    m,
    n: m,
    k,
    transA: 0,
    transB: 0,
    strideA: 0,
    strideB: 0,
    alpha: 1,
    act: 0,
    accumulate: 0,
    format: 0,
    block: 0,
  }
  backend.dispatch('matmul', { y: p, a, b }, params)
  const [left, right, product] = await Promise.all([backend.read(a), backend.read(b), backend.read(p)])
  let sum = 0
  for (let i = 0; i < k; i++) sum += left[(m - 1) * k + i]! * right[i * m + m - 1]!
  assert.ok(Math.abs(product[m * m - 1]! - sum) < 1e-5)
  backend.free(large)
  await backend.dispose()
})

test('a product over nothing is the bias, in whole tiles and at the edges', async () => {
  const [m, n] = [13, 19]
  for (const act of [0, 1]) {
    const backend = await createWasm({ threads: 1 })
    const [a, y, bias] = [backend.alloc(1, 'f32'), random(backend, m * n, 1), random(backend, n, 2)]
    const params = {
      batch: 1,
      m,
      n,
      k: 0,
      transA: 0,
      transB: 0,
      strideA: 0,
      strideB: 0,
      alpha: 1,
      act,
      accumulate: 0,
      format: 0,
      block: 0,
    }
    backend.dispatch('matmul', { y, a, b: a, bias }, params)
    const reference = createReference()
    const [ra, ry, rb] = [1, m * n, n].map((length) => reference.alloc(length, 'f32'))
    reference.write(rb!, await backend.read(bias))
    reference.dispatch('matmul', { y: ry!, a: ra!, b: ra!, bias: rb! }, params)
    const [found, expected] = [await backend.read(y), await reference.read(ry!)]
    assert.is(
      found.findIndex((v, i) => Math.abs(v - expected[i]!) > 1e-6),
      -1,
    )
    await backend.dispose()
  }
})

test('a worker that fails rejects what waits and what comes after', async () => {
  const backend = await createWasm({ threads: 2 })
  const [x, y, index] = [backend.alloc(1024, 'f32'), backend.alloc(1024, 'f32'), backend.alloc(1, 'i32')]
  backend.write(index, new Int32Array([1 << 19]))
  backend.dispatch('gather', { y, x, index }, { m: 1, n: 1024 })
  assert.match(await failureOf(() => backend.read(y)), /^wasm: a worker failed, .*out of bounds/)
  // More than the ring holds: nothing may wait for the worker that is gone.
  for (let i = 0; i < 10000; i++) affine(backend, y, x, 1024, 1, 1)
  assert.match(await failureOf(() => backend.sync()), /^wasm: a worker failed/)
  await backend.dispose()
})

test('waiting for a backend that is disposed of rejects', async () => {
  const backend = await createWasm({ threads: 2 })
  const n = 1 << 20
  const x = random(backend, n, 1)
  for (let i = 0; i < 50; i++) affine(backend, x, x, n, 1, 1)
  const waiting = failureOf(() => backend.sync())
  await backend.dispose()
  assert.match(await waiting, /^wasm: the backend was disposed$/)
})

test('options out of range are refused', async () => {
  assert.match(await failureOf(() => createWasm({ threads: 0 })), /threads must be a whole number from 1 to 64, got 0/)
  assert.match(await failureOf(() => createWasm({ threads: 1.5 })), /got 1.5/)
  assert.match(await failureOf(() => createWasm({ maxBytes: 1000 })), /maxBytes must be at least \d+, got 1000/)
})

test('threads that are switched off leave one, with a note', async () => {
  const backend = await createWasm({ threads: 4, disable: ['threads'] })
  assert.is(backend.caps.threads, 1)
  assert.equal(backend.caps.notes, ['threads are switched off by option'])
  await backend.dispose()
})

/** Runs a module text in a process of its own; gives what it printed. */
async function child(text: string, before = ''): Promise<string> {
  const start = `${before} const { createWasm } = await import('vitune/tensor'); const backend = await createWasm({ threads: 2 });`
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', start + text], { timeout: 20000 })
  return stdout.trim()
}

test('a backend that was never disposed of does not keep Node running', async () => {
  assert.is(await child("console.log('over')"), 'over')
})

test('a read that is waited for keeps Node running until it is there', async () => {
  const text = `const n = 1 << 20; const x = backend.alloc(n, 'f32'); backend.write(x, new Float32Array(n));
    for (let i = 0; i < 200; i++) backend.dispatch('unary', { y: x, x }, { op: 0, n, a: 1, b: 1 });
    console.log((await backend.read(x, 1))[0])`
  assert.is(await child(text), '200')
})

test('without Atomics.waitAsync a read still arrives', async () => {
  const text = `const n = 1 << 20; const x = backend.alloc(n, 'f32'); backend.write(x, new Float32Array(n));
    for (let i = 0; i < 50; i++) backend.dispatch('unary', { y: x, x }, { op: 0, n, a: 1, b: 1 });
    console.log((await backend.read(x, 1))[0])`
  assert.is(await child(text, 'delete Atomics.waitAsync;'), '50')
})

test('idle workers use no processor time', async () => {
  const text = `const x = backend.alloc(100000, 'f32'); backend.dispatch('fill', { y: x }, { n: 100000, value: 1 });
    await backend.sync(); await new Promise((done) => setTimeout(done, 50)); const before = process.cpuUsage();
    await new Promise((done) => setTimeout(done, 400)); const { user, system } = process.cpuUsage(before);
    console.log((user + system) / 1000)`
  const milliseconds = Number(await child(text))
  assert.ok(milliseconds < 60, `${milliseconds} ms in 400 ms`)
})

test('a feature to do without must be one that there is', async () => {
  const error = await createWasm({ threads: 1, disable: ['wyde' as never] }).catch((error: Error) => error)
  assert.is((error as Error).message, 'wasm: disable may name relaxed-simd, threads, wide, dot, dot16, got wyde')
})

test.run()
