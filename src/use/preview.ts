// What training images look like once they are changed, as one picture: a row an image, as it is in evaluation first and then
// as the epochs of a run see it.
import { type Augmentations, augmentationPresets } from '../data/augmentations.ts'
import { BrokenImage, type Dataset } from '../data/dataset.ts'
import { outputSize, type Preprocess } from '../data/preprocess.ts'
import { sampleRng } from '../data/sampler.ts'
import { augmentedPixels } from '../data/transforms.ts'
import { InputError } from '../platform/errors.ts'
import type { RgbImage } from '../platform/platform.ts'
import { Rng } from '../tensor/philox.ts'

/** How a preview is made. */
export interface PreviewOptions {
  /** Default: OTX's. */
  readonly augmentations?: Augmentations
  /** Images, spread over the data set; default 6. */
  readonly images?: number
  /** Epochs, from the first; default 7. */
  readonly epochs?: number
  /** That of the run; default 0. */
  readonly seed?: number
}

/** A preview, and which images are in it. */
export interface Preview {
  readonly sheet: RgbImage
  /** By row. */
  readonly files: readonly string[]
  /** Images that could not be read, with the reason. */
  readonly broken: readonly string[]
}

/** White pixels between pictures. */
const GAP = 4

/** The most images and epochs of a sheet, and the most pixels. */
export const MOST_SHOWN = 30
const MOST_PIXELS = 2 ** 27

/** Pictures of one size in rows, with white between them. */
function sheetOf(rows: readonly (readonly RgbImage[])[]): RgbImage {
  const { width: w, height: h } = rows[0]![0]!
  const width = rows[0]!.length * (w + GAP) + GAP
  const height = rows.length * (h + GAP) + GAP
  const data = new Uint8Array(width * height * 3).fill(255)
  for (const [i, row] of rows.entries()) {
    for (const [j, image] of row.entries()) {
      for (let y = 0; y < h; y++) {
        const line = image.data.subarray(y * w * 3, (y + 1) * w * 3)
        data.set(line, ((GAP + i * (h + GAP) + y) * width + GAP + j * (w + GAP)) * 3)
      }
    }
  }
  return { width, height, data }
}

/**
 * The sheet for images of a data set as a run with this seed sees them in its first epochs: the same pixels, where it has the
 * same data and settings. Broken images are passed over; throws an InputError where there are no others.
 */
export async function previewSheet(
  dataset: Dataset,
  preprocess: Preprocess,
  options: PreviewOptions = {},
): Promise<Preview> {
  const { augmentations = augmentationPresets.otx, images = 6, epochs = 7, seed = 0 } = options
  const { width, height } = outputSize(preprocess)
  const count = Math.min(images, dataset.length)
  if (width * height * count * (epochs + 1) > MOST_PIXELS) {
    throw new InputError(
      `preview: a picture may have ${MOST_PIXELS} pixels, got ${count} x ${epochs + 1} images of ${width} x ${height}; show fewer`,
    )
  }
  const broken: string[] = []
  const files: string[] = []
  const rows: RgbImage[][] = []
  for (let i = 0; i < count; i++) {
    const index = Math.floor((i * dataset.length) / count)
    try {
      const image = await dataset.image(index)
      const changed = Array.from({ length: epochs }, (_, epoch) =>
        augmentedPixels(image, preprocess, augmentations, sampleRng(seed, epoch, index)),
      )
      const plain = augmentedPixels(image, preprocess, {}, new Rng(0))
      // What the preprocessing leaves at its size has no place on a sheet of one size.
      if (plain.width !== width || plain.height !== height) throw new InputError(`it is not ${width} x ${height} px`)
      rows.push([plain, ...changed])
      files.push(dataset.file(index))
    } catch (error) {
      if (!(error instanceof BrokenImage || error instanceof InputError)) throw error
      const reason = error instanceof BrokenImage ? error.reason : error.message
      broken.push(`${dataset.file(index)}: ${reason}`)
    }
  }
  if (rows.length === 0) throw new InputError(`preview: no image could be shown; ${broken[0] ?? 'there are none'}`)
  return { sheet: sheetOf(rows), files, broken }
}
