// A picture with the map of its patches over it: where the model looked, by colour and in words.
import type { Explanation } from '../use/explain.ts'
import { h } from './dom.ts'

// From nothing over violet and orange to light yellow: rises in lightness, so it reads without colour too.
const ramp: readonly (readonly [number, number, number, number])[] = [
  [12, 8, 38, 150],
  [92, 22, 110, 140],
  [187, 55, 84, 140],
  [249, 142, 9, 150],
  [252, 255, 164, 165],
]

function colourAt(value: number): [number, number, number, number] {
  const at = Math.min(1, Math.max(0, value)) * (ramp.length - 1)
  const i = Math.min(ramp.length - 2, Math.floor(at))
  const [a, b] = [ramp[i]!, ramp[i + 1]!]
  return [0, 1, 2, 3].map((c) => a[c]! + (at - i) * (b[c]! - a[c]!)) as [number, number, number, number]
}

/** The map as an element that lies over a picture; it is stretched from its least to its largest value. */
export function heatLayer({ rows, columns, heat, seen }: Explanation): HTMLCanvasElement {
  const part = (value: number) => `${(100 * value).toFixed(3)}%`
  const style = `left:${part(seen.left)};top:${part(seen.top)};width:${part(seen.width)};height:${part(seen.height)}`
  const canvas = h('canvas', { class: 'heat', width: columns, height: rows, style, 'aria-hidden': 'true' })
  const low = heat.reduce((a, b) => Math.min(a, b), Infinity)
  const high = heat.reduce((a, b) => Math.max(a, b), -Infinity)
  const pixels = new ImageData(columns, rows)
  for (const [i, value] of heat.entries()) pixels.data.set(colourAt((value - low) / (high - low || 1)), 4 * i)
  canvas.getContext('2d')!.putImageData(pixels, 0, 0)
  return canvas
}

/** Where the map is highest, in words: `the upper left`. The ninth with the largest mean square decides. */
export function whereIn({ rows, columns, heat }: Pick<Explanation, 'rows' | 'columns' | 'heat'>): string {
  const low = heat.reduce((a, b) => Math.min(a, b), Infinity)
  const sums = new Float64Array(9)
  const counts = new Float64Array(9)
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) {
      const ninth = 3 * Math.floor((3 * y) / rows) + Math.floor((3 * x) / columns)
      sums[ninth]! += (heat[y * columns + x]! - low) ** 2
      counts[ninth]!++
    }
  }
  let best = 4
  for (let i = 0; i < 9; i++) if (counts[i]! > 0 && sums[i]! / counts[i]! > sums[best]! / (counts[best]! || 1)) best = i
  if (best === 4) return 'the middle'
  const vertical = ['upper', '', 'lower'][Math.floor(best / 3)]!
  const horizontal = ['left', 'middle', 'right'][best % 3]!
  return `the ${[vertical, horizontal].filter(Boolean).join(' ')}`
}
