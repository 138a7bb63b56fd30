// The SDK's public names, sorted by room. Not here: any code.

/// <reference lib="esnext.disposable" preserve="true" />

// platform
export {
  ChangedError,
  DeviceLostError,
  InputError,
  NotFiniteError,
  OutOfMemoryError,
  ReadError,
  WriteError,
} from './platform/errors.ts'
export type { ImageObject, ImageSource, RgbImage } from './platform/platform.ts'

// backend
export type { Backend, BackendStats, Caps, HostArray, MemoryStats, Program } from './backend/backend.ts'
export {
  type BinaryOp,
  type Buf,
  type Bufs,
  binaryOps,
  type Dtype,
  type KernelName,
  type KernelSpec,
  kernels,
  type Params,
  type ReduceOp,
  reduceOps,
  type UnaryOp,
  unaryOps,
} from './backend/kernels.ts'
export {
  type BackendOptions,
  createBackend,
  type Device,
  type DeviceReport,
  devices,
  listDevices,
} from './backend/create.ts'
export { createReference } from './backend/reference/reference.ts'
export { createWasm, type WasmOptions } from './backend/wasm/wasm.ts'
export {
  createWebgpu,
  type WebgpuBackend,
  type WebgpuOptions,
  type WebgpuStats,
} from './backend/webgpu/webgpu.ts'

// tensor
export { philox, Rng } from './tensor/philox.ts'
export { keep, scope } from './tensor/scope.ts'
export { checkpoint, untracked, type ValueAndGrad, valueAndGrad } from './tensor/tape.ts'
export { empty, Parameter, parameter, Tensor, tensor } from './tensor/tensor.ts'

// ops
export { attention } from './ops/attention.ts'
export { dropout } from './ops/dropout.ts'
export {
  abs,
  add,
  affine,
  broadcastTo,
  div,
  exp,
  gelu,
  log,
  mul,
  reciprocal,
  relu,
  rsqrt,
  sigmoid,
  silu,
  sqrt,
  square,
  sub,
  tanh,
} from './ops/elementwise.ts'
export { type LinearOptions, linear, matmul } from './ops/linear.ts'
export { crossEntropy } from './ops/loss.ts'
export { layerNorm, softmax } from './ops/normalise.ts'
export { mean, meanAll, sum, sumSquares } from './ops/reduce.ts'
export { concat, gather, overwrite, permute, reshape, slice, transpose } from './ops/view.ts'

// optim
export { type AdamwOptions, adamw } from './optim/adamw.ts'
export { clipFactor } from './optim/clip.ts'
export { decayGroups, isVector, type Optimizer, type ParameterGroup } from './optim/optimizer.ts'
export { Plateau, type PlateauOptions, rateFactor } from './optim/schedules.ts'
export { type SgdOptions, sgd } from './optim/sgd.ts'

// nn
export { Context } from './nn/context.ts'
export { LayerNorm, Linear, LinearAdapter, ones, truncatedNormal, zeros } from './nn/layers.ts'
export {
  countParameters,
  disposeModule,
  Module,
  namedModules,
  namedParameters,
  replaceModule,
  setTrainable,
  trainableParameters,
} from './nn/module.ts'

// data
export {
  BrokenImage,
  type Dataset,
  decodeFile,
  type FileDatasetOptions,
  fileDataset,
  type MemoryDatasetOptions,
  memoryDataset,
  type StoredImages,
  subset,
  toRgbImage,
} from './data/dataset.ts'
export {
  type ImageFolder,
  type ImageFolderOptions,
  openImageFolder,
  openTestFolder,
  stratifiedSplit,
  type TestFolderOptions,
} from './data/image-folder.ts'
export { type LabelledFile, type LabelledFiles, labelledFiles, type PlacedFile } from './data/labelled-files.ts'
export {
  type BatchOptions,
  type BatchSourceOptions,
  batchSource,
  type ImageBatch,
  type LoadBatchesOptions,
  loadBatch,
  loadBatches,
} from './data/loader.ts'
export type { PassedOver } from './data/passed-over.ts'
export {
  outputSize,
  type Preprocess,
  parseTimmPreprocessor,
  type Size,
  withInputSize,
} from './data/preprocess.ts'
export { type Rect, type ResizeFilter, type ResizeOptions, resizeImage } from './data/resize.ts'
export { epochOrder, type OrderOptions, sampleRng, toBatches } from './data/sampler.ts'
export {
  evalTransform,
  type Recipe,
  randomCrop,
  type TrainTransformOptions,
  type Transform,
  trainTransform,
  transformOf,
} from './data/transforms.ts'

// io
export { type Checkpoint, checkpointFiles, openCheckpoint, parseWeightMap } from './io/checkpoint.ts'
export { fromBf16, fromF16, toBf16, toF16 } from './io/half.ts'
export { type DownloadProgress, hubCacheFolder, type ResolveOptions, resolveModel } from './io/hub.ts'
export { readJsonObject } from './io/json.ts'
export { writeFileAtomic } from './io/local-files.ts'
export {
  openSafetensors,
  parseSafetensors,
  type SafetensorsFile,
  type StoredDtype,
  type TensorInfo,
} from './io/safetensors.ts'
export { encodeSafetensors, type TensorToWrite, type WrittenDtype, writeSafetensors } from './io/safetensors-write.ts'

// models
export { fitHead, type HeadFit } from './models/head.ts'
export { type Labels, parseLabels } from './models/labels.ts'
export { type LoadOptions, loadVit } from './models/vit/load.ts'
export type { Classifier, Dialect, Loaded } from './models/model-kind.ts'
export { huggingFaceName, timmName } from './models/vit/names.ts'
export {
  type AnyConfig,
  type AnyModel,
  buildModel,
  describeModel,
  families,
  loadModel,
  parseModelConfig,
  parsePreprocessor,
  saveModel,
} from './models/registry.ts'
export { interpolatePositions } from './models/vit/positions.ts'
export { attentionRollout, patchesOf } from './models/vit/rollout.ts'
export { architectureOf, configJson, exportTensors, saveVit } from './models/vit/save.ts'
export { type ForwardVit, Vit } from './models/vit/vit.ts'
export { type Interpolation, parseVitConfig, type VitConfig } from './models/vit/config.ts'

// adapters
export type { AdapterConfig, AdapterKind } from './adapters/adapter.ts'
export { type LoraConfig, loraConfig, loraDefaults } from './adapters/lora-config.ts'
export {
  adaptedLayers,
  freezeBackbone,
  headModules,
  injectAdapter,
  linearLayers,
  removeAdapters,
} from './adapters/inject.ts'
export { DoraAdapter } from './adapters/dora.ts'
export { LoraAdapter } from './adapters/lora.ts'
export { largestDifference, type Merged, merge } from './adapters/merge.ts'
export { type Method, type MethodKind, methodOf, methods } from './adapters/methods.ts'
export { adapterConfigText, parseAdapterConfig } from './adapters/peft/config.ts'
export { type Adapter, openAdapter } from './adapters/peft/folder.ts'
export { type ApplyOptions, applyAdapter } from './adapters/peft/read.ts'
export { adapterTensors, type SaveAdapterOptions, saveAdapter } from './adapters/peft/write.ts'
export { isSaved, isTarget, strength } from './adapters/rules.ts'

// train
export { type BenchmarkOptions, type BenchmarkResult, benchmark, type Spread } from './run/benchmark.ts'
export { readCheckpoint, writeCheckpoint } from './run/checkpoint-file.ts'
export { type EstimateOptions, estimate, type MemoryEstimate } from './run/estimate.ts'
export type { Batch, BatchSource } from './train/batch.ts'
export { type Evaluated, type Evaluation, evaluate, logitsOf } from './train/evaluate.ts'
export { experiment } from './run/experiment.ts'
export {
  type ExperimentDataset,
  type ExperimentEvent,
  type ExperimentMethod,
  type ExperimentOptions,
  experimentMethods,
  type RunSettings,
} from './run/experiment-options.ts'
export { type Explanation, explain } from './use/explain.ts'
export { fit } from './train/fit.ts'
export type { EpochEvent, FitEvent, FitOptions, FitResult, FitState, StepEvent } from './train/fit-options.ts'
export { checkFits } from './run/fits.ts'
export { type FrozenFeaturesOptions, frozenFeatures } from './run/frozen-features.ts'
export type { SharedImage } from './use/image-changes.ts'
export { type ImageList, type RunImage, readImageList } from './use/image-list.ts'
export { type OpenModel, type OpenModelOptions, openModel, openRun } from './use/open-model.ts'
export { type ImagePrediction, type PredictOptions, predict, taskOf } from './use/predict.ts'
export { type Prepared, prepare } from './run/prepare.ts'
export { Replay, type ReplayOptions, type StepInput } from './train/replay.ts'
export type { ExperimentResult, ExperimentRun } from './report/experiment-result.ts'
export { renderReport } from './report/html-report.ts'
export { type MethodSummary, summarise } from './report/summarise.ts'
export { summaryWords } from './report/summary-words.ts'
export { renderTable } from './report/table.ts'
export { type RunFile, readRun } from './use/run-file.ts'
export { type SeenImages, seenImages, type Tested, type TestImages, testedOf } from './use/seen-images.ts'
export {
  type ImageLabels,
  type LabelSpace,
  type LabelTree,
  hierarchicalLabels,
  multiclassLabels,
  multilabelLabels,
  type TaskName,
} from './labels/labels.ts'
export type { Model } from './nn/model.ts'
export { hierarchical } from './tasks/hierarchical.ts'
export { multiclass } from './tasks/multiclass.ts'
export { multilabel } from './tasks/multilabel.ts'
export { createTask, taskNames } from './tasks/registry.ts'
export type { LabelRow, Metrics, Prediction, Task, TaskOptions } from './tasks/task.ts'
export type { HostInputs, HostValues } from './tensor/host.ts'
export {
  type CheckEvent,
  type DoneEvent,
  type DuplicatesEvent,
  type RestartEvent,
  type SkipEvent,
  type StartEvent,
  type TrainEvent,
  type TrainOptions,
  type TrainSettings,
  train,
} from './run/train.ts'

// web
export { openSession, type Session, type SessionOptions } from './web/session.ts'
export type { HistoryEntry, StoredDataset, StoredModel, StoredRun } from './web/types.ts'
