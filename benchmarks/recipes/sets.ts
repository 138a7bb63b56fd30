// The images of the trials that recipes are chosen by: CIFAR-10 from a tar of sheets, and the sets that the project has.
// Each is cut in three: to train on (drawn by seed), to choose by (never trained on), to report.
import { readFile } from 'node:fs/promises'
import sharp from 'sharp'
import { type Dataset, memoryDataset, type RgbImage } from 'vitune'
import { Rng } from 'vitune/tensor'
import { kindsOf, loadStartDatasets, type StartDataset, type StartSplit } from '../data/datasets.ts'

/** Images of a set; `train` draws so many of a class by a seed, `val` and `test` are the same for all trials. */
export interface TrialSet {
  readonly name: string
  readonly train: (perClass: number, seed: number) => Dataset
  readonly val: Dataset
  readonly test: Dataset
}

const TILE = 32
const COLUMNS = 25

/** The files of a tar without compression, by name (POSIX ustar: blocks of 512 bytes, sizes in octal). */
function untar(tar: Buffer): Map<string, Buffer> {
  const files = new Map<string, Buffer>()
  for (let at = 0; at + 512 <= tar.length && tar[at] !== 0; ) {
    const text = (from: number, length: number) => tar.toString('latin1', at + from, at + from + length).split('\0')[0]!
    const size = Number.parseInt(text(124, 12).trim() || '0', 8)
    files.set(text(0, 100).replace(/^\.\//, ''), tar.subarray(at + 512, at + 512 + size))
    at += 512 * (1 + Math.ceil(size / 512))
  }
  return files
}

/** The first `count` tiles of 32 px of a sheet, 25 a row. */
async function tilesOf(sheet: Buffer, count: number): Promise<RgbImage[]> {
  const { data, info } = await sharp(sheet).removeAlpha().raw().toBuffer({ resolveWithObject: true })
  return Array.from({ length: count }, (_, t) => {
    const tile = new Uint8Array(TILE * TILE * 3)
    for (let y = 0; y < TILE; y++) {
      const from = ((Math.floor(t / COLUMNS) * TILE + y) * info.width + (t % COLUMNS) * TILE) * 3
      tile.set(data.subarray(from, from + 3 * TILE), y * 3 * TILE)
    }
    return { width: TILE, height: TILE, data: tile }
  })
}

/** CIFAR-10: 1000 training tiles a class, of which the last 30 choose; the first 70 test tiles of each report. */
export async function cifar10(tar: string): Promise<TrialSet> {
  const files = untar(await readFile(tar))
  const sheets = [...files.keys()].filter((name) => /^train\/.*\.webp$/.test(name)).sort()
  const classes = sheets.map((name) => name.slice('train/'.length, -'.webp'.length))
  const split = (part: string, count: number) =>
    Promise.all(classes.map((name) => tilesOf(files.get(`${part}/${name}.webp`)!, count)))
  const [train, test] = [await split('train', 1000), await split('test', 70)]
  const set = (lots: readonly RgbImage[][]): Dataset =>
    memoryDataset({ images: lots.flat(), labels: lots.flatMap((lot, label) => lot.map(() => label)), classes })
  return {
    name: 'cifar10',
    train: (perClass, seed) => {
      const rng = new Rng(seed, 0xc1fa)
      return set(train.map((lot) => rng.shuffle(lot.slice(0, 970)).slice(0, perClass)))
    },
    val: set(train.map((lot) => lot.slice(970))),
    test: set(test),
  }
}

const dataset = ({ images, labels }: StartSplit, labelSpace: StartDataset['labelSpace']): Dataset =>
  memoryDataset({ images, labels, classes: labelSpace.names, labelSpace })

const at = ({ images, labels }: StartSplit, places: readonly number[]): StartSplit => ({
  images: places.map((i) => images[i]!),
  labels: places.map((i) => labels[i]!),
})

/** A set of the project: a quarter of each kind of its training images chooses, the rest may be drawn. */
function embedded(one: StartDataset): TrialSet {
  const { name, labelSpace, train, test } = one
  const rng = new Rng(77)
  const kinds = new Map<string, number[]>()
  for (const [i, { present }] of train.labels.entries()) {
    kinds.set(present.join(), [...(kinds.get(present.join()) ?? []), i])
  }
  const lots = [...kinds.values()].map((lot) => rng.shuffle(lot))
  const held = lots.flatMap((lot) => lot.slice(0, Math.ceil(lot.length / 4)))
  const rest = lots.map((lot) => lot.slice(Math.ceil(lot.length / 4)))
  const known = kindsOf(labelSpace).length
  const some = (split: StartSplit, most: number) =>
    at(split, new Rng(78).shuffle([...split.images.keys()]).slice(0, most))
  return {
    name,
    train: (perClass, seed) => {
      const draw = new Rng(seed, 0xda7a)
      // Where an image has several labels there are no kinds to draw from: as many as that is for all labels.
      const drawn =
        known > 0
          ? rest.flatMap((lot) => draw.shuffle(lot).slice(0, perClass))
          : draw.shuffle(rest.flat()).slice(0, perClass * labelSpace.names.length)
      return dataset(at(train, drawn), labelSpace)
    },
    val: dataset(some(at(train, held), 200), labelSpace),
    test: dataset(some(test, 400), labelSpace),
  }
}

/** The sets of the trials by name; CIFAR-10 among them where its tar is given. */
export async function trialSets(tar: string | undefined): Promise<Map<string, TrialSet>> {
  const own = (await loadStartDatasets()).map(embedded)
  const all = tar === undefined ? own : [await cifar10(tar), ...own]
  return new Map(all.map((set) => [set.name, set]))
}
