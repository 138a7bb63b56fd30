// How a checkpoint wants its images: its preprocessor, timm's pretrained_cfg, or what stands in for them, which is said.
import {
  outputSize,
  type Preprocess,
  parseTimmPreprocessor,
  type Size,
  unknownProcessor,
  withInputSize,
} from '../data/preprocess.ts'
import type { Checkpoint } from '../io/checkpoint.ts'
import { isRecord } from '../io/json.ts'
import { type AnyConfig, describeModel, modelKind, parsePreprocessor } from '../models/registry.ts'
import { architectureIn, isTimm, pretrainedConfig } from '../models/vit/timm.ts'
import { InputError } from '../platform/errors.ts'
import type { OpenModel } from './open-model.ts'

export interface ModelImages {
  readonly preprocess: Preprocess
  /** What was not in the checkpoint's files, or is not as the model was made for, a sentence each. */
  readonly notes: readonly string[]
}

/** How many times the model's own side a preprocessor's images may have: 16 times the patches. */
const MOST_TIMES = 4

const shown = ({ width, height }: Size) => `${width} x ${height} px`
const triple = (values: readonly number[]) => values.map((v) => Number(v.toPrecision(4))).join(', ')

/**
 * What a checkpoint says of its images, at an input size of the caller's where one is given. Throws an InputError where
 * that cannot be known, or where its images would have over four times the model's own side.
 */
export function imagesOf(checkpoint: Checkpoint, inputSize?: number): ModelImages {
  const config = describeModel(checkpoint)
  const [height, width] = config.imageSize
  const own = { height, width }
  const found = isTimm(checkpoint.names()) ? timmImages(checkpoint, own) : huggingFaceImages(checkpoint, config, own)
  if (inputSize !== undefined) return { ...found, preprocess: withInputSize(found.preprocess, inputSize) }
  const size = outputSize(found.preprocess)
  // What the positions are for: a timm model's input size is its preprocessor's word too.
  const { positionGrid, patchSize } = config
  const stored = { height: positionGrid[0] * patchSize, width: positionGrid[1] * patchSize }
  if (size.height > MOST_TIMES * stored.height || size.width > MOST_TIMES * stored.width) {
    throw new InputError(
      `preprocessor: may make images of ${MOST_TIMES} times the model's ${shown(stored)}, got ${shown(size)}; correct its size, or give an input size`,
    )
  }
  return { ...found, notes: [...found.notes, ...sizeNote(config, size)] }
}

/** Where a family is not mostly used at another size (DINOv2: made at 518 px, used at 224) it is worth a word. */
function sizeNote(config: AnyConfig, size: Size): string[] {
  const [height, width] = config.imageSize
  if (modelKind(config).usedSmaller(config) || (size.height === height && size.width === width)) return []
  return [`images are made ${shown(size)}, the model's own are ${shown({ height, width })}: positions are interpolated`]
}

/** What is known of the images where files are silent, as a sentence. */
function said(what: string, preprocess: Preprocess): string {
  return `${what}: ${shown(outputSize(preprocess))}, ${preprocess.filter}, mean ${triple(preprocess.mean)}, std ${triple(preprocess.std)}`
}

function huggingFaceImages({ preprocessor }: Checkpoint, config: AnyConfig, own: Size): ModelImages {
  const type = config.family
  const preprocess = parsePreprocessor(preprocessor, type, own)
  if (preprocessor) {
    const unknown = unknownProcessor(preprocessor)
    if (unknown === undefined) return { preprocess, notes: [] }
    return {
      preprocess,
      notes: [`preprocessor_config.json: ${unknown} is not known; what it leaves out is taken of ${type}'s`],
    }
  }
  // A ViT takes images of its own size. DINOv2's is 518, but it is used at 224, where it is as large as that.
  const { height, width } = outputSize(preprocess)
  const smaller = !modelKind(config).usedSmaller(config) || own.height < height || own.width < width
  const sized = smaller ? withInputSize(preprocess, own) : preprocess
  return {
    preprocess: sized,
    notes: [said(`no preprocessor_config.json: images as for published ${type} models`, sized)],
  }
}

/** timm's pretrained_cfg; what it lacks is that of the architecture's default weights. */
function timmImages({ folder, config }: Checkpoint, own: Size): ModelImages {
  const given = pretrainedConfig(config)
  const known = architectureIn(config)?.images
  const lacks = ['mean', 'std', 'crop_pct', 'interpolation'].filter((name) => (given[name] ?? null) === null)
  if (!known && (lacks.includes('mean') || lacks.includes('std'))) {
    throw new InputError(
      `${folder}: config.json does not say how images are normalised, and its architecture is not known; add "pretrained_cfg": {"mean": [...], "std": [...]}`,
    )
  }
  const defaults: Record<string, unknown> = known ?? { crop_pct: 0.875, interpolation: 'bicubic' }
  const filled = Object.fromEntries(lacks.map((name) => [name, defaults[name]]))
  const args = isRecord(config.model_args) ? config.model_args : {}
  // The model is made for img_size, where that is told; its pretrained_cfg may be of other weights.
  const sized =
    args.img_size === undefined && Array.isArray(given.input_size) ? given.input_size : [3, own.height, own.width]
  const preprocess = parseTimmPreprocessor({ ...given, ...filled, input_size: sized })
  const source = known ? `timm's for ${String(config.architecture)}` : "timm's defaults"
  return {
    preprocess,
    notes: lacks.length > 0 ? [said(`pretrained_cfg has no ${lacks.join(', ')}: images by ${source}`, preprocess)] : [],
  }
}

/** Pillow's numbers of the filters. */
const resamples = { lanczos: 1, bilinear: 2, bicubic: 3, box: 4, hamming: 5 }

/**
 * What preprocessor_config.json must say to use the model as it is used now: the checkpoint's own unless it had none or
 * the input size was changed. Undefined for timm's models, which say it in config.json.
 */
export function preprocessorJson({
  checkpoint,
  dialect,
  model,
  preprocess: p,
}: OpenModel): Readonly<Record<string, unknown>> | undefined {
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
