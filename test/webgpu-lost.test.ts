// A WebGPU device that is destroyed in the middle of a run.
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { createWebgpu, type TrainOptions, train } from 'vitune'
import { cleanUp, lossy, model, photos } from './lost-runs.ts'

const test = suite('gpu lost')
test.after(cleanUp)

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
