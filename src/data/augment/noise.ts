// Gaussian noise on 8-bit images: sigma in parts of 255, cut to 0 to 255, as OTX's RandomGaussianNoise on values of that range.
import type { Rng } from '../../tensor/philox.ts'
import { normalQuantile } from './maths.ts'

let quantiles: Float32Array | undefined

/** The middles of 65536 equally probable parts of the standard normal distribution: up to 4.2, variance 0.9999. */
function table(): Float32Array {
  if (quantiles) return quantiles
  const made = new Float32Array(65536)
  for (let i = 0; i < 32768; i++) {
    made[i] = normalQuantile((i + 0.5) / 65536)
    made[65535 - i] = -made[i]!
  }
  quantiles = made
  return made
}

/** `n` standard normal numbers, two of each 32 random bits: the same ones on every engine. */
export function normals(rng: Rng, n: number): Float32Array {
  const of = table()
  const out = new Float32Array(n)
  for (let i = 0; i < n; i += 2) {
    const bits = rng.uint32()
    out[i] = of[bits & 0xffff]!
    if (i + 1 < n) out[i + 1] = of[bits >>> 16]!
  }
  return out
}

/** x + 255 sigma z for each of `data`, rounded, in place. */
export function addNoise(data: Uint8Array, z: Float32Array, sigma: number): void {
  const scale = 255 * sigma
  for (let i = 0; i < data.length; i++) {
    const v = data[i]! + z[i]! * scale + 0.5
    data[i] = v < 0 ? 0 : v > 255 ? 255 : v
  }
}
