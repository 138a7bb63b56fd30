// A ViT of vitune with random weights on any backend, made ready for a method, and a batch for it.
import { parseVitConfig, Vit } from 'vitune/models'
import { prepare } from 'vitune/train'
import { batchOf, noise } from './noise.mjs'

const size = (shape) => shape.reduce((a, b) => a * b, 1)

/** A model of the shape, frozen and adapted for the method, or for `forward`. */
export function makeModel(backend, { shape, method }) {
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
  const model = new Vit(backend, config, (sizes) => {
    const length = size(sizes)
    if (room.length < length) room = new Float32Array(length)
    return next(length, 0.02, room.subarray(0, length))
  })
  const classes = Array.from({ length: shape.classes }, (_, i) => `class ${i}`)
  prepare(model, classes, method === 'forward' ? 'full' : method, { seed: 1 })
  return { model, classes }
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
