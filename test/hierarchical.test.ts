// Learning labels of a tree: losses, gradients, ten steps, metrics and decoding against what OTX's own code gives and against
// formulas (fixtures/make/hierarchical.py), and what OTX gets wrong. What the labels are: labels-tree.test.ts.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { evaluate, hierarchicalLabels, type ImageLabels, InputError, type LabelSpace, type LabelTree } from 'vitune'
import { type Context, disposeModule, Linear, type Model, Module } from 'vitune/nn'
import {
  adamw,
  type Backend,
  createReference,
  type HostInputs,
  linear,
  mul,
  parameter,
  Rng,
  sum,
  type Tensor,
  tensor,
  valueAndGrad,
} from 'vitune/tensor'
import { type BatchSource, createTask, fit, hierarchical, type Task, type TaskOptions } from 'vitune/train'
import { withParents } from '../src/labels/labels.ts'
import { checkThresholds } from '../src/tasks/registry.ts'
import { lossOf } from '../src/tasks/task.ts'
import { decode, type Tree, treeOf } from '../src/tasks/tree-decode.ts'
import { samplesOf } from '../src/tensor/host.ts'
import { backends } from './backends.ts'
import { fixtureJson } from './fixtures.ts'
import { near } from './grad-check.ts'

interface StoredImage {
  present: string[]
  unknown?: string[]
}
interface Case {
  tree: string
  images: StoredImage[]
  options: TaskOptions
}
interface Stored {
  trees: Record<string, LabelTree>
  losses: Record<
    string,
    Case & { targets: number[][]; logits: number[]; loss: number; gradient: number[]; otx?: number }
  >
  training: Record<
    string,
    Case & {
      batch: number
      features: number[]
      optimizer: { lr: number; betas: [number, number]; eps: number; weight_decay: number }
      losses: number[]
      first_weight: number[]
      first_bias: number[]
      last_weight: number[]
      last_bias: number[]
    }
  >
  metrics: Record<
    string,
    Case & { logits: number[]; decoded: { path: string[][]; threshold: string[][] }; result: Record<string, number> }
  >
}
const stored: Stored = await fixtureJson('hierarchical/values.json')
const spaceOf = (name: string): LabelSpace => hierarchicalLabels(stored.trees[name]!)

const imagesOf = ({ names }: LabelSpace, images: readonly StoredImage[]): ImageLabels[] =>
  images.map(({ present, unknown }) => ({
    present: present.map((name) => names.indexOf(name)),
    ...(unknown && { unknown: unknown.map((name) => names.indexOf(name)) }),
  }))

/** Uniform numbers in [0, 1), the same for the same seed. */
type Random = () => number
function randomOf(seed: number, stream = 0): Random {
  const rng = new Rng(seed, stream)
  return () => rng.uniform()
}

const upload = (backend: Backend, inputs: HostInputs): Record<string, Tensor> =>
  Object.fromEntries(Object.entries(inputs).map(([name, { data, shape }]) => [name, tensor(backend, data, shape)]))

/** Sums of the terms, and gradients by `params` of the loss with these scales. */
async function step(
  task: Task,
  params: readonly Tensor[],
  outputs: () => Tensor,
  targets: HostInputs,
  scales: readonly number[],
): Promise<{ sums: Float32Array; grads: Float32Array[] }> {
  const backend = params[0]!.backend
  const { value, aux, grads } = valueAndGrad(() => {
    const terms = task.terms(outputs(), upload(backend, targets), true)
    return [sum(mul(terms, tensor(backend, scales, [scales.length])), 0), { terms }]
  }, params)
  const sums = (await aux.terms.data()) as Float32Array
  const found = await Promise.all(grads.map((grad) => grad.data() as Promise<Float32Array>))
  for (const made of [value, aux.terms, ...grads]) made.dispose()
  return { sums, grads: found }
}

/** Loss and its gradient by the logits. */
async function lossAndGradient(
  backend: Backend,
  task: Task,
  images: readonly ImageLabels[],
  logits: ArrayLike<number>,
) {
  const targets = task.targets(images)
  const counts = task.counts(targets)
  const x = parameter(backend, Float32Array.from(logits), [images.length, task.outputs])
  const { sums, grads } = await step(task, [x], () => x, targets, task.scales(counts))
  x.dispose()
  return { loss: lossOf(task, sums, counts), gradient: grads[0]!, sums }
}

const tested = ['reference f32', 'wasm, 1 thread', 'wasm, 2 threads, relaxed', 'webgpu'].filter(
  (name) => name in backends,
)
for (const label of tested) {
  test(`${label}: losses and gradients are OTX's, and the formula's where absent labels count`, async () => {
    const backend = await backends[label]!.start()
    for (const [name, facts] of Object.entries(stored.losses)) {
      const space = spaceOf(facts.tree)
      const task = createTask(space, facts.options)
      const images = imagesOf(space, facts.images)
      const { group, present } = task.targets(images)
      const wanted = facts.targets
      assert.equal(
        [...group!.data],
        wanted.flatMap((row) => row.slice(0, space.groups.length)),
        `${name}: groups`,
      )
      if (present)
        assert.equal(
          [...present.data],
          wanted.flatMap((row) => row.slice(space.groups.length)),
          name,
        )
      const { loss, gradient } = await lossAndGradient(backend, task, images, facts.logits)
      near([loss], [facts.loss], 2e-6, `${name}: loss`)
      near(gradient, facts.gradient, 2e-6, `${name}: gradient`)
    }
    assert.is(backend.memory().buffers, 0)
    await backend.dispose()
  })

  test(`${label}: ten steps of a linear head are PyTorch's`, async () => {
    const backend = await backends[label]!.start()
    for (const [name, facts] of Object.entries(stored.training)) {
      const space = spaceOf(facts.tree)
      const task = createTask(space, facts.options)
      const images = imagesOf(space, facts.images)
      const width = facts.features.length / images.length
      const weight = parameter(backend, Float32Array.from(facts.first_weight), [task.outputs, width])
      const bias = parameter(backend, Float32Array.from(facts.first_bias), [task.outputs])
      const { lr, betas, eps, weight_decay: weightDecay } = facts.optimizer
      const params: [string, typeof weight][] = [
        ['weight', weight],
        ['bias', bias],
      ]
      const optimizer = adamw([{ params, weightDecay }], { betas, eps })
      const targets = task.targets(images)
      const losses: number[] = []
      for (let i = 0; i < 10; i++) {
        const from = (i * facts.batch) % images.length
        const part = samplesOf(targets, from, from + facts.batch)
        const rows = facts.features.slice(from * width, (from + facts.batch) * width)
        const counts = task.counts(part)
        const outputs = () => linear(tensor(backend, rows, [facts.batch, width]), weight, { bias })
        const { sums, grads } = await step(task, [weight, bias], outputs, part, task.scales(counts))
        losses.push(lossOf(task, sums, counts))
        const given = params.map(([key, p], j) => [key, tensor(backend, grads[j]!, p.shape)] as const)
        optimizer.step(new Map(given), lr)
        for (const [, grad] of given) grad.dispose()
      }
      near(losses, facts.losses, 1e-5, `${name}: losses`)
      near(await weight.data(), facts.last_weight, 1e-4, `${name}: weight`)
      near(await bias.data(), facts.last_bias, 1e-4, `${name}: bias`)
      optimizer.dispose()
      for (const [, p] of params) p.dispose()
    }
    assert.is(backend.memory().buffers, 0)
    await backend.dispose()
  })

  test(`${label}: nine parts of two images give the gradient of eighteen at once`, async () => {
    const backend = await backends[label]!.start()
    const space = spaceOf('shapes')
    const random = randomOf(5)
    const images = Array.from({ length: 18 }, () => withParents(space, { present: randomLabels(space, random) }))
    for (const loss of ['aal', 'bce']) {
      const task = createTask(space, { loss, pathConsistency: 0.7, labelSmoothing: 0.1 })
      const targets = task.targets(images)
      const counts = task.counts(targets)
      const logits = Float32Array.from({ length: 18 * task.outputs }, () => 4 * random() - 2)
      const whole = await lossAndGradient(backend, task, images, logits)
      const parts = new Float32Array(logits.length)
      const sums = new Float64Array(counts.length)
      for (let from = 0; from < 18; from += 2) {
        const range = [from * task.outputs, (from + 2) * task.outputs] as const
        const x = parameter(backend, logits.slice(...range), [2, task.outputs])
        const found = await step(task, [x], () => x, samplesOf(targets, from, from + 2), task.scales(counts))
        parts.set(found.grads[0]!, range[0])
        for (const [i, term] of found.sums.entries()) sums[i]! += term
        x.dispose()
      }
      const added = Array.from({ length: 9 }, (_, i) => task.counts(samplesOf(targets, 2 * i, 2 * i + 2))).reduce(
        (a, b) => a.map((n, i) => n + b[i]!),
      )
      assert.equal(added, counts, 'counts add up over parts')
      near(parts, whole.gradient, 1e-7, `${loss}: gradient`)
      near([lossOf(task, sums, counts)], [whole.loss], 2e-6, `${loss}: loss`)
    }
    assert.is(backend.memory().buffers, 0)
    await backend.dispose()
  })

  test(`${label}: a group that no image has a label of changes nothing, and nothing changes it`, async () => {
    const backend = await backends[label]!.start()
    const { groups, parents } = stored.trees.shapes!
    const space = spaceOf('shapes')
    const more = hierarchicalLabels({ groups: [...groups, ['small', 'middle', 'large']], parents })
    const names = (of: LabelSpace) => Object.fromEntries(of.names.map((name, i) => [name, i]))
    const images: StoredImage[] = [
      { present: ['Rigid', 'Triangle'] },
      { present: ['Non-Rigid', 'Lion'] },
      { present: ['Rigid', 'Hexagon', 'Panda'] },
    ]
    for (const options of [{}, { pathConsistency: 1, loss: 'bce', labelSmoothing: 0.1 }]) {
      const random = randomOf(6)
      const without = Float32Array.from({ length: 3 * space.names.length }, () => 4 * random() - 2)
      const withMore = (fill: number) =>
        Float32Array.from({ length: 3 * more.names.length }, (_, i) => {
          const label = names(space)[more.names[i % more.names.length]!]
          return label === undefined
            ? fill * random()
            : without[Math.floor(i / more.names.length) * space.names.length + label]!
        })
      const alone = await lossAndGradient(backend, createTask(space, options), imagesOf(space, images), without)
      for (const fill of [1, 50]) {
        const task = createTask(more, options)
        const beside = await lossAndGradient(backend, task, imagesOf(more, images), withMore(fill))
        near([beside.loss], [alone.loss], 1e-7, 'loss')
        for (const [i, slope] of beside.gradient.entries()) {
          const label = names(space)[more.names[i % more.names.length]!]
          if (label === undefined) assert.is(Math.abs(slope), 0, 'its outputs have no gradient')
          else
            near(
              [slope],
              [alone.gradient[Math.floor(i / more.names.length) * space.names.length + label]!],
              1e-7,
              'others',
            )
        }
      }
    }
    assert.is(backend.memory().buffers, 0)
    await backend.dispose()
  })

  test(`${label}: images without any label in a group give a loss of 0 and no gradient`, async () => {
    const backend = await backends[label]!.start()
    const task = createTask(spaceOf('animals'), { pathConsistency: 1 })
    const { loss, gradient } = await lossAndGradient(
      backend,
      task,
      [{ present: [] }, { present: [] }],
      new Float32Array(20).fill(3),
    )
    assert.is(loss, 0)
    assert.ok(gradient.every((slope) => slope === 0))
    assert.is(backend.memory().buffers, 0)
    await backend.dispose()
  })

  test(`${label}: 150 groups of two are averaged over those that are met`, async () => {
    const backend = await backends[label]!.start()
    const groups = Array.from({ length: 150 }, (_, i) => [`${i}a`, `${i}b`])
    const space = hierarchicalLabels({ groups, parents: Object.fromEntries(groups.slice(1).map(([a]) => [a!, '0b'])) })
    const task = createTask(space)
    const images = [{ present: [0, 5] }, { present: [1, 4] }, { present: [1] }]
    const random = randomOf(7)
    const logits = Float32Array.from({ length: 900 }, () => 4 * random() - 2)
    const { loss, gradient } = await lossAndGradient(backend, task, images, logits)
    const ce = (image: number, label: number) => {
      const [a, b] = [logits[image * 300 + label]!, logits[image * 300 + (label ^ 1)]!]
      return Math.log(1 + Math.exp(b - a))
    }
    near([loss], [((ce(0, 0) + ce(1, 1) + ce(2, 1)) / 3 + (ce(0, 5) + ce(1, 4)) / 2) / 2], 1e-6, 'loss')
    assert.is(gradient.filter((slope) => slope !== 0).length, 10)
    assert.is(backend.memory().buffers, 0)
    await backend.dispose()
  })
}

/** A linear layer on six numbers a sample. */
class Head extends Module implements Model {
  readonly layer: Linear
  readonly tokens = 0
  constructor(
    readonly backend: Backend,
    outputs: number,
  ) {
    super()
    const random = randomOf(9)
    const weight = Float32Array.from({ length: outputs * 6 }, () => random() - 0.5)
    this.layer = new Linear(
      parameter(backend, weight, [outputs, 6]),
      parameter(backend, new Float32Array(outputs), [outputs]),
    )
  }
  outputs({ x }: Readonly<Record<string, Tensor>>, ctx: Context): Tensor {
    return this.layer.forward(x!, ctx)
  }
}

/** 18 samples of noise with labels of a tree by chance, in batches of so many. */
function sourceOf(task: Task, space: LabelSpace, size: number): BatchSource {
  const random = randomOf(8)
  const images = Array.from({ length: 18 }, () => withParents(space, { present: randomLabels(space, random) }))
  const data = Float32Array.from({ length: 18 * 6 }, () => 2 * random() - 1)
  const inputs = { x: { data, shape: [18, 6] } }
  const targets = task.targets(images)
  return {
    batches: 18 / size,
    async *epoch(_, first) {
      for (let from = first * size; from < 18; from += size) {
        const part = (all: HostInputs) => samplesOf(all, from, from + size)
        yield { inputs: part(inputs), targets: part(targets), count: size, names: [] }
      }
    },
  }
}

for (const label of tested.filter((name) => name !== 'wasm, 1 thread')) {
  test(`${label}: training in parts, accumulated or replayed is training at once`, async () => {
    const backend = await backends[label]!.start()
    const space = spaceOf('shapes')
    for (const options of [{}, { loss: 'bce', pathConsistency: 0.5, labelSmoothing: 0.1 }]) {
      const task = createTask(space, options)
      const trained = async (size: number, own: { microBatch?: number; replay?: boolean } = {}) => {
        const model = new Head(backend, task.outputs)
        const train = sourceOf(task, space, size)
        const val = sourceOf(task, space, 9)
        const told = { optimizer: 'sgd' as const, lr: 0.02, epochs: 3, accumulate: 18 / size, ...own }
        const losses: number[] = []
        for await (const event of fit({ model, task, train, val, seed: 1, ...told })) {
          if (event.kind === 'step') losses.push(event.loss)
        }
        const { loss, accuracy, metrics } = await evaluate(model, task, val)
        const weights = [...(await model.layer.weight.data()), ...(await model.layer.bias!.data())]
        disposeModule(model)
        return { losses, weights, numbers: [loss, accuracy, ...Object.values(metrics)] }
      }
      const whole = await trained(18, { replay: false })
      assert.is(whole.losses.length, 3)
      assert.ok(whole.losses[2]! < whole.losses[0]!, `${whole.losses}`)
      for (const other of [await trained(18), await trained(2), await trained(6, { microBatch: 4 })]) {
        near(other.losses, whole.losses, 1e-5, 'losses')
        near(other.weights, whole.weights, 1e-5, 'weights')
        near(other.numbers, whole.numbers, 1e-5, 'validation')
      }
    }
    assert.is(backend.memory().buffers, 0)
    await backend.dispose()
  })
}

/** Labels that may go together, by chance: of each group and each label without one, where the parent is there. */
function randomLabels(space: LabelSpace, random: Random): number[] {
  const tree = treeOf(space)
  const present: number[] = []
  for (const { labels, group } of tree.choices) {
    const open = labels.filter((label) => space.parents[label]! < 0 || present.includes(space.parents[label]!))
    const isLeftOut = random() < (group >= 0 ? 0.2 : 0.5)
    if (open.length > 0 && !isLeftOut) present.push(open[Math.floor(random() * open.length)]!)
  }
  return present
}

test('absent labels count in the loss, which OTX drops', async () => {
  const backend = createReference()
  const facts = stored.losses['absent labels']!
  const space = spaceOf(facts.tree)
  const images = imagesOf(space, facts.images)
  const { loss, gradient } = await lossAndGradient(backend, createTask(space), images, facts.logits)
  assert.ok(loss > facts.otx! + 0.1, `${loss}, OTX ${facts.otx}`)
  const lion = space.names.indexOf('Lion')
  const absent = images.flatMap(({ present }, i) =>
    present.includes(lion) ? [] : [gradient[i * space.names.length + lion]!],
  )
  assert.ok(absent.length > 0)
  assert.ok(absent.every((slope) => slope > 0))
  await backend.dispose()
})

test('images with the first label of a group count in accuracy, which OTX leaves out', () => {
  const space = hierarchicalLabels({ groups: [['a', 'b']], parents: {} })
  const task = createTask(space)
  const metrics = task.metrics()
  // Of three images with `a` all are given `b`; of one with `b` so is that.
  metrics.add(
    Float32Array.of(0, 1, 0, 1, 0, 1, 0, 1),
    task.targets([[0], [0], [0], [1]].map((present) => ({ present }))),
  )
  const { accuracy, group_accuracy, otx_accuracy, h_f1 } = metrics.result()
  assert.equal(
    { accuracy, group_accuracy, otx_accuracy, h_f1 },
    { accuracy: 0.25, group_accuracy: 0.25, otx_accuracy: 1, h_f1: 0.25 },
  )
})

test("metrics are OTX's own and those that a brute force gives", () => {
  for (const [name, facts] of Object.entries(stored.metrics)) {
    const space = spaceOf(facts.tree)
    const task = createTask(space)
    const logits = Float32Array.from(facts.logits)
    const targets = task.targets(imagesOf(space, facts.images))
    const metrics = task.metrics()
    const count = facts.images.length
    // In parts of uneven size.
    for (let from = 0; from < count; from += 7) {
      const to = Math.min(count, from + 7)
      metrics.add(logits.subarray(from * task.outputs, to * task.outputs), samplesOf(targets, from, to))
    }
    const result = metrics.result()
    for (const [metric, wanted] of Object.entries<number>(facts.result)) {
      near([result[metric]!], [wanted], metric === 'otx_accuracy' ? 2e-7 : 1e-12, `${name}: ${metric}`)
    }
    assert.equal(
      Object.keys(result).filter((metric) => !/^(f1|otx_accuracy)$/.test(metric) && !(metric in facts.result)),
      absentLevels(space, facts.result),
    )
    const { right, of } = task.right(logits, targets)
    assert.is(right / of, result.accuracy, `${name}: running accuracy`)
  }
})

/** Levels that no image has a label of, which are told as 0. */
const absentLevels = ({ parents }: LabelSpace, result: object) => {
  const depth = (label: number): number => (label < 0 ? 0 : 1 + depth(parents[label]!))
  return Array.from(
    { length: Math.max(...parents.map((_, i) => depth(i))) },
    (_, i) => `accuracy_level_${i + 1}`,
  ).filter((name) => !(name in result))
}

test('what is decoded is the most probable whole, or the most probable of each level', () => {
  let differ = 0
  for (const [name, facts] of Object.entries(stored.metrics)) {
    const space = spaceOf(facts.tree)
    const k = space.names.length
    for (const decoding of ['path', 'threshold'] as const) {
      const task = createTask(space, { decoding })
      facts.decoded[decoding].forEach((wanted, i) => {
        const { labels } = task.predict(Float32Array.from(facts.logits.slice(i * k, (i + 1) * k)))
        assert.equal([...labels].sort(), [...wanted].sort(), `${name}: ${decoding}, image ${i}`)
      })
    }
    facts.decoded.path.forEach((there, i) => {
      if (there.join() !== facts.decoded.threshold[i]!.join()) differ++
    })
  }
  assert.ok(differ > 0, 'they differ somewhere')
})

/** A tree by chance: groups below each other or one a level over several parents, labels without a group anywhere. */
function randomSpace(random: Random): LabelSpace {
  const groups: string[][] = []
  const parents: Record<string, string> = {}
  const others: string[] = []
  let above: string[] = []
  const levels = 1 + Math.floor(random() * 4)
  for (let level = 0; level < levels; level++) {
    const here: string[] = []
    for (let n = 1 + Math.floor(random() * 3); n > 0; n--) {
      const size = level === 0 && n === 1 ? 2 + Math.floor(random() * 4) : 1 + Math.floor(random() * 4)
      const names = Array.from({ length: size }, (_, i) => `${level}-${n}-${i}`)
      const oneParent = random() < 0.6
      const parent = above[Math.floor(random() * above.length)]
      for (const name of names) {
        const own = oneParent ? parent : above[Math.floor(random() * above.length)]
        if (own !== undefined && random() < 0.95) parents[name] = own
      }
      if (size === 1 && random() < 0.5) others.push(names[0]!)
      else groups.push(names)
      here.push(...names)
    }
    above = here
  }
  return hierarchicalLabels({ groups, parents, others })
}

/** The logarithm of how probable it is that just these labels are there. */
function wholeOf(tree: Tree, logits: Float32Array, present: Uint8Array): number {
  const { parents } = tree.labels
  let total = 0
  for (const { labels, group } of tree.choices) {
    if (group >= 0) {
      const there = labels.find((label) => present[label] === 1)
      const sum = labels.reduce((sum, label) => sum + Math.exp(logits[label]!), 0)
      if (there !== undefined) total += logits[there]! - Math.log(sum)
    } else if (parents[labels[0]!]! < 0 || present[parents[labels[0]!]!] === 1) {
      total -= Math.log(1 + Math.exp(present[labels[0]!] === 1 ? -logits[labels[0]!]! : logits[labels[0]!]!))
    }
  }
  return total
}

test('whatever the outputs say, what is decoded is whole: children with their parents, one of each group that is open', () => {
  const seed = 20
  let exact = 0
  const odd = [0, 1e-30, -100, 100, 1e30, -1e30, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN]
  for (let n = 0; n < 3000; n++) {
    const random = randomOf(seed, n)
    const space = randomSpace(random)
    const tree = treeOf(space)
    const strange = random() < 0.2
    const logits = Float32Array.from(space.names, () =>
      strange && random() < 0.3 ? odd[Math.floor(random() * odd.length)]! : 12 * random() - 6,
    )
    const thresholds = space.names.map(() => random())
    const wholes: number[] = []
    for (const decoding of ['path', 'threshold'] as const) {
      const { present } = decode(tree, logits, thresholds, decoding)
      wholes.push(wholeOf(tree, logits, present))
      const isThere = (label: number) => label < 0 || present[label] === 1
      const what = `seed ${seed}, case ${n}, ${decoding}: ${JSON.stringify(space)} ${logits} gives ${present}`
      for (const [label, parent] of space.parents.entries()) {
        if (present[label] === 1 && !isThere(parent)) assert.unreachable(`a child without its parent, ${what}`)
      }
      for (const group of space.groups) {
        const open = group.filter((label) => isThere(space.parents[label]!)).length
        const there = group.filter((label) => present[label] === 1).length
        if (there !== Math.min(1, open)) assert.unreachable(`${there} of a group with ${open} open, ${what}`)
      }
      const task = createTask(space, { threshold: thresholds, decoding })
      const { label, labels, score } = task.predict(logits)
      assert.is(labels.length, present.filter((is) => is === 1).length)
      if (!strange) assert.ok(score >= 0 && score <= 1, what)
      assert.is(label === '', labels.length === 0, what)
    }
    const oneParent = space.groups.every((group) => new Set(group.map((label) => space.parents[label])).size === 1)
    if (oneParent && !strange) {
      exact++
      assert.ok(wholes[0]! >= wholes[1]! - 1e-9, `seed ${seed}, case ${n}: ${wholes}`)
    }
  }
  assert.ok(exact > 500)
})

test('a prediction tells labels from the root down, paths in words, and the probability of the least sure path', () => {
  const space = spaceOf('animals')
  const at = (scores: Record<string, number>) =>
    Float32Array.from(space.names, (name) => Math.log(scores[name] ?? 1e-6))
  const task = createTask(space)
  const { label, labels, score, scores } = task.predict(
    at({ animal: 0.6, vehicle: 0.4, dog: 0.7, cat: 0.3, terrier: 0.9, hound: 0.1, car: 0.5, bus: 0.5 }),
  )
  assert.is(label, 'animal/dog/terrier')
  assert.equal(labels, ['animal', 'dog', 'terrier'])
  near([score], [0.6 * 0.7 * 0.9], 1e-5, 'score')
  const scoreOf = (name: string) => scores[space.names.indexOf(name)]!
  near(['animal', 'dog', 'terrier'].map(scoreOf), [0.6, 0.6 * 0.7, 0.6 * 0.7 * 0.9], 1e-5, 'scores')
  // The one vehicle is likelier as a whole than any animal; level by level it is an animal.
  const near50 = at({
    animal: 0.55,
    vehicle: 0.45,
    dog: 0.4,
    cat: 0.3,
    bird: 0.3,
    hound: 0.5,
    terrier: 0.5,
    car: 0.95,
    bus: 0.05,
  })
  assert.is(task.predict(near50).label, 'vehicle/car')
  assert.is(createTask(space, { decoding: 'threshold' }).predict(near50).label, 'animal/dog/hound')

  const shapes = spaceOf('shapes')
  const logits = Float32Array.from(
    shapes.names,
    (name) => ({ 'Non-Rigid': 5, Circle: 1, Panda: 2, Lion: -1 })[name] ?? 0,
  )
  const found = createTask(shapes).predict(logits)
  assert.is(found.label, 'Non-Rigid/Circle, Panda')
  assert.equal(found.labels, ['Non-Rigid', 'Circle', 'Panda'])
  near([found.score], [(1 / (1 + Math.exp(-5))) * (1 / (1 + Math.exp(-1)))], 1e-6, 'the least sure')
  assert.is(createTask(shapes, { threshold: 0.8 }).predict(logits).label, 'Non-Rigid, Panda')

  const whole = hierarchicalLabels({
    groups: [
      ['a', 'b'],
      ['a/x', 'a/y'],
    ],
    parents: { 'a/x': 'a', 'a/y': 'a' },
  })
  assert.is(createTask(whole).predict(Float32Array.of(1, 0, 0, 1)).label, 'a/y')
})

test('where a group hangs below a label without one, there may be no label at all', () => {
  const space = hierarchicalLabels({ groups: [['small', 'large'], ['car']], parents: { small: 'car', large: 'car' } })
  const task = createTask(space)
  const none = task.predict(Float32Array.of(3, 0, -2))
  assert.equal([none.label, none.labels], ['', []])
  assert.is(task.predict(Float32Array.of(3, 0, 2)).label, 'car/small')
})

test('targets give the names back, from the root down, and these a text', () => {
  const space = spaceOf('shapes')
  const task = createTask(space)
  const images = imagesOf(space, [{ present: ['Panda', 'Circle', 'Non-Rigid'] }, { present: [], unknown: ['Lion'] }])
  const targets = task.targets(images)
  assert.equal(task.names(targets, 0), ['Non-Rigid', 'Circle', 'Panda'])
  assert.equal(task.names(targets, 1), [])
  assert.is(task.text(task.names(targets, 0)), 'Non-Rigid/Circle, Panda')
  assert.is(task.text([]), '')
})

test('two labels of one group in an image are refused by name', () => {
  const space = spaceOf('animals')
  const two = imagesOf(space, [{ present: ['animal', 'dog', 'cat'] }])
  assert.throws(
    () => createTask(space).targets(two),
    (error: unknown) =>
      error instanceof InputError &&
      error.message === 'labels: an image must have one label of a group at most, got "dog" and "cat"',
  )
})

test('options that mean nothing, or are out of range, are refused', () => {
  const space = spaceOf('shapes')
  const refused: [TaskOptions, string][] = [
    [{ positiveWeights: [1] }, 'positiveWeights: means nothing to task hierarchical (labels of a tree); leave it out'],
    [{ loss: 'ce' }, 'loss: must be one of aal, bce, asl for task hierarchical, got ce'],
    [{ threshold: 2 }, 'threshold: must be in [0, 1], got 2'],
    [{ threshold: [0.5] }, 'threshold: must be one for each of 8 labels, got 1'],
    [{ decoding: 'best' as 'path' }, 'decoding: must be one of path, threshold, got best'],
    [{ pathConsistency: -1 }, 'pathConsistency: must be at least 0, got -1'],
  ]
  for (const [options, message] of refused) {
    assert.throws(
      () => createTask(space, options),
      (error: unknown) => error instanceof InputError && error.message === message,
      message,
    )
  }
  const { groups, parents } = stored.trees.shapes!
  assert.equal(hierarchical({ groups, parents }).labels, space)
})

test('the table of labels counts where a label is known, and a label below an absent one is known to be absent', () => {
  const space = spaceOf('shapes')
  const task = createTask(space)
  const metrics = task.metrics()
  const images = imagesOf(space, [
    { present: ['Rigid', 'Triangle'] },
    { present: ['Rigid'] },
    { present: ['Non-Rigid'], unknown: ['Circle'] },
    { present: ['Rigid', 'Rectangle'], unknown: ['Circle'] },
  ])
  // Each is given Rigid and Rectangle, and Panda.
  const one = Float32Array.from(space.names, (name) => ({ Rigid: 2, Rectangle: 2, Panda: 1 })[name] ?? -2)
  metrics.add(Float32Array.from([one, one, one, one].flatMap((row) => [...row])), task.targets(images))
  const rows = Object.fromEntries(metrics.byLabel().map((row) => [row.label, row]))
  const told = (name: string) => [rows[name]!.positives, rows[name]!.known]
  assert.equal(told('Rigid'), [3, 4])
  // Nobody says which shape the second is; the third is none of them.
  assert.equal(told('Rectangle'), [1, 3])
  near([rows.Rectangle!.precision, rows.Rectangle!.recall], [1 / 3, 1], 1e-12, 'Rectangle')
  // Unknown in the third, but not below Rigid.
  assert.equal(told('Circle'), [0, 3])
  assert.equal(told('Panda'), [0, 4])
  assert.is(rows.Panda!.threshold, 0.5)
  assert.is(rows.Rigid!.threshold, undefined)
})

test('thresholds are tuned where a label has one, one number a label', () => {
  const space = spaceOf('one')
  const task = createTask(space)
  const metrics = task.metrics()
  const wet = space.names.indexOf('wet')
  const logits = (z: number) => Float32Array.from(space.names, (_, i) => (i === wet ? z : 0))
  for (const [z, is] of [
    [-2, false],
    [-1, true],
    [-0.9, true],
    [-3, false],
  ] as const) {
    metrics.add(logits(z), task.targets(imagesOf(space, [{ present: ['left', ...(is ? ['wet'] : [])] }])))
  }
  const found = metrics.thresholds!()
  assert.is(found.length, space.names.length)
  assert.ok(found[wet]! > 1 / (1 + Math.exp(2)) && found[wet]! <= 1 / (1 + Math.exp(1)))
  const tuned = createTask(space, { threshold: found })
  assert.ok(tuned.predict(logits(-1)).labels.includes('wet'))
  assert.not.ok(tuned.predict(logits(-2)).labels.includes('wet'))
  assert.is(createTask(spaceOf('animals')).metrics().thresholds, undefined)
})

test('accuracy is a metric that may choose the best epoch, and comes first', () => {
  const task = createTask(spaceOf('shapes'))
  const result = { loss: 0, ...task.metrics().result() }
  assert.is(Object.keys(task.monitors)[0], 'accuracy')
  for (const [name, better] of Object.entries(task.monitors)) {
    assert.ok(name in result, name)
    assert.is(better, name === 'loss' ? 'lower' : 'higher')
  }
  assert.ok(
    Object.values(result).every((value) => value === 0),
    'nothing was added',
  )
})

test('the loss that is told of an epoch is by image where that of a step is a sum', () => {
  const task = createTask(spaceOf('shapes'))
  const counts = [4, 0, 8]
  assert.equal(task.scales(counts), [1 / 4, 0, 1])
  assert.equal(task.epochScales!(counts), [1 / 4, 0, 1 / 8])
  assert.equal(createTask(spaceOf('shapes'), { loss: 'bce', pathConsistency: 2 }).scales([4, 2, 8, 5]), [
    1 / 8,
    1 / 4,
    1 / 8,
    2 / 5,
  ])
})

test('a threshold is refused where every label is in a group, and no other is', () => {
  const groups = [
    ['animal', 'plant'],
    ['cat', 'dog'],
  ]
  const parents = { cat: 'animal', dog: 'animal' }
  const said = (others: string[]) => {
    try {
      checkThresholds(createTask(hierarchicalLabels({ groups, parents, others }), { threshold: 0.9 }))
      return 'fine'
    } catch (error) {
      return (error as Error).message
    }
  }
  assert.match(said([]), /^threshold: changes nothing where every label is in a group/)
  assert.is(said(['wet']), 'fine')
})

test.run()
