// The training loop, as an async generator over batches: no files, no printing. train.ts adds those around it.

import { trainableParameters } from '../nn/module.ts'
import { overwrite } from '../ops/view.ts'
import { Plateau, rateFactor } from '../optim/schedules.ts'
import { InputError, NotFiniteError } from '../platform/errors.ts'
import { defaults } from '../settings/schema.ts'
import { lossOf, monitorOf } from '../tasks/task.ts'
import { type Batch, type BatchSource, defaultMicroBatch } from './batch.ts'
import { createEma } from './ema.ts'
import { addTo, type Evaluation } from './evaluate.ts'
import { diverged, notFiniteAmong } from './finite.ts'
import {
  checkOptions,
  type EpochEvent,
  type FitEvent,
  type FitOptions,
  type FitResult,
  type FitState,
} from './fit-options.ts'
import { prefixed, restore, startNumbers } from './fit-state.ts'
import { makeOptimizer } from './optimizer.ts'
import { Replay } from './replay.ts'
import { createStepper } from './step.ts'
import { isValidated, paceOf, takeIn } from './stopping.ts'
import { validate } from './validate.ts'

/**
 * Trains what is trainable in the model, yielding after each step and each epoch. `break` stops it. The same options on
 * the same backend and thread count give the same numbers, bit for bit, also across `save` and `resume`. With `ema` the model
 * has the averages when `saveBest` is called and when it ends.
 */
export async function* fit(options: FitOptions): AsyncGenerator<FitEvent, FitResult> {
  checkOptions(options)
  const { model, task, train, val, epochs, schedule = defaults.schedule, warmup = defaults.warmup, signal } = options
  const { resume, minDelta = defaults.minDelta } = options
  // More batches than an epoch has make one step of it.
  const accumulate = Math.max(1, Math.min(options.accumulate ?? 1, train.batches))
  const seed = resume?.numbers.seed ?? options.seed ?? 0
  const params = trainableParameters(model)
  if (params.length === 0) throw new Error('fit: the model has nothing to train; choose a method first')
  const optimizer = makeOptimizer(options, params)
  const record = (options.replay ?? true) && typeof options.optimizer !== 'function'
  const decay = options.ema ?? defaults.ema
  const ema = decay > 0 ? createEma(params, decay, { record }) : undefined
  const pace = paceOf(options, train.batches)
  const plateau = new Plateau({
    factor: options.plateauFactor ?? defaults.plateauFactor,
    patience: pace.plateauPatience,
  })
  const { name: monitor, better } = monitorOf(task, options.monitor)
  /** The monitored metric, so that higher is better. */
  const measured = ({ loss, metrics }: Evaluation) => {
    const value = { ...metrics, loss }[monitor]!
    return better === 'higher' ? value : -value
  }
  const now = startNumbers(seed, resume?.numbers)
  const stepsPerEpoch = Math.ceil(train.batches / accumulate)
  const steps = epochs * stepsPerEpoch
  const { patienceWarmup = defaults.patienceWarmup, patienceWarmupSteps = defaults.patienceWarmupSteps } = options
  const lenient = { minDelta, from: Math.max(patienceWarmup * stepsPerEpoch, patienceWarmupSteps) }
  const rate = (step: number) => options.lr * plateau.factor * rateFactor(schedule, step, warmup, steps)
  const state = (): FitState => ({
    numbers: {
      ...structuredClone(now),
      optimizerSteps: optimizer.state().steps,
      plateau: { factor: plateau.factor, best: plateau.best, bad: plateau.bad },
    },
    tensors: [
      ...prefixed('weight', ema?.weights() ?? params),
      ...prefixed('ema', ema?.tensors() ?? []),
      ...prefixed('optimizer', optimizer.state().tensors),
    ],
  })
  const stepper = createStepper({ ...options, accumulate }, params, optimizer, seed)
  const looks = new Replay(model.backend, { record })

  let saved = performance.now()
  let savedStep = options.save ? now.step : undefined
  const fail = (what: string) => diverged(what, now.step, rate(Math.max(0, now.step - 1)), savedStep)
  /** What is saved, or called the best, has no NaN in it. */
  const checkState = async () => {
    const name = await notFiniteAmong(looks, state().tensors)
    if (name !== undefined) throw fail(`${name} became NaN or infinite`)
  }
  const save = async (epoch?: EpochEvent) => {
    await options.save?.(state(), epoch)
    saved = performance.now()
    if (options.save) savedStep = now.step
  }

  /** Runs what reads the model as it is kept: with the averages, where there are. */
  const asKept = <T>(fn: () => Promise<T>): Promise<T> => (ema ? ema.swapped(fn) : fn())
  const validated = (source: BatchSource) =>
    asKept(() => {
      const microBatch = options.microBatch ?? defaultMicroBatch(model, options.checkpointing)
      return validate(model, task, source, { microBatch, signal, save })
    }).catch((error: unknown) => {
      throw error instanceof NotFiniteError ? fail('an output on the validation data became NaN or infinite') : error
    })
  const tired = () => pace.patience > 0 && now.sinceBest >= pace.patience

  // Whether the caller has the word after a step; with a `break` it keeps it.
  let away = false
  try {
    if (resume) {
      restore(state().tensors, resume.tensors)
      optimizer.setSteps(resume.numbers.optimizerSteps)
      ema?.setBegun(now.step > 0)
      Object.assign(plateau, resume.numbers.plateau)
    }
    const end = (ended: FitResult['ended']): FitResult => ({
      step: now.step,
      epochs: now.epoch,
      bestEpoch: now.bestEpoch,
      monitor,
      metrics: now.bestMetrics,
      ended,
    })
    if (tired()) return end('patience')
    const broken = await notFiniteAmong(looks, state().tensors)
    if (broken !== undefined) {
      throw new NotFiniteError(`training: ${broken} is NaN or infinite before the first step; start from other weights`)
    }
    if (signal?.aborted && now.epoch < epochs) {
      await save()
      return end('signal')
    }
    while (now.epoch < epochs) {
      const started = performance.now()
      let pending: Batch[] = []
      let position = now.batch
      let asked = started
      let waited = 0 // for the batches of the step to come
      let waitedInAll = 0
      let ahead = 0 // what was computed for them before
      for await (const batch of train.epoch(now.epoch, now.batch, asKept)) {
        position++
        const begun = performance.now()
        const { computeSeconds = 0 } = batch
        waited += (begun - asked) / 1000 - computeSeconds
        ahead += computeSeconds
        asked = begun
        if (batch.count > 0) pending.push(batch)
        if (pending.length === 0 || (pending.length < accumulate && position < train.batches)) continue
        const stepRate = rate(now.step)
        const done = await stepper.run(pending, now.step, stepRate)
        pending = []
        now.step++
        if (done.notFinite !== undefined) throw fail(done.notFinite)
        ema?.update()
        now.batch = position
        addTo(now.sums, done.sums)
        addTo(now.counts, done.counts)
        now.right += done.right
        now.of += done.of
        const dataSeconds = waited
        const seconds = ahead + (performance.now() - begun) / 1000
        waitedInAll += waited
        waited = 0
        ahead = 0
        away = true
        yield {
          kind: 'step',
          step: now.step,
          steps,
          epoch: now.epoch + 1,
          epochs,
          loss: done.loss,
          lr: stepRate,
          accuracy: now.right / Math.max(1, now.of),
          count: done.count,
          seconds,
          dataSeconds,
          peakBytes: model.backend.memory().peak,
          ...(done.gradNorm === undefined ? {} : { gradNorm: done.gradNorm }),
        }
        away = false
        asked = performance.now()
        const due = performance.now() - saved >= 1000 * (options.saveEvery ?? Number.POSITIVE_INFINITY)
        if (due || signal?.aborted) {
          await checkState()
          await save()
        }
        if (signal?.aborted) return end('signal')
      }
      if (now.counts.length === 0) throw new InputError('fit: no sample to train on in this epoch could be read')
      await checkState()
      const lr = rate(Math.max(0, now.step - 1))
      const due = val && isValidated(now.epoch + 1, epochs, pace) ? val : undefined
      const result = due && (await validated(due))
      if (due && !result) return end('signal')
      now.epoch++
      now.batch = 0
      const best = result ? takeIn(now, measured(result), result, lenient) : !val
      if (best) now.bestEpoch = now.epoch
      if (result && schedule === 'plateau' && now.step >= warmup) plateau.update(measured(result))
      const event: EpochEvent = {
        kind: 'epoch',
        epoch: now.epoch,
        epochs,
        step: now.step,
        best,
        lr,
        trainLoss: lossOf(task, now.sums, now.counts, true),
        trainAccuracy: now.right / Math.max(1, now.of),
        ...(task.told ? { told: task.told(now.counts) } : {}),
        ...(result ? { loss: result.loss, accuracy: result.accuracy, metrics: result.metrics } : {}),
        seconds: (performance.now() - started) / 1000,
        dataSeconds: waitedInAll,
      }
      now.sums = []
      now.counts = []
      now.right = 0
      now.of = 0
      if (best && options.saveBest) await asKept(() => options.saveBest!(event, result))
      await save(event)
      yield event
      if (signal?.aborted && now.epoch < epochs) return end('signal')
      if (tired()) return end('patience')
    }
    return end('epochs')
  } finally {
    try {
      if (away) {
        await checkState()
        await save()
      }
    } finally {
      for (const [i, [, average]] of ema?.tensors().entries() ?? []) overwrite(params[i]![1], average)
      for (const one of [stepper, looks, optimizer, ema]) one?.dispose()
    }
  }
}
