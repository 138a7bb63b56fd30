// kornia's ColorJiggle (augmentation/_2d/intensity/color_jiggle.py, enhance/adjust.py), which getitune ships: four changes in
// any order, in values of 0 to 1, rounded to levels once, after the last. Not torchvision's (colour.ts): brightness is added,
// contrast multiplies values, saturation and hue are HSV's.

/** What is done, by kornia's numbers: 0 brightness, 1 contrast, 2 saturation, 3 hue. */
export interface Jiggle {
  readonly order: readonly number[]
  /** Factor; what is added is factor - 1. */
  readonly brightness: number
  readonly contrast: number
  readonly saturation: number
  /** Turns, from -0.5 to 0.5. */
  readonly hue: number
}

const clip = (x: number): number => (x < 0 ? 0 : x > 1 ? 1 : x)

/** Changes `data` (R, G, B bytes) in place. */
export function colorJiggle(data: Uint8Array, { order, ...by }: Jiggle): void {
  const [first, second, third, last] = order
  const added = by.brightness - 1
  for (let i = 0; i < data.length; i += 3) {
    let r = data[i]! / 255
    let g = data[i + 1]! / 255
    let b = data[i + 2]! / 255
    for (let at = 0; at < 4; at++) {
      const step = at === 0 ? first : at === 1 ? second : at === 2 ? third : last
      if (step === 0) {
        r = clip(r + added)
        g = clip(g + added)
        b = clip(b + added)
        continue
      }
      if (step === 1) {
        r = clip(r * by.contrast)
        g = clip(g * by.contrast)
        b = clip(b * by.contrast)
        continue
      }
      const most = r > g ? (r > b ? r : b) : g > b ? g : b
      const least = r < g ? (r < b ? r : b) : g < b ? g : b
      const range = most - least
      if (range === 0) continue
      if (step === 2) {
        // In HSV saturation is range / most: the value stays, the range grows to all of it at most.
        const wanted = range * by.saturation
        const wide = wanted > most ? most : wanted
        const scale = wide / range
        const base = most - wide
        r = (r - least) * scale + base
        g = (g - least) * scale + base
        b = (b - least) * scale + base
        continue
      }
      // Sixths of a turn: 0 is red, 2 green, 4 blue.
      let h = 6 * by.hue
      if (most === r) h += (g - b) / range
      else if (most === g) h += 2 + (b - r) / range
      else h += 4 + (r - g) / range
      if (h < 0) h += 6
      if (h >= 6) h -= 6
      const sixth = Math.floor(h)
      const part = range * (h - sixth)
      const falling = most - part
      const rising = least + part
      r = sixth === 0 || sixth === 5 ? most : sixth === 1 ? falling : sixth === 4 ? rising : least
      g = sixth === 1 || sixth === 2 ? most : sixth === 0 ? rising : sixth === 3 ? falling : least
      b = sixth === 3 || sixth === 4 ? most : sixth === 2 ? rising : sixth === 5 ? falling : least
    }
    data[i] = r * 255 + 0.5
    data[i + 1] = g * 255 + 0.5
    data[i + 2] = b * 255 + 0.5
  }
}
