// Settings, wherever they come from: what is unknown, of another type, out of range or against another is refused in one
// sentence before anything is read or written.
import { existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  type BenchmarkOptions,
  benchmark,
  type EstimateOptions,
  type ExperimentOptions,
  estimate,
  experiment,
  InputError,
  inspect,
  openData,
  openModel,
  openRun,
  predict,
  type TrainOptions,
  train,
} from 'vitune'
import { openAdapter } from 'vitune/adapters'
import { disposeModule } from 'vitune/nn'
import { createReference } from 'vitune/tensor'
import { fixtures, smallConfig } from './small-vit.ts'

/** What is wrong is given as JavaScript would, whose types nobody checks. */
type Loose<T> = { [K in keyof T]?: unknown } & Record<string, unknown>

async function refusal(run: () => Promise<unknown>): Promise<string> {
  try {
    await run()
  } catch (error) {
    assert.instance(error, InputError, String(error))
    const { message } = error as Error
    assert.not.match(message, /\n/)
    assert.ok(message.length <= 300, message)
    return message
  }
  return 'was not refused'
}

const out = join(tmpdir(), `vitune-settings-${process.pid}`)
/** Neither data nor model is there: had the settings been fine, that would be said. */
const places = { data: join(out, 'no data'), model: join(out, 'no model'), out }
const trained = (given: Loose<TrainOptions>) =>
  refusal(() => train({ ...places, ...given } as unknown as TrainOptions).next())

const refused: [Loose<TrainOptions>, RegExp][] = [
  // Names.
  [{ learningRate: 1e-3 }, /^learningRate: is no option here; did you mean lr\?$/],
  [{ learning_rate: 1e-3 }, /did you mean lr\?$/],
  [{ batch_size: 4 }, /^batch_size: .*did you mean batchSize\?$/],
  [{ bacthSize: 4 }, /did you mean batchSize\?$/],
  [{ gradient_clip_val: 1 }, /did you mean clip\?$/],
  [{ target_modules: ['query'] }, /did you mean targets\?$/],
  [{ method: 'dora' }, /did you mean peft\?$/],
  [{ constructor: 1 }, /^constructor: is no option here; take it out$/],
  [{ quiteAnother: 1 }, /^quiteAnother: is no option here; take it out$/],
  [{ lora: { lora_alpha: 16 } }, /^lora\.lora_alpha: is no option here; did you mean alpha\?$/],
  [{ lora: { rank: 4 } }, /^lora\.rank: .*did you mean r\?$/],
  // Types.
  [{ epochs: '3' }, /^epochs: must be a whole number from 1, got "3"$/],
  [{ epochs: null }, /^epochs: must be a whole number from 1, got null$/],
  [{ batchSize: [16] }, /^batchSize: .*got \[16\]$/],
  [{ lr: Number.NaN }, /^lr: must be above 0, or auto, got NaN$/],
  [{ lr: true }, /^lr: .*got true$/],
  [{ strict: 'false' }, /^strict: must be true or false, got "false"$/],
  [{ augment: 0 }, /^augment: must be true or false, or .*, got 0$/],
  [{ augment: { flpi: 0.5 } }, /^augment\.flpi: is no option here; did you mean flip\?$/],
  [{ augment: { crop: true } }, /^augment\.crop: must be an object, got true$/],
  [{ augment: { flip: 1.5 } }, /^augment\.flip: must be a probability, from 0 to 1, got 1\.5$/],
  [{ augment: { flip: {} } }, /^augment\.flip: must be a probability, from 0 to 1, got \{\}$/],
  [{ augment: { crop: { aera: [0.5, 1] } } }, /^augment\.crop\.aera: .*did you mean area\?$/],
  [
    { augment: { crop: { area: [0.5, 2] } } },
    /^augment\.crop\.area: must be parts of the area as two numbers, least and most, from 0\.0001 to 1, got \[0\.5,2\]$/,
  ],
  [{ augment: { crop: { area: [1, 0.5] } } }, /^augment\.crop\.area: must be parts/],
  [{ augment: { crop: { area: 0.5 } } }, /^augment\.crop\.area: must be parts .* got 0\.5$/],
  [{ augment: { colorJitter: { p: -1 } } }, /^augment\.colorJitter\.p: must be a probability, from 0 to 1, got -1$/],
  [{ augment: { colorJiggle: { hue: 0.6 } } }, /^augment\.colorJiggle\.hue: must be turns, from 0 to 0\.5, got 0\.6$/],
  [{ augment: { photometric: { hue: [-0.6, 0] } } }, /^augment\.photometric\.hue: must be turns as two numbers/],
  [{ augment: { affine: { scale: [0, 1] } } }, /^augment\.affine\.scale: must be factors as two numbers/],
  [{ augment: { affine: { shear: Number.NaN } } }, /^augment\.affine\.shear: must be degrees/],
  [{ augment: { blur: { kernel: 4 } } }, /^augment\.blur\.kernel: must be odd, so that it has a middle, got 4$/],
  [{ augment: { blur: { sigma: [0, 1] } } }, /^augment\.blur\.sigma: must be pixels as two numbers/],
  [{ augment: { noise: { sigma: 2 } } }, /^augment\.noise\.sigma: must be a part of the range/],
  [
    { augment: { randAugment: { magnitude: 31 } } },
    /^augment\.randAugment\.magnitude: must be below its 31 bins, got 31$/,
  ],
  [{ augment: { randAugment: { magnitude: 9, bins: 9 } } }, /below its 9 bins, got 9$/],
  [{ checkpointing: 1 }, /^checkpointing/],
  [{ resume: 'yes' }, /^resume: must be true or false, got yes$/],
  [{ targets: 5 }, /^targets: must be names, or one regular expression .*, got 5$/],
  [{ targets: ['query', 5] }, /^targets/],
  [{ modulesToSave: 'norm' }, /^modulesToSave: must be a list of names, got norm$/],
  [{ lora: 8 }, /^lora: must be an object, got 8$/],
  [{ lora: [] }, /^lora: must be an object, got \[\]$/],
  [{ lora: { rankPattern: { query: '4' } } }, /^lora\.rankPattern: must be ranks by pattern/],
  [{ lora: { layersToTransform: ['1'], targetModules: ['query'] } }, /^lora\.layersToTransform/],
  [{ data: 7 }, /^data: must be a folder of images or a file of labels, got 7$/],
  [{ model: '' }, /^model: must be a model folder or name, got ""$/],
  [{ out: '' }, /^out: must be a folder, got ""$/],
  [{ val: {} }, /^val/],
  [{ adapter: ['a'] }, /^adapter/],
  [{ device: 3 }, /^device: must be one of auto, wasm, webgpu, reference, got 3$/],
  [{ startBackend: 'wasm' }, /^startBackend: must be a function, got wasm$/],
  [{ lr: 'x'.repeat(1000) }, /^lr: .*\.\.\.$/],
  // Ranges.
  [{ threads: 0 }, /^threads: must be a whole number from 1 to 64, got 0$/],
  [{ threads: -1 }, /^threads/],
  [{ threads: 1.5 }, /^threads/],
  [{ threads: 65 }, /^threads/],
  [{ batchSize: 1e9 }, /^batchSize: must be a whole number from 1 to 1000000, got 1000000000$/],
  [{ accumulate: 0 }, /^accumulate/],
  [{ microBatch: 0 }, /^microBatch/],
  [{ clip: -1 }, /^clip: must be at least 0, where 0 clips nothing, got -1$/],
  [{ saveEvery: -1 }, /^saveEvery/],
  [{ labelSmoothing: 1 }, /^labelSmoothing/],
  [{ transformers: 6 }, /^transformers: must be 4 or 5, got 6$/],
  [{ task: 'detection' }, /^task: must be one of multiclass, .*got detection$/],
  [{ loss: 'hinge' }, /^loss: must be one of ce.*, got hinge$/],
  [{ monitor: 'speed' }, /^monitor: must be one of accuracy, f1, loss.*, got speed$/],
  [{ threshold: 1 }, /^threshold: must be a number in \(0, 1\), or tune, got 1$/],
  [{ threshold: 'best' }, /^threshold: must be .*, got best$/],
  [
    { positiveWeights: { cat: 0 } },
    /^positiveWeights: must be numbers above 0 by label, or balanced, got \{"cat":0\}$/,
  ],
  [{ positiveWeights: 2 }, /^positiveWeights/],
  [{ pathConsistency: -1 }, /^pathConsistency: must be at least 0, got -1$/],
  [{ decoding: 'best' }, /^decoding: must be one of path, threshold, got best$/],
  [{ task: 'multilabel', decoding: 'path' }, /^decoding: means nothing to task multilabel \(any number of labels\)/],
  [{ sampler: 'sequential' }, /^sampler: must be one of shuffle, balanced, balanced-efficient, got sequential$/],
  // One against another.
  [{ sampler: 'balanced', shuffle: false }, /^sampler: must be left out where shuffle is false, got balanced/],
  [{ task: 'multiclass', threshold: 0.5 }, /^threshold: means nothing to task multiclass \(one class an image\)/],
  [{ peft: 'lora', lora: { useDora: true } }, /^lora\.useDora: must agree with peft, got true with peft lora; /],
  [{ lora: { useDora: true } }, /^lora\.useDora: must agree with peft, got true with peft lora; choose peft/],
  [{ peft: 'dora', lora: { useDora: false } }, /^lora\.useDora: must agree with peft, got false with peft dora/],
  [{ peft: 'full', lora: { r: 4 } }, /^lora: for peft lora or dora only, got full$/],
  [{ peft: 'linear', rank: 4, alpha: 8 }, /^rank, alpha: for peft lora or dora only, got linear$/],
  [{ peft: 'full', transformers: 5 }, /^transformers: for peft lora or dora only, got full$/],
  [{ rank: 4, lora: { r: 8 } }, /^rank: must be what lora\.r is, got 4 and 8; give one of them$/],
  [{ targets: ['query'], lora: { targetModules: ['key'] } }, /^targets: must be what lora\.targetModules is/],
  [{ rslora: true, lora: { useRslora: false } }, /^rslora: must be what lora\.useRslora is/],
  [{ adapter: 'a', rank: 4 }, /^rank: cannot be chosen together with adapter, which brings its own$/],
  [{ adapter: 'a', lora: { dropout: 0.1 } }, /^lora: cannot be chosen together with adapter/],
  [{ adapter: 'a', peft: 'full' }, /^adapter: goes with peft lora or dora, got full$/],
  [{ lora: { doraNormGradient: true } }, /^lora\.doraNormGradient: for peft dora only, got peft lora$/],
  [
    { lora: { layersToTransform: 1, targetModules: 'all-linear' } },
    /^layersToTransform: needs targetModules as a list/,
  ],
  [{ acceptChanges: true }, /^acceptChanges: goes with resume/],
]

test('settings of train that are unknown, of another type, out of range or contradict each other are refused', async () => {
  for (const [given, message] of refused) assert.match(await trained(given), message, JSON.stringify(given))
  assert.not.ok(existsSync(out))
})

test('what agrees is no contradiction, 0 is off where it may be, and undefined is not given', async () => {
  const fine: Loose<TrainOptions>[] = [
    { rank: 4, lora: { r: 4 } },
    { targets: ['query'], lora: { targetModules: ['query'], useDora: false } },
    { peft: 'dora', lora: { useDora: true, doraNormGradient: true } },
    { peft: 'full', lora: {}, rank: undefined, learningRate: undefined },
    { adapter: out, peft: 'dora', transformers: 5 },
    { clip: 0, patience: 0, labelSmoothing: 0, warmup: 0, loraDropout: 0, weightDecay: 0, dropout: 0, saveEvery: 0 },
    { task: 'multiclass', loss: 'ce', monitor: 'f1', labelSmoothing: 0.1, sampler: 'balanced' },
    { threshold: 'tune', positiveWeights: { 'a cat': 0.5 }, pathConsistency: 0 },
    { positiveWeights: 'balanced', threshold: 0.25 },
    { task: 'hierarchical', loss: 'bce', monitor: 'h_f1', decoding: 'threshold', pathConsistency: 1 },
    { batchSize: 1e6, accumulate: 1e6, microBatch: 1e6 },
  ]
  for (const given of fine) assert.match(await trained(given), /no data: must be a folder of images/)
})

const config = smallConfig
const estimated: [Loose<EstimateOptions>, RegExp][] = [
  [{ batchSize: 1e9 }, /^batchSize: must be a whole number from 1 to 1000000, got 1000000000$/],
  [{ accumulate: 1.5 }, /^accumulate/],
  [{ method: 'prompt' }, /^method: must be one of full, linear, lora, dora, got prompt$/],
  [{ classes: 0 }, /^classes: must be a whole number from 1 to 100000, or a list of names, got 0$/],
  [{ method: 'full', lora: { r: 4 } }, /^lora: for peft lora or dora only, got full$/],
  [{ method: 'lora', lora: { useDora: true } }, /^lora\.useDora: must agree with peft/],
  [{ batchsize: 4 }, /^batchsize: is no option here; did you mean batchSize\?$/],
  [{ device: 'cuda' }, /^device: must be one of webgpu, wasm, reference, got cuda$/],
  [
    { device: 'webgpu', batchSize: 1e6, config: { ...config, imageSize: [224, 224] } },
    /^batchSize: 1000000 images of 224 x 224 pixels at a time must fit into one buffer, got 561 GiB; choose a smaller batch or microBatch$/,
  ],
]
test('an estimate refuses what no run could have', async () => {
  for (const [given, message] of estimated) {
    const options = { config, classes: 3, batchSize: 4, ...given } as unknown as EstimateOptions
    assert.match(await refusal(() => estimate(options)), message, JSON.stringify(given))
  }
})

test('opening a model, a run or an adapter refuses unknown names, and what is no place', async () => {
  const backend = createReference()
  const open = (model: unknown, options?: unknown) => () => openModel(backend, model as string, options as object)
  const vit = `${fixtures}checkpoints/vit`
  const calls: [() => Promise<unknown>, RegExp][] = [
    [open(undefined), /^model: must be a model folder or name, got null$/],
    [open(5), /^model: must be a model folder or name, got 5$/],
    [open(''), /^model: must be a model folder or name, got ""$/],
    [open(vit, null), /^options: must be an object, got null$/],
    [open(vit, { adaptor: 'a' }), /^adaptor: is no option here; did you mean adapter\?$/],
    [open(vit, { adapter: 5 }), /^adapter: must be an adapter folder, got 5$/],
    [open(vit, { interpolation: 'magic' }), /^interpolation: must be one of bicubic, .*, got magic$/],
    [open(vit, { inputSize: '16' }), /^inputSize: must be a whole number of pixels from 1 to 8192, got "16"$/],
    [() => openRun(backend, undefined as unknown as string), /^run: must be a run folder, got null$/],
    [() => openAdapter(undefined as unknown as string), /^adapter: must be an adapter folder, got none$/],
    [() => estimate({} as EstimateOptions), /^config: must be given, got none$/],
  ]
  for (const [call, message] of calls) assert.match(await refusal(call), message)
  const opened = await openModel(backend, vit)
  for (const images of [undefined, 'a.png']) {
    const said = await refusal(() => predict(opened, images as unknown as string[]))
    assert.match(said, /^images: must be a list of images, got /)
  }
  assert.match(
    await refusal(() => predict(opened, [null as unknown as string])),
    /image 0: only a path, a Blob or decoded pixels are images in Node$/,
  )
  disposeModule(opened.model)
  assert.is(backend.memory().buffers, 0)
})

test('what looks at data refuses unknown options, unknown tasks and what is no place', async () => {
  const looked = (path: unknown, given: unknown = {}) => refusal(() => inspect(path as string, given as object).next())
  assert.match(await looked(places.data, { labels: 'x' }), /^labels: is no option here/)
  assert.match(await looked(places.data, { task: 'constructor' }), /^task: must be one of multiclass, multilabel, hi/)
  assert.match(await looked(undefined), /^data: must be a folder of images or a file of labels, got null$/)
  assert.is(await refusal(() => openData(1 as unknown as string)), 'data: must be a path, got 1')
})

test('benchmarks and experiments refuse unknown names and wrong values too', async () => {
  const measured = (given: Loose<BenchmarkOptions>) =>
    refusal(() => benchmark({ model: places.model, ...given } as unknown as BenchmarkOptions))
  assert.match(await measured({ batchSize: 4 }), /^batchSize: is no option here; did you mean batch\?$/)
  assert.match(await measured({ steps: '5' }), /^steps: must be a whole number from 1 to 100000, got "5"$/)
  assert.match(await measured({ peft: 'full', lora: { r: 4 } }), /^lora: for peft lora or dora only, got full$/)
  assert.match(await measured({ threads: 0 }), /^threads/)
  const compared = (given: Loose<ExperimentOptions>) =>
    refusal(() => experiment({ model: places.model, datasets: [], ...given } as unknown as ExperimentOptions).next())
  assert.match(await compared({ epochs: 0 }), /^epochs: must be a whole number from 1, got 0$/)
  assert.match(await compared({ schedule: 'plateau' }), /^schedule: must be one of constant, cosine, got plateau$/)
  assert.match(await compared({ perMethod: { lora: { learningRate: 1 } } }), /^perMethod\.lora\.learningRate: .*lr\?$/)
  assert.match(await compared({ perMethod: { LoRA: {} } }), /^perMethod\.LoRA: is no option here; did you mean lora\?$/)
  assert.match(await compared({ lora: { useDora: true } }), /^lora\.useDora/)
})

test.run()
