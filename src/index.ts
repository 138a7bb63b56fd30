// `vitune`: what takes a folder of images to a model that predicts, and the names this needs, sorted by room; src/public/ has
// the package's other addresses. A name stands in one of these files alone. Not here: any code.

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
export { type BackendOptions, createBackend, type DeviceReport, listDevices } from './backend/create.ts'
export { type Device, devices } from './backend/devices.ts'

// labels
export type { Labelling } from './labels/labelling.ts'
export {
  type ImageLabels,
  type LabelSpace,
  type LabelTree,
  hierarchicalLabels,
  multiclassLabels,
  multilabelLabels,
  type TaskName,
} from './labels/labels.ts'

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
export { stratifiedSplit } from './data/divide.ts'
export {
  type DataOptions,
  type LabelledData,
  openData,
  openTestData,
  type TestData,
  type TestDataOptions,
} from './data/open-data.ts'
export { type LabelledFile, type LabelledFiles, labelledFiles, type PlacedFile } from './data/labelled-files.ts'
export type { PassedOver } from './data/passed-over.ts'

// tasks
export type { Metrics, Prediction } from './tasks/task.ts'

// train
export { type Evaluated, type Evaluation, evaluate } from './train/evaluate.ts'
export type { EpochEvent, StepEvent } from './train/fit-options.ts'

// run
export { type BenchmarkOptions, type BenchmarkResult, benchmark, type Spread } from './run/benchmark.ts'
export { type EstimateOptions, estimate, type MemoryEstimate } from './run/estimate.ts'
export {
  type ExperimentDataset,
  type ExperimentEvent,
  type ExperimentMethod,
  type ExperimentOptions,
  experimentMethods,
  type RunSettings,
} from './run/experiment-options.ts'
export { experiment } from './run/experiment.ts'
export { checkFits } from './run/fits.ts'
export {
  type BegunFrom,
  type CheckEvent,
  type DoneEvent,
  type DuplicatesEvent,
  type RatesEvent,
  type RestartEvent,
  type SkipEvent,
  type StartEvent,
  type TrainEvent,
  type TrainOptions,
  type TrainSettings,
  train,
} from './run/train.ts'

// use
export { decide, type Thresholds } from './use/decide.ts'
export { type Explanation, explain } from './use/explain.ts'
export type { SharedImage } from './use/image-changes.ts'
export { type ImageList, type RunImage, readImageList } from './use/image-list.ts'
export {
  type Duplicates,
  type InspectedLabel,
  type Inspection,
  type InspectOptions,
  inspect,
} from './use/inspect.ts'
export { type OpenModel, type OpenModelOptions, type OpenRunOptions, openModel, openRun } from './use/open-model.ts'
export { type ImagePrediction, type PredictOptions, predict, taskOf } from './use/predict.ts'
export { type RunFile, readRun } from './use/run-file.ts'
export { type SeenImages, seenImages, type Tested, type TestImages, testedOf } from './use/seen-images.ts'

// report
export type { ExperimentData, ExperimentResult, ExperimentRun } from './report/experiment-result.ts'

// web
export { openSession, type Session, type SessionOptions } from './web/session.ts'
export type {
  HistoryEntry,
  Opened,
  StoredDataset,
  StoredImage,
  StoredModel,
  StoredRun,
} from './web/types.ts'
