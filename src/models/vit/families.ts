// The families of vision transformers that one class computes, by Hugging Face's model_type, and in what they differ. Nobody
// compares their names: what differs is a fact here.
import { IMAGENET, processors } from '../../data/preprocess.ts'
import type { Published } from '../images.ts'
import type { Interpolation } from './config.ts'

/** What tells a family from the others. */
export interface VitFamily extends Published {
  /** Hugging Face's class for classification, which saved models name. */
  readonly architecture: string
  /** Its class that reads both tokens, where it has two. */
  readonly teacher?: string
  /** Classes of Hugging Face's library that hold its transformer. */
  readonly holders: RegExp
  readonly patchSize: number
  readonly layerNormEps: number
  /** DINOv2's blocks: scaled, their MLP's width by a ratio and maybe SwiGLU; read by class token and the mean of the patches. */
  readonly dino: boolean
  /** Register tokens where config.json does not count them. */
  readonly registers: number
  readonly distillationToken: boolean
  readonly positionInterpolation: Interpolation
  /** What Hugging Face calls the parts of a block. */
  readonly words: Readonly<Record<'norm1' | 'norm2' | 'mlp.fc1' | 'mlp.fc2', string>>
  /** Whether transformers 5 renamed the list of blocks and the MLP, beside the attention of all. */
  readonly respelt: boolean
}

const plain = {
  patchSize: 16,
  layerNormEps: 1e-12,
  dino: false,
  registers: 0,
  distillationToken: false,
  positionInterpolation: 'bicubic',
  words: {
    norm1: 'layernorm_before',
    norm2: 'layernorm_after',
    'mlp.fc1': 'intermediate.dense',
    'mlp.fc2': 'output.dense',
  },
  respelt: true,
  usedSmaller: false,
} as const

/** Published at 518 px, used at 224. */
const dino = {
  patchSize: 14,
  layerNormEps: 1e-6,
  dino: true,
  registers: 0,
  distillationToken: false,
  positionInterpolation: 'bicubic',
  words: { norm1: 'norm1', norm2: 'norm2', 'mlp.fc1': 'mlp.fc1', 'mlp.fc2': 'mlp.fc2' },
  respelt: false,
  images: { ...processors.bit, resize: { shortest: 256 }, ...IMAGENET },
  usedSmaller: true,
} as const

export const vitFamilies = {
  vit: { ...plain, architecture: 'ViTForImageClassification', holders: /^ViT(For|Model)/, images: processors.vit },
  dinov2: { ...dino, architecture: 'Dinov2ForImageClassification', holders: /^Dinov2(For|Model|Backbone)/ },
  dinov2_with_registers: {
    ...dino,
    architecture: 'Dinov2WithRegistersForImageClassification',
    holders: /^Dinov2WithRegisters(For|Model|Backbone)/,
    registers: 4,
    positionInterpolation: 'bicubic-antialias',
  },
  deit: {
    ...plain,
    architecture: 'DeiTForImageClassification',
    teacher: 'DeiTForImageClassificationWithTeacher',
    holders: /^DeiT(For|Model)/,
    distillationToken: true,
    images: { ...processors.deit, ...IMAGENET },
  },
} as const satisfies Record<string, VitFamily>

export type VitFamilyName = keyof typeof vitFamilies
export const vitFamilyNames = Object.keys(vitFamilies) as readonly VitFamilyName[]

/** What there is to know of a model's family. */
export const vitFamily = ({ family }: { family: VitFamilyName }): VitFamily => vitFamilies[family]
