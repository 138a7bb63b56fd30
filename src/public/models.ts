// `vitune/models`: vision transformers, their configuration, names, head and files. Not here: opening a model with its classes
// and images (`openModel` in `vitune`), any code.

// models
export { fitHead, type HeadFit, type HeadRows, keepRows } from '../models/head.ts'
export { type Labels, parseLabels } from '../models/labels.ts'
export type { Classifier, Dialect, Loaded } from '../models/model-kind.ts'
export { type ModelPacking, type PackingError, unpackModel } from '../models/packing.ts'
export {
  type AnyConfig,
  type AnyModel,
  buildModel,
  describeModel,
  families,
  loadModel,
  parseModelConfig,
  parsePreprocessor,
  quantizeModel,
  saveModel,
} from '../models/registry.ts'
export { type Interpolation, parseVitConfig, type VitConfig } from '../models/vit/config.ts'
export { type LoadOptions, loadVit } from '../models/vit/load.ts'
export { huggingFaceName, timmName } from '../models/vit/names.ts'
export { interpolatePositions } from '../models/vit/positions.ts'
export { attentionRollout, patchesOf } from '../models/vit/rollout.ts'
export { architectureOf, configJson, exportTensors, saveVit } from '../models/vit/save.ts'
export { type ForwardVit, Vit } from '../models/vit/vit.ts'
