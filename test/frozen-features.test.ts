// Training a classifier on features that are computed once: the numbers of training on the images, bit for bit, how often the
// backbone and the images are asked, what memory decides, and where features are not kept. Memory itself: estimate.test.ts.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Dataset, type EpochEvent, memoryDataset, type StepEvent } from 'vitune'
import { batchSource, evalTransform, type Preprocess, trainTransform } from 'vitune/data'
import type { VitConfig } from 'vitune/models'
import { disposeModule } from 'vitune/nn'
import { type Backend, createWasm, Rng, type Tensor, tensor } from 'vitune/tensor'
import {
  type BatchSource,
  createTask,
  type FitOptions,
  type FitState,
  featureRoom,
  featureSource,
  fit,
} from 'vitune/train'
import { multiclassLabels, multilabelLabels } from '../src/labels/labels.ts'
import { type RepeatFacts, repeating } from '../src/run/repeats.ts'
import { backends } from './backends.ts'
import { errorOf } from './errors.ts'
import { classes, prepared, timeless } from './fit-tools.ts'
import { smallConfig, weightsOf } from './small-vit.ts'

const side = 8
const preprocess: Preprocess = {
  ...{ resize: null, filter: 'bilinear', crop: { height: side, width: side }, scale: 1 / 255 },
  ...{ mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25] },
}
const transform = evalTransform(preprocess)

/** Images of three classes, some of which cannot be decoded; `asked` counts how often each was. */
function pictures(count: number, seed: number, broken: readonly number[] = [], several = false) {
  const rng = new Rng(seed, 31)
  const images = Array.from({ length: count }, (_, i) => {
    const data = Uint8Array.from(
      { length: 3 * side * side },
      (_, j) => 70 * Number(j % 3 === i % 3) + 180 * rng.uniform(),
    )
    return broken.includes(i) ? new Blob(['no image']) : { width: side, height: side, data }
  })
  const labels = images.map((_, i) => (several ? (i % 5 === 0 ? [i % 3, (i + 1) % 3] : [i % 3]) : i % 3))
  const labelSpace = several ? multilabelLabels(classes) : multiclassLabels(classes)
  const plain = memoryDataset({ images, labels, classes, labelSpace })
  const asked = new Map<number, number>()
  const { stored: _, ...rest } = plain
  const dataset: Dataset = {
    ...rest,
    image(i) {
      asked.set(i, (asked.get(i) ?? 0) + 1)
      return plain.image(i)
    },
  }
  return { dataset, asked }
}

interface Case extends Partial<Omit<FitOptions, 'model' | 'task' | 'train' | 'val'>> {
  order?: 'shuffle' | 'sequential' | 'balanced' | 'balanced-efficient'
  several?: boolean
  /** Bytes of features that are kept. */
  bytes?: number
  config?: Partial<VitConfig>
}

/** All that a run comes to: events, what is skipped, saved and found, and the weights; by features or by images. */
async function outcome(backend: Backend, by: 'features' | 'images', given: Case, resume?: FitState) {
  const { order = 'shuffle', several = false, bytes = 1e6, config = {}, ...more } = given
  const model = prepared(backend, 'linear', config)
  const images = pictures(22, 1, [4, 13], several)
  const others = pictures(17, 2, [3], several)
  const task = createTask(images.dataset.labelSpace)
  const skipped: string[] = []
  const states: [string, number[]][][] = []
  const bests: unknown[] = []
  const room = featureRoom(bytes)
  const { microBatch } = more
  const source = (dataset: Dataset, training: boolean): BatchSource => {
    const onBroken = (file: string) => void skipped.push(`${training ? 'train' : 'val'} ${file}`)
    const options = { transform, targets: task.targets, batchSize: 6, seed: 5, onBroken }
    const ordered = { ...options, order: training ? order : ('sequential' as const) }
    return by === 'images'
      ? batchSource(dataset, ordered)
      : featureSource(model, dataset, { ...ordered, microBatch, room, inParts: !training })
  }
  const loop = fit({
    ...{ model, task, epochs: 4, lr: 0.05, seed: 3, ...more, resume },
    train: source(images.dataset, true),
    val: source(others.dataset, false),
    async save({ tensors }) {
      const values = tensors.map(async ([name, t]): Promise<[string, number[]]> => [name, [...(await t.data())]])
      states.push(await Promise.all(values))
    },
    saveBest: async (_, evaluation) => void bests.push(evaluation),
  })
  const events: (StepEvent | EpochEvent)[] = []
  for await (const event of loop) events.push(event)
  const weights = [...(await weightsOf(model))].map(([name, values]) => [name, [...values]])
  disposeModule(model)
  const once = [...new Set(skipped)].sort()
  return { run: { events: timeless(events), weights, states, bests, once }, images, others, room }
}

const cases: [string, Case][] = [
  ['shuffled', {}],
  ['in parts of 2, two batches a step, clipped', { microBatch: 2, accumulate: 2, clip: 0.5 }],
  ['drawn by class, averages, each second epoch validated', { order: 'balanced', ema: 0.9, valEvery: 2 }],
  ['a short order by class, in parts of 4', { order: 'balanced-efficient', microBatch: 4 }],
  ['early stopping on a plateau, SGD', { schedule: 'plateau', patience: 1, optimizer: 'sgd', lr: 5, epochs: 6 }],
  ['any number of labels, thresholds found on validation images', { several: true }],
  ['checkpointing, nothing recorded', { checkpointing: true, replay: false }],
  ['class and mean pooled', { config: { pooling: 'cls+mean' } }],
  ['two heads', { config: { pooling: 'distilled', distillationToken: true, positionPrefix: 2 } }],
  ['room for 5 images', { bytes: 4 * 16 * 5, order: 'balanced' }],
  ['no room', { bytes: 0 }],
]
for (const [name, given] of cases) {
  test(`features computed once give the steps, metrics and weights of training on the images: ${name}`, async () => {
    const backend = await createWasm({ threads: 1 })
    const [direct, kept] = [await outcome(backend, 'images', given), await outcome(backend, 'features', given)]
    assert.equal(kept.run, direct.run)
    assert.is(direct.run.once.length, 3)
    assert.is(backend.memory().buffers, 0)
    await backend.dispose()
  })
}

for (const [name, { start }] of Object.entries(backends)) {
  // Wasm is above.
  if (name.startsWith('wasm')) continue
  test(`the features of an image are the same in each batch: losses stay those of the images (${name})`, async () => {
    const backend = await start()
    const [direct, kept] = [await outcome(backend, 'images', {}), await outcome(backend, 'features', {})]
    assert.equal(kept.run.events, direct.run.events)
    await backend.dispose()
  })
}

test('each image is read once in all epochs; what there is no room for is read in each, and said', async () => {
  const backend = await createWasm({ threads: 1 })
  const all = await outcome(backend, 'features', {})
  for (const { asked } of [all.images, all.others]) assert.equal(new Set(asked.values()), new Set([1]))
  assert.equal(all.room.notes, [])
  const some = await outcome(backend, 'features', { bytes: 4 * 16 * 30 })
  // Of 22 images to train on all fit, of 17 to validate on 8.
  assert.is([...some.images.asked.values()].filter((n) => n > 1).length, 0)
  assert.is([...some.others.asked.values()].filter((n) => n === 4).length, 8)
  assert.equal(some.room.notes, [
    'keeps the features of 8 of 17 images, for which there are 1 MiB; those of the others are computed in each epoch',
  ])
  await backend.dispose()
})

test('a run that ends within an epoch goes on with the numbers of one that does not', async () => {
  const backend = await createWasm({ threads: 1 })
  const whole = await outcome(backend, 'features', {})
  const steps = (events: readonly { kind: string }[]) => events.filter(({ kind }) => kind === 'step')
  for (const until of [2, 5]) {
    const model = prepared(backend, 'linear')
    const { dataset } = pictures(22, 1, [4, 13])
    const task = createTask(dataset.labelSpace)
    const stop = new AbortController()
    let saved: { numbers: FitState['numbers']; tensors: [string, Float32Array, readonly number[]][] } | undefined
    const source = featureSource(model, dataset, {
      ...{ transform, targets: task.targets, batchSize: 6, seed: 5, order: 'shuffle' },
    })
    const options = { model, task, train: source, epochs: 4, lr: 0.05, seed: 3, signal: stop.signal }
    for await (const { step } of fit({
      ...options,
      async save({ numbers, tensors }) {
        const copies = tensors.map(async ([name, t]) => [name, await t.data(), t.shape] as const)
        saved = { numbers: structuredClone(numbers), tensors: (await Promise.all(copies)) as never }
      },
    })) {
      if (step === until) stop.abort()
    }
    const tensors = saved!.tensors.map(([name, data, shape]): [string, Tensor] => [name, tensor(backend, data, shape)])
    const rest = await outcome(backend, 'features', {}, { numbers: saved!.numbers, tensors })
    assert.equal(steps(rest.run.events), steps(whole.run.events).slice(until))
    for (const [, t] of tensors) t.dispose()
    disposeModule(model)
  }
  assert.is(backend.memory().buffers, 0)
  await backend.dispose()
})

test('images that are changed at random are refused; a data set without one readable image is told as elsewhere', async () => {
  const backend = await createWasm({ threads: 1 })
  const model = prepared(backend, 'linear')
  const { dataset } = pictures(3, 1, [0, 1, 2])
  const changed = trainTransform(preprocess)
  assert.throws(
    () => featureSource(model, dataset, { transform: changed, batchSize: 2 }),
    /must not be changed at random/,
  )
  const collect = async (source: { epoch(epoch: number, first: number): AsyncIterable<unknown> }) => {
    for await (const _ of source.epoch(0, 0)) {
    }
  }
  const options = { transform, batchSize: 2 }
  const expected = await errorOf(collect(batchSource(dataset, options)))
  assert.equal(await errorOf(collect(featureSource(model, dataset, options))), expected)
  disposeModule(model)
  await backend.dispose()
})

test('features to train on are kept where nothing is random and no teacher looks, those to validate on of each frozen backbone', () => {
  const plain: RepeatFacts = {
    method: 'linear',
    model: { config: smallConfig, rates: { patchKeep: 1 } },
    changes: false,
    more: false,
  }
  assert.equal(repeating(plain), { train: true, val: true })
  assert.equal(repeating({ ...plain, changes: {} }), { train: true, val: true })
  for (const random of [
    { changes: { flip: 0.5 } },
    { changes: { area: [0.5, 1] } },
    { more: true },
    { model: { config: { ...smallConfig, dropout: 0.1 }, rates: { patchKeep: 1 } } },
    { model: { config: { ...smallConfig, dropPath: 0.1 }, rates: { patchKeep: 1 } } },
    { model: { config: smallConfig, rates: { patchKeep: 0.5 } } },
  ] as const) {
    assert.equal(repeating({ ...plain, ...random }), { train: false, val: true }, JSON.stringify(random))
  }
  for (const method of ['full', 'lora', 'dora'] as const) {
    assert.equal(repeating({ ...plain, method }), { train: false, val: false })
  }
})

test.run()
