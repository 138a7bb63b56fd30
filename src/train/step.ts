// One step of training: forward and backward over its batches, in parts, then clipping and the update.
// Not here: which step comes next, and when it is saved (fit.ts).
import { Context } from '../nn/context.ts'
import { settingsOf } from '../nn/module.ts'
import { div, mul } from '../ops/elementwise.ts'
import { fill } from '../ops/view.ts'
import { clipFactor } from '../optim/clip.ts'
import type { Optimizer } from '../optim/optimizer.ts'
import { Rng } from '../tensor/philox.ts'
import { scope } from '../tensor/scope.ts'
import { addInto, valueAndGrad } from '../tensor/tape.ts'
import { type Parameter, type Tensor, tensor } from '../tensor/tensor.ts'
import type { Batch, Network } from './evaluate.ts'
import { firstNotFinite } from './finite.ts'
import type { FitOptions } from './fit-options.ts'
import { defaultMicroBatch, partsOf } from './micro-batch.ts'
import { Replay, type StepInput } from './replay.ts'

/** What one step came to: loss and accuracy are those before its update. */
export interface StepResult {
  /** Mean over the step's images. */
  loss: number
  accuracy: number
  images: number
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
  const { labelSmoothing = 0, patchKeep = 1 } = options
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
   * Loss and logits of a part and its gradients. Where these are added to `sums`, loss and gradients count by the part's
   * share of the step's images, which is a tensor: the same recording serves parts of any share.
   */
  const pass = (key: string, batch: Batch, total: number, rng: Rng) => {
    const scalar = (value: number): StepInput => ({ data: Float32Array.of(value), shape: [] })
    const inputs: Record<string, StepInput> = {
      images: { data: batch.images, shape: batch.shape },
      targets: task.targets(backend, batch.labels),
      ...(sums.length > 0 ? { part: scalar(batch.labels.length), whole: scalar(total) } : {}),
      ...(patchKeep < 1 ? { keep: keptPatches(model, batch.labels.length, patchKeep, rng) } : {}),
    }
    return passes.run(key, inputs, ({ images, targets, keep, part, whole }) => {
      const { value, aux, grads } = valueAndGrad<Tensor>(() => {
        const context = new Context(true, dropoutSeed)
        const checkpoint = options.checkpointing ?? false
        const logits = model.forward(images!, context, keep ? { checkpoint, keep } : { checkpoint })
        const value = task.loss(logits, targets!, labelSmoothing)
        return [part && whole ? mul(value, div(part, whole)) : value, logits]
      }, weights)
      for (const [i, sum] of sums.entries()) addInto(sum, grads[i]!)
      return { value, logits: aux, grads: sums.length > 0 ? [] : grads }
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
      const metrics = task.metrics()
      let loss = 0
      let strange: string | undefined
      const total = batches.reduce((sum, { labels }) => sum + labels.length, 0)
      let key = ''
      let grads: readonly Tensor[] = []
      try {
        for (const [place, batch] of batches.entries()) {
          const draw = number * options.accumulate + place
          const rng = new Rng(seed, 2 ** 31 + draw)
          const parts = partsOf(batch, most)
          passes.keep = new Set(parts.map(({ labels }) => labels.length)).size
          for (const [part, piece] of parts.entries()) {
            // Each part has random numbers of its own; the first those of a whole batch.
            dropoutSeed.assign(Int32Array.of(seed, draw + part * 2 ** 24))
            if (piece.labels.length < total && sums.length === 0) sums = zerosLike(weights)
            key = `${sums.length > 0} ${piece.shape} ${settingsOf(model)}`
            const done = scope(() => pass(key, piece, total, rng))
            const [lossNow, logits] = await Promise.all([
              done.value.item(),
              done.logits.data() as Promise<Float32Array>,
            ])
            loss += lossNow
            // An output may be infinite where the loss is not.
            const at = Number.isFinite(lossNow) ? firstNotFinite(logits) : -1
            if (at >= 0) strange ??= `an output became ${logits[at]}`
            metrics.add(logits, piece.labels)
            grads = sums.length > 0 ? sums : done.grads
          }
        }
        const { accuracy } = metrics.result()
        if (strange === undefined && !Number.isFinite(loss)) strange = `the loss became ${loss}`
        if (strange !== undefined) return { loss, accuracy, images: total, notFinite: strange }
        const norm = update(sums.length > 0 ? '' : key, grads, lr)
        const gradNorm = norm ? await norm.item() : undefined
        if (gradNorm !== undefined && !Number.isFinite(gradNorm)) strange = `the gradient norm became ${gradNorm}`
        return { loss, accuracy, images: total, gradNorm, notFinite: strange }
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
