// How the learning rates of `npm start` were chosen: each method at several rates, tested on training images that the
// runs do not train on. The test images have no part in it. Run by hand after npm run build:
// node --import tsx benchmarks/start-rates.ts [METHOD=RATE,RATE...]...
import { fileURLToPath } from 'node:url'
import { createBackend, type ExperimentMethod, experiment, memoryDataset } from 'vitune'
import { Rng } from 'vitune/tensor'
import { scoreOf } from '../src/report/experiment-result.ts'
import { loadStartDatasets, type StartDataset, type StartSplit } from './data/datasets.ts'
import { settings, trainImages } from './start-settings.ts'

const rates: Record<string, number[]> = {
  linear: [1e-2, 2e-2, 4e-2, 8e-2],
  lora: [2.5e-3, 5e-3, 1e-2, 2e-2],
  dora: [2.5e-3, 5e-3, 1e-2],
  full: [1.5e-4, 2.5e-4, 5e-4, 1e-3, 2e-3],
  scratch: [2.5e-4, 5e-4, 1e-3],
}

/** Training and held-out images, a quarter of each kind, all from the training images; the same on every call. */
function parts({ name, source, labelSpace, train: { images, labels } }: StartDataset) {
  const rng = new Rng(77)
  const kinds = new Map<string, number[]>()
  for (const [i, { present }] of labels.entries()) {
    kinds.set(present.join(), [...(kinds.get(present.join()) ?? []), i])
  }
  const lots = [...kinds.values()].map((lot) => rng.shuffle(lot))
  const make = ({ images, labels }: StartSplit) =>
    memoryDataset({ images, labels, classes: labelSpace.names, labelSpace })
  const pick = (places: number[]) =>
    make({ images: places.map((i) => images[i]!), labels: places.map((i) => labels[i]!) })
  const held = lots.flatMap((lot) => lot.slice(0, Math.ceil(lot.length / 4)))
  const rest = lots.flatMap((lot) => lot.slice(Math.ceil(lot.length / 4)))
  return { name, source, train: pick(rng.shuffle(rest).slice(0, trainImages)), test: pick(held) }
}

const wanted = process.argv.slice(2).map((arg) => arg.split('='))
const plan =
  wanted.length > 0 ? wanted.map(([m, list]) => [m!, list!.split(',').map(Number)] as const) : Object.entries(rates)
const datasets = (await loadStartDatasets()).map(parts)
const backend = await createBackend()
const model = fileURLToPath(new URL('vit-cifar100', import.meta.url))
for (const [method, list] of plan) {
  for (const lr of list) {
    const events = experiment({ ...settings, model, datasets, methods: [method as ExperimentMethod], lr, backend })
    const scores: number[] = []
    const found: string[] = []
    for await (const event of events) {
      if (event.kind !== 'done') continue
      const score = scoreOf(event.run, event.metric)
      scores.push(score)
      found.push(`${event.dataset} ${(100 * score).toFixed(1)} % ${event.metric}`)
    }
    const mean = scores.reduce((sum, score) => sum + score, 0) / scores.length
    console.log(`${method} ${lr}: ${found.join(', ')}, mean ${(100 * mean).toFixed(1)} %`)
  }
}
await backend.dispose()
