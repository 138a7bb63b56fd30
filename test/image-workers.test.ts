// Images made by workers: the same pixels as without, and nothing left behind. That training waits little: alone.test.ts.
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import sharp from 'sharp'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { fileDataset, memoryDataset, subset } from 'vitune'
import {
  augmentationPresets,
  evalTransform,
  type ImageBatch,
  loadBatches,
  trainTransform,
  withInputSize,
} from 'vitune/data'
import { parsePreprocessor } from 'vitune/models'

const SIDE = 224
const COUNT = 32
const preprocess = withInputSize(parsePreprocessor(undefined, 'vit'), SIDE)
const moving = trainTransform(preprocess)
const classes = ['a', 'b']

const test = suite<{ folder: string; files: string[] }>('image-workers')
test.before(async (context) => {
  context.folder = mkdtempSync(join(tmpdir(), 'vitune-workers-'))
  context.files = await Promise.all(
    Array.from({ length: COUNT }, async (_, n) => {
      const coarse = Uint8Array.from({ length: 12 * 12 * 3 }, (_, i) => (i * i * 31 + n * 57) & 255)
      const file = join(context.folder, `${n}.jpg`)
      const image = sharp(coarse, { raw: { width: 12, height: 12, channels: 3 } }).resize(SIDE + n, SIDE)
      writeFileSync(file, await image.jpeg().toBuffer())
      return file
    }),
  )
})
test.after(({ folder }) => rmSync(folder, { recursive: true }))

const open = (files: string[], cacheBytes?: number) =>
  fileDataset({
    files,
    labels: files.map((_, i) => i % 2),
    classes,
    ...(cacheBytes === undefined ? {} : { cacheBytes }),
  })

async function collect(batches: AsyncIterable<ImageBatch>): Promise<ImageBatch[]> {
  const all: ImageBatch[] = []
  for await (const batch of batches) all.push(batch)
  return all
}

test('workers make the batches that the training thread makes, bit for bit, broken images left out alike', async (context) => {
  const bad = join(context.folder, 'bad.jpg')
  writeFileSync(bad, 'no image')
  const files = [...context.files.slice(0, 9), bad]
  const options = { batchSize: 4, seed: 5, epoch: 1 }
  const changing = trainTransform(preprocess, {
    ...augmentationPresets.getitune,
    affine: {},
    noise: {},
    randAugment: {},
  })
  const small = trainTransform(withInputSize(preprocess, 16))
  for (const transform of [moving, evalTransform(preprocess), small, changing]) {
    const told: string[][] = [[], []]
    const [here, there] = await Promise.all(
      [false, true].map((workers, i) => {
        const onBroken = (file: string) => told[i]!.push(file)
        const part = subset(open(files), [9, 8, 7, 6, 5, 4, 3, 2, 1, 0])
        return collect(loadBatches(part, [3, 0, 1, 9, 8, 7], { ...options, transform, workers, onBroken }))
      }),
    )
    assert.equal(there, here)
    assert.equal(told, [[bad], [bad]])
  }
  const images = await Promise.all([0, 1, 2].map((i) => open(files).image(i)))
  const memory = memoryDataset({ images, labels: [0, 1, 0], classes })
  const [here, there] = await Promise.all(
    [false, true].map((workers) => collect(loadBatches(memory, [2, 0, 1], { ...options, transform: moving, workers }))),
  )
  assert.equal(there, here)
})

test('what workers decode is kept within the limit: a later epoch does not read the files again', async (context) => {
  const files = context.files.slice(0, 4).map((file) => file.replace('.jpg', '-copy.jpg'))
  for (const [i, file] of files.entries()) writeFileSync(file, await sharp(context.files[i]!).toBuffer())
  const all = open(files)
  const none = open(files, 0)
  const options = { transform: moving, batchSize: 4 }
  const before = await collect(loadBatches(all, [0, 1, 2, 3], options))
  await collect(loadBatches(none, [0, 1, 2, 3], options))
  for (const file of files) rmSync(file)
  assert.equal(await collect(loadBatches(all, [0, 1, 2, 3], options)), before)
  const told: string[] = []
  const again = loadBatches(none, [0, 1, 2, 3], { ...options, start: 0, onBroken: (file) => told.push(file) })
  await collect(again).catch(() => {})
  assert.equal(told, files)
})

test('whoever reads a file first finds its SHA-256, broken or not; what is read no more is hashed no more', async (context) => {
  const bad = join(context.folder, 'no-image.jpg')
  writeFileSync(bad, 'no image at all')
  const files = [...context.files.slice(0, 3), bad, join(context.folder, 'absent.jpg')]
  const expected = files.map((file) => {
    return existsSync(file) ? createHash('sha256').update(readFileSync(file)).digest('hex') : undefined
  })
  for (const workers of [true, false]) {
    const whole = open(files, 0)
    const part = subset(whole, [4, 3, 2, 1, 0])
    const digests = part.stored!.digests!
    assert.equal([0, 1, 2, 3, 4].map(digests.get), [undefined, undefined, undefined, undefined, undefined])
    digests.set(2, 'known before')
    await collect(loadBatches(part, [0, 1, 2, 3, 4], { transform: moving, batchSize: 4, workers }))
    const found = files.map((_, i) => whole.stored!.digests!.get(i))
    assert.equal(found, [...expected.slice(0, 2), 'known before', ...expected.slice(3)], `workers: ${workers}`)
  }
})

test('a loop that is left or that ends holds nothing: the process ends by itself', async ({ files }) => {
  const script = (end: string) => `
    import { fileDataset } from 'vitune'
    import { loadBatches, trainTransform } from 'vitune/data'
    import { parsePreprocessor } from 'vitune/models'
    const files = ${JSON.stringify(files)}
    const dataset = fileDataset({ files, labels: files.map(() => 0), classes: ['a'] })
    const transform = trainTransform(parsePreprocessor(undefined, 'vit'))
    const order = files.map((_, i) => i)
    let batches = 0
    try {
      for await (const batch of loadBatches(dataset, order, { transform, batchSize: 8 })) {
        batches++
        ${end}
      }
    } catch (error) {
      console.log(error.message)
    }
    console.log(batches)`
  const run = async (end: string) => {
    const args = ['--input-type=module', '-e', script(end)]
    return (await promisify(execFile)(process.execPath, args, { timeout: 20_000 })).stdout
  }
  const outputs = await Promise.all([run('break'), run(`throw new Error('enough')`), run('')])
  assert.equal(outputs, ['1\n', 'enough\n1\n', '4\n'])
})

test.run()
