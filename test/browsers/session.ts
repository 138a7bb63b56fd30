// A session in any browser, compared with Node: the losses of ten steps, and the pixels of stored images.
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import * as assert from 'uvu/assert'
import { decodeFile, train } from 'vitune'
import { fixtures } from '../small-vit.ts'
import type { Browser } from './driver.ts'

interface Example {
  readonly class: string
  readonly name: string
  readonly base64: string
}

/** Twelve small pictures of each of two classes. */
async function flowers(): Promise<Example[]> {
  const examples: Example[] = []
  for (const [label, r, g] of [
    ['rose', 200, 40],
    ['tulip', 60, 190],
  ] as const) {
    for (let i = 1; i <= 12; i++) {
      const values = Array.from({ length: 20 * 16 }, (_, j) => [r + ((i * 7 + j) % 40), g + ((i * 3 + j) % 30), 60])
      const raw = { width: 20, height: 16, channels: 3 } as const
      const png = await sharp(Buffer.from(values.flat()), { raw }).png().toBuffer()
      examples.push({ class: label, name: `${i}.png`, base64: png.toString('base64') })
    }
  }
  return examples
}

const settings = { epochs: 2, batchSize: 4, peft: 'dora', device: 'wasm' } as const

/** The losses of Node's own ten steps. */
async function lossesInNode(examples: readonly Example[]): Promise<number[]> {
  const folder = mkdtempSync(join(tmpdir(), 'vitune-browsers-'))
  try {
    for (const { class: label, name, base64 } of examples) {
      mkdirSync(join(folder, 'data', label), { recursive: true })
      writeFileSync(join(folder, 'data', label, name), Buffer.from(base64, 'base64'))
    }
    const losses: number[] = []
    const model = join(fixtures, 'checkpoints/dinov2')
    const out = join(folder, 'run')
    for await (const event of train({ ...settings, model, data: join(folder, 'data'), out })) {
      if (event.kind === 'step') losses.push(event.loss)
    }
    return losses
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** In the page: a session trains ten steps, is closed, and another one goes on or says why it cannot. */
async function trainInPage({
  examples,
  run,
  settings,
}: {
  examples: readonly Example[]
  run: string
  settings: object
}) {
  const url = '/dist/browser.js'
  const { openSession } = (await import(url)) as typeof import('vitune')
  const blobOf = (base64: string) => new Blob([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))])
  const session = await openSession({ device: 'wasm' })
  await session.addImages(
    'flowers',
    examples.map(({ class: label, name, base64 }) => ({ class: label, name, source: blobOf(base64) })),
  )
  await session.addModel('tiny', '/test/fixtures/checkpoints/dinov2')
  const losses: number[] = []
  for await (const event of session.train({ ...settings, run, model: 'tiny', dataset: 'flowers' })) {
    if (event.kind === 'step') losses.push(event.loss)
  }
  const { classes } = await session.open({ run })
  const [first] = await session.predict([blobOf(examples[0]!.base64)])
  const files = (await session.adapterFiles(run)).map(({ name }) => name)
  const { storage, device } = session
  const notes = [...session.notes]
  await session.close()
  const later = await openSession({ device: 'wasm' })
  const kept = (await later.runs()).map(({ name, finished }) => `${name} ${finished}`)
  const resumed = await later
    .resume(run)
    .next()
    .then(
      ({ value }) => `went on: ${value?.kind}`,
      (error) => `${error.name}: ${error.message}`,
    )
  await later.close()
  return {
    losses,
    classes,
    label: first!.label,
    files,
    storage,
    notes,
    threads: device.threads,
    kept,
    resumed,
  }
}

/** Runs a function in an open page of some browser. */
type Run = <A, R>(body: (argument: A) => Promise<R>, argument: A) => Promise<R>

/** Trains ten steps in a page, with the losses of Node; what a session says of itself, and of the run after it was closed. */
export async function trainAsNode(run: Run) {
  const examples = await flowers()
  const wanted = await lossesInNode(examples)
  assert.is(wanted.length, 10)
  const found = await run(trainInPage, { examples, run: 'ten steps', settings })
  assert.is(found.losses.length, 10)
  for (const [i, loss] of found.losses.entries()) {
    assert.ok(Math.abs(loss - wanted[i]!) < 1e-4, `step ${i + 1}: ${loss} and ${wanted[i]}`)
  }
  assert.equal(found.classes, ['rose', 'tulip'])
  assert.is(found.label, 'rose')
  assert.equal(found.files, ['adapter_config.json', 'run.json', 'adapter_model.safetensors'])
  return found
}

/** The largest difference of a channel between the page's pixels and Node's, by stored image; those that are equal left out. */
export async function pixelDifferences(browser: Browser, url: string): Promise<Record<string, number>> {
  await browser.open(`${url}/blank`)
  const names = readdirSync(join(fixtures, 'images')).filter((name) => /\.(png|jpg|webp)$/.test(name))
  assert.ok(names.length >= 12)
  const differences: Record<string, number> = {}
  for (const name of names) {
    const { width, height, data } = await decodeFile(join(fixtures, 'images', name))
    const base64 = readFileSync(join(fixtures, 'images', name)).toString('base64')
    const found = await browser.run(async (text) => {
      const address = '/dist/browser.js'
      const { toRgbImage } = (await import(address)) as typeof import('vitune')
      const image = await toRgbImage(new Blob([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))]))
      return { width: image.width, height: image.height, data: [...image.data] }
    }, base64)
    assert.equal([found.width, found.height], [width, height], name)
    const worst = found.data.reduce((most, value, i) => Math.max(most, Math.abs(value - data[i]!)), 0)
    if (worst > 0) differences[name] = worst
  }
  return differences
}
