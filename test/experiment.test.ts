// An experiment end to end on a tiny model: what it tells, what it returns, and that each run stands alone.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  type Dataset,
  type ExperimentEvent,
  type ExperimentOptions,
  type ExperimentResult,
  type ExperimentRun,
  experiment,
  InputError,
  memoryDataset,
  multilabelLabels,
  openModel,
} from 'vitune'
import { saveVit } from 'vitune/models'
import { disposeModule } from 'vitune/nn'
import { renderReport } from 'vitune/report'
import { createWasm, Rng } from 'vitune/tensor'
import { smallVit } from './small-vit.ts'

const backend = await createWasm({ threads: 2 })
const root = mkdtempSync(join(tmpdir(), 'vitune-experiment-'))
const classes = ['ant', 'bee', 'cow']
const preprocessor = { image_processor_type: 'ViTImageProcessor', do_resize: true, size: { height: 8, width: 8 } }

/** A model folder; `changes` makes other weights. */
async function modelFolder(name: string, layers: number): Promise<string> {
  const model = smallVit(backend, { layers })
  await saveVit(model, join(root, name), 'huggingface', { preprocessor })
  disposeModule(model)
  return join(root, name)
}
const model = await modelFolder('model', 2)

test.after(async () => {
  rmSync(root, { recursive: true, force: true })
  await backend.dispose()
})

/** Noisy images of three colours, a colour a class. */
function images(perClass: number, seed: number): Dataset {
  const rng = new Rng(seed, 1)
  const labels = Array.from({ length: perClass * 3 }, (_, i) => i % 3)
  return memoryDataset({
    classes,
    labels,
    images: labels.map((label) => ({
      width: 8,
      height: 8,
      data: Uint8Array.from({ length: 192 }, (_, i) => (i % 3 === label ? 120 : 60) + rng.below(100)),
    })),
  })
}

const dataset = { name: 'colours', source: 'Made here.', train: (seed: number) => images(7, seed), test: images(5, 99) }
const small = {
  model,
  datasets: [dataset],
  methods: ['linear', 'lora'],
  seeds: [0, 1],
  epochs: 2,
  batchSize: 8,
  perMethod: { linear: { lr: 0.02 }, lora: { lr: 0.01 } },
  backend,
} satisfies ExperimentOptions

/** Runs to the end; `see` is called with every event. */
async function finish(options: ExperimentOptions, see: (event: ExperimentEvent) => void = () => {}) {
  const events = experiment(options)
  let next = await events.next()
  for (; !next.done; next = await events.next()) see(next.value)
  return next.value
}
const measured = ({ runs }: ExperimentResult) => runs.map(({ seconds: _, ...run }: ExperimentRun) => run)
const rejects = (options: ExperimentOptions, message: RegExp) =>
  finish(options).then(
    () => assert.unreachable(),
    (error: Error) => {
      assert.instance(error, InputError)
      assert.match(error.message, message)
    },
  )

test('every method runs on every seed and leaves its numbers, and no buffer stays behind', async () => {
  const before = backend.memory().buffers
  const told: string[] = []
  const steps: number[] = []
  const result = await finish(small, (event) => {
    if (event.kind === 'progress') steps.push(event.event.step)
    else told.push(`${event.kind} ${event.method} ${event.seed}`)
    if (event.kind === 'done') assert.is(backend.memory().buffers, before)
  })
  const order = ['linear 0', 'lora 0', 'linear 1', 'lora 1']
  assert.equal(
    told,
    order.flatMap((run) => ['run', 'test', 'done'].map((kind) => `${kind} ${run}`)),
  )
  // Three batches an epoch; an epoch's own event repeats its last step.
  assert.equal(steps, Array(4).fill([1, 2, 3, 3, 4, 5, 6, 6]).flat())
  assert.equal(
    result.runs.map((run) => `${run.method} ${run.seed}`),
    order,
  )
  for (const run of result.runs) {
    assert.ok(run.accuracy >= 0 && run.accuracy <= 1 && run.seconds > 0)
    assert.ok(run.peakBytes > 4 * run.total, `${run.peakBytes} bytes hold ${run.total} weights`)
    assert.is(run.curve?.length, 2)
    assert.is(run.epochs, 2)
  }
  assert.equal([result.runs[0]!.lr, result.runs[1]!.lr], [0.02, 0.01])
  assert.is(result.runs[0]!.trainable, 16 * 3 + 3)
  assert.is(result.runs[1]!.trainable, 16 * 3 + 3 + 2 * 2 * 2 * 8 * 16)
  assert.equal(result.datasets, [
    {
      name: 'colours',
      source: 'Made here.',
      classes: 3,
      train: 21,
      test: 15,
      task: 'one class an image',
      metrics: ['accuracy', 'f1'],
      chance: 1 / 3,
    },
  ])
  assert.match(result.training!, 'AdamW, weight decay 0.05, batches of 8, cosine learning rate, no augmentation')
  assert.match(await renderReport(result), 'colours')
  assert.equal(measured(await finish(small)), measured(result))
})

test('seeds differ in images and start, and a run does not depend on those before it', async () => {
  const result = await finish(small)
  const alone = await finish({ ...small, methods: ['lora'], seeds: [1] })
  assert.equal(measured(alone)[0], measured(result)[3])
  assert.not.equal(result.runs[1]!.curve, result.runs[3]!.curve)
})

test('training learns what tells the classes apart', async () => {
  const result = await finish({ ...small, methods: ['linear', 'full'], seeds: [0], epochs: 12, lr: 0.01 })
  for (const run of result.runs) assert.ok(run.accuracy > 0.6, `${run.method} ${run.accuracy}`)
})

test('from scratch uses the architecture and not the weights', async () => {
  const deeper = await modelFolder('other', 3)
  const methods: ExperimentOptions['methods'] = ['full', 'scratch']
  const options: ExperimentOptions = { ...small, methods, seeds: [0], epochs: 1, lr: 1e-3 }
  const { runs } = await finish(options)
  const [full, scratch] = runs
  assert.equal([scratch!.trainable, scratch!.total], [full!.total, full!.total])
  assert.not.equal(scratch!.curve, full!.curve)
  // Other weights of the same architecture change the fine-tuned run alone.
  const moved = await openModel(backend, model)
  const before = backend.memory().buffers
  moved.model.norm.weight.assign(new Float32Array(16).fill(3))
  await saveVit(moved.model, join(root, 'moved'), 'huggingface', { preprocessor })
  disposeModule(moved.model)
  assert.ok(backend.memory().buffers < before)
  const again = (await finish({ ...options, model: join(root, 'moved') })).runs
  assert.equal(again[1]!.curve, scratch!.curve)
  assert.not.equal(again[0]!.curve, full!.curve)
  assert.ok((await finish({ ...options, model: deeper })).runs[1]!.total > scratch!.total)
})

test('images are not augmented unless that is asked for: of a frozen backbone each is looked at once', async () => {
  let asked = 0
  const { stored: _, ...plain } = images(4, 5)
  const train: Dataset = {
    ...plain,
    image(i) {
      asked++
      return plain.image(i)
    },
  }
  const options = { ...small, datasets: [{ ...dataset, train }], methods: ['linear'] as const, seeds: [0], epochs: 3 }
  await finish(options)
  assert.is(asked, train.length)
  await finish({ ...options, augment: true })
  assert.is(asked, 4 * train.length)
})

test('a data set brings its task: several labels an image beside one class, each with its own metrics', async () => {
  const before = backend.memory().buffers
  const labelSpace = multilabelLabels(['red', 'green', 'blue'])
  const tagged = (perClass: number, seed: number): Dataset => {
    const one = images(perClass, seed)
    // The third colour is said of every second one, with the first.
    return {
      ...one,
      labelSpace,
      classes: labelSpace.names,
      labels: (i) => ({ present: i % 6 === 2 ? [0, 2] : [i % 3] }),
    }
  }
  const tags = { name: 'tags', source: 'Made here.', train: tagged(7, 0), test: tagged(5, 99) }
  const told: string[] = []
  const result = await finish(
    { ...small, datasets: [dataset, tags], methods: ['linear', 'full'], seeds: [0] },
    (event) => {
      if (event.kind === 'done') told.push(`${event.dataset} ${event.metric}`)
    },
  )
  assert.equal(told, ['colours accuracy', 'colours accuracy', 'tags map', 'tags map'])
  assert.equal(
    result.datasets.map(({ task, metrics, chance }) => ({ task, metrics, chance })),
    [
      { task: 'one class an image', metrics: ['accuracy', 'f1'], chance: 1 / 3 },
      { task: 'any number of labels', metrics: ['map', 'f1'], chance: undefined },
    ],
  )
  for (const { dataset, accuracy, metrics } of result.runs) {
    assert.is(metrics!.accuracy, accuracy)
    assert.is(metrics!.map !== undefined, dataset === 'tags')
  }
  assert.match(await renderReport(result), '<h2>tags: any number of labels</h2>')
  assert.is(backend.memory().buffers, before)
})

test('a signal ends the run in hand, keeps the finished ones and frees everything', async () => {
  for (const kind of ['progress', 'test'] as const) {
    const before = backend.memory().buffers
    const controller = new AbortController()
    const result = await finish({ ...small, signal: controller.signal }, (event) => {
      if (event.kind === kind && event.index === 1) controller.abort()
      assert.ok(event.index < 2)
    })
    assert.equal(
      result.runs.map((run) => `${run.method} ${run.seed}`),
      ['linear 0'],
    )
    assert.equal(result.methods, ['linear', 'lora'])
    assert.is(backend.memory().buffers, before)
    await renderReport(result)
  }
  const early = await finish({ ...small, signal: AbortSignal.abort() })
  assert.is(early.runs.length, 0)
})

test('breaking out of the events frees everything', async () => {
  const before = backend.memory().buffers
  for await (const event of experiment(small)) if (event.kind === 'progress' && event.method === 'lora') break
  assert.is(backend.memory().buffers, before)
})

test('wrong lists and models are refused in one sentence', async () => {
  await rejects({ ...small, seeds: [] }, /^seeds: must name at least one, got none$/)
  await rejects({ ...small, seeds: [1, 1] }, /^seeds: must differ, got 1, 1$/)
  await rejects({ ...small, seeds: [-1] }, /^seeds: must be whole numbers from 0/)
  await rejects({ ...small, datasets: [dataset, dataset] }, /^datasets: must differ, got colours, colours$/)
  await rejects({ ...small, methods: ['lorra' as 'lora'] }, /^methods: must be among linear, lora, .* got lorra$/)
  await rejects({ ...small, model: join(root, 'missing') }, /missing/)
  const swapped = { ...images(5, 99), classes: ['ant', 'cow', 'bee'] }
  const other = { ...dataset, test: swapped }
  await rejects(
    { ...small, datasets: [other] },
    /^datasets: colours must have the same classes to train and to test, in the same order, got bee and cow as number 2$/,
  )
  const fewer = {
    ...dataset,
    train: (seed: number) => (seed === 1 ? { ...images(7, 1), classes: ['ant'] } : images(7, 0)),
  }
  await rejects({ ...small, datasets: [fewer] }, /^datasets: colours .*, got none and bee as number 2$/)
})

test.run()
