// The training loop, as an async generator over batches: no files, no printing. train.ts adds those around it.

import { trainableParameters } from '../nn/module.ts'
import { overwrite } from '../ops/view.ts'
import { adamw } from '../optim/adamw.ts'
import { decayGroups, isVector, type Optimizer } from '../optim/optimizer.ts'
import { Plateau, rateFactor } from '../optim/schedules.ts'
import { sgd } from '../optim/sgd.ts'
import { InputError, NotFiniteError } from '../platform/errors.ts'
import { defaults } from '../settings/schema.ts'
import { lossOf, monitorOf } from '../tasks/task.ts'
import type { Parameter, Tensor } from '../tensor/tensor.ts'
import { type Batch, type BatchSource, defaultMicroBatch } from './batch.ts'
import { addTo, type Evaluation, evaluate } from './evaluate.ts'
import { diverged, notFiniteAmong } from './finite.ts'
import {
  checkOptions,
  type EpochEvent,
  type FitEvent,
  type FitOptions,
  type FitResult,
  type FitState,
} from './fit-options.ts'
import { Replay } from './replay.ts'
import { createStepper } from './step.ts'

function makeOptimizer(options: FitOptions, params: [string, Parameter][]): Optimizer {
  const { optimizer = defaults.optimizer, nesterov = false } = options
  if (typeof optimizer === 'function') return optimizer(params)
  const groups = decayGroups(
    params,
    options.weightDecay ?? defaults.weightDecay,
    options.decayVectors === false ? isVector : undefined,
  )
  return optimizer === 'sgd' ? sgd(groups, { nesterov }) : adamw(groups)
}

/**
 * Trains what is trainable in the model, yielding after each step and each epoch. `break` stops it. The same options on
 * the same backend and thread count give the same numbers, bit for bit, also across `save` and `resume`.
 */
export async function* fit(options: FitOptions): AsyncGenerator<FitEvent, FitResult> {
  checkOptions(options)
  const { model, task, train, val, epochs, schedule = defaults.schedule, warmup = defaults.warmup, signal } = options
  const { patience = 0, resume } = options
  // More batches than an epoch has make one step of it.
  const accumulate = Math.max(1, Math.min(options.accumulate ?? 1, train.batches))
  const seed = resume?.numbers.seed ?? options.seed ?? 0
  const params = trainableParameters(model)
  if (params.length === 0) throw new Error('fit: the model has nothing to train; choose a method first')
  const optimizer = makeOptimizer(options, params)
  const plateau = new Plateau()
  const { name: monitor, better } = monitorOf(task, options.monitor)
  /** The monitored metric, so that higher is better. */
  const measured = ({ loss, metrics }: Evaluation) => {
    const value = { ...metrics, loss }[monitor]!
    return better === 'higher' ? value : -value
  }
  const now: FitState['numbers'] = {
    step: 0,
    epoch: 0,
    batch: 0,
    optimizerSteps: 0,
    seed,
    best: -1e308,
    bestMetrics: {},
    bestLoss: 1e308,
    bestEpoch: 0,
    sinceBest: 0,
    plateau: { factor: 1, best: -1e308, bad: 0 },
    sums: [],
    counts: [],
    right: 0,
    of: 0,
    ...structuredClone(resume?.numbers),
  }
  const stepsPerEpoch = Math.ceil(train.batches / accumulate)
  const steps = epochs * stepsPerEpoch
  const rate = (step: number) => options.lr * plateau.factor * rateFactor(schedule, step, warmup, steps)
  const state = (): FitState => ({
    numbers: {
      ...structuredClone(now),
      optimizerSteps: optimizer.state().steps,
      plateau: { factor: plateau.factor, best: plateau.best, bad: plateau.bad },
    },
    tensors: [
      ...params.map(([name, p]): [string, Tensor] => [`weight.${name}`, p]),
      ...prefixed(optimizer.state().tensors),
    ],
  })
  const stepper = createStepper({ ...options, accumulate }, params, optimizer, seed)
  const record = (options.replay ?? true) && typeof options.optimizer !== 'function'
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

  /**
   * Undefined where the signal ended it. Before that the state is saved, and in any case once this has taken a second: so that no
   * second signal loses the epoch, and no state is saved whose outputs are not finite.
   */
  const validate = async (source: BatchSource): Promise<Evaluation | undefined> => {
    const begun = performance.now()
    const stopped = new Error('stopped')
    let kept = false
    const between = async () => {
      if (!kept && (signal?.aborted || performance.now() - begun > 1000)) {
        kept = true
        await save()
      }
      if (signal?.aborted) throw stopped
    }
    try {
      const microBatch = options.microBatch ?? defaultMicroBatch(model, options.checkpointing)
      return await evaluate(model, task, source, { microBatch, between })
    } catch (error) {
      if (error === stopped) return undefined
      throw error instanceof NotFiniteError ? fail('an output on the validation data became NaN or infinite') : error
    }
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
      bestEpoch: now.bestEpoch,
      monitor,
      metrics: now.bestMetrics,
      ended,
    })
    if (patience > 0 && now.sinceBest >= patience) return end('patience')
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
      for await (const batch of train.epoch(now.epoch, now.batch)) {
        position++
        const begun = performance.now()
        waited += (begun - asked) / 1000
        asked = begun
        if (batch.count > 0) pending.push(batch)
        if (pending.length === 0 || (pending.length < accumulate && position < train.batches)) continue
        const stepRate = rate(now.step)
        const done = await stepper.run(pending, now.step, stepRate)
        pending = []
        now.step++
        if (done.notFinite !== undefined) throw fail(done.notFinite)
        now.batch = position
        addTo(now.sums, done.sums)
        addTo(now.counts, done.counts)
        now.right += done.right
        now.of += done.of
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
          lr: stepRate,
          accuracy: now.right / Math.max(1, now.of),
          count: done.count,
          seconds: (performance.now() - begun) / 1000,
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
      const result = val && (await validate(val))
      if (val && !result) return end('signal')
      now.epoch++
      now.batch = 0
      const value = result ? measured(result) : now.best
      const raised = !result || value > now.best
      const isBest = raised || (value === now.best && result.loss < now.bestLoss)
      if (isBest) {
        now.best = value
        now.bestLoss = result?.loss ?? now.bestLoss
        now.bestMetrics = result ? { ...result.metrics, loss: result.loss } : {}
        now.bestEpoch = now.epoch
      }
      now.sinceBest = raised ? 0 : now.sinceBest + 1
      if (result && schedule === 'plateau') plateau.update(value)
      const event: EpochEvent = {
        kind: 'epoch',
        epoch: now.epoch,
        epochs,
        step: now.step,
        best: isBest,
        lr,
        trainLoss: lossOf(task, now.sums, now.counts, true),
        trainAccuracy: now.right / Math.max(1, now.of),
        ...(result ? { loss: result.loss, accuracy: result.accuracy, metrics: result.metrics } : {}),
        seconds: (performance.now() - started) / 1000,
        dataSeconds: waitedInAll,
      }
      now.sums = []
      now.counts = []
      now.right = 0
      now.of = 0
      if (isBest) await options.saveBest?.(event, result)
      await save(event)
      yield event
      if (signal?.aborted && now.epoch < epochs) return end('signal')
      if (patience > 0 && now.sinceBest >= patience) return end('patience')
    }
    return end('epochs')
  } finally {
    try {
      if (away) {
        await checkState()
        await save()
      }
    } finally {
      stepper.dispose()
      looks.dispose()
      optimizer.dispose()
    }
  }
}

const prefixed = (tensors: [string, Tensor][]): [string, Tensor][] =>
  tensors.map(([name, t]) => [`optimizer.${name}`, t])

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
