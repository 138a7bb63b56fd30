// torchvision's RandAugment (v2, _auto_augment.py) on 8-bit images: its table of operations with their strengths, and those
// operations that stand in no other file. Geometry takes the nearest pixel and leaves black behind, as there by default.
import type { RgbImage } from '../../platform/platform.ts'
import type { Rng } from '../../tensor/philox.ts'
import { brightness, contrast, saturation, tableOf, throughTable, throughTables } from './colour.ts'
import { aboutCorner, inverseAffine, type Matrix, nearestWarp } from './geometry.ts'
import { roundEven } from './maths.ts'

const { fround } = Math
const clip = (x: number): number => (x < 0 ? 0 : x > 255 ? 255 : x)

/** Away from the mean of 3 x 3 pixels, where the middle counts five times: v + (1 - factor) (mean - v); the border stays. In place. */
export function sharpness({ data, width, height }: RgbImage, factor: number): void {
  const source = data.slice()
  const rest = fround(1 - factor)
  const row = width * 3
  for (let y = 1; y < height - 1; y++) {
    for (let i = y * row + 3; i < (y + 1) * row - 3; i++) {
      const v = source[i]!
      const above = source[i - row - 3]! + source[i - row]! + source[i - row + 3]!
      const below = source[i + row - 3]! + source[i + row]! + source[i + row + 3]!
      const mean = roundEven((above + source[i - 3]! + 5 * v + source[i + 3]! + below) / 13)
      data[i] = clip(fround(v + rest * (mean - v)))
    }
  }
}

/** The first `bits` bits of each level. In place. */
export function posterize(data: Uint8Array, bits: number): void {
  const mask = (0xff << (8 - bits)) & 0xff
  for (let i = 0; i < data.length; i++) data[i] = data[i]! & mask
}

/** Levels from `threshold` on inverted. In place. */
export function solarize(data: Uint8Array, threshold: number): void {
  throughTable(
    data,
    tableOf((v) => (v >= threshold ? 255 - v : v)),
  )
}

/** A table of levels for each channel out of how often each level is there. */
function byChannel(data: Uint8Array, make: (counts: Int32Array) => Uint8Array): void {
  const counts = [0, 1, 2].map(() => new Int32Array(256))
  for (let c = 0; c < 3; c++) {
    const of = counts[c]!
    for (let i = c; i < data.length; i += 3) of[data[i]!]!++
  }
  const [r, g, b] = counts.map(make) as [Uint8Array, Uint8Array, Uint8Array]
  throughTables(data, r, g, b)
}

/** Each channel's levels spread from 0 to 255. In place. */
export function autoContrast(data: Uint8Array): void {
  byChannel(data, (counts) => {
    const least = counts.findIndex((n) => n > 0)
    const most = counts.findLastIndex((n) => n > 0)
    if (least === most) return tableOf((v) => v)
    const scale = fround((most - least) * fround(1 / 255))
    return tableOf((v) => clip(fround((v - least) / scale)))
  })
}

/** Each channel's levels as frequent as each other, by Pillow's rule: level v becomes (pixels below v + step / 2) / step. In place. */
export function equalize(data: Uint8Array): void {
  byChannel(data, (counts) => {
    const last = counts.findLastIndex((n) => n > 0)
    const step = Math.floor((data.length / 3 - counts[last]!) / 255)
    if (step === 0) return tableOf((v) => v)
    let below = 0
    return tableOf((v) => {
      const level = Math.min(255, Math.floor((below + Math.floor(step / 2)) / step))
      below += counts[v]!
      return level
    })
  })
}

/** Value `i` of `n` evenly from `from` to `to`, in f32 from the nearer end, as torch.linspace. */
function linspace(from: number, to: number, n: number, i: number): number {
  if (n === 1) return fround(from)
  const step = fround((fround(to) - fround(from)) / (n - 1))
  return i < n / 2 ? fround(fround(from) + step * i) : fround(fround(to) - step * (n - 1 - i))
}

interface Operation {
  /** How strong place `i` of `n` is. */
  readonly strength?: (i: number, n: number, size: { width: number; height: number }) => number
  /** Whether half of the images get the opposite. */
  readonly signed?: boolean
  /** May change the image in place. */
  readonly apply: (image: RgbImage, strength: number) => RgbImage
}

const upTo =
  (most: number) =>
  (i: number, n: number): number =>
    linspace(0, most, n, i)

/** Changes levels alone. */
const levels =
  (change: (data: Uint8Array, x: number) => void) =>
  (image: RgbImage, x: number): RgbImage => {
    change(image.data, x)
    return image
  }
const warp =
  (matrix: (x: number, image: RgbImage) => Matrix) =>
  (image: RgbImage, x: number): RgbImage =>
    nearestWarp(image, matrix(x, image))

/** By torchvision's names, in its order. */
export const operations = {
  Identity: { apply: (image) => image },
  ShearX: {
    strength: upTo(0.3),
    signed: true,
    apply: warp((x, { width, height }) => aboutCorner([1, x, 0, 0, 1, 0], width, height)),
  },
  ShearY: {
    strength: upTo(0.3),
    signed: true,
    apply: warp((x, { width, height }) => aboutCorner([1, 0, 0, x, 1, 0], width, height)),
  },
  TranslateX: {
    strength: (i, n, { width }) => linspace(0, (150 / 331) * width, n, i),
    signed: true,
    apply: warp((x) => [1, 0, -Math.trunc(x), 0, 1, 0]),
  },
  TranslateY: {
    strength: (i, n, { height }) => linspace(0, (150 / 331) * height, n, i),
    signed: true,
    apply: warp((x) => [1, 0, 0, 0, 1, -Math.trunc(x)]),
  },
  // Counter-clockwise, other than an affine change's angle.
  Rotate: { strength: upTo(30), signed: true, apply: warp((x) => inverseAffine({ angle: -x })) },
  Brightness: { strength: upTo(0.9), signed: true, apply: levels((data, x) => brightness(data, 1 + x)) },
  Color: { strength: upTo(0.9), signed: true, apply: levels((data, x) => saturation(data, 1 + x)) },
  Contrast: { strength: upTo(0.9), signed: true, apply: levels((data, x) => contrast(data, 1 + x)) },
  Sharpness: {
    strength: upTo(0.9),
    signed: true,
    apply(image, x) {
      sharpness(image, 1 + x)
      return image
    },
  },
  Posterize: { strength: (i, n) => roundEven(fround(8 - fround(i / fround((n - 1) / 4)))), apply: levels(posterize) },
  Solarize: {
    strength: (i, n) => linspace(1, 0, n, i),
    apply: levels((data, x) => solarize(data, 255 * x)),
  },
  AutoContrast: { apply: levels(autoContrast) },
  Equalize: { apply: levels(equalize) },
} as const satisfies Record<string, Operation>

/** An operation of RandAugment by name. */
export type OperationName = keyof typeof operations

/** An operation with its strength, negative for the opposite. */
export type DrawnOperation = readonly [name: OperationName, strength: number]

const names = Object.keys(operations) as OperationName[]

/** `ops` operations, each any of all, with the strength at place `magnitude` of `bins`. */
export function drawOperations(
  rng: Rng,
  size: { width: number; height: number },
  { ops, magnitude, bins }: { ops: number; magnitude: number; bins: number },
): DrawnOperation[] {
  return Array.from({ length: ops }, () => {
    const name = names[rng.below(names.length)]!
    const { strength, signed }: Operation = operations[name]
    const x = strength?.(magnitude, bins, size) ?? 0
    return [name, signed && rng.uniform() < 0.5 ? -x : x]
  })
}

/** The operations one after the other; the image may be changed in place. */
export const applyOperations = (image: RgbImage, drawn: readonly DrawnOperation[]): RgbImage =>
  drawn.reduce((changed, [name, strength]) => operations[name].apply(changed, strength), image)
