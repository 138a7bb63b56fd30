// The images that `npm start` uses: what a clone holds, how a subset is drawn, and their way out as files.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { loadStartDatasets, type StartSplit, subset, writeImageFolder } from '../benchmarks/data/datasets.ts'

const datasets = await loadStartDatasets()
const key = (image: { data: Uint8Array }) => Buffer.from(image.data).toString('base64')
const perClass = ({ labels }: StartSplit) => {
  const counts: Record<number, number> = {}
  for (const label of labels) counts[label] = (counts[label] ?? 0) + 1
  return Object.values(counts)
}

test('two sets of real images have 10 classes of 200 training and 200 test images, 28 x 28 in RGB', () => {
  assert.equal(
    datasets.map((d) => d.name),
    ['digits', 'fashion'],
  )
  for (const { classes, train, test } of datasets) {
    assert.is(new Set(classes).size, 10)
    for (const split of [train, test]) {
      assert.is(split.images.length, 2000)
      assert.is(split.labels.length, 2000)
      assert.equal(perClass(split), Array(10).fill(200))
      for (const { width, height, data } of split.images) {
        assert.is(`${width} x ${height}, ${data.length}`, '28 x 28, 2352')
      }
    }
  }
})

test('no image is there twice, so that none is trained and tested on', () => {
  for (const { train, test } of datasets) {
    const all = [...train.images, ...test.images].map(key)
    assert.is(new Set(all).size, all.length)
  }
})

test('the classes differ as their names say: a 1 has less ink than a 0, a sandal less than a pullover', () => {
  const ink = (name: string, label: string) => {
    const { classes, train } = datasets.find((d) => d.name === name)!
    const mine = train.images.filter((_, i) => classes[train.labels[i]!] === label)
    return mine.reduce((sum, { data }) => sum + data.reduce((a, b) => a + b, 0) / data.length, 0) / mine.length
  }
  assert.ok(ink('digits', '1') < 0.6 * ink('digits', '0'))
  assert.ok(ink('fashion', 'sandal') < 0.6 * ink('fashion', 'pullover'))
})

test('a subset is the same for the same seed, another for another seed, and tests on the same images', () => {
  const [digits] = datasets
  const a = subset(digits!, 1, 5, 7)
  assert.equal(perClass(a.train), Array(10).fill(5))
  assert.equal(perClass(a.test), Array(10).fill(7))
  assert.equal(subset(digits!, 1, 5, 7), a)
  const b = subset(digits!, 2, 5, 7)
  assert.not.equal(b.train.images.map(key), a.train.images.map(key))
  assert.equal(b.test, a.test)
  const labelOf = new Map(digits!.train.images.map((image, i) => [key(image), digits!.train.labels[i]]))
  for (const [i, image] of a.train.images.entries()) assert.is(labelOf.get(key(image)), a.train.labels[i])
})

test('asking for more images than there are says how many there are', () => {
  assert.throws(() => subset(datasets[0]!, 0, 201, 1), /training images per class: must be 1 to 200, got 201/)
  assert.throws(() => subset(datasets[0]!, 0, 1, 0), /test images per class: must be 1 to 200, got 0/)
})

test('exported folders hold the same pixels as PNG files, a folder a class', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'vitune-'))
  try {
    const small = subset(datasets[1]!, 3, 2, 1)
    await writeImageFolder(small, dir)
    assert.equal(readdirSync(join(dir, 'train')).sort(), [...small.classes].sort())
    assert.equal(readdirSync(join(dir, 'train', 'ankle-boot')), ['0001.png', '0002.png'])
    assert.equal(readdirSync(join(dir, 'test', 'bag')), ['0001.png'])
    const file = join(dir, 'train', small.classes[small.train.labels[1]!]!, '0002.png')
    const { data, info } = await sharp(file).raw().toBuffer({ resolveWithObject: true })
    assert.is(info.channels, 3)
    assert.equal(new Uint8Array(data), small.train.images[1]!.data)
    await writeImageFolder({ ...small, classes: ['../out', ...small.classes.slice(1)] }, dir).then(
      () => assert.unreachable(),
      (error: Error) => assert.match(error.message, 'plain folder name'),
    )
    assert.not.ok(existsSync(join(dir, 'out')))
  } finally {
    rmSync(dir, { recursive: true })
  }
})

test('each set names its source and licence, and the notice beside the images names both holders', () => {
  for (const { source } of datasets) assert.match(source, /\(.*(MIT|CC BY-SA 3\.0)\)/)
  const notice = readFileSync(new URL('../benchmarks/data/NOTICE.md', import.meta.url), 'utf8')
  for (const text of ['Zalando SE', 'Yann LeCun', 'Juan Cazala', 'Permission is hereby granted']) {
    assert.ok(notice.includes(text), text)
  }
})

test.run()
