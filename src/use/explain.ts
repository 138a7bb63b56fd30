// Which parts of a picture a model looked at, as a map of its patches. How is the model's to say (models/vit/rollout.ts).
import { toRgbImage } from '../data/dataset.ts'
import { evalTransform, evalWindow } from '../data/transforms.ts'
import { modelKind } from '../models/registry.ts'
import { NotFiniteError } from '../platform/errors.ts'
import type { ImageSource } from '../platform/platform.ts'
import { countNonFinite } from '../tensor/finite.ts'
import { Rng } from '../tensor/philox.ts'
import { scope } from '../tensor/scope.ts'
import { tensor } from '../tensor/tensor.ts'
import type { OpenModel } from './open-model.ts'

/** A map of `rows` x `columns` patches, row by row; `seen` is the part of the picture it covers. */
export interface Explanation {
  rows: number
  columns: number
  /** Attention rollout by patch over that of the patch looked at most: in [0, 1]. */
  heat: Float32Array
  /** In fractions of the picture's width and height; beyond [0, 1] where the model saw a padded picture. */
  seen: { left: number; top: number; width: number; height: number }
}

/** Which patches of an image, however it is given, counted for the model, by attention rollout. Throws NotFiniteError. */
export async function explain(
  opened: Pick<OpenModel, 'model' | 'preprocess'>,
  image: ImageSource,
): Promise<Explanation> {
  const { model, preprocess } = opened
  const decoded = await toRgbImage(image)
  const transform = evalTransform(preprocess)
  const { height, width } = transform
  const input = new Float32Array(3 * height * width)
  transform.apply(decoded, new Rng(0), input)
  const patches = scope(() =>
    modelKind(model.config).lookedAt(model, tensor(model.backend, input, [1, 3, height, width])),
  )
  const heat = (await patches.data()) as Float32Array
  patches.dispose()
  if (countNonFinite(heat) > 0)
    throw new NotFiniteError('model: its attention must be finite, got NaN; take other weights')
  const most = heat.reduce((a, b) => Math.max(a, b), 0)
  const p = model.config.patchSize
  const [rows, columns] = [Math.floor(height / p), Math.floor(width / p)]
  const window = evalWindow(preprocess, decoded)
  return {
    rows,
    columns,
    heat: most > 0 ? heat.map((v) => v / most) : heat,
    // Pixels to the right of and below the last whole patch are not seen.
    seen: {
      left: window.left,
      top: window.top,
      width: (window.width * columns * p) / width,
      height: (window.height * rows * p) / height,
    },
  }
}
