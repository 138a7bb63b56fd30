// DoRA (Liu et al., arXiv:2402.09353) with PEFT's meanings: LoRA whose sum with the weight has rows of a trained length.
import type { Context } from '../nn/context.ts'
import type { ForwardOptions, Linear } from '../nn/layers.ts'
import { disposeModule } from '../nn/module.ts'
import { abs, add, affine, div, mul, sqrt, sub } from '../ops/elementwise.ts'
import { linear } from '../ops/linear.ts'
import { rowSquares, type Weight } from '../ops/packed.ts'
import { sum } from '../ops/reduce.ts'
import { overwrite, reshape, transpose } from '../ops/view.ts'
import { Packed } from '../tensor/packed.ts'
import type { Rng } from '../tensor/philox.ts'
import { keep, scope } from '../tensor/scope.ts'
import { untracked } from '../tensor/tape.ts'
import { type Parameter, parameter, type Tensor } from '../tensor/tensor.ts'
import type { AdapterConfig, AdapterKind, LayerAdapting } from './adapter.ts'
import { finish, LoraAdapter, lora, loraParts } from './lora.ts'
import { type LoraConfig, loraConfig } from './lora-config.ts'

/**
 * Added to the square of each row norm, so that a row of zeros has the norm 2^-60 and not 0, by which PEFT divides: its
 * outputs are then NaN. It is a normal number in f32, and lost in the rounding of any square above 2^-96.
 */
const floor = 2 ** -120

/** W A^T. A packed W, which is what is multiplied with, takes the other side of it. */
const rowsTimes = (w: Weight, a: Tensor): Tensor =>
  w instanceof Packed ? transpose(linear(a, w, { exact: true })) : linear(w, a)

export class DoraAdapter extends LoraAdapter {
  /** m (out), starting at the row norms of the weight as it is now. */
  magnitude!: Parameter
  private readonly normGradient: boolean
  // ||W||^2 by row, and whose: W is frozen, so it is computed once.
  private weightSquares: Tensor | undefined
  private squaresOf = 0

  constructor(base: Linear, adapting: LayerAdapting<LoraConfig>, rng: Rng) {
    super(base, adapting, rng)
    this.normGradient = adapting.config.doraNormGradient
    try {
      this.magnitude = parameter(base.weight.backend, new Float32Array(base.outFeatures), [base.outFeatures])
      this.resetMagnitude(base)
    } catch (error) {
      disposeModule(this)
      throw error
    }
  }

  /** Sets the magnitude to the row norms of W + s B A as they are now: call after the base weights change. */
  resetMagnitude(base: Linear): void {
    this.weightSquares?.dispose()
    this.weightSquares = undefined
    scope(() => overwrite(this.magnitude, this.norm(base)))
  }

  /**
   * Row norms of W + s B A (out), from ||W||^2 + 2 s sum(W A^T * B) + s^2 sum(B (A A^T) * B): no out x in matrix is made.
   * Rounding may leave a vanished row's square below 0, hence the absolute value. `floor` is added to each square.
   */
  private norm({ weight }: Linear): Tensor {
    const { scaling: s } = this.options
    const { id } = weight instanceof Packed ? weight.words : weight
    if (!this.weightSquares || this.squaresOf !== id) {
      this.weightSquares?.dispose()
      this.weightSquares = keep(untracked(() => scope(() => rowSquares(weight))))
      this.squaresOf = id
    }
    const { weightSquares } = this
    const squares = () => {
      const wa = rowsTimes(weight, this.loraA) // (out, R)
      const baa = linear(this.loraB, linear(this.loraA, this.loraA)) // (out, R), A A^T is symmetric
      const cross = add(affine(wa, 2 * s), affine(baa, s * s))
      return add(sum(mul(cross, this.loraB), -1), weightSquares)
    }
    const norm = () => sqrt(affine(abs(squares()), 1, floor))
    return this.normGradient ? norm() : untracked(() => scope(norm))
  }

  /** The factor m / ||W + s B A|| of each row (out). */
  private rowScale(base: Linear): Tensor {
    return div(this.magnitude, this.norm(base))
  }

  override forward(base: Linear, x: Tensor, ctx: Context, options: ForwardOptions): Tensor {
    const dropped = ctx.drop(x, this.options.dropout)
    const { down, up } = this.parts(dropped)
    const rows = this.rowScale(base)
    if (dropped === x) {
      const y = mul(linear(down, this.loraB, { ...up, residual: base.product(x) }), rows)
      return finish(base.bias ? add(y, base.bias) : y, options)
    }
    // PEFT under dropout: W x + b + (c - 1) W x' + c s B A x', with x' the dropped input.
    const droppedBase = base.product(dropped)
    const v = linear(down, this.loraB, { ...up, residual: droppedBase })
    const plain = sub(base.product(x, { bias: base.bias }), droppedBase)
    return finish(add(mul(v, rows), plain), options)
  }

  /** W + s B A, its rows scaled to the magnitude. */
  override mergedWeight(base: Linear): Tensor {
    return mul(super.mergedWeight(base), reshape(this.rowScale(base), [base.outFeatures, 1]))
  }

  override byOutput(): Tensor[] {
    return [...super.byOutput(), this.magnitude, ...(this.weightSquares ? [this.weightSquares] : [])]
  }
}

export const dora: AdapterKind<LoraConfig> = {
  ...lora,
  name: 'dora',
  title: 'DoRA',
  ownSettings: ['doraNormGradient'],
  parts: [...loraParts, { field: 'magnitude', stored: 'lora_magnitude_vector', shape: ({ nOut }) => [nOut] }],
  configure: (given) => loraConfig({ ...given, useDora: true }),
  owns: (config: AdapterConfig & Partial<LoraConfig>) => config.useDora === true,
  create: (base, adapting, rng) => new DoraAdapter(base, adapting, rng),
}
