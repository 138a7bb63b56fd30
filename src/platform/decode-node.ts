// Image decoding under Node with sharp, which is loaded at the first image: nothing else needs it.
import { InputError } from './errors.ts'
import type { RgbImage } from './platform.ts'

type Sharp = typeof import('sharp').default

let loading: Promise<Sharp> | undefined

async function loadSharp(): Promise<Sharp> {
  try {
    return (await import('sharp')).default
  } catch (error) {
    loading = undefined
    const reason = error instanceof Error ? error.message.split('\n')[0] : String(error)
    throw new InputError(`images: the package sharp is needed to decode them, got "${reason}"; run npm install sharp`)
  }
}

/** Decodes one image file's bytes as `Platform.decodeImage` says; throws when sharp is missing or the bytes are broken. */
export async function decodeImage(bytes: Uint8Array): Promise<RgbImage> {
  loading ??= loadSharp()
  const sharp = await loading
  const { data, info } = await sharp(bytes, { failOn: 'error', autoOrient: true })
    .removeAlpha()
    .toColourspace('srgb')
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true })
  const { width, height, channels } = info
  const pixels = width * height
  if (data.length !== pixels * channels) throw new Error(`image: ${width} x ${height} decoded to ${data.length} bytes`)
  if (channels === 3) return { width, height, data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) }
  const rgb = new Uint8Array(pixels * 3)
  for (let i = 0; i < pixels; i++) {
    const grey = data[i * channels]!
    rgb[i * 3] = grey
    rgb[i * 3 + 1] = grey
    rgb[i * 3 + 2] = grey
  }
  return { width, height, data: rgb }
}
