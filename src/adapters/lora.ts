// LoRA (Hu et al., arXiv:2106.09685) with PEFT's meanings: y = W x + b + s B A x. How A and B start is in lora-start.ts.
import type { Context } from '../nn/context.ts'
import { type ForwardOptions, type Linear, LinearAdapter } from '../nn/layers.ts'
import { disposeModule } from '../nn/module.ts'
import { add, affine, gelu, mul } from '../ops/elementwise.ts'
import { linear, matmul } from '../ops/linear.ts'
import { dense } from '../ops/packed.ts'
import type { Rng } from '../tensor/philox.ts'
import { type Parameter, parameter, type Tensor } from '../tensor/tensor.ts'
import type { AdapterConfig, AdapterKind, AdapterPart, LayerAdapting } from './adapter.ts'
import { type LoraConfig, loraConfig } from './lora-config.ts'
import { loraFields, parseLora, writeLora } from './lora-fields.ts'
import { startingValues } from './lora-start.ts'

/** Act, scale and residual that could not go into a product. */
export function finish(p: Tensor, { act, colScale, residual }: ForwardOptions): Tensor {
  let y = act === 'gelu' ? gelu(p) : p
  if (colScale) y = mul(y, colScale)
  return residual ? add(y, residual) : y
}

export class LoraAdapter extends LinearAdapter {
  /** (R, in) */
  loraA!: Parameter
  /** (out, R) */
  loraB!: Parameter
  loraBias: Parameter | undefined
  readonly options: { readonly scaling: number; readonly dropout: number }

  constructor(
    { weight, inFeatures, outFeatures }: Linear,
    { config, strength, overwritten }: LayerAdapting<LoraConfig>,
    rng: Rng,
  ) {
    super()
    const { r, scaling } = strength
    this.options = { scaling, dropout: config.dropout }
    const start = startingValues(overwritten || config.initLoraWeights, r, inFeatures, outFeatures, rng)
    try {
      this.loraA = parameter(weight.backend, start.a, [r, inFeatures])
      this.loraB = parameter(weight.backend, start.b, [outFeatures, r])
      if (config.loraBias) this.loraBias = parameter(weight.backend, start.bias, [outFeatures])
    } catch (error) {
      // Memory may be full; nobody else knows of what was taken.
      disposeModule(this)
      throw error
    }
  }

  override get cannotMerge(): string | undefined {
    return this.loraBias && 'an adapter with lora_bias cannot be merged'
  }

  /** A x, and what goes with the product of B: PEFT scales the whole of lora_B's output, its bias too. */
  protected parts(x: Tensor) {
    const { scaling: alpha } = this.options
    return { down: linear(x, this.loraA), up: { alpha, bias: this.loraBias && affine(this.loraBias, alpha) } }
  }

  forward(base: Linear, x: Tensor, ctx: Context, options: ForwardOptions): Tensor {
    const { down, up } = this.parts(ctx.drop(x, this.options.dropout))
    const { act, ...tail } = options
    // Without an activation the scale and the residual distribute over both products.
    const fused = act !== 'gelu' && !this.loraBias ? tail : {}
    const residual = base.product(x, { ...fused, bias: base.bias })
    const y = linear(down, this.loraB, { ...up, colScale: fused.colScale, residual })
    return fused === tail ? y : finish(y, options)
  }

  /** W + s B A */
  mergedWeight(base: Linear): Tensor {
    return add(affine(matmul(this.loraB, this.loraA), this.options.scaling), dense(base.weight))
  }

  byOutput(): Tensor[] {
    return [this.loraB, ...(this.loraBias ? [this.loraBias] : [])]
  }
}

export const loraParts: readonly AdapterPart[] = [
  { field: 'loraA', stored: 'lora_A', leaf: 'weight', shape: ({ r, nIn }) => [r, nIn] },
  {
    field: 'loraB',
    stored: 'lora_B',
    leaf: 'weight',
    shape: ({ nOut, r }) => [nOut, r],
    // MiCA's lora_B is of the weights' least directions, and stays so.
    frozen: ({ initLoraWeights }: LoraConfig) => initLoraWeights === 'mica',
  },
  {
    field: 'loraBias',
    stored: 'lora_B',
    leaf: 'bias',
    shape: ({ nOut }) => [nOut],
    asked: ({ loraBias }: LoraConfig) => loraBias,
  },
]

export const lora: AdapterKind<LoraConfig> = {
  name: 'lora',
  title: 'LoRA',
  decided: ['useDora'],
  peftType: 'LORA',
  defaultRate: 1e-3,
  parts: loraParts,
  rankField: 'loraA',
  configure: (given) => loraConfig({ ...given, useDora: false }),
  owns: (config: AdapterConfig & Partial<LoraConfig>) => config.useDora === false,
  fields: loraFields,
  parse: parseLora,
  write: writeLora,
  create: (base, adapting, rng) => new LoraAdapter(base, adapting, rng),
}
