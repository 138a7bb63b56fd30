// Sessions in a real headless Chromium: images, models and runs kept in the browser's storage, training in a worker, and
// adapters that Node reads.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { createReference, disposeModule, openModel, predict, type Session, type SessionOptions } from 'vitune'
import { openPage, type PageOptions } from './chromium.mjs'
import { fixtures } from './small-vit.ts'

type Vitune = typeof import('vitune')
interface Flower {
  source: { width: number; height: number; data: Uint8Array }
  class: string
}
/** What `prepare` leaves in the page. */
interface Prepared {
  vitune: Vitune
  session: Session
  flower(r: number, g: number, i: number): Flower['source']
  flowers: Flower[]
}

/** In the page: opens a session with 24 made-up flowers and a tiny DINOv2. */
async function prepare(options: SessionOptions) {
  const url = '/dist/browser.js'
  const here = globalThis as unknown as Prepared
  here.vitune = await import(url)
  here.session = await here.vitune.openSession(options)
  here.flower = (r, g, i) => {
    const data = new Uint8Array(20 * 16 * 3)
    for (let j = 0; j < data.length; j += 3) data.set([r + ((i * 7 + j) % 40), g + ((i * 3 + j) % 30), 60], j)
    return { width: 20, height: 16, data }
  }
  here.flowers = Array.from({ length: 12 }, (_, i) => [
    { source: here.flower(200, 40, i), class: 'rose' },
    { source: here.flower(60, 190, i), class: 'tulip' },
  ]).flat()
  await here.session.addImages('flowers', here.flowers)
  await here.session.addModel('tiny', '/test/fixtures/checkpoints/dinov2')
}

async function inSession(
  options: SessionOptions & PageOptions,
  body: (page: Page, url: string) => Promise<void>,
): Promise<void> {
  const { device, threads, ...rest } = options
  const { page, url, errors, close } = await openPage(rest)
  try {
    await page.evaluate(prepare, { ...(device ? { device } : {}), ...(threads ? { threads } : {}) })
    await body(page, url)
    assert.equal(errors, [])
  } finally {
    await close()
  }
}

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

test.run()
