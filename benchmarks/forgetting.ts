// How much is forgotten when a model learns further classes, with and without the run that it had: docs/incremental.md has the
// table. Clothes: six classes, then four more; emoji in a tree: half of the groups, then the others. Run by hand after npm run build:
// node --import tsx benchmarks/forgetting.ts [SETS] [SEEDS] [WEIGHTS of --distill] [METHODS] [WORD that rows must have]
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { openRun, predict, type TrainOptions, train } from 'vitune'
import { disposeModule } from 'vitune/nn'
import { createWasm } from 'vitune/tensor'
import { type LabelSpace, pathOf } from '../src/labels/labels.ts'
import { kindsOf, loadStartDatasets, type StartDataset, type StartSplit, subset, writeImages } from './data/datasets.ts'
import { perMethod, settings } from './start-settings.ts'

const model = fileURLToPath(new URL('vit-cifar100', import.meta.url))
const { batchSize, weightDecay, schedule, clip } = settings
const common = { recipe: 'otx', augment: false, epochs: 3, batchSize, weightDecay, schedule, clip, threads: 1 } as const
/** Test images of a class, and training images of each old class that a row still has. */
const TESTED = 8
const FEW = 3
/** Training images of a class, and which classes come first. */
const sets = {
  clothes: { name: 'fashion', each: 10, isOld: ({ names }: LabelSpace, kind: number) => kind < 0.6 * names.length },
  emoji: {
    name: 'emoji-tree',
    each: 6,
    isOld: ({ names, parents }: LabelSpace, kind: number) => ['smileys', 'nature'].includes(names[parents[kind]!]!),
  },
}

/** Only images that have one of these labels, the first `most` of each. */
function only(dataset: StartDataset, kinds: readonly number[], most = Number.POSITIVE_INFINITY): StartDataset {
  const of = ({ images, labels }: StartSplit): StartSplit => {
    const met = new Map<number, number>()
    const places = [...images.keys()].filter((i) => {
      const kind = kinds.find((one) => labels[i]!.present.includes(one))
      if (kind === undefined) return false
      met.set(kind, (met.get(kind) ?? 0) + 1)
      return met.get(kind)! <= most
    })
    return { images: places.map((i) => images[i]!), labels: places.map((i) => labels[i]!) }
  }
  return { ...dataset, train: of(dataset.train), test: of(dataset.test) }
}

/** Two sets' training images as one. */
const both = (a: StartDataset, b: StartDataset): StartDataset => ({
  ...a,
  train: { images: [...a.train.images, ...b.train.images], labels: [...a.train.labels, ...b.train.labels] },
})

/** Of each set, the share of test images of which a run finds all labels, and no other; labels below others are called by their path. */
async function accuracies(run: string, sets: readonly StartDataset[]): Promise<number[]> {
  const backend = await createWasm({ threads: 1 })
  const opened = await openRun(backend, run)
  const shares: number[] = []
  for (const { test, labelSpace } of sets) {
    const called = (label: number) =>
      pathOf(labelSpace, label)
        .map((one) => labelSpace.names[one]!)
        .join('/')
    const truths = test.labels.map(({ present }) => present.map(called).sort())
    // What has no row in the classifier cannot be found.
    const { classes } = opened.model.config
    if (!truths.some((truth) => truth.every((name) => classes.includes(name)))) {
      shares.push(0)
      continue
    }
    const found = await predict(opened, test.images)
    shares.push(found.filter(({ labels }, i) => [...labels].sort().join() === truths[i]!.join()).length / found.length)
  }
  disposeModule(opened.model)
  await backend.dispose()
  return shares
}

async function trained(folder: string, dataset: StartDataset, given: Partial<TrainOptions>): Promise<string> {
  const data = await mkdtemp(join(folder, 'data-'))
  const out = join(folder, `run-${data.slice(-6)}`)
  await writeImages(dataset, data)
  for await (const _ of train({ ...common, ...given, data, out } as TrainOptions)) {
  }
  return out
}

const [whiches = 'clothes,emoji', seeds = '0,1,2', weights = '.5', methods = 'lora,full', word = ''] =
  process.argv.slice(2)
const datasets = await loadStartDatasets()
const rows = new Map<string, { old: number; added: number }[]>()

/** All rows of one set, method and seed. */
async function measure(which: keyof typeof sets, method: 'lora' | 'full', seed: number): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'forgetting-'))
  const { name, each, isOld } = sets[which]
  const drawn = subset(datasets.find((one) => one.name === name)!, seed, each, TESTED)
  const kinds = kindsOf(drawn.labelSpace)
  const old = kinds.filter((kind) => isOld(drawn.labelSpace, kind))
  const added = kinds.filter((kind) => !old.includes(kind))
  const [before, after] = [only(drawn, old), only(drawn, added)]
  const some = both(after, only(drawn, old, FEW))
  const given = { peft: method, lr: perMethod[method].lr!, seed } as const
  const first = await trained(folder, before, { ...given, model })
  // A run with --from is what its documented command does: without --distill, labels that the data lack are gone.
  const kept = weights
    .split(',')
    .map((by) => [`new images, --from, --distill ${by}`, after, { from: first, distill: Number(by) }] as const)
  const ways: (readonly [string, StartDataset, Partial<TrainOptions>])[] = [
    ['new images', after, { model }],
    ['new images, --from', after, { from: first }],
    ...kept,
    [`and ${FEW} of each old class, --from`, some, { from: first }],
    ['all images', drawn, { model }],
  ]
  const add = async (row: string, run: string) => {
    const [onOld, onAdded] = await accuracies(run, [before, after])
    const key = `${which} | ${method} | ${row}`
    rows.set(key, [...(rows.get(key) ?? []), { old: onOld!, added: onAdded! }])
    const said = `${(100 * onOld!).toFixed(1)} ${(100 * onAdded!).toFixed(1)}`
    console.error(`${seed} ${key}: ${said} (${Math.round(performance.now() / 1000)} s)`)
  }
  await add('old images', first)
  for (const [row, dataset, more] of ways) {
    if (row.includes(word)) await add(row, await trained(folder, dataset, { ...given, ...more }))
  }
  await rm(folder, { recursive: true })
}

for (const seed of seeds.split(',').map(Number)) {
  for (const which of whiches.split(',') as (keyof typeof sets)[]) {
    for (const method of methods.split(',') as ('lora' | 'full')[]) await measure(which, method, seed)
  }
}

/** Mean and range, in percent. */
function spread(values: number[]): string {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  return `${(100 * mean).toFixed(1)} (${(100 * Math.min(...values)).toFixed(0)} to ${(100 * Math.max(...values)).toFixed(0)})`
}
console.log('| set | method | second run on | old classes | new classes |\n|---|---|---|---|---|')
for (const [key, reached] of rows) {
  console.log(`| ${key} | ${spread(reached.map((one) => one.old))} | ${spread(reached.map((one) => one.added))} |`)
}
