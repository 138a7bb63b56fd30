// What a training loop is given and what it tells: options, state, events. The loop is fit.ts.

import type { Model } from '../nn/model.ts'
import type { Optimizer } from '../optim/optimizer.ts'
import { InputError } from '../platform/errors.ts'
import { above, checkRules, either, flag, func, object, type RulesOf, text, whole } from '../schema/rules.ts'
import { defaults, settingRules } from '../settings/schema.ts'
import { monitorOf, type Task } from '../tasks/task.ts'
import type { Parameter, Tensor } from '../tensor/tensor.ts'
import type { BatchSource } from './batch.ts'
import type { Evaluation } from './evaluate.ts'

export interface FitOptions {
  model: Model
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
  /** What `plateau` multiplies the rate by, and after how many validations more than this without a better metric. */
  plateauFactor?: number
  plateauPatience?: number
  /** Steps of linear warm-up. */
  warmup?: number
  /**
   * Full fine-tuning: what the rate of a layer is multiplied by for each layer above it (BEiT, arXiv:2106.08254); 1 is all alike.
   * The model says how deep a layer lies.
   */
  layerDecay?: number
  /** Decay of averages of the weights, a step, which are validated and kept in their place (ema.ts); 0 is none. */
  ema?: number
  /** Largest global gradient norm; no clipping without it, or with 0. */
  clip?: number | undefined
  /** Batches whose gradients are averaged into one step. */
  accumulate?: number
  /**
   * Most samples computed at a time: a larger batch is computed in parts whose gradients add up to the batch's, so memory
   * does not grow with it. Default: as many as make 1024 tokens on wasm (512 under checkpointing), where more are no faster; elsewhere all.
   */
  microBatch?: number | undefined
  seed?: number
  /** The metric that chooses the best epoch, ends training early and lowers the rate of `plateau`; default the task's first. */
  monitor?: string | undefined
  /** Validations without a better monitored metric after which training ends; 0 never. */
  patience?: number
  /** By how much the metric must be better to count as better for `patience`. */
  minDelta?: number
  /** Epochs, and steps, in which no validation counts for `patience`: the longer of both. */
  patienceWarmup?: number
  patienceWarmupSteps?: number
  /**
   * Epochs from one validation to the next; the last epoch is always validated. `adaptive`: OTX's interval by the batches of an
   * epoch, which changes `patience` and `plateauPatience` too (stopping.ts).
   */
  valEvery?: number | 'adaptive'
  /** Recompute blocks in the backward pass: less memory, about a third more time. */
  checkpointing?: boolean
  /**
   * Default true: a step is recorded for its batch's shape and the model's settings, then replayed. The numbers are the
   * same. False runs the task's loss and the model anew in every step, as they must be if they change by other means.
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
   * Called when an epoch is the best so far: of the best monitored metric, and among equals of the lowest loss on the
   * validation data. Every epoch without validation data.
   */
  saveBest?: (epoch: EpochEvent, evaluation: Evaluation | undefined) => Promise<void>
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
    /** The monitored metric of the best epoch, with its sign changed where lower is better; -1e308 before any. */
    best: number
    /** All metrics of that epoch. */
    bestMetrics: Record<string, number>
    /** Loss of the best epoch on the validation data. */
    bestLoss: number
    bestEpoch: number
    /** Validations since the monitored metric was last better, as patience counts it; and what it was then. */
    sinceBest: number
    patienceBest: number
    plateau: { factor: number; best: number; bad: number }
    /** Of the running epoch: sum of each term of the loss, how much it counts, and right decisions of how many. */
    sums: number[]
    counts: number[]
    right: number
    of: number
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
  /** The loss that this step optimises, as the task averages it over all samples of the step. */
  loss: number
  /** Share of right decisions in this epoch so far. */
  accuracy: number
  lr: number
  /** Samples of this step. */
  count: number
  /** Seconds that the step was computed, with what a teacher took for its batches. */
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
  /** What else the task tells of the epoch's training, by name: shares in [0, 1]. */
  told?: Record<string, number>
  /** On the validation data; absent without it, and where this epoch is not validated. */
  loss?: number
  accuracy?: number
  metrics?: Record<string, number>
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
  bestEpoch: number
  /** What chose the best epoch. */
  monitor: string
  /** Its metrics on the validation data; empty without. */
  metrics: Record<string, number>
  /** Why training ended. */
  ended: 'epochs' | 'patience' | 'signal'
}

const s = settingRules
const rules: RulesOf<FitOptions> = {
  epochs: s.epochs,
  lr: above(0),
  optimizer: either(s.optimizer, func),
  nesterov: flag,
  weightDecay: s.weightDecay,
  decayVectors: flag,
  schedule: s.schedule,
  plateauFactor: s.plateauFactor,
  plateauPatience: s.plateauPatience,
  warmup: whole(0, Number.MAX_SAFE_INTEGER, 'a whole number of steps'),
  layerDecay: s.layerDecay,
  ema: s.ema,
  clip: s.clip,
  accumulate: s.accumulate,
  microBatch: s.microBatch,
  seed: s.seed,
  monitor: text('a metric of the task'),
  patience: s.patience,
  minDelta: s.minDelta,
  patienceWarmup: s.patienceWarmup,
  patienceWarmupSteps: s.patienceWarmupSteps,
  valEvery: s.valEvery,
  checkpointing: flag,
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
  monitorOf(o.task, o.monitor)
  if (typeof o.optimizer === 'function' && (o.layerDecay ?? 1) !== 1) {
    throw new InputError('layerDecay: goes with adamw or sgd, got an optimizer of its own; it sees to its rates itself')
  }
  if (o.val) return
  for (const name of ['monitor', 'patience', 'valEvery'] as const) {
    if (o[name] === undefined || o[name] === defaults[name as keyof typeof defaults]) continue
    throw new InputError(`${name}: needs validation data, got none; give val or leave ${name} out`)
  }
  if (o.schedule === 'plateau') throw new InputError('schedule: plateau needs validation data, got none; give val')
}
