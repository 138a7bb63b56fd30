// `vitune/data`: what is between a data set and a model: sizes, resizing, transforms, order, batches. Not here: data sets
// (`vitune`), any code.

// data
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
  evalTransform,
  type Recipe,
  randomCrop,
  type TrainTransformOptions,
  type Transform,
  trainTransform,
  transformOf,
} from '../data/transforms.ts'
