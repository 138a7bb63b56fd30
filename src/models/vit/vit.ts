// The vision transformer of ViT, DeiT and DINOv2 (with or without registers): one class, switched by VitConfig.
// Loading and naming are elsewhere (load.ts, names.ts).
import type { Backend } from '../../backend/backend.ts'
import { Context } from '../../nn/context.ts'
import { type Init, LayerNorm, Linear, zeros } from '../../nn/layers.ts'
import type { ForwardOptions } from '../../nn/model.ts'
import { disposeModule, Module, trainableParameters } from '../../nn/module.ts'
import { attention } from '../../ops/attention.ts'
import { add, affine, broadcastTo, mul, silu } from '../../ops/elementwise.ts'
import { matmul } from '../../ops/linear.ts'
import { softmax } from '../../ops/normalise.ts'
import { sharingRows } from '../../ops/packed.ts'
import { mean } from '../../ops/reduce.ts'
import { concat, copyStrided, gather, permute, reshape, slice, transpose } from '../../ops/view.ts'
import type { HostInputs } from '../../tensor/host.ts'
import type { Packing } from '../../tensor/packed.ts'
import type { Rng } from '../../tensor/philox.ts'
import { scope } from '../../tensor/scope.ts'
import { showShape } from '../../tensor/shape.ts'
import { checkpoint } from '../../tensor/tape.ts'
import { empty, type Parameter, parameter, type Tensor } from '../../tensor/tensor.ts'
import type { Classifier } from '../model-kind.ts'
import { keepWhole, type ModelPacking } from '../packing.ts'
import type { VitConfig } from './config.ts'
import { huggingFaceName } from './names.ts'

/** Self-attention with separate query, key and value layers, as in Hugging Face. */
export class Attention extends Module {
  query: Linear
  key: Linear
  value: Linear
  output: Linear
  private readonly heads: number
  constructor(backend: Backend, c: VitConfig, init: Init, packing?: Packing) {
    super()
    const layer = (bias: boolean) => Linear.create(backend, c.hidden, c.hidden, init, bias, packing)
    this.query = layer(c.qkvBias)
    this.key = layer(c.qkvBias)
    this.value = layer(c.qkvBias)
    this.output = layer(true)
    this.heads = c.heads
  }
  /** Mixed values before the output layer, (B, N, C). */
  mix(x: Tensor, ctx: Context): Tensor {
    const [q, k, v] = sharingRows(() => [this.query, this.key, this.value].map((layer) => layer.forward(x, ctx)))
    return attention(q!, k!, v!, this.heads)
  }
  /** How much each token attends to each other, averaged over the heads: (B, N, N), rows sum to 1. For looking, not for speed. */
  weights(x: Tensor, ctx: Context): Tensor {
    const [b, n, c] = x.shape as [number, number, number]
    const d = c / this.heads
    const byHead = (layer: Linear) => permute(reshape(layer.forward(x, ctx), [b, n, this.heads, d]), [0, 2, 1, 3])
    const scores = matmul(byHead(this.query), transpose(byHead(this.key))) // (B, H, N, N)
    return mean(softmax(affine(scores, 1 / Math.sqrt(d))), 1)
  }
}

/** fc2(gelu(fc1 x)), or fc2(silu(a) b) with a, b the halves of fc1 x. */
export class Mlp extends Module {
  fc1: Linear
  fc2: Linear
  private readonly swiglu: boolean
  constructor(backend: Backend, c: VitConfig, init: Init, packing?: Packing) {
    super()
    this.fc1 = Linear.create(backend, c.hidden, c.swiglu ? 2 * c.mlpHidden : c.mlpHidden, init, true, packing)
    this.fc2 = Linear.create(backend, c.mlpHidden, c.hidden, init, true, packing)
    this.swiglu = c.swiglu
  }
  /** Whether it is two products with gelu between. */
  get isPlain(): boolean {
    return !this.swiglu
  }
  /** The widened activation before fc2. */
  widen(x: Tensor, ctx: Context): Tensor {
    if (!this.swiglu) return this.fc1.forward(x, ctx, { act: 'gelu' })
    const both = this.fc1.forward(x, ctx)
    const half = both.shape[both.shape.length - 1]! / 2
    return mul(silu(slice(both, -1, 0, half)), slice(both, -1, half, 2 * half))
  }
}

export class Block extends Module {
  norm1: LayerNorm
  attention: Attention
  scale1: Parameter | undefined
  norm2: LayerNorm
  mlp: Mlp
  scale2: Parameter | undefined
  /** Probabilities in training; Vit.setDropout changes them. */
  readonly rates: { dropout: number; dropPath: number }
  constructor(backend: Backend, c: VitConfig, init: Init, dropPath: number, packing?: Packing) {
    super()
    this.norm1 = LayerNorm.create(backend, c.hidden, c.layerNormEps)
    this.attention = new Attention(backend, c, init, packing)
    this.norm2 = LayerNorm.create(backend, c.hidden, c.layerNormEps)
    this.mlp = new Mlp(backend, c, init, packing)
    if (c.layerScale) {
      const values = () => new Float32Array(c.hidden).fill(c.layerScaleInit)
      this.scale1 = parameter(backend, values(), [c.hidden])
      this.scale2 = parameter(backend, values(), [c.hidden])
    }
    this.rates = { dropout: c.dropout, dropPath }
  }
  /** x + scale layer(inner(norm x)), fused into one product where nothing random stands between. */
  private branch(x: Tensor, inner: Tensor, layer: Linear, scale: Parameter | undefined, ctx: Context): Tensor {
    const { dropout, dropPath } = this.rates
    if (!ctx.training || (dropout === 0 && dropPath === 0)) {
      return layer.forward(inner, ctx, { colScale: scale, residual: x })
    }
    const y = ctx.drop(layer.forward(inner, ctx), dropout)
    const scaled = scale ? mul(y, scale) : y
    return add(ctx.drop(scaled, dropPath, x.size / x.shape[0]!), x)
  }
  /** The sum behind the attention, of the first `rows` tokens of each image where given. */
  private attend(x: Tensor, ctx: Context, rows?: number): Tensor {
    const first = (tokens: Tensor) => (rows ? slice(tokens, 1, 0, rows) : tokens)
    const attended = this.attention.mix(this.norm1.forward(x), ctx)
    return this.branch(first(x), first(attended), this.attention.output, this.scale1, ctx)
  }
  /** (B, N, C) to (B, N, C), or to (B, rows, C): of the first `rows` tokens alone, which read all. */
  forward(x: Tensor, ctx: Context, rows?: number): Tensor {
    return scope(() => {
      const mixed = scope(() => this.attend(x, ctx, rows))
      const wide = scope(() => this.mlp.widen(this.norm2.forward(mixed), ctx))
      return this.branch(mixed, wide, this.mlp.fc2, this.scale2, ctx)
    })
  }
  /** The same, recomputed in the backward pass instead of kept. */
  recomputed(x: Tensor, ctx: Context): Tensor {
    const start = ctx.stream
    let between = start
    // The way back through a frozen MLP does not read its activation; then that belongs to what need not be recomputed.
    const late = this.mlp.isPlain && trainableParameters(this.mlp).length === 0
    const open = (input: Tensor): [Tensor, Tensor] => {
      ctx.stream = start
      const mixed = scope(() => this.attend(input, ctx))
      const next = late ? this.norm2.forward(mixed) : scope(() => this.mlp.widen(this.norm2.forward(mixed), ctx))
      between = ctx.stream
      return [mixed, next]
    }
    return checkpoint(open, x, ([mixed, next]) => {
      ctx.stream = between
      const wide = late ? this.mlp.widen(next, ctx) : next
      if (late) next.dispose()
      return this.branch(mixed, wide, this.mlp.fc2, this.scale2, ctx)
    })
  }
}

/** Stochastic depth grows linearly with depth (Huang et al. 2016), as in timm and Hugging Face. */
function pathRate(config: VitConfig, layer: number): number {
  return config.layers > 1 ? (config.dropPath * layer) / (config.layers - 1) : 0
}

export interface ForwardVit extends ForwardOptions {
  /** i32 (B * kept): rows of (B * patches) to keep, the same number for each image; the rest is not computed. */
  keep?: Tensor
}

export class Vit extends Module implements Classifier {
  readonly config: VitConfig
  /** Part of the patches that is computed in training; setDropout changes it. */
  readonly rates = { patchKeep: 1 }
  patch: Linear
  classToken: Parameter
  distillationToken: Parameter | undefined
  registerTokens: Parameter | undefined
  /** (prefix + patches, C) at the model's own input size; the prefix is for class and distillation tokens. */
  positions: Parameter
  blocks: Block[]
  norm: LayerNorm
  head: Linear | undefined
  distillationHead: Linear | undefined

  /**
   * `init` starts every matrix and embedding; a checkpoint's loader passes `zeros` and fills them in. With `packing` the blocks'
   * matrices are packed, but for those that it skips.
   */
  constructor(backend: Backend, config: VitConfig, init: Init, packing?: ModelPacking) {
    super()
    const c = config
    this.config = c
    const token = (count: number) => parameter(backend, init([count, c.hidden]), [count, c.hidden])
    this.patch = Linear.create(backend, c.channels * c.patchSize ** 2, c.hidden, init)
    this.classToken = token(1)
    this.distillationToken = c.distillationToken ? token(1) : undefined
    this.registerTokens = c.registers > 0 ? token(c.registers) : undefined
    this.positions = token(c.positionPrefix + this.patches)
    this.blocks = Array.from({ length: c.layers }, (_, i) => {
      return new Block(backend, c, init, pathRate(c, i), packing)
    })
    if (packing?.skip) keepWhole(this, packing, (path) => huggingFaceName(path, c), init)
    this.norm = LayerNorm.create(backend, c.hidden, c.layerNormEps)
    this.setHead(c.classes, init)
  }

  get backend(): Backend {
    return this.classToken.backend
  }
  get patches(): number {
    const { imageSize, patchSize } = this.config
    return Math.floor(imageSize[0] / patchSize) * Math.floor(imageSize[1] / patchSize)
  }
  get tokens(): number {
    return this.patches
  }
  /** Number of features that the classifier reads. */
  get features(): number {
    return this.config.pooling === 'cls+mean' ? 2 * this.config.hidden : this.config.hidden
  }
  /** Shape of what the classifier reads of one image. */
  get pooled(): readonly number[] {
    return this.config.pooling === 'distilled' ? [2, this.features] : [this.features]
  }

  /** The layers that make logits. */
  get heads(): Linear[] {
    return [this.head, this.distillationHead].filter((head) => head !== undefined)
  }

  /** A new classifier for these classes (none for an empty list); the old one is freed. */
  setHead(classes: string[], init: Init = zeros): void {
    for (const old of this.heads) disposeModule(old)
    this.head = undefined
    this.distillationHead = undefined
    const make = () =>
      classes.length > 0 ? Linear.create(this.classToken.backend, this.features, classes.length, init) : undefined
    this.config.classes = classes
    this.head = make()
    this.distillationHead = this.config.pooling === 'distilled' ? make() : undefined
  }

  /**
   * Sets the dropout and drop path of training (0 to below 1), and the part of the patches that it computes, drawn anew for
   * each image (PatchDropout, arXiv:2208.07220; above 0, to 1); what is left out stays.
   */
  setDropout(rates: { dropout?: number; dropPath?: number; patchKeep?: number }): void {
    this.rates.patchKeep = rates.patchKeep ?? this.rates.patchKeep
    this.config.dropout = rates.dropout ?? this.config.dropout
    this.config.dropPath = rates.dropPath ?? this.config.dropPath
    for (const [i, block] of this.blocks.entries()) {
      block.rates.dropout = this.config.dropout
      block.rates.dropPath = pathRate(this.config, i)
    }
  }

  /** As BEiT and MAE number layers: tokens, positions and patches 0, block i from 0 on i + 1, the final norm and heads the last. */
  depthOf(name: string): number {
    const [part, block] = name.split('.')
    if (part === 'blocks') return Number(block) + 1
    return part === 'norm' || part === 'head' || part === 'distillationHead' ? this.config.layers + 1 : 0
  }

  /** Images (B, channels, H, W) to patches (B, n, channels p p), row by row. */
  private patchify(images: Tensor): Tensor {
    const { imageSize, patchSize: p, channels } = this.config
    const [h, w] = imageSize
    const [b, ch, ih, iw] = images.shape as [number, number, number, number]
    if (images.shape.length !== 4 || ch !== channels || ih !== h || iw !== w) {
      throw new Error(`vit: images must be (B, ${channels}, ${h}, ${w}), got ${showShape(images.shape)}`)
    }
    const gh = Math.floor(h / p)
    const gw = Math.floor(w / p)
    const row = ch * p * p
    const y = empty(images.backend, [b, gh * gw, row])
    copyStrided(y, images, {
      sizes: [b, gh, gw, ch, p, p],
      ys: [gh * gw * row, gw * row, row, p * p, p, 1],
      xs: [ch * h * w, p * w, p, h * w, w, 1],
    })
    return y
  }

  /** Token embeddings (B, prefix + registers + patches, C) with positions added. */
  embed(images: Tensor, ctx: Context, keep?: Tensor): Tensor {
    const { hidden: c, positionPrefix } = this.config
    const b = images.shape[0]!
    const patches = this.patches
    const patchPositions = slice(this.positions, 0, positionPrefix, positionPrefix + patches)
    let x = add(this.patch.forward(this.patchify(images), ctx), patchPositions) // (B, patches, C)
    if (keep) x = reshape(gather(reshape(x, [b * patches, c]), keep), [b, keep.size / b, c])
    let tokens: Tensor = this.classToken
    if (this.distillationToken) tokens = concat([tokens, this.distillationToken], 0)
    if (positionPrefix > 0) tokens = add(tokens, slice(this.positions, 0, 0, positionPrefix))
    if (this.registerTokens) tokens = concat([tokens, this.registerTokens], 0)
    const prefix = broadcastTo(tokens, [b, tokens.shape[0]!, c])
    return ctx.drop(concat([prefix, x], 1), this.config.dropout)
  }

  /** Normalised tokens of the last layer that `pool` reads: all, (B, N, C), or the first ones where no other is read. */
  encode(images: Tensor, ctx: Context, options: ForwardVit = {}): Tensor {
    const { pooling } = this.config
    const rows = pooling === 'cls' ? 1 : pooling === 'distilled' ? 2 : undefined
    return scope(() => {
      let x = scope(() => this.embed(images, ctx, options.keep))
      for (const block of this.blocks) {
        const before = x
        const last = block === this.blocks.at(-1)
        // The last block's activations are read first: keeping them takes no more than making them again would.
        x =
          options.checkpoint && !last
            ? block.recomputed(before, ctx)
            : block.forward(before, ctx, last ? rows : undefined)
        before.dispose()
      }
      return this.norm.forward(x)
    })
  }

  /** What the classifier reads: (B, features); for DeiT's distilled pooling (B, 2, C). */
  pool(tokens: Tensor): Tensor {
    const [, n, c] = tokens.shape as [number, number, number]
    const b = tokens.shape[0]!
    const { pooling, distillationToken, registers } = this.config
    const first = 1 + (distillationToken ? 1 : 0) + registers
    if (pooling === 'distilled') return slice(tokens, 1, 0, 2)
    const averaged = () => mean(slice(tokens, 1, first, n), 1)
    if (pooling === 'mean') return averaged()
    const cls = reshape(slice(tokens, 1, 0, 1), [b, c])
    return pooling === 'cls' ? cls : concat([cls, averaged()], 1)
  }

  /** Logits (B, K) from pooled features. */
  classify(pooled: Tensor, ctx: Context): Tensor {
    const { head, distillationHead } = this
    if (!head) throw new Error('vit: the model has no classifier; call setHead with the class names first')
    if (!distillationHead) return head.forward(pooled, ctx)
    const [b, , c] = pooled.shape as [number, number, number]
    const part = (i: number) => reshape(slice(pooled, 1, i, i + 1), [b, c])
    return affine(add(head.forward(part(0), ctx), distillationHead.forward(part(1), ctx)), 0.5)
  }

  /** Logits (B, K) of images (B, channels, H, W), normalised as the checkpoint's preprocessor says. */
  forward(images: Tensor, ctx: Context = new Context(), options: ForwardVit = {}): Tensor {
    return scope(() => this.classify(this.pool(this.encode(images, ctx, options)), ctx))
  }

  /** Logits (B, K) of `images`, or of `features` (B, ...pooled) that were made of them before. */
  outputs(
    { images, features, keep }: Readonly<Record<string, Tensor>>,
    ctx: Context,
    options: ForwardOptions = {},
  ): Tensor {
    if (features) return scope(() => this.classify(features, ctx))
    return this.forward(images!, ctx, keep ? { ...options, keep } : options)
  }

  /** Rows of (B * patches) to keep: the same number for each image, in order. */
  draw(images: number, rng: Rng): HostInputs {
    const { patchKeep } = this.rates
    if (patchKeep === 1) return {}
    const n = this.patches
    const count = Math.max(1, Math.round(n * patchKeep))
    const rows = new Int32Array(images * count)
    const all = Array.from({ length: n }, (_, i) => i)
    for (let b = 0; b < images; b++) {
      rng.shuffle(all)
      const kept = all.slice(0, count).sort((x, y) => x - y)
      rows.set(
        kept.map((i) => b * n + i),
        b * count,
      )
    }
    return { keep: { data: rows, shape: [rows.length] } }
  }
}
