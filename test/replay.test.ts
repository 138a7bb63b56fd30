// Recorded steps: what `capture` promises on every backend, and that a replayed training step is the eager one.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { injectAdapter, loraConfig } from 'vitune/adapters'
import type { Vit, VitConfig } from 'vitune/models'
import { disposeModule, setTrainable } from 'vitune/nn'
import { add, affine, type Backend, type BackendStats, type Buf, Rng, type Tensor, tensor } from 'vitune/tensor'
import { type Batch, type BatchSource, type FitOptions, fit, multiclass, Replay } from 'vitune/train'
import { backends } from './backends.ts'
import { batchOf } from './batch-of.ts'
import { all, filled } from './buffers.ts'
import { near } from './grad-check.ts'
import { smallVit, weightsOf } from './small-vit.ts'

/** y = a x + b. */
const line = (backend: Backend, y: Buf, x: Buf, a: number, b: number) =>
  backend.dispatch('unary', { y, x }, { op: 0, n: y.length, a, b })

const classes = ['ant', 'bee', 'cat']
const task = multiclass(classes)

/** `count` batches of four images, the last of only two. */
function source(count: number): BatchSource {
  const rng = new Rng(5, 8)
  const batches = Array.from({ length: count }, (_, b): Batch => {
    const size = b === count - 1 ? 2 : 4
    const labels = Int32Array.from({ length: size }, (_, i) => (b + i) % 3)
    const images = Float32Array.from({ length: size * 192 }, () => rng.normal())
    return batchOf(
      images,
      [size, 3, 8, 8],
      labels,
      Array.from(labels, () => 'one.png'),
    )
  })
  return {
    batches: count,
    async *epoch(epoch, first) {
      yield* new Rng(epoch, 9).shuffle([...batches]).slice(first)
    },
  }
}

type Own = Omit<FitOptions, 'model' | 'task'> & { patchKeep?: number }
const usual: Own = { train: source(3), epochs: 2, lr: 0.01, seed: 3 }

/** Losses, rates, norms and final weights; `between` runs after each step. */
async function outcome(
  backend: Backend,
  dora: boolean,
  options: Partial<Own>,
  between: (m: Vit, step: number) => void,
) {
  const model = smallVit(backend, { classes, layers: 2, dropout: 0.1, dropPath: 0.2 })
  injectAdapter(model, loraConfig({ r: 2, useDora: dora, dropout: 0.1 }), 1)
  const steps: number[][] = []
  const { patchKeep = 1, ...rest } = options
  model.setDropout({ patchKeep })
  for await (const event of fit({ model, task, ...usual, ...rest })) {
    if (event.kind !== 'step') continue
    steps.push([event.loss, event.lr, event.gradNorm ?? 0])
    between(model, event.step)
  }
  const weights = [...(await weightsOf(model)).values()]
  disposeModule(model)
  return { steps, weights }
}

const nothing = () => {}
const runs: [string, boolean, Partial<Own>, (m: Vit, step: number) => void][] = [
  ['batches of two sizes, a rate that moves, dropout and clipping', false, { schedule: 'cosine', clip: 1 }, nothing],
  [
    'DoRA with SGD, dropped patches and recomputation',
    true,
    { optimizer: 'sgd', patchKeep: 0.5, checkpointing: true },
    nothing,
  ],
  ['batches added up, an odd one left', false, { accumulate: 2, clip: 1 }, nothing],
  ['a dropout rate changed between steps', false, {}, (m, step) => m.setDropout({ dropout: step * 0.1 })],
]

// A recorder of each kind; which variant of a kernel it replays does not matter to it.
const recorders = Object.entries(backends).filter(([label]) => !/1 thread, relaxed|5 threads/.test(label))
for (const [label, { start }] of recorders) {
  test(`${label}: what is captured runs at each replay and not before, in memory of its own`, async () => {
    const backend = await start()
    const x = filled(backend, 1000, 1)
    const y = filled(backend, 1000, 0)
    const before = backend.memory()
    let kept: Buf | undefined
    const program = backend.capture(() => {
      const first = backend.alloc(1000, 'f32')
      line(backend, first, x, 2, 0)
      const second = backend.alloc(1000, 'f32')
      line(backend, second, first, 1, 1)
      backend.free(first)
      kept = backend.alloc(1000, 'f32')
      line(backend, kept, second, 10, 0)
      backend.free(second)
      line(backend, y, kept, 1, 5)
    })
    assert.is(program.dispatches, 4)
    assert.ok(all(await backend.read(y), 0))
    assert.is(backend.memory().buffers, before.buffers + 2, 'the program and the buffer kept')
    const held = backend.memory().used - before.used
    assert.ok(held >= 8000 && held < 12000, `two buffers at a time, not three: ${held} bytes`)
    const counted = backend.stats()
    for (const value of [1, 2, 3]) {
      backend.write(x, new Float32Array(1000).fill(value))
      program.replay()
      assert.ok(all(await backend.read(kept!), 20 * value + 10))
      assert.ok(all(await backend.read(y), 20 * value + 15))
    }
    assert.is(backend.stats().dispatches - counted.dispatches, 12)
    // What is queued behind a replay sees its results, and so does the next replay.
    program.replay()
    line(backend, x, kept!, 0, 7)
    program.replay()
    assert.ok(all(await backend.read(y), 155))
    backend.free(kept!)
    program.replay()
    assert.ok(all(await backend.read(y), 155))
    program.dispose()
    program.dispose()
    assert.is(backend.memory().buffers, before.buffers)
    assert.is(backend.memory().used, before.used)
    for (const buf of [x, y]) backend.free(buf)
    await backend.dispose()
  })

  test(`${label}: a read gives what was there before the replays behind it, however long it is`, async () => {
    const backend = await start()
    for (const n of [5, 100_003]) {
      const x = filled(backend, n, 1)
      let kept: Buf | undefined
      const program = backend.capture(() => {
        kept = backend.alloc(n, 'f32')
        line(backend, kept, x, 1, 1)
        line(backend, x, kept, 2, 0)
      })
      program.replay()
      const asked = [backend.read(x), backend.read(kept!)]
      program.replay()
      asked.push(backend.read(x), backend.read(kept!))
      program.dispose()
      backend.free(x)
      const next = filled(backend, 4 * n, -1)
      for (const [i, value] of [4, 2, 10, 5].entries()) assert.ok(all(await asked[i]!, value), `read ${i} of ${n}`)
      backend.free(next)
    }
    assert.is(backend.memory().buffers, 0)
    await backend.dispose()
  })

  test(`${label}: writing, reading and capturing inside are refused, and a body that fails leaves nothing`, async () => {
    const backend = await start()
    const x = filled(backend, 5, 1)
    const inside = (body: () => void, message: RegExp) => {
      assert.throws(
        () =>
          backend.capture(() => {
            const own = backend.alloc(5, 'f32')
            line(backend, own, x, 1, 1)
            body()
          }),
        message,
      )
      assert.is(backend.memory().buffers, 1)
    }
    inside(() => backend.write(x, new Float32Array(5)), /write.* cannot be recorded; do it before or after/)
    inside(() => void backend.capture(() => {}), /capture.* cannot be recorded/)
    inside(() => {
      throw new Error('on purpose')
    }, /^on purpose$/)
    let refused: Promise<string> | undefined
    const program = backend.capture(() => {
      refused = backend.read(x).then(
        () => 'read',
        (error: Error) => error.message,
      )
    })
    assert.match(await refused!, /read.* cannot be recorded/)
    program.dispose()
    assert.ok(all(await backend.read(x), 1))
    backend.free(x)
    assert.is(backend.memory().buffers, 0)
    await backend.dispose()
  })

  test(`${label}: a replay whose outside buffer was freed, or that was disposed, is refused`, async () => {
    const backend = await start()
    const [x, y] = [filled(backend, 5, 1), filled(backend, 5, 0)]
    let own: Buf | undefined
    const program = backend.capture(() => {
      own = backend.alloc(5, 'f32')
      line(backend, own, x, 2, 0)
      line(backend, y, own, 2, 0)
    })
    program.replay()
    backend.free(x)
    assert.throws(() => program.replay(), /replay: a buffer of the recorded step was freed; record again$/)
    assert.ok(all(await backend.read(y), 4))
    program.dispose()
    assert.throws(() => program.replay(), /replay: the program was disposed; record again$/)
    // The handle outlived its memory.
    assert.throws(() => line(backend, y, own!, 1, 0), /not live|was freed/)
    backend.free(own!)
    backend.free(y)
    assert.is(backend.memory().buffers, 0)
    await backend.dispose()
  })

  test(`${label}: a step is recorded once a shape and key, reads its inputs anew and keeps few recordings`, async () => {
    const backend = await start()
    const replay = new Replay(backend, { keep: 2 })
    let called = 0
    const twice = ({ x, add: more }: Record<'x' | 'add', Tensor>) => {
      called++
      return { y: add(affine(x, 2), more) }
    }
    const run = async (key: string, x: number[], more: number) => {
      const extra = tensor(backend, new Float32Array(x.length).fill(more), [x.length])
      const { y } = replay.run(key, { x: { data: Float32Array.from(x), shape: [x.length] }, add: extra }, twice)
      extra.dispose()
      return Array.from(await y.data())
    }
    assert.equal(await run('a', [1, 2], 1), [3, 5])
    assert.equal(await run('a', [3, 4], 2), [8, 10])
    assert.is(called, 1)
    assert.equal(await run('a', [1, 2, 3], 0), [2, 4, 6])
    assert.equal(await run('a', [5, 6], 0), [10, 12])
    assert.is(called, 2)
    assert.equal(await run('b', [5, 6], 0), [10, 12])
    assert.is(called, 3)
    // The first went; both others are still there.
    assert.equal(await run('a', [1, 1, 1], 1), [3, 3, 3])
    assert.is(called, 3)
    assert.equal(await run('a', [1, 2], 0), [2, 4])
    assert.is(called, 4)
    replay.dispose()
    assert.is(backend.memory().buffers, 0)
    await backend.dispose()
  })

  test(`${label}: replayed training is eager training, whatever changes from step to step`, async () => {
    const backend = await start()
    for (const [what, dora, options, between] of runs) {
      const eager = await outcome(backend, dora, { ...options, replay: false }, between)
      const replayed = await outcome(backend, dora, options, between)
      assert.is(eager.steps.length, options.accumulate ? 4 : 6)
      assert.equal(replayed.steps, eager.steps, what)
      for (const [i, w] of eager.weights.entries()) near(replayed.weights[i]!, w, 0, what)
    }
    assert.is(backend.memory().buffers, 0)
    await backend.dispose()
  })
}

/** DINOv2-small's 12 blocks at its widths, for images of 28 px: tokens change no count of dispatches, only their time. */
const dinov2: Partial<VitConfig> = {
  hidden: 384,
  layers: 12,
  heads: 6,
  mlpHidden: 1536,
  layerScale: true,
  imageSize: [28, 28],
  patchSize: 14,
  pooling: 'cls+mean',
}

for (const label of ['wasm, 1 thread', 'wasm, 2 threads']) {
  test(`${label}: a LoRA step of DINOv2-small is at most 450 dispatches, and takes no memory once recorded`, async () => {
    const backend = await backends[label]!.start()
    const model = smallVit(backend, { classes, ...dinov2 })
    injectAdapter(model, loraConfig({ r: 8 }), 1)
    const rng = new Rng(7)
    const images = Float32Array.from({ length: 2 * 3 * 28 * 28 }, () => rng.normal())
    const batch = batchOf(images, [2, 3, 28, 28], [0, 2], ['a', 'b'])
    const train: BatchSource = {
      batches: 4,
      async *epoch() {
        for (let i = 0; i < 4; i++) yield batch
      },
    }
    const seen: BackendStats[] = []
    for await (const event of fit({ model, task, train, epochs: 1, lr: 1e-3, clip: 1 })) {
      if (event.kind === 'step') seen.push(backend.stats())
    }
    for (const [i, after] of seen.entries()) {
      if (i < 2) continue
      const before = seen[i - 1]!
      const dispatches = after.dispatches - before.dispatches
      assert.ok(dispatches > 300 && dispatches <= 450, `${dispatches} dispatches`)
      assert.is(after.allocations, before.allocations)
    }
    disposeModule(model)
    assert.is(backend.memory().buffers, 0)
    await backend.dispose()
  })
}

test('a replayed step takes nothing from the system and does not run the model again', async () => {
  const backend = await backends['wasm, 1 thread']!.start()
  const model = smallVit(backend, { classes, layers: 2 })
  setTrainable(model, true)
  let passes = 0
  const { forward } = model
  model.forward = (...args) => {
    passes++
    return forward.apply(model, args)
  }
  const one = source(2)
  const train: BatchSource = {
    batches: 10,
    async *epoch() {
      for await (const batch of one.epoch(0, 0)) if (batch.count === 4) for (let i = 0; i < 10; i++) yield batch
    },
  }
  let before = backend.stats()
  for await (const event of fit({ model, task, ...usual, train, epochs: 1, clip: 1 })) {
    if (event.kind !== 'step') continue
    const after = backend.stats()
    if (event.step > 1) assert.is(after.allocations, before.allocations)
    before = after
  }
  assert.is(passes, 1)
  disposeModule(model)
  assert.is(backend.memory().buffers, 0)
  await backend.dispose()
})

test.run()
