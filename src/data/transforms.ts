// From a decoded image to a model's input (3, H, W) in f32: the evaluation transform of Hugging Face's processors, and the
// training transform, which changes images at random on the way. Resizing itself is in resize.ts, its settings in
// preprocess.ts, what changes images in augment/.
import { InputError } from '../platform/errors.ts'
import type { RgbImage } from '../platform/platform.ts'
import type { Rng } from '../tensor/philox.ts'
import { applyChanges } from './augment/augment.ts'
import { drawChanges } from './augment/draw.ts'
import {
  type Augmentations,
  augmentationPresets,
  augmentationsOf,
  type TrainTransformOptions,
} from './augmentations.ts'
import { outputSize, type Preprocess } from './preprocess.ts'
import { type Rect, resizeImage } from './resize.ts'

/** A transform as plain data, from which a worker makes it again. */
export type Recipe =
  | { readonly kind: 'eval'; readonly preprocess: Preprocess }
  | { readonly kind: 'train'; readonly preprocess: Preprocess; readonly augmentations: Augmentations }
  | { readonly kind: 'views'; readonly recipes: readonly Recipe[] }

/** Makes inputs of one size; `apply` writes channel by channel into `out` of 3 * height * width values. */
export interface Transform {
  readonly height: number
  readonly width: number
  /** Whether `apply` draws from `rng`. */
  readonly random: boolean
  /** Where it is there, image workers can apply the transform as well. */
  readonly recipe?: Recipe
  apply(image: RgbImage, rng: Rng, out: Float32Array): void
}

/** 256 normalised values a channel, rounded where Hugging Face's NumPy code rounds: after scaling, and at each step. */
function normaliser(preprocess: Preprocess): Float32Array {
  const table = new Float32Array(3 * 256)
  for (let c = 0; c < 3; c++) {
    const mean = Math.fround(preprocess.mean[c]!)
    const std = Math.fround(preprocess.std[c]!)
    for (let v = 0; v < 256; v++) {
      table[c * 256 + v] = Math.fround(Math.fround(v * preprocess.scale) - mean) / std
    }
  }
  return table
}

/** Writes an image into `out` as (3, height, width). */
function normalise({ data }: RgbImage, table: Float32Array, out: Float32Array): void {
  const plane = data.length / 3
  for (let o = 0, p = 0; o < plane; o++, p += 3) {
    out[o] = table[data[p]!]!
    out[o + plane] = table[256 + data[p + 1]!]!
    out[o + 2 * plane] = table[512 + data[p + 2]!]!
  }
}

function checkOut(out: Float32Array, height: number, width: number): void {
  if (out.length !== 3 * height * width) {
    throw new Error(`transform: the output needs ${3 * height * width} values, got ${out.length}`)
  }
}

/** Throws where an image does not come out at the one size that nothing brings it to. */
function checkExact(image: { width: number; height: number }, { exact, resize, crop }: Preprocess): void {
  if (!exact || crop || (resize && 'height' in resize)) return
  const { width, height } = resizedSize(image, resize)
  if (width === exact.width && height === exact.height) return
  throw new InputError(
    `must be ${exact.width} x ${exact.height} px, since the model's preprocessor does not bring images to one size, got ${width} x ${height}; set do_resize or do_center_crop`,
  )
}

/** The size an image is resized to before the crop; the long edge is cut to whole pixels as Hugging Face does. */
function resizedSize(
  image: { width: number; height: number },
  resize: Preprocess['resize'],
): { width: number; height: number } {
  if (!resize) return image
  if ('height' in resize) return resize
  const { width, height } = image
  const n = resize.shortest
  return width <= height
    ? { width: n, height: Math.trunc((n * height) / width) }
    : { width: Math.trunc((n * width) / height), height: n }
}

/** The part of an image that `evalTransform` shows the model, in fractions of its size; beyond [0, 1] where it pads. */
export function evalWindow(preprocess: Preprocess, image: { width: number; height: number }): Rect {
  const { height, width } = outputSize(preprocess)
  const size = resizedSize(image, preprocess.resize)
  return {
    left: Math.floor((size.width - width) / 2) / size.width,
    top: Math.floor((size.height - height) / 2) / size.height,
    width: width / size.width,
    height: height / size.height,
  }
}

/** The image resized and cropped as the preprocessing says; black where the crop is larger. It may be the given one. */
function evalPixels(image: RgbImage, preprocess: Preprocess): RgbImage {
  const { height, width } = outputSize(preprocess)
  const size = resizedSize(image, preprocess.resize)
  const left = Math.floor((size.width - width) / 2)
  const top = Math.floor((size.height - height) / 2)
  const window = {
    left: Math.max(0, left),
    top: Math.max(0, top),
    width: Math.min(width, size.width),
    height: Math.min(height, size.height),
  }
  const { filter } = preprocess
  const part = resizeImage(image, { width: size.width, height: size.height, filter, window })
  if (left >= 0 && top >= 0) return part
  const data = new Uint8Array(3 * height * width)
  for (let y = 0; y < part.height; y++) {
    const row = part.data.subarray(y * part.width * 3, (y + 1) * part.width * 3)
    data.set(row, ((y - Math.min(0, top)) * width - Math.min(0, left)) * 3)
  }
  return { width, height, data }
}

/** Resize, centre crop and normalise as the preprocessing says: what Hugging Face's processor gives. */
export function evalTransform(preprocess: Preprocess): Transform {
  const { height, width } = outputSize(preprocess)
  const table = normaliser(preprocess)
  return {
    height,
    width,
    random: false,
    recipe: { kind: 'eval', preprocess },
    apply(image, _rng, out) {
      checkOut(out, height, width)
      checkExact(image, preprocess)
      normalise(evalPixels(image, preprocess), table, out)
    },
  }
}

/** The pixels of a training image: cropped and resized, or as in evaluation where nothing is cropped, then changed. */
export function augmentedPixels(
  image: RgbImage,
  preprocess: Preprocess,
  augmentations: Augmentations,
  rng: Rng,
): RgbImage {
  const { height, width } = outputSize(preprocess)
  const drawn = drawChanges(augmentations, image, { height, width }, rng)
  const { filter } = preprocess
  const resized = drawn.crop
    ? resizeImage(image, { width, height, filter, crop: drawn.crop })
    : evalPixels(image, preprocess)
  // Changes are made in place, and what was not resized is still the image that others read.
  const own = resized.data === image.data ? { ...resized, data: resized.data.slice() } : resized
  return applyChanges(own, drawn)
}

/**
 * The training transform: a random crop where one is asked for, else resized as in evaluation, then the other changes, then the
 * preprocessing's own normalisation. Without `options`, OTX's: crop and mirroring.
 */
export function trainTransform(
  preprocess: Preprocess,
  options: TrainTransformOptions = augmentationPresets.otx,
): Transform {
  const { height, width } = outputSize(preprocess)
  const table = normaliser(preprocess)
  const augmentations = augmentationsOf(options)
  return {
    height,
    width,
    random: Object.keys(augmentations).length > 0,
    recipe: { kind: 'train', preprocess, augmentations },
    apply(image, rng, out) {
      checkOut(out, height, width)
      checkExact(image, preprocess)
      normalise(augmentedPixels(image, preprocess, augmentations, rng), table, out)
    },
  }
}

/** Several views of each image, all of one size, one below the other: (3, H, W) each, one after the other in `out`. */
export function viewsTransform(views: readonly Transform[]): Transform {
  const [{ height, width }] = views as [Transform]
  const recipes = views.flatMap(({ recipe }) => (recipe ? [recipe] : []))
  return {
    height: views.length * height,
    width,
    random: views.some(({ random }) => random),
    ...(recipes.length === views.length && { recipe: { kind: 'views', recipes } }),
    apply(image, rng, out) {
      checkOut(out, views.length * height, width)
      const size = 3 * height * width
      for (const [i, view] of views.entries()) view.apply(image, rng, out.subarray(i * size, (i + 1) * size))
    },
  }
}

/** The transform that a recipe stands for. */
export function transformOf(recipe: Recipe): Transform {
  if (recipe.kind === 'views') return viewsTransform(recipe.recipes.map(transformOf))
  return recipe.kind === 'eval'
    ? evalTransform(recipe.preprocess)
    : trainTransform(recipe.preprocess, recipe.augmentations)
}
