// What can be trained and evaluated: a module that makes outputs of named inputs.
import type { Backend } from '../backend/backend.ts'
import type { HostInputs } from '../tensor/host.ts'
import type { Rng } from '../tensor/philox.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { Context } from './context.ts'
import type { Module } from './module.ts'

/** How a forward pass is computed. */
export interface ForwardOptions {
  /** Recompute in the backward pass what can be, instead of keeping it. */
  checkpoint?: boolean
}

/** A module from named inputs, (B, ...) each, to outputs (B, K). Samples do not meet in it. */
export interface Model extends Module {
  readonly backend: Backend
  /** Tokens that a sample is cut into, by which the work of a sample is measured; 0 where that is next to nothing. */
  readonly tokens: number
  outputs(inputs: Readonly<Record<string, Tensor>>, ctx: Context, options?: ForwardOptions): Tensor
  /**
   * How deep a parameter lies, by its dotted name: 0 what embeds, then a number a block from 1 on, and the highest what follows
   * the last block. Absent where nothing is known of that.
   */
  depthOf?(name: string): number
  /** Further inputs that are drawn anew for each training step: which tokens are left out, say. */
  draw?(samples: number, rng: Rng): HostInputs
}
