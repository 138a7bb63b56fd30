// From a decoded image to a model's input (3, H, W) in f32: the evaluation transform of Hugging Face's processors, and
// OTX's training transform. Resizing itself is in resize.ts, its settings in preprocess.ts.
import { InputError } from '../platform/errors.ts'
import type { RgbImage } from '../platform/platform.ts'
import type { Rng } from '../tensor/philox.ts'
import { outputSize, type Preprocess } from './preprocess.ts'
import { type Rect, resizeImage } from './resize.ts'

/** A transform as plain data, from which a worker makes it again. */
export type Recipe =
  | { readonly kind: 'eval'; readonly preprocess: Preprocess }
  | { readonly kind: 'train'; readonly preprocess: Preprocess; readonly options: TrainTransformOptions }

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

/** Settings of the training transform; the defaults are OTX's. */
export interface TrainTransformOptions {
  /** Part of the area that is kept, default 0.08 to 1. */
  readonly area?: readonly [number, number]
  /** Width over height of the crop, default 0.75 to 1.34. */
  readonly aspect?: readonly [number, number]
  /** Probability of a mirror image, default 0.5. */
  readonly flip?: number
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

/**
 * Writes an image into `out` as (3, height, width), its pixel (left, top) first; what lies outside the image is zero
 * before normalising. `flip` mirrors.
 */
function place(
  image: RgbImage,
  left: number,
  top: number,
  height: number,
  width: number,
  table: Float32Array,
  flip: boolean,
  out: Float32Array,
): void {
  const plane = height * width
  const inside = left >= 0 && top >= 0 && left + width <= image.width && top + height <= image.height
  if (!inside) for (let c = 0; c < 3; c++) out.fill(table[c * 256]!, c * plane, (c + 1) * plane)
  const { data } = image
  const x0 = Math.max(0, -left)
  const x1 = Math.min(width, image.width - left)
  const step = flip ? -1 : 1
  for (let y = Math.max(0, -top); y < Math.min(height, image.height - top); y++) {
    let p = ((y + top) * image.width + left + x0) * 3
    let o = y * width + (flip ? width - 1 - x0 : x0)
    for (let x = x0; x < x1; x++) {
      out[o] = table[data[p]!]!
      out[o + plane] = table[256 + data[p + 1]!]!
      out[o + 2 * plane] = table[512 + data[p + 2]!]!
      p += 3
      o += step
    }
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
      const resized = resizeImage(image, { width: size.width, height: size.height, filter, window })
      place(resized, Math.min(0, left), Math.min(0, top), height, width, table, false, out)
    },
  }
}

/**
 * The part of a `width` x `height` image that a random resized crop takes: ten tries of a random area and a log-uniform
 * aspect, then the largest centre part within the aspects (torchvision's RandomResizedCrop.get_params).
 */
export function randomCrop(
  width: number,
  height: number,
  rng: Rng,
  area: readonly [number, number] = [0.08, 1],
  aspect: readonly [number, number] = [0.75, 1.34],
): Rect {
  const low = Math.log(aspect[0])
  const high = Math.log(aspect[1])
  for (let i = 0; i < 10; i++) {
    const target = width * height * (area[0] + (area[1] - area[0]) * rng.uniform())
    const ratio = Math.exp(low + (high - low) * rng.uniform())
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

/** OTX's training transform: random resized crop and mirroring, then the preprocessing's own normalisation. */
export function trainTransform(preprocess: Preprocess, options: TrainTransformOptions = {}): Transform {
  const { height, width } = outputSize(preprocess)
  const table = normaliser(preprocess)
  const { filter } = preprocess
  return {
    height,
    width,
    random: true,
    recipe: { kind: 'train', preprocess, options },
    apply(image, rng, out) {
      checkOut(out, height, width)
      checkExact(image, preprocess)
      const crop = randomCrop(image.width, image.height, rng, options.area, options.aspect)
      const flip = rng.uniform() < (options.flip ?? 0.5)
      place(resizeImage(image, { width, height, filter, crop }), 0, 0, height, width, table, flip, out)
    },
  }
}

/** The transform that a recipe stands for. */
export function transformOf(recipe: Recipe): Transform {
  return recipe.kind === 'eval' ? evalTransform(recipe.preprocess) : trainTransform(recipe.preprocess, recipe.options)
}
