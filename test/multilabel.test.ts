// Labels that are there or not: losses, gradients, ten steps and metrics against values stored from torch, torchmetrics and
// the code of OTX and getitune (fixtures/make/multilabel.py), and what those get wrong. Also one class an image's metrics.
// long/suites-chromium.test.ts runs this file in a browser.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { EpochEvent, ImageLabels, Metrics } from 'vitune'
import { type Context, disposeModule, Linear, type Model, Module } from 'vitune/nn'
import {
  type Backend,
  createReference,
  type HostInputs,
  mul,
  parameter,
  reshape,
  type Tensor,
  tensor,
  valueAndGrad,
} from 'vitune/tensor'
import {
  type Batch,
  createTask,
  type FitOptions,
  fit,
  multiclass,
  multilabel,
  type Task,
  type TaskOptions,
} from 'vitune/train'
import { labelWeights } from '../src/run/label-weights.ts'
import { backends } from './backends.ts'
import { failureOf } from './errors.ts'
import { fixtureJson } from './fixtures.ts'
import { near } from './grad-check.ts'

type Rows = number[][]
const stored = await fixtureJson('multilabel/values.json')
const namesOf = (count: number) => Array.from({ length: count }, (_, i) => `label ${i}`)
const flat = (rows: Rows) => Float32Array.from(rows.flat())
const upload = (backend: Backend, inputs: HostInputs): Record<string, Tensor> =>
  Object.fromEntries(Object.entries(inputs).map(([name, { data, shape }]) => [name, tensor(backend, data, shape)]))

/** Stored rows of 1, 0 and -1 (unknown) as what an image has. */
function labelsOf(target: Rows): ImageLabels[] {
  const where = (row: number[], value: number) => row.flatMap((v, i) => (v === value ? [i] : []))
  return target.map((row) => ({ present: where(row, 1), unknown: where(row, -1) }))
}

const taskOf = (target: Rows, options: TaskOptions = {}) => multilabel(namesOf(target[0]!.length), options)

function metricsOf(task: Task, logits: Rows, target: Rows, size = logits.length): Metrics {
  const metrics = task.metrics()
  for (let i = 0; i < logits.length; i += size) {
    metrics.add(flat(logits.slice(i, i + size)), task.targets(labelsOf(target.slice(i, i + size))))
  }
  return metrics
}

/** The loss that is optimised, with its gradient. */
async function lossAndGrad(backend: Backend, task: Task, logits: Float32Array, labels: readonly ImageLabels[]) {
  const targets = task.targets(labels)
  const z = parameter(backend, logits, [labels.length, task.outputs])
  const given = upload(backend, targets)
  const scales = tensor(backend, Float32Array.from(task.scales(task.counts(targets))), [1])
  const { value, grads } = valueAndGrad(() => reshape(mul(task.terms(z, given, true), scales), []), [z])
  const found = { value: await value.item(), grad: await grads[0]!.data() }
  for (const t of [value, scales, z, ...grads, ...Object.values(given)]) t.dispose()
  return found
}

for (const [label, { start }] of Object.entries(backends)) {
  test(`${label}: losses and gradients equal OTX's, torch's and timm's, with unknown labels, weights and logits of +-100`, async () => {
    const backend = await start()
    const { logits, cases } = stored.losses
    for (const { loss, target, positive_weights, value, grad } of cases) {
      const what = `${loss}${target.flat().includes(-1) ? ', some unknown' : ''}${positive_weights ? ', weighted' : ''}`
      const task = taskOf(target, { loss, ...(positive_weights && { positiveWeights: positive_weights }) })
      const found = await lossAndGrad(backend, task, flat(logits), labelsOf(target))
      near([found.value], [value], 1e-6, `${what}: loss`)
      near(found.grad, grad.flat(), 1e-6, `${what}: gradient`)
    }
    assert.is(backend.memory().buffers, 0)
    await backend.dispose()
  })
}

/** A linear layer on features. */
class Head extends Module implements Model {
  readonly layer: Linear
  readonly tokens = 0
  constructor(
    readonly backend: Backend,
    weight: Rows,
    bias: number[],
  ) {
    super()
    const shape = [weight.length, weight[0]!.length]
    this.layer = new Linear(
      parameter(backend, flat(weight), shape),
      parameter(backend, Float32Array.from(bias), [bias.length]),
    )
  }
  outputs({ x }: Readonly<Record<string, Tensor>>, ctx: Context): Tensor {
    return this.layer.forward(x!, ctx)
  }
}

const features: Rows[] = stored.training.features
const wanted: Rows[] = stored.training.target
const batchOf = (task: Task, x: Rows, target: Rows): Batch => ({
  inputs: { x: { data: flat(x), shape: [x.length, x[0]!.length] } },
  targets: task.targets(labelsOf(target)),
  count: x.length,
  names: x.map((_, i) => `${i}`),
})

/** Trains a head on these batches, over and over, one epoch. */
async function trained(backend: Backend, task: Task, batches: Batch[], more: Partial<FitOptions>) {
  const model = new Head(backend, stored.training.weight, stored.training.bias)
  const train = {
    batches: batches.length,
    async *epoch() {
      yield* batches
    },
  }
  const losses: number[] = []
  const epochs: EpochEvent[] = []
  for await (const event of fit({ model, task, train, epochs: 1, lr: 0.05, weightDecay: 0.05, ...more })) {
    if (event.kind === 'step') losses.push(event.loss)
    else epochs.push(event)
  }
  const [weight, bias] = [await model.layer.weight.data(), await model.layer.bias!.data()]
  disposeModule(model)
  return { losses, epochs, weight, bias }
}

for (const [label, { start }] of Object.entries(backends)) {
  test(`${label}: ten steps with each loss equal torch's, with AdamW, SGD and positive weights`, async () => {
    const backend = await start()
    for (const { loss, optimizer, lr, weight_decay: weightDecay, positive_weights, ...want } of stored.training.runs) {
      const what = `${loss}, ${optimizer}${positive_weights ? ', weighted' : ''}`
      const task = taskOf(wanted[0]!, { loss, ...(positive_weights && { positiveWeights: positive_weights }) })
      const batches = want.losses.map((_: number, i: number) => batchOf(task, features[i % 3]!, wanted[i % 3]!))
      const found = await trained(backend, task, batches, { optimizer, lr, weightDecay })
      near(found.losses, want.losses, 1e-5, `${what}: losses`)
      near(found.weight, want.weight.flat(), 1e-4, `${what}: weight`)
      near(found.bias, want.bias, 1e-4, `${what}: bias`)
    }
    assert.is(backend.memory().buffers, 0)
    await backend.dispose()
  })
}

for (const loss of ['aal', 'bce', 'asl']) {
  test(`${loss}: parts, and small batches accumulated, give what a batch of all gives, whatever is known in each`, async () => {
    const backend = createReference({ precision: 'f64' })
    const task = taskOf(wanted[0]!, { loss })
    const [x, target] = [features.flat().slice(0, 18), wanted.flat().slice(0, 18)]
    // In the first two nothing is known.
    target[0] = target[1] = [-1, -1, -1, -1]
    const cut = (size: number) =>
      Array.from({ length: Math.ceil(18 / size) }, (_, i) => {
        const [from, to] = [i * size, (i + 1) * size]
        return batchOf(task, x.slice(from, to), target.slice(from, to))
      })
    const options = { optimizer: 'sgd', clip: 1e6 } as const
    const whole = await trained(backend, task, cut(18), options)
    near([whole.epochs[0]!.trainLoss], [whole.losses[0]! / (loss === 'bce' ? 1 : 18)], 1e-6, 'a sum is told by image')
    const others = {
      '9 x 2': await trained(backend, task, cut(2), { ...options, accumulate: 9 }),
      '7, 7, 4': await trained(backend, task, cut(7), { ...options, accumulate: 3 }),
      'parts of 5': await trained(backend, task, cut(18), { ...options, microBatch: 5 }),
      'parts of 4 of 7, 7, 4': await trained(backend, task, cut(7), { ...options, accumulate: 3, microBatch: 4 }),
    }
    for (const [what, found] of Object.entries(others)) {
      near(found.weight, whole.weight, 1e-6, `${what}: weight`)
      near(found.bias, whole.bias, 1e-6, `${what}: bias`)
      near([found.losses.at(-1)!], [whole.losses[0]!], 1e-6, `${what}: loss`)
      near([found.epochs[0]!.trainLoss], [whole.epochs[0]!.trainLoss], 1e-6, `${what}: the epoch's loss`)
    }
  })
}

for (const name of ['known', 'unknown', 'ties', 'one']) {
  const of = stored.metrics[name]
  test(`metrics, ${name}: accuracy is OTX's and getitune's, map theirs, F1 and average precision torchmetrics'`, () => {
    for (const { threshold, accuracy, f1_micro, f1_macro, f1 } of of.at) {
      // In batches of 7, since nothing may hang on them.
      const metrics = metricsOf(taskOf(of.target, { threshold }), of.logits, of.target, 7)
      const { map, map_present, ...found } = metrics.result()
      near([found.accuracy!, found.f1_micro!, found.f1!], [accuracy, f1_micro, f1_macro], 1e-6, `at ${threshold}`)
      near([map!, map_present!], [of.map, of.map_present], 1e-6, 'map, map_present')
      const rows = metrics.byLabel()
      near(rows.map((row) => row.f1), f1, 1e-6, 'f1 by label') // biome-ignore format: one line
      near(rows.map((row) => row.ap ?? 0), of.ap, 1e-6, 'ap by label') // biome-ignore format: one line
      const column = (i: number) => of.target.map((row: number[]) => row[i])
      for (const [i, row] of rows.entries()) {
        const known = column(i).filter((v: number) => v >= 0)
        assert.is(row.known, known.length)
        assert.is(row.positives, known.filter((v: number) => v === 1).length)
        assert.is('ap' in row, row.positives > 0)
        assert.is(row.threshold, threshold)
      }
      const task = taskOf(of.target, { threshold })
      const { right, of: count } = task.right(flat(of.logits), task.targets(labelsOf(of.target)))
      near([right / count], [accuracy], 1e-6, 'running accuracy')
    }
  })

  test(`thresholds, ${name}: give each label the best F1 that any threshold gives`, () => {
    const threshold = metricsOf(taskOf(of.target), of.logits, of.target).thresholds!()
    const rows = metricsOf(taskOf(of.target, { threshold }), of.logits, of.target).byLabel()
    near(rows.map((row) => row.f1), of.best_f1, 1e-6, 'F1') // biome-ignore format: one line
    for (const [i, { positives }] of rows.entries()) if (positives === 0) assert.is(threshold[i], 0.5)
  })
}

test('an unknown label is left out of map, which getitune takes for absent', () => {
  const { logits, target, map, getitune_map } = stored.metrics.unknown
  const absent = target.map((row: number[]) => row.map((v) => Math.max(v, 0)))
  near([metricsOf(taskOf(target), logits, absent).result().map!], [getitune_map], 1e-6, 'as absent')
  const ours = metricsOf(taskOf(target), logits, target).result().map!
  near([ours], [map], 1e-6, 'unknown')
  assert.ok(ours - getitune_map > 0.1)
})

test('a label without positives is nought in map, as in torchmetrics, and left out of map_present', () => {
  const { logits, target, torchmetrics_macro_ap } = stored.metrics.known
  const { map, map_present } = metricsOf(taskOf(target), logits, target).result()
  near([map!, map_present!], [torchmetrics_macro_ap, (torchmetrics_macro_ap * 5) / 4], 1e-6, 'map, map_present')
})

test('outputs within [0, 1] are no scores, as torchmetrics takes a batch of them', () => {
  const { logits, target, f1_micro, torchmetrics_by_batch } = stored.metrics.batches
  for (const size of [12, 6, 1]) {
    const found = metricsOf(taskOf(target), logits, target, size).result()
    near([found.f1_micro!], [f1_micro], 1e-6, `batches of ${size}`)
    assert.ok(Math.abs(found.f1_micro! - torchmetrics_by_batch) > 0.1)
  }
})

test('a score that equals the threshold says that the label is there, as in OTX and not in torchmetrics', () => {
  const { logits, target, accuracy, torchmetrics_f1_micro } = stored.metrics.half
  const found = metricsOf(taskOf(target), logits, target).result()
  near([found.accuracy!, found.f1_micro!], [accuracy, 6 / 7], 1e-12, 'accuracy, F1')
  assert.is(torchmetrics_f1_micro, 0)
})

test('equal outputs: map takes the later image first, map_present all of them at once', () => {
  const rows = (...values: number[]) => values.map((v) => [v])
  const at = (...target: number[]) => metricsOf(taskOf(rows(0)), rows(1, 1, 1, -1), rows(...target)).result()
  near([at(0, 0, 1, 0).map!, at(1, 0, 0, 0).map!], [1, 1 / 3], 1e-7, 'map')
  near([at(0, 0, 1, 0).map_present!, at(1, 0, 0, 0).map_present!], [1 / 3, 1 / 3], 1e-12, 'map_present')
})

test('outputs whose scores are 1 in any precision still have their order', () => {
  const found = metricsOf(taskOf([[0]]), [[60], [50], [55]], [[1], [0], [1]]).result()
  near([found.map!, found.map_present!], [1, 1], 1e-7, 'map, map_present')
})

test('no metric is NaN where nothing is known, or nothing is there', () => {
  for (const target of [
    [
      [-1, -1],
      [-1, -1],
    ],
    [
      [0, 0],
      [0, 0],
    ],
  ]) {
    const metrics = metricsOf(
      taskOf(target),
      [
        [1, -1],
        [-1, 1],
      ],
      target,
    )
    for (const [name, value] of Object.entries(metrics.result())) assert.ok(Number.isFinite(value), name)
    assert.equal(metrics.thresholds!(), [0.5, 0.5])
  }
})

test('of thresholds with equal F1 the nearest to a half is taken, then the lower; they lie half-way between scores', () => {
  const logit = (score: number) => Math.log(score / (1 - score))
  const tuned = (...images: [number, number][]) =>
    metricsOf(
      taskOf([[0]]),
      images.map(([score]) => [logit(score)]),
      images.map(([, is]) => [is]),
    ).thresholds!()[0]!
  // biome-ignore-start format: one example a line
  near([tuned([0.9, 1], [0.3, 1], [0.1, 0])], [0.2], 1e-6, 'half-way')
  near([tuned([0.9, 1], [0.7, 0], [0.2, 0])], [0.8], 1e-6, 'half-way, above')
  assert.is(tuned([0.9, 1], [0.4, 0]), 0.5)
  // One right of one found and two there, or two of four: F1 is 2/3 at both cuts.
  near([tuned([0.8, 1], [0.7, 0], [0.6, 0], [0.4, 1], [0.3, 0])], [0.35], 1e-6, 'equal, the lower is nearer')
  near([tuned([0.7, 1], [0.6, 0], [0.5, 0], [0.3, 1], [0.2, 0])], [0.65], 1e-6, 'equal, the upper is nearer')
  const [two, one] = [1 / (1 + Math.exp(-2)), 1 / (1 + Math.exp(-1))]
  const lower = tuned([two, 1], [one, 0], [0.6, 0], [1 - one, 1], [1 - two, 0])
  near([lower], [1 - (one + two) / 2], 1e-6, 'equal, as near')
  // biome-ignore-end format: one example a line
})

test('predict: labels from their thresholds on, and the surest label as the score, there or not', () => {
  const task = multilabel(['cat', 'dog', 'sofa'], { threshold: [0.5, 0.9, 0.2] })
  const some = task.predict(Float32Array.of(2, 2, -1))
  assert.is(some.label, 'cat, sofa')
  assert.equal(some.labels, ['cat', 'sofa'])
  assert.is(some.score, some.scores[0])
  near(some.scores, [1 / (1 + Math.exp(-2)), 1 / (1 + Math.exp(-2)), 1 / (1 + Math.exp(1))], 1e-12, 'scores')
  const none = task.predict(Float32Array.of(-2, 1, -3))
  assert.equal([none.label, none.labels], ['', []])
  assert.is(none.score, none.scores[1])
  const one = multilabel(['rust'])
  assert.is(one.predict(Float32Array.of(0)).label, 'rust')
  assert.equal(one.predict(Float32Array.of(-0.1)).labels, [])
})

test('targets: what is unknown is neither there nor absent; names are those that are there', () => {
  const task = multilabel(['cat', 'dog', 'sofa'], { positiveWeights: [1, 4, 1], loss: 'bce' })
  const targets = task.targets([
    { present: [0, 1] },
    { present: [2], unknown: [1] },
    { present: [], unknown: [0, 1, 2] },
  ])
  assert.equal(Array.from(targets.present!.data), [1, 1, 0, 0, 0, 1, 0, 0, 0])
  assert.equal(Array.from(targets.known!.data), [1, 1, 1, 1, 0, 1, 0, 0, 0])
  assert.equal(Array.from(targets.weight!.data), [1, 4, 1, 1, 0, 1, 0, 0, 0])
  assert.equal(
    [0, 1, 2].map((at) => task.names(targets, at)),
    [['cat', 'dog'], ['sofa'], []],
  )
  assert.equal(task.scales(task.counts(targets)), [1 / 5])
  assert.equal(task.scales([0]), [0])
})

test('weights go to labels of their very name, and all others weigh 1', () => {
  const labels = multilabel(['cat', 'constructor', 'toString']).labels
  assert.equal(labelWeights({ cat: 2 }, labels, undefined), [2, 1, 1])
  assert.equal(labelWeights({ toString: 3 }, labels, undefined), [1, 1, 3])
  assert.throws(() => labelWeights({ valueOf: 3 }, labels, undefined), /must name labels of the data, got also valueOf/)
})

test('refusals: thresholds and weights that are too few, or out of range', async () => {
  const names = ['cat', 'dog']
  assert.is(
    await failureOf(() => multilabel(names, { threshold: [0.5] })),
    'threshold: must be one for each of 2 labels, got 1',
  )
  assert.is(await failureOf(() => multilabel(names, { threshold: 1.5 })), 'threshold: must be in [0, 1], got 1.5')
  assert.is(
    await failureOf(() => multilabel(names, { positiveWeights: [1, 0] })),
    'positiveWeights: must be above 0, got 0',
  )
  assert.match(
    await failureOf(() => createTask(multilabel(names).labels, { loss: 'ce' })),
    'loss: must be one of aal, bce, asl',
  )
  assert.match(
    await failureOf(() => createTask(multilabel(names).labels, { labelSmoothing: 0.1 })),
    'labelSmoothing: means nothing',
  )
})

test("one class an image: accuracy and macro F1 equal torchmetrics', with a class that is only found and one that is neither", () => {
  const { logits, target, accuracy, f1, by_class } = stored.multiclass
  const task = multiclass(namesOf(6))
  const targets = task.targets(target.map((label: number) => ({ present: [label] })))
  const metrics = task.metrics()
  metrics.add(flat(logits), targets)
  near([metrics.result().accuracy!, metrics.result().f1!], [accuracy, f1], 1e-6, 'accuracy, f1')
  near(metrics.byLabel().map((row) => row.f1), by_class, 1e-6, 'by class') // biome-ignore format: one line
  const { right, of } = task.right(flat(logits), targets)
  near([right / of], [accuracy], 1e-6, 'running accuracy')
})

test.run()
