// What both ways of computing attention (attention-flash.ts, attention-direct.ts) agree on.
import type { Params } from '../../kernels.ts'
import type { GpuLimits, Pass } from '../kernel.ts'
import type { BufferSpec } from './wgsl.ts'

/** Stands for minus infinity, which WGSL may assume away: the score of a key past the end. */
export const LOWEST = '-1e30'

/** Bits of `u.flags` in the gradient's passes: which results are wanted. The forward pass has one: whether lse is. */
export const want = { dq: 1, dk: 2, dv: 4 }

/** One pass of attention. */
export type BuildPass = (
  sizes: Params<'attention'>,
  buffers: readonly BufferSpec[],
  flags: number,
  limits: GpuLimits,
) => Pass
