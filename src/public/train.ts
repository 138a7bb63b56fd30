// `vitune/train`: the bare loop, what it learns, what it is given and its state. Not here: training with files (`train` in
// `vitune`), any code.

// tasks
export { mixedTask } from '../tasks/mixed.ts'
export { type DistilledTask, type Distillation, distilled } from '../tasks/distill.ts'
export type { SharedOutputs } from '../tasks/old-outputs.ts'
export { hierarchical } from '../tasks/hierarchical.ts'
export { multiclass } from '../tasks/multiclass.ts'
export { multilabel } from '../tasks/multilabel.ts'
export { createTask, taskNames } from '../tasks/registry.ts'
export type { LabelRow, Task, TaskOptions } from '../tasks/task.ts'

// train
export type { Batch, BatchSource } from '../train/batch.ts'
export { logitsOf } from '../train/evaluate.ts'
export { findRate, type RateCurve, type RateProgress, type RateTest } from '../train/find-rate.ts'
export type { FitEvent, FitOptions, FitResult, FitState } from '../train/fit-options.ts'
export { fit } from '../train/fit.ts'
export { Replay, type ReplayOptions, type StepInput } from '../train/replay.ts'

// data
export type { MixingOptions } from '../data/mixing.ts'

// run
export { readCheckpoint, writeCheckpoint } from '../run/checkpoint-file.ts'
export { mixedBatches } from '../run/mixed-batches.ts'
export { type FeatureSourceOptions, featureSource } from '../run/frozen-features.ts'
export { type FeatureRoom, featureRoom } from '../run/feature-room.ts'
export { type Prepared, prepare } from '../run/prepare.ts'
