// Writing pictures under Node, with sharp, for people to look at.
import { theSharp } from './decode-node.ts'
import type { RgbImage } from './platform.ts'

/** The bytes of a PNG file. */
export async function encodePng({ data, width, height }: RgbImage): Promise<Uint8Array> {
  const sharp = await theSharp()
  return sharp(data, { raw: { width, height, channels: 3 } })
    .png({ compressionLevel: 9 })
    .toBuffer()
}
