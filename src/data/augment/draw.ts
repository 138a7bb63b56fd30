// What is drawn for one image: plain numbers out of its own random numbers, in the distributions of torchvision and kornia.
// What comes first is drawn first, so that crops and mirror images stay what they are when something is added.
import type { Rng } from '../../tensor/philox.ts'
import { type Augmentations, type ColourChanges, type Span, strengths } from '../augmentations.ts'
import type { Rect } from '../resize.ts'
import type { AffineChange } from './geometry.ts'
import type { Jiggle } from './jiggle.ts'
import { exp, log } from './maths.ts'
import { type DrawnOperation, drawOperations } from './rand-augment.ts'

/** What is done to one image; what is absent is not done. */
export interface DrawnChanges {
  /** The part that is resized. */
  readonly crop?: Rect
  readonly flip?: boolean
  readonly verticalFlip?: boolean
  readonly photometric?: DrawnPhotometric
  readonly colorJitter?: Jiggle
  readonly colorJiggle?: Jiggle
  readonly affine?: AffineChange
  readonly randAugment?: readonly DrawnOperation[]
  readonly blur?: { readonly kernel: number; readonly sigma: number }
  /** `sigma` in parts of 255; the numbers themselves follow from `seed`. */
  readonly noise?: { readonly sigma: number; readonly seed: number }
}

/** Factors and turns of what is done, as torchvision's RandomPhotometricDistort. */
export interface DrawnPhotometric {
  readonly brightness?: number
  readonly contrast?: number
  readonly saturation?: number
  readonly hue?: number
  /** Whether contrast comes before saturation and hue, instead of after them. */
  readonly contrastFirst: boolean
  /** Which channel each becomes. */
  readonly channels?: readonly number[]
}

type Size = { readonly width: number; readonly height: number }

const even = (rng: Rng, [least, most]: Span): number => least + (most - least) * rng.uniform()
const around = (rng: Rng, most: number): number => even(rng, [-most, most])
const permutation = (rng: Rng, n: number): number[] => rng.shuffle(Array.from({ length: n }, (_, i) => i))

/**
 * The part of a `width` x `height` image that a random resized crop takes: ten tries of a random area and a log-uniform
 * aspect, then the largest centre part within the aspects (torchvision's RandomResizedCrop.get_params).
 */
export function randomCrop(
  width: number,
  height: number,
  rng: Rng,
  area: Span = strengths.crop.area,
  aspect: Span = strengths.crop.aspect,
): Rect {
  const low = log(aspect[0])
  const high = log(aspect[1])
  for (let i = 0; i < 10; i++) {
    const target = width * height * even(rng, area)
    const ratio = exp(low + (high - low) * rng.uniform())
    const w = Math.round(Math.sqrt(target * ratio))
    const h = Math.round(Math.sqrt(target / ratio))
    if (w > 0 && w <= width && h > 0 && h <= height) {
      const top = rng.below(height - h + 1)
      const left = rng.below(width - w + 1)
      return { left, top, width: w, height: h }
    }
  }
  let w = width
  let h = height
  if (width / height < aspect[0]) h = Math.max(1, Math.min(height, Math.round(width / aspect[0])))
  else if (width / height > aspect[1]) w = Math.max(1, Math.min(width, Math.round(height * aspect[1])))
  return { left: Math.floor((width - w) / 2), top: Math.floor((height - h) / 2), width: w, height: h }
}

/** Four factors and their order, or nothing with probability 1 - p. */
function drawColours(rng: Rng, given: ColourChanges, usual: Required<ColourChanges>): Jiggle | undefined {
  const { brightness, contrast, saturation, hue, p } = { ...usual, ...given }
  if (rng.uniform() >= p) return undefined
  const factor = (x: number) => even(rng, [Math.max(0, 1 - x), 1 + x])
  return {
    order: permutation(rng, 4),
    brightness: factor(brightness),
    contrast: factor(contrast),
    saturation: factor(saturation),
    hue: around(rng, hue),
  }
}

function drawPhotometric(rng: Rng, given: NonNullable<Augmentations['photometric']>): DrawnPhotometric {
  const { p, ...spans } = { ...strengths.photometric, ...given }
  const value = (span: Span) => (rng.uniform() < p ? even(rng, span) : undefined)
  const [brightness, contrast] = [value(spans.brightness), value(spans.contrast)]
  const [saturation, hue] = [value(spans.saturation), value(spans.hue)]
  const contrastFirst = rng.uniform() < 0.5
  const channels = rng.uniform() < p ? permutation(rng, 3) : undefined
  return {
    contrastFirst,
    ...(brightness === undefined ? {} : { brightness }),
    ...(contrast === undefined ? {} : { contrast }),
    ...(saturation === undefined ? {} : { saturation }),
    ...(hue === undefined ? {} : { hue }),
    ...(channels ? { channels } : {}),
  }
}

function drawAffine(
  rng: Rng,
  given: NonNullable<Augmentations['affine']>,
  { width, height }: Size,
): AffineChange | undefined {
  const { degrees, translate, scale, shear, p } = { ...strengths.affine, ...given }
  if (rng.uniform() >= p) return undefined
  const angle = around(rng, degrees)
  const x = Math.round(around(rng, translate * width))
  const y = Math.round(around(rng, translate * height))
  return {
    angle,
    translate: [x, y],
    scale: even(rng, scale),
    shear: [around(rng, shear), around(rng, shear)],
  }
}

/** What is done to one image of size `source`, which becomes `out`. */
export function drawChanges(given: Augmentations, source: Size, out: Size, rng: Rng): DrawnChanges {
  const { crop, flip, verticalFlip, photometric, colorJitter, colorJiggle, affine, randAugment, blur, noise } = given
  const with_ = <K extends keyof DrawnChanges>(name: K, value: DrawnChanges[K] | undefined | false) =>
    value ? { [name]: value } : {}
  const blurred = () => {
    const { kernel, sigma, p } = { ...strengths.blur, ...blur }
    return rng.uniform() < p && { kernel, sigma: even(rng, sigma) }
  }
  const noisy = () => {
    const { sigma, p } = { ...strengths.noise, ...noise }
    return rng.uniform() < p && { sigma, seed: rng.uint32() }
  }
  return {
    ...(crop && with_('crop', randomCrop(source.width, source.height, rng, crop.area, crop.aspect))),
    ...(flip !== undefined && with_('flip', rng.uniform() < flip)),
    ...(verticalFlip !== undefined && with_('verticalFlip', rng.uniform() < verticalFlip)),
    ...(photometric && with_('photometric', drawPhotometric(rng, photometric))),
    ...(colorJitter && with_('colorJitter', drawColours(rng, colorJitter, strengths.colorJitter))),
    ...(colorJiggle && with_('colorJiggle', drawColours(rng, colorJiggle, strengths.colorJiggle))),
    ...(affine && with_('affine', drawAffine(rng, affine, out))),
    ...(randAugment && with_('randAugment', drawOperations(rng, out, { ...strengths.randAugment, ...randAugment }))),
    ...(blur && with_('blur', blurred())),
    ...(noise && with_('noise', noisy())),
  }
}
