// A device that is lost in the middle of a run (here a worker that fails), and memory that does not suffice.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { DeviceLostError, InputError, OutOfMemoryError, type TrainEvent, type TrainOptions, train } from 'vitune'
import { type Backend, createWasm } from 'vitune/tensor'
import { errorOf } from './errors.ts'
import { cleanUp, folder, lossy, model, photos } from './lost-runs.ts'

const test = suite('device lost')
test.after(cleanUp)
const data = await photos()
const common: TrainOptions = { data, model, epochs: 2, batchSize: 4, seed: 3, peft: 'lora', threads: 2 }
const start = () => createWasm({ threads: 2 })

/** Reads far outside of the memory, which ends the worker that does it. */
function fail(backend: Backend): void {
  const [x, y, index] = [backend.alloc(1024, 'f32'), backend.alloc(1024, 'f32'), backend.alloc(1, 'i32')]
  backend.write(index, Int32Array.of(1 << 19))
  backend.dispatch('gather', { y, x, index }, { m: 1, n: 1024 })
}

async function plain(): Promise<Map<number, number>> {
  const losses = new Map<number, number>()
  for await (const event of train(common)) if (event.kind === 'step') losses.set(event.step, event.loss)
  return losses
}
const expected = await plain()

test('features that were kept are computed anew on the new device, with the same numbers', async () => {
  const linear: TrainOptions = { ...common, peft: 'linear', augment: false, epochs: 3 }
  const losses = new Map<number, number>()
  for await (const event of train(linear)) if (event.kind === 'step') losses.set(event.step, event.loss)
  const seen = await lossy(linear, start, [5], fail)
  assert.is(seen.started.length, 2)
  assert.equal([...seen.losses.keys()], [...losses.keys()])
  for (const [step, repeated] of seen.losses) for (const loss of repeated) assert.is(loss, losses.get(step))
  for (const backend of seen.started) assert.is(backend.memory().buffers, 0)
})

const kinds = (events: readonly TrainEvent[], kind: TrainEvent['kind']) => events.filter((e) => e.kind === kind)

test('a run goes on from its last checkpoint on a new device, with the numbers of a run that lost nothing', async () => {
  for (const out of [undefined, join(folder, 'run')]) {
    const seen = await lossy({ ...common, ...(out ? { out } : {}) }, start, [2, 5], fail)
    assert.is(seen.started.length, 3)
    const restarts = kinds(seen.events, 'restart') as Extract<TrainEvent, { kind: 'restart' }>[]
    const first = Math.max(...expected.keys()) / 2
    assert.equal(
      restarts.map(({ step, device }) => [step, device]),
      [
        [0, 'wasm'],
        [first, 'wasm'],
      ],
    )
    assert.match(restarts[0]!.reason, /^wasm: a worker failed, .*; start a new backend$/)
    assert.equal([...seen.losses.keys()], [...expected.keys()])
    for (const [step, losses] of seen.losses) for (const loss of losses) assert.is(loss, expected.get(step))
    assert.is(kinds(seen.events, 'done').length, 1)
    for (const backend of seen.started) assert.is(backend.memory().buffers, 0)
    if (!out) continue
    const steps = readFileSync(join(out, 'metrics.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    assert.equal(
      steps.filter((line) => 'loss' in line).map((line) => line.step),
      [...expected.keys()],
    )
  }
})

test('a checkpoint may be written within an epoch, so that less is repeated', async () => {
  const seen = await lossy({ ...common, saveEvery: 0 }, start, [2], fail)
  const [restart] = kinds(seen.events, 'restart') as Extract<TrainEvent, { kind: 'restart' }>[]
  // The worker may still have run when the checkpoint of step 2 was taken.
  assert.ok(restart!.step === 1 || restart!.step === 2, `${restart!.step}`)
  for (const [step, losses] of seen.losses) for (const loss of losses) assert.is(loss, expected.get(step))
})

test('fallback goes on with wasm after two losses in a row; restart gives up after three; throw at once', async () => {
  const seen = await lossy({ ...common, onDeviceLost: 'fallback' }, start, [2, 2], fail)
  assert.is(seen.started.length, 2)
  assert.is(kinds(seen.events, 'restart').length, 2)
  assert.is(seen.losses.size, expected.size)

  assert.instance(await errorOf(lossy(common, start, [2, 2, 2], fail)), DeviceLostError)
  const thrown = await errorOf(lossy({ ...common, onDeviceLost: 'throw' }, start, [2], fail))
  assert.instance(thrown, DeviceLostError)
})

test('where no new device starts, the loss is told with the reason, or wasm goes on', async () => {
  const once = () => {
    let starts = 0
    return async () => {
      if (starts++ > 0) throw new InputError('device: it is gone')
      return start()
    }
  }
  const error = await errorOf(lossy(common, once(), [2], fail))
  assert.instance(error, DeviceLostError)
  assert.match(error.message, /^wasm: a worker failed, .*no new device, device: it is gone$/)
  const seen = await lossy({ ...common, onDeviceLost: 'fallback' }, once(), [2], fail)
  assert.is(seen.losses.size, expected.size)
})

test('a run that would not fit is refused before anything is written, with what would fit', async () => {
  const out = join(folder, 'large')
  const startBackend = () => createWasm({ threads: 1, maxBytes: 2 ** 20 + 8 * 65536 })
  // As large as the data, whatever is asked for.
  const error = await errorOf(train({ ...common, batchSize: 4096, peft: 'full', out, startBackend }).next())
  assert.instance(error, InputError)
  const text =
    /^memory: the run must fit on wasm, needs about .+ where there are .+; it would fit with a batch size of \d+ \(\d+ MiB\)/
  assert.match(error.message, text)
  assert.not(existsSync(out))
})

test('memory that is exhausted is one clear error, and what was freed can be used again', async () => {
  const backend = await createWasm({ threads: 2, maxBytes: 2 ** 20 + 64 * 65536 })
  const held = backend.alloc(2 ** 18, 'f32')
  try {
    backend.alloc(2 ** 24, 'f32')
    assert.unreachable()
  } catch (error) {
    assert.instance(error, OutOfMemoryError)
    assert.match(
      (error as Error).message,
      /^wasm: out of memory, needed 67108864 bytes .*smaller batch, checkpointing, LoRA/,
    )
  }
  backend.write(held, Float32Array.of(1, 2, 3))
  assert.equal([...(await backend.read(held, 3))], [1, 2, 3])
  backend.free(held)
  assert.is(backend.memory().buffers, 0)
  await backend.dispose()
})

test.run()
