// Mirroring, and images turned, moved, scaled and sheared, as torchvision samples them (v2, _geometry.py: affine, rotate).
import type { RgbImage } from '../../platform/platform.ts'
import { roundEven, sinCos } from './maths.ts'

/** Left and right swapped, in place. */
export function mirror({ data, width, height }: RgbImage): void {
  for (let y = 0; y < height; y++) {
    let a = y * width * 3
    let b = a + (width - 1) * 3
    for (; a < b; a += 3, b -= 3) {
      for (let c = 0; c < 3; c++) {
        const v = data[a + c]!
        data[a + c] = data[b + c]!
        data[b + c] = v
      }
    }
  }
}

/** Top and bottom swapped, in place. */
export function turnOver({ data, width, height }: RgbImage): void {
  const row = width * 3
  const kept = new Uint8Array(row)
  for (let a = 0, b = (height - 1) * row; a < b; a += row, b -= row) {
    kept.set(data.subarray(a, a + row))
    data.copyWithin(a, b, b + row)
    data.set(kept, b)
  }
}

/** What is done to an image about a point. */
export interface AffineChange {
  /** Degrees, clockwise. */
  readonly angle?: number
  /** Pixels to the right and down. */
  readonly translate?: readonly [number, number]
  readonly scale?: number
  /** Degrees along x and along y. */
  readonly shear?: readonly [number, number]
}

/** From places in the result to those in the source, both from the point: (a x + b y + c, d x + e y + f). */
export type Matrix = readonly [number, number, number, number, number, number]

/**
 * The inverse of: shear, turn, scale, move, with torchvision's order and signs: turning and shearing are
 * (cos(r - y) / cos y, -cos(r - y) tan x / cos y - sin r; sin(r - y) / cos y, -sin(r - y) tan x / cos y + cos r) for an angle r
 * and shears x and y (_get_inverse_affine_matrix).
 */
export function inverseAffine({ angle = 0, translate = [0, 0], scale = 1, shear = [0, 0] }: AffineChange): Matrix {
  const [sinR, cosR] = sinCos(angle)
  const [sinX, cosX] = sinCos(shear[0])
  const [, cosY] = sinCos(shear[1])
  const [sinRY, cosRY] = sinCos(angle - shear[1])
  const tanX = sinX / cosX
  const a = cosRY / cosY
  const b = (-cosRY * tanX) / cosY - sinR
  const c = sinRY / cosY
  const d = (-sinRY * tanX) / cosY + cosR
  const [ia, ib, ic, id] = [d / scale, -b / scale, -c / scale, a / scale]
  const [x, y] = translate
  return [ia, ib, -ia * x - ib * y, ic, id, -ic * x - id * y]
}

/** The matrix about the centre for one about the upper left corner of a `width` x `height` image. */
export function aboutCorner([a, b, c, d, e, f]: Matrix, width: number, height: number): Matrix {
  const [x, y] = [-width / 2, -height / 2]
  return [a, b, c + x - a * x - b * y, d, e, f + y - d * x - e * y]
}

/** Each pixel of the source that is nearest, black outside of it; the matrix is about the centre. */
export function nearestWarp({ data, width, height }: RgbImage, matrix: Matrix): RgbImage {
  const [a, b, c, d, e, f] = matrix
  const out = new Uint8Array(data.length)
  let o = 0
  for (let y = 0; y < height; y++) {
    const v = y + 0.5 - height / 2
    const left = b * v + c + width / 2 - 0.5
    const top = e * v + f + height / 2 - 0.5
    for (let x = 0; x < width; x++) {
      const u = x + 0.5 - width / 2
      // Halves to even ones, where rounding errors of f32 do not decide.
      const sx = roundEven(a * u + left)
      const sy = roundEven(d * u + top)
      if (sx >= 0 && sx < width && sy >= 0 && sy < height) {
        const p = (sy * width + sx) * 3
        out[o] = data[p]!
        out[o + 1] = data[p + 1]!
        out[o + 2] = data[p + 2]!
      }
      o += 3
    }
  }
  return { width, height, data: out }
}

/**
 * The mean of the four pixels of the source around a place by how near they are, `fill` where there are none; the matrix is about
 * the centre. torchvision's own `fill` darkens the border, since it weighs what lies inside twice; here the border is that of its
 * black one, moved to `fill`.
 */
export function bilinearWarp({ data, width, height }: RgbImage, matrix: Matrix, fill: number): RgbImage {
  const [a, b, c, d, e, f] = matrix
  const out = new Uint8Array(data.length).fill(fill)
  const row = width * 3
  let o = 0
  for (let y = 0; y < height; y++) {
    const v = y + 0.5 - height / 2
    const left = b * v + c + width / 2 - 0.5
    const top = e * v + f + height / 2 - 0.5
    for (let x = 0; x < width; x++, o += 3) {
      const u = x + 0.5 - width / 2
      const sx = a * u + left
      const sy = d * u + top
      if (!(sx > -1 && sx < width && sy > -1 && sy < height)) continue
      const x0 = Math.floor(sx)
      const y0 = Math.floor(sy)
      const fx = sx - x0
      const fy = sy - y0
      const p = y0 * row + x0 * 3
      if (x0 >= 0 && y0 >= 0 && x0 + 1 < width && y0 + 1 < height) {
        const w00 = (1 - fx) * (1 - fy)
        const w10 = fx * (1 - fy)
        const w01 = (1 - fx) * fy
        const w11 = fx * fy
        const q = p + row
        out[o] = roundEven(data[p]! * w00 + data[p + 3]! * w10 + data[q]! * w01 + data[q + 3]! * w11)
        out[o + 1] = roundEven(data[p + 1]! * w00 + data[p + 4]! * w10 + data[q + 1]! * w01 + data[q + 4]! * w11)
        out[o + 2] = roundEven(data[p + 2]! * w00 + data[p + 5]! * w10 + data[q + 2]! * w01 + data[q + 5]! * w11)
        continue
      }
      const inside = [x0 >= 0, x0 + 1 < width]
      for (let k = 0; k < 3; k++) {
        let sum = 0
        for (let j = 0; j < 2; j++) {
          const there = y0 + j >= 0 && y0 + j < height
          for (let i = 0; i < 2; i++) {
            const value = there && inside[i] ? data[p + j * row + i * 3 + k]! : fill
            sum += value * (i === 0 ? 1 - fx : fx) * (j === 0 ? 1 - fy : fy)
          }
        }
        out[o + k] = roundEven(sum)
      }
    }
  }
  return { width, height, data: out }
}
