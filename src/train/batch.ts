// Batches, their sources, and a batch in parts: samples do not meet in a model, so the gradients of parts add up to the batch's.
import type { Backend } from '../backend/backend.ts'
import type { Model } from '../nn/model.ts'
import { type HostInputs, samplesOf } from '../tensor/host.ts'

export interface Batch {
  /** What the model reads, by name; normalised, (B, ...) each. */
  readonly inputs: HostInputs
  /** What the task wants of it, by name, (B, ...) each. */
  readonly targets: HostInputs
  /** B; may be 0, where none of its samples could be read. */
  readonly count: number
  /** What each sample is called, for messages. */
  readonly names: readonly string[]
  /** Seconds that a teacher or a frozen backbone computed for it, which the loop counts as computing, not as waiting for data. */
  readonly computeSeconds?: number | undefined
}

/** Runs what reads the model that is trained with the averages of its weights, where training keeps some. */
export type AsKept = <T>(fn: () => Promise<T>) => Promise<T>

/** Where batches come from, epoch by epoch; the same epoch number gives the same batches. */
export interface BatchSource {
  /** Batches of an epoch. */
  readonly batches: number
  /** `asKept` is for a source that asks the model, which has had all steps before the batch that is wanted. */
  epoch(epoch: number, firstBatch: number, asKept?: AsKept): AsyncIterable<Batch>
}

/**
 * Tokens in one part on wasm: what forward keeps for backward grows with them (35 kB a patch of DINOv2-small), while each
 * part packs the weights anew (1 % of the time at 1024). A GPU takes what it is given: it needs the batch to fill its cores.
 */
const TOKENS = 1024

/**
 * The most samples to compute at a time where the user says nothing. Half as many under checkpointing, where a part keeps
 * little and the user wants memory more than the last percent of time.
 */
export function defaultMicroBatch(
  { backend, tokens }: Pick<Model, 'tokens'> & { readonly backend: Pick<Backend, 'name'> },
  checkpointing = false,
): number {
  if (backend.name !== 'wasm' || tokens === 0) return Number.POSITIVE_INFINITY
  return Math.max(1, Math.floor(TOKENS / (checkpointing ? 2 : 1) / tokens))
}

/** The parts of a batch, each of at most `most` samples; their sizes differ by one at most, so that few are recorded. */
export function partsOf(batch: Batch, most: number): Batch[] {
  const { inputs, targets, count, names } = batch
  const parts = Math.max(1, Math.ceil(count / most))
  if (parts === 1) return [batch]
  return Array.from({ length: parts }, (_, i) => {
    const from = Math.floor((i * count) / parts)
    const to = Math.floor(((i + 1) * count) / parts)
    return {
      inputs: samplesOf(inputs, from, to),
      targets: samplesOf(targets, from, to),
      count: to - from,
      names: names.slice(from, to),
    }
  })
}
