// Of every task and loss: batches added up, computed in parts or uneven make the step of all their samples, in gradients and in
// every number that is told.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { hierarchicalLabels, type ImageLabels, type LabelSpace, type StepEvent } from 'vitune'
import { disposeModule, setTrainable } from 'vitune/nn'
import { createReference, createWasm, Rng } from 'vitune/tensor'
import { type Batch, type BatchSource, createTask, fit, type Task, type TaskOptions } from 'vitune/train'
import { multiclassLabels, multilabelLabels } from '../src/labels/labels.ts'
import { samplesOf } from '../src/tensor/host.ts'
import { near } from './grad-check.ts'
import { smallVit, weightsOf } from './small-vit.ts'

const names = ['ant', 'bee', 'cat', 'dog']
const tree = hierarchicalLabels({
  groups: [
    ['animal', 'plant'],
    ['cat', 'dog', 'eel'],
    ['fern', 'grass'],
  ],
  parents: { cat: 'animal', dog: 'animal', eel: 'animal', fern: 'plant', grass: 'plant', wet: 'eel' },
  others: ['red', 'wet'],
})

/** Labels of sample `i`; those of the first samples leave some groups and labels without anyone who knows them. */
function labelsOf({ task, names }: LabelSpace, i: number): ImageLabels {
  const at = (name: string) => names.indexOf(name)
  if (task === 'multiclass') return { present: [(i * 7) % names.length] }
  if (task === 'multilabel')
    return {
      present: names.map((_, k) => k).filter((k) => (i * 5 + k * 3) % 4 === 0),
      unknown: i % 3 === 0 ? [i % 2] : [],
    }
  const kinds =
    i < 6
      ? [['animal', 'cat'], ['animal', 'eel', 'wet'], ['animal']]
      : [['plant', 'fern', 'red'], ['animal', 'dog'], []]
  const present = kinds[i % 3]!.map(at)
  return { present, unknown: i % 4 === 1 && !kinds[i % 3]!.includes('red') ? [at('red')] : [] }
}

const kinds: [string, LabelSpace, TaskOptions][] = [
  ['multi-class, smoothed', multiclassLabels(names), { labelSmoothing: 0.1 }],
  ['multi-label, aal', multilabelLabels(names), { loss: 'aal' }],
  ['multi-label, bce', multilabelLabels(names), { loss: 'bce', positiveWeights: [1, 3, 0.5, 2] }],
  ['multi-label, asl', multilabelLabels(names), { loss: 'asl' }],
  ['a tree, aal', tree, { loss: 'aal' }],
  ['a tree, bce, along paths', tree, { loss: 'bce', pathConsistency: 0.5 }],
]

const COUNT = 18
const PIXELS = 3 * 8 * 8

/** All samples as one batch. */
function whole(task: Task): Batch {
  const rng = new Rng(4, 8)
  const data = Float32Array.from({ length: COUNT * PIXELS }, () => rng.normal())
  return {
    inputs: { images: { data, shape: [COUNT, 3, 8, 8] } },
    targets: task.targets(Array.from({ length: COUNT }, (_, i) => labelsOf(task.labels, i))),
    count: COUNT,
    names: Array.from({ length: COUNT }, (_, i) => `${i}.png`),
  }
}

/** The same samples in batches of these sizes. */
function cut(task: Task, sizes: readonly number[]): BatchSource {
  const { inputs, targets, names } = whole(task)
  let from = 0
  const batches = sizes.map((count): Batch => {
    const [a, b] = [from, from + count]
    from = b
    return { inputs: samplesOf(inputs, a, b), targets: samplesOf(targets, a, b), count, names: names.slice(a, b) }
  })
  return {
    batches: sizes.length,
    async *epoch(_, first) {
      yield* batches.slice(first)
    },
  }
}

for (const [name, make, within] of [
  ['reference', () => createReference({ precision: 'f64' }), 1e-11],
  ['wasm', () => createWasm({ threads: 2 }), 2e-5],
] as const) {
  test(`9 batches of 2 added up, parts and uneven batches are 18 samples at once, for each task's loss (${name})`, async () => {
    const backend = await make()
    for (const [what, space, options] of kinds) {
      const task = createTask(space, options)
      const outcome = async (
        sizes: readonly number[],
        more: { accumulate?: number; microBatch?: number; replay?: boolean },
      ) => {
        const model = smallVit(backend, { classes: [...space.names], layers: 2 })
        setTrainable(model, true)
        const told: number[] = []
        const steps: StepEvent[] = []
        const val = cut(task, [5, 5, 5, 3])
        for await (const event of fit({
          model,
          task,
          train: cut(task, sizes),
          val,
          epochs: 2,
          lr: 0.05,
          optimizer: 'sgd',
          clip: 1,
          ...more,
        })) {
          if (event.kind === 'step') {
            steps.push(event)
            told.push(event.loss, event.accuracy, event.count, event.gradNorm!)
          } else told.push(event.trainLoss, event.trainAccuracy, event.loss!, ...Object.values(event.metrics!))
        }
        const weights = await weightsOf(model)
        disposeModule(model)
        return { told, weights }
      }
      const all = await outcome([18], {})
      assert.ok(all.told.every(Number.isFinite))
      for (const [how, sizes, more] of [
        ['9 x 2 added up', Array.from({ length: 9 }, () => 2), { accumulate: 9 }],
        ['uneven, added up', [7, 6, 4, 1], { accumulate: 4 }],
        ['in parts of 5', [18], { microBatch: 5 }],
        ['added up, in parts, not replayed', [11, 7], { accumulate: 2, microBatch: 4, replay: false }],
      ] as const) {
        const got = await outcome(sizes, more)
        near(got.told, all.told, within, `${what}: ${how}`)
        for (const [key, values] of got.weights) near(values, all.weights.get(key)!, within, `${what}: ${how}: ${key}`)
      }
    }
    assert.is(backend.memory().buffers, 0)
    await backend.dispose()
  })
}

test.run()
