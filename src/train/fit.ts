// The training loop, as an async generator over batches: no files, no printing. train.ts adds those around it.

import { Context } from '../nn/context.ts'
import { settingsOf, trainableParameters } from '../nn/module.ts'
import { affine } from '../ops/elementwise.ts'
import { fill, overwrite } from '../ops/view.ts'
import { adamw } from '../optim/adamw.ts'
import { clipFactor } from '../optim/clip.ts'
import { decayGroups, isVector, type Optimizer } from '../optim/optimizer.ts'
import { Plateau, rateFactor } from '../optim/schedules.ts'
import { sgd } from '../optim/sgd.ts'
import { InputError } from '../platform/errors.ts'
import { Rng } from '../tensor/philox.ts'
import { scope } from '../tensor/scope.ts'
import { addInto, valueAndGrad } from '../tensor/tape.ts'
import { type Parameter, type Tensor, tensor } from '../tensor/tensor.ts'
import { type Batch, type BatchSource, evaluate, type Network } from './evaluate.ts'
import { defaultMicroBatch, partsOf } from './micro-batch.ts'
import { Replay, type StepInput } from './replay.ts'
import type { Task } from './task.ts'

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
  /** Largest global gradient norm; no clipping without it. */
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
  /** Called after every epoch, and where the signal or a `break` stops training, with all that a resume needs. */
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

/** Rows of (B * patches) to keep: the same number for each image, in order, drawn from (seed, step). */
function keptPatches(model: Network, images: number, fraction: number, rng: Rng): StepInput {
  const n = model.patches
  const count = Math.max(1, Math.round(n * fraction))
  const rows = new Int32Array(images * count)
  const all = Array.from({ length: n }, (_, i) => i)
  for (let b = 0; b < images; b++) {
    rng.shuffle(all)
    rows.set(
      all
        .slice(0, count)
        .sort((x, y) => x - y)
        .map((i) => b * n + i),
      b * count,
    )
  }
  return { data: rows, shape: [rows.length] }
}

function checkOptions(o: FitOptions): void {
  const positive = { epochs: o.epochs, lr: o.lr, accumulate: o.accumulate ?? 1, clip: o.clip ?? 1 }
  const { microBatch = 1 } = o
  if (!(Number.isInteger(microBatch) && microBatch >= 1)) {
    throw new Error(`fit: microBatch must be a whole number from 1, got ${microBatch}`)
  }
  for (const [name, value] of Object.entries(positive)) {
    if (!(value > 0) || !Number.isFinite(value)) throw new Error(`fit: ${name} must be above 0, got ${value}`)
  }
  const keep = o.patchKeep ?? 1
  if (!(keep > 0 && keep <= 1)) throw new Error(`fit: patchKeep must be in (0, 1], got ${keep}`)
}

function makeOptimizer(options: FitOptions, params: [string, Parameter][]): Optimizer {
  const { optimizer = 'adamw', nesterov = false } = options
  if (typeof optimizer === 'function') return optimizer(params)
  const groups = decayGroups(params, options.weightDecay ?? 0.05, options.decayVectors === false ? isVector : undefined)
  return optimizer === 'sgd' ? sgd(groups, { nesterov }) : adamw(groups)
}

/**
 * Trains what is trainable in the model, yielding after each step and each epoch. `break` stops it. The same options on
 * the same backend and thread count give the same numbers, bit for bit, also across `save` and `resume`.
 */
export async function* fit(options: FitOptions): AsyncGenerator<FitEvent, FitResult> {
  checkOptions(options)
  const { model, task, train, val, epochs, schedule = 'constant', warmup = 0, signal } = options
  const { accumulate = 1, labelSmoothing = 0, patience = 0, patchKeep = 1, resume } = options
  const { backend } = model
  const seed = resume?.numbers.seed ?? options.seed ?? 0
  const params = trainableParameters(model)
  if (params.length === 0) throw new Error('fit: the model has nothing to train; choose a method first')
  const weights = params.map(([, p]) => p)
  const optimizer = makeOptimizer(options, params)
  const plateau = new Plateau()
  const now: FitState['numbers'] = {
    step: 0,
    epoch: 0,
    batch: 0,
    optimizerSteps: 0,
    seed,
    best: -1,
    bestLoss: 1e308,
    bestEpoch: 0,
    sinceBest: 0,
    plateau: { factor: 1, best: -1e308, bad: 0 },
    lossSum: 0,
    images: 0,
    accuracySum: 0,
    ...resume?.numbers,
  }
  const stepsPerEpoch = Math.ceil(train.batches / accumulate)
  const steps = epochs * stepsPerEpoch
  const dropoutSeed = tensor(backend, new Int32Array(2), [2])
  const rate = (step: number) => options.lr * plateau.factor * rateFactor(schedule, step, warmup, steps)
  const state = (): FitState => ({
    numbers: {
      ...now,
      optimizerSteps: optimizer.state().steps,
      plateau: { factor: plateau.factor, best: plateau.best, bad: plateau.bad },
    },
    tensors: [
      ...params.map(([name, p]): [string, Tensor] => [`weight.${name}`, p]),
      ...prefixed(optimizer.state().tensors),
    ],
  })

  const passes = new Replay(backend, { record: options.replay ?? true })
  const split = optimizer.prepare !== undefined && optimizer.update !== undefined
  const updates = new Replay(backend, { record: split && (options.replay ?? true) })
  /** Gradients added up over the parts of a step; the update leaves zeros. */
  let sums: readonly Tensor[] = []
  const most = options.microBatch ?? defaultMicroBatch(model, options.checkpointing)

  /** Loss and logits of a part, which counts `share` of a step, and its gradients where they are not added to `sums`. */
  const pass = (key: string, batch: Batch, share: number, rng: Rng) => {
    const inputs: Record<string, StepInput> = {
      images: { data: batch.images, shape: batch.shape },
      targets: task.targets(backend, batch.labels),
      ...(patchKeep < 1 ? { keep: keptPatches(model, batch.labels.length, patchKeep, rng) } : {}),
    }
    return passes.run(key, inputs, ({ images, targets, keep }) => {
      const { value, aux, grads } = valueAndGrad<Tensor>(() => {
        const context = new Context(true, dropoutSeed)
        const checkpoint = options.checkpointing ?? false
        const logits = model.forward(images!, context, keep ? { checkpoint, keep } : { checkpoint })
        const value = task.loss(logits, targets!, labelSmoothing)
        return [share < 1 ? affine(value, share) : value, logits]
      }, weights)
      for (const [i, sum] of sums.entries()) addInto(sum, grads[i]!)
      return { value, logits: aux, grads: sums.length > 0 ? [] : grads }
    })
  }

  /** Clips and updates; the norm where there is clipping. */
  const update = (key: string, grads: readonly Tensor[], lr: number) => {
    if (split) optimizer.prepare!(lr)
    return updates.run(key, {}, () => {
      const clip = options.clip === undefined ? undefined : clipFactor(grads, options.clip)
      const named = new Map(params.map(([name], i) => [name, grads[i]!]))
      if (split) optimizer.update!(named, clip?.factor)
      else optimizer.step(named, lr, clip?.factor)
      for (const sum of sums) fill(sum, 0)
      return clip?.norm
    })
  }

  /** One step over up to `accumulate` batches: reads back the loss and the accuracy before it. */
  const step = async (batches: Batch[]) => {
    const lr = rate(now.step)
    const metrics = task.metrics()
    let loss = 0
    let images = 0
    let key = ''
    let grads: readonly Tensor[] = []
    try {
      for (const [place, batch] of batches.entries()) {
        const number = now.step * accumulate + place
        const rng = new Rng(seed, 2 ** 31 + number)
        const parts = partsOf(batch, most)
        passes.keep = new Set(parts.map(({ labels }) => labels.length)).size
        for (const [part, piece] of parts.entries()) {
          // Each part has random numbers of its own; the first those of a whole batch.
          dropoutSeed.assign(Int32Array.of(seed, number + part * 2 ** 24))
          const share = piece.labels.length / batch.labels.length / batches.length
          if (share < 1 && sums.length === 0) sums = zerosLike(weights)
          key = `${sums.length > 0} ${share} ${piece.shape} ${settingsOf(model)}`
          const done = scope(() => pass(key, piece, share, rng))
          const [lossNow, logits] = await Promise.all([done.value.item(), done.logits.data() as Promise<Float32Array>])
          loss += lossNow
          images += piece.labels.length
          metrics.add(logits, piece.labels)
          grads = sums.length > 0 ? sums : done.grads
        }
      }
      if (!Number.isFinite(loss)) {
        throw new Error(
          `fit: the loss became ${loss} at step ${now.step + 1}; lower the learning rate (now ${lr}) or clip gradients`,
        )
      }
      const norm = update(sums.length > 0 ? '' : key, grads, lr)
      const gradNorm = norm ? await norm.item() : undefined
      return { loss, images, lr, gradNorm, accuracy: metrics.result().accuracy }
    } finally {
      passes.release()
      updates.release()
    }
  }

  let saved = performance.now()
  const save = async (epoch?: EpochEvent) => {
    await options.save?.(state(), epoch)
    saved = performance.now()
  }

  // Whether the caller has the word after a step; with a `break` it keeps it.
  let away = false
  try {
    if (resume) {
      restore(state().tensors, resume.tensors)
      optimizer.setSteps(resume.numbers.optimizerSteps)
      Object.assign(plateau, resume.numbers.plateau)
    }
    const end = (ended: FitResult['ended']): FitResult => ({
      step: now.step,
      epochs: now.epoch,
      best: now.best,
      bestEpoch: now.bestEpoch,
      ended,
    })
    if (patience > 0 && now.sinceBest >= patience) return end('patience')
    if (signal?.aborted && now.epoch < epochs) {
      await options.save?.(state())
      return end('signal')
    }
    while (now.epoch < epochs) {
      const started = performance.now()
      let pending: Batch[] = []
      let position = now.batch
      let asked = started
      let waited = 0 // for the batches of the step to come
      let waitedInAll = 0
      for await (const batch of train.epoch(now.epoch, now.batch)) {
        position++
        const begun = performance.now()
        waited += (begun - asked) / 1000
        asked = begun
        if (batch.labels.length > 0) pending.push(batch)
        if (pending.length === 0 || (pending.length < accumulate && position < train.batches)) continue
        const done = await step(pending)
        pending = []
        now.step++
        now.batch = position
        now.lossSum += done.loss * done.images
        now.images += done.images
        now.accuracySum += done.accuracy * done.images
        const dataSeconds = waited
        waitedInAll += waited
        waited = 0
        away = true
        yield {
          kind: 'step',
          step: now.step,
          steps,
          epoch: now.epoch + 1,
          epochs,
          loss: done.loss,
          lr: done.lr,
          accuracy: now.accuracySum / now.images,
          images: done.images,
          seconds: (performance.now() - begun) / 1000,
          dataSeconds,
          peakBytes: model.backend.memory().peak,
          ...(done.gradNorm === undefined ? {} : { gradNorm: done.gradNorm }),
        }
        away = false
        asked = performance.now()
        if (signal?.aborted) {
          await save()
          return end('signal')
        }
        if (performance.now() - saved >= 1000 * (options.saveEvery ?? Number.POSITIVE_INFINITY)) await save()
      }
      if (now.images === 0) throw new Error('fit: no training image of this epoch could be read')
      const lr = rate(Math.max(0, now.step - 1))
      const result = val ? await evaluate(model, task, val, { microBatch: most }) : undefined
      now.epoch++
      now.batch = 0
      const raised = !result || result.accuracy > now.best
      const better = raised || (result.accuracy === now.best && result.loss < now.bestLoss)
      if (better) {
        now.best = result?.accuracy ?? now.best
        now.bestLoss = result?.loss ?? now.bestLoss
        now.bestEpoch = now.epoch
      }
      now.sinceBest = raised ? 0 : now.sinceBest + 1
      if (result && schedule === 'plateau') plateau.update(result.accuracy)
      const event: EpochEvent = {
        kind: 'epoch',
        epoch: now.epoch,
        epochs,
        step: now.step,
        best: better,
        lr,
        trainLoss: now.lossSum / now.images,
        trainAccuracy: now.accuracySum / now.images,
        ...(result ? { loss: result.loss, accuracy: result.accuracy } : {}),
        seconds: (performance.now() - started) / 1000,
        dataSeconds: waitedInAll,
      }
      now.lossSum = 0
      now.images = 0
      now.accuracySum = 0
      if (better) await options.saveBest?.(event)
      await save(event)
      yield event
      if (signal?.aborted && now.epoch < epochs) return end('signal')
      if (patience > 0 && now.sinceBest >= patience) return end('patience')
    }
    return end('epochs')
  } finally {
    try {
      if (away) await options.save?.(state())
    } finally {
      updates.dispose()
      passes.dispose()
      optimizer.dispose()
      for (const t of [...sums, dropoutSeed]) t.dispose()
    }
  }
}

const prefixed = (tensors: [string, Tensor][]): [string, Tensor][] =>
  tensors.map(([name, t]) => [`optimizer.${name}`, t])

const zerosLike = (tensors: readonly Tensor[]) =>
  tensors.map((t) => tensor(t.backend, new Float32Array(t.size), t.shape))

/** Copies a saved state into the live tensors of the same names; throws when they do not correspond. */
function restore(live: [string, Tensor][], saved: [string, Tensor][]): void {
  const from = new Map(saved)
  for (const [name, t] of live) {
    const source = from.get(name)
    if (!source || source.size !== t.size)
      throw new InputError(`resume: the saved state has no fitting ${name}; was it made with other options?`)
    overwrite(t, source)
  }
}
