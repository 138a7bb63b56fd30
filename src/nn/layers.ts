// The layers of a transformer: Linear, LayerNorm and scale, and how their weights start.
import type { Backend } from '../backend/backend.ts'
import { type LinearOptions, linear } from '../ops/linear.ts'
import { layerNorm } from '../ops/normalise.ts'
import type { Rng } from '../tensor/philox.ts'
import { sizeOf } from '../tensor/shape.ts'
import { type Parameter, parameter, type Tensor } from '../tensor/tensor.ts'
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

/** y = x W^T + b, weight (out, in). Adapters take its place and answer to the same `forward`. */
export class Linear extends Module {
  weight: Parameter
  bias: Parameter | undefined
  constructor(weight: Parameter, bias?: Parameter) {
    super()
    this.weight = weight
    this.bias = bias
  }
  static create(backend: Backend, inFeatures: number, outFeatures: number, init: Init, withBias = true): Linear {
    const shape = [outFeatures, inFeatures]
    const bias = withBias ? parameter(backend, zeros([outFeatures]), [outFeatures]) : undefined
    return new Linear(parameter(backend, init(shape), shape), bias)
  }
  get inFeatures(): number {
    return this.weight.shape[1]!
  }
  get outFeatures(): number {
    return this.weight.shape[0]!
  }
  forward(x: Tensor, _ctx: Context, options: ForwardOptions = {}): Tensor {
    return linear(x, this.weight, { ...options, bias: this.bias })
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
