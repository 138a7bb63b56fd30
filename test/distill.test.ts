// The loss that keeps an old model's outputs: PyTorch's numbers, its gradients, which labels it is about, and that a task is as it
// was where a batch brings no old outputs.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { hierarchicalLabels, type LabelSpace, multiclassLabels, multilabelLabels } from 'vitune'
import { type Backend, createReference, createWasm, mul, sum, type Tensor, tensor, valueAndGrad } from 'vitune/tensor'
import { createTask, type DistilledTask, distilled, type TaskOptions } from 'vitune/train'
import { checkTensors, near, take } from './grad-check.ts'
import { fixtures } from './small-vit.ts'

interface Case {
  name: string
  new: number[]
  old: number[]
  loss: number
  gradient: number[]
  temperature: number
}
const stored: { samples: number; cases: Case[] } = JSON.parse(
  readFileSync(join(fixtures, 'distill/values.json'), 'utf8'),
)
const count = stored.samples

const classes = multiclassLabels(['new', 'ant', 'elk', 'cat', 'bee'])
const oldClasses = multiclassLabels(['ant', 'bee', 'cat', 'dog'])
const labels = multilabelLabels(['wet', 'elk', 'red', 'fly'])
const oldLabels = multilabelLabels(['red', 'big', 'wet'])
const treeOf = (first: string[], others: string[]) =>
  hierarchicalLabels({
    groups: [first, ['cat', 'elk', 'dog']],
    parents: { cat: 'animal', dog: 'animal', elk: 'animal' },
    others,
  })
const tree = treeOf(['animal', 'plant'], ['wet', 'red'])
const oldTree = treeOf(['plant', 'animal'], ['wet'])

const spaces: [RegExp, LabelSpace, LabelSpace, TaskOptions][] = [
  [/^classes/, classes, oldClasses, {}],
  [/averaged$/, labels, oldLabels, { loss: 'bce' }],
  [/summed$/, labels, oldLabels, { loss: 'aal' }],
  [/^tree$/, tree, oldTree, { loss: 'bce' }],
]

/** Targets of samples that nothing is known of but an old model's outputs. */
function targetsOf(task: DistilledTask, outputs: Float32Array) {
  const present = task.name === 'multiclass' ? [0] : []
  const own = task.targets(Array.from({ length: count }, () => ({ present })))
  return { own, all: { ...own, ...task.oldTargets(outputs, count) } }
}

/** The old loss alone, as it is optimised, on a backend. */
function oldLoss(task: DistilledTask, outputs: Float32Array, backend: Backend): (logits: Tensor) => Tensor {
  const { own, all } = targetsOf(task, outputs)
  const terms = task.counts(own).length
  const scales = task.scales(task.counts(all)).map((scale, i) => (i < terms ? 0 : scale))
  return (logits) => {
    const targets = Object.fromEntries(
      Object.entries(all).map(([name, { data, shape }]) => [name, tensor(backend, data, shape)]),
    )
    return sum(mul(task.terms(logits, targets, true), tensor(backend, scales, [scales.length])), 0)
  }
}

for (const { name, loss, gradient, temperature, ...given } of stored.cases) {
  test(`${name}: loss and gradient are PyTorch's`, async () => {
    const [, space, before, options] = spaces.find(([pattern]) => pattern.test(name))!
    const task = distilled(createTask(space, options), before, { weight: 1, temperature })
    const backends = [createReference({ precision: 'f64' }), createReference(), await createWasm({ threads: 1 })]
    for (const [i, backend] of backends.entries()) {
      const of = oldLoss(task, Float32Array.from(given.old), backend)
      const logits = tensor(backend, Float32Array.from(given.new), [count, task.outputs])
      const { value, grads } = valueAndGrad(() => of(logits), [logits])
      const [got, slope] = await take([value, grads[0]!])
      // In f32 outputs of up to a hundred are subtracted from each other.
      const tolerance = i === 0 ? 1e-6 : 1e-5
      near(got!, [loss], tolerance, `${backend.name}: loss`)
      near(slope!, gradient, tolerance, `${backend.name}: gradient`)
      logits.dispose()
      assert.is(backend.memory().buffers, 0)
      await backend.dispose()
    }
  })
}

test('its gradients are those of central differences, with the task itself beside it', async () => {
  for (const { name, temperature, ...given } of stored.cases.filter((one) => !one.name.includes('far'))) {
    const [, space, before, options] = spaces.find(([pattern]) => pattern.test(name))!
    const task = distilled(createTask(space, options), before, { weight: 0.7, temperature })
    const backend = createReference({ precision: 'f64' })
    const { all } = targetsOf(task, Float32Array.from(given.old))
    const scales = task.scales(task.counts(all))
    const logits = tensor(backend, Float32Array.from(given.new), [count, task.outputs])
    const targets = Object.fromEntries(
      Object.entries(all).map(([key, { data, shape }]) => [key, tensor(backend, data, shape)]),
    )
    const weights = tensor(backend, scales, [scales.length])
    await checkTensors(name, () => sum(mul(task.terms(logits, targets, true), weights), 0), [logits])
    for (const t of [logits, weights, ...Object.values(targets)]) t.dispose()
  }
})

test('outputs that are the same as before cost nothing, and their group has no gradient', async () => {
  const same = multiclassLabels(['ant', 'bee', 'cat'])
  const task = distilled(createTask(same), same, { weight: 3, temperature: 2 })
  const backend = createReference({ precision: 'f64' })
  const outputs = Float32Array.from({ length: count * 3 }, (_, i) => (i % 7) - 3)
  const logits = tensor(backend, outputs, [count, 3])
  const { value, grads } = valueAndGrad(() => oldLoss(task, outputs, backend)(logits), [logits])
  const [loss, slope] = await take([value, grads[0]!])
  near(loss!, [0], 1e-12, 'loss')
  near(slope!, new Float64Array(count * 3), 1e-12, 'gradient')
  logits.dispose()
  assert.is(backend.memory().buffers, 0)
})

test('labels that both know are kept where they are decided in the same way, the others are named', () => {
  const how = (space: LabelSpace, before: LabelSpace) =>
    distilled(createTask(space), before, { weight: 1, temperature: 2 }).shared
  const composed = multiclassLabels(['caf\u00e9', 'tea', 'milk'])
  const decomposed = multiclassLabels(['milk', 'cafe\u0301'])
  assert.equal(how(composed, decomposed).groups, [
    {
      start: 0,
      end: 3,
      pairs: [
        [0, 1],
        [2, 0],
      ],
    },
  ])
  // 'wet' stands by itself in both; 'cat' is one of many in the tree and by itself in the other.
  const mixed = how(multilabelLabels(['cat', 'wet']), oldTree)
  assert.equal([mixed.groups, mixed.singles, mixed.otherwise], [[], [[1, 5]], ['cat']])
  const own = how(tree, oldTree)
  assert.equal(
    own.groups.map(({ pairs }) => pairs.map(([now]) => tree.names[now])),
    [
      ['animal', 'plant'],
      ['cat', 'elk', 'dog'],
    ],
  )
  const refused = (space: LabelSpace, before: LabelSpace) => () => how(space, before)
  assert.throws(
    refused(multilabelLabels(['ant', 'bee']), oldClasses),
    /^distill: needs labels of the old run that are decided in the same way now; leave distill out/,
  )
  assert.throws(refused(classes, multiclassLabels(['x', 'y'])), /^distill: needs labels .* in the data now; leave/)
})

test('labels that no sample has take no part in the loss of the others, so that they are not pushed down', async () => {
  const plain = createTask(classes)
  // 'ant' and 'bee' are known from before.
  const task = distilled(plain, oldClasses, { weight: 1e-30, temperature: 2, absent: [1, 4] })
  const backend = createReference({ precision: 'f64' })
  const given = task.targets(Array.from({ length: count }, () => ({ present: [2] })))
  const all = { ...given, ...task.oldTargets(new Float32Array(count * 4), count) }
  const logits = tensor(
    backend,
    Float32Array.from({ length: count * 5 }, (_, i) => (i % 7) - 3),
    [count, 5],
  )
  const targets = Object.fromEntries(
    Object.entries(all).map(([name, { data, shape }]) => [name, tensor(backend, data, shape)]),
  )
  const scales = tensor(backend, task.scales(task.counts(all)), [2])
  const { value, grads } = valueAndGrad(() => sum(mul(task.terms(logits, targets, true), scales), 0), [logits])
  const [, slope] = await take([value, grads[0]!])
  for (let at = 0; at < count; at++) {
    const row = Array.from({ length: 5 }, (_, i) => slope![at * 5 + i]!)
    near([row[1]!, row[4]!], [0, 0], 1e-12, 'closed')
    near([row[0]! + row[2]! + row[3]!], [0], 1e-9, 'the others')
    assert.ok(row[2]! < 0 && row[0]! > 0)
  }
  for (const t of [logits, scales, ...Object.values(targets)]) t.dispose()
  assert.is(backend.memory().buffers, 0)
})

test('a batch without old outputs is what it is to the task itself', async () => {
  for (const [, space, before, options] of spaces) {
    const plain = createTask(space, options)
    const task = distilled(plain, before, { weight: 1, temperature: 2 })
    const { own, all } = targetsOf(task, new Float32Array(count * before.names.length))
    assert.equal(task.counts(own), plain.counts(own))
    assert.equal(task.scales(task.counts(own)), plain.scales(plain.counts(own)))
    const samples = task.counts(all).slice(task.counts(own).length)
    assert.ok(samples.length > 0 && samples.every((n) => n === count))
    assert.is(task.scales(task.counts(all)).length, task.counts(all).length)
  }
})

test.run()
