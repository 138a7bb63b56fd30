// Decoding as it is the same everywhere: what a file is, whether it may be decoded, and the formats that need no help of
// the platform's. The rest is the platform's own decoder's.
import { withoutAnimation } from './apng.ts'
import { decodeBmp } from './bmp.ts'
import { decodeGif } from './gif.ts'
import { withPixels } from './image-budget.ts'
import { headerOf, type ImageHeader } from './image-header.ts'
import type { RgbImage } from './platform.ts'

/** `native` decodes all but GIF and BMP. */
export async function decodeWith(
  bytes: Uint8Array,
  native: (bytes: Uint8Array, header: ImageHeader) => Promise<RgbImage>,
): Promise<RgbImage> {
  const header = headerOf(bytes)
  const { format, width, height } = header
  return withPixels(width, height, async () => {
    if (format === 'GIF') return decodeGif(bytes)
    if (format === 'BMP') return decodeBmp(bytes)
    return native(format === 'PNG' ? withoutAnimation(bytes) : bytes, header)
  })
}
