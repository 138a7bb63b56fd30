// Gaussian blur as torchvision makes it of 8-bit images (v2, _misc.py: gaussian_blur): borders are reflected without their own
// pixel, and levels rounded once, halves to even ones.
import type { RgbImage } from '../../platform/platform.ts'
import { exp, roundEven } from './maths.ts'

/** exp(-x^2 / (2 sigma^2)) at `size` whole pixels x around 0, divided by their sum. */
export function gaussianKernel(size: number, sigma: number): Float64Array {
  const middle = (size - 1) / 2
  const weight = (x: number) => exp(-(x * x) / (2 * sigma * sigma))
  const kernel = Float64Array.from({ length: size }, (_, i) => weight(i - middle))
  const sum = kernel.reduce((a, b) => a + b)
  return kernel.map((v) => v / sum)
}

/** Where place `i` lies in a row of `n` that is reflected at both ends. */
function reflected(i: number, n: number): number {
  if (n === 1) return 0
  const period = 2 * (n - 1)
  const at = ((i % period) + period) % period
  return at < n ? at : period - at
}

/** The image blurred by `size` x `size` pixels, `size` odd. */
export function gaussianBlur({ data, width, height }: RgbImage, size: number, sigma: number): RgbImage {
  const kernel = gaussianKernel(size, sigma)
  const r = (size - 1) / 2
  const row = width * 3
  // Along x: each row with its reflected ends, then the kernel's places one after the other.
  const across = new Float32Array(data.length)
  const wide = new Uint8Array(row + 6 * r)
  const sums = new Float64Array(row)
  for (let y = 0; y < height; y++) {
    const from = y * row
    wide.set(data.subarray(from, from + row), 3 * r)
    for (let i = 1; i <= r; i++) {
      const [before, after] = [reflected(-i, width), reflected(width - 1 + i, width)]
      for (let c = 0; c < 3; c++) {
        wide[(r - i) * 3 + c] = data[from + before * 3 + c]!
        wide[(r + width - 1 + i) * 3 + c] = data[from + after * 3 + c]!
      }
    }
    for (let i = 0; i < row; i++) sums[i] = wide[3 * r + i]! * kernel[r]!
    for (let j = 0; j < r; j++) {
      const k = kernel[j]!
      for (let i = 0, p = 3 * j, q = 3 * (size - 1 - j); i < row; i++, p++, q++) {
        sums[i] = sums[i]! + (wide[p]! + wide[q]!) * k
      }
    }
    across.set(sums, from)
  }
  const out = new Uint8Array(data.length)
  for (let y = 0; y < height; y++) {
    const to = y * row
    for (let i = 0; i < row; i++) sums[i] = across[to + i]! * kernel[r]!
    for (let j = 1; j <= r; j++) {
      const k = kernel[r - j]!
      const [up, down] = [reflected(y - j, height) * row, reflected(y + j, height) * row]
      for (let i = 0; i < row; i++) sums[i] = sums[i]! + (across[up + i]! + across[down + i]!) * k
    }
    for (let i = 0; i < row; i++) out[to + i] = roundEven(sums[i]!)
  }
  return { width, height, data: out }
}
