// Turning pictures as EXIF says, where a browser does not: Chromium (seen in 147 and 156) turns JPEG, PNG and AVIF, but no WebP.
import type { RgbImage } from './platform.ts'

const textAt = (bytes: Uint8Array, at: number, length: number): string =>
  String.fromCharCode(...bytes.subarray(at, at + length))

/** The data of a WebP's EXIF chunk; undefined where its header names none. */
function exifOfWebp(bytes: Uint8Array): Uint8Array | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  // RIFF, size, WEBP, then chunks: name, size, data, perhaps a byte of padding. VP8X comes first and tells what there is.
  if (bytes.length < 30 || textAt(bytes, 12, 4) !== 'VP8X' || !(bytes[20]! & 0x08)) return undefined
  for (let at = 12; at + 8 <= bytes.length; ) {
    const size = view.getUint32(at + 4, true)
    if (textAt(bytes, at, 4) === 'EXIF') return bytes.subarray(at + 8, Math.min(bytes.length, at + 8 + size))
    at += 8 + size + (size & 1)
  }
  return undefined
}

/** Tag 0x0112 of the first directory in EXIF data, with or without the name that JPEG files put before it. */
function orientationOf(exif: Uint8Array): number {
  const tiff = textAt(exif, 0, 6) === 'Exif\0\0' ? exif.subarray(6) : exif
  if (tiff.length < 8) return 1
  const view = new DataView(tiff.buffer, tiff.byteOffset, tiff.byteLength)
  const order = textAt(tiff, 0, 2)
  if (order !== 'II' && order !== 'MM') return 1
  const little = order === 'II'
  const start = view.getUint32(4, little)
  if (start + 2 > tiff.length) return 1
  const count = view.getUint16(start, little)
  for (let i = 0; i < count; i++) {
    const entry = start + 2 + 12 * i
    if (entry + 12 > tiff.length) return 1
    if (view.getUint16(entry, little) !== 0x0112) continue
    const value = view.getUint16(entry + 8, little)
    return value >= 1 && value <= 8 ? value : 1
  }
  return 1
}

/** EXIF orientation of a WebP file, 1 (upright) to 8; 1 where it has none. */
export function webpOrientation(bytes: Uint8Array): number {
  const exif = exifOfWebp(bytes)
  return exif ? orientationOf(exif) : 1
}

/** The picture as it is to be seen: orientations 5 to 8 swap the axes, and each axis of the stored one may be mirrored. */
export function turned(image: RgbImage, orientation: number): RgbImage {
  if (orientation === 1) return image
  const { width: w, height: h, data } = image
  const swap = orientation >= 5
  const [width, height] = swap ? [h, w] : [w, h]
  const mirrorX = [2, 3, 7, 8].includes(orientation)
  const mirrorY = [3, 4, 6, 7].includes(orientation)
  const out = new Uint8Array(data.length)
  let o = 0
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const [u, v] = swap ? [y, x] : [x, y]
      const from = ((mirrorY ? h - 1 - v : v) * w + (mirrorX ? w - 1 - u : u)) * 3
      out[o++] = data[from]!
      out[o++] = data[from + 1]!
      out[o++] = data[from + 2]!
    }
  }
  return { width, height, data: out }
}
