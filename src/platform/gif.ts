// The first picture of a GIF as Pillow's convert('RGB') gives it: transparent pixels keep the colour of their palette, and
// what the picture leaves free has the transparent colour, else the first. sharp and browsers give black there.
import { checkPixels } from './image-budget.ts'
import type { RgbImage } from './platform.ts'

const broken = () => new Error('it is a broken GIF')

/** Data in blocks, each with its length before it, in one piece; and where they end. */
function joinBlocks(bytes: Uint8Array, from: number): { data: Uint8Array; end: number } {
  let end = from
  let total = 0
  for (; bytes[end]; end += bytes[end]! + 1) total += bytes[end]!
  if (end >= bytes.length) throw broken()
  const data = new Uint8Array(total)
  for (let at = from, to = 0; at < end; at += bytes[at]! + 1) {
    data.set(bytes.subarray(at + 1, at + 1 + bytes[at]!), to)
    to += bytes[at]!
  }
  return { data, end: end + 1 }
}

/** LZW as GIF has it: codes of `bits` + 1 bits and more, lowest bit first. Fills `out`, throws where the data end before. */
function unpack(data: Uint8Array, bits: number, out: Uint8Array): void {
  if (bits < 1 || bits > 11) throw broken()
  const clear = 1 << bits
  // Of each code: the code of all but its last value, that value, and how many values it stands for.
  const before = new Uint16Array(4096)
  const last = new Uint8Array(4096)
  const length = new Uint16Array(4096)
  for (let i = 0; i < clear; i++) {
    last[i] = i
    length[i] = 1
  }
  let next = clear + 2
  let size = bits + 1
  let previous = -1
  let [held, count, at, done] = [0, 0, 0, 0]
  while (done < out.length) {
    for (; count < size; count += 8) {
      if (at >= data.length) throw broken()
      held |= data[at++]! << count
    }
    const code = held & ((1 << size) - 1)
    held >>>= size
    count -= size
    if (code === clear) {
      next = clear + 2
      size = bits + 1
      previous = -1
      continue
    }
    if (code === clear + 1 || code > next || (previous < 0 ? code >= clear : code === next && next > 4095))
      throw broken()
    // A code that is being defined ends with the value that it begins with.
    let walk = code === next ? previous : code
    const values = code === next ? length[previous]! + 1 : length[code]!
    let place = done + values
    done = place
    if (code === next) place--
    for (let left = length[walk]!; left > 0; left--) {
      if (--place < out.length) out[place] = last[walk]!
      if (left > 1) walk = before[walk]!
    }
    const first = last[walk]!
    if (code === next && done - 1 < out.length) out[done - 1] = first
    if (previous >= 0 && next < 4096) {
      before[next] = previous
      last[next] = first
      length[next] = length[previous]! + 1
      if (++next === 1 << size && size < 12) size++
    }
    previous = code
  }
}

/** Rows in the order in which an interlaced picture stores them. */
function rowOrder(height: number, interlaced: boolean): number[] {
  const passes = interlaced
    ? ([
        [0, 8],
        [4, 8],
        [2, 4],
        [1, 2],
      ] as const)
    : ([[0, 1]] as const)
  return passes.flatMap(([from, step]) => {
    const rows: number[] = []
    for (let y = from; y < height; y += step) rows.push(y)
    return rows
  })
}

/** Decodes a GIF's bytes; throws where they are broken or hold no picture. */
export function decodeGif(bytes: Uint8Array): RgbImage {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const paletteAt = (flags: number, at: number) =>
    flags & 0x80 ? bytes.subarray(at, at + 3 * (2 << (flags & 7))) : undefined
  let palette = paletteAt(bytes[10]!, 13)
  let at = 13 + (palette?.length ?? 0)
  let background = 0
  for (;;) {
    const kind = bytes[at]
    if (kind === 0x21) {
      // Of extensions only the one that names a transparent colour counts.
      if (bytes[at + 1] === 0xf9 && bytes[at + 3]! & 1) background = bytes[at + 6]!
      at = joinBlocks(bytes, at + 2).end
    } else if (kind === 0x2c) break
    else throw broken()
  }
  const [left, top, w, h] = [1, 3, 5, 7].map((o) => view.getUint16(at + o, true)) as [number, number, number, number]
  const flags = bytes[at + 9]!
  const own = paletteAt(flags, at + 10)
  palette = own ?? palette
  at += 10 + (own?.length ?? 0)
  const width = Math.max(view.getUint16(6, true), left + w)
  const height = Math.max(view.getUint16(8, true), top + h)
  checkPixels(width, height)
  const pixels = new Uint8Array(w * h)
  unpack(joinBlocks(bytes, at + 1).data, bytes[at]!, pixels)
  const colours = Uint8Array.from({ length: 768 }, (_, i) => palette?.[i] ?? (palette ? 0 : Math.floor(i / 3)))
  const data = new Uint8Array(3 * width * height)
  for (let i = 0; i < data.length; i++) data[i] = colours[3 * background + (i % 3)]!
  rowOrder(h, (flags & 0x40) !== 0).forEach((y, row) => {
    for (let x = 0, to = 3 * ((top + y) * width + left), from = row * w; x < w; x++) {
      const colour = 3 * pixels[from++]!
      data[to++] = colours[colour]!
      data[to++] = colours[colour + 1]!
      data[to++] = colours[colour + 2]!
    }
  })
  return { width, height, data }
}
