// The VitConfig of a timm-named checkpoint, read from its tensors' shapes and timm's config.json.
import { InputError } from '../platform/errors.ts'
import type { VitConfig } from './vit-config.ts'

type Json = Record<string, unknown>
const object = (value: unknown): Json => (value !== null && typeof value === 'object' ? (value as Json) : {})

/** Whether these names are timm's. */
export function isTimm(names: readonly string[]): boolean {
  return names.some((name) => name.endsWith('blocks.0.attn.qkv.weight'))
}

/** Describes a timm VisionTransformer: class-token pooling, LayerScale and registers where their tensors are. */
export function timmConfig(configJson: unknown, shapes: ReadonlyMap<string, readonly number[]>): VitConfig {
  const config = object(configJson)
  const args = object(config.model_args)
  const pretrained = object(config.pretrained_cfg)
  const architecture = String(config.architecture ?? '')
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
  const heads = args.num_heads ?? hidden / 64
  if (typeof heads !== 'number' || !Number.isInteger(heads) || heads < 1 || hidden % heads !== 0) {
    throw new InputError(
      `config.json: model_args.num_heads must divide ${hidden}, got ${JSON.stringify(args.num_heads)}`,
    )
  }
  const pool = args.global_pool ?? config.global_pool ?? pretrained.global_pool ?? 'token'
  if (pool !== 'token' && pool !== '')
    throw new InputError(`config.json: global_pool must be "token", got ${JSON.stringify(pool)}`)
  const distilled = shapes.has('dist_token')
  const registers = shapes.get('reg_token')?.[1] ?? 0
  const count = shape('pos_embed')[1]!
  const tokens = distilled ? 2 : 1
  const input = args.img_size ?? pretrained.input_size
  const sizes = (Array.isArray(input) ? input.slice(-2) : [input, input]).map(Number)
  const asSized = sizes.map((size) => Math.floor(size / patchSize))
  const side = Math.floor(Math.sqrt(count))
  // The grid is that of the input size, where the rows agree; else a square one.
  const grid = [asSized, [side, side]].find(([h, w]) => [0, tokens].includes(count - h! * w!)) as
    | [number, number]
    | undefined
  if (!grid) {
    throw new InputError(
      `checkpoint: pos_embed must be a grid of the input size or square, with or without the ${tokens} class tokens, got ${count} rows`,
    )
  }
  const prefix = count - grid[0] * grid[1]
  const imageSize = (
    sizes.every((size) => Number.isInteger(size) && size > 0) ? sizes : grid.map((n) => n * patchSize)
  ) as [number, number]
  const labels = config.label_names ?? pretrained.label_names
  const classCount = shapes.get('head.weight')?.[0] ?? 0
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
    swiglu: fc1 === 2 * fc2,
    layerNormEps: 1e-6,
    qkvBias: inSomeBlock('.attn.qkv.bias'),
    layerScale: inSomeBlock('.ls1.gamma'),
    layerScaleInit: 1,
    imageSize,
    patchSize,
    channels,
    registers,
    distillationToken: distilled,
    pooling: distilled ? 'distilled' : 'cls',
    positionGrid: grid,
    positionInterpolation: 'bicubic-antialias',
    positionPrefix: prefix,
    dropout: 0,
    dropPath: 0,
    classes: Array.from({ length: classCount }, (_, i) =>
      Array.isArray(labels) && labels.length === classCount ? String(labels[i]) : `LABEL_${i}`,
    ),
  }
}
