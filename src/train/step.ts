// One step of training: forward and backward over its batches, in parts, then clipping and the update.
// Not here: which step comes next, and when it is saved (fit.ts).
import { Context } from '../nn/context.ts'
import { settingsOf } from '../nn/module.ts'
import { mul } from '../ops/elementwise.ts'
import { sum } from '../ops/reduce.ts'
import { fill } from '../ops/view.ts'
import { clipFactor } from '../optim/clip.ts'
import type { Optimizer } from '../optim/optimizer.ts'
import { type HostInputs, shapesOf } from '../tensor/host.ts'
import { Rng } from '../tensor/philox.ts'
import { scope } from '../tensor/scope.ts'
import { addInto, valueAndGrad } from '../tensor/tape.ts'
import { type Parameter, type Tensor, tensor } from '../tensor/tensor.ts'
import { type Batch, defaultMicroBatch, partsOf } from './batch.ts'
import { addTo } from './evaluate.ts'
import { firstNotFinite } from './finite.ts'
import type { FitOptions } from './fit-options.ts'
import { Replay, type StepInput } from './replay.ts'

/** What one step came to, before its update. */
export interface StepResult {
  /** What is optimised. */
  loss: number
  /** Sum of each term of the loss, and how much it counts. */
  sums: number[]
  counts: number[]
  /** Decisions that are right, of how many. */
  right: number
  of: number
  /** Samples. */
  count: number
  /** Global gradient norm before clipping, where there is clipping. */
  gradNorm?: number | undefined
  /** What was no finite number: the weights are as they were before the step, unless it is the gradient norm. */
  notFinite?: string | undefined
}

export interface Stepper {
  /** Step `number`, counted from 0, over up to `accumulate` batches. */
  run(batches: readonly Batch[], number: number, lr: number): Promise<StepResult>
  dispose(): void
}

/** Inputs by names of their own, so that a model's and a task's do not meet. */
const prefixed = (prefix: string, inputs: HostInputs): Record<string, StepInput> =>
  Object.fromEntries(Object.entries(inputs).map(([name, values]) => [prefix + name, values]))

/** Those of a prefix, without it. */
const withPrefix = (prefix: string, tensors: Readonly<Record<string, Tensor>>): Record<string, Tensor> =>
  Object.fromEntries(
    Object.entries(tensors).flatMap(([name, t]) => (name.startsWith(prefix) ? [[name.slice(prefix.length), t]] : [])),
  )

const zerosLike = (tensors: readonly Tensor[]) =>
  tensors.map((t) => tensor(t.backend, new Float32Array(t.size), t.shape))

/** The steps of `fit` on these parameters; `seed` governs what is random in them. Whoever made it disposes it. */
export function createStepper(
  options: FitOptions & { accumulate: number },
  params: readonly [string, Parameter][],
  optimizer: Optimizer,
  seed: number,
): Stepper {
  const { model, task } = options
  const { backend } = model
  const weights = params.map(([, p]) => p)
  const dropoutSeed = tensor(backend, new Int32Array(2), [2])
  const passes = new Replay(backend, { record: options.replay ?? true })
  const split = optimizer.prepare !== undefined && optimizer.update !== undefined
  const updates = new Replay(backend, { record: split && (options.replay ?? true) })
  /** Gradients added up over the parts of a step; the update leaves zeros. */
  let sums: readonly Tensor[] = []
  const most = options.microBatch ?? defaultMicroBatch(model, options.checkpointing)

  /**
   * Terms of the loss and logits of a part, and its gradients. What the terms are multiplied by is that of the whole step, and
   * a tensor: parts add up to it, and the same recording serves parts of any share.
   */
  const pass = (key: string, { inputs, targets, count }: Batch, scales: Float32Array, rng: Rng) => {
    const given: Record<string, StepInput> = {
      ...prefixed('in.', { ...inputs, ...model.draw?.(count, rng) }),
      ...prefixed('want.', targets),
      scales: { data: scales, shape: [scales.length] },
    }
    return passes.run(key, given, (tensors) => {
      const { aux, grads } = valueAndGrad<[Tensor, Tensor]>(() => {
        const context = new Context(true, dropoutSeed)
        const logits = model.outputs(withPrefix('in.', tensors), context, {
          checkpoint: options.checkpointing ?? false,
        })
        const terms = task.terms(logits, withPrefix('want.', tensors), true)
        return [sum(mul(terms, tensors.scales!), 0), [terms, logits]]
      }, weights)
      for (const [i, sum] of sums.entries()) addInto(sum, grads[i]!)
      return { terms: aux[0], logits: aux[1], grads: sums.length > 0 ? [] : grads }
    })
  }

  /** Clips and updates; the norm where there is clipping. */
  const update = (key: string, grads: readonly Tensor[], lr: number) => {
    if (split) optimizer.prepare!(lr)
    return updates.run(key, {}, () => {
      const clip = options.clip ? clipFactor(grads, options.clip) : undefined
      const named = new Map(params.map(([name], i) => [name, grads[i]!]))
      if (split) optimizer.update!(named, clip?.factor)
      else optimizer.step(named, lr, clip?.factor)
      for (const sum of sums) fill(sum, 0)
      return clip?.norm
    })
  }

  return {
    async run(batches, number, lr) {
      const result: StepResult = { loss: 0, sums: [], counts: [], right: 0, of: 0, count: 0 }
      for (const { targets, count } of batches) {
        addTo(result.counts, task.counts(targets))
        result.count += count
      }
      const scales = Float32Array.from(task.scales(result.counts))
      let strange: string | undefined
      let key = ''
      let grads: readonly Tensor[] = []
      try {
        for (const [place, batch] of batches.entries()) {
          const draw = number * options.accumulate + place
          const rng = new Rng(seed, 2 ** 31 + draw)
          const parts = partsOf(batch, most)
          passes.keep = new Set(parts.map(({ count }) => count)).size
          for (const [part, piece] of parts.entries()) {
            // Each part has random numbers of its own; the first those of a whole batch.
            dropoutSeed.assign(Int32Array.of(seed, draw + part * 2 ** 24))
            if (piece.count < result.count && sums.length === 0) sums = zerosLike(weights)
            key = `${sums.length > 0} ${shapesOf(piece.inputs)} ${shapesOf(piece.targets)} ${settingsOf(model)}`
            const done = scope(() => pass(key, piece, scales, rng))
            const [terms, logits] = (await Promise.all([done.terms.data(), done.logits.data()])) as Float32Array[]
            addTo(result.sums, terms!)
            // An output may be infinite where the loss is not.
            const at = terms!.every(Number.isFinite) ? firstNotFinite(logits!) : -1
            if (at >= 0) strange ??= `an output became ${logits![at]}`
            const { right, of } = task.right(logits!, piece.targets)
            result.right += right
            result.of += of
            grads = sums.length > 0 ? sums : done.grads
          }
        }
        result.loss = scales.reduce((loss, scale, i) => loss + scale * result.sums[i]!, 0)
        if (strange === undefined && !Number.isFinite(result.loss)) strange = `the loss became ${result.loss}`
        if (strange !== undefined) return { ...result, notFinite: strange }
        const norm = update(sums.length > 0 ? '' : key, grads, lr)
        const gradNorm = norm ? await norm.item() : undefined
        if (gradNorm !== undefined && !Number.isFinite(gradNorm)) strange = `the gradient norm became ${gradNorm}`
        return { ...result, gradNorm, notFinite: strange }
      } finally {
        passes.release()
        updates.release()
      }
    },
    dispose() {
      updates.dispose()
      passes.dispose()
      for (const t of [...sums, dropoutSeed]) t.dispose()
    },
  }
}
