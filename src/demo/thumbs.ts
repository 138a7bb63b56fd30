// Pictures drawn small and square, cut from their middle.
import { h } from './dom.ts'

/** A small picture; blank where it cannot be read. */
export async function drawThumb(source: Blob, size = 80): Promise<HTMLCanvasElement> {
  const canvas = h('canvas', { width: size, height: size })
  const bitmap = await createImageBitmap(source).catch(() => undefined)
  if (!bitmap) return canvas
  const side = Math.min(bitmap.width, bitmap.height)
  const context = canvas.getContext('2d')!
  // Tiny pictures keep their pixels.
  context.imageSmoothingEnabled = side >= size / 2
  context.imageSmoothingQuality = 'high'
  const [x, y] = [(bitmap.width - side) / 2, (bitmap.height - side) / 2]
  context.drawImage(bitmap, x, y, side, side, 0, 0, size, size)
  bitmap.close()
  return canvas
}
