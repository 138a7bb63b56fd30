// The images that `npm start` uses: what a clone holds, how a subset is drawn, and their way out as files.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type ImageLabels, multiclassLabels } from 'vitune'
import {
  kindsOf,
  loadStartDatasets,
  type StartDataset,
  type StartSplit,
  subset,
  writeImages,
} from '../benchmarks/data/datasets.ts'

const datasets = await loadStartDatasets()
const [digits, fashion, tree, tags] = datasets as [StartDataset, StartDataset, StartDataset, StartDataset]
const grey = [digits, fashion]
const key = (image: { data: Uint8Array }) => Buffer.from(image.data).toString('base64')
const perClass = ({ labels }: StartSplit) => {
  const counts: Record<number, number> = {}
  for (const { present } of labels) counts[present[0]!] = (counts[present[0]!] ?? 0) + 1
  return Object.values(counts)
}

test('two sets of real images have 10 classes of 200 training and 200 test images, 28 x 28 in RGB', () => {
  assert.equal(
    datasets.map((d) => d.name),
    ['digits', 'fashion', 'emoji-tree', 'emoji-tags'],
  )
  for (const { labelSpace, train, test } of grey) {
    assert.is(new Set(labelSpace.names).size, 10)
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
  for (const { train, test } of grey) {
    const all = [...train.images, ...test.images].map(key)
    assert.is(new Set(all).size, all.length)
  }
})

test('the classes differ as their names say: a 1 has less ink than a 0, a sandal less than a pullover', () => {
  const ink = (name: string, label: string) => {
    const { labelSpace, train } = datasets.find((d) => d.name === name)!
    const mine = train.images.filter((_, i) => labelSpace.names[train.labels[i]!.present[0]!] === label)
    return mine.reduce((sum, { data }) => sum + data.reduce((a, b) => a + b, 0) / data.length, 0) / mine.length
  }
  assert.ok(ink('digits', '1') < 0.6 * ink('digits', '0'))
  assert.ok(ink('fashion', 'sandal') < 0.6 * ink('fashion', 'pullover'))
})

test('a subset is the same for the same seed, another for another seed, and tests on the same images', () => {
  const a = subset(digits, 1, 5, 7)
  assert.equal(perClass(a.train), Array(10).fill(5))
  assert.equal(perClass(a.test), Array(10).fill(7))
  assert.equal(subset(digits, 1, 5, 7), a)
  const b = subset(digits, 2, 5, 7)
  assert.not.equal(b.train.images.map(key), a.train.images.map(key))
  assert.equal(b.test, a.test)
  const labelOf = new Map(digits.train.images.map((image, i) => [key(image), digits.train.labels[i]]))
  for (const [i, image] of a.train.images.entries()) assert.is(labelOf.get(key(image)), a.train.labels[i])
})

test('asking for more images than there are says how many there are', () => {
  assert.throws(() => subset(digits, 0, 201, 1), /training images per class: must be 1 to 200, got 201/)
  assert.throws(() => subset(digits, 0, 1, 0), /test images per class: must be 1 to 200, got 0/)
})

test('exported folders hold the same pixels as PNG files, a folder a class', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'vitune-'))
  try {
    const small = subset(fashion, 3, 2, 1)
    assert.is(await writeImages(small, dir), dir)
    assert.equal(readdirSync(join(dir, 'train')).sort(), [...small.labelSpace.names].sort())
    assert.equal(readdirSync(join(dir, 'train', 'ankle-boot')), ['0001.png', '0002.png'])
    assert.equal(readdirSync(join(dir, 'test', 'bag')), ['0001.png'])
    const file = join(dir, 'train', small.labelSpace.names[small.train.labels[1]!.present[0]!]!, '0002.png')
    const { data, info } = await sharp(file).raw().toBuffer({ resolveWithObject: true })
    assert.is(info.channels, 3)
    assert.equal(new Uint8Array(data), small.train.images[1]!.data)
    const labelSpace = multiclassLabels(['../out', ...small.labelSpace.names.slice(1)])
    await writeImages({ ...small, labelSpace }, dir).then(
      () => assert.unreachable(),
      (error: Error) => assert.match(error.message, 'plain folder name'),
    )
    assert.not.ok(existsSync(join(dir, 'out')))
  } finally {
    rmSync(dir, { recursive: true })
  }
})

test('emoji are in a tree of two levels, and have tags, several a picture', () => {
  const names = (set: StartDataset, labels: ImageLabels) => labels.present.map((at) => set.labelSpace.names[at])
  const { names: labels, parents } = tree.labelSpace
  assert.equal(
    kindsOf(tree.labelSpace).map((kind) => `${labels[parents[kind]!]}/${labels[kind]}`),
    'smileys/face smileys/heart nature/mammal nature/bird nature/marine nature/bug nature/flower nature/plant food/fruit food/vegetable food/sweet food/drink travel/building travel/transport travel/time travel/sky'.split(
      ' ',
    ),
  )
  assert.equal(
    [...tags.labelSpace.names].sort(),
    'animal bird cat face flower food fruit hand heart plant smile sweet tears'.split(' '),
  )
  for (const set of [tree, tags]) {
    // Two drawings to train on, one to test on.
    assert.is(set.train.images.length, 2 * set.test.images.length)
    for (const { width, height, data } of [...set.train.images, ...set.test.images]) {
      assert.is(`${width} x ${height}, ${data.length}`, '32 x 32, 3072')
    }
    for (const split of [set.train, set.test]) {
      for (const [label, name] of set.labelSpace.names.entries()) {
        const count = split.labels.filter(({ present }) => present.includes(label)).length
        assert.ok(count >= 8, `${name} ${count}`)
      }
    }
  }
  for (const labels of tree.test.labels) assert.is(labels.present.length, 2)
  const several = tags.test.labels.filter(({ present }) => present.length > 1).length
  assert.ok(several > 0.4 * tags.test.labels.length, String(several))
  assert.ok(tags.test.labels.some((labels) => names(tags, labels).join() === 'face,smile,heart'))
})

test('every drawing is another one, and hearts are redder than plants, which are greener', () => {
  for (const { train, test } of [tree, tags]) {
    const all = [...train.images, ...test.images].map(key)
    assert.ok(all.length - new Set(all).size < 0.01 * all.length, `${all.length} ${new Set(all).size}`)
  }
  const share = (label: string, channel: number) => {
    const at = tree.labelSpace.names.indexOf(label)
    const mine = tree.test.images.filter((_, i) => tree.test.labels[i]!.present.includes(at))
    const sum = (keep: (i: number) => boolean) =>
      mine.reduce((all, { data }) => all + data.reduce((a, v, i) => a + (keep(i) ? 255 - v : 0), 0), 0)
    // Ink that is missing in this channel: what is white has none.
    return sum((i) => i % 3 === channel) / sum(() => true)
  }
  assert.ok(share('heart', 0) < share('plant', 0))
  assert.ok(share('plant', 1) < share('heart', 1))
})

test('a subset of a tree has as many of each leaf, one of tags as many in all', () => {
  const small = subset(tree, 0, 3, 50)
  const leaves = kindsOf(tree.labelSpace)
  const count = (label: number) => small.train.labels.filter(({ present }) => present.includes(label)).length
  assert.equal(leaves.map(count), Array(16).fill(3))
  assert.is(small.test.images.length, tree.test.images.length)
  assert.throws(() => subset(tree, 0, 25, 1), /emoji-tree: training images per class: must be 1 to 24, got 25/)
  assert.is(subset(tags, 0, 3, 50).train.images.length, 39)
})

test('a tree is written as nested folders, tags as a table beside the images', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'vitune-'))
  try {
    assert.is(await writeImages(subset(tree, 0, 1, 1), join(dir, 'tree')), join(dir, 'tree'))
    assert.equal(readdirSync(join(dir, 'tree/test')).sort(), ['food', 'nature', 'smileys', 'travel'])
    assert.equal(readdirSync(join(dir, 'tree/train/food')).sort(), ['drink', 'fruit', 'sweet', 'vegetable'])
    assert.equal(readdirSync(join(dir, 'tree/train/food/fruit')), ['0001.png'])
    const small = subset(tags, 0, 1, 1)
    const file = await writeImages(small, join(dir, 'tags'))
    const rows = readFileSync(file, 'utf8').trim().split('\n')
    assert.is(rows[0], 'path,label,split')
    assert.is(rows.length, 1 + 13 + 13)
    for (const [i, row] of rows.slice(1, 14).entries()) {
      const labels = small.train.labels[i]!.present.map((at) => small.labelSpace.names[at])
      assert.is(row, `train/${String(i + 1).padStart(4, '0')}.png,${labels.join(';')},train`)
      assert.ok(existsSync(join(dir, 'tags', row.split(',')[0]!)))
    }
  } finally {
    rmSync(dir, { recursive: true })
  }
})

test('all images together are smaller than 6 MB', () => {
  const folder = new URL('../benchmarks/data/', import.meta.url)
  const bytes = readdirSync(folder).reduce((sum, name) => sum + statSync(new URL(name, folder)).size, 0)
  assert.ok(bytes < 6e6, String(bytes))
})

test('each set names its source and licence, and the notice beside the images names all holders', () => {
  for (const { source } of datasets) assert.match(source, /\(.*(MIT|CC BY-SA 3\.0|CC BY 4\.0)\)/)
  const notice = readFileSync(new URL('../benchmarks/data/NOTICE.md', import.meta.url), 'utf8')
  const holders = [
    'Zalando SE',
    'Yann LeCun',
    'Juan Cazala',
    'Google LLC',
    'Microsoft',
    'Twitter, Inc',
    'Unicode, Inc.',
  ]
  for (const text of [...holders, 'Miles Johnson', 'Permission is hereby granted', 'licenses/by/4.0/']) {
    assert.ok(notice.includes(text), text)
  }
  const apache = readFileSync(new URL('../benchmarks/data/LICENSE-Apache-2.0.txt', import.meta.url), 'utf8')
  assert.match(apache, /Apache License\s+Version 2\.0/)
})

test.run()
