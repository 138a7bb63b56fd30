// Sessions with several labels an image and with a tree of classes, in a real headless Chromium: kept, changed, trained, stopped,
// continued, predicted, on WASM and WebGPU; Node reads what they leave.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { decide, type Labelling, openModel, predict } from 'vitune'
import { disposeModule } from 'vitune/nn'
import { createReference } from 'vitune/tensor'
import { inSession, type Prepared } from '../session-page.ts'
import { fixtures } from '../small-vit.ts'

/** In the page: pictures of up to three colours, with their names as labels, or in a tree by the first of them. */
async function addColours(labelling: Labelling) {
  const { session } = globalThis as unknown as Prepared
  const colours: Record<string, [number, number, number]> = {
    red: [220, 30, 20],
    green: [20, 190, 40],
    blue: [30, 40, 230],
  }
  const picture = (names: string[], i: number) => {
    const data = new Uint8Array(12 * 12 * 3).fill(120)
    for (let j = 0; j < 144; j++) {
      const colour = colours[names[Math.floor((j / 144) * names.length)] ?? ''] ?? [120, 120, 120]
      data.set(
        colour.map((v) => v + ((i * 7 + j) % 20)),
        3 * j,
      )
    }
    return { width: 12, height: 12, data }
  }
  const kinds = [['red'], ['green'], ['blue'], ['red', 'green'], ['blue', 'red'], []]
  const places = ['warm/red', 'cold/green', 'cold/blue', 'warm/orange']
  const images = Array.from({ length: 36 }, (_, i) => {
    const names = kinds[i % kinds.length]!
    const tree = i % places.length
    return labelling === 'labels'
      ? { source: picture(names, i), labels: names, ...(i === 5 ? { unknown: ['blue'] } : {}), name: `${i}` }
      : { source: picture(kinds[tree]!, i), class: places[tree]!, name: `${i}` }
  })
  await session.addImages('colours', images)
  return {
    images: images.map(({ source }) => [...source.data]),
    set: (await session.datasets()).find(({ name }) => name === 'colours')!,
    listed: await session.listImages('colours'),
  }
}

/** In the page: trains or continues a run, up to `most` steps. */
async function trainColours({ run, most, resume }: { run: string; most: number; resume: boolean }) {
  const { session } = globalThis as unknown as Prepared
  const settings = { run, model: 'tiny', dataset: 'colours', epochs: 2, batchSize: 8, lr: 0.01 }
  const losses: number[] = []
  const epochs: Record<string, number>[] = []
  const said: string[] = []
  for await (const event of resume ? session.resume(run) : session.train(settings)) {
    if (event.kind === 'start')
      said.push(event.task, event.monitor, ...event.notes.filter((note) => /metadata/.test(note)))
    if (event.kind === 'epoch') epochs.push(event.metrics ?? {})
    if (event.kind === 'step') losses.push(event.loss)
    if (losses.length === most) break
  }
  const found = (await session.runs()).find((r) => r.name === run)!
  return { losses, epochs, said, run: found, history: await session.history(run) }
}

/** In the page: opens a run and predicts the first pictures, also with other thresholds. */
async function predictColours({ run, images }: { run: string; images: number[][] }) {
  const { session } = globalThis as unknown as Prepared
  const sources = images.map((data) => ({ width: 12, height: 12, data: Uint8Array.from(data) }))
  const opened = await session.open({ run })
  const own = await session.predict(sources)
  const all = await session.predict(sources, { thresholds: 0 }).catch((error) => String(error.message))
  const none = await session.predict(sources, { thresholds: opened.classes.map(() => 1) }).catch(() => [])
  const wrong = await session.predict(sources, { thresholds: [0.5] }).catch((error) => String(error.message))
  const files = await session.adapterFiles(run)
  const bytes = await Promise.all(files.map(async (f) => [f.name, [...new Uint8Array(await f.arrayBuffer())]] as const))
  return { opened, own, all, none, wrong, files: Object.fromEntries(bytes) as Record<string, number[]> }
}

/** The same pictures predicted in Node with what the session left. */
async function inNode(files: Record<string, number[]>, images: number[][]) {
  const folder = mkdtempSync(join(tmpdir(), 'vitune-session-'))
  const backend = createReference()
  try {
    for (const [name, bytes] of Object.entries(files)) writeFileSync(join(folder, name), Uint8Array.from(bytes))
    const opened = await openModel(backend, `${fixtures}checkpoints/dinov2`, { adapter: folder })
    const sources = images.map((data) => ({ width: 12, height: 12, data: Uint8Array.from(data) }))
    const found = await predict(opened, sources)
    disposeModule(opened.model)
    assert.is(backend.memory().buffers, 0)
    return found
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const near = (got: readonly number[], want: readonly number[], what: string) => {
  assert.is(got.length, want.length)
  for (const [i, value] of want.entries())
    assert.ok(Math.abs(got[i]! - value) < 1e-4, `${what}: ${got[i]} and ${value}`)
}

/** Trains in two parts and whole, and checks that nothing tells them apart, here and in Node. */
async function wholeWay(labelling: Labelling) {
  let losses: number[] = []
  await inSession({ device: 'wasm' }, async (page) => {
    const { images, set, listed } = await page.evaluate(addColours, labelling)
    const first = await page.evaluate(trainColours, { run: 'parts', most: 3, resume: false })
    const rest = await page.evaluate(trainColours, { run: 'parts', most: Infinity, resume: true })
    const whole = await page.evaluate(trainColours, { run: 'whole', most: Infinity, resume: false })
    losses = whole.losses
    assert.equal([...first.losses, ...rest.losses], whole.losses)
    assert.equal([rest.run.finished, rest.run.metrics], [true, whole.run.metrics])
    assert.equal(whole.said, [set.task, whole.run.monitor])
    assert.is(whole.run.task, set.task)
    const [entry] = whole.history.filter(({ metrics }) => metrics)
    const { loss, ...measured } = entry!.metrics!
    assert.equal(measured, whole.epochs[0])
    assert.is(loss, entry!.valLoss)
    const some = images.slice(0, 6)
    const parts = await page.evaluate(predictColours, { run: 'parts', images: some })
    const again = await page.evaluate(predictColours, { run: 'whole', images: some })
    assert.equal(parts.files['adapter_model.safetensors'], again.files['adapter_model.safetensors'])
    const node = await inNode(parts.files, some)
    for (const [i, found] of node.entries()) {
      near(found.logits, parts.own[i]!.logits, `image ${i}`)
      assert.is(found.label, parts.own[i]!.label)
      // The page reads outputs as the model's own end does.
      const read = decide({ classes: parts.opened.classes, labels: parts.opened.labels! }, parts.own[i]!.logits)
      assert.equal(
        [read.label, read.labels, read.scores],
        [parts.own[i]!.label, parts.own[i]!.labels, parts.own[i]!.scores],
      )
    }
    checks[labelling]!({ set, listed, parts })
  })
  await inSession({ device: 'webgpu' }, async (page) => {
    await page.evaluate(addColours, labelling)
    const found = await page.evaluate(trainColours, { run: 'gpu', most: 4, resume: false })
    near(found.losses, losses.slice(0, 4), 'losses on WebGPU')
  })
}

type Found = {
  set: Awaited<ReturnType<typeof addColours>>['set']
  listed: Awaited<ReturnType<typeof addColours>>['listed']
  parts: Awaited<ReturnType<typeof predictColours>>
}
/** What is special to each. */
const checks: Partial<Record<Labelling, (found: Found) => void>> = {
  labels({ set, listed, parts }) {
    assert.equal([set.labelling, set.task, set.images], ['labels', 'multilabel', 36])
    assert.equal(set.classes, [
      { name: 'blue', images: 12 },
      { name: 'green', images: 12 },
      { name: 'red', images: 18 },
    ])
    assert.equal(
      listed.find(({ image }) => image === '5.png'),
      { image: '5.png', labels: [], unknown: ['blue'] },
    )
    const { labels } = parts.opened
    assert.equal([labels?.task, labels?.thresholds?.length], ['multilabel', 3])
    const limits = labels!.thresholds!
    for (const { scores, labels: present } of parts.own) {
      assert.equal(
        present,
        parts.opened.classes.filter((_, i) => scores[i]! >= limits[i]!),
      )
    }
    assert.equal(
      (parts.all as typeof parts.own).map((p) => p.labels),
      parts.own.map(() => ['blue', 'green', 'red']),
    )
    assert.equal(
      parts.none.map((p) => p.label),
      parts.own.map(() => ''),
    )
    assert.match(String(parts.wrong), /^threshold: must be .*3/)
  },
  tree({ set, listed, parts }) {
    assert.equal([set.labelling, set.task, set.images], ['tree', 'hierarchical', 36])
    assert.equal(set.classes, [
      { name: 'cold', images: 18 },
      { name: 'cold/blue', images: 9 },
      { name: 'cold/green', images: 9 },
      { name: 'warm', images: 18 },
      { name: 'warm/orange', images: 9 },
      { name: 'warm/red', images: 9 },
    ])
    assert.equal(listed[0], { image: 'cold/blue/10.png', labels: ['cold/blue'] })
    const { labels, classes } = parts.opened
    assert.equal(labels?.groups, [
      ['cold', 'warm'],
      ['cold/blue', 'cold/green'],
      ['warm/orange', 'warm/red'],
    ])
    assert.is(labels?.parents?.['cold/blue'], 'cold')
    for (const { label, labels: path } of parts.own) {
      assert.ok(classes.includes(label), label)
      assert.equal(path, [label.split('/')[0], label])
    }
  },
}

test('several labels an image: trained in two parts as in one, read with any thresholds, equal in Node and on WebGPU', () =>
  wholeWay('labels'))

test('a tree of classes: trained in two parts as in one, every prediction a path, equal in Node and on WebGPU', () =>
  wholeWay('tree'))

test('labels of kept images are changed, renamed and taken away; images move with their class; what is no label is refused', () =>
  inSession({ device: 'wasm' }, async (page) => {
    const found = await page.evaluate(async () => {
      const { session, vitune, flower } = globalThis as unknown as Prepared
      const said = (promise: Promise<unknown>) =>
        promise.then(
          () => 'done',
          (error) => `${error instanceof vitune.InputError} ${error.message}`,
        )
      const state = async (name: string) => {
        const { labelling, classes } = await session.addImages(name, [])
        const images = await session.listImages(name)
        return { labelling, classes: classes.map((c) => `${c.name} ${c.images}`), images }
      }
      const out: Record<string, unknown> = {}
      const source = (i: number) => flower(10 * i, 90, i)

      await session.addImages('tags', [
        { source: source(1), labels: [' a ', 'b', 'a'], name: 'one' },
        { source: source(2), labels: [], name: 'two' },
        { source: source(1), labels: ['c'], unknown: ['b', 'd'], name: 'one' },
        { source: source(3), class: 'a', name: 'three' },
      ])
      out.added = await state('tags')
      await session.setLabels('tags', 'two.png', ['b'], ['a'])
      await session.renameClass('tags', 'b', 'c')
      out.renamed = await state('tags')
      await session.removeClass('tags', 'c')
      await session.removeImages('tags', ['one.png'])
      out.removed = await state('tags')
      out.files = (await session.imageFiles('tags', ['two.png', 'three.png'])).map(({ name, size }) => [
        name,
        size > 50,
      ])

      await session.addImages('tree', [
        { source: source(1), class: 'dog', name: 'one' },
        { source: source(2), class: 'animal/cat', name: 'two' },
        { source: source(3), class: 'car', name: 'two' },
      ])
      out.tree = await state('tree')
      await session.renameClass('tree', 'dog', 'animal/dog')
      await session.setLabels('tree', 'car/two.png', ['animal/cat'])
      out.moved = await state('tree')
      out.shown = (await session.images('tree', 'animal', 9)).map(({ name }) => name)
      await session.removeClass('tree', 'animal/cat')
      out.left = await state('tree')
      await session.removeImages('tree', ['animal/dog/one.png'])
      out.gone = (await session.datasets()).map(({ name }) => name)

      out.refused = [
        await said(session.addImages('tags', [{ source: source(1), labels: ['\n'] }])),
        await said(session.addImages('tags', [{ source: source(1) }])),
        await said(session.addImages('flowers', [{ source: source(1), labels: ['rose'] }])),
        await said(session.addImages('flowers', [{ source: source(1), class: 'a//b' }])),
        await said(session.addImages('flowers', [{ source: source(1), class: 'rose', unknown: ['x'] }])),
        await said(session.setLabels('flowers', 'rose/none.png', ['tulip'])),
        await said(session.setLabels('flowers', 'rose/image-0001.png', ['tulip', 'rose'])),
        await said(session.renameClass('flowers', 'rose', 'rose/red')),
        await said(session.renameClass('flowers', 'none', 'some')),
        await said(session.imageFiles('flowers', ['../tags/two.png'])),
      ]
      return out
    })
    assert.equal(found.added, {
      labelling: 'labels',
      classes: ['a 2', 'b 1', 'c 1', 'd 0'],
      images: [
        { image: 'one.png', labels: ['a', 'b', 'c'], unknown: ['d'] },
        { image: 'three.png', labels: ['a'] },
        { image: 'two.png', labels: [] },
      ],
    })
    assert.equal(found.renamed, {
      labelling: 'labels',
      classes: ['a 2', 'c 2', 'd 0'],
      images: [
        { image: 'one.png', labels: ['a', 'c'], unknown: ['d'] },
        { image: 'three.png', labels: ['a'] },
        { image: 'two.png', labels: ['c'], unknown: ['a'] },
      ],
    })
    assert.equal(found.removed, {
      labelling: 'labels',
      classes: ['a 1'],
      images: [
        { image: 'three.png', labels: ['a'] },
        { image: 'two.png', labels: [], unknown: ['a'] },
      ],
    })
    assert.equal(found.files, [
      ['two.png', true],
      ['three.png', true],
    ])
    assert.equal((found.tree as { classes: string[] }).classes, ['animal 1', 'animal/cat 1', 'car 1', 'dog 1'])
    assert.equal(found.moved, {
      labelling: 'tree',
      classes: ['animal 3', 'animal/cat 2', 'animal/dog 1'],
      images: [
        { image: 'animal/cat/two-2.png', labels: ['animal/cat'] },
        { image: 'animal/cat/two.png', labels: ['animal/cat'] },
        { image: 'animal/dog/one.png', labels: ['animal/dog'] },
      ],
    })
    assert.equal(found.shown, ['two-2.png', 'two.png', 'one.png'])
    assert.equal((found.left as { classes: string[] }).classes, ['animal 1', 'animal/dog 1'])
    assert.equal(found.gone, ['flowers', 'tags'])
    const rules = [
      /^true label: must be text of 1 to 100 characters in one line/,
      /^true image: must have a class or labels, got neither/,
      /^true labels: the images of flowers have one class each, got \["rose"\]; use another set/,
      /^true class: must be a name of 1 to 100 characters/,
      /^true unknown: goes with labels, got a class/,
      /^true image: flowers has none called rose\/none.png/,
      /^true labels: an image of flowers must have one class, got \["tulip","rose"\]/,
      /^true class: rose must not lie below itself, got rose\/red/,
      /^true class: flowers has none called none/,
      /^true image: flowers has none called \.\.\/tags\/two.png/,
    ]
    for (const [i, rule] of rules.entries()) assert.match((found.refused as string[])[i]!, rule)
  }))

test.run()
