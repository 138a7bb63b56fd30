// Antialiased image resizing, bit for bit as Image.resize of Pillow (its Resample.c): two passes, each rounded to 8 bits,
// with 22-bit fixed-point weights and a filter that widens when the image shrinks.
import type { RgbImage } from '../platform/platform.ts'

/** Which Pillow's pixels are made. 10 to 12 differ from 13 in some portrait photos, in the order of the two passes alone. */
export const PILLOW: Pillow = 13
export type Pillow = 12 | 13

/** Filters by name, as Pillow knows them. */
export type ResizeFilter = 'bilinear' | 'bicubic' | 'lanczos' | 'box' | 'hamming'

/** What part of the source is read, and what part of the result is made. All in pixels. */
export interface ResizeOptions {
  readonly width: number
  readonly height: number
  readonly filter: ResizeFilter
  /** Whole-pixel part that stands for the whole image: nothing outside it is read. As Pillow's crop() before resize(). */
  readonly crop?: Rect
  /** Part of the result to make, for a crop after the resize; default all of it. */
  readonly window?: Rect
  /** Default `PILLOW`. */
  readonly pillow?: Pillow
}

/** A rectangle in whole pixels. */
export interface Rect {
  readonly left: number
  readonly top: number
  readonly width: number
  readonly height: number
}

const PRECISION = 22

const sinc = (x: number): number => (x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI))

/** Half width and weight of each filter; `x` is the distance from the centre in filter units. */
const filters: Record<ResizeFilter, { support: number; weight: (x: number) => number }> = {
  box: { support: 0.5, weight: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0) },
  bilinear: { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
  hamming: {
    support: 1,
    weight: (x) => (Math.abs(x) >= 1 ? 0 : sinc(x) * (Math.fround(0.54) + Math.fround(0.46) * Math.cos(x * Math.PI))),
  },
  bicubic: {
    support: 2,
    // Keys' cubic with a = -0.5.
    weight(signed) {
      const x = Math.abs(signed)
      if (x < 1) return (1.5 * x - 2.5) * x * x + 1
      if (x < 2) return ((x - 5) * x + 8) * x * -0.5 + 2
      return 0
    },
  },
  lanczos: { support: 3, weight: (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0) },
}

/** For outputs `from` to `from + count`: where each starts in the source, how many weights it has, and the weights. */
interface Weights {
  readonly taps: number
  readonly start: Int32Array
  readonly length: Int32Array
  /** `taps` fixed-point weights an output, zero beyond `length`. */
  readonly values: Int32Array
}

function weights(inSize: number, outSize: number, filter: ResizeFilter, from: number, count: number): Weights {
  const { support: half, weight } = filters[filter]
  const scale = inSize / outSize
  const filterScale = Math.max(scale, 1)
  const support = half * filterScale
  const inverse = 1 / filterScale
  const taps = Math.ceil(support) * 2 + 1
  const start = new Int32Array(count)
  const length = new Int32Array(count)
  const values = new Int32Array(count * taps)
  const row = new Float64Array(taps)
  for (let i = 0; i < count; i++) {
    const centre = (from + i + 0.5) * scale
    const first = Math.max(0, Math.trunc(centre - support + 0.5))
    const n = Math.min(inSize, Math.trunc(centre + support + 0.5)) - first
    let sum = 0
    for (let x = 0; x < n; x++) {
      const w = weight((x + first - centre + 0.5) * inverse)
      row[x] = w
      sum += w
    }
    for (let x = 0; x < n; x++) {
      const w = (sum !== 0 ? row[x]! / sum : row[x]!) * (1 << PRECISION)
      values[i * taps + x] = Math.trunc(w < 0 ? w - 0.5 : w + 0.5)
    }
    start[i] = first
    length[i] = n
  }
  return { taps, start, length, values }
}

const clip = (x: number): number => (x < 0 ? 0 : x > 255 ? 255 : x)

/** A part of an image by itself. */
function cut(image: RgbImage, part: Rect): RgbImage {
  const { left, top, width, height } = part
  if (width === image.width && height === image.height) return image
  const data = new Uint8Array(width * height * 3)
  for (let y = 0; y < height; y++) {
    const from = ((top + y) * image.width + left) * 3
    data.set(image.data.subarray(from, from + width * 3), y * width * 3)
  }
  return { width, height, data }
}

/** Resizes rows `top` to `top + rows` along x; the weights count from column `left`. */
function horizontal(image: RgbImage, left: number, top: number, rows: number, w: Weights): RgbImage {
  const { data } = image
  const { start, length, values, taps } = w
  const columns = start.length
  const out = new Uint8Array(rows * columns * 3)
  let o = 0
  for (let y = 0; y < rows; y++) {
    const line = ((top + y) * image.width + left) * 3
    for (let x = 0; x < columns; x++) {
      let p = line + start[x]! * 3
      let r = 1 << (PRECISION - 1)
      let g = r
      let b = r
      let k = x * taps
      for (const end = k + length[x]!; k < end; k++) {
        const v = values[k]!
        r = (r + data[p]! * v) | 0
        g = (g + data[p + 1]! * v) | 0
        b = (b + data[p + 2]! * v) | 0
        p += 3
      }
      out[o] = clip(r >> PRECISION)
      out[o + 1] = clip(g >> PRECISION)
      out[o + 2] = clip(b >> PRECISION)
      o += 3
    }
  }
  return { width: columns, height: rows, data: out }
}

/** Resizes along y; the image's first row is row `top` to the weights. */
function vertical(image: RgbImage, top: number, w: Weights): RgbImage {
  const { data, width } = image
  const { start, length, values, taps } = w
  const stride = width * 3
  const rows = start.length
  const out = new Uint8Array(rows * stride)
  const sums = new Int32Array(stride)
  for (let y = 0; y < rows; y++) {
    // Row by row over the taps, so that memory is read in order.
    sums.fill(1 << (PRECISION - 1))
    for (let t = 0; t < length[y]!; t++) {
      const v = values[y * taps + t]!
      const from = (start[y]! - top + t) * stride
      for (let i = 0; i < stride; i++) sums[i] = (sums[i]! + data[from + i]! * v) | 0
    }
    const to = y * stride
    for (let i = 0; i < stride; i++) out[to + i] = clip(sums[i]! >> PRECISION)
  }
  return { width, height: rows, data: out }
}

function check(image: RgbImage, crop: Rect, window: Rect, options: ResizeOptions): void {
  const size = (r: { width: number; height: number }) => `${r.width} x ${r.height}`
  const inside = (r: Rect, width: number, height: number) =>
    [r.left, r.top, r.width, r.height].every(Number.isInteger) &&
    r.left >= 0 &&
    r.top >= 0 &&
    r.width > 0 &&
    r.height > 0 &&
    r.left + r.width <= width &&
    r.top + r.height <= height
  if (image.data.length !== image.width * image.height * 3) {
    throw new Error(`resize: an image of ${size(image)} has three bytes a pixel, got ${image.data.length} bytes`)
  }
  if (
    !(Number.isInteger(options.width) && Number.isInteger(options.height) && options.width > 0 && options.height > 0)
  ) {
    throw new Error(`resize: the new size must be whole and positive, got ${size(options)}`)
  }
  if (!inside(crop, image.width, image.height)) {
    throw new Error(`resize: the crop must lie in the image of ${size(image)}, got ${JSON.stringify(crop)}`)
  }
  if (!inside(window, options.width, options.height)) {
    throw new Error(`resize: the window must lie in the result of ${size(options)}, got ${JSON.stringify(window)}`)
  }
}

/** The image (or its `crop`) at `width` x `height`, or the `window` of that; a pass that changes nothing is left out. */
export function resizeImage(image: RgbImage, options: ResizeOptions): RgbImage {
  const { width, height, filter } = options
  const crop = options.crop ?? { left: 0, top: 0, width: image.width, height: image.height }
  const window = options.window ?? { left: 0, top: 0, width, height }
  check(image, crop, window, options)
  const sameRows = crop.height === height
  const sameColumns = crop.width === width
  const rows = weights(crop.height, height, filter, window.top, window.height)
  const columns = weights(crop.width, width, filter, window.left, window.width)
  // Rows of the crop that the result needs.
  const last = window.height - 1
  const top = sameRows ? window.top : rows.start[0]!
  const count = (sameRows ? window.top + window.height : rows.start[last]! + rows.length[last]!) - top

  if (sameColumns) {
    const part = cut(image, { left: crop.left + window.left, top: crop.top + top, width: window.width, height: count })
    return sameRows ? part : vertical(part, top, rows)
  }
  // Pillow 13's rule for going down first: the height loses more than twice the pixels that the width does. It is less
  // work then, and the rounding in between is another: 11 to 24 % of a photo's values, by up to 25 levels.
  const lost = crop.height - height
  if ((options.pillow ?? PILLOW) >= 13 && lost > 0 && lost > 2 * (crop.width - width)) {
    const part = cut(image, { left: crop.left, top: crop.top + top, width: crop.width, height: count })
    return horizontal(vertical(part, top, rows), 0, 0, window.height, columns)
  }
  const across = horizontal(image, crop.left, crop.top + top, count, columns)
  return sameRows ? across : vertical(across, top, rows)
}
