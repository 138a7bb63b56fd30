// Image decoding under Node with sharp, which is loaded at the first image: nothing else needs it. Pixels are those that
// Pillow's convert('RGB') gives (what models are trained on): ICC profiles are not applied, alpha is dropped.
import { createRequire } from 'node:module'
import { decodeWith } from './decode.ts'
import { InputError } from './errors.ts'
import { MOST_PIXELS } from './image-budget.ts'
import type { RgbImage } from './platform.ts'

type Sharp = typeof import('sharp').default

let loading: Promise<Sharp> | undefined

/** The package; throws an InputError where it is missing. */
export function theSharp(): Promise<Sharp> {
  loading ??= loadSharp()
  return loading
}

async function loadSharp(): Promise<Sharp> {
  try {
    // Not imported: its ES module imports JSON, about which Node before 20.18.3 writes a warning.
    return createRequire(import.meta.url)('sharp')
  } catch (error) {
    loading = undefined
    const reason = error instanceof Error ? error.message.split('\n')[0] : String(error)
    throw new InputError(`images: the package sharp is needed for them, got "${reason}"; run npm install sharp`)
  }
}

/** RGB from grey, with or without alpha. */
function fromGrey(data: Uint8Array, pixels: number, channels: number): Uint8Array {
  const rgb = new Uint8Array(pixels * 3)
  for (let i = 0, p = 0, o = 0; i < pixels; i++, p += channels, o += 3) {
    const v = data[p]!
    rgb[o] = v
    rgb[o + 1] = v
    rgb[o + 2] = v
  }
  return rgb
}

/** RGB from inks without colour management, as Pillow does: what the black leaves, less each ink's part of it. */
function fromCmyk(data: Uint8Array, pixels: number): Uint8Array {
  const rgb = new Uint8Array(pixels * 3)
  for (let i = 0; i < pixels; i++) {
    const light = 255 - data[i * 4 + 3]!
    for (let c = 0; c < 3; c++) {
      const part = data[i * 4 + c]! * light + 128
      rgb[i * 3 + c] = light - ((part + (part >> 8)) >> 8)
    }
  }
  return rgb
}

/** Decodes one image file's bytes as `Platform.decodeImage` says; throws an InputError where sharp is missing. */
export const decodeImage = (bytes: Uint8Array): Promise<RgbImage> =>
  decodeWith(bytes, async (plain, { format }) => {
    const sharp = await theSharp()
    return decode(sharp, plain).catch((error: Error) => {
      // The decoder's own words, where it has any, tell what is wrong or of a kind that it does not read.
      const [said = ''] = error.message.split('\n')
      const detail = /unknown error|unsupported image format/i.test(said) ? '' : ` (${said})`
      throw new Error(`it is a broken ${format}, or of a kind that is not read${detail}`)
    })
  })

async function decode(sharp: Sharp, bytes: Uint8Array): Promise<RgbImage> {
  const source = sharp(bytes, { failOn: 'error', autoOrient: true, ignoreIcc: true, limitInputPixels: MOST_PIXELS })
  const inks = (await source.metadata()).space === 'cmyk'
  const pipeline = inks
    ? source.pipelineColourspace('cmyk').toColourspace('cmyk')
    : source.removeAlpha().toColourspace('srgb')
  const { data, info } = await pipeline.raw({ depth: 'uchar' }).toBuffer({ resolveWithObject: true })
  const { width, height, channels } = info
  const pixels = width * height
  if (data.length !== pixels * channels || (inks && channels < 4)) {
    throw new Error(`image: ${width} x ${height} decoded to ${data.length} bytes of ${channels} channels`)
  }
  if (inks) return { width, height, data: fromCmyk(data, pixels) }
  if (channels < 3) return { width, height, data: fromGrey(data, pixels, channels) }
  return { width, height, data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) }
}
