// How a checkpoint wants its images, at which size, and how a saved model says it.
import { outputSize, type Preprocess, type Size, withInputSize } from '../data/preprocess.ts'
import type { Checkpoint } from '../io/checkpoint.ts'
import { type ModelImages, shownSize } from '../models/images.ts'
import type { Dialect } from '../models/model-kind.ts'
import { type AnyConfig, type AnyModel, describeModel, modelKind, parsePreprocessor } from '../models/registry.ts'
import { InputError } from '../platform/errors.ts'

/** How many times the model's own side a preprocessor's images may have: 16 times the patches. */
const MOST_TIMES = 4

/**
 * What a checkpoint says of its images, at an input size of the caller's where one is given. Throws an InputError where
 * that cannot be known, or where its images would have over four times the model's own side.
 */
export function imagesOf(checkpoint: Checkpoint, inputSize?: number): ModelImages {
  const config = describeModel(checkpoint)
  const found = modelKind(config).imagesOf(checkpoint, config)
  if (inputSize !== undefined) return { ...found, preprocess: withInputSize(found.preprocess, inputSize) }
  const size = outputSize(found.preprocess)
  // What the positions are for: a timm model's input size is its preprocessor's word too.
  const { positionGrid, patchSize } = config
  const stored = { height: positionGrid[0] * patchSize, width: positionGrid[1] * patchSize }
  if (size.height > MOST_TIMES * stored.height || size.width > MOST_TIMES * stored.width) {
    throw new InputError(
      `preprocessor: may make images of ${MOST_TIMES} times the model's ${shownSize(stored)}, got ${shownSize(size)}; correct its size, or give an input size`,
    )
  }
  return { ...found, notes: [...found.notes, ...sizeNote(config, size)] }
}

/** Where a family is not mostly used at another size (DINOv2: made at 518 px, used at 224) it is worth a word. */
function sizeNote(config: AnyConfig, size: Size): string[] {
  const [height, width] = config.imageSize
  if (modelKind(config).published(config.family).usedSmaller || (size.height === height && size.width === width))
    return []
  return [
    `images are made ${shownSize(size)}, the model's own are ${shownSize({ height, width })}: positions are interpolated`,
  ]
}

/** Pillow's numbers of the filters. */
const resamples = { lanczos: 1, bilinear: 2, bicubic: 3, box: 4, hamming: 5 }

/** A model as it was opened, as far as its images are concerned. */
interface UsedModel {
  readonly checkpoint: Checkpoint
  readonly dialect: Dialect
  readonly model: AnyModel
  readonly preprocess: Preprocess
}

/**
 * What preprocessor_config.json must say to use the model as it is used now: the checkpoint's own unless it had none or
 * the input size was changed. Undefined for timm's models, which say it in config.json.
 */
export function preprocessorJson({
  checkpoint,
  dialect,
  model,
  preprocess: p,
}: UsedModel): Readonly<Record<string, unknown>> | undefined {
  if (dialect === 'timm') return undefined
  const own = checkpoint.preprocessor
  const type = String(checkpoint.config.model_type ?? '')
  const [height, width] = model.config.imageSize
  const same = own && JSON.stringify(parsePreprocessor(own, type, { height, width })) === JSON.stringify(p)
  if (same) return own
  const resize = p.resize && 'shortest' in p.resize ? { shortest_edge: p.resize.shortest } : p.resize
  return {
    image_processor_type: 'BitImageProcessor',
    do_resize: resize !== null,
    ...(resize ? { size: resize } : {}),
    resample: resamples[p.filter],
    do_center_crop: p.crop !== null,
    ...(p.crop ? { crop_size: p.crop } : {}),
    do_rescale: p.scale !== 1,
    rescale_factor: p.scale,
    do_normalize: true,
    image_mean: p.mean,
    image_std: p.std,
  }
}
