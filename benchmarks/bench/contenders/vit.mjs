// A ViT of vitune with random weights on any backend, made ready for a method, and a batch for it.
import { parseVitConfig, Vit } from 'vitune/models'
import { Linear, namedModules } from 'vitune/nn'
import { Packed } from 'vitune/tensor'
import { prepare } from 'vitune/train'
import { batchOf, noise } from './noise.mjs'

const size = (shape) => shape.reduce((a, b) => a * b, 1)

/** Bytes of a model's packed weights, and what they would be in f32. */
function packedBytes(model) {
  const sum = { bytes: 0, f32: 0 }
  for (const [, layer] of namedModules(model)) {
    if (!(layer instanceof Linear && layer.weight instanceof Packed)) continue
    sum.bytes += layer.weight.bytes
    sum.f32 += 4 * layer.weight.size
  }
  return sum
}

/** A model of the shape, its frozen weights packed where that is asked for, adapted for the method or for `forward`. */
export function makeModel(backend, { shape, method, quantize, doubleQuant = true }) {
  const config = parseVitConfig({
    model_type: shape.layerScale ? 'dinov2' : 'vit',
    hidden_size: shape.hidden,
    num_hidden_layers: shape.layers,
    num_attention_heads: shape.heads,
    intermediate_size: 4 * shape.hidden,
    image_size: shape.image,
    patch_size: shape.patch,
  })
  const next = noise(3)
  // One room for all, or the process's highest memory would be that of arrays not yet collected.
  let room = new Float32Array(0)
  const init = (sizes) => {
    const length = size(sizes)
    if (room.length < length) room = new Float32Array(length)
    return next(length, 0.02, room.subarray(0, length))
  }
  const model = new Vit(backend, config, init, quantize && { format: quantize, double: doubleQuant })
  const classes = Array.from({ length: shape.classes }, (_, i) => `class ${i}`)
  // What is packed trains by no method, so a forward pass takes the one that freezes.
  const { lora } = prepare(model, classes, method === 'forward' ? 'linear' : method, { seed: 1 })
  return { model, classes, lora, packed: packedBytes(model) }
}

/** The same batch of a shape in every step. */
export function makeBatch(spec) {
  const { images, labels } = batchOf(spec)
  const { image } = spec.shape
  const count = labels.length
  return {
    inputs: { images: { data: images, shape: [count, 3, image, image] } },
    targets: { label: { data: Int32Array.from(labels), shape: [count] } },
    count,
    names: [],
  }
}

/** That batch, `batches` times an epoch. */
export const repeated = (batch, batches) => ({
  batches,
  async *epoch() {
    for (let i = 0; i < batches; i++) yield batch
  },
})
