// Kernels that no adapter in software has: half precision, and subgroups larger than four. Compiled by Dawn's null backend,
// which checks WGSL and runs nothing. What SwiftShader can run is in kernels.test.ts.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { createWebgpu, type WebgpuBackend, type WebgpuOptions } from 'vitune/tensor'
import { create } from 'webgpu'

/** Dawn's null backend as an adapter whose subgroups have at least `least` invocations. */
function nullGpu(least: number): GPU {
  const gpu = create(['backend=null'])
  const requestAdapter = async () => {
    const adapter = (await gpu.requestAdapter())!
    const info = { ...adapter.info, subgroupMinSize: least, subgroupMaxSize: 128 }
    const requestDevice = (descriptor: GPUDeviceDescriptor) => adapter.requestDevice(descriptor)
    return { info, features: adapter.features, limits: adapter.limits, requestDevice }
  }
  return { requestAdapter, wgslLanguageFeatures: gpu.wgslLanguageFeatures } as unknown as GPU
}

/** Starts a backend that notes the WGSL of its modules. */
async function withModules(
  least: number,
  options: WebgpuOptions,
  body: (backend: WebgpuBackend, modules: string[]) => Promise<void>,
): Promise<void> {
  const backend = await createWebgpu({ ...options, gpu: nullGpu(least) })
  const { device } = backend
  const modules: string[] = []
  const make = device.createShaderModule.bind(device)
  device.createShaderModule = (descriptor) => {
    modules.push(descriptor.code)
    return make(descriptor)
  }
  try {
    await body(backend, modules)
  } finally {
    await backend.dispose()
  }
}

/** One product A B^T for each of the six tiles, and one whose k is in parts. */
function products(backend: WebgpuBackend): void {
  const rest = { batch: 1, transA: 0, strideA: 0, strideB: 0, alpha: 1, act: 0, accumulate: 0, format: 0, block: 0 }
  for (const [m, n, k] of [
    [3, 3, 3],
    [100, 8, 8],
    [8, 100, 8],
    [8, 8, 512],
    [400, 400, 8],
    [1100, 1100, 8],
    [190, 190, 520],
  ] as const) {
    const [y, a, b] = [m * n, m * k, k * n].map((length) => backend.alloc(length, 'f32'))
    for (const transB of [1, 0]) backend.dispatch('matmul', { y: y!, a: a!, b: b! }, { ...rest, m, n, k, transB })
  }
}

const inHalves = (modules: readonly string[]) => modules.filter((code) => code.includes('enable f16;')).length

test('half precision compiles for every tile when asked for, in products A B^T alone', () =>
  withModules(32, { f16: true }, async (backend, modules) => {
    assert.equal([...backend.caps.notes], [])
    products(backend)
    await backend.sync()
    assert.is(inHalves(modules), 6)
    assert.is(modules.length, 13, 'six tiles of either kind, and the sum of parts')
  }))

test('packed weights compile in half precision, and codes with and without products of four bytes', async () => {
  for (const [options, dots] of [
    [{ f16: true }, 1],
    [{ f16: true, disable: ['dot'] }, 0],
  ] as const) {
    await withModules(32, options, async (backend, modules) => {
      const [m, n, k] = [40, 40, 40]
      const [y, a, bScale] = [m * n, m * k, 400].map((length) => backend.alloc(length, 'f32'))
      const [b, codes] = [backend.alloc(n * k, 'i32'), backend.alloc(m * k, 'i32')]
      const rest = { transA: 0, transB: 1, strideA: 0, strideB: 0, alpha: 1, act: 0, accumulate: 0, batch: 1, m, n, k }
      for (const format of [1, 2, 3, 4]) {
        backend.dispatch('matmul', { y: y!, a: a!, b, bScale: bScale! }, { ...rest, format, block: 64 })
      }
      assert.is(inHalves(modules), 4)
      backend.dispatch(
        'matmulI8',
        { y: y!, a: codes, aScale: a!, b },
        { m, n, k, transB: 1, alpha: 1, act: 0, accumulate: 0 },
      )
      await backend.sync()
      assert.is(inHalves(modules), 4)
      assert.is(modules.filter((code) => code.includes('dot4I8Packed')).length, dots)
    })
  }
})

test('half precision is off by default and when switched off by name, which is said', async () => {
  for (const [options, note] of [
    [{}, 'shader-f16 was not asked for (option f16)'],
    [{ f16: true, disable: ['shader-f16'] }, 'shader-f16 was switched off'],
  ] as const) {
    await withModules(32, options, async (backend, modules) => {
      assert.equal([...backend.caps.notes], [note])
      products(backend)
      await backend.sync()
      assert.is(inHalves(modules), 0)
    })
  }
})

for (const least of [4, 8, 16, 64]) {
  test(`attention and rows compile for subgroups of at least ${least}`, () =>
    withModules(least, {}, async (backend, modules) => {
      const room = (length: number) => backend.alloc(length, 'f32')
      for (const d of [64, 100]) {
        const [q, k, v, o] = [room(7 * d), room(7 * d), room(7 * d), room(7 * d)]
        const [dO, dq, dk, dv, lse] = [room(7 * d), room(7 * d), room(7 * d), room(7 * d), room(7)]
        const params = { b: 1, n: 7, h: 1, d, scale: 1 }
        backend.dispatch('attention', { o, lse, q, k, v }, params)
        backend.dispatch('attentionGrad', { dq, dk, dv, do: dO, q, k, v, o, lse }, params)
      }
      backend.dispatch('softmax', { y: room(70), x: room(70) }, { m: 7, n: 10 })
      await backend.sync()
      assert.is(modules.filter((code) => code.includes('enable subgroups;')).length, 7)
      // Sixteen threads share a row: a subgroup that holds them all needs no workgroup memory.
      const swaps = modules[0]!.match(/subgroupShuffleXor\(now0, \d+u\)/g) ?? []
      assert.is(swaps.length, Math.log2(Math.min(16, least)))
    }))
}

test.run()
