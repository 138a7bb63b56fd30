// Any number of labels an image and labels of a tree, from files to run folders and back: events, numbers, thresholds, what
// chooses the best epoch, stops and resumes, and what is refused. The program by its verbs: cli-tasks.test.ts.
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  evaluate,
  type ImagePrediction,
  openData,
  openModel,
  openRun,
  predict,
  type TrainEvent,
  type TrainOptions,
  train,
} from 'vitune'
import { batchSource, evalTransform } from 'vitune/data'
import { disposeModule } from 'vitune/nn'
import { type Backend, createReference, createWasm, createWebgpu } from 'vitune/tensor'
import { createTask } from 'vitune/train'
import { backends } from './backends.ts'
import { model, temporary } from './cli-tools.ts'
import { errorOf } from './errors.ts'
import { filesOf } from './kills.ts'
import {
  classFolders,
  isBlank,
  labelledColumns,
  labelledTable,
  labelledTree,
  labels,
  labelsAt,
  treeFacts,
  treeLabels,
} from './task-pictures.ts'

const { folder, clean } = temporary()
test.after(clean)
let made = 0
const fresh = (name = 'run') => join(folder, `${name}-${made++}`)

const table = await labelledTable(join(folder, 'table'))
const columns = await labelledColumns(join(folder, 'columns'))
const tree = await labelledTree(join(folder, 'tree'))

type Given = Partial<TrainOptions>
const basics = {
  ...{ model, threads: 1, epochs: 2, batchSize: 6, device: 'wasm' },
  ...{ lr: 1e-2, schedule: 'constant', warmup: 0 },
} as const

async function collect(given: Given): Promise<TrainEvent[]> {
  const events: TrainEvent[] = []
  const options = given.resume ? given : { ...basics, ...given }
  for await (const event of train(options as TrainOptions)) events.push(event)
  return events
}

type Only<K extends TrainEvent['kind']> = Extract<TrainEvent, { kind: K }>
const only = <K extends TrainEvent['kind']>(events: readonly TrainEvent[], kind: K) =>
  events.filter((e): e is Only<K> => e.kind === kind)
const last = <K extends TrainEvent['kind']>(events: readonly TrainEvent[], kind: K): Only<K> =>
  only(events, kind).at(-1)!

const read = (...path: string[]) => readFileSync(join(...path), 'utf8')
const lines = (out: string) =>
  read(out, 'metrics.jsonl')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
const runOf = (out: string) => JSON.parse(read(out, 'run.json'))

async function onBackend<T>(fn: (backend: Backend) => Promise<T>): Promise<T> {
  const backend = await createWasm({ threads: 1 })
  try {
    const result = await fn(backend)
    assert.is(backend.memory().buffers, 0, 'buffers left')
    return result
  } finally {
    await backend.dispose()
  }
}

const predicted = (out: string, files: readonly string[]): Promise<ImagePrediction[]> =>
  onBackend(async (backend) => {
    const opened = await openRun(backend, out)
    const found = await predict(opened, files)
    disposeModule(opened.model)
    return found
  })

/** What the run measured on what it set aside, with 0.5 as every threshold, as an epoch is. */
const measured = (out: string, data: string) =>
  onBackend(async (backend) => {
    const { model, preprocess, labels } = await openRun(backend, out)
    const { val } = await openData(data, { seed: 0 })
    const task = createTask(labels!.space, { loss: runOf(out).settings.loss })
    const source = batchSource(val!, { transform: evalTransform(preprocess), targets: task.targets, batchSize: 6 })
    const result = await evaluate(model, task, source)
    disposeModule(model)
    return result
  })

const near = (got: number, want: number, tolerance: number, what: string) =>
  assert.ok(Math.abs(got - want) <= tolerance * Math.max(1, Math.abs(want)), `${what}: ${got}, not ${want}`)

const tasks = {
  multilabel: { data: table, labels, monitor: 'map', why: /labels\.csv, line \d+ has (several labels|no label)$/ },
  hierarchical: { data: tree, labels: treeLabels, monitor: 'accuracy', why: /below each other$/ },
} as const
const starts: Record<string, () => Promise<Backend>> = {
  'reference f32': async () => createReference(),
  'wasm, 1 thread': () => createWasm({ threads: 1 }),
  webgpu: () => createWebgpu(),
}

for (const [task, { data, labels: names, monitor, why }] of Object.entries(tasks)) {
  for (const peft of ['lora', 'linear'] as const) {
    for (const on of Object.keys(backends).filter((name) => name in starts)) {
      // Software computes what a GPU would: one case is enough.
      if (on === 'webgpu' && peft === 'linear') continue
      test(`${task}, ${peft} on ${on}: what is told, kept and read back is one`, async () => {
        const out = fresh()
        const events = await collect({ data, peft, out, startBackend: starts[on]! })
        const [start, done] = [last(events, 'start'), last(events, 'done')]
        const [epochs, steps] = [only(events, 'epoch'), only(events, 'step')]
        assert.equal([start.task, start.monitor, start.classes], [task, monitor, names])
        assert.match(start.recognised, why)
        assert.equal([start.train + start.val, start.valSource], [20, 'split'])
        const first = epochs[0]!.metrics!
        assert.ok(Object.values(first).every((value) => value >= 0 && value <= 1))
        const values = epochs.map(({ metrics }) => metrics![monitor]!)
        assert.is(values[done.bestEpoch - 1], Math.max(...values))
        assert.is(done.monitor, monitor)
        const best = epochs[done.bestEpoch - 1]!
        assert.equal(done.metrics, { ...best.metrics, loss: best.loss })
        assert.is(done.accuracy, best.accuracy)

        const kept = lines(out)
        assert.equal(
          kept.filter((line) => !('val_loss' in line)),
          steps.map(({ step, epoch, loss, lr }) => ({ step, epoch, loss, lr })),
        )
        for (const [i, line] of kept.filter((line) => 'val_loss' in line).entries()) {
          const { loss, metrics } = epochs[i]!
          assert.is(line.val_loss, loss)
          for (const [name, value] of Object.entries(metrics!)) assert.is(line[`val_${name}`], value, name)
        }

        const run = runOf(out)
        const { thresholds, ...facts } = run.labels
        assert.equal([run.classes, facts], [names, task === 'multilabel' ? { task } : treeFacts])
        assert.is(thresholds?.length, task === 'multilabel' ? 3 : undefined)
        assert.equal([run.monitor, run.bestEpoch, run.metrics], [monitor, done.bestEpoch, done.metrics])
        assert.equal(done.thresholds, thresholds)

        if (on !== 'wasm, 1 thread') return
        const result = await measured(out, data)
        const { loss, ...metrics } = done.metrics!
        assert.equal([result.loss, result.metrics], [loss, metrics])
        assert.equal(thresholds, task === 'multilabel' ? result.thresholds : undefined)
        // The run, and its base with its adapter, or its own folder as a model, know the same.
        await onBackend(async (backend) => {
          const opened = [
            await openRun(backend, out),
            peft === 'lora' ? await openModel(backend, model, { adapter: out }) : await openModel(backend, out),
          ]
          assert.equal(opened[0]!.labels, opened[1]!.labels)
          for (const { model } of opened) disposeModule(model)
        })
      })
    }
  }
}

/** By hand: the loss of labels by themselves, where they are there or not. */
const byLabel = {
  aal: { there: (p: number) => -0.8 * Math.log(p), absent: (p: number) => -0.2 * p * Math.log(Math.min(1.05 - p, 1)) },
  bce: { there: (p: number) => -Math.log(p), absent: (p: number) => -Math.log(1 - p) },
}
const sigmoid = (z: number) => 1 / (1 + Math.exp(-z))
const number = (file: string) => Number(basename(file, '.png'))

/** Trains so slowly that nothing changes, in batches of 6, and gives each step's loss beside the outputs for its images. */
async function unmoved(given: Given) {
  const out = fresh()
  const still = { lr: 1e-12, weightDecay: 0, augment: false, shuffle: false, epochs: 1, ...given, out }
  const events = await collect(still)
  const { train: images } = await openData(given.data!, { seed: 0 })
  const files = Array.from({ length: images.length }, (_, i) => images.file(i))
  const outputs = await predicted(out, files)
  const size = given.accumulate ? 12 : 6
  const batches = only(events, 'step').map(({ loss }, i) => ({ loss, of: outputs.slice(size * i, size * (i + 1)) }))
  assert.ok(files.length % 6 !== 0 && batches.length === Math.ceil(files.length / size), 'the last batch is smaller')
  return { batches, epoch: last(events, 'epoch'), outputs }
}

for (const loss of ['aal', 'bce'] as const) {
  test(`a step's loss is what is optimised: ${loss} of all known labels, blank cells in none of it`, async () => {
    const sumOf = (outputs: readonly ImagePrediction[]) => {
      let [sum, known] = [0, 0]
      for (const { file, logits } of outputs) {
        const has = labelsAt(number(file))
        for (const [k, z] of logits.entries()) {
          if (isBlank(number(file), k)) continue
          known++
          sum += byLabel[loss][has.includes(labels[k]!) ? 'there' : 'absent'](sigmoid(z))
        }
      }
      return { sum, known }
    }
    for (const more of [{}, { accumulate: 2 }, { accumulate: 2, microBatch: 4 }]) {
      const { batches, epoch, outputs } = await unmoved({ data: columns, peft: 'linear', loss, ...more })
      for (const { loss: told, of } of batches) {
        const { sum, known } = sumOf(of)
        near(told, loss === 'bce' ? sum / known : sum, 2e-5, JSON.stringify(more))
      }
      const { sum, known } = sumOf(outputs)
      near(epoch.trainLoss, sum / (loss === 'bce' ? known : outputs.length), 2e-5, 'of the epoch')
    }
  })
}

test("a step's loss in a tree is the mean over its groups of their cross-entropy, each over the images that have it", async () => {
  const groups = treeFacts.groups.map((group) => group.map((name) => treeLabels.indexOf(name)))
  const lossOf = (outputs: readonly ImagePrediction[]) => {
    const means = groups.flatMap((group) => {
      const losses = outputs.flatMap(({ file, logits }) => {
        const path = file.slice(tree.length + 1).split('/')
        const has = [path[0]!, path.slice(0, 2).join('/')].map((name) => treeLabels.indexOf(name))
        const label = group.find((place) => has.includes(place))
        if (label === undefined) return []
        const total = group.reduce((sum, place) => sum + Math.exp(logits[place]!), 0)
        return [Math.log(total) - logits[label]!]
      })
      return losses.length > 0 ? [losses.reduce((a, b) => a + b) / losses.length] : []
    })
    return { mean: means.reduce((a, b) => a + b) / means.length, met: means.length }
  }
  for (const more of [{}, { accumulate: 2 }, { accumulate: 2, microBatch: 4 }]) {
    const { batches, epoch, outputs } = await unmoved({ data: tree, peft: 'linear', ...more })
    for (const { loss, of } of batches) near(loss, lossOf(of).mean, 2e-5, JSON.stringify(more))
    near(epoch.trainLoss, lossOf(outputs).mean, 2e-5, 'of the epoch')
    if (!('accumulate' in more)) {
      assert.ok(batches.some(({ of }) => lossOf(of).met === 2) && batches.some(({ of }) => lossOf(of).met === 3))
    }
  }
})

test('balanced positive weights are absent over present images of each label, and multiply where it is there', async () => {
  const { train: images } = await openData(columns, { seed: 0 })
  const all = Array.from({ length: images.length }, (_, i) => number(images.file(i)))
  const weights = labels.map((label, k) => {
    const known = all.filter((i) => !isBlank(i, k))
    const there = known.filter((i) => labelsAt(i).includes(label)).length
    return (known.length - there) / there
  })
  assert.ok(new Set(weights).size > 1, `${weights}`)
  const { batches } = await unmoved({ data: columns, peft: 'linear', loss: 'bce', positiveWeights: 'balanced' })
  for (const { loss, of } of batches) {
    let [sum, known] = [0, 0]
    for (const { file, logits } of of) {
      for (const [k, z] of logits.entries()) {
        if (isBlank(number(file), k)) continue
        known++
        const there = labelsAt(number(file)).includes(labels[k]!)
        sum += there ? weights[k]! * byLabel.bce.there(sigmoid(z)) : byLabel.bce.absent(sigmoid(z))
      }
    }
    near(loss, sum / known, 2e-5, `${weights}`)
  }
})

test('balanced sampling draws other images than shuffling does, as many of them', async () => {
  for (const data of [table, tree]) {
    const [shuffled, balanced] = [
      await collect({ data, epochs: 1, peft: 'linear' }),
      await collect({ data, epochs: 1, peft: 'linear', sampler: 'balanced' }),
    ].map((events) => only(events, 'step').map(({ loss, count }) => ({ loss, count })))
    assert.equal(
      shuffled!.map(({ count }) => count),
      balanced!.map(({ count }) => count),
    )
    assert.ok(shuffled!.every(({ loss }, i) => loss !== balanced![i]!.loss))
  }
})

test('an image without labels is predicted as such where thresholds are high; one that was given holds for all labels', async () => {
  const out = fresh()
  await collect({ data: table, out, threshold: 0.97 })
  assert.equal(runOf(out).labels.thresholds, [0.97, 0.97, 0.97])
  const files = Array.from({ length: 8 }, (_, i) => join(dirname(table), `images/0${i}.png`))
  const found = await predicted(out, files)
  for (const { labels: there, label, scores } of found) {
    const wanted = labels.filter((_, k) => scores[k]! >= 0.97)
    assert.equal([there, label], [wanted, wanted.join(', ')])
  }
  assert.ok(
    found.some(({ label }) => label === ''),
    'some image has none',
  )
})

/** A table whose validation images have all labels the wrong way round: the better it learns, the worse they do. */
async function contrary(): Promise<string> {
  const place = join(folder, 'contrary')
  await labelledTable(place, 24)
  const rows = Array.from({ length: 24 }, (_, i) => {
    const has = i < 16 ? labelsAt(i) : labels.filter((label) => !labelsAt(i).includes(label))
    return `images/${String(i).padStart(2, '0')}.png,${has.join(';')},${i < 16 ? 'train' : 'val'}`
  })
  writeFileSync(join(place, 'labels.csv'), `path,label,split\n${rows.join('\n')}\n`)
  return join(place, 'labels.csv')
}
const wrong = await contrary()
const learns = { peft: 'linear', loss: 'bce', lr: 3e-2, augment: false } as const

test('by a loss that falls the last epoch is the best and patience never ends training; by one that rises it does', async () => {
  const falls = await collect({ ...learns, data: table, epochs: 5, monitor: 'loss', patience: 1 })
  const losses = only(falls, 'epoch').map(({ loss }) => loss!)
  assert.equal(
    losses,
    [...losses].sort((a, b) => b - a),
    'must fall for this test',
  )
  const done = last(falls, 'done')
  assert.equal([done.monitor, done.ended, done.bestEpoch, done.metrics!.loss], ['loss', 'epochs', 5, losses[4]])

  const out = fresh()
  const rises = await collect({ ...learns, data: wrong, epochs: 8, monitor: 'loss', patience: 2, out })
  const rising = only(rises, 'epoch').map(({ loss }) => loss!)
  assert.ok(rising.at(-1)! > rising[0]!, `must rise for this test: ${rising}`)
  const best = rising.indexOf(Math.min(...rising)) + 1
  const ended = last(rises, 'done')
  assert.equal([ended.ended, ended.bestEpoch, ended.epochs], ['patience', best, best + 2])
  // What is kept is the model of that epoch.
  assert.is((await measured(out, wrong)).loss, rising[best - 1])
})

test('the metric that chooses is the one asked for, where the default would choose another epoch', async () => {
  const given = { ...learns, lr: 3e-3, data: table, epochs: 5 }
  const chosen: Record<string, number> = {}
  for (const monitor of [undefined, 'loss', 'f1_micro']) {
    const events = await collect({ ...given, ...(monitor && { monitor }) })
    const name = monitor ?? 'map'
    const values = only(events, 'epoch').map(({ metrics, loss }) => ({ ...metrics, loss: -loss! })[name]!)
    const done = last(events, 'done')
    assert.equal([done.monitor, values[done.bestEpoch - 1]], [name, Math.max(...values)])
    assert.is(last(events, 'start').monitor, name)
    chosen[name] = done.bestEpoch
  }
  assert.ok(new Set(Object.values(chosen)).size > 1, JSON.stringify(chosen))
})

test('a plateau of the monitored loss lowers the rate, and a falling loss does not', async () => {
  const given = { ...learns, epochs: 7, monitor: 'loss', schedule: 'plateau' } as const
  const rising = only(await collect({ ...given, data: wrong, lr: 0.1 }), 'epoch')
  const best = rising.findIndex(({ loss }, i) => rising.slice(i + 1).every((later) => later.loss! > loss!))
  assert.ok(best <= 1, `must rise for this test: ${rising.map(({ loss }) => loss)}`)
  // Three epochs are waited for; the rate of an epoch is the one that it was trained with.
  assert.equal(
    rising.map(({ lr }) => lr),
    rising.map((_, i) => (i > best + 4 ? 0.05 : 0.1)),
  )
  const falling = only(await collect({ ...given, data: table }), 'epoch')
  assert.ok(falling.every(({ lr }) => lr === 3e-2))
})

const resumed: Record<string, Given> = {
  'labels by themselves, with weights': {
    data: columns,
    positiveWeights: 'balanced',
    sampler: 'balanced',
    accumulate: 2,
    batchSize: 4,
    monitor: 'f1',
    patience: 3,
  },
  'a tree along its paths': {
    data: tree,
    pathConsistency: 0.5,
    labelSmoothing: 0.1,
    monitor: 'h_f1',
    schedule: 'cosine',
  },
}
for (const [name, given] of Object.entries(resumed)) {
  test(`stopped after any step and resumed, a run ends with the same files: ${name}`, async () => {
    const whole = fresh()
    const all = { ...given, epochs: 3, dropout: 0.1, loraDropout: 0.1 }
    const steps = only(await collect({ ...all, out: whole }), 'step').length
    const want = filesOf(whole)
    for (let at = 1; at < steps; at++) {
      const out = fresh()
      for await (const event of train({ ...basics, ...all, out } as TrainOptions))
        if (event.kind === 'step' && event.step === at) break
      assert.is(runOf(out).finished, false)
      await collect({ resume: true, out })
      assert.equal(filesOf(out), want, `after step ${at}`)
    }
  })
}

test('a base that chose one class is trained on for any number of labels, which is said', async () => {
  const base = fresh()
  await collect({ data: await classFolders(join(folder, 'classes')), peft: 'full', lr: 1e-3, epochs: 1, out: base })
  const start = last(await collect({ data: table, model: base, epochs: 1 }), 'start')
  assert.ok(
    start.notes.some((note) =>
      /^the outputs were for one class an image; from here on they are for any number of labels$/.test(note),
    ),
    start.notes.join('\n'),
  )
})

/** Datumaro's JSON of a few pictures with a tree of labels; the same names whoever is whose parent. */
async function annotatedTree(place: string, parents: Record<string, string>): Promise<string> {
  const names = ['angular', 'round', 'square', 'oval']
  if (!existsSync(place)) await labelledTable(place, 8)
  const item = (i: number) => ({
    id: `${i}`,
    annotations: [{ id: 0, type: 'label', attributes: {}, group: 0, label_id: 2 + (i % 2) }],
    image: { path: `images/0${i}.png` },
  })
  const group = (name: string, labels: string[]) => ({ name, group_type: 'exclusive', labels })
  const file = join(place, 'tree.json')
  const label = {
    labels: names.map((name) => ({ name, parent: parents[name] ?? '', attributes: [] })),
    label_groups: [group('shape', ['angular', 'round']), group('kind', ['oval', 'square'])],
    attributes: [],
  }
  const all = {
    dm_format_version: '1.0',
    infos: {},
    categories: { label },
    items: Array.from({ length: 8 }, (_, i) => item(i)),
  }
  writeFileSync(file, JSON.stringify(all))
  return file
}

test('a run goes on only with the labels that it began with, those of each image too', async () => {
  const folders = await labelledTree(join(folder, 'moving'))
  const out = fresh()
  await collect({ data: folders, epochs: 1, out })
  renameSync(join(folders, 'warm/sun'), join(folders, 'cold/sun'))
  const refused = await errorOf(collect({ resume: true, out, epochs: 2 }))
  assert.match(refused.message, /^resume: the run in \S+ has the classes cold, warm, .* got .*cold\/sun.*; restore/)

  const annotated = await annotatedTree(join(folder, 'annotated'), { square: 'angular', oval: 'round' })
  const third = fresh()
  await collect({ data: annotated, epochs: 1, out: third })
  await annotatedTree(join(folder, 'annotated'), { square: 'round', oval: 'angular' })
  assert.match(
    (await errorOf(collect({ resume: true, out: third, epochs: 2 }))).message,
    /^resume: in the run in \S+ oval, square stood elsewhere in the tree of labels than in the data now; restore the data/,
  )

  const csv = await labelledColumns(join(folder, 'marks'))
  const other = fresh()
  await collect({ data: csv, epochs: 1, out: other })
  const text = read(csv)
  // One cell that was absent is there now; one that was unknown is absent.
  for (const [from, to] of [
    ['images/00.png,0,', 'images/00.png,1,'],
    ['images/01.png,,', 'images/01.png,0,'],
  ] as const) {
    assert.ok(text.includes(from))
    writeFileSync(csv, text.replace(from, to))
    const error = await errorOf(collect({ resume: true, out: other, epochs: 2 }))
    assert.match(
      error.message,
      /since this run began 1 image was labelled otherwise \(images\/0\d\.png\); restore that/,
    )
  }
  writeFileSync(csv, text)
  await collect({ resume: true, out: other, epochs: 2 })
})

test('what means nothing to the labels of the data, or contradicts them, is refused before anything is written', async () => {
  const classes = await classFolders(join(folder, 'plain'))
  const cases: [Given, RegExp][] = [
    [{ data: classes, monitor: 'map' }, /^monitor: must be one of accuracy, f1, loss for task multiclass, got map$/],
    [{ data: classes, threshold: 'tune' }, /^threshold: means nothing .*task multiclass/],
    [{ data: classes, loss: 'bce' }, /^loss: must be one of ce for task multiclass, got bce$/],
    [{ data: classes, task: 'hierarchical' }, /^\S+: a hierarchy must have labels below labels/],
    [{ data: table, task: 'multiclass' }, /^\S+labels\.csv, line \d+: an image must have one class/],
    [{ data: table, task: 'hierarchical' }, /^\S+labels\.csv: a hierarchy must have labels below labels/],
    [{ data: table, labelSmoothing: 0.1 }, /^labelSmoothing: means nothing .*task multilabel/],
    [{ data: table, monitor: 'h_f1' }, /^monitor: must be one of map, .* for task multilabel, got h_f1$/],
    [{ data: table, positiveWeights: { rde: 2 } }, /^positiveWeights: must name labels of the data, got also rde$/],
    [{ data: tree, positiveWeights: 'balanced' }, /^positiveWeights: means nothing .*task hierarchical/],
    [{ data: tree, loss: 'ce' }, /^loss: must be one of aal, bce, asl for task hierarchical, got ce$/],
  ]
  for (const [given, sentence] of cases) {
    const out = fresh()
    const error = await errorOf(collect({ ...given, out }))
    assert.is(error.name, 'InputError', error.message)
    assert.match(error.message, sentence)
    assert.not.ok(existsSync(out), error.message)
  }
})

test.run()
