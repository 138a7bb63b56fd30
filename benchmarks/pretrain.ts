// Pre-trains the small ViT that `npm start` fine-tunes, on CIFAR-100 sheets (see README.md beside the weights).
// Run by hand: node --import tsx benchmarks/pretrain.ts DATA OUT; it saves every epoch and resumes. DATA holds
// train/CLASS.webp and test/CLASS.webp, sheets of 32 px tiles, 25 a row.
import { existsSync, mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import sharp from 'sharp'
import { evaluate, memoryDataset, type RgbImage } from 'vitune'
import { epochOrder, evalTransform, loadBatches, type Transform } from 'vitune/data'
import { openCheckpoint, writeSafetensors } from 'vitune/io'
import { exportTensors, loadVit, parsePreprocessor, parseVitConfig, saveVit, Vit } from 'vitune/models'
import { namedParameters, truncatedNormal } from 'vitune/nn'
import { createWasm, Rng } from 'vitune/tensor'
import { type FitState, fit, multiclass, readCheckpoint, writeCheckpoint } from 'vitune/train'
import { muon } from './muon.ts'

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    epochs: { type: 'string', default: '12' },
    lr: { type: 'string', default: '2e-3' },
    batch: { type: 'string', default: '128' },
    full: { type: 'string', default: '2' },
    keep: { type: 'string', default: '0.5' },
    threads: { type: 'string', default: '2' },
    rate: { type: 'string', default: '10' },
  },
})
const [data, out] = positionals
if (!data || !out) throw new Error('usage: pretrain.ts DATA OUT')
const epochs = Number(flags.epochs)
const batchSize = Number(flags.batch)
const seed = 1

/** The 32 px tiles of CLASS.webp sheets, 25 a row. */
async function tiles(split: 'train' | 'test', count: number, classes: readonly string[]) {
  const images: RgbImage[] = []
  const labels: number[] = []
  for (const [label, name] of classes.entries()) {
    const { data: sheet, info } = await sharp(join(data!, split, `${name}.webp`))
      .removeAlpha()
      .raw()
      .toBuffer({ resolveWithObject: true })
    for (let t = 0; t < count; t++) {
      const tile = new Uint8Array(32 * 32 * 3)
      for (let y = 0; y < 32; y++) {
        const from = ((Math.floor(t / 25) * 32 + y) * info.width + (t % 25) * 32) * 3
        tile.set(sheet.subarray(from, from + 96), y * 96)
      }
      images.push({ width: 32, height: 32, data: tile })
      labels.push(label)
    }
  }
  return memoryDataset({ images, labels, classes })
}

const classes = readdirSync(join(data, 'train'))
  .map((file) => file.replace(/\.webp$/, ''))
  .sort()
const train = await tiles('train', 500, classes)
const test = await tiles('test', 100, classes)
const preprocessor = {
  do_resize: true,
  size: { height: 32, width: 32 },
  resample: 3,
  do_rescale: true,
  rescale_factor: 1 / 255,
  do_normalize: true,
  image_mean: [0.5071, 0.4865, 0.4409],
  image_std: [0.2673, 0.2564, 0.2762],
  image_processor_type: 'ViTImageProcessor',
}
const preprocess = parsePreprocessor(preprocessor, 'vit')
const config = parseVitConfig({
  model_type: 'vit',
  hidden_size: 128,
  num_hidden_layers: 6,
  num_attention_heads: 4,
  intermediate_size: 512,
  hidden_act: 'gelu',
  layer_norm_eps: 1e-6,
  image_size: 32,
  patch_size: 4,
  num_channels: 3,
  qkv_bias: true,
  id2label: Object.fromEntries(classes.map((name, i) => [String(i), name])),
})
const backend = await createWasm({ threads: Number(flags.threads) })
const model = new Vit(backend, config, truncatedNormal(new Rng(seed), 0.02))
const task = multiclass(classes, { labelSmoothing: 0.1 })
const labels = Int32Array.from({ length: train.length }, (_, i) => train.labels(i).present[0]!)
// The usual augmentation for CIFAR: shifted by up to 4 px (zeros outside), mirrored half of the time. It costs no resize.
const normalised = preprocess.mean.map((mean, c) =>
  Float32Array.from({ length: 256 }, (_, v) => (v * preprocess.scale - mean) / preprocess.std[c]!),
)
const augment: Transform = {
  height: 32,
  width: 32,
  random: true,
  apply(image, rng, out) {
    const dx = rng.below(9) - 4
    const dy = rng.below(9) - 4
    const flip = rng.below(2) === 1
    for (let y = 0; y < 32; y++) {
      for (let x = 0; x < 32; x++) {
        const [sy, sx] = [y + dy, (flip ? 31 - x : x) + dx]
        const inside = sy >= 0 && sy < 32 && sx >= 0 && sx < 32
        for (let c = 0; c < 3; c++) {
          out[c * 1024 + y * 32 + x] = inside ? normalised[c]![image.data[(sy * 32 + sx) * 3 + c]!]! : 0
        }
      }
    }
  },
}
const source = {
  batches: Math.floor(train.length / batchSize),
  async *epoch(epoch: number, start: number) {
    const order = epochOrder(labels, { mode: 'shuffle', seed, epoch })
    for await (const b of loadBatches(train, order, {
      transform: augment,
      seed,
      epoch,
      batchSize,
      start,
      dropLast: true,
    })) {
      yield b
    }
  },
}
const all = Array.from({ length: test.length }, (_, i) => i)
const val = {
  batches: Math.ceil(test.length / 250),
  async *epoch() {
    for await (const b of loadBatches(test, all, { transform: evalTransform(preprocess), batchSize: 250 })) {
      yield b
    }
  },
}

mkdirSync(out, { recursive: true })
const statePath = join(out, 'state.safetensors')

async function loadState(): Promise<FitState | undefined> {
  if (!existsSync(statePath)) return undefined
  const state = await readCheckpoint(backend, statePath)
  const saved = new Map(state.tensors)
  for (const [name, p] of namedParameters(model)) p.assign(await saved.get(`weight.${name}`)!.data())
  return state
}

/** The model in F16 under OUT/final, and how accurate it is after that rounding. */
async function finish(): Promise<void> {
  const final = join(out!, 'final')
  await saveVit(model, final, 'huggingface', { preprocessor })
  const tensors = (await exportTensors(model, 'huggingface')).map((t) => ({ ...t, dtype: 'F16' as const }))
  await writeSafetensors(join(final, 'model.safetensors'), tensors)
  const { model: rounded } = await loadVit(backend, await openCheckpoint(final))
  const { accuracy, count } = await evaluate(rounded, task, val)
  console.log(`${final}: top-1 ${(accuracy * 100).toFixed(2)} % on ${count} test images, weights in F16`)
}

const full = epochs - Number(flags.full)
const percent = (x: number) => `${(x * 100).toFixed(1)} %`
let state = await loadState()
// One schedule over all epochs; the first phase ends where whole images begin.
for (const [until, patchKeep] of [
  [full, Number(flags.keep)],
  [epochs, 1],
] as const) {
  if (state && state.numbers.epoch >= until) continue
  const phase = new AbortController()
  model.setDropout({ patchKeep })
  const run = fit({
    model,
    task,
    train: source,
    epochs,
    lr: Number(flags.lr),
    optimizer: (params) => muon(params, { rate: Number(flags.rate), weightDecay: 0.05 }),
    schedule: 'cosine',
    warmup: 100,
    clip: 1,
    seed,
    resume: state,
    signal: phase.signal,
    save: (now) => {
      if (now.numbers.epoch >= until) phase.abort()
      return writeCheckpoint(statePath, now)
    },
  })
  for await (const event of run) {
    if (event.kind === 'epoch') {
      const { epoch, trainLoss, trainAccuracy, seconds } = event
      console.log(`epoch ${epoch}: loss ${trainLoss.toFixed(3)}, ${percent(trainAccuracy)}, ${seconds.toFixed(0)} s`)
    } else if (event.step % 50 === 0) {
      const { step, steps, loss, lr, count, seconds } = event
      const speed = (count / seconds).toFixed(0)
      console.log(`step ${step}/${steps}: loss ${loss.toFixed(3)}, rate ${lr.toExponential(2)}, ${speed} images/s`)
    }
  }
  state = await loadState()
}
await finish()
await backend.dispose()
