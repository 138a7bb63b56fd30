// What a backend is. Calls are queued in order and may run later; only `read` and `sync` wait.
import type { Buf, Bufs, Dtype, KernelName, Params } from './kernels.ts'

/** What was probed when the backend started; frozen. */
export interface Caps {
  readonly threads: number
  /** Fused relaxed multiply-add in use (results differ from plain SIMD in the last bits). */
  readonly relaxedSimd: boolean
  /** Vectors of 256 bits in use (WASM in Node 24 and later); results are the same bits. */
  readonly wide?: boolean
  readonly shared: boolean
  /** WASM: what multiplies codes of 8 bits, four at a time, two at a time or as f32; chosen when first asked for, in some 20 ms. */
  readonly integer?: 'dot' | 'dot16' | 'f32'
  /** Why a faster variant is not in use, one sentence each. */
  readonly notes: readonly string[]
  /** Most bytes of all buffers together, where that is known. */
  readonly maxBytes?: number
  /** Most bytes of one buffer, where there is a limit. */
  readonly maxBufferBytes?: number
}

/** Bytes: in live tensors, free but held, the highest of used so far, and how many buffers live. */
export interface MemoryStats {
  used: number
  pooled: number
  peak: number
  buffers: number
}

/** Counts since the start. A replayed step in its steady state adds to `dispatches`, `writes` and `submits` alone. */
export interface BackendStats {
  /** Kernels run; on WebGPU the compute passes of which they consist. */
  dispatches: number
  writes: number
  /** Pieces of memory taken from the system: device buffers made, staging included, or growths of the memory. */
  allocations: number
  /** Times that queued work was sent off. Only WebGPU has this and what follows. */
  submits?: number
  bindGroups?: number
  pipelines?: number
}

/** Commands recorded by `capture`, with the memory that they use. */
export interface Program {
  /** Dispatches of one replay, counted as `stats().dispatches` does. */
  readonly dispatches: number
  /** Queues the commands again. Throws when a buffer from outside of the recorded body was freed. */
  replay(): void
  /** Gives the program's memory back, with every buffer that its body made; harmless when repeated. */
  dispose(): void
}

export type HostArray = Float32Array | Float64Array | Int32Array

export interface Backend {
  readonly name: 'reference' | 'wasm' | 'webgpu'
  readonly caps: Caps
  /** Room for `length` elements, contents undefined. Throws when memory is exhausted. */
  alloc(length: number, dtype: Dtype): Buf
  /** Gives the room back; commands queued before still see it. */
  free(buf: Buf): void
  /** Copies host data into the buffer from element `offset`, ordered like a dispatch. */
  write(buf: Buf, data: HostArray, offset?: number): void
  /** A copy of `length` elements from `offset`, as they are once every queued command before has run. */
  read(buf: Buf, length?: number, offset?: number): Promise<HostArray>
  /** Queues one kernel. Sizes are the caller's promise: ops/ has checked them. */
  dispatch<K extends KernelName>(kernel: K, bufs: Bufs<K>, params: Params<K>): void
  /**
   * Records what `body` dispatches, without running it. Buffers made in the body belong to the program: they hold a
   * result after each replay and last until the program is disposed (freed in the body, their room serves later
   * commands). Throws on `write`, `read` or a nested `capture` inside, and what the body throws.
   */
  capture(body: () => void): Program
  /** Resolves once everything queued so far has run; rejects if a worker failed. */
  sync(): Promise<void>
  memory(): MemoryStats
  stats(): BackendStats
  /** Sets `memory().peak` to what is used now. */
  resetPeak(): void
  /** Ends workers and drops all memory. */
  dispose(): Promise<void>
}
