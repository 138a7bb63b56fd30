// The layers of a transformer: Linear, LayerNorm and scale, and how their weights start.
import type { Backend } from '../backend/backend.ts'
import { type LinearOptions, linear } from '../ops/linear.ts'
import { layerNorm } from '../ops/normalise.ts'
import { overwrite } from '../ops/view.ts'
import { Packed, type Packing } from '../tensor/packed.ts'
import type { Rng } from '../tensor/philox.ts'
import { scope } from '../tensor/scope.ts'
import { sizeOf } from '../tensor/shape.ts'
import { Parameter, parameter, type Tensor } from '../tensor/tensor.ts'
import type { Context } from './context.ts'
import { Module } from './module.ts'

/** Gives a parameter its starting values: from a checkpoint, or fresh. */
export type Init = (shape: readonly number[]) => Float32Array

export const zeros: Init = (shape) => new Float32Array(sizeOf(shape))
export const ones: Init = (shape) => new Float32Array(sizeOf(shape)).fill(1)
/** Normal with deviation `std`, cut off at two deviations by drawing again (as timm and Hugging Face start a ViT). */
export function truncatedNormal(rng: Rng, std: number): Init {
  return (shape) => {
    const data = new Float32Array(sizeOf(shape))
    for (let i = 0; i < data.length; i++) {
      let z = rng.normal()
      while (Math.abs(z) > 2) z = rng.normal()
      data[i] = z * std
    }
    return data
  }
}

export type ForwardOptions = Omit<LinearOptions, 'bias' | 'alpha'>

/**
 * What changes a linear layer's output without touching its weight. It stands on the layer and makes its whole output, so
 * that it may fuse what it adds with what there is.
 */
export abstract class LinearAdapter extends Module {
  /** What the layer gives with it. */
  abstract forward(base: Linear, x: Tensor, ctx: Context, options: ForwardOptions): Tensor
  /** The weight (out, in) that alone gives the same output. */
  abstract mergedWeight(base: Linear): Tensor
  /** Its tensors that have a row for each output of the layer. */
  abstract byOutput(): Tensor[]
  /** Why no weight alone gives the same output, where that is so. */
  get cannotMerge(): string | undefined {
    return undefined
  }
}

/** A parameter in the place of a weight: what `make` gives, of its shape. It trains where that did. */
export function inPlaceOf(weight: Parameter | Packed, make: () => Tensor): Parameter {
  const { backend, shape, size, trainable } = weight
  const made = new Parameter({ backend, buf: backend.alloc(size, 'f32') }, shape)
  scope(() => overwrite(made, make()))
  made.trainable = trainable
  return made
}

/** y = x W^T + b, weight (out, in), or what its adapter makes of it. A packed weight is frozen. */
export class Linear extends Module {
  weight: Parameter | Packed
  bias: Parameter | undefined
  adapter: LinearAdapter | undefined
  constructor(weight: Parameter | Packed, bias?: Parameter) {
    super()
    this.weight = weight
    this.bias = bias
  }
  /** With `packing` the weight is packed from what `init` gives, and undefined where that is `zeros`, to be filled. */
  static create(
    backend: Backend,
    inFeatures: number,
    outFeatures: number,
    init: Init,
    withBias = true,
    packing?: Packing,
  ): Linear {
    const shape = [outFeatures, inFeatures]
    const bias = withBias ? parameter(backend, zeros([outFeatures]), [outFeatures]) : undefined
    if (!packing) return new Linear(parameter(backend, init(shape), shape), bias)
    const packed = new Packed(backend, shape, packing)
    if (init !== zeros) packed.assign(init(shape))
    return new Linear(packed, bias)
  }
  /** The weight where it is not packed; throws where it is. */
  get parameter(): Parameter {
    if (this.weight instanceof Packed) throw new Error(`linear: the weight is packed as ${this.weight.format}`)
    return this.weight
  }
  get inFeatures(): number {
    return this.weight.shape[1]!
  }
  get outFeatures(): number {
    return this.weight.shape[0]!
  }
  /** x W^T alone, whatever W is stored as: the one place where it is multiplied with. */
  product(x: Tensor, options: LinearOptions = {}): Tensor {
    return linear(x, this.weight, options)
  }
  forward(x: Tensor, ctx: Context, options: ForwardOptions = {}): Tensor {
    if (this.adapter) return this.adapter.forward(this, x, ctx, options)
    return this.product(x, { ...options, bias: this.bias })
  }
}

/** Layer norm over the last axis. */
export class LayerNorm extends Module {
  weight: Parameter
  bias: Parameter
  readonly eps: number
  constructor(weight: Parameter, bias: Parameter, eps: number) {
    super()
    this.weight = weight
    this.bias = bias
    this.eps = eps
  }
  static create(backend: Backend, features: number, eps: number): LayerNorm {
    return new LayerNorm(
      parameter(backend, ones([features]), [features]),
      parameter(backend, zeros([features]), [features]),
      eps,
    )
  }
  forward(x: Tensor): Tensor {
    return layerNorm(x, this.weight, this.bias, this.eps)
  }
}
