// WebGPU that is not to be had, runs out of memory, or is destroyed in the middle of a run.
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { OutOfMemoryError, type TrainOptions, train } from 'vitune'
import { createWebgpu } from 'vitune/tensor'
import { errorOf } from './errors.ts'
import { idleGpu } from './idle-gpu.ts'
import { cleanUp, lossy, model, photos } from './lost-runs.ts'

const test = suite('gpu lost')
test.after(cleanUp)

test('without an adapter, or with one that never answers, there is one sentence', async () => {
  const denied = { requestAdapter: async () => null } as unknown as GPU
  const silent = { requestAdapter: () => new Promise(() => {}) } as unknown as GPU
  assert.match(
    (await errorOf(createWebgpu({ gpu: denied }))).message,
    /^webgpu: an adapter must be there, got none: install/,
  )
  const late = await errorOf(createWebgpu({ gpu: silent, patience: 20 }))
  assert.match(late.message, /^webgpu: requestAdapter must answer within 0.02 s, got nothing$/)
})

test('an adapter that is there a second later is taken: a browser has none while its GPU process starts again', async () => {
  let asked = 0
  const { gpu } = idleGpu()
  const restarting = {
    requestAdapter: async () => (asked++ === 0 ? null : gpu.requestAdapter()),
  } as unknown as GPU
  const backend = await createWebgpu({ gpu: restarting })
  assert.is(asked, 2)
  await backend.dispose()
  asked = 0
  assert.match((await errorOf(createWebgpu({ gpu: restarting, software: false }))).message, 'got none')
  assert.is(asked, 1)
})

test('a GPU out of memory rejects the next await and all after it, with the remedies', async () => {
  class GPUOutOfMemoryError extends Error {}
  const { gpu, fail } = idleGpu()
  const backend = await createWebgpu({ gpu })
  const x = backend.alloc(100, 'f32')
  const waiting = errorOf(backend.read(x))
  fail(new GPUOutOfMemoryError('4 GB were asked for'))
  for (const error of [await waiting, await errorOf(backend.sync())]) {
    assert.instance(error, OutOfMemoryError)
    assert.match(error.message, /^webgpu: out of memory, 4 GB were asked for; .*smaller batch, checkpointing, LoRA/)
  }
  await backend.dispose()
})

test('a run goes on with a new device after its own was destroyed, with the losses that wasm has', async () => {
  const data = await photos()
  // Few kernels, since a device in software compiles them for seconds.
  const common: TrainOptions = { data, model, epochs: 1, batchSize: 4, seed: 3, peft: 'linear', saveEvery: 0 }
  const expected: number[] = []
  for await (const event of train({ ...common, device: 'wasm' })) if (event.kind === 'step') expected.push(event.loss)
  const start = () => createWebgpu()
  const seen = await lossy(common, start, [2], ({ device }) => device.destroy())
  assert.is(seen.started.length, 2)
  assert.is(seen.losses.size, expected.length)
  for (const [step, losses] of seen.losses) {
    for (const loss of losses) assert.ok(Math.abs(loss - expected[step - 1]!) < 1e-4, `${step}: ${loss}`)
  }
  const restarts = seen.events.flatMap((e) => (e.kind === 'restart' ? [e] : []))
  assert.is(restarts.length, 1)
  assert.match(restarts[0]!.reason, /^webgpu: the device was lost \(destroyed\), .+; start a new backend$/)
  assert.is(restarts[0]!.device, 'webgpu')
  assert.is(restarts[0]!.step, 1)
})

test.run()
