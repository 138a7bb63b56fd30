// How much is forgotten when a model learns further classes, with and without the run that it had: docs/incremental.md has the
// table. Clothes: six classes, then four more; emoji in a tree: half of the groups, then the others. Run by hand after npm run build:
// node --import tsx benchmarks/forgetting.ts [clothes|emoji] [SEEDS] [METHOD]
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { openRun, predict, type TrainOptions, train } from 'vitune'
import { disposeModule } from 'vitune/nn'
import { createWasm } from 'vitune/tensor'
import { pathOf } from '../src/labels/labels.ts'
import { kindsOf, loadStartDatasets, type StartDataset, type StartSplit, subset, writeImages } from './data/datasets.ts'
import { perMethod, settings } from './start-settings.ts'

const model = fileURLToPath(new URL('vit-cifar100', import.meta.url))
const { epochs, batchSize, weightDecay, schedule, clip } = settings
const common = { recipe: 'otx', augment: false, epochs, batchSize, weightDecay, schedule, clip, threads: 1 } as const
/** Images of each old class that the last rows still have. */
const FEW = 4

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

/** Share of these test images of which a run finds all labels, and no other. */
async function accuracy(run: string, { test, labelSpace }: StartDataset): Promise<number> {
  const backend = await createWasm({ threads: 1 })
  const opened = await openRun(backend, run)
  const found = await predict(opened, test.images)
  disposeModule(opened.model)
  await backend.dispose()
  const called = (label: number) =>
    pathOf(labelSpace, label)
      .map((one) => labelSpace.names[one]!)
      .join('/')
  const truth = (i: number) => test.labels[i]!.present.map(called).sort().join()
  return found.filter(({ labels }, i) => [...labels].sort().join() === truth(i)).length / found.length
}

async function trained(folder: string, dataset: StartDataset, given: Partial<TrainOptions>): Promise<string> {
  const data = await mkdtemp(join(folder, 'data-'))
  const out = join(folder, `run-${data.slice(-6)}`)
  await writeImages(dataset, data)
  for await (const _ of train({ ...common, ...given, data, out } as TrainOptions)) {
  }
  return out
}

const [which = 'clothes', seeds = '0,1,2', wanted] = process.argv.slice(2)
const name = { clothes: 'fashion', emoji: 'emoji-tree' }[which]
const whole = (await loadStartDatasets()).find((one) => one.name === name)
if (!whole) throw new Error(`forgetting: must be clothes or emoji, got ${which}`)
const kinds = kindsOf(whole.labelSpace)
const roots = [...new Set(kinds.map((kind) => whole.labelSpace.parents[kind]!))]
const isOld = (kind: number) =>
  which === 'clothes' ? kinds.indexOf(kind) < 6 : roots.indexOf(whole.labelSpace.parents[kind]!) < roots.length / 2
const old = kinds.filter(isOld)
const added = kinds.filter((kind) => !isOld(kind))

const rows = new Map<string, { old: number; added: number }[]>()
for (const method of (['lora', 'full'] as const).filter((one) => one === (wanted ?? one))) {
  for (const seed of seeds.split(',').map(Number)) {
    const folder = await mkdtemp(join(tmpdir(), 'forgetting-'))
    const drawn = subset(whole, seed, which === 'clothes' ? 20 : 8, 25)
    const [before, after] = [only(drawn, old), only(drawn, added)]
    const given = { peft: method, lr: perMethod[method].lr!, seed } as const
    const first = await trained(folder, before, { ...given, model })
    const some = both(after, only(drawn, old, FEW))
    const ways: [string, StartDataset, Partial<TrainOptions>][] = [
      ['new images, --from', after, { from: first, distill: 1e-30 }],
      ['new images, --from, --distill 1', after, { from: first, distill: 1 }],
      [`and ${FEW} of each old class, --from`, some, { from: first }],
      [`and ${FEW} of each old class, --from, --distill 1`, some, { from: first, distill: 1 }],
      ['all images', drawn, { model }],
      ['new images', after, { model }],
    ]
    const add = async (row: string, run: string) => {
      const reached = { old: await accuracy(run, before), added: await accuracy(run, after) }
      const key = `${method} | ${row}`
      rows.set(key, [...(rows.get(key) ?? []), reached])
      console.error(`${seed} ${key}: ${(100 * reached.old).toFixed(1)} ${(100 * reached.added).toFixed(1)}`)
    }
    await add('before: old images', first)
    for (const [row, dataset, more] of ways) await add(row, await trained(folder, dataset, { ...given, ...more }))
    await rm(folder, { recursive: true })
  }
}

/** Mean and range, in percent. */
function spread(values: number[]): string {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  return `${(100 * mean).toFixed(1)} (${(100 * Math.min(...values)).toFixed(0)} to ${(100 * Math.max(...values)).toFixed(0)})`
}
console.log('| method | second run | old classes | new classes |\n|---|---|---|---|')
for (const [key, reached] of rows) {
  console.log(`| ${key} | ${spread(reached.map((one) => one.old))} | ${spread(reached.map((one) => one.added))} |`)
}
