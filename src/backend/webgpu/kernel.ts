// What a WebGPU kernel is: from the parameters of one call to the passes that compute it. Pure text and numbers, no GPU.
import type { KernelName, Params } from '../kernels.ts'

/** How a pass binds a buffer. */
export type Access = 'read' | 'read_write' | 'uniform'

/** One compute pass. */
export interface Pass {
  /** Everything the WGSL depends on (constants, which optional buffers are there): the pipeline cache's key with the kernel's name. */
  readonly key: string
  /** The WGSL module; entry point `main`. Bindings 0.. are `buffers` in order in group 0, then the uniform block where `words` is not empty. */
  readonly code: () => string
  /**
   * Names from the kernel table (`NAME:3` for the fourth of a list), `temp:NAME` for scratch of `temps`, or `none` for an output
   * that is not wanted; outputs and in-place buffers are `read_write`, the rest `read`, or `uniform` where they are a few
   * numbers and storage buffers are short: uniform ones are counted apart.
   */
  readonly buffers: readonly { readonly name: string; readonly access: Access }[]
  /** The uniform block, 4-byte words in order: i32 as they are, f32 where `floats` says. */
  readonly words: readonly number[]
  readonly floats?: readonly boolean[]
  readonly workgroups: readonly [number, number, number]
}

export interface Plan {
  readonly passes: readonly Pass[]
  /** Scratch elements (4 bytes each) by name, alive for this call only. */
  readonly temps?: Readonly<Record<string, number>>
}

/** What the device allows, and which variants are switched on. */
export interface GpuLimits {
  readonly maxWorkgroups: number
  readonly maxInvocations: number
  readonly workgroupStorage: number
  /** Most storage buffers of a pass. */
  readonly storageBuffers: number
  /** The adapter is a CPU: matmul and attention take their operands straight from memory. */
  readonly direct: boolean
  /** The least invocations of a subgroup; 0 where subgroups are not used. */
  readonly subgroups: number
  /** Products of Linear's forward pass hold their tiles in half precision. */
  readonly f16: boolean
  /** WGSL has `dot4I8Packed`. */
  readonly dot: boolean
}

export type GpuKernel<K extends KernelName> = (
  params: Params<K>,
  has: (buffer: string) => boolean,
  limits: GpuLimits,
  /** Elements of each entry of the kernel's lists, where it has lists. */
  lengths: readonly number[],
) => Plan
