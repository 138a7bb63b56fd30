// Brightness, contrast, saturation and hue as torchvision's functional API changes 8-bit images (v2, _color.py): in f32, cut
// to whole levels after each change, so that levels are the same. All change `data` (R, G, B bytes) in place. kornia's are in
// jiggle.ts.

const { fround } = Math
const clip = (x: number): number => (x < 0 ? 0 : x > 255 ? 255 : x)

/** Weights of grey; they sum up to 0.9999, so that the grey of a grey of 255 is 254. */
const [RED, GREEN, BLUE] = [fround(0.2989), fround(0.587), fround(0.114)]

/** Grey levels are cut to whole ones. */
const greyOf = (r: number, g: number, b: number): number =>
  Math.floor(fround(fround(fround(r * RED) + g * GREEN) + b * BLUE))

/** Each of three tables of 256 levels for its channel. */
export function throughTables(data: Uint8Array, r: Uint8Array, g: Uint8Array, b: Uint8Array): void {
  for (let i = 0; i < data.length; i += 3) {
    data[i] = r[data[i]!]!
    data[i + 1] = g[data[i + 1]!]!
    data[i + 2] = b[data[i + 2]!]!
  }
}

/** One table for all channels. */
export function throughTable(data: Uint8Array, table: Uint8Array): void {
  for (let i = 0; i < data.length; i++) data[i] = table[data[i]!]!
}

/** What each level becomes. */
export const tableOf = (level: (v: number) => number): Uint8Array =>
  Uint8Array.from({ length: 256 }, (_, v) => level(v))

/** factor x */
export function brightness(data: Uint8Array, factor: number): void {
  const f = fround(factor)
  throughTable(
    data,
    tableOf((v) => clip(fround(v * f))),
  )
}

/** factor x + (1 - factor) m, m the mean grey of the image. */
export function contrast(data: Uint8Array, factor: number): void {
  let sum = 0
  for (let i = 0; i < data.length; i += 3) sum += greyOf(data[i]!, data[i + 1]!, data[i + 2]!)
  const mean = fround(sum / (data.length / 3))
  const f = fround(factor)
  const rest = fround(1 - factor)
  throughTable(
    data,
    tableOf((v) => clip(fround(fround(v * f) + rest * mean))),
  )
}

/** factor x + (1 - factor) g, g the pixel's grey. */
export function saturation(data: Uint8Array, factor: number): void {
  const f = fround(factor)
  const rest = fround(1 - factor)
  for (let i = 0; i < data.length; i += 3) {
    const r = data[i]!
    const g = data[i + 1]!
    const b = data[i + 2]!
    const grey = greyOf(r, g, b) * rest
    data[i] = clip(fround(fround(r * f) + grey))
    data[i + 1] = clip(fround(fround(g * f) + grey))
    data[i + 2] = clip(fround(fround(b * f) + grey))
  }
}

/** Levels from 0 to 1. */
const SHARES = Float32Array.from({ length: 256 }, (_, v) => v * fround(1 / 255))
const SIXTH = fround(1 / 6)
/** torchvision's way from [0, 1] to levels is floor(255.999 x). */
const LEVELS = fround(255.999)

/** The hue in HSV moved on by `turns`, from -0.5 to 0.5. Grey pixels have none and stay. */
export function hue(data: Uint8Array, turns: number): void {
  const by = fround(turns)
  for (let i = 0; i < data.length; i += 3) {
    const r = SHARES[data[i]!]!
    const g = SHARES[data[i + 1]!]!
    const b = SHARES[data[i + 2]!]!
    const most = r > g ? (r > b ? r : b) : g > b ? g : b
    const least = r < g ? (r < b ? r : b) : g < b ? g : b
    if (most === least) continue
    const range = fround(most - least)
    const s = fround(range / most)
    const fromR = fround(fround(most - r) / range)
    const fromG = fround(fround(most - g) / range)
    const fromB = fround(fround(most - b) / range)
    // Sixths of a turn: 0 is red, 2 green, 4 blue.
    const sixths =
      most === r
        ? fround(fromB - fromG)
        : most === g
          ? fround(fround(fromR + 2) - fromB)
          : fround(fround(fromG + 4) - fromR)
    let h = fround(fround(sixths * SIXTH) + 1)
    if (h >= 1) h -= 1
    h = fround(h + by)
    if (h < 0) h = fround(h + 1)
    else if (h >= 1) h -= 1
    const place = fround(h * 6)
    const whole = Math.floor(place)
    const sixth = whole % 6
    const part = fround(s * fround(place - whole))
    const rest = fround(1 - s)
    const v = Math.floor(fround(most * LEVELS))
    const p = Math.floor(fround(fround(rest * most) * LEVELS))
    const falling = Math.floor(fround(fround(fround(1 - part) * most) * LEVELS))
    const rising = Math.floor(fround(fround(fround(part + rest) * most) * LEVELS))
    data[i] = sixth === 0 || sixth === 5 ? v : sixth === 1 ? falling : sixth === 4 ? rising : p
    data[i + 1] = sixth === 1 || sixth === 2 ? v : sixth === 0 ? rising : sixth === 3 ? falling : p
    data[i + 2] = sixth === 3 || sixth === 4 ? v : sixth === 2 ? rising : sixth === 5 ? falling : p
  }
}

/** The channels in another order: channel c becomes what `order[c]` was. */
export function permute(data: Uint8Array, order: readonly number[]): void {
  const [r, g, b] = order as [number, number, number]
  for (let i = 0; i < data.length; i += 3) {
    const x = data[i + r]!
    const y = data[i + g]!
    const z = data[i + b]!
    data[i] = x
    data[i + 1] = y
    data[i + 2] = z
  }
}
