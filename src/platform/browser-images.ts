// Pixels in a browser, from whatever shows a picture there. Decoding is the browser's; what is undone here is the alpha
// that a 2D canvas multiplies in, since Node drops alpha and a model should see the same pixels everywhere.
import { decodeWith } from './decode.ts'
import { checkPixels, withBytes } from './image-budget.ts'
import { SNIFFED, sniff } from './image-formats.ts'
import { turned, webpOrientation } from './orientation.ts'
import type { ImageObject, RgbImage } from './platform.ts'

/** What createImageBitmap takes, and bytes. */
type Picture = ImageBitmapSource | ImageBitmap

/** Rows that are drawn at once: phones allow a canvas of 16 million pixels. */
const STRIP = 2 ** 22

const options: ImageBitmapOptions = {
  imageOrientation: 'from-image',
  premultiplyAlpha: 'none',
  colorSpaceConversion: 'none',
}

function toRgb(rgba: Uint8Array | Uint8ClampedArray, out: Uint8Array, at: number): void {
  for (let i = 0, j = at; i < rgba.length; i += 4) {
    out[j++] = rgba[i]!
    out[j++] = rgba[i + 1]!
    out[j++] = rgba[i + 2]!
  }
}

function isTranslucent(rgba: Uint8ClampedArray): boolean {
  for (let i = 3; i < rgba.length; i += 4) if (rgba[i] !== 255) return true
  return false
}

/** The pixels as they were stored, alpha beside them: a texture, unlike a canvas, keeps them. Undefined without WebGL. */
function unblended(bitmap: ImageBitmap): Uint8Array | undefined {
  const { width, height } = bitmap
  const gl = new OffscreenCanvas(1, 1).getContext('webgl2')
  if (!gl || Math.max(width, height) > gl.getParameter(gl.MAX_TEXTURE_SIZE)) return undefined
  const texture = gl.createTexture()
  gl.bindTexture(gl.TEXTURE_2D, texture)
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, bitmap)
  gl.bindFramebuffer(gl.FRAMEBUFFER, gl.createFramebuffer())
  gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, texture, 0)
  const rgba = new Uint8Array(width * height * 4)
  gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, rgba)
  const fine = gl.getError() === gl.NO_ERROR
  // Browsers allow few contexts at a time.
  gl.getExtension('WEBGL_lose_context')?.loseContext()
  return fine ? rgba : undefined
}

/** What this browser lacks to read pictures at all; undefined where it can. */
export function lackingForImages(): string | undefined {
  if (typeof createImageBitmap === 'undefined') return 'this browser has no createImageBitmap to decode pictures with'
  if (typeof OffscreenCanvas === 'undefined') return 'this browser has no OffscreenCanvas to read pictures in a worker'
  return undefined
}

/** What this browser reads less exactly than others, a sentence each. */
export function imageNotes(): string[] {
  const gl = new OffscreenCanvas(1, 1).getContext('webgl2')
  gl?.getExtension('WEBGL_lose_context')?.loseContext()
  return gl ? [] : ['Colours of translucent pictures are read inexactly: this browser has no WebGL 2 in workers']
}

function pixelsOf(bitmap: ImageBitmap): RgbImage {
  const { width, height } = bitmap
  checkPixels(width, height)
  const rows = Math.max(1, Math.min(height, Math.floor(STRIP / width)))
  const context = new OffscreenCanvas(width, rows).getContext('2d', { willReadFrequently: true })
  if (!context) throw new Error('this browser gives no 2D canvas to decode on')
  const data = new Uint8Array(width * height * 3)
  for (let top = 0; top < height; top += rows) {
    const count = Math.min(rows, height - top)
    context.clearRect(0, 0, width, rows)
    context.drawImage(bitmap, 0, -top)
    const rgba = context.getImageData(0, 0, width, count).data
    if (isTranslucent(rgba)) {
      const whole = unblended(bitmap)
      if (whole) {
        toRgb(whole, data, 0)
        return { width, height, data }
      }
    }
    toRgb(rgba, data, top * width * 3)
  }
  return { width, height, data }
}

/** Why a picture could not be had, in words that say what to do. */
function reason(error: unknown): string {
  const name = error instanceof DOMException ? error.name : ''
  if (name === 'SecurityError')
    return 'it comes from another site; serve it with CORS headers and load it with crossorigin'
  if (name === 'InvalidStateError') return 'it is broken, of an unknown format, or not loaded yet'
  return (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? ''
}

/** A picture as it was stored: no alpha multiplied in, no colour profile applied. */
export const bitmapOf = (picture: Picture): Promise<ImageBitmap> => createImageBitmap(picture, options)

async function decode(picture: Picture, open = bitmapOf): Promise<RgbImage> {
  try {
    const bitmap = await open(picture)
    try {
      return pixelsOf(bitmap)
    } finally {
      bitmap.close()
    }
  } catch (error) {
    throw new Error(reason(error))
  }
}

/** Decodes a file's bytes. */
export function decodeImage(bytes: Uint8Array): Promise<RgbImage> {
  return decodeWith(bytes, async (plain, { format }) => {
    const file = new Blob([plain as Uint8Array<ArrayBuffer>], { type: `image/${format.toLowerCase()}` })
    // A WebP is turned here: some browsers do not, others may.
    const stored = format === 'WebP' ? { ...options, imageOrientation: 'none' as const } : options
    const image = await decode(file, (picture) => createImageBitmap(picture, stored)).catch(() => {
      // Not every browser has these.
      if (format === 'TIFF') throw new Error('it is TIFF, which this browser does not decode; convert it to PNG')
      if (format === 'AVIF') throw new Error('it is broken, or this browser decodes no AVIF; convert it to PNG')
      throw new Error(`it is a broken ${format}`)
    })
    return format === 'WebP' ? turned(image, webpOrientation(bytes)) : image
  })
}

/**
 * The file that an image element shows, whose pixels are the same everywhere. Undefined where the element is all there is: its
 * file is gone or another site's, or of a kind that is not read (a drawing).
 */
export async function fileOfElement(source: unknown): Promise<Blob | undefined> {
  if (typeof HTMLImageElement === 'undefined' || !(source instanceof HTMLImageElement)) return undefined
  if (!source.complete || source.naturalWidth === 0) return undefined
  try {
    const file = await fetchImage(new URL(source.currentSrc))
    return 'format' in sniff(new Uint8Array(await file.slice(0, SNIFFED).arrayBuffer())) ? file : undefined
  } catch {
    return undefined
  }
}

/** Decodes or reads whatever shows a picture: a Blob, an address, an element, a canvas, a camera's frame. */
export async function readImage(source: ImageObject): Promise<RgbImage> {
  if (source instanceof ImageData) {
    const { width, height, data } = source
    const rgb = new Uint8Array(width * height * 3)
    toRgb(data as Uint8ClampedArray, rgb, 0)
    return { width, height, data: rgb }
  }
  const file = source instanceof URL ? await fetchImage(source) : ((await fileOfElement(source)) ?? source)
  if (!(file instanceof Blob)) return decode(file)
  return withBytes(file.size, async () => decodeImage(new Uint8Array(await file.arrayBuffer())))
}

/** The file at an address. */
export async function fetchImage(address: URL): Promise<Blob> {
  const response = await fetch(address).catch((error) => {
    throw new Error(`it could not be fetched (${reason(error)}); the other site must allow it (CORS)`)
  })
  if (!response.ok) throw new Error(`the server answered with status ${response.status}`)
  return response.blob()
}

/** A PNG file of a picture, without loss. */
export async function encodePng({ width, height, data }: RgbImage): Promise<Uint8Array> {
  const canvas = new OffscreenCanvas(width, height)
  const context = canvas.getContext('2d')
  if (!context) throw new Error('this browser gives no 2D canvas to draw on')
  const rows = Math.max(1, Math.min(height, Math.floor(STRIP / width)))
  for (let top = 0; top < height; top += rows) {
    const part = new ImageData(width, Math.min(rows, height - top))
    for (let i = 0, j = top * width * 3; i < part.data.length; i += 4) {
      part.data[i] = data[j++]!
      part.data[i + 1] = data[j++]!
      part.data[i + 2] = data[j++]!
      part.data[i + 3] = 255
    }
    context.putImageData(part, 0, top)
  }
  return new Uint8Array(await (await canvas.convertToBlob({ type: 'image/png' })).arrayBuffer())
}
