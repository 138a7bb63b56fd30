// Sessions in a real headless Chromium: images, models and runs kept in the browser's storage, training in a worker, and
// adapters that Node reads.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { decodeFile, openModel, predict } from 'vitune'
import { disposeModule } from 'vitune/nn'
import { createReference } from 'vitune/tensor'
import { inSession, type Prepared } from './session-page.ts'
import { fixtures } from './small-vit.ts'

/** In the page: trains or continues a run, up to `most` steps; the events' kinds and losses. */
async function trainInPage({ run, most, resume }: { run: string; most: number; resume: boolean }) {
  const { session } = globalThis as unknown as Prepared
  const settings = { run, model: 'tiny', dataset: 'flowers', epochs: 2, batchSize: 4 }
  const seen: string[] = []
  const losses: number[] = []
  for await (const event of resume ? session.resume(run) : session.train(settings)) {
    seen.push(event.kind)
    if (event.kind === 'step') losses.push(event.loss)
    if (losses.length === most) break
  }
  return { seen, losses, run: (await session.runs()).find((r) => r.name === run)! }
}

/** In the page: a run's files as bytes. */
async function filesInPage(run: string) {
  const files = await (globalThis as unknown as Prepared).session.adapterFiles(run)
  return Promise.all(files.map(async (f) => ({ name: f.name, bytes: [...new Uint8Array(await f.arrayBuffer())] })))
}

test('a run stopped and continued ends in the same bytes as one that was not, and Node reads its adapter to equal logits', () =>
  inSession({ device: 'wasm' }, async (page) => {
    const [first, rest, whole] = [
      await page.evaluate(trainInPage, { run: 'two parts', most: 3, resume: false }),
      await page.evaluate(trainInPage, { run: 'two parts', most: Infinity, resume: true }),
      await page.evaluate(trainInPage, { run: 'one', most: Infinity, resume: false }),
    ]
    assert.equal(first.seen, ['start', 'step', 'step', 'step'])
    assert.equal([first.run.step, first.run.steps, first.run.finished], [3, 10, false])
    assert.equal([rest.run.step, rest.run.finished, rest.run.accuracy], [10, true, whole.run.accuracy])
    assert.is(rest.seen.at(-1), 'done')
    assert.equal([...first.losses, ...rest.losses], whole.losses)
    const files = await page.evaluate(filesInPage, 'two parts')
    const same = await page.evaluate(filesInPage, 'one')
    const weights = (from: typeof files) => from.find((file) => file.name === 'adapter_model.safetensors')!.bytes
    assert.equal(weights(files), weights(same))

    const logits = await page.evaluate(async () => {
      const { session, flowers } = globalThis as unknown as Prepared
      const images = flowers.slice(0, 4).map((f) => f.source)
      const { classes } = await session.open({ run: 'two parts' })
      const own = await session.predict(images)
      await session.open({ model: 'tiny', adapter: await session.adapterFiles('two parts') })
      const again = await session.predict(images)
      return { classes, own: own.map((p) => [...p.logits]), again: again.map((p) => [...p.logits]) }
    })
    assert.equal(logits.classes, ['rose', 'tulip'])
    assert.equal(logits.again, logits.own)
    const images = await page.evaluate(() =>
      (globalThis as unknown as Prepared).flowers.slice(0, 4).map(({ source }) => [...source.data]),
    )
    const folder = mkdtempSync(join(tmpdir(), 'vitune-session-'))
    const backend = createReference()
    try {
      for (const { name, bytes } of files) writeFileSync(join(folder, name), Uint8Array.from(bytes))
      const opened = await openModel(backend, `${fixtures}checkpoints/dinov2`, { adapter: folder })
      const pixels = images.map((data) => ({ width: 20, height: 16, data: Uint8Array.from(data) }))
      const found = await predict(opened, pixels)
      disposeModule(opened.model)
      for (const [i, { logits: values }] of found.entries()) {
        for (const [k, v] of values.entries()) assert.ok(Math.abs(v - logits.own[i]![k]!) < 1e-4, `image ${i}`)
      }
      assert.is(backend.memory().buffers, 0)
    } finally {
      rmSync(folder, { recursive: true })
    }
  }))

/** In the page: trains until it is told of step `at`, then leaves the run as it is. */
async function trainAndLeave(at: number) {
  const { session } = globalThis as unknown as Prepared
  const settings = { run: 'left', model: 'tiny', dataset: 'flowers', epochs: 2, batchSize: 4, saveEvery: 0 }
  const events = session.train(settings)
  for (;;) {
    const { value } = await events.next()
    if (value && value.kind === 'step' && value.step === at) return
  }
}

test('a run goes on after the tab was reloaded in its middle, from the step that was saved last', () =>
  inSession({ device: 'wasm' }, async (page) => {
    await page.evaluate(trainAndLeave, 4)
    await page.reload()
    const found = await page.evaluate(async () => {
      const url = '/dist/browser.js'
      const here = globalThis as unknown as Prepared
      here.vitune = await import(url)
      here.session = await here.vitune.openSession({ device: 'wasm' })
      const { session } = here
      return { runs: await session.runs(), models: await session.models(), datasets: await session.datasets() }
    })
    assert.equal([found.models[0]?.name, found.datasets[0]?.classes[1]?.images], ['tiny', 12])
    const [left] = found.runs
    assert.equal([left?.name, left?.step, left?.steps, left?.finished], ['left', 3, 10, false])
    const rest = await page.evaluate(trainInPage, { run: 'left', most: Infinity, resume: true })
    assert.is(rest.losses.length, 7)
    assert.is(rest.run.finished, true)

    // A class more: another run begins with what this one knows.
    const more = await page.evaluate(async () => {
      const { session } = globalThis as unknown as Prepared
      const violet = (i: number) => ({ width: 20, height: 16, data: new Uint8Array(960).fill(90 + i) })
      const images = Array.from({ length: 4 }, (_, i) => ({ source: violet(i), class: 'violet' }))
      await session.addImages('flowers', images)
      const settings = { from: 'left', dataset: 'flowers', epochs: 1, batchSize: 8, distill: 1 }
      const began: unknown[] = []
      for await (const event of session.train({ ...settings, run: 'more' })) {
        if (event.kind === 'start') began.push(event.from)
      }
      const refused = await session
        .train({ ...settings, from: 'none', run: 'x' })
        .next()
        .catch(String)
      const { model, classes, finished } = (await session.runs()).find(({ name }) => name === 'more')!
      return { began, refused, run: [model, classes, finished] }
    })
    assert.equal(more.began, [{ run: 'left', kept: ['rose', 'tulip'], added: ['violet'], gone: [] }])
    assert.equal(more.run, ['tiny', ['rose', 'tulip', 'violet'], true])
    assert.match(String(more.refused), /InputError: from: nothing is kept under none; there is left, more$/)
  }))

test('a second tab may read a run but not train, resume or remove it; once the first is closed it may', () =>
  inSession({ device: 'wasm' }, async (page) => {
    await page.evaluate(trainAndLeave, 1)
    const other = await page.context().newPage()
    await other.goto(page.url())
    const refused = await other.evaluate(async () => {
      const url = '/dist/browser.js'
      const here = globalThis as unknown as Prepared
      here.vitune = await import(url)
      here.session = await here.vitune.openSession({ device: 'wasm' })
      const { session, vitune } = here
      const said = (promise: Promise<unknown>) =>
        promise.then(
          () => 'done',
          (error) => `${error instanceof vitune.InputError} ${error.message}`,
        )
      return [
        (await session.runs())[0]?.name,
        await said(session.resume('left').next()),
        await said(session.removeRun('left')),
      ]
    })
    assert.is(refused[0], 'left')
    for (const text of refused.slice(1)) {
      assert.is(text, 'true run: left is being trained already, here or in another tab; stop it there first')
    }
    await page.close()
    const done = await other.evaluate(trainInPage, { run: 'left', most: 1, resume: true })
    assert.is(done.losses.length, 1)
  }))

test('a run whose images have changed since is not continued without a word: it is a ChangedError, or accepted', () =>
  inSession({ device: 'wasm' }, async (page) => {
    await page.evaluate(trainInPage, { run: 'one', most: 7, resume: false })
    const found = await page.evaluate(async () => {
      const { session, vitune, flower } = globalThis as unknown as Prepared
      await session.addImages('flowers', [{ source: flower(200, 40, 33), class: 'rose', name: 'late' }])
      const refused = await session
        .resume('one')
        .next()
        .then(
          () => 'went on',
          (error) => `${error instanceof vitune.ChangedError} ${error instanceof vitune.InputError} ${error.message}`,
        )
      let start = {}
      for await (const event of session.resume('one', { acceptChanges: true }))
        if (event.kind === 'start') start = event
      return { refused, start: start as { train: number; val: number; changes?: string } }
    })
    assert.match(found.refused, /^true true resume: since this run began 1 image was added \(rose\/late\.png\)/)
    assert.equal([found.start.train, found.start.val], [21, 4])
    assert.is(found.start.changes, '1 image was added (rose/late.png)')
  }))

/** In the page: what a session keeps of pictures of one name, of other formats, and of what is none. */
async function addPictures() {
  const { session, vitune } = globalThis as unknown as Prepared
  const bytesOf = async (path: string) => (await fetch(`/test/fixtures/${path}`)).arrayBuffer()
  const [first, second] = [await bytesOf('formats/odd.jfif'), await bytesOf('images/plain.jpg')]
  const add = async (dataset: string, files: (readonly [bytes: ArrayBuffer | string, name: string])[]) => {
    const broken: string[] = []
    const images = files.map(([bytes, name]) => ({ source: new File([bytes], name), class: 'rose' }))
    await session.addImages(dataset, images, { onBroken: (file, reason) => broken.push(`${file}: ${reason}`) })
    return { names: (await session.images(dataset, 'rose', 50)).map(({ name }) => name), broken }
  }
  const long = 'x'.repeat(120)
  const formats = await Promise.all(
    ['still.gif', 'rgb.bmp', 'animated.png', '444.avif', 'rgb.tif'].map(
      async (name) => [await bytesOf(`formats/${name}`), name] as const,
    ),
  )
  const out = {
    same: await add('same', [
      [first, 'image.jpg'],
      [second, 'image.jpg'],
      [first, 'image.jpg'],
      [second, 'IMAGE.JPG'],
    ]),
    endings: await add('endings', [
      [first, 'a.jpg'],
      [second, 'a.jpeg'],
      [first, 'A.jfif'],
      [second, ''],
    ]),
    dots: await add('dots', [
      [first, '2025.11.02'],
      [second, '2025.11.03'],
    ]),
    spelled: await add('spelled', [
      [first, 'caf\u00e9.jpg'],
      [second, 'cafe\u0301.jpg'],
    ]),
    long: await add('long', [
      [first, `${long}1.jpg`],
      [second, `${long}2.jpg`],
      [first, `${'\u{1f600}'.repeat(90)}.jpg`],
    ]),
    formats: await add('formats', [...formats, ['<svg/>', 'a.svg'], ['PK\x03\x04', 'b.png'], ['', 'c.jpg']]),
  }
  const twice = [first, second, first, second].map((bytes) => [
    { source: new File([bytes], 'image.jpg'), class: 'rose' },
  ])
  await Promise.all(twice.map((images) => session.addImages('at once', images)))
  const atOnce = (await session.images('at once', 'rose', 50)).length
  const classes = ['caf\u00e9', 'cafe\u0301'].map((label, i) => ({
    source: new File([[first, second][i]!], 'a.jpg'),
    class: label,
  }))
  const joined = (await session.addImages('classes', classes)).classes
  const still = await vitune.toRgbImage(
    (await session.images('formats', 'rose', 50)).find(({ name }) => /animated/.test(name))!,
  )
  return { ...out, atOnce, joined, still: [...still.data] }
}

test('different pictures of one name are all kept, the same one once; every format that is read is kept, else named', () =>
  inSession({ device: 'wasm' }, async (page) => {
    const found = await page.evaluate(addPictures)
    assert.is(found.same.names.length, 2)
    assert.ok(found.same.names.includes('image.jpg'))
    assert.is(found.endings.names.length, 3)
    assert.is(found.dots.names.length, 2)
    assert.is(found.spelled.names.length, 2)
    assert.is(found.long.names.length, 3)
    assert.is(found.atOnce, 2)
    assert.equal(found.joined, [{ name: 'caf\u00e9', images: 2 }])
    assert.equal(found.formats.names, ['444.png', 'animated.png', 'rgb.bmp', 'still.gif'])
    assert.equal(found.formats.broken, [
      'rgb.tif: it is TIFF, which this browser does not decode; convert it to PNG',
      'a.svg: it is an SVG drawing, no pixels; export it as PNG',
      'b.png: it is a ZIP archive; unpack it',
      'c.jpg: it is empty',
    ])
    const { data } = await decodeFile(join(fixtures, 'formats/animated.png'))
    assert.equal(found.still, [...data])
  }))

test('bad input crosses from the worker as an InputError, an abort as an AbortError, and nothing is left of a model', () =>
  inSession({ device: 'wasm', routes: { '/slow/config.json': '{ "model_type": "vit" }' } }, async (page) => {
    // Its answer never comes.
    await page.route('**/slow/model.safetensors', () => {})
    const found = await page.evaluate(async () => {
      const { session, vitune } = globalThis as unknown as Prepared
      const said = (promise: Promise<unknown>) =>
        promise.then(
          () => 'done',
          (error) => `${error instanceof vitune.InputError ? 'InputError' : error.name} ${error.message}`,
        )
      const file = async (path: string, name: string) =>
        new File([await (await fetch(`/test/fixtures/checkpoints/vit/${path}`)).blob()], name)
      const config = await file('config.json', 'config.json')
      const weights = await file('model.safetensors', 'model.safetensors')
      const stop = new AbortController()
      const settings = { model: 'tiny', dataset: 'flowers' }
      const answers = [
        await said(session.addModel('tiny', '/test/fixtures/checkpoints/dinov2')),
        await said(session.addModel('a/b', [config])),
        await said(session.addModel('part', [config])),
        await said(session.addModel('cut', [config, new File([weights.slice(0, 5000)], 'model.safetensors')])),
        await said(session.addModel('other', [new File(['{ "model_type": "bert" }'], 'config.json'), weights])),
        await said(session.addModel('away', 'http://127.0.0.1:1/model')),
        await said(
          session.addModel('stopped', '/slow', {
            signal: stop.signal,
            onProgress: ({ file }) => file === 'config.json' && stop.abort(),
          }),
        ),
        await said(session.train({ ...settings, run: 'r', model: 'none' }).next()),
        await said(session.train({ ...settings, run: 'r', lr: -1 }).next()),
        await said(session.predict([new Blob()])),
        await said(session.addImages('flowers', [{ source: new File(['text'], 'a.txt'), class: 'rose' }])),
        await said(session.addImages('flowers', [{ source: document.createElement('video'), class: 'rose' }])),
        await said(session.removeModel('none')),
      ]
      const kept = await session.addModel('dropped', [config, weights, new File(['?'], 'readme.md')])
      return { answers, kept, models: (await session.models()).map((m) => m.name) }
    })
    const rules = [
      /^InputError model: tiny is kept already; remove it or choose another name/,
      /^InputError model: must be a name of 1 to 100 characters/,
      /^InputError the files: must have model.safetensors or model.safetensors.index.json, got neither/,
      /^InputError .*cut\/model.safetensors: .*/,
      /^InputError .*model_type/,
      /^InputError http:\/\/127.0.0.1:1\/model\/config.json: could not be reached .*CORS/,
      /^AbortError /,
      /^InputError model: nothing is kept under none; there is tiny$/,
      /^InputError lr: must be above 0, or auto, got -1/,
      /^InputError predict: no model is open/,
      /^InputError a.txt: cannot be decoded/,
      /^InputError image: this HTMLVideoElement shows nothing to read/,
      /^InputError models: nothing is kept under none/,
    ]
    for (const [i, rule] of rules.entries()) assert.match(found.answers[i]!, rule)
    assert.equal(found.models, ['dropped', 'tiny'])
    assert.equal([found.kept.architecture, found.kept.parameters > 1000], ['ViTForImageClassification', true])
  }))

test('an element is predicted as its file is, alpha and colour profile and all, also when the file is gone', () =>
  inSession({ device: 'wasm', ignore: /ERR_FILE_NOT_FOUND/ }, async (page) => {
    const pixels = Buffer.from(Array.from({ length: 20 * 16 * 4 }, (_, i) => (i * 37) % 256))
    const png = await sharp(pixels, { raw: { width: 20, height: 16, channels: 4 } })
      .withIccProfile('p3', { attach: true })
      .png()
      .toBuffer()
    const found = await page.evaluate(
      async (bytes) => {
        const { session } = globalThis as unknown as Prepared
        await session.open({ model: 'tiny' })
        const file = new File([Uint8Array.from(bytes)], 'a.png')
        const element = new Image()
        element.src = URL.createObjectURL(file)
        await element.decode()
        const logits = async (source: File | HTMLImageElement) => (await session.predict([source]))[0]!.logits
        const [own, shown] = [await logits(file), await logits(element)]
        URL.revokeObjectURL(element.src)
        return [own, shown, await logits(element)]
      },
      [...png],
    )
    assert.equal(found[1], found[0])
    assert.equal(found[2], found[0])
  }))

test.run()
