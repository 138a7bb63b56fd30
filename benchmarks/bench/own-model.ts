// A ViT of vitune with random weights on any backend, and one fixed batch for it: what profile and traffic look into.
import {
  type Backend,
  type Batch,
  type FitEvent,
  fit,
  type Method,
  multiclass,
  parseVitConfig,
  prepare,
  Vit,
} from 'vitune'
import type { VitShape } from './shapes.ts'

let state = 1
/** Uniform around 0 with the given deviation, from xorshift32: fast, since values do not matter here. */
function noise(length: number, deviation: number): Float32Array {
  return Float32Array.from({ length }, () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state / 2147483648) * deviation * Math.sqrt(3)
  })
}

export interface OwnSteps {
  readonly shape: VitShape
  readonly method: Method
  readonly batch: number
  readonly steps: number
  readonly checkpointing?: boolean
}

/** Training steps as `fit` takes them, each dispatched anew and not replayed, so that a backend's dispatch sees all. */
export function ownSteps(backend: Backend, options: OwnSteps): AsyncGenerator<FitEvent> {
  const { shape, method, batch, steps, checkpointing = false } = options
  const config = parseVitConfig({
    model_type: shape.layerScale ? 'dinov2' : 'vit',
    hidden_size: shape.hidden,
    num_hidden_layers: shape.layers,
    num_attention_heads: shape.heads,
    intermediate_size: 4 * shape.hidden,
    image_size: shape.image,
    patch_size: shape.patch,
  })
  const size = (sizes: readonly number[]) => sizes.reduce((a, b) => a * b, 1)
  const model = new Vit(backend, config, (sizes) => noise(size(sizes), 0.02))
  const classes = Array.from({ length: shape.classes }, (_, i) => `class ${i}`)
  prepare(model, classes, method, { seed: 1 })
  const random: Batch = {
    images: noise(batch * 3 * shape.image ** 2, 1),
    shape: [batch, 3, shape.image, shape.image],
    labels: Int32Array.from({ length: batch }, (_, i) => (i * 7) % shape.classes),
    files: [],
  }
  const train = {
    batches: steps,
    async *epoch() {
      for (let i = 0; i < steps; i++) yield random
    },
  }
  return fit({ model, task: multiclass(classes), train, epochs: 1, lr: 1e-4, checkpointing, replay: false })
}
