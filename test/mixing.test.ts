// MixUp and CutMix: torchvision's pixels and losses, and a loop that repeats itself with them, in parts and resumed.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { hierarchicalLabels, type ImageLabels, type LabelSpace } from 'vitune'
import { type Backend, createReference, Rng, scope, tensor } from 'vitune/tensor'
import { type Batch, type BatchSource, createTask, mixedBatches, mixedTask, multiclass } from 'vitune/train'
import { cutAround, drawBeta, drawMix, mixImages, mixRng } from '../src/data/mixing.ts'
import { multiclassLabels, multilabelLabels } from '../src/labels/labels.ts'
import { mixTargets } from '../src/tasks/mixed.ts'
import { lossOf } from '../src/tasks/task.ts'
import { exp, log } from '../src/tensor/portable.ts'
import { partsOf } from '../src/train/batch.ts'
import { type Own, outcome, source, task } from './fit-tools.ts'
import { backends, near } from './grad-check.ts'
import { json } from './small-vit.ts'

const tensorsOf = (backend: Backend, inputs: Batch['inputs']) =>
  Object.fromEntries(Object.entries(inputs).map(([name, { data, shape }]) => [name, tensor(backend, data, shape)]))

const { mixing } = json('training/values.json')

test("pixels and losses of mixed batches are torchvision's, and so are CutMix's boxes", async () => {
  const images = { data: Float32Array.from(mixing.images), shape: mixing.shape }
  const backend = createReference({ precision: 'f64' })
  for (const { share, box, mixed, losses } of mixing.mixes) {
    const [x1, y1, x2, y2] = box ?? []
    const got = mixImages(images, { share, ...(box && { box: { x1, y1, x2, y2 } }) })
    near(got.data, mixed, 1e-6, `share ${share}`)
    for (const [i, labelSmoothing] of [0, 0.1].entries()) {
      const plain = multiclass(['a', 'b', 'c', 'd'], { labelSmoothing })
      const targets = mixTargets(plain.targets((mixing.labels as number[]).map((k) => ({ present: [k] }))), share)
      const terms = scope(() => {
        const logits = tensor(backend, Float64Array.from(mixing.logits.flat()), [3, 4])
        return mixedTask(plain).terms(logits, tensorsOf(backend, targets), true)
      })
      const loss = lossOf(plain, (await terms.data()) as Float32Array, plain.counts(targets))
      near([loss], [losses[i]], 1e-7, `loss at share ${share}`)
      terms.dispose()
    }
  }
  for (const [height, width, share, x, y, x1, y1, x2, y2, left] of mixing.boxes) {
    const got = cutAround(x, y, share, height, width)
    assert.equal(got.box, { x1, y1, x2, y2 })
    near([got.share], [left], 1e-12, 'share')
  }
  assert.is(backend.memory().buffers, 0)
})

test('logarithm and exponential of basic arithmetic are those of the engine but for the last digits', () => {
  for (let i = 1; i < 2000; i++) {
    const x = i / 777
    assert.ok(Math.abs(log(x) - Math.log(x)) <= 1e-14 * Math.max(Math.abs(Math.log(x)), 1e-2), `ln ${x}`)
    for (const y of [x, -x, 40 * x]) assert.ok(Math.abs(exp(y) / Math.exp(y) - 1) < 1e-15 * (4 + Math.abs(y)), `e^${y}`)
  }
  assert.equal([log(1), exp(0), exp(1e6), exp(-1e6)], [0, 1, Number.POSITIVE_INFINITY, 0])
  near([log(2 ** -32)], [-32 * Math.LN2], 1e-14, 'the smallest that is drawn')
})

test('shares are spread as Beta(alpha, alpha) says', () => {
  // Distribution functions in closed form.
  const known: [number, (x: number) => number][] = [
    [0.5, (x) => (2 / Math.PI) * Math.asin(Math.sqrt(x))],
    [1, (x) => x],
    [2, (x) => 3 * x ** 2 - 2 * x ** 3],
    [3, (x) => x ** 3 * (10 - 15 * x + 6 * x ** 2)],
  ]
  const n = 20_000
  const drawn = (alpha: number) => {
    const rng = new Rng(1, 2)
    return Array.from({ length: n }, () => drawBeta(alpha, rng)).sort((a, b) => a - b)
  }
  for (const [alpha, below] of known) {
    const gap = Math.max(...drawn(alpha).map((x, i) => Math.abs(below(x) - (i + 0.5) / n)))
    assert.ok(gap * Math.sqrt(n) < 1.63, `Kolmogorov and Smirnov at 1 %: ${gap} for ${alpha}`)
  }
  for (const alpha of [1e-3, 0.2, 20]) {
    const all = drawn(alpha)
    assert.ok(all.every((x) => x >= 0 && x <= 1))
    const mean = all.reduce((a, b) => a + b) / n
    const variance = all.reduce((a, b) => a + (b - mean) ** 2, 0) / n
    const want = 1 / (4 * (2 * alpha + 1))
    assert.ok(Math.abs(mean - 0.5) < 4 * Math.sqrt(want / n), `mean ${mean} for ${alpha}`)
    assert.ok(Math.abs(variance / want - 1) < 0.05, `variance ${variance} for ${alpha}`)
  }
})

test('a batch has MixUp or CutMix at even odds where both are asked for, and numbers of its own place alone', () => {
  const kinds = (options: { mixup: number; cutmix: number }) =>
    Array.from({ length: 400 }, (_, i) => drawMix(options, 8, 8, mixRng(5, 1, i)).box !== undefined)
  const cuts = kinds({ mixup: 0.2, cutmix: 1 }).filter(Boolean).length
  assert.ok(cuts > 160 && cuts < 240, `${cuts} of 400`)
  assert.ok(kinds({ mixup: 0, cutmix: 1 }).every(Boolean))
  assert.not.ok(kinds({ mixup: 1, cutmix: 0 }).some(Boolean))
  const shares = (seed: number, epoch: number) =>
    Array.from({ length: 8 }, (_, i) => drawMix({ mixup: 1, cutmix: 0 }, 8, 8, mixRng(seed, epoch, i)).share)
  assert.equal(shares(5, 1), shares(5, 1))
  assert.is(new Set([...shares(5, 1), ...shares(5, 2), ...shares(6, 1)]).size, 24)
  // The same on every platform: these are what this seed gave on the first.
  assert.equal(shares(5, 1).slice(0, 2), [0.9655959950620308, 0.3942293318446991])
})

const tree = hierarchicalLabels({
  groups: [
    ['animal', 'plant'],
    ['cat', 'dog'],
  ],
  parents: { cat: 'animal', dog: 'animal' },
  others: ['red'],
})
const spaces: [LabelSpace, (i: number) => ImageLabels][] = [
  [multiclassLabels(['a', 'b', 'c']), (i) => ({ present: [i % 3] })],
  [multilabelLabels(['a', 'b', 'c']), (i) => ({ present: i % 2 ? [0, 2] : [1], unknown: i % 3 ? [] : [0] })],
  [tree, (i) => ({ present: [[0, 2], [1], [0, 3, 4]][i % 3]! })],
]

test('the loss of every task is shared between own and partner targets, also in parts; without partners it is its own', async () => {
  const backend = createReference({ precision: 'f64' })
  for (const [labels, of] of spaces) {
    const plain = createTask(labels)
    const mixed = mixedTask(plain)
    const count = 5
    const own = plain.targets(Array.from({ length: count }, (_, i) => of(i)))
    const partners = plain.targets(Array.from({ length: count }, (_, i) => of((i + count - 1) % count)))
    const rng = new Rng(3)
    const outputs = Float32Array.from({ length: count * plain.outputs }, () => rng.normal())
    const batch: Batch = {
      inputs: { logits: { data: outputs, shape: [count, plain.outputs] } },
      targets: mixTargets(own, 0.25),
      count,
      names: [],
    }
    const termsOf = async (t: typeof plain, targets: Batch['targets'], { inputs }: Batch) => {
      const terms = scope(() => t.terms(tensorsOf(backend, inputs).logits!, tensorsOf(backend, targets), true))
      const values = Array.from((await terms.data()) as Float32Array)
      terms.dispose()
      return values
    }
    const [a, b] = [await termsOf(plain, own, batch), await termsOf(plain, partners, batch)]
    const want = a.map((x, i) => 0.25 * x + 0.75 * b[i]!)
    near(await termsOf(mixed, batch.targets, batch), want, 1e-9, `${plain.name} mixed`)
    const sums = a.map(() => 0)
    for (const part of partsOf(batch, 2)) {
      for (const [i, x] of (await termsOf(mixed, part.targets, part)).entries()) sums[i]! += x
    }
    near(sums, want, 1e-9, `${plain.name} in parts`)
    assert.equal(mixed.counts(batch.targets), plain.counts(own))
    assert.equal(plain.counts(partners), plain.counts(own), 'partners are of the same batch')
    assert.equal(await termsOf(mixed, own, batch), a)
    assert.equal(mixed.right(outputs, batch.targets), plain.right(outputs, partners))
    assert.equal(mixed.right(outputs, mixTargets(own, 0.5)), plain.right(outputs, own))
    assert.equal(mixed.right(outputs, own), plain.right(outputs, own))
  }
  assert.is(backend.memory().buffers, 0)
})

/** Options of a run on mixed batches. */
const mixedOptions = (train: BatchSource): Partial<Own> => ({
  train: mixedBatches(train, { mixup: 0.4, cutmix: 1 }, 3),
  task: mixedTask(task),
})

test('mixed batches train the same replayed, computed anew or in parts, and other numbers than plain ones', async () => {
  for (const [, make] of backends) {
    const backend = await make()
    const first = await outcome(backend, mixedOptions(source(3, 5)))
    assert.equal(await outcome(backend, mixedOptions(source(3, 5))), first)
    assert.equal((await outcome(backend, { ...mixedOptions(source(3, 5)), replay: false })).losses, first.losses)
    assert.not.equal((await outcome(backend, { train: source(3, 5) })).losses, first.losses)
    const parts = await outcome(backend, { ...mixedOptions(source(3, 5)), microBatch: 2 })
    near(parts.losses, first.losses, 1e-4, 'in parts')
    assert.is(backend.memory().buffers, 0)
    await backend.dispose()
  }
})

test('a batch of one image, or of none, is left as it is', async () => {
  const batches: Batch[] = []
  const none: BatchSource = {
    batches: 2,
    async *epoch() {
      for await (const one of source(1, 1).epoch(0, 0)) yield one
      yield { inputs: {}, targets: {}, count: 0, names: [] }
    },
  }
  for await (const batch of mixedBatches(none, { mixup: 1, cutmix: 0 }, 3).epoch(0, 0)) batches.push(batch)
  for await (const { inputs } of source(1, 1).epoch(0, 0))
    near(batches[0]!.inputs.images!.data, inputs.images!.data, 1e-6, 'alone')
  assert.is(batches[1]!.count, 0)
})

test('mixing needs images', async () => {
  const features: BatchSource = {
    batches: 1,
    async *epoch() {
      yield { inputs: { features: { data: new Float32Array(4), shape: [2, 2] } }, targets: {}, count: 2, names: [] }
    },
  }
  const said = await (async () => {
    for await (const _ of mixedBatches(features, { mixup: 1, cutmix: 0 }, 3).epoch(0, 0)) return 'went on'
  })().catch(String)
  assert.is(said, 'Error: mixing: needs batches of images, got others')
})

test.run()
