// The adapted linear layer: LoRA (Hu et al., arXiv:2106.09685) and DoRA (Liu et al., arXiv:2402.09353), PEFT's meanings.
// It takes a Linear's place and keeps its weight and bias under the same names.

import type { Context } from '../nn/context.ts'
import { type ForwardOptions, Linear } from '../nn/layers.ts'
import { abs, add, affine, div, gelu, mul, sqrt, sub } from '../ops/elementwise.ts'
import { linear, matmul } from '../ops/linear.ts'
import { sum, sumSquares } from '../ops/reduce.ts'
import { overwrite, reshape } from '../ops/view.ts'
import type { Rng } from '../tensor/philox.ts'
import { keep, scope } from '../tensor/scope.ts'
import { untracked } from '../tensor/tape.ts'
import { type Parameter, parameter, type Tensor } from '../tensor/tensor.ts'
import type { LoraConfig } from './config.ts'
import { startingValues } from './start.ts'

export interface LoraLayerOptions {
  r: number
  scaling: number
  dropout: number
  useDora: boolean
  doraNormGradient: boolean
  loraBias: boolean
  init: LoraConfig['initLoraWeights']
}

/** Act, scale and residual that could not go into a product. */
function finish(p: Tensor, { act, colScale, residual }: ForwardOptions): Tensor {
  let y = act === 'gelu' ? gelu(p) : p
  if (colScale) y = mul(y, colScale)
  return residual ? add(y, residual) : y
}

/**
 * Added to the square of each row norm, so that a row of zeros has the norm 2^-60 and not 0, by which PEFT divides: its
 * outputs are then NaN. It is a normal number in f32, and lost in the rounding of any square above 2^-96.
 */
const floor = 2 ** -120

export class LoraLinear extends Linear {
  /** (R, in) */
  loraA!: Parameter
  /** (out, R) */
  loraB!: Parameter
  loraBias: Parameter | undefined
  /** DoRA's m (out), starting at the row norms of the weight as it is now. */
  magnitude: Parameter | undefined
  readonly options: LoraLayerOptions
  // ||W||^2 by row; W is frozen, so it is computed once.
  private weightSquares: Tensor | undefined

  constructor(base: Linear, options: LoraLayerOptions, rng: Rng) {
    super(base.weight, base.bias)
    const { backend } = base.weight
    const { r } = options
    const [nIn, nOut] = [base.inFeatures, base.outFeatures]
    this.options = options
    const start = startingValues(options.init, r, nIn, nOut, rng)
    try {
      this.loraA = parameter(backend, start.a, [r, nIn])
      this.loraB = parameter(backend, start.b, [nOut, r])
      if (options.loraBias) this.loraBias = parameter(backend, start.bias, [nOut])
      if (options.useDora) {
        this.magnitude = parameter(backend, new Float32Array(nOut), [nOut])
        this.resetMagnitude()
      }
    } catch (error) {
      // Memory may be full; nobody else knows of what was taken.
      this.disposeAdapter()
      throw error
    }
  }

  /** Sets DoRA's magnitude to the row norms of W + s B A as they are now: call after the base weights change. */
  resetMagnitude(): void {
    if (!this.magnitude) return
    this.weightSquares?.dispose()
    this.weightSquares = undefined
    scope(() => overwrite(this.magnitude!, this.norm()))
  }

  /**
   * Row norms of W + s B A (out), from ||W||^2 + 2 s sum(W A^T * B) + s^2 sum(B (A A^T) * B): no out x in matrix is made.
   * Rounding may leave a vanished row's square below 0, hence the absolute value. `floor` is added to each square.
   */
  private norm(): Tensor {
    const { scaling: s, doraNormGradient } = this.options
    this.weightSquares ??= keep(untracked(() => scope(() => sumSquares(this.weight))))
    const squares = () => {
      const wa = linear(this.weight, this.loraA) // (out, R)
      const baa = linear(this.loraB, linear(this.loraA, this.loraA)) // (out, R), A A^T is symmetric
      const cross = add(affine(wa, 2 * s), affine(baa, s * s))
      return add(sum(mul(cross, this.loraB), -1), this.weightSquares!)
    }
    const norm = () => sqrt(affine(abs(squares()), 1, floor))
    return doraNormGradient ? norm() : untracked(() => scope(norm))
  }

  /** The factor m / ||W + s B A|| of each row (out). */
  private rowScale(): Tensor {
    return div(this.magnitude!, this.norm())
  }

  override forward(x: Tensor, ctx: Context, options: ForwardOptions = {}): Tensor {
    const { scaling: alpha, dropout } = this.options
    const dropped = ctx.drop(x, dropout)
    const down = linear(dropped, this.loraA) // (..., R)
    // PEFT scales the whole of lora_B's output, its bias too.
    const up = { alpha, bias: this.loraBias && affine(this.loraBias, alpha) }
    if (!this.magnitude) {
      const { act, ...tail } = options
      // Without an activation the scale and the residual distribute over both products.
      const fused = act !== 'gelu' && !this.loraBias ? tail : {}
      const base = linear(x, this.weight, { ...fused, bias: this.bias })
      const y = linear(down, this.loraB, { ...up, colScale: fused.colScale, residual: base })
      return fused === tail ? y : finish(y, options)
    }
    const rows = this.rowScale()
    if (dropped === x) {
      const v = linear(down, this.loraB, { ...up, residual: linear(x, this.weight) })
      const y = mul(v, rows)
      return finish(this.bias ? add(y, this.bias) : y, options)
    }
    // PEFT under dropout: W x + b + (c - 1) W x' + c s B A x', with x' the dropped input.
    const droppedBase = linear(dropped, this.weight)
    const v = linear(down, this.loraB, { ...up, residual: droppedBase })
    const plain = sub(linear(x, this.weight, { bias: this.bias }), droppedBase)
    return finish(add(mul(v, rows), plain), options)
  }

  /** The weight (out, in) that alone gives this layer's output: W + s B A, rows scaled under DoRA. */
  mergedWeight(): Tensor {
    const total = add(affine(matmul(this.loraB, this.loraA), this.options.scaling), this.weight)
    if (!this.magnitude) return total
    const rows = this.rowScale()
    return mul(total, reshape(rows, [this.outFeatures, 1]))
  }

  /** Frees what the adapter added; weight and bias stay. */
  disposeAdapter(): void {
    for (const t of [this.loraA, this.loraB, this.loraBias, this.magnitude, this.weightSquares]) t?.dispose()
  }
}
