// What a training loop is given and what it tells: options, state, events. The loop is fit.ts.

import type { Optimizer } from '../optim/optimizer.ts'
import { InputError } from '../platform/errors.ts'
import { checkRules, either, flag, func, object, type RulesOf } from '../settings/rules.ts'
import { settingRules } from '../settings/setting-rules.ts'
import type { Task } from '../tasks/task.ts'
import type { Parameter, Tensor } from '../tensor/tensor.ts'
import type { BatchSource, Network } from './evaluate.ts'

export interface FitOptions {
  model: Network
  task: Task
  train: BatchSource
  val?: BatchSource | undefined
  epochs: number
  lr: number
  /** Default AdamW; or one made from the trainable parameters, which then sees to its own decay. */
  optimizer?: 'adamw' | 'sgd' | ((params: readonly [string, Parameter][]) => Optimizer)
  /** SGD only: Nesterov's momentum. The momentum is 0.9. */
  nesterov?: boolean
  weightDecay?: number
  /** False leaves biases, norms and other vectors undecayed. */
  decayVectors?: boolean
  schedule?: 'constant' | 'cosine' | 'plateau'
  /** Steps of linear warm-up. */
  warmup?: number
  /** Largest global gradient norm; no clipping without it, or with 0. */
  clip?: number | undefined
  /** Batches whose gradients are averaged into one step. */
  accumulate?: number
  /**
   * Most images computed at a time: a larger batch is computed in parts whose gradients add up to the batch's, so memory
   * does not grow with it. Default: as many as make 1024 patches on wasm (512 under checkpointing), where more are no faster; elsewhere all.
   */
  microBatch?: number | undefined
  labelSmoothing?: number
  seed?: number
  /** Epochs without a better accuracy after which training ends; 0 never. */
  patience?: number
  /** Recompute blocks in the backward pass: less memory, about a third more time. */
  checkpointing?: boolean
  /** Fraction of patches computed in training, drawn anew for each image (PatchDropout, arXiv:2208.07220). */
  patchKeep?: number
  /**
   * Default true: a step is recorded for its batch's shape and the model's settings, then replayed. The numbers are the
   * same. False runs `task.loss` and the model anew in every step, as they must be if they change by other means.
   */
  replay?: boolean
  signal?: AbortSignal | undefined
  /** Continue from this state. */
  resume?: FitState | undefined
  /** Called after every epoch, where the signal or a `break` stops training, and in a long validation, with all that a resume needs. */
  save?: (state: FitState, epoch?: EpochEvent) => Promise<void>
  /** Call `save` after a step too, once this many seconds have passed since the last time. */
  saveEvery?: number | undefined
  /**
   * Called when an epoch is the best so far: of the highest accuracy, and among equals of the lowest loss on the validation
   * data. Every epoch without validation data.
   */
  saveBest?: (epoch: EpochEvent) => Promise<void>
}

/** A position in training; `numbers` is plain JSON. */
export interface FitState {
  numbers: {
    step: number
    epoch: number
    /** Batches of this epoch already used. */
    batch: number
    optimizerSteps: number
    seed: number
    best: number
    /** Loss of the best epoch on the validation data. */
    bestLoss: number
    bestEpoch: number
    /** Epochs since the accuracy was last raised. */
    sinceBest: number
    plateau: { factor: number; best: number; bad: number }
    /** Sums of the running epoch: loss and accuracy by image. */
    lossSum: number
    images: number
    accuracySum: number
  }
  tensors: [string, Tensor][]
}

export interface StepEvent {
  kind: 'step'
  /** Optimizer steps so far, and in all. */
  step: number
  steps: number
  epoch: number
  epochs: number
  /** Mean loss of this step's images. */
  loss: number
  /** Accuracy over this epoch's images so far. */
  accuracy: number
  lr: number
  images: number
  seconds: number
  /** Seconds waited for this step's batches before it; not in `seconds`. */
  dataSeconds: number
  /** Highest tensor memory so far, bytes. */
  peakBytes: number
  /** Global gradient norm before clipping, where clipping is on. */
  gradNorm?: number
}

export interface EpochEvent {
  kind: 'epoch'
  epoch: number
  epochs: number
  step: number
  trainLoss: number
  trainAccuracy: number
  /** On the validation data; absent without it. */
  loss?: number
  accuracy?: number
  best: boolean
  lr: number
  seconds: number
  /** Seconds of these that its steps waited for their batches. */
  dataSeconds: number
}

export type FitEvent = StepEvent | EpochEvent

export interface FitResult {
  step: number
  epochs: number
  best: number
  bestEpoch: number
  /** Why training ended. */
  ended: 'epochs' | 'patience' | 'signal'
}

const s = settingRules
const rules: RulesOf<FitOptions> = {
  epochs: s.epochs,
  lr: s.lr,
  optimizer: either(s.optimizer, func),
  nesterov: flag,
  weightDecay: s.weightDecay,
  decayVectors: flag,
  schedule: s.schedule,
  warmup: s.warmup,
  clip: s.clip,
  accumulate: s.accumulate,
  microBatch: s.microBatch,
  labelSmoothing: s.labelSmoothing,
  seed: s.seed,
  patience: s.patience,
  checkpointing: flag,
  patchKeep: s.patchKeep,
  replay: flag,
  saveEvery: s.saveEvery,
  model: object,
  task: object,
  train: object,
  val: object,
  signal: object,
  resume: object,
  save: func,
  saveBest: func,
}

/** Throws InputError on an option that is unknown, of another type, out of range, or without effect. */
export function checkOptions(o: FitOptions): void {
  checkRules(o, rules)
  if (o.val) return
  if (o.patience) throw new InputError('patience: needs validation data, got none; give val or leave patience out')
  if (o.schedule === 'plateau') throw new InputError('schedule: plateau needs validation data, got none; give val')
}
