// What packed weights cost in accuracy: methods over each format on the quick start's four sets, with its settings, and how far the
// first ten losses are from f32's. The table in docs/quantization.md is its output. Run by hand after npm run build:
// nice node --import tsx benchmarks/quantize.ts [SEEDS] [METHOD,METHOD...] [FORMAT,FORMAT...]
import { fileURLToPath } from 'node:url'
import { createBackend, type ExperimentMethod, experiment, memoryDataset, type TrainSettings } from 'vitune'
import { scoreOf } from '../src/report/experiment-result.ts'
import { loadStartDatasets, perClassOf, type StartDataset, subset } from './data/datasets.ts'
import { perMethod, settings, testPerClass, trainImages } from './start-settings.ts'

type Quantize = NonNullable<TrainSettings['quantize']>

/** As many images as the quick start has, of all sets. */
function asDataset(whole: StartDataset) {
  const { name, source, labelSpace } = whole
  const perClass = perClassOf(whole, trainImages)
  const make = (seed: number, part: 'train' | 'test') =>
    memoryDataset({ ...subset(whole, seed, perClass, testPerClass)[part], classes: labelSpace.names, labelSpace })
  return { name, source, train: (seed: number) => make(seed, 'train'), test: make(0, 'test') }
}

const [seeds = '3', methods = 'lora,dora', formats = 'int8,int8-forward,nf4,int8-block'] = process.argv.slice(2)
const datasets = (await loadStartDatasets()).map(asDataset)
const backend = await createBackend({ device: 'wasm' })
const model = fileURLToPath(new URL('vit-cifar100', import.meta.url))
const mean = (values: readonly number[]) => values.reduce((sum, one) => sum + one, 0) / values.length
const points = (x: number) => (100 * x).toFixed(1)

/** Scores by set, each seed's, and every run's first ten losses. */
async function measured(method: ExperimentMethod, quantize: Quantize) {
  const scores = new Map<string, number[]>()
  const losses: number[][] = []
  const lists = Array.from({ length: Number(seeds) }, (_, seed) => seed)
  const options = {
    ...settings,
    ...perMethod[method],
    model,
    datasets,
    methods: [method],
    seeds: lists,
    backend,
    quantize,
  }
  for await (const event of experiment(options)) {
    if (event.kind === 'run') losses.push([])
    if (event.kind === 'progress' && event.event.kind === 'step' && losses.at(-1)!.length < 10) {
      losses.at(-1)!.push(event.event.loss)
    }
    if (event.kind === 'done')
      scores.set(event.dataset, [...(scores.get(event.dataset) ?? []), scoreOf(event.run, event.metric)])
  }
  return { scores, losses, mean: mean([...scores.values()].map(mean)) }
}

const names = datasets.map(({ name }) => name)
console.log(`| method, weights | ${names.join(' | ')} | mean | against f32 | first ten losses, largest difference |`)
console.log(`|---|${names.map(() => '---:|').join('')}---:|---:|---:|`)
for (const method of methods.split(',') as ExperimentMethod[]) {
  const whole = await measured(method, 'none')
  for (const quantize of ['none', ...(formats.split(',') as Quantize[])] as const) {
    const found = quantize === 'none' ? whole : await measured(method, quantize)
    const off = found.losses.flatMap((run, i) => run.map((loss, step) => Math.abs(loss / whole.losses[i]![step]! - 1)))
    const sets = names.map((name) => points(mean(found.scores.get(name)!)))
    const lost = quantize === 'none' ? '' : `${points(found.mean - whole.mean)}`
    const far =
      quantize === 'none' ? '' : `${(100 * Math.max(...off)).toFixed(2)} %, mean ${(100 * mean(off)).toFixed(2)} %`
    console.log(
      `| ${method}, ${quantize === 'none' ? 'f32' : quantize} | ${sets.join(' | ')} | ${points(found.mean)} | ${lost} | ${far} |`,
    )
  }
}
await backend.dispose()
