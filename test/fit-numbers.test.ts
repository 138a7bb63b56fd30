// What the numbers of training mean: averages are over images, however these come, and what is no finite number ends the
// run with what was good before it.
import { rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { evaluate, NotFiniteError } from 'vitune'
import { saveVit, type Vit } from 'vitune/models'
import { disposeModule } from 'vitune/nn'
import {
  adamw,
  affine,
  type Backend,
  createReference,
  createWasm,
  exp,
  meanAll,
  type Optimizer,
  reshape,
} from 'vitune/tensor'
import { type Batch, type BatchSource, type FitState, logitsOf } from 'vitune/train'
import { batchOf } from './batch-of.ts'
import { isEpoch, isStep, type Own, outcome, prepared, run, source, task } from './fit-tools.ts'
import { near } from './grad-check.ts'
import { smallVit, weightsOf } from './small-vit.ts'

async function batchesOf(from: BatchSource): Promise<Batch[]> {
  const all: Batch[] = []
  for await (const batch of from.epoch(0, 0)) all.push(batch)
  return all
}

/** These images as batches of these sizes. */
async function cut(sizes: readonly number[]): Promise<BatchSource> {
  const images = await batchesOf(
    source(
      sizes.reduce((a, b) => a + b, 0),
      1,
    ),
  )
  const batches = sizes.map((size): Batch => {
    const part = images.splice(0, size)
    return batchOf(
      Float32Array.from(part.flatMap((b) => Array.from(b.inputs.images!.data))),
      [size, 3, 8, 8],
      part.flatMap((b) => Array.from(b.targets.label!.data)),
      part.flatMap((b) => b.names),
    )
  })
  return {
    batches: batches.length,
    async *epoch(_, first) {
      yield* batches.slice(first)
    },
  }
}

test('a step of uneven batches and parts is the step of all their images, in gradients and in what is told', async () => {
  const steps = { epochs: 1, optimizer: 'sgd' as const, lr: 0.1, clip: 1, labelSmoothing: 0.1 }
  for (const [backend, within] of [
    [createReference({ precision: 'f64' }), 1e-12],
    [await createWasm({ threads: 2 }), 1e-6],
  ] as const) {
    for (const method of ['full', 'lora'] as const) {
      const whole = await outcome(backend, { ...steps, train: await cut([7, 5]), val: await cut([7]) }, method)
      const others: [string, Partial<Own>][] = [
        // The second group is 3 and 2 images, the last of them a short batch; or one of them lost two images.
        ['accumulated 4 + 3, 3 + 2', { train: await cut([4, 3, 3, 2]), accumulate: 2 }],
        ['accumulated 6 + 1, 1 + 4', { train: await cut([6, 1, 1, 4]), accumulate: 2 }],
        ['in parts of 2', { train: await cut([7, 5]), microBatch: 2 }],
        ['accumulated, and in parts', { train: await cut([5, 2, 1, 4]), accumulate: 2, microBatch: 3 }],
        ['accumulated, not replayed', { train: await cut([4, 3, 3, 2]), accumulate: 2, replay: false }],
      ]
      for (const [what, options] of others) {
        const got = await outcome(backend, { ...steps, val: await cut([3, 4]), ...options }, method)
        const told = ({ events }: typeof whole) => [
          ...events.filter(isStep).flatMap((e) => [e.loss, e.accuracy, e.count, e.gradNorm!]),
          ...events.filter(isEpoch).flatMap((e) => [e.trainLoss, e.trainAccuracy, e.loss!, e.accuracy!]),
        ]
        near(told(got), told(whole), within, `${method} ${what}`)
        for (const [key, values] of got.weights) near(values, whole.weights.get(key)!, within, `${what} ${key}`)
      }
    }
    assert.is(backend.memory().buffers, 0)
    await backend.dispose()
  }
})

test('the loss and accuracy of an epoch and of a validation count each image once', async () => {
  const backend = createReference({ precision: 'f64' })
  const model = prepared(backend, 'linear')
  const train = await cut([4, 4, 1])
  // A rate that changes nothing: each batch is evaluated as training saw it.
  const { events } = await run(model, { epochs: 1, train, val: train, lr: 1e-30 })
  const one = await evaluate(model, task, await cut([9]))
  const epoch = events.find(isEpoch)!
  near([epoch.trainLoss, epoch.loss!], [one.loss, one.loss], 1e-12, 'losses')
  near([epoch.trainAccuracy, epoch.accuracy!], [one.accuracy, one.accuracy], 1e-12, 'accuracies')
  disposeModule(model)
})

test('a step of rates by layer moves each weight by its part of the rate, recorded or not', async () => {
  const backend = createReference({ precision: 'f64' })
  const start = prepared(backend, 'full')
  const before = await weightsOf(start)
  const step: Partial<Own> = { train: source(1), epochs: 1, optimizer: 'sgd', weightDecay: 0, lr: 0.1 }
  const plain = await outcome(backend, step, 'full')
  for (const replay of [true, false]) {
    const scaled = await outcome(backend, { ...step, layerDecay: 0.5, replay }, 'full')
    for (const [name, from] of before) {
      const scale = 0.5 ** (3 - start.depthOf(name))
      const want = plain.weights.get(name)!.map((w, i) => from[i]! + scale * (w - from[i]!))
      near(scaled.weights.get(name)!, want, 1e-7, name)
    }
  }
  disposeModule(start)
  assert.is(backend.memory().buffers, 0)
})

test('one recording serves parts of any share of a step', async () => {
  const inner = createReference()
  let recorded = 0
  const backend: Backend = {
    ...inner,
    capture(body) {
      recorded++
      return inner.capture(body)
    },
  }
  const model = prepared(backend)
  // Groups of two batches, and a last one of one: shares of a half and of all.
  await run(model, { train: await cut([4, 4, 4, 4, 4]), accumulate: 2, epochs: 2 })
  assert.is(recorded, 3, 'forward and backward, the update, and the look for NaN')
  disposeModule(model)
})

/** AdamW whose rate is infinite in one step, counted from 1: every weight that trains becomes NaN or infinite there. */
const explodingAt =
  (step: number): NonNullable<Own['optimizer']> =>
  (params) => {
    if (typeof params === 'string') throw new Error('never')
    const inner: Optimizer = adamw([{ params, weightDecay: 0 }])
    let n = 0
    return { ...inner, prepare: (lr) => inner.prepare!(++n === step ? Number.POSITIVE_INFINITY : lr) }
  }

interface Kept {
  saved: number[]
  best: number[]
  error: Error
}

/** Runs to its failure: what was saved until then, and what was said. */
async function failing(model: Vit, options: Partial<Own>): Promise<Kept> {
  const saved: number[] = []
  const best: number[] = []
  const finite = async ({ numbers, tensors }: FitState) => {
    for (const [name, t] of tensors) assert.ok((await t.data()).every(Number.isFinite), `${name} is saved as NaN`)
    saved.push(numbers.step)
  }
  let error: Error | undefined
  await run(model, { save: finite, saveBest: async (e) => void best.push(e.epoch), ...options }).catch((e: Error) => {
    error = e
  })
  assert.instance(error, NotFiniteError, String(error))
  return { saved, best, error: error! }
}

test('weights that the last step of an epoch spoils are neither saved nor the best, with and without validation', async () => {
  const backend = createReference()
  for (const val of [undefined, source(1, 4, 2)]) {
    for (const [at, epochs, done, left] of [
      [4, 1, 0, 'nothing was saved before'],
      [8, 2, 1, 'the state of step 4 is kept'],
    ] as const) {
      const model = prepared(backend)
      const { saved, best, error } = await failing(model, { val, epochs, optimizer: explodingAt(at) })
      assert.equal([saved.length, best.length], [done, done])
      const start = `training: weight\\.\\S+ became NaN or infinite in step ${at}; lower the learning rate \\(now 0\\.01\\)`
      assert.match(error.message, new RegExp(`^${start} or clip gradients, else .*; ${left}$`))
      assert.ok(error.message.length <= 300)
      disposeModule(model)
    }
  }
  assert.is(backend.memory().buffers, 0)
})

test('a step within an epoch that spoils the weights ends the run at the next save or step', async () => {
  const backend = createReference()
  const model = prepared(backend)
  const { saved, error } = await failing(model, { optimizer: explodingAt(3), saveEvery: 0 })
  assert.equal(saved, [1, 2])
  assert.match(error.message, /became NaN or infinite in step 3; .*; the state of step 2 is kept$/)
  const later = prepared(backend)
  const next = await failing(later, { optimizer: explodingAt(2) })
  assert.match(next.error.message, /^training: the loss became NaN in step 3; .*; nothing was saved before$/)
  disposeModule(model)
  disposeModule(later)
  assert.is(backend.memory().buffers, 0)
})

/** Finite weights whose outputs overflow: the classifier is far out of range. */
async function overflowing(backend: Backend): Promise<Vit> {
  const model = prepared(backend, 'linear')
  const weight = model.head!.weight
  weight.assign(new Float32Array(weight.size).fill(3e38))
  return model
}

test('outputs that are no finite numbers are no prediction: validation, evaluation and logits refuse them', async () => {
  const backend = await createWasm({ threads: 1 })
  const model = await overflowing(backend)
  const [batch] = await batchesOf(source(1))
  for (const look of [() => evaluate(model, task, source(2)), () => logitsOf(model, batch!)]) {
    const said = await look().then(
      () => 'went on',
      (error: Error) => `${error.name} ${error.message}`,
    )
    assert.match(said, /^NotFiniteError model: its outputs must be finite numbers, got \S+ for \d-\d\.png; its weights/)
  }
  disposeModule(model)
  // Training is fine, its validation data is out of range.
  const fine = prepared(backend, 'linear')
  const far = await batchesOf(source(1, 4, 2))
  far[0]!.inputs.images!.data[5] = Number.NaN
  const val: BatchSource = {
    batches: 1,
    async *epoch() {
      yield* far
    },
  }
  const { saved, best, error } = await failing(fine, { val })
  assert.equal([saved, best], [[], []])
  assert.match(error.message, /^training: an output on the validation data became NaN or infinite in step 4; /)
  disposeModule(fine)
  assert.is(backend.memory().buffers, 0)
  await backend.dispose()
})

test('a model with weights that are no finite numbers is not written', async () => {
  const backend = createReference()
  const model = smallVit(backend, { classes: ['a', 'b'] })
  model.blocks[0]!.norm1.bias.assign(new Float32Array(16).fill(Number.NaN))
  const out = join(tmpdir(), `vitune-not-finite-${process.pid}`)
  const said = await saveVit(model, out).then(
    () => 'was written',
    (error: Error) => `${error.name} ${error.message}`,
  )
  rmSync(out, { recursive: true, force: true })
  assert.match(
    said,
    /^NotFiniteError save: weights must be finite, got 16 of 16 values of \S*layernorm_before\.bias that/,
  )
  disposeModule(model)
})

test('an infinite output ends training where the loss is finite, before the weights change', async () => {
  const backend = createReference()
  const model = prepared(backend, 'full')
  const { bias } = model.head!
  bias!.trainable = false
  bias!.assign(new Float32Array(3).fill(Number.NEGATIVE_INFINITY))
  const before = await weightsOf(model)
  // A loss that takes such an output for a sure no.
  const { error } = await failing(model, { task: { ...task, terms: (logits) => reshape(meanAll(exp(logits)), [1]) } })
  assert.match(error.message, /^training: an output became -Infinity in step 1; /)
  assert.equal(await weightsOf(model), before)
  disposeModule(model)
  assert.is(backend.memory().buffers, 0)
})

test('a gradient norm that is infinite ends training', async () => {
  const backend = createReference()
  const model = prepared(backend, 'linear')
  model.head!.weight.assign(new Float32Array(model.head!.weight.size))
  // The loss of equal outputs is 1e30, its gradient by features of 1e10 beyond f32.
  model.norm.weight.assign(new Float32Array(16).fill(1e10))
  const terms: typeof task.terms = (...given) => affine(task.terms(...given), 1e30)
  const { saved, error } = await failing(model, { clip: 1, optimizer: 'sgd', task: { ...task, terms } })
  assert.equal(saved, [])
  assert.match(error.message, /^training: the gradient norm became Infinity in step 1; /)
  disposeModule(model)
  assert.is(backend.memory().buffers, 0)
})

test('weights that are no finite numbers before the first step are named, not trained', async () => {
  const backend = createReference()
  const model = prepared(backend, 'full')
  model.blocks[1]!.norm1.bias.assign(new Float32Array(16).fill(Number.NaN))
  const { saved, error } = await failing(model, {})
  assert.equal(saved, [])
  assert.is(
    error.message,
    'training: weight.blocks.1.norm1.bias is NaN or infinite before the first step; start from other weights',
  )
  disposeModule(model)
  assert.is(backend.memory().buffers, 0)
})

test.run()
