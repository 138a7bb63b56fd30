// What only the WebGPU backend has: batches of commands, counters, a device that can be lost. Not here: kernels
// (kernels.test.ts) and what holds for every backend (backend.test.ts).
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { createBackend, listDevices } from 'vitune'
import { type Backend, type Buf, createWebgpu, type WebgpuBackend } from 'vitune/tensor'
import { affine, filled } from './buffers.ts'
import { failureOf } from './errors.ts'

const run = promisify(execFile)
const root = fileURLToPath(new URL('..', import.meta.url))

async function withBackend(body: (backend: WebgpuBackend) => Promise<void>): Promise<void> {
  const backend = await createWebgpu()
  try {
    await body(backend)
  } finally {
    await backend.dispose()
  }
}

/** Adds up rows, takes a softmax of the sums and scales that, with a tensor made and freed at each turn. */
function turn(backend: Backend, x: Buf, out: Buf): void {
  const sums = backend.alloc(67, 'f32')
  backend.dispatch('reduce', { y: sums, x }, { op: 0, outer: 67, count: 300, inner: 1, scale: 0.01 })
  const shares = backend.alloc(67, 'f32')
  backend.dispatch('softmax', { y: shares, x: sums }, { m: 1, n: 67 })
  backend.free(sums)
  affine(backend, out, shares, 67, 2, 0)
  backend.free(shares)
}

test('a turn that repeats makes no buffer, bind group or pipeline, and few submits', () =>
  withBackend(async (backend) => {
    const [x, out] = [filled(backend, 67 * 300, 1), backend.alloc(67, 'f32')]
    turn(backend, x, out)
    await backend.read(out)
    const before = backend.stats()
    for (let k = 0; k < 100; k++) turn(backend, x, out)
    const result = await backend.read(out)
    const after = backend.stats()
    assert.is(after.dispatches - before.dispatches, 300)
    assert.ok(after.submits - before.submits <= 6, `${after.submits - before.submits} submits`)
    for (const count of ['allocations', 'bindGroups', 'pipelines', 'writes'] as const) {
      assert.is(after[count], before[count], count)
    }
    assert.ok(result.every((v: number) => Math.abs(v - 2 / 67) < 1e-6))
  }))

test('a write goes behind the commands that use its buffer, and sends off only those', () =>
  withBackend(async (backend) => {
    const [x, y, other] = [filled(backend, 5, 1), filled(backend, 5, 0), filled(backend, 5, 0)]
    const add = () => backend.dispatch('binary', { y, a: y, b: x }, { op: 0, n: 5, inner: 1, count: 5 })
    add()
    const before = backend.stats().submits
    backend.write(other, new Float32Array(5).fill(9))
    assert.is(backend.stats().submits, before)
    backend.write(x, new Float32Array(5).fill(10))
    assert.is(backend.stats().submits, before + 1)
    add()
    assert.equal(Array.from(await backend.read(y)), [11, 11, 11, 11, 11])
    assert.equal(Array.from(await backend.read(other)), [9, 9, 9, 9, 9])
  }))

test('a write into memory that was freed does not reach the commands before it', () =>
  withBackend(async (backend) => {
    const y = filled(backend, 1000, 0)
    const first = filled(backend, 1000, 3)
    affine(backend, y, first, 1000, 1, 0)
    backend.free(first)
    const made = backend.stats().allocations
    const second = filled(backend, 1000, 5)
    assert.is(backend.stats().allocations, made, 'the freed buffer was taken')
    assert.is((await backend.read(y))[999], 3)
    assert.is((await backend.read(second))[999], 5)
  }))

test('more than 65535 workgroups run, by element and by row', () =>
  withBackend(async (backend) => {
    const n = 65536 * 256 + 300
    const long = backend.alloc(n, 'f32')
    backend.dispatch('fill', { y: long }, { n, value: 7 })
    assert.equal(Array.from(await backend.read(long, 3, n - 3)), [7, 7, 7])
    const m = 70_001
    const [x, y] = [filled(backend, m * 3, 2), filled(backend, m * 3 + 5, 12345)]
    backend.dispatch('softmax', { y, x }, { m, n: 3 })
    const rows = await backend.read(y)
    assert.is(
      rows.findIndex((v: number, j: number) => Math.abs(v - (j < m * 3 ? 1 / 3 : 12345)) > 1e-6),
      -1,
    )
  }))

test('memory given back is held for the next tensor, counted, and not without bound', () =>
  withBackend(async (backend) => {
    for (let k = 1; k <= 40; k++) backend.free(backend.alloc(k * 100_000, 'f32'))
    const { used, pooled, buffers } = backend.memory()
    assert.equal([used, buffers], [0, 0])
    assert.ok(pooled > 0 && pooled < 100e6, `${pooled} bytes`)
    await backend.sync()
  }))

test('a buffer larger than the device allows is refused with the limit and the remedy', () =>
  withBackend(async (backend) => {
    assert.throws(() => backend.alloc(2 ** 40, 'f32'), /bytes, got \d+; use a smaller batch/)
    assert.is(backend.memory().buffers, 0)
  }))

test('a lost device rejects what waits and what comes next with one clear error', async () => {
  const backend = await createWebgpu()
  const x = filled(backend, 100, 1)
  affine(backend, x, x, 100, 2, 0)
  const waiting = failureOf(() => backend.read(x))
  backend.device.destroy()
  const clear = /^webgpu: the device was lost \(destroyed\), .+; start a new backend$/
  assert.match(await failureOf(() => backend.sync()), clear)
  // The read may have been done before.
  const read = await waiting
  assert.ok(clear.test(read) || read === 'nothing was thrown', read)
  affine(backend, x, x, 100, 2, 0)
  backend.write(x, new Float32Array(100))
  assert.match(await failureOf(() => backend.read(x)), clear)
  assert.match(await failureOf(() => backend.sync()), clear)
  await backend.dispose()
  assert.is(backend.memory().buffers, 0)
  assert.match(await failureOf(() => backend.sync()), /disposed/)
  await withBackend(async (next) => {
    const y = filled(next, 3, 4)
    assert.is((await next.read(y))[2], 4)
  })
})

test('an error of the device that no one caught rejects the next await', () =>
  withBackend(async (backend) => {
    const x = filled(backend, 3, 1)
    backend.device.createBuffer({ size: 5, usage: 0x1 | 0x80 })
    assert.match(await failureOf(() => backend.read(x)), /^webgpu: refused by the device, /)
    assert.match(await failureOf(() => backend.sync()), /^webgpu: refused by the device, /)
  }))

test('auto passes a software adapter over for wasm, and says so', async () => {
  const reports = await listDevices()
  const [gpu, wasm] = reports
  assert.is(gpu!.name, 'webgpu')
  assert.ok(gpu!.available)
  const backend = await createBackend()
  if (gpu!.chosen) assert.is(backend.name, 'webgpu')
  else {
    assert.match(gpu!.why, /computes in software, which is slower than wasm/)
    assert.match(wasm!.why, /webgpu is not used: its adapter computes in software/)
    assert.is(backend.name, 'wasm')
    assert.match(backend.caps.notes[0]!, /webgpu is not used: its adapter computes in software/)
  }
  await backend.dispose()
})

test('what drivers write while a GPU is looked for stays off the terminal, and devices --verbose shows it', async () => {
  // The loader of Vulkan is told to be talkative, as Mesa's drivers and Dawn are by themselves.
  const env = { ...process.env, VK_LOADER_DEBUG: 'all', VK_LOADER_MESSAGE_LEVEL: 'all' }
  const cli = fileURLToPath(new URL('../dist/cli.js', import.meta.url))
  const [quiet, verbose, json] = await Promise.all(
    [[], ['--verbose'], ['--verbose', '--json']].map((more) =>
      run(process.execPath, [cli, 'devices', ...more], { env }),
    ),
  )
  for (const { stderr } of [quiet!, verbose!, json!]) assert.is(stderr, '')
  assert.not.match(quiet!.stdout, /Vulkan Loader/i)
  assert.match(verbose!.stdout, /said by Dawn and the drivers:\n.*Vulkan Loader/is)
  const [gpu] = JSON.parse(json!.stdout).devices
  assert.ok(gpu.available && gpu.words.length > 0 && gpu.words.length <= 50)
})

test('every variant can be switched off, which is said', async () => {
  const backend = await createWebgpu({ disable: ['subgroups', 'shader-f16'] })
  const notes = ['subgroups was switched off', 'shader-f16 was switched off']
  assert.equal([...backend.caps.notes], notes)
  await backend.dispose()
})

test('once disposed, what it held may be collected at once, and Node ends by itself', async () => {
  const script = `import { createWebgpu } from 'vitune/tensor'
const first = await createWebgpu()
await first.dispose()
globalThis.gc()
const backend = await createWebgpu()
const x = backend.alloc(3, 'f32')
backend.write(x, Float32Array.of(1, 2, 3))
backend.dispatch('unary', { y: x, x }, { op: 0, n: 3, a: 2, b: 0 })
console.log(Array.from(await backend.read(x)).join())
await backend.dispose()
globalThis.gc()`
  const args = ['--expose-gc', '--input-type=module', '-e', script]
  const { stdout } = await run(process.execPath, args, { cwd: root, timeout: 30_000 })
  assert.is(stdout, '2,4,6\n')
})

test.run()
