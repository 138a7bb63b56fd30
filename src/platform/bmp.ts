// Windows bitmaps as Pillow's convert('RGB') gives them. sharp does not read them, and browsers differ in alpha and in
// what 5 bits become.
import type { RgbImage } from './platform.ts'

interface Layout {
  readonly width: number
  readonly height: number
  readonly topDown: boolean
  readonly bits: number
  /** Where the pixels begin. */
  readonly pixels: number
  /** Red, green and blue in 16 and 32 bits. */
  readonly masks: readonly number[]
  /** Blue, green and red of each index, `step` bytes apart, in 8 bits and less. */
  readonly palette: Uint8Array
  readonly step: number
}

function layoutOf(bytes: Uint8Array, view: DataView): Layout {
  const header = view.getUint32(14, true)
  const old = header === 12
  const [w, h] = old
    ? [view.getUint16(18, true), view.getUint16(20, true)]
    : [view.getInt32(18, true), view.getInt32(22, true)]
  const bits = view.getUint16(old ? 24 : 28, true)
  const packing = old ? 0 : view.getUint32(30, true)
  if (![1, 4, 8, 16, 24, 32].includes(bits) || (packing !== 0 && packing !== 3 && packing !== 6)) {
    throw new Error(`it is a BMP of ${bits} bits packed in way ${packing}, which is not read; save it as PNG`)
  }
  const named = packing !== 0 && (bits === 16 || bits === 32)
  const masks = named
    ? [54, 58, 62].map((at) => view.getUint32(at, true))
    : bits === 16
      ? [0x7c00, 0x3e0, 0x1f]
      : [0xff0000, 0xff00, 0xff]
  // Masks stand after a header of 40 bytes, within a longer one.
  const colours = 14 + header + (named && header === 40 ? 12 : 0)
  const step = old ? 3 : 4
  const palette = bits <= 8 ? bytes.subarray(colours, colours + step * (1 << bits)) : new Uint8Array(0)
  return { width: w, height: Math.abs(h), topDown: h < 0, bits, pixels: view.getUint32(10, true), masks, palette, step }
}

type Channel = (value: number) => number

/** Moves what a mask covers down, and spreads it over 0 to 255. */
function channel(mask: number): Channel {
  if (mask === 0) return () => 0
  const shift = 31 - Math.clz32(mask & -mask)
  const most = mask >>> shift
  return (value) => Math.floor((((value & mask) >>> shift) * 255) / most)
}

/** Decodes a BMP's bytes; throws where they are broken or packed by run lengths. */
export function decodeBmp(bytes: Uint8Array): RgbImage {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const { width, height, topDown, bits, pixels, masks, palette, step } = layoutOf(bytes, view)
  const row = 4 * Math.ceil((width * bits) / 32)
  // The last row may lack its fill.
  if (pixels + row * (height - 1) + Math.ceil((width * bits) / 8) > bytes.length)
    throw new Error('it is a broken BMP, cut short')
  const [red, green, blue] = masks.map(channel) as [Channel, Channel, Channel]
  const data = new Uint8Array(3 * width * height)
  for (let y = 0, to = 0; y < height; y++) {
    const from = pixels + row * (topDown ? y : height - 1 - y)
    for (let x = 0; x < width; x++, to += 3) {
      if (bits <= 8) {
        const byte = bytes[from + ((x * bits) >> 3)]!
        const index = (byte >> (8 - bits - ((x * bits) & 7))) & ((1 << bits) - 1)
        for (let c = 0; c < 3; c++) data[to + c] = palette[step * index + 2 - c] ?? 0
      } else if (bits === 24) {
        for (let c = 0; c < 3; c++) data[to + c] = bytes[from + 3 * x + 2 - c]!
      } else {
        const value = bits === 16 ? view.getUint16(from + 2 * x, true) : view.getUint32(from + 4 * x, true)
        data[to] = red(value)
        data[to + 1] = green(value)
        data[to + 2] = blue(value)
      }
    }
  }
  return { width, height, data }
}
