// What the name of a timm architecture says and the shapes of its tensors cannot: heads, activation, tokens, and how the
// images of its default weights are prepared. From the registered models of timm 1.0.31 (vision_transformer.py, deit.py).
import { InputError } from '../../platform/errors.ts'

/** One of timm's plain vision transformers, with a class token that the classifier reads. */
export interface TimmArchitecture {
  readonly heads: number
  /** Of the published model; a configuration may say otherwise. */
  readonly width: number
  readonly layers: number
  /** SwiGLU instead of gelu. */
  readonly swiglu: boolean
  readonly layerScale: boolean
  readonly qkvBias: boolean
  readonly registers: number
  readonly distilled: boolean
  /** timm resamples FlexiViT's positions another way. */
  readonly interpolation: 'bicubic-antialias' | 'bilinear'
  /** pretrained_cfg of its default weights. */
  readonly images: {
    readonly mean: readonly number[]
    readonly std: readonly number[]
    readonly crop_pct: number
    readonly interpolation: 'bicubic' | 'bilinear'
  }
}

// [heads, width, layers]
const sizes: Readonly<Record<string, readonly [number, number, number]>> = {
  tiny: [3, 192, 12],
  small: [6, 384, 12],
  medium: [8, 512, 12],
  base: [12, 768, 12],
  large: [16, 1024, 24],
  so400m: [16, 1152, 27],
  huge: [16, 1280, 32],
  giant: [16, 1408, 40],
  gigantic: [16, 1664, 48],
}

const imagenet = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] }
const half = { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] }
const raw = { mean: [0, 0, 0], std: [1, 1, 1] }

type Change = Partial<Omit<TimmArchitecture, 'images'>> & { images?: Partial<TimmArchitecture['images']> }

/** Names (the size in brackets) and what differs from a ViT of timm's own training at 224 px. */
const rows: readonly [RegExp, Change][] = [
  [/^vit_(small)_patch8_224$/, { images: imagenet }],
  [/^vit_(tiny|small|base|large|huge|giant|gigantic)_patch\d+_224(?:_in21k)?$/, {}],
  [/^vit_(tiny|small|base|large)_patch\d+_384$/, { images: { crop_pct: 1 } }],
  [/^vit_(small|base)_patch\d+_224_dino$/, { images: imagenet }],
  [
    /^vit_(base)_patch16_224_miil(?:_in21k)?$/,
    { qkvBias: false, images: { ...raw, crop_pct: 0.875, interpolation: 'bilinear' } },
  ],
  [/^vit_(base)_patch\d+_plus_\d+$/, { heads: 14, width: 896, layerScale: true, images: { crop_pct: 0.95 } }],
  [/^vit_(small)_patch16_36x1_224$/, { layers: 36, layerScale: true }],
  [/^flexivit_(small|base|large)$/, { interpolation: 'bilinear', images: { crop_pct: 0.95 } }],
  [/^vit_(small|base|large)_patch14_dinov2$/, { layerScale: true, images: { ...imagenet, crop_pct: 1 } }],
  [
    /^vit_(giant)_patch14_dinov2$/,
    { heads: 24, width: 1536, swiglu: true, layerScale: true, images: { ...imagenet, crop_pct: 1 } },
  ],
  [
    /^vit_(small|base|large)_patch14_reg4_dinov2$/,
    { registers: 4, layerScale: true, images: { ...imagenet, crop_pct: 1 } },
  ],
  [
    /^vit_(giant)_patch14_reg4_dinov2$/,
    { heads: 24, width: 1536, swiglu: true, registers: 4, layerScale: true, images: { ...imagenet, crop_pct: 1 } },
  ],
  [
    /^vit_(base|large|so400m)_patch14_reg1_tipsv2$/,
    { registers: 1, layerScale: true, images: { ...raw, crop_pct: 1 } },
  ],
  [/^deit_(tiny|small|base)_patch16_224$/, { images: imagenet }],
  [/^deit_(base)_patch16_384$/, { images: { ...imagenet, crop_pct: 1 } }],
  [/^deit_(tiny|small|base)_distilled_patch16_224$/, { distilled: true, images: imagenet }],
  [/^deit_(base)_distilled_patch16_384$/, { distilled: true, images: { ...imagenet, crop_pct: 1 } }],
  [/^deit3_(small|medium|base|large|huge)_patch\d+_224$/, { layerScale: true, images: imagenet }],
  [/^deit3_(small|base|large)_patch16_384$/, { layerScale: true, images: { ...imagenet, crop_pct: 1 } }],
]

/** timm's transformers that are built otherwise, and how. */
const others: readonly [RegExp, string][] = [
  [/siglip|_map_|test_vit3/, 'pools by attention'],
  [/clip|_xp_/, 'has a norm before its blocks (norm_pre)'],
  [/_gap_|^eva_large|^beit3|_rpn_|test_vit2/, 'takes the mean of its patches and not the class token'],
  [/18x2|_d?pwee_/, 'computes attention and MLP side by side'],
  [/radio|intern300m/, 'has no norm behind its blocks'],
  [/^aimv2|test_vit4/, 'has RMS norms'],
  [/relpos|_rope|^eva0|^eva02|dinov3|^pe_|naflex/, 'has positions of another kind'],
  [/hybrid|_r\d+_s\d+|resnet/, 'starts with convolutions'],
]

/**
 * What is known of an architecture by its name, with or without the tag of its weights; undefined where it is none of
 * timm's. Throws an InputError that says why where it is one of those that cannot be computed here.
 */
export function timmArchitecture(architecture: string): TimmArchitecture | undefined {
  const name = architecture.split('.')[0]!
  for (const [pattern, change] of rows) {
    const size = sizes[pattern.exec(name)?.[1] ?? '']
    if (!size) continue
    const [heads, width, layers] = size
    const plain = { swiglu: false, layerScale: false, qkvBias: true, registers: 0, distilled: false } as const
    return {
      ...{ heads, width, layers, ...plain, interpolation: 'bicubic-antialias' as const },
      ...change,
      images: { ...half, crop_pct: 0.9, interpolation: 'bicubic', ...change.images },
    }
  }
  const other = others.find(([pattern]) => pattern.test(name))
  if (other)
    throw new InputError(
      `config.json: ${name} cannot be computed here: it ${other[1]}; use a plain ViT, DeiT or DINOv2`,
    )
  return undefined
}
