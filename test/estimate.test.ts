// What estimate() says a training step needs, against what the same step has needed on the wasm device.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type EstimateOptions, estimate, InputError, memoryDataset } from 'vitune'
import { methods } from 'vitune/adapters'
import { evalTransform } from 'vitune/data'
import { Vit, type VitConfig } from 'vitune/models'
import { disposeModule, truncatedNormal } from 'vitune/nn'
import { createWasm, Rng } from 'vitune/tensor'
import { type BatchSource, featureSource, fit, multiclass, prepare } from 'vitune/train'
import { batchOf } from './batch-of.ts'

/** ViT-S's width and heads, with two blocks and few tokens. */
const config: VitConfig = {
  family: 'vit',
  hidden: 384,
  layers: 2,
  heads: 6,
  mlpHidden: 1536,
  swiglu: false,
  layerNormEps: 1e-6,
  qkvBias: true,
  layerScale: false,
  layerScaleInit: 1,
  imageSize: [56, 56],
  patchSize: 14,
  channels: 3,
  registers: 0,
  distillationToken: false,
  pooling: 'cls',
  positionGrid: [4, 4],
  positionInterpolation: 'bicubic',
  positionPrefix: 1,
  dropout: 0,
  dropPath: 0,
  classes: [],
}

/** The highest memory of two real steps and a validation, from the weights on. */
async function measured(o: EstimateOptions): Promise<number> {
  const backend = await createWasm({ threads: 2 })
  const model = new Vit(backend, structuredClone(o.config), truncatedNormal(new Rng(1), 0.02))
  const names = ['a', 'b', 'c']
  prepare(model, names, o.method ?? 'lora', { seed: 0 })
  const [height, width] = o.config.imageSize
  const pixels = new Float32Array(o.batchSize * 3 * height * width).fill(0.1)
  const batch = batchOf(pixels, [o.batchSize, 3, height, width], new Int32Array(o.batchSize))
  const task = multiclass(names)
  /** Batches of the same image again and again; of its features where they are kept. */
  const source = (batches: number): BatchSource => {
    if (!o.keeps) {
      return {
        batches,
        async *epoch() {
          for (let i = 0; i < batches; i++) yield batch
        },
      }
    }
    const labels = new Int32Array(o.batchSize * batches)
    const image = { width, height, data: new Uint8Array(3 * height * width) }
    const dataset = memoryDataset({ images: Array.from(labels, () => image), labels, classes: names })
    const transform = evalTransform({
      ...{ resize: null, filter: 'bilinear', crop: { height, width }, scale: 1 / 255 },
      ...{ mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25] },
    })
    const { batchSize, microBatch } = o
    return featureSource(model, dataset, { transform, targets: task.targets, batchSize, microBatch })
  }
  backend.resetPeak()
  const { checkpointing = false, accumulate = 1, optimizer = 'adamw', clip, microBatch, ema = 0 } = o
  const options = {
    model,
    task,
    epochs: 1,
    lr: 1e-4,
    checkpointing,
    accumulate,
    optimizer,
    clip,
    microBatch,
    ema,
  }
  for await (const _ of fit({ ...options, train: source(2 * accumulate), val: source(1) })) {
  }
  const { peak } = backend.memory()
  disposeModule(model)
  assert.is(backend.memory().buffers, 0)
  await backend.dispose()
  return peak
}

const cases: [string, Omit<EstimateOptions, 'config' | 'classes'>][] = [
  ['full, batch 2', { method: 'full', batchSize: 2 }],
  ['full, averages of the weights', { method: 'full', batchSize: 2, ema: 0.99 }],
  ['full, batch 8, checkpointing', { method: 'full', batchSize: 8, checkpointing: true }],
  [
    'full, SGD, two batches a step, clipped',
    { method: 'full', batchSize: 2, optimizer: 'sgd', accumulate: 2, clip: 1 },
  ],
  ['linear, batch 8', { method: 'linear', batchSize: 8 }],
  ['linear, batch 8, features kept', { method: 'linear', batchSize: 8, keeps: { train: 16, val: 8 } }],
  ['linear, batch 70, features kept', { method: 'linear', batchSize: 70, keeps: { train: 140, val: 70 } }],
  ['lora, batch 1', { method: 'lora', batchSize: 1 }],
  ['lora, batch 16', { method: 'lora', batchSize: 16 }],
  ['lora, batch 16, checkpointing', { method: 'lora', batchSize: 16, checkpointing: true }],
  ['lora, batch 16, 3 at a time', { method: 'lora', batchSize: 16, microBatch: 3 }],
  ['full, batch 8, 4 at a time', { method: 'full', batchSize: 8, microBatch: 4 }],
  ['dora, batch 8', { method: 'dora', batchSize: 8 }],
]
for (const [name, options] of cases) {
  test(`the estimate is what a step takes, within 5 %: ${name}`, async () => {
    const wanted: EstimateOptions = { config, classes: 3, threads: 2, ...options }
    const { total, features, ...parts } = await estimate(wanted)
    const real = await measured(wanted)
    assert.ok(Math.abs(total / real - 1) < 0.05, `${total} estimated, ${real} measured`)
    const { weights, gradients, optimizer, workspace, activations } = parts
    assert.is(weights + gradients + optimizer + workspace + activations, total)
    for (const [part, bytes] of Object.entries(parts)) assert.ok(bytes >= 0, `${part} ${bytes}`)
    assert.ok(parts.reserved >= total)
    const { train = 0, val = 0 } = wanted.keeps ?? {}
    assert.is(features, 4 * config.hidden * (train + val))
  })
}

test('checkpointing, LoRA and a smaller batch each need less; the configuration stays as it was', async () => {
  const deep = { ...config, layers: 6 }
  const before = JSON.stringify(deep)
  const total = async (o: Partial<EstimateOptions>) =>
    (await estimate({ config: deep, classes: 3, batchSize: 32, method: 'full', ...o })).total
  const full = await total({})
  for (const change of [{ checkpointing: true }, { method: 'lora' }, { batchSize: 16 }] as const) {
    assert.ok((await total(change)) < full, JSON.stringify(change))
  }
  for (const method of methods) assert.ok((await total({ method })) > 0)
  assert.is(JSON.stringify(deep), before)
})

test('however much is computed in a step, planning takes its milliseconds, and others have their turn', async () => {
  let turns = 0
  const clock = setInterval(() => turns++, 1)
  const large = { config, classes: 3, method: 'full', batchSize: 1_000_000, accumulate: 1_000_000 } as const
  const begun = performance.now()
  const found = await estimate(large)
  const seconds = (performance.now() - begun) / 1000
  assert.ok(seconds < 10, `${seconds} s`)
  for (let i = 0; i < 3; i++) await estimate(large)
  clearInterval(clock)
  assert.ok(turns >= 3, `${turns} turns`)
  // Both are whole parts of 64 images, so one recording serves each.
  assert.equal(found, await estimate({ ...large, batchSize: 6400, accumulate: 2 }))
})

test('an estimate of no images is refused', async () => {
  for (const batchSize of [0, 1.5, Number.NaN]) {
    try {
      await estimate({ config, classes: 3, batchSize })
      assert.unreachable()
    } catch (error) {
      assert.instance(error, InputError)
      assert.match((error as Error).message, /^batchSize: must be a whole number from 1 to 1000000, got /)
    }
  }
})

test.run()
