// The VitConfig of a timm-named checkpoint: from its tensors' shapes, timm's config.json, and what timm's name of the
// architecture says (timm-table.ts). Nothing is guessed: what none of them says is refused.
import { InputError } from '../../platform/errors.ts'
import { type Labels, labelsOf, numbered, readLabels } from '../labels.ts'
import type { VitConfig } from './config.ts'
import { type TimmArchitecture, timmArchitecture } from './timm-table.ts'

type Json = Record<string, unknown>
type Shapes = ReadonlyMap<string, readonly number[]>
const object = (value: unknown): Json => (value !== null && typeof value === 'object' ? (value as Json) : {})

/** Whether these names are timm's. */
export function isTimm(names: readonly string[]): boolean {
  return names.includes('blocks.0.attn.qkv.weight')
}

/** What stands before timm's names, where something does: the module of whoever trained it. */
export function beforeTimm(names: readonly string[]): string | undefined {
  const first = 'blocks.0.attn.qkv.weight'
  return names.find((name) => name.endsWith(`.${first}`))?.slice(0, -first.length)
}

/** timm's name of a tensor that Meta's DINOv2 calls otherwise. */
export function timmSpelling(name: string): string {
  if (name === 'register_tokens') return 'reg_token'
  return name.replace(/^(blocks\.\d+\.mlp)\.w12\./, '$1.fc1.').replace(/^(blocks\.\d+\.mlp)\.w3\./, '$1.fc2.')
}

/** pretrained_cfg; timm before 0.7 wrote its fields beside `architecture`. */
export function pretrainedConfig(configJson: unknown): Json {
  const config = object(configJson)
  return object(config.pretrained_cfg ?? (Array.isArray(config.input_size) ? config : undefined))
}

/** The architecture by its name, where timm has it. Throws an InputError on one that cannot be computed here. */
export function architectureIn(configJson: unknown): TimmArchitecture | undefined {
  const { architecture } = object(configJson)
  return typeof architecture === 'string' ? timmArchitecture(architecture) : undefined
}

/** Arguments that change what a model computes, with the values that are understood. */
const understood: Readonly<Record<string, readonly unknown[]>> = {
  act_layer: ['gelu', null],
  norm_layer: ['layernorm', null],
  embed_norm_layer: [null],
  mlp_layer: [null],
  attn_layer: [null],
  block_fn: [null],
  qk_norm: [false],
  scale_attn_norm: [false],
  scale_mlp_norm: [false],
  proj_bias: [true],
  class_token: [true],
  pos_embed: ['learn'],
  pre_norm: [false],
  final_norm: [true],
  fc_norm: [false, null],
  pool_include_prefix: [false],
}

/** Arguments that the tensors must bear out, and arguments of training or of the input size. */
const read =
  /^(num_heads|embed_dim|depth|mlp_ratio|patch_size|in_chans|img_size|num_classes|global_pool|qkv_bias|init_values|reg_tokens|no_embed_class|strict_img_size|dynamic_img_size|dynamic_img_pad|\w*drop_rate|drop|weight_init|fix_init|distilled_training)$/

function checkArguments(args: Json): void {
  for (const [name, value] of Object.entries(args)) {
    if ((Object.hasOwn(understood, name) && understood[name]!.includes(value)) || read.test(name)) continue
    throw new InputError(
      `config.json: model_args.${name} is ${JSON.stringify(value)}, which cannot be computed here; use a plain ViT, DeiT or DINOv2`,
    )
  }
}

/** Throws where an argument, or what the architecture stands for, is not what the tensors show. */
function agree(what: string, said: unknown, stored: number | boolean): void {
  if (said === undefined || said === null || said === stored) return
  throw new InputError(`config.json: ${what} must be ${stored} as the tensors are, got ${JSON.stringify(said)}`)
}

/** How many heads share the width, from the configuration or the architecture's name. */
function headsOf(args: Json, known: TimmArchitecture | undefined, architecture: string, hidden: number): number {
  const heads = args.num_heads ?? known?.heads
  if (heads === undefined) {
    throw new InputError(
      `config.json: the number of heads of ${architecture || 'a model without architecture'} is not known; add "model_args": {"num_heads": N}`,
    )
  }
  if (typeof heads !== 'number' || !Number.isInteger(heads) || heads < 1 || hidden % heads !== 0) {
    throw new InputError(
      `config.json: model_args.num_heads must divide ${hidden}, got ${JSON.stringify(args.num_heads ?? heads)}`,
    )
  }
  return heads
}

interface Grid {
  grid: [number, number]
  imageSize: [number, number]
  /** Rows of pos_embed before the patches. */
  prefix: number
}

/** The grid is that of the input size, where the rows agree; else a square one. */
function gridOf(input: unknown, rows: number, patchSize: number, prefixes: readonly number[]): Grid {
  const sizes = (Array.isArray(input) ? input.slice(-2) : [input, input]).map(Number)
  const asSized = sizes.map((size) => Math.floor(size / patchSize))
  const side = (prefix: number) => Math.sqrt(rows - prefix)
  const squares = prefixes.map((prefix) => [side(prefix), side(prefix)]).filter(([n]) => Number.isInteger(n) && n! > 0)
  const grid = [asSized, ...squares].find(([h, w]) => prefixes.includes(rows - h! * w!)) as [number, number] | undefined
  if (!grid) {
    throw new InputError(
      `checkpoint: pos_embed must be a grid of the input size or square, with or without the ${prefixes.at(-1)} class tokens, got ${rows} rows`,
    )
  }
  const given = sizes.every((size) => Number.isInteger(size) && size > 0)
  const imageSize = (given ? sizes : grid.map((n) => n * patchSize)) as [number, number]
  return { grid, imageSize, prefix: rows - grid[0] * grid[1] }
}

/** What is taken of timm's class where its own table does not know the architecture, as a sentence. */
export function unknownArchitecture(configJson: unknown): string[] {
  if (architectureIn(configJson)) return []
  const { architecture } = object(configJson)
  const name = typeof architecture === 'string' ? architecture : 'a model without architecture'
  return [
    `config.json: ${name} is none of timm's; gelu and a norm epsilon of 1e-6 are taken, as its VisionTransformer has them`,
  ]
}

/** Class names of a timm configuration for a classifier of `count` outputs. */
export function timmLabels(configJson: unknown, count: number): Labels {
  if (count === 0) return { names: [], notes: [] }
  const config = object(configJson)
  const given = config.label_names ?? pretrainedConfig(config).label_names ?? pretrainedConfig(config).labels
  if (Array.isArray(given) && given.length !== count) {
    const notes = [`config.json: label_names has ${given.length} names for ${count} classes; they are only numbered`]
    return { names: numbered(count), notes }
  }
  if (given !== undefined && given !== null) return readLabels(given, count, 'config.json: label_names')
  const own = labelsOf(config, count)
  return own.names.length === count ? own : { names: numbered(count), notes: [] }
}

/**
 * Describes a timm VisionTransformer with a class token: LayerScale, registers and the second token where their tensors
 * are. `shapes` are by timm's names. Throws an InputError where something cannot be known or cannot be computed here.
 */
export function timmConfig(configJson: unknown, shapes: Shapes): VitConfig {
  const config = object(configJson)
  const args = object(config.model_args)
  const pretrained = pretrainedConfig(config)
  const architecture = String(config.architecture ?? '')
  const known = architectureIn(config)
  checkArguments(args)
  const shape = (name: string): readonly number[] => {
    const found = shapes.get(name)
    if (!found) throw new InputError(`checkpoint: a timm vision transformer needs ${name}, which is missing`)
    return found
  }
  const [hidden, channels, patchSize] = shape('patch_embed.proj.weight') as [number, number, number]
  // By the highest number and by any block: a tensor missing from one block is then named, not taken for a smaller model.
  const names = [...shapes.keys()]
  const layers = 1 + Math.max(...names.map((name) => Number(/^blocks\.(\d+)\./.exec(name)?.[1] ?? 0)))
  if (layers > 1024)
    throw new InputError(`checkpoint: a vision transformer may have 1024 blocks, got block ${layers - 1}`)
  const inSomeBlock = (tail: string) => names.some((name) => name.startsWith('blocks.') && name.endsWith(tail))
  const fc1 = shape('blocks.0.mlp.fc1.weight')[0]!
  const fc2 = shape('blocks.0.mlp.fc2.weight')[1]!
  if (fc1 !== fc2 && fc1 !== 2 * fc2)
    throw new InputError(`checkpoint: mlp.fc1 and mlp.fc2 must fit together, got ${fc1} and ${fc2}`)
  const heads = headsOf(args, known, architecture, hidden)
  const pool = args.global_pool ?? config.global_pool ?? pretrained.global_pool ?? 'token'
  if (pool !== 'token' && !(pool === '' && !shapes.has('head.weight')))
    throw new InputError(`config.json: global_pool must be "token", got ${JSON.stringify(pool)}`)
  const distilled = shapes.has('dist_token')
  const registers = shapes.get('reg_token')?.[1] ?? 0
  const layerScale = inSomeBlock('.ls1.gamma')
  const qkvBias = inSomeBlock('.attn.qkv.bias')
  const swiglu = fc1 === 2 * fc2
  if (swiglu !== (known?.swiglu ?? false)) {
    throw new InputError(
      swiglu
        ? `checkpoint: mlp.fc1 is twice as wide as mlp.fc2, a gated MLP; of timm's only DINOv2 giant's SwiGLU is known here`
        : `checkpoint: ${architecture} has SwiGLU, whose mlp.fc1 is twice as wide as mlp.fc2, got ${fc1} and ${fc2}`,
    )
  }
  agree('model_args.embed_dim', args.embed_dim, hidden)
  agree('model_args.in_chans', args.in_chans, channels)
  const outputs = shapes.get('head.weight')?.[0]
  if (outputs !== undefined) agree('num_classes', args.num_classes ?? config.num_classes, outputs)
  agree('model_args.patch_size', args.patch_size, patchSize)
  agree('model_args.qkv_bias', args.qkv_bias ?? known?.qkvBias, qkvBias)
  agree('model_args.reg_tokens', args.reg_tokens ?? known?.registers, registers)
  // What is cut short at a block's end looks like a smaller model of the same kind.
  agree('model_args.depth', args.depth ?? (known?.width === hidden ? known.layers : undefined), layers)
  if (known)
    agree(`LayerScale of ${architecture}`, known.layerScale || typeof args.init_values === 'number', layerScale)
  if (known) agree(`the distillation token of ${architecture}`, known.distilled, distilled)
  // Meta's register tokens stand beside positions for the class token alone, timm's count with it or neither has any.
  const tokens = distilled ? 2 : 1
  const prefixes = registers > 0 ? [0, 1, 1 + registers] : [0, tokens]
  const { grid, imageSize, prefix } = gridOf(
    args.img_size ?? pretrained.input_size,
    shape('pos_embed')[1]!,
    patchSize,
    prefixes,
  )
  if (args.no_embed_class !== undefined) agree('model_args.no_embed_class', args.no_embed_class, prefix === 0)
  return {
    family: distilled
      ? 'deit'
      : /dinov2/.test(architecture)
        ? registers > 0
          ? 'dinov2_with_registers'
          : 'dinov2'
        : 'vit',
    hidden,
    layers,
    heads,
    mlpHidden: fc2,
    swiglu,
    layerNormEps: 1e-6,
    qkvBias,
    layerScale,
    layerScaleInit: 1,
    imageSize,
    patchSize,
    channels,
    registers,
    distillationToken: distilled,
    pooling: distilled ? 'distilled' : 'cls',
    positionGrid: grid,
    positionInterpolation: known?.interpolation ?? 'bicubic-antialias',
    positionPrefix: prefix,
    dropout: 0,
    dropPath: 0,
    classes: timmLabels(config, shapes.get('head.weight')?.[0] ?? 0).names,
  }
}
