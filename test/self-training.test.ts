// Learning from images that nobody labelled: which answers of a teacher become labels, what of them the loss counts, in which order
// such images come, and that the teacher is the average of the weights up to the step before. With files: unlabelled.test.ts.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { hierarchicalLabels } from 'vitune'
import { createReference, Rng, tensor } from 'vitune/tensor'
import { createTask, type Task, type TaskOptions } from 'vitune/train'
import { createReference as createOwn } from '../src/backend/reference/reference.ts'
import { roundRobin } from '../src/data/sampler.ts'
import { type LabelSpace, multiclassLabels, multilabelLabels } from '../src/labels/labels.ts'
import { Vit } from '../src/models/vit/vit.ts'
import { truncatedNormal } from '../src/nn/layers.ts'
import { disposeModule, setTrainable, trainableParameters } from '../src/nn/module.ts'
import { selfTrainingSource } from '../src/run/self-training.ts'
import { multiclass } from '../src/tasks/multiclass.ts'
import { selfTraining } from '../src/tasks/self-training.ts'
import { sureLabels } from '../src/tasks/sure-labels.ts'
import { lossOf } from '../src/tasks/task.ts'
import { type HostInputs, samplesOf } from '../src/tensor/host.ts'
import { logitsOf } from '../src/train/evaluate.ts'
import { fit } from '../src/train/fit.ts'
import { near } from './grad-check.ts'
import { pixels, smallConfig } from './small-vit.ts'

const tree = hierarchicalLabels({
  groups: [
    ['animal', 'plant'],
    ['cat', 'dog'],
  ],
  parents: { cat: 'animal', dog: 'animal', wet: 'dog' },
  others: ['red', 'wet'],
})
const at = (space: LabelSpace, logits: Record<string, number>) =>
  Float32Array.from(space.names, (name) => logits[name] ?? 0)
/** What is learnt: labels that are there, and those that are not. */
function learnt(space: LabelSpace, logits: Record<string, number>, threshold: number) {
  const { labels, sure, of } = sureLabels(space, at(space, logits), threshold)
  const present = labels.present.map((label) => space.names[label]!)
  const absent = space.names.filter((_, i) => !labels.present.includes(i) && !labels.unknown!.includes(i))
  return { present, absent, sure, of }
}

test('one class an image: the highest score is learnt from the threshold on, else nothing', () => {
  const space = multiclassLabels(['ant', 'bee', 'cat'])
  // softmax of (ln 8, 0, 0) is .8, .1, .1
  const logits = { ant: Math.log(8) }
  assert.equal(learnt(space, logits, 0.79), { present: ['ant'], absent: ['bee', 'cat'], sure: 1, of: 1 })
  assert.equal(learnt(space, logits, 0.81), { present: [], absent: [], sure: 0, of: 1 })
  assert.equal(learnt(space, { bee: 1000 }, 1).present, ['bee'])
})

test('any number of labels: each is learnt where it is surely there or surely not', () => {
  const space = multilabelLabels(['red', 'green', 'blue'])
  // sigmoids .9, .1, .6
  const logits = { red: Math.log(9), green: -Math.log(9), blue: Math.log(1.5) }
  assert.equal(learnt(space, logits, 0.89), { present: ['red'], absent: ['green'], sure: 2, of: 3 })
  assert.equal(learnt(space, logits, 0.91), { present: [], absent: [], sure: 0, of: 3 })
})

test('a tree: each group by itself, and what is a kind of another label only where that is surely there', () => {
  const some = { animal: 9, cat: 9, red: -9 }
  assert.equal(learnt(tree, some, 0.95), {
    present: ['animal', 'cat'],
    absent: ['plant', 'dog', 'red'],
    sure: 3,
    of: 3,
  })
  // Not sure of the animal: nobody asks which, whatever that group says.
  assert.equal(learnt(tree, { ...some, animal: 1 }, 0.95), { present: [], absent: ['red'], sure: 1, of: 2 })
  assert.equal(learnt(tree, { ...some, cat: 1 }, 0.95).present, ['animal'])
  assert.equal(learnt(tree, { plant: 9, cat: 9, red: 9 }, 0.95).present, ['plant', 'red'])
  assert.equal(learnt(tree, { animal: 9, dog: 9, wet: 9 }, 0.95).present, ['animal', 'dog', 'wet'])
})

const kinds: [string, LabelSpace, TaskOptions][] = [
  ['one class an image', multiclassLabels(['ant', 'bee', 'cat', 'dog']), {}],
  ['any number of labels, aal', multilabelLabels(['ant', 'bee', 'cat', 'dog']), {}],
  ['any number of labels, bce', multilabelLabels(['ant', 'bee', 'cat', 'dog']), { loss: 'bce' }],
  ['a tree', tree, { loss: 'bce', pathConsistency: 0.5 }],
]

/** Random outputs of so many samples, some of which are sure. */
const outputs = ({ outputs: k }: Task, count: number, seed: number) => {
  const rng = new Rng(seed, 6)
  return Float32Array.from({ length: count * k }, () => 4 * rng.normal())
}
const labelsOf = ({ task, names }: LabelSpace, i: number) =>
  task === 'hierarchical' ? { present: i % 2 ? [0, 2 + (i % 4 > 1 ? 1 : 0)] : [1, 4] } : { present: [i % names.length] }

/** The loss of a batch, as a step has it. */
async function lossIn(task: Task, logits: Float32Array, targets: HostInputs): Promise<number> {
  const backend = createReference({ precision: 'f64' })
  const on = (data: Float32Array | Int32Array, shape: readonly number[]) => tensor(backend, data, shape)
  const given = Object.fromEntries(
    Object.entries(targets).map(([name, { data, shape }]) => [name, on(data as Float32Array, shape)]),
  )
  const terms = task.terms(on(logits, [logits.length / task.outputs, task.outputs]), given, true)
  const sums = (await terms.data()) as Float32Array
  await backend.dispose()
  return lossOf(task, sums, task.counts(targets))
}

for (const [name, space, options] of kinds) {
  test(`${name}: the loss is the task's of the labelled, and its weighted mean over all others, unsure ones as zeros`, async () => {
    const task = createTask(space, options)
    const [labelled, others, weight] = [3, 6, 0.7]
    const own = task.targets(Array.from({ length: labelled }, (_, i) => labelsOf(space, i)))
    const [logits, weak] = [outputs(task, labelled + others, 1), outputs(task, others, 2)]
    const of = (threshold: number) => selfTraining(task, { threshold, weight })
    const split = labelled * task.outputs
    const alone = await lossIn(task, logits.slice(0, split), own)

    // Nothing is sure of itself beyond doubt.
    const none = of(1).withTeacher(
      own,
      labelled,
      outputs(task, others, 2).map((z) => z / 100),
    )
    near([await lossIn(of(1), logits, none)], [alone], 1e-6, 'no answer is sure')

    // Everything is: then it is the task's loss of these answers, as of labels.
    const all = of(0.01)
    const answers = Array.from({ length: others }, (_, i) =>
      sureLabels(space, weak.subarray(i * task.outputs, (i + 1) * task.outputs), 0.01),
    )
    const learntAll = task.targets(answers.map(({ labels }) => labels))
    const rest = await lossIn(task, logits.slice(split), learntAll)
    // A plain sum is over twice as many samples, and counts as over as many.
    const isSum = options.loss === undefined && space.groups.length === 0
    const told = all.withTeacher(own, labelled, weak)
    near([await lossIn(all, logits, told)], [alone + weight * (isSum ? rest / 2 : rest)], 1e-6, 'all are sure')

    // Without a teacher it is the task.
    assert.is(await lossIn(all, logits.slice(0, split), own), alone)
    assert.equal(all.counts(own), task.counts(own))
    assert.equal(all.right(logits, told), task.right(logits.slice(0, split), own))
    assert.equal(all.told!(all.counts(told)), { sure: 1 })
    const half = of(0.9).withTeacher(own, labelled, weak)
    const want = answers.map((_, i) => sureLabels(space, weak.subarray(i * task.outputs, (i + 1) * task.outputs), 0.9))
    const sum = (by: (one: (typeof want)[number]) => number) => want.reduce((total, one) => total + by(one), 0)
    assert.equal(of(0.9).told!(of(0.9).counts(half)), { sure: sum(({ sure }) => sure) / sum(({ of }) => of) })
  })

  test(`${name}: parts of a batch add up to it`, async () => {
    const task = createTask(space, options)
    const own = task.targets(Array.from({ length: 4 }, (_, i) => labelsOf(space, i)))
    const both = selfTraining(task, { threshold: 0.8, weight: 2 })
    const targets = both.withTeacher(own, 4, outputs(task, 5, 3))
    const logits = outputs(task, 9, 4)
    const whole = await lossIn(both, logits, targets)
    let parts = 0
    for (const [from, to] of [
      [0, 3],
      [3, 6],
      [6, 9],
    ] as const) {
      const piece = { ...both, counts: () => both.counts(targets) }
      parts += await lossIn(piece, logits.slice(from * task.outputs, to * task.outputs), samplesOf(targets, from, to))
    }
    near([parts], [whole], 1e-6, 'loss')
  })
}

test('the order goes round and round, each image once a round, and can be entered anywhere', () => {
  const [length, count] = [7, 40]
  const all = roundRobin(length, 5, 0, count)
  for (let round = 0; round < 5; round++) {
    assert.equal(all.slice(round * length, (round + 1) * length).sort(), [0, 1, 2, 3, 4, 5, 6])
  }
  assert.not.equal(all.slice(0, 7), all.slice(7, 14))
  for (const first of [1, 6, 7, 20]) assert.equal(roundRobin(length, 5, first, count - first), all.slice(first))
  assert.not.equal(roundRobin(length, 6, 0, count), all)
})

/** Two batches of three labelled images an epoch, and two views of four without labels beside each. */
const images = (count: number, seed: number) => ({
  images: { data: pixels(count, seed), shape: [count, 3, 8, 8] },
})
const named = (count: number) => Array.from({ length: count }, (_, i) => `${i}.png`)
const weakOf = (epoch: number, batch: number) => images(4, 100 + 2 * epoch + batch)

test('the teacher is the average of the weights up to the step before, and nothing is left in memory', async () => {
  const backend = createOwn({ precision: 'f64' })
  const made = () => {
    const model = new Vit(backend, smallConfig, truncatedNormal(new Rng(3), 0.2))
    setTrainable(model, true)
    return model
  }
  const [model, twin] = [made(), made()]
  const own = multiclass(smallConfig.classes)
  const learner = selfTraining(own, { threshold: 0.4, weight: 1 })
  const heard: Float32Array[] = []
  const targets = own.targets([0, 1, 2].map((label) => ({ present: [label] })))
  const source = selfTrainingSource({
    labelled: {
      batches: 2,
      async *epoch(_, first) {
        for (let b = first; b < 2; b++) yield { inputs: images(3, b), targets, count: 3, names: named(3) }
      },
    },
    unlabelled: {
      async *epoch(epoch, first) {
        for (let b = first; b < 2; b++)
          yield { views: [weakOf(epoch, b), images(4, 50 + b)], count: 4, names: named(4) }
      },
    },
    task: {
      ...learner,
      withTeacher(given, count, outputs) {
        heard.push(outputs.slice())
        return learner.withTeacher(given, count, outputs)
      },
    },
    model,
    microBatch: 3,
  })
  const weights = async () => {
    const values: Float64Array[] = []
    for (const [, p] of trainableParameters(model)) values.push(Float64Array.from((await p.data()) as Float32Array))
    return values
  }
  const decay = 0.6
  // Before the first step it is the weights; the first step's weights begin the average.
  let average = await weights()
  let last = average
  let [step, others] = [0, 0]
  const spare: number[] = []
  for await (const event of fit({ model, task: learner, train: source, epochs: 3, lr: 0.02, ema: decay })) {
    if (event.kind === 'epoch') continue
    for (const [i, [, p]] of trainableParameters(twin).entries()) p.assign(Float32Array.from(average[i]!))
    near(heard[step]!, await logitsOf(twin, { inputs: weakOf(step >> 1, step % 2) }), 1e-5, `step ${step + 1}`)
    const now = await weights()
    if (step > 1) {
      for (const [i, [, p]] of trainableParameters(twin).entries()) p.assign(Float32Array.from(last[i]!))
      const trained = await logitsOf(twin, { inputs: weakOf(step >> 1, step % 2) })
      if (trained.some((z, i) => Math.abs(z - heard[step]![i]!) > 1e-3)) others++
    }
    average = step === 0 ? now : average.map((values, i) => values.map((v, j) => decay * v + (1 - decay) * now[i]![j]!))
    last = now
    step++
    spare.push(backend.memory().buffers)
  }
  assert.is(step, 6)
  assert.is(others, 4, 'the weights themselves say something else')
  assert.is(new Set(spare.slice(2)).size, 1, `buffers by step: ${spare}`)
  for (const one of [model, twin]) disposeModule(one)
  assert.is(backend.memory().buffers, 0)
})

test("a teacher's time is the step's, not waiting for images", async () => {
  const backend = createOwn()
  const model = new Vit(backend, smallConfig, truncatedNormal(new Rng(3), 0.2))
  setTrainable(model, true)
  const own = multiclass(smallConfig.classes)
  const pause = (ms: number) => new Promise((done) => setTimeout(done, ms))
  const batch = { inputs: images(1, 1), targets: own.targets([{ present: [0] }]), count: 1, names: named(1) }
  const train = {
    batches: 2,
    async *epoch() {
      for (let b = 0; b < 2; b++) {
        const asked = performance.now()
        await pause(60)
        yield { ...batch, computeSeconds: (performance.now() - asked) / 1000 }
      }
    },
  }
  let before = performance.now()
  for await (const event of fit({ model, task: own, train, epochs: 1, lr: 0.01 })) {
    if (event.kind === 'epoch') continue
    const now = performance.now()
    // Timers may fire a millisecond early.
    assert.ok(event.seconds > 0.058, `${event.seconds}`)
    assert.ok(event.dataSeconds >= 0 && event.seconds + event.dataSeconds <= (now - before) / 1000)
    before = now
  }
  disposeModule(model)
  assert.is(backend.memory().buffers, 0)
})

test.run()
