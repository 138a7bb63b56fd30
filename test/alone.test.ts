// What is measured by the clock: how long training waits for its images. test/run.mjs runs this file, and alone-page.test.ts,
// when nothing else runs, so only what needs that belongs here.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { fileDataset } from 'vitune'
import { freezeBackbone } from 'vitune/adapters'
import { augmentationPresets, loadBatch, loadBatches, trainTransform, withInputSize } from 'vitune/data'
import { parsePreprocessor } from 'vitune/models'
import { disposeModule } from 'vitune/nn'
import { createReference } from 'vitune/tensor'
import { type BatchSource, type FitEvent, fit, multiclass } from 'vitune/train'
import { batchOf } from './batch-of.ts'
import { pixels, smallVit } from './small-vit.ts'

const folder = mkdtempSync(join(tmpdir(), 'vitune-alone-'))
test.after(() => rmSync(folder, { recursive: true }))
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

test('a step and an epoch say how long they waited for their batches, apart from the work and from the caller', async () => {
  const backend = createReference()
  const model = smallVit(backend)
  freezeBackbone(model)
  const batch = batchOf(Float32Array.from(pixels(3)), [3, 3, 8, 8], [0, 1, 2], ['a', 'b', 'c'])
  const train = (wait: number): BatchSource => ({
    batches: 4,
    async *epoch() {
      for (let i = 0; i < 4; i++) {
        if (wait > 0) await pause(wait)
        yield batch
      }
    },
  })
  const eventsOf = async (wait: number): Promise<FitEvent[]> => {
    const events: FitEvent[] = []
    const task = multiclass(model.config.classes)
    for await (const event of fit({ model, task, train: train(wait), lr: 0.01, accumulate: 2, epochs: 1 })) {
      events.push(event)
      await pause(100)
    }
    return events
  }
  const events = await eventsOf(40)
  const waits = events.flatMap((e) => (e.kind === 'step' ? [e] : []))
  const [epoch] = events.flatMap((e) => (e.kind === 'epoch' ? [e] : []))
  assert.is(waits.length, 2)
  // Timers may fire a millisecond early.
  for (const { dataSeconds } of waits) assert.ok(dataSeconds > 0.077, `${dataSeconds}`)
  const sum = waits[0]!.dataSeconds + waits[1]!.dataSeconds
  assert.ok(Math.abs(epoch!.dataSeconds - sum) < 1e-9, 'the epoch sums its steps')
  assert.ok(epoch!.seconds > epoch!.dataSeconds + waits[0]!.seconds)
  const none = (await eventsOf(0)).flatMap((e) => (e.kind === 'epoch' ? [e.dataSeconds] : []))
  assert.ok(none[0]! < 0.04, `${none}`)
  disposeModule(model)
  assert.is(backend.memory().buffers, 0)
})

test('a loop that is busy with each batch waits less than 3 % of the time for the next one, cropped, mirrored and recoloured', async () => {
  const side = 224
  const files = await Promise.all(
    Array.from({ length: 32 }, async (_, n) => {
      const coarse = Uint8Array.from({ length: 12 * 12 * 3 }, (_, i) => (i * i * 31 + n * 57) & 255)
      const file = join(folder, `${n}.jpg`)
      const image = sharp(coarse, { raw: { width: 12, height: 12, channels: 3 } }).resize(side + n, side)
      await image.jpeg().toFile(file)
      return file
    }),
  )
  const dataset = fileDataset({ files, labels: files.map((_, i) => i % 2), classes: ['a', 'b'], cacheBytes: 0 })
  const order = files.map((_, i) => (i * 7) % files.length)
  const preprocess = withInputSize(parsePreprocessor(undefined, 'vit'), side)
  const plain = trainTransform(preprocess)
  // Colours of every image, where getitune changes those of half of them.
  const { colorJiggle, ...others } = augmentationPresets.getitune
  const transform = trainTransform(preprocess, { ...others, colorJiggle: { ...colorJiggle, p: 1 } })
  const batchSize = 4
  const decode = (at: number) => loadBatch(dataset, order.slice(at, at + batchSize), { transform: plain })
  await decode(0) // warms up
  const word = new Int32Array(new SharedArrayBuffer(4))
  const shareWaited = async (): Promise<number> => {
    // A step is ten times as long as its images take on this thread without colours, however fast the machine is just now.
    const begun = performance.now()
    for (let at = 0; at < 4 * batchSize; at += batchSize) await decode(at)
    const busy = (10 * (performance.now() - begun)) / 4 // ms
    let waited = 0
    let asked = 0
    let batches = 0
    for await (const batch of loadBatches(dataset, order, { transform, batchSize })) {
      assert.is(batch.count, batchSize)
      // For the first one there is nothing to do meanwhile.
      if (batches++ > 0) waited += performance.now() - asked
      // As in a step without threads, nothing else can happen on this thread meanwhile.
      Atomics.wait(word, 0, 0, busy)
      asked = performance.now()
    }
    assert.is(batches, files.length / batchSize)
    return waited / (waited + (batches - 1) * busy)
  }
  // Another program's turn can make one epoch wait; images that are not made meanwhile (9 %) make every one wait.
  const shares: number[] = []
  do shares.push(await shareWaited())
  while (shares.at(-1)! >= 0.03 && shares.length < 3)
  assert.ok(Math.min(...shares) < 0.03, `waited ${shares.map((s) => (s * 100).toFixed(1)).join(', ')} % of the time`)
})

test.run()
