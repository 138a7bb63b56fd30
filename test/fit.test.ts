// The training loop: repeatable to the last bit, resumable anywhere, constant in memory, and honest when it fails.
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { evaluate, type StepEvent } from 'vitune'
import type { VitConfig } from 'vitune/models'
import { disposeModule, namedParameters, setTrainable } from 'vitune/nn'
import { createReference, createWasm, rateFactor, type Tensor, tensor } from 'vitune/tensor'
import { type Batch, type BatchSource, type FitResult, type FitState, fit, mixedBatches, mixedTask } from 'vitune/train'
import { batchOf } from './batch-of.ts'
import {
  classes,
  isEpoch,
  isStep,
  type Method,
  type Own,
  outcome,
  prepared,
  run,
  source,
  task,
  timeless,
  usual,
} from './fit-tools.ts'
import { backends, counted, near } from './grad-check.ts'
import { weightsOf } from './small-vit.ts'

const random: [string, Partial<Own>, Partial<VitConfig>][] = [
  ['dropout', {}, { dropout: 0.2 }],
  ['drop path', {}, { dropPath: 0.4 }],
  ['dropped patches', { patchKeep: 0.5 }, {}],
]

for (const [name, make] of backends) {
  test(`the same seed gives the same losses and weights bit for bit, another seed others (${name})`, async () => {
    const backend = await make()
    for (const [what, options, changes] of random) {
      const first = await outcome(backend, options, 'lora', changes)
      assert.equal(await outcome(backend, options, 'lora', changes), first, what)
      const other = await outcome(backend, { ...options, seed: 4 }, 'lora', changes)
      assert.ok(
        other.losses.every((loss, i) => loss !== first.losses[i]),
        what,
      )
    }
    // Where nothing is random the seed does not matter.
    assert.equal(await outcome(backend, { seed: 4 }), await outcome(backend, {}))
    assert.is(backend.memory().buffers, 0)
    await backend.dispose()
  })
}

test('two threads give the bits of one', async () => {
  const [one, two] = [await createWasm({ threads: 1 }), await createWasm({ threads: 2 })]
  const options = { patchKeep: 0.75, clip: 1, accumulate: 2 }
  for (const method of ['full', 'dora'] as const) {
    const want = await outcome(one, options, method, { dropout: 0.1, layerScale: true })
    assert.equal(await outcome(two, options, method, { dropout: 0.1, layerScale: true }), want)
  }
  await Promise.all([one.dispose(), two.dispose()])
})

/** A state as a file would hold it: numbers as JSON, tensors on the host. */
async function copied({ numbers, tensors }: FitState): Promise<{ numbers: string; tensors: [string, Float32Array][] }> {
  const host = tensors.map(async ([key, t]): Promise<[string, Float32Array]> => [key, (await t.data()) as Float32Array])
  return { numbers: JSON.stringify(numbers), tensors: await Promise.all(host) }
}

const resumable: [string, Method, Partial<Own>, Partial<VitConfig>][] = [
  [
    'LoRA, AdamW, accumulation, cosine, clipping',
    'lora',
    { accumulate: 2, schedule: 'cosine', warmup: 2, clip: 0.5 },
    { dropout: 0.1 },
  ],
  [
    'full, SGD on a plateau, an odd last step',
    'full',
    { optimizer: 'sgd', nesterov: true, accumulate: 3, schedule: 'plateau', lr: 0.05 },
    {},
  ],
  ['linear, so slow that the rate falls', 'linear', { schedule: 'plateau', lr: 1e-9, train: source(1), epochs: 7 }, {}],
  [
    'full, averages of the weights, rates by layer, mixed batches in parts',
    'full',
    {
      ema: 0.9,
      layerDecay: 0.6,
      accumulate: 2,
      microBatch: 3,
      valEvery: 2,
      patience: 9,
      minDelta: 0.01,
      patienceWarmup: 1,
      train: mixedBatches(source(5), { mixup: 0.3, cutmix: 1 }, 3),
      task: mixedTask(task),
    },
    {},
  ],
  [
    'DoRA, dropped patches, recomputation',
    'dora',
    { patchKeep: 0.5, checkpointing: true, labelSmoothing: 0.1 },
    { dropPath: 0.3, dropout: 0.1 },
  ],
]

for (const [what, method, options, changes] of resumable) {
  for (const [name, make] of backends.filter(([name]) => name !== 'wasm')) {
    test(`stopped after any step, training goes on as if it had not been: ${what} (${name})`, async () => {
      const backend = await make()
      const all = { train: source(5), val: source(1, 6, 2), epochs: 2, ...options }
      const model = prepared(backend, method, changes)
      const states: Awaited<ReturnType<typeof copied>>[] = []
      const keep = async (state: FitState) => void states.push(await copied(state))
      const whole = await run(model, { ...all, save: keep })
      const weights = await weightsOf(model)
      disposeModule(model)
      assert.is(states.length, whole.events.filter(isEpoch).length, 'one state an epoch')
      const steps = whole.losses.length

      for (let stop = 1; stop < steps; stop++) {
        const part = prepared(backend, method, changes)
        const saved: typeof states = []
        const stopped = await run(
          part,
          { ...all, save: async (s) => void saved.push(await copied(s)) },
          (e) => isStep(e) && e.step === stop,
        )
        disposeModule(part)
        assert.is(stopped.result.ended, 'signal')
        assert.is(stopped.losses.length, stop, 'it stops after that step')
        states.push(saved.at(-1)!)
      }

      for (const state of states) {
        const part = prepared(backend, method, changes)
        // The weights come from the state, whatever the model holds.
        for (const [, p] of namedParameters(part)) if (p.trainable) p.assign(new Float32Array(p.size).fill(9))
        const numbers = JSON.parse(state.numbers) as FitState['numbers']
        const tensors = state.tensors.map(([key, data]): [string, Tensor] => [
          key,
          tensor(backend, data, [data.length]),
        ])
        const rest = await run(part, { ...all, seed: 77, resume: { numbers, tensors } })
        for (const [, t] of tensors) t.dispose()
        const at = `${what} resumed at step ${numbers.step}`
        const after = whole.events.filter((e) => e.step > numbers.step || (isEpoch(e) && e.epoch > numbers.epoch))
        assert.equal(timeless(rest.events), timeless(after), at)
        assert.equal(rest.result, whole.result, at)
        assert.equal(await weightsOf(part), weights, at)
        disposeModule(part)
      }
      assert.is(backend.memory().buffers, 0)
      await backend.dispose()
    })
  }
}

test('a stop during validation saves what was trained and ends between batches; resumed, it validates from the first', async () => {
  const backend = await createWasm({ threads: 1 })
  const val = source(4, 6, 2)
  const whole = await outcome(backend, { val, schedule: 'plateau' })
  for (const stopped of [1, 2]) {
    const stop = new AbortController()
    let [given, validations] = [0, 0]
    const stopping: BatchSource = {
      batches: val.batches,
      async *epoch(epoch, first) {
        validations++
        for await (const batch of val.epoch(epoch, first)) {
          if (validations === stopped && ++given === 2) stop.abort()
          yield batch
        }
      },
    }
    const part = prepared(backend)
    const states: Awaited<ReturnType<typeof copied>>[] = []
    const save = async (s: FitState) => void states.push(await copied(s))
    const loop = fit({ model: part, task, ...usual, schedule: 'plateau', val: stopping, save, signal: stop.signal })
    let next = await loop.next()
    while (!next.done) next = await loop.next()
    disposeModule(part)
    assert.equal([next.value.ended, next.value.epochs, given], ['signal', stopped - 1, 2])
    const state = states.at(-1)!
    const numbers = JSON.parse(state.numbers) as FitState['numbers']
    assert.equal([numbers.step, numbers.epoch, numbers.batch], [4 * stopped, stopped - 1, 4])

    const again = prepared(backend)
    const tensors = state.tensors.map(([key, data]): [string, Tensor] => [key, tensor(backend, data, [data.length])])
    const rest = await run(again, { val, schedule: 'plateau', resume: { numbers, tensors } })
    for (const [, t] of tensors) t.dispose()
    assert.equal(await weightsOf(again), whole.weights)
    assert.equal(rest.result, whole.result)
    assert.equal(timeless(rest.events.filter(isEpoch)), whole.events.filter(isEpoch).slice(stopped - 1))
    disposeModule(again)
  }
  assert.is(backend.memory().buffers, 0)
  await backend.dispose()
})

test('a state of other weights is refused', async () => {
  const backend = createReference()
  const model = prepared(backend)
  let state: FitState | undefined
  const keep = async (s: FitState) => {
    const tensors = s.tensors.filter(([key]) => !key.startsWith('optimizer.'))
    const copies = tensors.map(
      async ([key, t]): Promise<[string, Tensor]> => [key, tensor(backend, await t.data(), t.shape)],
    )
    state = { numbers: s.numbers, tensors: await Promise.all(copies) }
  }
  await run(model, { epochs: 1, save: keep })
  let said = ''
  await run(model, { resume: state! }).catch((error: Error) => {
    said = error.message
  })
  assert.match(said, /^resume: the saved state has no fitting optimizer\.\S+\.m; was it made with other options\?$/)
  for (const [, t] of state!.tensors) t.dispose()
  disposeModule(model)
  assert.is(backend.memory().buffers, 0)
})

test('a break saves too, and so does a signal that came before', async () => {
  const backend = createReference()
  const model = prepared(backend)
  const steps: number[] = []
  const save = async (state: FitState) => void steps.push(state.numbers.step)
  for await (const event of fit({ model, task, ...usual, save })) if (event.step === 3) break
  assert.equal(steps, [3])
  const signal = AbortSignal.abort()
  const first = await fit({ model, task, ...usual, save, signal }).next()
  assert.equal([first.done, (first.value as FitResult).ended], [true, 'signal'])
  assert.equal(steps, [3, 0])
  disposeModule(model)
  assert.is(backend.memory().buffers, 0)
})

test('training ends when the accuracy has not risen for `patience` epochs, and the best epoch is told', async () => {
  const backend = createReference()
  const model = prepared(backend, 'linear')
  const best: number[] = []
  const kept: number[] = []
  // So slow that no answer changes, though the loss falls.
  const { events, result } = await run(model, {
    val: source(2, 4, 2),
    epochs: 9,
    lr: 1e-5,
    patience: 3,
    save: async ({ numbers }) => void kept.push(numbers.bestLoss),
    saveBest: async (e) => void best.push(e.epoch),
  })
  assert.equal(
    { ...result, metrics: {} },
    { step: 16, epochs: 4, bestEpoch: 4, monitor: 'accuracy', metrics: {}, ended: 'patience' },
  )
  assert.equal(best, [1, 2, 3, 4])
  const epochs = events.filter(isEpoch)
  assert.ok(epochs.every((e, i) => i === 0 || e.loss! < epochs[i - 1]!.loss!))
  assert.equal(new Set(epochs.map((e) => e.accuracy)).size, 1)
  assert.ok(epochs.every((e) => e.best))
  assert.equal(
    kept,
    epochs.map((e) => e.loss),
    'a resume knows the loss to be beaten',
  )
  disposeModule(model)
  assert.is(backend.memory().buffers, 0)
})

test('the best epoch has the highest accuracy, among equals the lowest loss, and is the last without validation data', async () => {
  const backend = createReference()
  const model = prepared(backend, 'full')
  const saved: number[] = []
  const { events, result } = await run(model, {
    val: source(3, 4, 2),
    epochs: 6,
    lr: 0.003,
    saveBest: async (e) => void saved.push(e.epoch),
  })
  const accuracies = events.filter(isEpoch).map((e) => e.accuracy!)
  const losses = events
    .filter(isEpoch)
    .map((e) => (e.accuracy === result.metrics.accuracy ? e.loss! : Number.POSITIVE_INFINITY))
  assert.is(result.metrics.accuracy, Math.max(...accuracies))
  assert.ok(accuracies.filter((a) => a === result.metrics.accuracy).length > 1, `equals are wanted, got ${accuracies}`)
  assert.is(result.bestEpoch, losses.indexOf(Math.min(...losses)) + 1)
  assert.is(saved.at(-1), result.bestEpoch)
  assert.ok(accuracies.at(-1)! > accuracies[0]!, `it should learn, got ${accuracies}`)
  const without = await run(model, { epochs: 2 })
  assert.equal(
    without.events.filter(isEpoch).map((e) => [e.best, e.accuracy]),
    [
      [true, undefined],
      [true, undefined],
    ],
  )
  assert.is(without.result.bestEpoch, 2)
  disposeModule(model)
  assert.is(backend.memory().buffers, 0)
})

test('every method learns, and only what it trains changes', async () => {
  const backend = await createWasm({ threads: 2 })
  for (const method of ['full', 'linear', 'lora', 'dora'] as const) {
    const model = prepared(backend, method)
    const before = await weightsOf(model)
    const { losses } = await run(model, { epochs: 8, lr: { full: 0.003, linear: 0.1, lora: 0.02, dora: 0.02 }[method] })
    const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length
    assert.ok(mean(losses.slice(-4)) < 0.6 * mean(losses.slice(0, 4)), `${method}: ${losses}`)
    for (const [path, p] of namedParameters(model)) {
      const same = (await p.data()).every((v, i) => v === before.get(path)![i])
      assert.is(same, !p.trainable, `${method} ${path}`)
    }
    disposeModule(model)
  }
  assert.is(backend.memory().buffers, 0)
  await backend.dispose()
})

test('training with dropped patches learns, and computes fewer tokens', async () => {
  const watch = counted(createReference())
  const model = prepared(watch.backend, 'full', { imageSize: [8, 8], patchSize: 2, positionGrid: [4, 4] })
  const attended = () => watch.calls.filter((c) => c.kernel === 'attention').length
  const { losses } = await run(model, { epochs: 8, lr: 0.003, patchKeep: 0.25 })
  assert.ok(attended() > 0)
  // 4 images of 1 + 4 of 16 tokens, 16 wide; with all of them 4 x 17 x 16.
  assert.ok(watch.allocated.includes(4 * 5 * 16))
  assert.not.ok(watch.allocated.includes(4 * 17 * 16))
  assert.ok(losses.at(-1)! < 0.5 * losses[0]!, `${losses}`)
  disposeModule(model)
  assert.is(watch.backend.memory().buffers, 0)
})

test('a thousand steps take no more memory than a hundred: tensors, the pool and the JavaScript heap', async () => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const backend = await createWasm({ threads: 1 })
  const model = prepared(backend, 'lora', { dropout: 0.1, layers: 1 })
  const seen: { used: number; pooled: number; buffers: number; heap: number }[] = []
  for await (const event of fit({ model, task, ...usual, train: source(100), epochs: 10 })) {
    if (event.kind !== 'step' || event.step % 100 !== 0) continue
    // What the last batches left behind is not growth.
    for (let i = 0; i < 2; i++) {
      collect()
      await new Promise((resolve) => setTimeout(resolve))
    }
    const { used, pooled, buffers } = backend.memory()
    seen.push({ used, pooled, buffers, heap: process.memoryUsage().heapUsed })
  }
  assert.is(seen.length, 10)
  const [first] = seen
  for (const { heap: _, ...now } of seen) {
    assert.equal(now, { used: first!.used, pooled: first!.pooled, buffers: first!.buffers })
  }
  // Under 1 KB a step, less than any tensor held on to; what the engine compiles meanwhile is up to 200 KB.
  const grown = seen[9]!.heap - seen[4]!.heap
  assert.ok(grown < 500_000, `${grown} bytes in 500 steps`)
  disposeModule(model)
  assert.is(backend.memory().buffers, 0)
  await backend.dispose()
})

for (const [name, make] of backends) {
  test(`thirty steps use the same memory after each (${name})`, async () => {
    const backend = await make()
    for (const options of [
      {},
      { accumulate: 2, clip: 1, checkpointing: true, optimizer: 'sgd' as const },
      { accumulate: 2, clip: 1, microBatch: 3 },
    ]) {
      const model = prepared(backend, 'dora', { dropout: 0.1 })
      if (options.checkpointing) model.setDropout({ patchKeep: 0.5 })
      const used: string[] = []
      for await (const event of fit({
        model,
        task,
        ...usual,
        train: source(15),
        val: source(1),
        epochs: 4,
        ...options,
      })) {
        const { used: bytes, buffers } = backend.memory()
        used.push(`${bytes} bytes in ${buffers}`)
        if (event.step === 30) break
      }
      assert.ok(used.length >= 30)
      assert.is(new Set(used).size, 1, `${[...new Set(used)]}`)
      disposeModule(model)
    }
    assert.is(backend.memory().buffers, 0)
    await backend.dispose()
  })
}

test('a batch computed in parts makes the same step, replayed or not', async () => {
  const backend = createReference({ precision: 'f64' })
  // 8 images as 3 + 2 + 3, and a clipping that sees the whole batch.
  const options: Partial<Own> = { train: source(3, 8), optimizer: 'sgd', lr: 0.1, clip: 0.5, labelSmoothing: 0.1 }
  for (const method of ['lora', 'full'] as const) {
    const whole = await outcome(backend, options, method)
    for (const more of [{ microBatch: 3 }, { microBatch: 1 }, { microBatch: 3, replay: false }]) {
      const parts = await outcome(backend, { ...options, ...more }, method)
      near(parts.losses, whole.losses, 1e-12, 'losses')
      for (const [key, values] of parts.weights) near(values, whole.weights.get(key)!, 1e-12, key)
    }
  }
  await backend.dispose()
})

test('memory grows with the part, not with the batch', async () => {
  const backend = await createWasm({ threads: 1 })
  const peakOf = async (size: number, microBatch: number) => {
    backend.resetPeak()
    await outcome(backend, { train: source(2, size), val: source(1, size), microBatch }, 'lora', { layers: 4 })
    return backend.memory().peak
  }
  const [one, eight, inParts] = [await peakOf(2, 2), await peakOf(16, 16), await peakOf(16, 2)]
  assert.ok(inParts < 1.3 * one && inParts < 0.5 * eight, `${one}, ${eight}, ${inParts} bytes`)
  assert.is(backend.memory().buffers, 0)
  await backend.dispose()
})

test('parts of a batch have random numbers of their own, and a resumed run has the same', async () => {
  const backend = await createWasm({ threads: 1 })
  const changes = { dropout: 0.3, dropPath: 0.2 }
  const options: Partial<Own> = { train: source(2, 4), microBatch: 2, patchKeep: 0.5 }
  const first = await outcome(backend, options, 'lora', changes)
  assert.equal(await outcome(backend, options, 'lora', changes), first)
  const others = await outcome(backend, { ...options, microBatch: 4 }, 'lora', changes)
  assert.not.equal(others.losses, first.losses)
  await backend.dispose()
})

test('accumulated batches make the step of one large batch', async () => {
  const backend = createReference({ precision: 'f64' })
  const small = source(6, 4)
  const parts: Batch[] = []
  for await (const batch of small.epoch(0, 0)) parts.push(batch)
  const joined = (from: number): Batch => {
    const three = parts.slice(from, from + 3)
    const flat = (pick: (b: Batch) => ArrayLike<number>) => three.flatMap((b) => Array.from(pick(b)))
    return batchOf(
      Float32Array.from(flat((b) => b.inputs.images!.data)),
      [12, 3, 8, 8],
      flat((b) => b.targets.label!.data),
    )
  }
  const of = (batches: Batch[]): BatchSource => ({
    batches: batches.length,
    async *epoch() {
      yield* batches
    },
  })
  const options = { epochs: 1, optimizer: 'sgd' as const, lr: 0.1, clip: 1 }
  const split = await outcome(backend, { ...options, train: of(parts), accumulate: 3 }, 'full')
  const large = await outcome(backend, { ...options, train: of([joined(0), joined(3)]) }, 'full')
  near(split.losses, large.losses, 1e-12, 'losses')
  for (const [key, values] of split.weights) near(values, large.weights.get(key)!, 1e-12, key)
  const steps = (events: typeof split.events) => events.filter((e) => e.kind === 'step') as StepEvent[]
  assert.equal(
    steps(split.events).map((e) => e.count),
    [12, 12],
  )
  near(
    steps(split.events).map((e) => e.gradNorm!),
    steps(large.events).map((e) => e.gradNorm!),
    1e-12,
    'norms',
  )
  near(
    steps(split.events).map((e) => e.accuracy),
    steps(large.events).map((e) => e.accuracy),
    1e-12,
    'accuracy',
  )
  assert.is(backend.memory().buffers, 0)
})

test('recomputation changes no bit of a run, and lowers its peak', async () => {
  for (const [, make] of backends) {
    const backend = await make()
    const of = async (checkpointing: boolean) => {
      const model = prepared(backend, 'lora', { dropout: 0.1, dropPath: 0.2, layers: 6 })
      const before = backend.memory().used
      backend.resetPeak()
      const { events } = await run(model, { checkpointing, patchKeep: 0.5, train: source(2, 12) })
      const peak = backend.memory().peak - before
      const weights = await weightsOf(model)
      disposeModule(model)
      return { events: timeless(events), weights, peak }
    }
    const [plain, again] = [await of(false), await of(true)]
    assert.equal([again.events, again.weights], [plain.events, plain.weights])
    assert.ok(again.peak < 0.7 * plain.peak, `${again.peak} of ${plain.peak}`)
    assert.is(backend.memory().buffers, 0)
    await backend.dispose()
  }
})

test('rates follow warm-up, cosine and plateau, and the norm before clipping is told', async () => {
  const backend = createReference()
  const rates = async (options: Partial<Own>) => {
    const model = prepared(backend, 'linear')
    const { events } = await run(model, { epochs: 6, train: source(3), ...options })
    disposeModule(model)
    return events
  }
  const cosine = (await rates({ schedule: 'cosine', warmup: 4 })).filter(isStep)
  near(
    cosine.map((e) => e.lr),
    cosine.map((_, i) => 0.01 * rateFactor('cosine', i, 4, 18)),
    1e-12,
    'cosine',
  )
  assert.equal([cosine[0]!.lr, cosine[0]!.steps, cosine[0]!.gradNorm], [0, 18, undefined])
  const flat = (await rates({ schedule: 'plateau', lr: 1e-9, val: source(1, 4, 2) })).filter(isEpoch)
  // Epoch 1 is best, four without a rise end the patience of 3: the sixth epoch runs at half the rate.
  assert.equal(
    flat.map((e) => e.lr),
    [1e-9, 1e-9, 1e-9, 1e-9, 1e-9, 0.5e-9],
  )
  const clipped = (await rates({ clip: 1e-3 })).filter(isStep)
  assert.ok(clipped.every((e) => e.gradNorm! > 1e-3))
  assert.is(backend.memory().buffers, 0)
})

test('a loss that is no number ends training before the weights change', async () => {
  const backend = createReference()
  for (const accumulate of [1, 2]) {
    // Frozen, so that it shows in the loss alone.
    const model = prepared(backend, 'linear')
    model.norm.bias.assign(new Float32Array(16).fill(Number.NaN))
    // As integers, which compare even where they mean NaN.
    const bits = async () => [...(await weightsOf(model))].map(([key, v]) => [key, new Int32Array(v.buffer)])
    const before = await bits()
    let said = ''
    await run(model, { accumulate }).catch((error: Error) => {
      said = error.message
    })
    assert.is(
      said,
      'training: the loss became NaN in step 1; lower the learning rate (now 0.01) or clip gradients, else look for damaged weights or data',
    )
    assert.equal(await bits(), before)
    disposeModule(model)
    assert.is(backend.memory().buffers, 0)
  }
})

test('an error in the data, in saving or in the middle of a step leaves nothing behind', async () => {
  const watch = counted(createReference())
  const { backend } = watch
  const model = prepared(backend)
  const live = () => backend.memory().buffers
  const rest = live()
  const broken: BatchSource = {
    batches: 4,
    async *epoch() {
      yield* source(2).epoch(0, 0)
      throw new Error('unreadable')
    },
  }
  const fails = async (options: Partial<Own>, message: RegExp) => {
    let said = ''
    await run(model, options).catch((error: Error) => {
      said = error.message
    })
    assert.match(said, message)
    assert.is(live(), rest, said)
  }
  await fails({ train: broken }, /^unreadable$/)
  await fails({ train: broken, accumulate: 4 }, /^unreadable$/)
  const full = async () => {
    throw new Error('disk full')
  }
  await fails({ save: full }, /^disk full$/)
  await fails({ saveBest: full }, /^disk full$/)
  // One accumulated step with clipping, failing in each of its kernels.
  const options = { train: source(2), accumulate: 2, epochs: 1, clip: 1 }
  watch.reset()
  await run(model, options)
  const kernels = watch.calls.length
  for (let at = 0; at < kernels; at += 7) {
    let left = at
    watch.onDispatch = () => {
      if (left-- === 0) throw new Error('on purpose')
    }
    await fails(options, /^on purpose$/)
  }
  watch.onDispatch = () => {}
  disposeModule(model)
  assert.is(live(), 0)
})

test('batches whose images could not be read are left out', async () => {
  const backend = createReference()
  const empty = batchOf(new Float32Array(0), [0, 3, 8, 8], [])
  const holes = (inner: BatchSource, at: (i: number) => boolean): BatchSource => ({
    batches: inner.batches,
    async *epoch(epoch, first) {
      let i = first
      for await (const batch of inner.epoch(epoch, first)) yield at(i++) ? empty : batch
    },
  })
  const model = prepared(backend)
  const { events } = await run(model, {
    epochs: 1,
    accumulate: 2,
    train: holes(source(5), (i) => i % 2 === 0),
    val: holes(source(2), (i) => i === 0),
  })
  // Batches 1 and 3 make one step; the last is empty.
  assert.equal(
    events.filter(isStep).map((e) => e.count),
    [8],
  )
  assert.ok(Number.isFinite(events.find(isEpoch)!.loss))
  let said = ''
  await run(model, { train: holes(source(2), () => true) }).catch((error: Error) => {
    said = error.message
  })
  assert.is(said, 'fit: no sample to train on in this epoch could be read')
  disposeModule(model)
  assert.is(backend.memory().buffers, 0)
})

test('evaluation gives loss, accuracy and a prediction for each image, the same however it is batched', async () => {
  const backend = createReference()
  const model = prepared(backend, 'linear')
  const found = await evaluate(model, task, source(3, 4))
  assert.is(found.count, 12)
  assert.is(found.predictions.length, 12)
  const right = found.predictions.filter((p) => p.label === p.target).length
  near([found.accuracy], [right / 12], 1e-12, 'accuracy')
  assert.ok(found.predictions.every((p) => p.score > 1 / 3 && p.score <= 1 && classes.includes(p.label)))
  assert.equal([...new Set(found.predictions.map((p) => p.name))].length, 12)
  near([(await evaluate(model, task, source(3, 4))).loss], [found.loss], 0, 'repeated')
  const none = await evaluate(model, task, source(0)).catch((error: Error) => error.message)
  assert.is(none, 'evaluate: needs at least one sample that can be read, got none')
  disposeModule(model)
  assert.is(backend.memory().buffers, 0)
})

test('0 switches clipping off, and so does nothing', async () => {
  const backend = createReference()
  const off = await outcome(backend, { clip: 0 })
  assert.equal(off, await outcome(backend, {}))
  assert.ok(off.events.filter(isStep).every((e) => e.gradNorm === undefined))
  assert.is(backend.memory().buffers, 0)
})

test('options that cannot be are refused before anything runs', async () => {
  const backend = createReference()
  const model = prepared(backend)
  const bad: [Partial<Own>, RegExp][] = [
    [{ epochs: 0 }, /^epochs: must be a whole number from 1, got 0$/],
    [{ lr: -1 }, /^lr: must be above 0, got -1$/],
    [{ lr: Number.NaN }, /^lr: must be above 0, got NaN$/],
    [{ accumulate: 0 }, /^accumulate: must be a whole number from 1 to 1000000, got 0$/],
    [{ microBatch: 1.5 }, /^microBatch: must be a whole number from 1 to 1000000, got 1\.5$/],
    [{ clip: -1 }, /^clip: must be at least 0, where 0 clips nothing, got -1$/],
    [{ patience: 2 }, /^patience: needs validation data, got none; give val or leave patience out$/],
    [{ schedule: 'plateau' }, /^schedule: plateau needs validation data, got none; give val$/],
    [{ learningRate: 1 } as Partial<Own>, /^learningRate: is no option here; did you mean lr\?$/],
    [{ epochs: '2' as unknown as number }, /^epochs: must be a whole number from 1, got "2"$/],
  ]
  const refusal = async (options: Partial<Own>) => {
    let said = 'ran'
    await run(model, options).catch((error: Error) => {
      said = error.message
    })
    return said
  }
  for (const [options, message] of bad) assert.match(await refusal(options), message)
  setTrainable(model, false)
  assert.is(await refusal({}), 'fit: the model has nothing to train; choose a method first')
  disposeModule(model)
  assert.is(backend.memory().buffers, 0)
})

test.run()
