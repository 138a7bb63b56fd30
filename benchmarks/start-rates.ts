// How the learning rates of `npm start` were chosen: each method at several rates, tested on training images that the
// runs do not train on. The test images have no part in it. Run by hand after npm run build:
// node --import tsx benchmarks/start-rates.ts [METHOD=RATE,RATE...]...
import { fileURLToPath } from 'node:url'
import { createBackend, type ExperimentMethod, experiment, memoryDataset } from 'vitune'
import { Rng } from 'vitune/tensor'
import { loadStartDatasets, type StartDataset } from './data/datasets.ts'
import { settings, trainPerClass } from './start-settings.ts'

const heldOutPerClass = 50
const rates: Record<string, number[]> = {
  linear: [1e-2, 2e-2, 4e-2, 8e-2],
  lora: [2.5e-3, 5e-3, 1e-2, 2e-2],
  dora: [2.5e-3, 5e-3, 1e-2],
  full: [1.5e-4, 2.5e-4, 5e-4, 1e-3, 2e-3],
  scratch: [2.5e-4, 5e-4, 1e-3],
}

/** Training and held-out images, both from the training sheet, as many of each class; the same on every call. */
function parts({ name, source, classes, train: { images, labels } }: StartDataset) {
  const rng = new Rng(77)
  const mine = classes.map((_, label) => rng.shuffle([...labels.keys()].filter((i) => labels[i] === label)))
  const pick = (from: number, count: number) => {
    const indices = mine.flatMap((list) => list.slice(from, from + count))
    return memoryDataset({ images: indices.map((i) => images[i]!), labels: indices.map((i) => labels[i]!), classes })
  }
  return { name, source, train: pick(heldOutPerClass, trainPerClass), test: pick(0, heldOutPerClass) }
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
    let next = await events.next()
    while (!next.done) next = await events.next()
    const found = next.value.runs.map((run) => `${run.dataset} ${(100 * run.accuracy).toFixed(1)} %`)
    const mean = next.value.runs.reduce((sum, run) => sum + run.accuracy, 0) / datasets.length
    console.log(`${method} ${lr}: ${found.join(', ')}, mean ${(100 * mean).toFixed(1)} %`)
  }
}
await backend.dispose()
