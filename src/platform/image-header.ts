// The size of a picture as its file's header says, before anything is decoded.
import { checkBytes, checkPixels } from './image-budget.ts'
import { type ImageFormat, sniff } from './image-formats.ts'

/** What a file holds. */
export interface ImageHeader {
  readonly format: ImageFormat
  readonly width: number
  readonly height: number
}

type Size = readonly [width: number, height: number]

function jpegSize(view: DataView): Size {
  for (let at = 2; ; ) {
    if (view.getUint8(at) !== 0xff) at++
    else {
      const marker = view.getUint8(at + 1)
      // Frame headers, which DHT, JPG and DAC lie among.
      if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) {
        return [view.getUint16(at + 7), view.getUint16(at + 5)]
      }
      // Fill bytes, and markers without a length.
      if (marker === 0xff) at++
      else if (marker <= 1 || (marker >= 0xd0 && marker <= 0xd8)) at += 2
      else at += 2 + view.getUint16(at + 2)
    }
  }
}

function webpSize(view: DataView): Size {
  const kind = view.getUint8(15)
  if (kind === 0x58 /* VP8X */) {
    const whole = (at: number) => 1 + (view.getUint32(at, true) & 0xffffff)
    return [whole(24), 1 + (view.getUint32(26, true) >>> 8)]
  }
  if (kind === 0x4c /* VP8L */) {
    const bits = view.getUint32(21, true)
    return [1 + (bits & 0x3fff), 1 + ((bits >>> 14) & 0x3fff)]
  }
  return [view.getUint16(26, true) & 0x3fff, view.getUint16(28, true) & 0x3fff]
}

function bmpSize(view: DataView): Size {
  if (view.getUint32(14, true) === 12) return [view.getUint16(18, true), view.getUint16(20, true)]
  return [view.getInt32(18, true), Math.abs(view.getInt32(22, true))]
}

/** Of the first directory, which is the first picture. */
function tiffSize(view: DataView): Size {
  const little = view.getUint8(0) === 0x49
  const big = view.getUint16(2, little) === 43
  const far = (at: number) => (big ? Number(view.getBigUint64(at, little)) : view.getUint32(at, little))
  const directory = far(big ? 8 : 4)
  const count = big ? far(directory) : view.getUint16(directory, little)
  const tags = new Map<number, number>()
  for (let i = 0, at = directory + (big ? 8 : 2); i < count; i++, at += big ? 20 : 12) {
    const value = at + (big ? 12 : 8)
    const short = view.getUint16(at + 2, little) === 3
    tags.set(view.getUint16(at, little), short ? view.getUint16(value, little) : far(value))
  }
  // Cameras put a small picture first and the large one, which few programs read, into a directory below (330).
  const reduced = (tags.get(254) ?? 0) & 1
  if (tags.has(50706) || (reduced && tags.has(330)))
    throw new Error("it is a camera's raw file; convert it to JPEG or PNG")
  return [tags.get(256) ?? 0, tags.get(257) ?? 0]
}

/** The largest that any item has: a grid's is larger than its tiles', a thumbnail's smaller. */
function avifSize(view: DataView): Size {
  let size: Size = [0, 0]
  const walk = (from: number, to: number): void => {
    for (let at = from; at + 8 <= to; ) {
      const length = view.getUint32(at) || to - at
      const kind = view.getUint32(at + 4)
      const end = Math.min(to, at + Math.max(8, length))
      if (kind === 0x6d657461 /* meta */) walk(at + 12, end)
      else if (kind === 0x69707270 /* iprp */ || kind === 0x6970636f /* ipco */) walk(at + 8, end)
      else if (kind === 0x69737065 /* ispe */) {
        const found: Size = [view.getUint32(at + 12), view.getUint32(at + 16)]
        if (found[0] * found[1] > size[0] * size[1]) size = found
      }
      at = end
    }
  }
  walk(0, view.byteLength)
  return size
}

const sizes: Record<ImageFormat, (view: DataView) => Size> = {
  JPEG: jpegSize,
  PNG: (view) => [view.getUint32(16), view.getUint32(20)],
  WebP: webpSize,
  GIF: (view) => [view.getUint16(6, true), view.getUint16(8, true)],
  BMP: bmpSize,
  TIFF: tiffSize,
  AVIF: avifSize,
}

/** Reads the header of a file's bytes; throws an Error that says why it is no picture that can be read. */
export function headerOf(bytes: Uint8Array): ImageHeader {
  const found = sniff(bytes)
  if ('reason' in found) throw new Error(found.reason)
  const { format } = found
  try {
    const [width, height] = sizes[format](new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength))
    if (width > 0 && height > 0) return { format, width, height }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
  }
  throw new Error(`it is a broken ${format}, its header gives no size`)
}

/** Throws an Error that says why a file is no picture that may be decoded. */
export async function checkPicture(file: Blob): Promise<void> {
  checkBytes(file.size)
  const { width, height } = headerOf(new Uint8Array(await file.arrayBuffer()))
  checkPixels(width, height)
}
