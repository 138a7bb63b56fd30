// Image folders, their split, the order of an epoch and the batches that come out.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import sharp from 'sharp'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  type Dataset,
  fileDataset,
  memoryDataset,
  multiclassLabels,
  openData,
  openTestData,
  stratifiedSplit,
  subset,
} from 'vitune'
import {
  batchSource,
  epochOrder,
  evalTransform,
  type ImageBatch,
  loadBatch,
  loadBatches,
  sampleRng,
  toBatches,
  trainTransform,
  withInputSize,
} from 'vitune/data'
import { parsePreprocessor } from 'vitune/models'
import { refusal } from './refusal.ts'
import { json } from './small-vit.ts'

const test = suite<{ folder: string }>('image-folder')
test.before.each((context) => {
  context.folder = mkdtempSync(join(tmpdir(), 'vitune-images-'))
})
test.after.each(({ folder }) => rmSync(folder, { recursive: true }))

const preprocess = withInputSize(parsePreprocessor(undefined, 'vit'), 8)
const still = evalTransform(preprocess)
const moving = trainTransform(preprocess)

/** A small image of one grey level. */
const png = (level: number): Promise<Buffer> =>
  sharp({ create: { width: 9, height: 6, channels: 3, background: { r: level, g: level, b: level } } })
    .png()
    .toBuffer()
const pixels = [await png(0), await png(120), await png(240)]

/** Makes files with image bytes (whatever their ending says; decoders look at the content). */
function fill(folder: string, names: string[]): void {
  for (const [i, name] of names.entries()) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), pixels[i % 3]!)
  }
}

const filesOf = (dataset: Dataset, folder: string): string[] =>
  Array.from({ length: dataset.length }, (_, i) => dataset.file(i).slice(folder.length + 1))

async function collect(batches: AsyncIterable<ImageBatch>): Promise<ImageBatch[]> {
  const all: ImageBatch[] = []
  for await (const batch of batches) all.push(batch)
  return all
}

test('classes and files come sorted by name, folders inside a class are walked, and all else is passed over by name', async ({
  folder,
}) => {
  fill(folder, ['b/2.jpg', 'b/10.JPG', 'b/a.webp', 'Z/x.jpeg', 'Z/y.png', 'é/1.png', 'é/2.png'])
  fill(folder, ['b/.hidden.jpg', 'b/notes.txt', 'b/deeper/3.jpg', '.git/a.png', 'empty/readme.md', 'top.jpg'])
  const found = await openData(folder, { valFraction: 0 })
  assert.equal(found.classes, ['Z', 'b', 'é'])
  const expected = ['Z/x.jpeg', 'Z/y.png', 'b/10.JPG', 'b/2.jpg', 'b/a.webp', 'b/deeper/3.jpg', 'é/1.png', 'é/2.png']
  assert.equal(filesOf(found.train, folder), expected)
  assert.equal(
    Array.from({ length: found.train.length }, (_, i) => found.train.labels(i).present[0]),
    [0, 0, 1, 1, 1, 1, 2, 2],
  )
  assert.is(found.val, undefined)
  assert.is(found.valSource, 'none')
  assert.equal(
    found.ignored.map(({ kind, count, names }) => `${count} ${kind}: ${names.join(' ')}`),
    [
      '2 hidden entries: .git b/.hidden.jpg',
      '1 images outside the class folders: top.jpg',
      '1 files ending in .txt: b/notes.txt',
      '1 files ending in .md: empty/readme.md',
      '1 folders without images: empty',
    ],
  )
  assert.equal(found.notes, [])
})

test('train, val and test folders are taken as they are, under any usual name', async ({ folder }) => {
  for (const [train, val, last] of [
    ['train', 'val', 'test'],
    ['Train', 'valid', 'Test'],
    ['train', 'validation', 'test'],
  ]) {
    const dir = join(folder, `${train}-${val}`)
    fill(dir, [`${train}/a/1.png`, `${train}/a/2.png`, `${train}/b/1.png`, `${val}/b/9.png`, `${last}/a/5.png`])
    const found = await openData(dir)
    assert.equal([found.train.length, found.val?.length, found.test?.length], [3, 1, 1])
    assert.is(found.valSource, 'folder')
    assert.equal([found.val?.labels(0).present[0], found.val?.classes], [1, ['a', 'b']])
    assert.equal(filesOf((await openTestData(dir, { labelSpace: multiclassLabels(found.classes) })).dataset, dir), [
      `${last}/a/5.png`,
    ])
  }
})

test('a train folder without a val folder is split, and classes may be called train and test', async ({ folder }) => {
  fill(join(folder, 'x'), ['train/a/1.png', 'train/a/2.png', 'train/b/1.png', 'train/b/2.png'])
  const split = await openData(join(folder, 'x'))
  assert.equal([split.train.length, split.val?.length, split.valSource], [2, 2, 'split'])
  assert.match(
    await refusal(openTestData(join(folder, 'x'), { labelSpace: multiclassLabels(['a', 'b']) })),
    'no test or val folder',
  )
  fill(join(folder, 'y'), ['train/1.png', 'test/1.png', 'test/2.png'])
  assert.equal((await openData(join(folder, 'y'), { valFraction: 0 })).classes, ['test', 'train'])
})

test('another folder can be given to validate on, with some or all of the classes', async ({ folder }) => {
  fill(folder, ['data/a/1.png', 'data/b/1.png', 'held/b/7.png', 'odd/c/1.png', 'none/readme.md'])
  const found = await openData(join(folder, 'data'), { val: join(folder, 'held') })
  assert.equal([found.train.length, found.val?.length, found.val?.labels(0).present[0]], [2, 1, 1])
  const open = (val: string) => refusal(openData(join(folder, 'data'), { val: join(folder, val) }))
  assert.match(await open('odd'), 'must be among those trained on, got also c')
  assert.match(await open('none'), 'has no class folders')
  assert.match(await open('absent'), /must be a folder of images, or a file of labels .*got nothing there/)
  assert.match(await refusal(openTestData(join(folder, 'odd'), { labelSpace: multiclassLabels(['a']) })), 'got also c')
  assert.equal(
    (await openTestData(join(folder, 'held'), { labelSpace: multiclassLabels(['a', 'x', 'b']) })).dataset.labels(0)
      .present,
    [2],
  )
})

test('folders that cannot be trained on have one sentence each', async ({ folder }) => {
  assert.match(
    await refusal(openData(join(folder, 'none'))),
    /must be a folder of images, or a file of labels .*got nothing there/,
  )
  writeFileSync(join(folder, 'file'), '')
  assert.match(await refusal(openData(join(folder, 'file'))), 'got file')
  mkdirSync(join(folder, 'empty/a'), { recursive: true })
  assert.match(await refusal(openData(join(folder, 'empty'))), 'has no images in class folders, expected CLASS/*.jpg')
  fill(folder, ['flat/1.png'])
  assert.match(await refusal(openData(join(folder, 'flat'))), 'has no images in class folders')
  fill(folder, ['one/a/1.png', 'one/a/2.png'])
  assert.match(await refusal(openData(join(folder, 'one'))), 'needs at least two classes, got only "a"')
  fill(folder, ['single/a/1.png', 'single/b/2.png'])
  assert.match(await refusal(openData(join(folder, 'single'))), 'no class has two images')
  assert.match(await refusal(openData(join(folder, 'single'), { valFraction: 1 })), 'from 0 to below 1, got 1')
})

test('the split takes its part of every class, at least one and never all, and hangs on the seed alone', () => {
  const labels = [...Array(50).fill(0), ...Array(7).fill(1), 2, 2, 3]
  const split = (of: number[], fraction: number, seed: number) =>
    stratifiedSplit(
      of.map((label) => ({ present: [label] })),
      fraction,
      seed,
    )
  const { train, val } = split(labels, 0.2, 4)
  assert.equal(
    [...train, ...val].sort((a, b) => a - b),
    labels.map((_, i) => i),
  )
  const count = (c: number) => val.filter((i) => labels[i] === c).length
  assert.equal([0, 1, 2, 3].map(count), [10, 1, 1, 0])
  assert.equal(split(labels, 0.99, 4).val.length, 49 + 6 + 1)
  assert.equal(split(labels, 0.2, 4).val, val)
  assert.not.equal(split(labels, 0.2, 5).val, val)
  // One more image of the last class leaves the others' split alone.
  const more = split([...labels, 3], 0.2, 4).val.filter((i) => i < 59)
  assert.equal(more, val)
})

test('orders: every sample once, another each epoch, the same again for the same seed; balanced draws classes evenly', () => {
  const labels = [...Array(30).fill(0), ...Array(6).fill(2)]
  const shuffle = (seed: number, epoch: number) => epochOrder(labels, { mode: 'shuffle', seed, epoch })
  assert.equal(
    [...shuffle(1, 0)].sort((a, b) => a - b),
    labels.map((_, i) => i),
  )
  assert.equal(shuffle(1, 0), shuffle(1, 0))
  assert.not.equal(shuffle(1, 0), shuffle(1, 1))
  assert.not.equal(shuffle(1, 0), shuffle(2, 0))
  assert.equal(
    epochOrder(labels, { mode: 'sequential', seed: 1, epoch: 3 }),
    labels.map((_, i) => i),
  )
  const even = epochOrder(labels, { mode: 'balanced', seed: 1, epoch: 0 })
  assert.is(even.length, 36)
  assert.equal(
    even.map((i) => labels[i]),
    Array.from({ length: 36 }, (_, i) => (i % 2) * 2),
  )
  const small = [...Array(500).fill(0), 1, 1]
  // ln 0.001 / ln 0.5 = 9.97
  assert.is(epochOrder(small, { mode: 'balanced-efficient', seed: 1, epoch: 0 }).length, 2 * 9)
  assert.equal(epochOrder([], { mode: 'balanced', seed: 0, epoch: 0 }), [])
})

test("balanced orders are as long, and have as many of each class, as those of OTX's BalancedSampler", () => {
  for (const { sizes, efficient, length, counts } of json('training/values.json').balanced) {
    const labels = (sizes as number[]).flatMap((size, k) => new Array<number>(size).fill(k))
    const mode = efficient ? 'balanced-efficient' : 'balanced'
    const order = epochOrder(labels, { mode, seed: 1, epoch: 0 })
    assert.is(order.length, length, `${sizes}`)
    assert.equal(
      (sizes as number[]).map((_, k) => order.filter((i) => labels[i] === k).length),
      counts,
    )
  }
})

test('batches cut the order, and may leave out a short last one', () => {
  assert.equal(toBatches([5, 6, 7, 8, 9], 2), [[5, 6], [7, 8], [9]])
  assert.equal(toBatches([5, 6, 7, 8, 9], 2, true), [
    [5, 6],
    [7, 8],
  ])
  assert.equal(toBatches([], 3), [])
  assert.throws(() => toBatches([1], 0), /whole and positive, got 0/)
})

test('a batch holds the transformed images, labels and files in the order asked for', async ({ folder }) => {
  fill(folder, ['a/1.png', 'a/2.png', 'b/3.png'])
  const { train } = await openData(folder, { valFraction: 0 })
  const batch = await loadBatch(train, [2, 0, 1, 0], {
    transform: still,
    parallel: 3,
    targets: (given) => ({
      label: { data: Int32Array.from(given, ({ present }) => present[0]!), shape: [given.length] },
    }),
  })
  const labels = Array.from(batch.targets.label!.data)
  assert.equal(batch.inputs.images.shape, [4, 3, 8, 8])
  assert.equal(labels, [1, 0, 0, 0])
  assert.equal(
    batch.names.map((file) => file.slice(-7)),
    ['b/3.png', 'a/1.png', 'a/2.png', 'a/1.png'],
  )
  const level = (v: number) => Math.fround(Math.fround(Math.fround(v / 255) - 0.5) / 0.5)
  assert.equal(
    [0, 1, 2, 3].map((i) => batch.inputs.images.data[i * 192]),
    [240, 0, 120, 0].map(level),
  )
  assert.equal((await loadBatch(train, [], { transform: still })).inputs.images.shape, [0, 3, 8, 8])
})

test('random images hang on seed, epoch and index alone, not on batches, order or what decoded first', async () => {
  const data = Array.from({ length: 5 }, (_, n) =>
    Uint8Array.from({ length: 40 * 30 * 3 }, (_, i) => (i * 31 + n * 7) & 255),
  )
  const slow = (order: number[]): Dataset => ({
    labelSpace: multiclassLabels(['a']),
    classes: ['a'],
    length: 5,
    labels: () => ({ present: [0] }),
    file: (i) => `${i}`,
    async image(i) {
      await new Promise((resolve) => setTimeout(resolve, order[i]! * 4))
      return { width: 40, height: 30, data: data[i]! }
    },
  })
  const options = { transform: moving, seed: 3, epoch: 2 }
  const one = await loadBatch(slow([0, 4, 1, 3, 2]), [0, 1, 2, 3, 4], options)
  const two = await loadBatch(slow([4, 0, 3, 1, 2]), [4, 3, 2, 1, 0], { ...options, parallel: 2 })
  for (let i = 0; i < 5; i++) {
    assert.equal(
      one.inputs.images.data.slice(i * 192, (i + 1) * 192),
      two.inputs.images.data.slice((4 - i) * 192, (5 - i) * 192),
      `image ${i}`,
    )
  }
  const other = await loadBatch(slow([0, 0, 0, 0, 0]), [0], { ...options, epoch: 3 })
  assert.not.equal(other.inputs.images.data, one.inputs.images.data.slice(0, 192))
  const draws = new Set<number>()
  for (let epoch = 0; epoch < 20; epoch++) for (let i = 0; i < 20; i++) draws.add(sampleRng(1, epoch, i).uint32())
  assert.is(draws.size, 400)
})

test('a source gives the same epochs again, and a later start gives the rest of one', async () => {
  const images = Array.from({ length: 7 }, (_, n) => ({ width: 9, height: 9, data: new Uint8Array(243).fill(n * 30) }))
  const dataset = memoryDataset({ images, labels: [0, 1, 0, 1, 0, 1, 0], classes: ['a', 'b'] })
  const source = batchSource(dataset, { transform: moving, batchSize: 3, order: 'shuffle', seed: 8 })
  assert.is(source.batches, 3)
  const first = await collect(source.epoch(1, 0))
  assert.equal(
    first.map((batch) => batch.count),
    [3, 3, 1],
  )
  assert.equal(await collect(source.epoch(1, 0)), first)
  assert.equal(await collect(source.epoch(1, 2)), first.slice(2))
  assert.not.equal(
    (await collect(source.epoch(2, 0))).flatMap((b) => b.indices),
    first.flatMap((b) => b.indices),
  )
  assert.is(first[0]!.names[0], `image ${first[0]!.indices[0]}`)
  assert.is(batchSource(dataset, { transform: still, batchSize: 3, dropLast: true }).batches, 2)
})

test('the next batch loads while the last is in use, and stopping early leaves nothing unhandled', async () => {
  const asked: number[] = []
  const dataset: Dataset = {
    labelSpace: multiclassLabels(['a']),
    classes: ['a'],
    length: 6,
    labels: () => ({ present: [0] }),
    file: (i) => `${i}`,
    async image(i) {
      asked.push(i)
      if (i > 3) throw new Error('never needed')
      return { width: 1, height: 1, data: new Uint8Array(3) }
    },
  }
  let unhandled = 0
  const count = () => unhandled++
  process.on('unhandledRejection', count)
  for await (const batch of loadBatches(dataset, [0, 1, 2, 3, 4, 5], { transform: still, batchSize: 2 })) {
    await new Promise((resolve) => setTimeout(resolve, 5))
    if (batch.indices[0] === 0) assert.equal(asked, [0, 1, 2, 3])
    else break
  }
  assert.equal(asked, [0, 1, 2, 3, 4, 5])
  await new Promise((resolve) => setTimeout(resolve, 5))
  process.off('unhandledRejection', count)
  assert.is(unhandled, 0)
})

test('broken images are told and left out, or fail a strict run by name', async ({ folder }) => {
  fill(folder, ['a/1.png', 'a/2.png', 'b/3.png', 'b/4.png'])
  writeFileSync(join(folder, 'a/2.png'), pixels[0]!.subarray(0, 60))
  writeFileSync(join(folder, 'b/3.png'), 'not an image')
  const { train } = await openData(folder, { valFraction: 0 })
  const told: string[] = []
  const onBroken = (file: string, reason: string) => told.push(`${file.slice(folder.length + 1)} ${reason.length > 0}`)
  const batches = await collect(loadBatches(train, [3, 1, 0, 2, 1, 2], { transform: still, batchSize: 2, onBroken }))
  assert.equal(
    batches.map((batch) => batch.count),
    [1, 1, 0],
  )
  assert.equal(
    batches.map((batch) => [...batch.indices]),
    [[3], [0], []],
  )
  assert.is(batches[1]!.inputs.images.data.length, 192)
  assert.equal(told, ['a/2.png true', 'b/3.png true', 'a/2.png true', 'b/3.png true'])
  const strict = await refusal(loadBatch(train, [0, 1], { transform: still, strict: true }))
  assert.ok(strict.startsWith(join(folder, 'a/2.png')), strict)
  assert.match(strict, 'without strict to skip it')
  const none = await refusal(collect(loadBatches(train, [1, 2], { transform: still, batchSize: 2 })))
  assert.match(none, 'not one of 2 could be decoded')
})

test('an image that vanished since is broken too', async ({ folder }) => {
  fill(folder, ['a/1.png', 'a/2.png', 'b/3.png'])
  const { train } = await openData(folder, { valFraction: 0 })
  rmSync(join(folder, 'a/1.png'))
  const told: string[] = []
  await loadBatch(train, [0, 1], { transform: still, onBroken: (_, reason) => told.push(reason) })
  assert.is(told.length, 1)
  assert.match(told[0]!, 'ENOENT')
})

test('decoded images are kept up to the limit, so that later epochs do not decode again', async ({ folder }) => {
  fill(folder, ['1.png', '2.png', '3.png', '4.png'])
  const files = ['1.png', '2.png', '3.png', '4.png'].map((name) => join(folder, name))
  // Images of 162 bytes; one may take a 64th of the room.
  const open = (cacheBytes: number) => fileDataset({ files, labels: [0, 0, 0, 0], classes: ['a'], cacheBytes })
  const dataset = open(64 * 162)
  const some = open(64 * 161)
  const before = await Promise.all([0, 1, 2, 3].map((i) => dataset.image(i)))
  await some.image(0)
  for (const file of files) rmSync(file)
  for (let i = 0; i < 4; i++) assert.is(await dataset.image(i), before[i])
  assert.is((await subset(dataset, [2]).image(0)).data, before[2]!.data)
  let failed = false
  await some.image(0).catch(() => {
    failed = true
  })
  assert.ok(failed)
})

test('labels must fit the images and the classes', () => {
  const images = [{ width: 1, height: 1, data: new Uint8Array(3) }]
  assert.throws(() => memoryDataset({ images, labels: [], classes: ['a'] }), /1 images need as many labels, got 0/)
  assert.throws(() => memoryDataset({ images, labels: [1], classes: ['a'] }), /must be 0 to 0, got 1 at 0/)
  assert.throws(() => memoryDataset({ images, labels: [0.5], classes: ['a'] }), /must be 0 to 0, got 0.5/)
})

test.run()
