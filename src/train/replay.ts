// Steps that are recorded once for each shape of their inputs, and replayed from then on: no tape, no shapes to check and
// no memory to find a second time. What changes between steps goes in as inputs, or as tensors written between steps.
import type { Backend, Program } from '../backend/backend.ts'
import { overwrite } from '../ops/view.ts'
import type { HostValues } from '../tensor/host.ts'
import { detached } from '../tensor/scope.ts'
import { empty, Tensor, tensor } from '../tensor/tensor.ts'

/** What a step reads: host data with its shape, or a tensor, which is copied. */
export type StepInput = HostValues | Tensor

export interface ReplayOptions {
  /** False runs every step anew. */
  record?: boolean
  /** Recorded steps kept, each with the memory that it needs; the oldest goes first. Default 1. */
  keep?: number
}

interface Recorded {
  readonly program: Program
  readonly inputs: readonly Tensor[]
  readonly result: unknown
  /** The tensors in `result`. */
  readonly tensors: readonly Tensor[]
}

/** Runs steps on one backend and owns what they return. */
export class Replay {
  private readonly recorded = new Map<string, Recorded>()
  /** Recorded steps kept, each with the memory that it needs; the oldest goes first. */
  keep: number
  private readonly record: boolean
  private last: readonly Tensor[] = []

  constructor(
    private readonly backend: Backend,
    { record = true, keep = 1 }: ReplayOptions = {},
  ) {
    this.record = record
    this.keep = keep
  }

  /**
   * `fn` of the inputs, recorded under `key` and the inputs' shapes. A recorded step does not call `fn` again: whatever
   * else it depends on must be in the key or in a tensor. It may only dispatch. The tensors in the result belong to
   * this object and hold until the next `run`. Throws when a tensor that the step uses was disposed since.
   */
  run<K extends string, T>(key: string, inputs: Record<K, StepInput>, fn: (inputs: Record<K, Tensor>) => T): T {
    this.release()
    const given = Object.entries<StepInput>(inputs)
    const named = (tensors: readonly Tensor[]) =>
      Object.fromEntries(given.map(([name], i) => [name, tensors[i]!])) as Record<K, Tensor>
    if (!this.record) {
      const { value, tensors } = detached(() => {
        const own = given.map(([, x]) => (x instanceof Tensor ? x : tensor(this.backend, x.data, x.shape)))
        return fn(named(own))
      })
      this.last = tensors
      return value
    }
    const full = JSON.stringify([key, given.map(([name, x]) => [name, x.shape, dtypeOf(x)])])
    let step = this.recorded.get(full)
    if (!step) {
      const known = [...this.recorded.keys()]
      for (const old of known.slice(0, Math.max(0, known.length + 1 - this.keep))) this.forget(old)
      step = this.capture(
        given.map(([, x]) => x),
        (tensors) => fn(named(tensors)),
      )
      this.recorded.set(full, step)
    }
    given.forEach(([, x], i) => {
      if (x instanceof Tensor) overwrite(step.inputs[i]!, x)
      else step.inputs[i]!.assign(x.data)
    })
    step.program.replay()
    return step.result as T
  }

  /** Frees the results of a step that was not recorded; those of recorded steps stay until these are forgotten. */
  release(): void {
    for (const t of this.last) t.dispose()
    this.last = []
  }

  /** Frees everything. */
  dispose(): void {
    this.release()
    for (const key of [...this.recorded.keys()]) this.forget(key)
  }

  private capture(given: readonly StepInput[], fn: (inputs: readonly Tensor[]) => unknown): Recorded {
    const { tensors: inputs } = detached(() => given.map((x) => empty(this.backend, x.shape, dtypeOf(x))))
    try {
      let done: { value: unknown; tensors: readonly Tensor[] } | undefined
      const program = this.backend.capture(() => {
        done = detached(() => fn(inputs))
      })
      return { program, inputs, result: done!.value, tensors: done!.tensors }
    } catch (error) {
      for (const t of inputs) t.dispose()
      throw error
    }
  }

  private forget(key: string): void {
    const { program, inputs, tensors } = this.recorded.get(key)!
    this.recorded.delete(key)
    for (const t of [...tensors, ...inputs]) t.dispose()
    program.dispose()
  }
}

const dtypeOf = (x: StepInput) => (x instanceof Tensor ? x.dtype : x.data instanceof Int32Array ? 'i32' : 'f32')
