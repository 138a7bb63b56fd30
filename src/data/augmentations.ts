// What may be done to a training image, as plain data: which changes, how strong, how often. Pure. What each of them does to
// pixels is in the file of its family, what is drawn for one image in draw.ts.
import { InputError } from '../platform/errors.ts'

/** Least and most of what is drawn evenly in between. */
export type Span = readonly [least: number, most: number]

/** Changes of training images; what is absent is off, what is absent in one of them has the value of `strengths`. */
export interface Augmentations {
  /** A random part, resized to the input size: parts of the area, width over height. */
  readonly crop?: { readonly area?: Span; readonly aspect?: Span }
  /** Probability of a mirror image. */
  readonly flip?: number
  /** Probability of an image upside down. */
  readonly verticalFlip?: number
  /** torchvision's ColorJitter: factors of 1 - x to 1 + x, a hue moved by -x to x turns, in random order. */
  readonly colorJitter?: ColourChanges
  /** kornia's ColorJiggle: brightness is added, contrast is a factor on the values, saturation one in HSV. */
  readonly colorJiggle?: ColourChanges
  /** torchvision's RandomPhotometricDistort: each change, and another order of the channels, with `p` of its own. */
  readonly photometric?: {
    readonly brightness?: Span
    readonly contrast?: Span
    readonly saturation?: Span
    readonly hue?: Span
    readonly p?: number
  }
  /** torchvision's RandomAffine about the centre: most degrees, most of the size, factors, most degrees along x and y. */
  readonly affine?: {
    readonly degrees?: number
    readonly translate?: number
    readonly scale?: Span
    readonly shear?: number
    readonly p?: number
  }
  /** Gaussian blur of `kernel` x `kernel` pixels, `sigma` as torchvision counts it. */
  readonly blur?: { readonly kernel?: number; readonly sigma?: Span; readonly p?: number }
  /** Gaussian noise, `sigma` in parts of the range of values. */
  readonly noise?: { readonly sigma?: number; readonly p?: number }
  /** torchvision's RandAugment: so many operations of its table, at place `magnitude` of `bins` strengths. */
  readonly randAugment?: { readonly ops?: number; readonly magnitude?: number; readonly bins?: number }
}

/** How strong changes of colour are: 0 is none. */
export interface ColourChanges {
  readonly brightness?: number
  readonly contrast?: number
  readonly saturation?: number
  readonly hue?: number
  readonly p?: number
}

/** The name of one augmentation. */
export type AugmentationName = keyof Augmentations

const jiggle = { brightness: 0.2, contrast: 0.2, saturation: 0.2, hue: 0.05, p: 0.5 }

/** What holds where an augmentation says nothing of it: the values that OTX 2.6, getitune 0.4 and torchvision ship. */
export const strengths = {
  crop: { area: [0.08, 1], aspect: [0.75, 1.34] },
  flip: 0.5,
  verticalFlip: 0.5,
  colorJitter: jiggle,
  colorJiggle: jiggle,
  photometric: { brightness: [0.875, 1.125], contrast: [0.5, 1.5], saturation: [0.5, 1.5], hue: [-0.05, 0.05], p: 0.5 },
  affine: { degrees: 10, translate: 0.1, scale: [0.5, 1.5], shear: 2, p: 1 },
  blur: { kernel: 5, sigma: [0.1, 2], p: 0.5 },
  noise: { sigma: 0.1, p: 0.5 },
  randAugment: { ops: 2, magnitude: 9, bins: 31 },
} as const satisfies Required<Augmentations>

/** All of them, in the order in which they are told. */
export const augmentationNames = Object.keys(strengths) as AugmentationName[]

/** What OTX 2.6 and getitune 0.4 do in the recipes they ship for classification. */
export const augmentationPresets = {
  otx: { crop: strengths.crop, flip: 0.5 },
  getitune: { crop: strengths.crop, flip: 0.5, colorJiggle: jiggle },
} as const satisfies Record<string, Augmentations>

/** Settings of the training transform as they were before there were others: a crop by `area` and `aspect`, and mirroring. */
export interface TrainTransformOptions extends Augmentations {
  /** `crop.area`, with mirroring of half of the images where `flip` says nothing else. */
  readonly area?: Span
  /** `crop.aspect`, likewise. */
  readonly aspect?: Span
}

/** Each in words of a report, with what it is called first. */
const words: { readonly [K in AugmentationName]: (given: NonNullable<Augmentations[K]>) => string } = {
  crop: ({ area = strengths.crop.area }) => `random crops of ${area.join(' to ')} of the area`,
  flip: (p) => (p === strengths.flip ? 'mirror images' : `mirror images (${p})`),
  verticalFlip: (p) => `images upside down (${p})`,
  colorJitter: () => 'colour jitter',
  colorJiggle: () => 'colour jiggle',
  photometric: () => 'photometric distortion',
  affine: () => 'affine changes',
  blur: () => 'blur',
  noise: () => 'noise',
  randAugment: (given) => {
    const { ops, magnitude } = { ...strengths.randAugment, ...given }
    return `RandAugment of ${ops} operations at magnitude ${magnitude}`
  },
}

/** What is done, in words: 'random crops of 0.08 to 1 of the area and mirror images', or 'no augmentation'. */
export function augmentationsInWords(options: TrainTransformOptions): string {
  const given = augmentationsOf(options)
  const said = augmentationNames.flatMap((name) => {
    const value = given[name]
    // What has one value of its own is that of one type with its words.
    return value === undefined || value === 0 ? [] : [(words[name] as (value: unknown) => string)(value)]
  })
  if (said.length === 0) return 'no augmentation'
  const last = said.pop()!
  return said.length === 0 ? last : `${said.join(', ')} and ${last}`
}

/** The same in one form. Throws InputError where the crop is given twice. */
export function augmentationsOf({ area, aspect, ...rest }: TrainTransformOptions): Augmentations {
  if (area === undefined && aspect === undefined) {
    return Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined))
  }
  if (rest.crop) throw new InputError('augment: area and aspect belong into crop, got both; leave area and aspect out')
  return { flip: strengths.flip, ...rest, crop: { ...(area ? { area } : {}), ...(aspect ? { aspect } : {}) } }
}
