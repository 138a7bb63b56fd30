// What one forward pass needs to know beside its input: is it training, and which random numbers are this step's.
import { dropout } from '../ops/dropout.ts'
import type { Tensor } from '../tensor/tensor.ts'

export class Context {
  /** Numbers the random call sites of this pass in order. */
  stream = 0
  /** `seed`: i32 (2), the run's seed and the step; needed where a dropout rate is above 0. */
  constructor(
    readonly training: boolean = false,
    private readonly seed?: Tensor,
  ) {}

  /** Dropout in training, x itself otherwise. `inner` elements share one fate. */
  drop(x: Tensor, p: number, inner = 1): Tensor {
    if (!this.training || p === 0) return x
    if (!this.seed) throw new Error('dropout: training needs a seed, got a context without one')
    return dropout(x, p, this.seed, this.stream++, inner)
  }
}
