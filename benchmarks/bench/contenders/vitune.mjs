// vitune itself, in Node and in a page: matrix products by their kernel, a ViT's forward pass, and training steps by `fit`.
import { memoryDataset } from 'vitune'
import { evalTransform } from 'vitune/data'
import { createWasm, createWebgpu } from 'vitune/tensor'
import { featureSource, fit, logitsOf, multiclass } from 'vitune/train'
import { noise } from './noise.mjs'
import { makeBatch, makeModel, repeated } from './vit.mjs'

function products(backend, { products, read }) {
  const calls = products.map(({ m, k, n, calls }) => {
    const next = noise()
    const make = (length) => {
      const buf = backend.alloc(length, 'f32')
      backend.write(buf, next(length, 1))
      return buf
    }
    const [a, b, y] = [make(m * k), make(k * n), backend.alloc(m * n, 'f32')]
    // biome-ignore format: as one line
    const params = {
      batch: 1, m, n, k, transA: 0, transB: 0, strideA: 0, strideB: 0, alpha: 1, act: 0, accumulate: 0, format: 0, block: 0,
    }
    return async () => {
      let all
      for (let i = 0; i < calls; i++) {
        backend.dispatch('matmul', { y, a, b }, params)
        if (read) all = await backend.read(y)
      }
      if (!read) all = await backend.read(y, 1, m * n - 1)
      return all.at(-1)
    }
  })
  return (i) => calls[i]()
}

/** The classifier on features made once, as `train` does for the method linear without augmentation. */
function onFeatures(model, { classes, targets }, { shape, batch }) {
  const side = shape.image
  const images = Array.from({ length: batch }, (_, i) => ({
    width: side,
    height: side,
    data: Uint8Array.from({ length: 3 * side * side }, (_, j) => (i * 31 + j * 7) % 256),
  }))
  const labels = images.map((_, i) => i % classes.length)
  const preprocess = {
    resize: null,
    filter: 'bilinear',
    crop: { height: side, width: side },
    scale: 1 / 255,
    mean: [0.5, 0.5, 0.5],
    std: [0.5, 0.5, 0.5],
  }
  const dataset = memoryDataset({ images, labels, classes })
  return featureSource(model, dataset, { transform: evalTransform(preprocess), targets, batchSize: batch })
}

async function steps(backend, spec, { model, classes }) {
  const batch = makeBatch(spec)
  if (spec.method === 'forward') return async () => (await logitsOf(model, batch)).at(-1)
  const many = 1_000_000
  const task = multiclass(classes)
  const train = spec.cached ? onFeatures(model, task, spec) : repeated(batch, many)
  const events = fit({
    model,
    train,
    task,
    epochs: many,
    lr: 1e-4,
    checkpointing: spec.checkpointing ?? false,
  })
  return async () => {
    for (;;) {
      const { value } = await events.next()
      if (value.kind !== 'step') continue
      // The loss is read before the update, which may still be queued.
      await backend.sync()
      return value.loss
    }
  }
}

/** The multiply-add loop of peak.ts, without vitune: what a run of it takes here and now. */
async function peak({ module, rounds }) {
  const bytes = Uint8Array.from(atob(module), (c) => c.charCodeAt(0))
  const { instance } = await WebAssembly.instantiate(bytes)
  return { versions: {}, run: async () => instance.exports.run(rounds) }
}

/** Opens what `spec` describes. */
export async function open(spec) {
  if (spec.work === 'peak') return peak(spec)
  const backend =
    spec.device === 'webgpu'
      ? await createWebgpu({ f16: spec.f16 === true })
      : await createWasm({
          threads: spec.threads,
          disable: [...(spec.relaxed === false ? ['relaxed-simd'] : []), ...(spec.disable ?? [])],
        })
  const made = spec.work === 'matmul' ? undefined : makeModel(backend, spec)
  const once = made ? await steps(backend, spec, made) : products(backend, spec)
  const { threads, relaxedSimd, wide } = backend.caps
  // Asked for, it is tested and timed.
  const integer = spec.quantize === 'int8' ? backend.caps.integer : undefined
  return {
    versions: {},
    notes: [
      backend.name === 'wasm' ? `${threads} thread(s), ${relaxedSimd ? 'relaxed' : 'plain'} SIMD` : backend.adapter,
    ],
    facts: { integer, wide, ...(made && { packed: made.packed }) },
    memory: () => backend.memory(),
    run: once,
  }
}
