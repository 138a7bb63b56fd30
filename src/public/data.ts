// `vitune/data`: what is between a data set and a model: sizes, resizing, transforms, order, batches. Not here: data sets
// (`vitune`), any code.

// data
export {
  type AugmentationName,
  type Augmentations,
  augmentationNames,
  augmentationPresets,
  type ColourChanges,
  type Span,
  strengths,
  type TrainTransformOptions,
} from '../data/augmentations.ts'
export { type DrawnChanges, type DrawnPhotometric, drawChanges, randomCrop } from '../data/augment/draw.ts'
export type { AffineChange } from '../data/augment/geometry.ts'
export type { Jiggle } from '../data/augment/jiggle.ts'
export type { DrawnOperation, OperationName } from '../data/augment/rand-augment.ts'
export { applyChanges } from '../data/augment/augment.ts'
export { balanceKeys } from '../data/divide.ts'
export {
  type BatchOptions,
  type BatchSourceOptions,
  batchSource,
  type ImageBatch,
  type LoadBatchesOptions,
  loadBatch,
  loadBatches,
} from '../data/loader.ts'
export { outputSize, type Preprocess, parseTimmPreprocessor, type Size, withInputSize } from '../data/preprocess.ts'
export { type Rect, type ResizeFilter, type ResizeOptions, resizeImage } from '../data/resize.ts'
export { epochOrder, type OrderOptions, sampleRng, toBatches } from '../data/sampler.ts'
export {
  augmentedPixels,
  evalTransform,
  type Recipe,
  type Transform,
  trainTransform,
  transformOf,
} from '../data/transforms.ts'
