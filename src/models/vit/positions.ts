// Position embeddings for another grid of patches, as torch.nn.functional.interpolate computes them (align_corners false).
import type { Interpolation } from './config.ts'

/** Keys' cubic convolution kernel; PyTorch uses a = -0.75 plain and -0.5 antialiased. */
function cubic(x: number, a: number): number {
  const t = Math.abs(x)
  if (t <= 1) return ((a + 2) * t - (a + 3)) * t * t + 1
  if (t < 2) return (((t - 5) * t + 8) * t - 4) * a
  return 0
}

/** For each of `to` places along an axis of `from`: which source places count, with what weights. */
function weights(from: number, to: number, mode: Interpolation): { at: number[]; weight: number[] }[] {
  const scale = from / to
  const clamp = (i: number) => Math.min(from - 1, Math.max(0, i))
  return Array.from({ length: to }, (_, i) => {
    const centre = (i + 0.5) * scale
    if (mode === 'bilinear') {
      const x = Math.max(0, centre - 0.5)
      const low = Math.floor(x)
      return { at: [clamp(low), clamp(low + 1)], weight: [1 - (x - low), x - low] }
    }
    if (mode === 'bicubic') {
      const x = centre - 0.5
      const low = Math.floor(x)
      const at = [-1, 0, 1, 2].map((d) => low + d)
      return { at: at.map(clamp), weight: at.map((j) => cubic(x - j, -0.75)) }
    }
    const stretch = Math.max(scale, 1)
    const first = Math.max(0, Math.trunc(centre - 2 * stretch + 0.5))
    const last = Math.min(from, Math.trunc(centre + 2 * stretch + 0.5))
    const at = Array.from({ length: last - first }, (_, j) => first + j)
    const raw = at.map((j) => cubic((j - centre + 0.5) / stretch, -0.5))
    const total = raw.reduce((sum, w) => sum + w, 0)
    return { at, weight: raw.map((w) => w / total) }
  })
}

/**
 * Resizes (gh * gw, C) embeddings, row-major over the grid, to another grid. 'bicubic' is what Hugging Face does for
 * ViT, DeiT and DINOv2, 'bicubic-antialias' for DINOv2 with registers (and timm), 'bilinear' is OTX's choice.
 */
export function interpolatePositions(
  data: Float32Array,
  channels: number,
  from: readonly [number, number],
  to: readonly [number, number],
  mode: Interpolation,
): Float32Array {
  if (from[0] === to[0] && from[1] === to[1]) return data
  const rows = weights(from[0], to[0], mode)
  const cols = weights(from[1], to[1], mode)
  const wide = new Float32Array(from[0] * to[1] * channels)
  for (let y = 0; y < from[0]; y++) {
    cols.forEach(({ at, weight }, x) => {
      for (let c = 0; c < channels; c++) {
        let sum = 0
        for (let j = 0; j < at.length; j++) sum += weight[j]! * data[(y * from[1] + at[j]!) * channels + c]!
        wide[(y * to[1] + x) * channels + c] = sum
      }
    })
  }
  const out = new Float32Array(to[0] * to[1] * channels)
  rows.forEach(({ at, weight }, y) => {
    for (let i = 0; i < to[1] * channels; i++) {
      let sum = 0
      for (let j = 0; j < at.length; j++) sum += weight[j]! * wide[at[j]! * to[1] * channels + i]!
      out[y * to[1] * channels + i] = sum
    }
  })
  return out
}
