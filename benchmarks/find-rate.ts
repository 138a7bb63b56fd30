// What `lr: 'auto'` is worth: on each embedded set and method the range test's curve, the rates that known rules make of it,
// and the score on the test images after training with each, beside the rate of the recipe. The table in docs/rates.md is its
// output. Run by hand after npm run build: nice node --import tsx benchmarks/find-rate.ts [SEEDS] [METHOD,METHOD...]
import { fileURLToPath } from 'node:url'
import { createBackend, evaluate, memoryDataset, openModel } from 'vitune'
import { type Method, methodOf } from 'vitune/adapters'
import { batchSource, evalTransform } from 'vitune/data'
import { disposeModule } from 'vitune/nn'
import { Rng } from 'vitune/tensor'
import { createTask, type FitOptions, findRate, fit, prepare, type RateCurve, type RateTest } from 'vitune/train'
import { tasks } from '../src/tasks/registry.ts'
import { loadStartDatasets, type StartDataset } from './data/datasets.ts'
import { settings, trainImages } from './start-settings.ts'

type Rule = (curve: RateCurve, smooth: readonly number[]) => number

/** The rate in the middle of the average at `i`. */
const at = ({ rates, window }: RateCurve, i: number) => rates[i + (window >> 1)]!

/** Rates are a geometric row, so a slope over their logarithms is one over places. */
function steepest(smooth: readonly number[]): number {
  const slopes = smooth.slice(1).map((loss, i) => loss - smooth[i]!)
  return slopes.indexOf(Math.min(...slopes))
}

/** Two thirds, as fastai has it half of the middle third, into the longest falling subsequence. */
function valley(smooth: readonly number[]): number {
  const lengths = smooth.map(() => 1)
  const starts = smooth.map((_, i) => i)
  for (const [i, loss] of smooth.entries()) {
    for (let j = 0; j < i; j++) {
      if (loss >= smooth[j]! || lengths[i]! > lengths[j]!) continue
      lengths[i] = lengths[j]! + 1
      starts[i] = starts[j]!
    }
  }
  const end = lengths.indexOf(Math.max(...lengths))
  const third = Math.floor((end - starts[end]!) / 3)
  return starts[end]! + third + (third >> 1)
}

const averages = ({ losses, window }: RateCurve) =>
  losses.slice(window - 1).map((_, i) => losses.slice(i, i + window).reduce((sum, loss) => sum + loss, 0) / window)

const lowest = (smooth: readonly number[]) => smooth.indexOf(Math.min(...smooth))

/** As fastai calls them, `lowest/10` its minimum; `lowest/3`, which is taken, lies nearer to that. */
const rules: Record<string, Rule> = {
  steepest: (curve, smooth) => at(curve, steepest(smooth)),
  valley: (curve, smooth) => at(curve, valley(smooth)),
  'lowest/10': (curve, smooth) => at(curve, lowest(smooth)) / 10,
  'lowest/3': (curve, smooth) => at(curve, lowest(smooth)) / 3,
}

const [seeds = '2', chosen = 'linear,lora,full'] = process.argv.slice(2)
const backend = await createBackend({ device: 'wasm', threads: 1 })
const folder = fileURLToPath(new URL('vit-cifar100', import.meta.url))

function partOf({ name, source, labelSpace, train, test }: StartDataset, seed: number) {
  const make = (places: readonly number[], { images, labels } = train) =>
    memoryDataset({
      images: places.map((i) => images[i]!),
      labels: places.map((i) => labels[i]!),
      classes: labelSpace.names,
      labelSpace,
    })
  const order = new Rng(seed, 77).shuffle(train.images.map((_, i) => i))
  const tested = new Rng(0, 78).shuffle(test.images.map((_, i) => i))
  return { name, source, train: make(order.slice(0, trainImages)), test: make(tested.slice(0, 500), test) }
}
type Part = ReturnType<typeof partOf>

const { epochs, clip, schedule, weightDecay } = settings

/** A model made ready for a method, and what `fit` is given. */
async function ready(part: Part, method: Method, seed: number, lr: number) {
  const { model, preprocess } = await openModel(backend, folder)
  const labels = part.train.labelSpace
  prepare(model, labels.names, method, { seed })
  const task = createTask(labels)
  const source = (training: boolean) =>
    batchSource(training ? part.train : part.test, {
      transform: evalTransform(preprocess),
      targets: task.targets,
      order: training ? 'shuffle' : 'sequential',
      batchSize: 16,
      seed,
      strict: true,
    })
  const train = source(true)
  const warmup = Math.round(settings.warmupShare * epochs * train.batches)
  const options: FitOptions = { model, task, train, epochs, lr, seed, clip, schedule, weightDecay, warmup }
  return { model, task, options, test: source(false) }
}

async function curveOf(part: Part, method: Method, seed: number): Promise<RateTest> {
  const { model, options } = await ready(part, method, seed, methodOf(method).defaultRate)
  const test = findRate(options)
  try {
    for (;;) {
      const { done, value } = await test.next()
      if (done) return value
    }
  } finally {
    disposeModule(model)
  }
}

/** The task's own metric on the test images after training at a rate. */
async function scoreAt(part: Part, method: Method, seed: number, lr: number): Promise<number> {
  const { model, task, options, test } = await ready(part, method, seed, lr)
  try {
    for await (const _ of fit(options)) {
    }
    const { metrics } = await evaluate(model, task, test)
    return metrics[tasks[task.name].shown[0]!]!
  } catch (error) {
    console.log(`  ${lr}: ${(error as Error).message}`)
    return 0
  } finally {
    disposeModule(model)
  }
}

const cell = (rate: number, score: number) => `${(100 * score).toFixed(1)} (${rate})`
const sums = new Map<string, number>()
const columns = ['recipe', 'auto', ...Object.keys(rules)]
console.log(`| set | method | seed | ${columns.join(' | ')} |\n|${' --- |'.repeat(columns.length + 3)}`)
const datasets = await loadStartDatasets()
for (const method of chosen.split(',') as Method[]) {
  for (const dataset of datasets) {
    for (let seed = 0; seed < Number(seeds); seed++) {
      const part = partOf(dataset, seed)
      const curve = await curveOf(part, method, seed)
      const smooth = averages(curve)
      const suggestions = Object.entries(rules).map(([, rule]) => Number(rule(curve, smooth).toPrecision(2)))
      const rates = [methodOf(method).defaultRate, curve.chosen, ...suggestions]
      const known = new Map<number, number>()
      for (const rate of rates) if (!known.has(rate)) known.set(rate, await scoreAt(part, method, seed, rate))
      for (const [i, rate] of rates.entries()) {
        const key = `${method} ${columns[i]}`
        sums.set(key, (sums.get(key) ?? 0) + known.get(rate)! / datasets.length / Number(seeds))
      }
      console.log(
        `| ${part.name} | ${method} | ${seed} | ${rates.map((rate) => cell(rate, known.get(rate)!)).join(' | ')} |`,
      )
    }
  }
  const means = columns.map((name) => (100 * sums.get(`${method} ${name}`)!).toFixed(1))
  console.log(`| mean | ${method} | | ${means.join(' | ')} |`)
}
await backend.dispose()
