// Sessions over packed weights in a real headless Chromium, on WASM and on WebGPU in software: trained, stopped, gone on with, opened
// as trained and with integers, and features of frozen images kept. Node reads what they leave.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openModel, predict } from 'vitune'
import { disposeModule } from 'vitune/nn'
import { createReference } from 'vitune/tensor'
import { inSession, type Prepared } from '../session-page.ts'
import { fixtures } from '../small-vit.ts'

type Given = {
  run: string
  peft: 'lora' | 'dora' | 'linear'
  quantize: 'none' | 'nf4' | 'int8'
  most?: number
  resume?: boolean
}

/** In the page: trains or continues a run, up to `most` steps. */
async function trainFlowers({ run, peft, quantize, most = 100, resume = false }: Given) {
  const { session } = globalThis as unknown as Prepared
  const settings = {
    run,
    peft,
    quantize,
    model: 'tiny',
    dataset: 'flowers',
    epochs: 2,
    batchSize: 8,
    lr: 0.01,
    recipe: 'otx' as const,
    augment: false,
  }
  const losses: number[] = []
  const notes: string[] = []
  for await (const event of resume ? session.resume(run) : session.train(settings)) {
    if (event.kind === 'start') notes.push(...event.notes)
    if (event.kind === 'step') losses.push(event.loss)
    if (losses.length === most) break
  }
  return { losses, notes: notes.join('\n') }
}

/** In the page: what a run predicts, with its own weights or others. */
async function predictFlowers({ run, integers }: { run: string; integers: boolean }) {
  const { session, flower } = globalThis as unknown as Prepared
  await session.open(integers ? { run, quantize: 'int8' } : { run })
  const found = await session.predict([flower(200, 40, 3), flower(60, 190, 5)])
  return found.map(({ label, logits }) => ({ label, logits }))
}

/** In the page: an adapter's files. */
async function filesOf(run: string) {
  const { session } = globalThis as unknown as Prepared
  const files = await session.adapterFiles(run)
  return Promise.all(files.map(async (f) => [f.name, [...new Uint8Array(await f.arrayBuffer())]] as const))
}

for (const device of ['wasm', 'webgpu'] as const) {
  test(`a session trains over packed weights and predicts with integers: ${device}`, async () => {
    await inSession({ device, threads: 2 }, async (page) => {
      for (const [peft, quantize] of [
        ['lora', 'int8'],
        ['dora', 'nf4'],
        ['linear', 'nf4'],
      ] as const) {
        const given = { run: `${peft}-${quantize}`, peft, quantize }
        const whole = await page.evaluate(trainFlowers, given)
        assert.match(whole.notes, new RegExp(`packed.*${quantize}|${quantize}.*packed`))
        assert.ok(whole.losses.at(-1)! < whole.losses[0]!, `${whole.losses}`)
        const first = await page.evaluate(trainFlowers, { ...given, run: 'parted', most: 3 })
        const rest = await page.evaluate(trainFlowers, { ...given, run: 'parted', resume: true })
        assert.equal([...first.losses, ...rest.losses].slice(-2), whole.losses.slice(-2))
        const own = await page.evaluate(predictFlowers, { run: given.run, integers: false })
        assert.equal(
          own.map(({ label }) => label),
          ['rose', 'tulip'],
        )
        const packed = await page.evaluate(predictFlowers, { run: given.run, integers: true })
        assert.equal(
          packed.map(({ label }) => label),
          ['rose', 'tulip'],
        )
        if (peft !== 'linear') {
          const folder = mkdtempSync(join(tmpdir(), 'vitune-'))
          for (const [name, bytes] of await page.evaluate(filesOf, given.run))
            writeFileSync(join(folder, name), Uint8Array.from(bytes))
          const backend = createReference()
          const opened = await openModel(backend, join(fixtures, 'checkpoints/dinov2'), {
            adapter: folder,
            quantize,
            inputSize: undefined,
          })
          const picture = await page.evaluate(() => {
            const { flower } = globalThis as unknown as Prepared
            const { width, height, data } = flower(200, 40, 3)
            return { width, height, data: [...data] }
          })
          const [there] = await predict(opened, [{ ...picture, data: Uint8Array.from(picture.data) }])
          for (const [i, logit] of there!.logits.entries())
            assert.ok(Math.abs(logit - own[0]!.logits[i]!) < 2e-3, `${logit} and ${own[0]!.logits[i]}`)
          disposeModule(opened.model)
          assert.is(backend.memory().buffers, 0)
          rmSync(folder, { recursive: true })
        }
        await page.evaluate(() => (globalThis as unknown as Prepared).session.removeRun('parted'))
      }
    })
  })
}

test.run()
