// How a checkpoint of Hugging Face's wants its images: its preprocessor, or what stands in for it, which is said.
import {
  outputSize,
  type Preprocess,
  readPreprocessor,
  type Size,
  unknownProcessor,
  withInputSize,
} from '../data/preprocess.ts'
import type { Checkpoint } from '../io/checkpoint.ts'

export interface ModelImages {
  readonly preprocess: Preprocess
  /** What was not in the checkpoint's files, or is not as the model was made for, a sentence each. */
  readonly notes: readonly string[]
}

/** What is known of a family's published checkpoints. */
export interface Published {
  readonly images: Preprocess
  /** Whether they are used at a smaller input size than they are made for. */
  readonly usedSmaller: boolean
}

export const shownSize = ({ width, height }: Size) => `${width} x ${height} px`
const triple = (values: readonly number[]) => values.map((v) => Number(v.toPrecision(4))).join(', ')

/** What is known of the images where files are silent, as a sentence. */
export function saidOf(what: string, preprocess: Preprocess): string {
  return `${what}: ${shownSize(outputSize(preprocess))}, ${preprocess.filter}, mean ${triple(preprocess.mean)}, std ${triple(preprocess.std)}`
}

/** What a checkpoint of Hugging Face's says of its images, for a model of the size `own`. */
export function huggingFaceImages(
  { preprocessor }: Checkpoint,
  type: string,
  { images, usedSmaller }: Published,
  own: Size,
): ModelImages {
  const preprocess = readPreprocessor(preprocessor, images, own)
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
  const smaller = !usedSmaller || own.height < height || own.width < width
  const sized = smaller ? withInputSize(preprocess, own) : preprocess
  return {
    preprocess: sized,
    notes: [saidOf(`no preprocessor_config.json: images as for published ${type} models`, sized)],
  }
}
