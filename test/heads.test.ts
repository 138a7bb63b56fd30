// Classes and classifiers: kept, put into another order or made anew, always under the right names, or refused.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type OpenModelOptions, openModel, predict, taskOf } from 'vitune'
import {
  applyAdapter,
  DoraAdapter,
  injectAdapter,
  LoraAdapter,
  loraConfig,
  loraDefaults,
  openAdapter,
  saveAdapter,
} from 'vitune/adapters'
import { openCheckpoint } from 'vitune/io'
import { fitHead, loadVit, parseLabels, type Vit } from 'vitune/models'
import { disposeModule, truncatedNormal } from 'vitune/nn'
import { type Backend, createWasm, Rng } from 'vitune/tensor'
import { near } from './grad-check.ts'
import { check, load, logitsFor, pixels, rewrite, smallVit, weightsOf } from './small-vit.ts'

const init = truncatedNormal(new Rng(1), 0.1)
const imagesFor = ({ config }: Vit) => pixels((2 * config.imageSize[0] * config.imageSize[1]) / 16, 1, 4)
/** Outputs of two images by the names of the classes. */
async function named(model: Vit): Promise<Record<string, number[]>> {
  const logits = await logitsFor(model, imagesFor(model))
  const { classes } = model.config
  return Object.fromEntries(classes.map((name, i) => [name, [logits[i]!, logits[classes.length + i]!]]))
}

/** The sentence that a call ends with. */
const refusal = (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => 'accepted',
    (error) => error.message,
  )

const heads = ['checkpoints/vit', 'checkpoints/dinov2', 'checkpoints/deit-distilled', 'timm/vit']

check(
  'a head for the same classes is kept, in the order of the data, and said where that is another',
  async ({ backend }) => {
    const wasm = await createWasm({ threads: 1 })
    for (const on of [backend, wasm]) {
      for (const name of heads) {
        const model = await load(on, name)
        const before = await named(model)
        assert.equal(fitHead(model, [...model.config.classes], init), { isNew: false })
        assert.equal(await named(model), before)
        for (const order of [
          ['egg', 'date', 'cherry', 'bread', 'apple'],
          ['cherry', 'apple', 'egg', 'bread', 'date'],
        ]) {
          const { isNew, note } = fitHead(model, order, init)
          assert.not.ok(isNew)
          assert.is(note, "the classifier's classes were put into the order of the data's")
          assert.equal(model.config.classes, order)
          assert.equal(Object.keys(await named(model)), order)
          assert.equal(Object.entries(await named(model)).sort(), Object.entries(before).sort())
        }
        disposeModule(model)
      }
    }
    assert.is(wasm.memory().buffers, 0)
    await wasm.dispose()
  },
)

check('a classifier that an adapter is on, or brought, is put into order too', async ({ folder, backend }) => {
  for (const useDora of [false, true]) {
    const model = smallVit(backend)
    const config = { ...loraDefaults, useDora, loraBias: true }
    const adapting = { config, strength: { r: 3, scaling: 2 } }
    const adapter = new (useDora ? DoraAdapter : LoraAdapter)(model.head!, adapting, new Rng(5))
    adapter.loraB.assign(Float32Array.from({ length: 9 }, (_, i) => i / 9))
    adapter.loraBias!.assign(Float32Array.of(1, 2, 3))
    if (adapter instanceof DoraAdapter) adapter.magnitude.assign(Float32Array.of(1, 2, 3))
    model.head!.adapter = adapter
    const before = await named(model)
    fitHead(model, ['cat', 'ant', 'bee'], init)
    const after = await named(model)
    for (const name of Object.keys(before))
      near(Float32Array.from(after[name]!), Float32Array.from(before[name]!), 1e-6, name)
    // Its parts go with it, as do those of a head that is replaced.
    fitHead(model, ['one', 'two'], init)
    disposeModule(model)
  }
  const trained = smallVit(backend)
  fitHead(trained, ['one', 'two'], init)
  await saveAdapter(trained, folder, injectAdapter(trained, loraConfig(), 1))
  writeFileSync(join(folder, 'run.json'), JSON.stringify({ classes: ['one', 'two'] }))
  const model = smallVit(backend)
  await applyAdapter(model, await openAdapter(folder))
  const before = await named(model)
  assert.not.ok(fitHead(model, ['two', 'one'], init).isNew)
  assert.equal(Object.entries(await named(model)).sort(), Object.entries(before).sort())
  disposeModule(trained)
  disposeModule(model)
})

check('a head for other classes is new, with the reason', async ({ backend }) => {
  const kinds: [(model: Vit) => void, string[], RegExp][] = [
    [
      () => {},
      ['apple', 'bread'],
      /^new classifier for 2 classes: the model's 5 classes are not the data's, the data has no "cherry"$/,
    ],
    [() => {}, ['apple', 'fig'], /the model has no "fig"$/],
    [() => {}, ['apple', 'apple', 'bread', 'cherry', 'date'], /the data has no "egg"$/],
    [(m) => m.setHead([]), ['a', 'b'], /^new classifier for 2 classes: the model has none$/],
    [
      (m) => {
        m.config.classes = ['LABEL_0', 'LABEL_1', 'LABEL_2', 'LABEL_3', 'LABEL_4']
      },
      ['a', 'b', 'c', 'd', 'e'],
      /^new classifier for 5 classes: the model numbers its classes and does not name them$/,
    ],
  ]
  for (const name of heads) {
    for (const [change, classes, why] of kinds) {
      const model = await load(backend, name)
      change(model)
      const { isNew, note } = fitHead(model, classes, init)
      assert.ok(isNew)
      assert.match(note!, why)
      assert.equal(model.config.classes, classes)
      assert.is((await logitsFor(model, imagesFor(model))).length, 2 * classes.length)
      assert.is(Boolean(model.distillationHead), name.includes('distilled'))
      disposeModule(model)
    }
  }
})

type Json = Record<string, unknown>
const five = ['a', 'b', 'c', 'd', 'e']
const generic = five.map((_, i) => `LABEL_${i}`)
const from = (start: number, names: readonly unknown[] = five) =>
  Object.fromEntries(names.map((n, i) => [i + start, n]))
const turned = (names: readonly string[], write: (i: number) => unknown = (i) => i) =>
  Object.fromEntries(names.map((name, i) => [name, write(i)]))

check('names of classes are read as people write them', async ({ folder, backend }) => {
  const kinds: [Json, string[], RegExp][] = [
    [{ id2label: from(0) }, five, /^$/],
    [{ id2label: from(1) }, five, /id2label starts at 1; its names are taken in their order/],
    [{ id2label: from(0, [3, 1, 4, 1.5, 9]) }, ['3', '1', '4', '1.5', '9'], /^$/],
    [{ id2label: turned(five) }, five, /^$/],
    [{ id2label: five }, five, /^$/],
    [{ id2label: undefined, label2id: turned(five) }, five, /^$/],
    [{ id2label: undefined, label2id: turned(five, String) }, five, /^$/],
    [{ id2label: undefined, label2id: turned(['10', '11', '12', '13', '14']) }, ['10', '11', '12', '13', '14'], /^$/],
    [{ id2label: undefined, label2id: turned(five, (i) => 4 - i) }, [...five].reverse(), /^$/],
    [
      { id2label: from(0, generic), label2id: turned(five) },
      five,
      /label2id names the classes, id2label only numbers them/,
    ],
    [
      { id2label: from(0), label2id: turned(['v', 'w', 'x', 'y', 'z']) },
      five,
      /id2label is taken, label2id says otherwise/,
    ],
    [{ id2label: from(1, five.slice(0, 4)) }, ['LABEL_0', 'a', 'b', 'c', 'd'], /id2label names 4 of 5 classes/],
    [
      { id2label: from(0, ['crane', 'b', 'crane', 'd', 'e']), label2id: undefined },
      ['crane (0)', 'b', 'crane (2)', 'd', 'e'],
      /names several classes "crane"; they are told apart by their numbers/,
    ],
    [
      { id2label: from(0, ['a', '', 'c', 'd', 'e']) },
      ['a', 'LABEL_1', 'c', 'd', 'e'],
      /id2label has an empty name for class 1; it is only numbered/,
    ],
    [{ id2label: undefined, label2id: undefined }, generic, /^$/],
  ]
  for (const [config, classes, note] of kinds) {
    await rewrite('checkpoints/vit', folder, { config: { label2id: undefined, ...config } })
    const { model, notes } = await loadVit(backend, await openCheckpoint(folder))
    assert.equal(model.config.classes, classes)
    assert.match(notes.join('\n'), note)
    disposeModule(model)
  }
  const bad: [Json, RegExp][] = [
    [{ id2label: from(0, five.slice(0, 3)) }, /id2label must name 5 classes, got 3/],
    [{ id2label: { 0: 'a', 1: 'b', 3: 'd', 4: 'e', 7: 'h' } }, /id2label must name classes 0 to 4, got no text for 2/],
    [{ id2label: { 0: 'a', '00': 'b' } }, /must name a class once, got 0 twice/],
    [{ id2label: 'names' }, /must be a list of names, or numbers with names/],
  ]
  for (const [config, message] of bad) {
    await rewrite('checkpoints/vit', folder, { config: { label2id: undefined, ...config } })
    assert.match(await refusal(loadVit(backend, await openCheckpoint(folder))), message)
  }
})

check("timm's label_names are names where they are as many as the outputs", async ({ folder, backend }) => {
  const kinds: [Json, string[], RegExp][] = [
    [{ label_names: five }, five, /^$/],
    [{ label_names: five.slice(1) }, generic, /label_names has 4 names for 5 classes; they are only numbered/],
    [{ label_names: undefined }, generic, /^$/],
    [{ label_names: undefined, id2label: from(0) }, five, /^$/],
  ]
  for (const [config, classes, note] of kinds) {
    await rewrite('timm/vit', folder, { config })
    const { model, notes } = await loadVit(backend, await openCheckpoint(folder))
    assert.equal(model.config.classes, classes)
    assert.match(notes.join('\n'), note)
    disposeModule(model)
  }
})

check('a file of labels has one a line or JSON, and as many as the model has outputs', () => {
  const texts = [
    'ant\nbee\ncat',
    '\ufeffant\r\nbee\r\ncat\r\n',
    '["ant", "bee", "cat"]',
    '{"0": "ant", "1": "bee", "2": "cat"}',
    '{"ant": 0, "bee": 1, "cat": 2}',
    '{"id2label": {"0": "ant", "1": "bee", "2": "cat"}}',
  ]
  for (const text of texts) assert.equal(parseLabels(text, 3, 'f').names, ['ant', 'bee', 'cat'], text)
  assert.equal(parseLabels('[a\n{b', 2, 'f').names, ['[a', '{b'], 'names that only look like JSON')
  const bad: [string, RegExp][] = [
    ['ant\nbee', /^f must name 3 classes, got 2$/],
    ['', /^f must name 3 classes, got 0$/],
    ['ant\n\nbee\ncat', /^f: must have a name in each line, got none in line 2$/],
    ['["ant", null, "cat"]', /^f must name its classes, got null for 1$/],
  ]
  for (const [text, message] of bad) assert.throws(() => parseLabels(text, 3, 'f'), message)
  const bytes = (text: string, encoding: BufferEncoding) => new Uint8Array(Buffer.from(text, encoding))
  assert.equal(parseLabels(bytes(texts[1]!, 'utf8'), 3, 'f').names, ['ant', 'bee', 'cat'])
  for (const odd of [
    bytes('\ufeffant\nbee\ncat', 'utf16le'),
    bytes('ant\nbee\ncat', 'utf16le'),
    bytes('\xe4\nb\nc', 'latin1'),
  ])
    assert.throws(
      () => parseLabels(odd, 3, 'f'),
      /^f: must hold names as UTF-8 text, got other bytes; save it as UTF-8$/,
    )
})

/** A model folder with a preprocessor of its own, so that nothing needs to be said of that. */
async function folderOf(folder: string, name: string, change: Parameters<typeof rewrite>[2]): Promise<string> {
  mkdirSync(folder, { recursive: true })
  const out = await rewrite(name, folder, change)
  const preprocessor = { image_processor_type: 'ViTImageProcessor', size: { height: 16, width: 16 } }
  writeFileSync(join(out, 'preprocessor_config.json'), JSON.stringify(preprocessor))
  return out
}

/** What predicting with a model ends with, and the notes of opening it. */
async function predicted(backend: Backend, folder: string, options: OpenModelOptions = {}) {
  const opened = await openModel(backend, folder, options)
  const image = { width: 16, height: 16, data: new Uint8Array(16 * 16 * 3) }
  const said = await refusal(predict(opened, [image]))
  disposeModule(opened.model)
  return { said, notes: opened.notes.join('\n'), opened }
}

const oneRow = (all: Parameters<NonNullable<Parameters<typeof rewrite>[2]['tensors']>>[0]) =>
  all.map((t) => {
    if (!/^(classifier|head)\./.test(t.name)) return t
    const size = t.data.length / 5
    return { ...t, shape: [1, ...t.shape.slice(1)], data: t.data.slice(0, size) }
  })

check('outputs are read as the configuration says, a single one as one label', async ({ folder, backend }) => {
  const one = { id2label: { 0: 'defect' }, label2id: { defect: 0 }, label_names: ['defect'], num_classes: 1 }
  const multi = { config: { problem_type: 'multi_label_classification' } }
  const timmOne = { config: { ...one, model_args: undefined, architecture: 'vit_tiny_patch16_224' }, tensors: oneRow }
  const kinds: [string, Parameters<typeof rewrite>[2], string][] = [
    ['checkpoints/vit', multi, 'multilabel'],
    ['timm/vit', multi, 'multilabel'],
    ['checkpoints/vit', { config: one, tensors: oneRow }, 'multilabel'],
    ['timm/vit', timmOne, 'multilabel'],
    ['checkpoints/vit', { config: { problem_type: 'single_label_classification' } }, 'multiclass'],
    ['checkpoints/vit', {}, 'multiclass'],
  ]
  for (const [name, change, task] of kinds) {
    const { model, ...opened } = await openModel(backend, await folderOf(folder, name, change))
    assert.is(opened.labels?.space.task, task)
    const image = { width: 16, height: 16, data: new Uint8Array(16 * 16 * 3) }
    const [found] = await predict({ model, ...opened }, [image])
    const sigmoid = found!.logits.map((z) => 1 / (1 + Math.exp(-z)))
    if (task === 'multilabel') near(found!.scores, sigmoid, 1e-6, name)
    else near([found!.scores.reduce((a, b) => a + b, 0)], [1], 1e-6, name)
    disposeModule(model)
  }
  for (const [type, message] of [
    ['regression', /outputs are numbers to be estimated \(regression\), which is none of multiclass, multilabel/],
    ['ranking', /outputs are for "ranking"/],
  ] as const) {
    const other = await folderOf(folder, 'checkpoints/dinov2', { config: { problem_type: type } })
    assert.match((await predicted(backend, other)).said, message)
  }
})

check(
  "an adapter's classifier means what its run made it, one of PEFT's what the base says",
  async ({ folder, backend }) => {
    const base = await folderOf(join(folder, 'base'), 'checkpoints/vit', {
      config: { problem_type: 'multi_label_classification' },
    })
    const { model } = await openModel(backend, base)
    fitHead(model, ['one', 'two'], init)
    const adapter = join(folder, 'adapter')
    await saveAdapter(model, adapter, injectAdapter(model, loraConfig(), 1))
    disposeModule(model)
    const taskWith = async (run?: object) => {
      if (run) writeFileSync(join(adapter, 'run.json'), JSON.stringify({ classes: ['one', 'two'], ...run }))
      const { model, labels } = await openModel(backend, base, { adapter })
      disposeModule(model)
      return labels
    }
    assert.is((await taskWith())!.space.task, 'multilabel')
    assert.is((await taskWith({}))!.space.task, 'multiclass')
    const tuned = await taskWith({ labels: { task: 'multilabel', thresholds: [0.25, 0.75] } })
    assert.equal([tuned!.space.task, tuned!.thresholds], ['multilabel', [0.25, 0.75]])
    for (const [labels, said] of [
      [
        { task: 'ranking' },
        /run\.json: labels: task must be one of multiclass, multilabel, hierarchical, got "ranking"/,
      ],
      [{ task: 'multilabel', thresholds: [2, 0] }, /thresholds must be 2 numbers in \[0, 1\]/],
      [{ task: 'hierarchical', groups: [['two', 'one']] }, /groups must name the 2 labels in the order of the outputs/],
      [{ task: 'hierarchical', groups: [['one', 'two']], parents: { one: 'two', two: 'one' } }, /no circle/],
      [
        { task: 'hierarchical', groups: [['one', 'one']] },
        /run\.json: labels: "one" must be in one group only, got two$/,
      ],
      [
        { task: 'hierarchical', decoding: 'best' },
        /run\.json: labels: decoding: must be one of path, threshold, got best$/,
      ],
      [
        { task: 'multiclass', thresholds: [0.5, 0.5] },
        /run\.json: labels: threshold: means nothing to task multiclass/,
      ],
    ] as const) {
      assert.match(await refusal(taskWith({ labels })), said)
    }
  },
)

check('names of the base for a classifier that an adapter brought are said to be that', async ({ folder, backend }) => {
  const base = await folderOf(join(folder, 'base'), 'checkpoints/vit', {})
  const { model } = await openModel(backend, base)
  const adapter = join(folder, 'adapter')
  await saveAdapter(model, adapter, injectAdapter(model, loraConfig(), 1))
  disposeModule(model)
  const { notes } = await predicted(backend, base, { adapter })
  assert.is(notes, 'the adapter brings a classifier and no names for its classes; those of the model are taken')
})

check('a model without a classifier, or with a head that is replaced, leaves no buffer', async ({ backend }) => {
  const model = await load(backend, 'checkpoints/deit-distilled')
  for (const classes of [['a', 'b'], [], ['c'], five]) model.setHead(classes, init)
  assert.equal(taskOf({ model, source: 'm' }).classes, five)
  assert.is([...(await weightsOf(model)).keys()].filter((name) => /ead\./.test(name)).length, 4)
  disposeModule(model)
})

test.run()
