// How a checkpoint of a vision transformer wants its images: as Hugging Face's preprocessor or timm's pretrained_cfg says.
import { parseTimmPreprocessor, type Size } from '../../data/preprocess.ts'
import type { Checkpoint } from '../../io/checkpoint.ts'
import { isRecord } from '../../io/json.ts'
import { InputError } from '../../platform/errors.ts'
import { huggingFaceImages, type ModelImages, saidOf } from '../images.ts'
import type { VitConfig } from './config.ts'
import { vitFamily } from './families.ts'
import { architectureIn, isTimm, pretrainedConfig } from './timm.ts'

/** What a checkpoint of that configuration says of its images. Throws an InputError where that cannot be known. */
export function vitImages(checkpoint: Checkpoint, config: VitConfig): ModelImages {
  const [height, width] = config.imageSize
  const own = { height, width }
  return isTimm(checkpoint.names())
    ? timmImages(checkpoint, own)
    : huggingFaceImages(checkpoint, config.family, vitFamily(config), own)
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
    notes:
      lacks.length > 0 ? [saidOf(`pretrained_cfg has no ${lacks.join(', ')}: images by ${source}`, preprocess)] : [],
  }
}
