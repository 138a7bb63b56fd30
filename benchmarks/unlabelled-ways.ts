// Ways to learn from images without labels, many in a minute: a linear classifier on features that the frozen model made once of a few
// views of each image, measured on training images that are held out. What docs/unlabelled.md says of them; through train() it is
// unlabelled.ts that measures. Run by hand after npm run build: node --import tsx benchmarks/unlabelled-ways.ts [--seeds 10,11]
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { evalTransform, type Transform, trainTransform } from 'vitune/data'
import { openCheckpoint } from 'vitune/io'
import { loadVit, parsePreprocessor } from 'vitune/models'
import { Context } from 'vitune/nn'
import { createWasm, Rng, scope, tensor } from 'vitune/tensor'
import { loadStartDatasets, type StartImage, subset } from './data/datasets.ts'

const { values } = parseArgs({
  options: { set: { type: 'string', default: 'fashion' }, seeds: { type: 'string', default: '10,11' } },
})

/** What a way does other than these. */
const usual = {
  /** Images without labels for each of a batch of 8; 0 is without. */
  ratio: 4,
  threshold: 0.9,
  weight: 1,
  ema: 0.9,
  steps: 200,
  /** Which view is learnt. */
  view: 'rand' as 'rand' | 'crop' | 'weak',
  /** Part of the training in which the weight rises as in Mean Teacher (Tarvainen and Valpola, 2017): e^(-5 (1 - t)^2). */
  ramp: 0,
  /** Steps of labelled images alone before. */
  start: 0,
  /** Power of distribution alignment (ReMixMatch, Berthelot and others, 2020) within a batch; all classes are as frequent here. */
  align: 0,
  /** Whether scores are learnt as they are, sure or not. */
  soft: false,
}
type Way = typeof usual

const ways: readonly Partial<Way>[] = [
  { ratio: 0 },
  ...[0.5, 0.7, 0.9, 0.95].map((threshold) => ({ threshold })),
  ...[0.7, 0.9].flatMap((threshold) => [
    { threshold, view: 'crop' as const },
    { threshold, ramp: 0.5 },
    { threshold, start: 60 },
    { threshold, ramp: 0.5, align: 1 },
    { threshold, ramp: 0.5, steps: 400 },
    { threshold, ramp: 0.5, ratio: 7 },
    { threshold, ramp: 0.5, ema: 0.99 },
    { threshold, ramp: 0.5, weight: 4 },
  ]),
  { threshold: 0.5, ramp: 0.5, align: 1 },
  { soft: true, ramp: 0.5 },
  { soft: true, ramp: 0.5, align: 0.5 },
]

type Rows = readonly Float32Array[]
interface Features {
  /** Views of each image. */
  readonly labelled: readonly Rows[]
  readonly weak: readonly Rows[]
  readonly crop: readonly Rows[]
  readonly rand: readonly Rows[]
  readonly held: Rows
  readonly classes: Readonly<Record<'labelled' | 'pool' | 'held', readonly number[]>>
}

const backend = await createWasm({ threads: 1 })
const folder = fileURLToPath(new URL('vit-cifar100', import.meta.url))
const { model } = await loadVit(backend, await openCheckpoint(folder))
const preprocess = parsePreprocessor(JSON.parse(readFileSync(join(folder, 'preprocessor_config.json'), 'utf8')), 'vit')
const whole = (await loadStartDatasets()).find(({ name }) => name === values.set)
if (!whole) throw new Error(`set: must be digits or fashion, got ${values.set}`)

/** Four labelled images of each class, 20 that are held out, and 300 of the others. */
async function featuresOf(seed: number): Promise<Features> {
  const { images, labels } = whole!.train
  const classOf = new Map(images.map((image, i) => [image, labels[i]!.present[0]!]))
  const labelled = subset(whole!, seed, 4, 1).train.images
  const held = subset(whole!, seed, 24, 1).train.images.filter((image) => !labelled.includes(image))
  const taken = new Set([...labelled, ...held])
  const pool = new Rng(seed, 1).shuffle(images.filter((image) => !taken.has(image))).slice(0, 300)
  const flip = values.set === 'digits' ? {} : { flip: 0.5 }
  const rng = new Rng(seed, 77)
  const rows = async (of: readonly StartImage[], transform: Transform): Promise<Rows> => {
    const found: Float32Array[] = []
    const { height, width } = transform
    for (let at = 0; at < of.length; at += 16) {
      const part = of.slice(at, at + 16)
      const size = 3 * height * width
      const data = new Float32Array(part.length * size)
      for (const [i, image] of part.entries()) {
        transform.apply({ ...image, data: image.data.slice() }, rng, data.subarray(i * size, (i + 1) * size))
      }
      const on = [part.length, 3, height, width]
      const features = scope(() => model.pool(model.encode(tensor(backend, data, on), new Context())))
      const all = (await features.data()) as Float32Array
      features.dispose()
      const each = all.length / part.length
      for (let i = 0; i < part.length; i++) found.push(all.slice(i * each, (i + 1) * each))
    }
    return found
  }
  const views = async (count: number, of: readonly StartImage[], changes: Parameters<typeof trainTransform>[1]) => {
    const all: Rows[] = []
    for (let i = 0; i < count; i++) all.push(await rows(of, trainTransform(preprocess, { ...flip, ...changes })))
    return all
  }
  const classes = (of: readonly StartImage[]) => of.map((image) => classOf.get(image)!)
  return {
    labelled: await views(6, labelled, { crop: { area: [0.7, 1] } }),
    weak: await views(3, pool, { crop: { area: [0.8, 1] } }),
    crop: await views(3, pool, { crop: { area: [0.3, 1] } }),
    rand: await views(3, pool, { crop: { area: [0.3, 1] }, randAugment: { ops: 2, magnitude: 10 } }),
    held: await rows(held, evalTransform(preprocess)),
    classes: { labelled: classes(labelled), pool: classes(pool), held: classes(held) },
  }
}

const K = whole.labelSpace.names.length
const sum = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0)
const best = (scores: readonly number[]) => scores.indexOf(Math.max(...scores))
const normalised = (scores: readonly number[]) => {
  const total = sum(scores)
  return scores.map((score) => score / total)
}

/** Scores of features by weights (D + 1, K), the last row of which is the bias. */
function scoresOf(weights: Float64Array, x: Float32Array): number[] {
  const logits = Array.from(weights.subarray(-K))
  for (let d = 0; d < x.length; d++) for (let k = 0; k < K; k++) logits[k]! += x[d]! * weights[d * K + k]!
  const most = Math.max(...logits)
  return normalised(logits.map((z) => Math.exp(z - most)))
}

/** Trains in one way, with AdamW; accuracy of the averages, and how many answers of the last quarter were sure, and right of these. */
function learn(of: Features, way: Way, seed: number): { accuracy: number; sure: number; right: number } {
  const rng = new Rng(seed, 2)
  const pick = (views: readonly Rows[], i: number) => views[Math.floor(rng.uniform() * views.length)]![i]!
  const rounds = (length: number) => {
    let left: number[] = []
    return () => {
      if (left.length === 0) left = rng.shuffle(Array.from({ length }, (_, i) => i))
      return left.pop()!
    }
  }
  const { classes } = of
  const [next, nextOther] = [rounds(classes.labelled.length), rounds(classes.pool.length)]
  const weights = new Float64Array((of.held[0]!.length + 1) * K)
  const [average, first, second] = [weights.slice(), weights.slice(), weights.slice()]
  const only = (label: number) => Array.from({ length: K }, (_, k) => (k === label ? 1 : 0))
  let [asked, sure, right] = [0, 0, 0]
  for (let t = 0; t < way.steps; t++) {
    const gradient = new Float64Array(weights.length)
    const add = (x: Float32Array, wanted: readonly number[], scale: number) => {
      for (const [k, score] of scoresOf(weights, x).entries()) {
        const error = scale * (score - wanted[k]!)
        for (let d = 0; d < x.length; d++) gradient[d * K + k]! += error * x[d]!
        gradient[x.length * K + k]! += error
      }
    }
    for (let i = 0; i < 8; i++) {
      const at = next()
      add(pick(of.labelled, at), only(classes.labelled[at]!), 1 / 8)
    }
    const others = t < way.start ? [] : Array.from({ length: 8 * way.ratio }, nextOther)
    let answers = others.map((at) => scoresOf(way.ema > 0 ? average : weights, pick(of.weak, at)))
    if (way.align > 0) {
      const mean = only(-1).map((_, k) => sum(answers.map((scores) => scores[k]!)) / answers.length)
      answers = answers.map((scores) => normalised(scores.map((score, k) => score / (mean[k]! + 1e-3) ** way.align)))
    }
    const done = way.ramp > 0 ? Math.min(1, t / (way.ramp * way.steps)) : 1
    const weight = way.weight * Math.exp(-5 * (1 - done) ** 2)
    for (const [i, at] of others.entries()) {
      const scores = answers[i]!
      const label = best(scores)
      const isSure = way.soft || scores[label]! >= way.threshold
      if (t >= 0.75 * way.steps) {
        asked++
        if (isSure) sure++
        if (isSure && label === classes.pool[at]) right++
      }
      if (isSure) add(pick(of[way.view], at), way.soft ? scores : only(label), weight / others.length)
    }
    const warm = 0.1 * way.steps
    const rate = 1e-2 * (t < warm ? (t + 1) / warm : 0.5 * (1 + Math.cos((Math.PI * (t - warm)) / (way.steps - warm))))
    const clip = 1 / Math.max(1, Math.hypot(...gradient))
    for (const [i, raw] of gradient.entries()) {
      const g = clip * raw
      first[i] = 0.9 * first[i]! + 0.1 * g
      second[i] = 0.999 * second[i]! + 0.001 * g * g
      const step = first[i]! / (1 - 0.9 ** (t + 1)) / (Math.sqrt(second[i]! / (1 - 0.999 ** (t + 1))) + 1e-8)
      weights[i]! -= rate * (step + 0.05 * weights[i]!)
      average[i] = t === 0 ? weights[i]! : way.ema * average[i]! + (1 - way.ema) * weights[i]!
    }
  }
  const hits = of.held.filter((x, i) => best(scoresOf(average, x)) === classes.held[i]).length
  return { accuracy: hits / of.held.length, sure: sure / asked, right: right / sure }
}

const seeds = values.seeds.split(',').map(Number)
const features: Features[] = []
for (const seed of seeds) features.push(await featuresOf(seed))
await backend.dispose()
const percent = (shares: readonly number[]) => {
  const mean = sum(shares) / shares.length
  return Number.isNaN(mean) ? '' : `${(100 * mean).toFixed(1)} %`
}
console.log(`| way | mean | ${seeds.map((seed) => `seed ${seed}`).join(' | ')} | sure | right of these |`)
console.log(`|---|---|${seeds.map(() => '---|').join('')}---|---|`)
for (const way of ways) {
  const found = features.map((of) => [0, 1, 2].map((order) => learn(of, { ...usual, ...way }, order)))
  const all = found.flat()
  const cells = found.map((of) => percent(of.map(({ accuracy }) => accuracy)))
  const named = Object.entries(way).map(([name, value]) => `${name} ${value}`)
  const [mean, sure, right] = (['accuracy', 'sure', 'right'] as const).map((name) =>
    percent(all.map((one) => one[name])),
  )
  console.log(`| ${named.join(', ')} | ${mean} | ${cells.join(' | ')} | ${sure} | ${right} |`)
}
