// A backend that computes nothing: it plans memory exactly as the WASM backend does, so that what a step needs is known
// before there is any. Reads give zeros.
import type { Backend, HostArray, Program } from '../backend.ts'
import { type Buf, type Dtype, type KernelName, slotsOf } from '../kernels.ts'
import { createHeap, endless, type Heap } from './heap.ts'
import { HEAP } from './layout.ts'
import { joinProducts, listPlan, type Numbers, planOf } from './plan.ts'

export interface Planner extends Backend {
  /** Bytes that the memory would have to be long: the peak, scratch, and room lost between blocks. */
  reserved(): number
  /** Bytes of the largest buffer, and of the largest scratch that a kernel took. */
  largest(): { buffer: number; scratch: number }
}

class PlannedBuf implements Buf {
  constructor(
    readonly length: number,
    readonly dtype: Dtype,
    readonly address: number,
    /** Where it lies: in memory, or in the block of a recorded step. */
    readonly home: { readonly heap: Heap; over: boolean },
  ) {}
}

type Named = Readonly<Record<string, Buf | readonly Buf[] | undefined>>

/** Bytes of scratch that one call takes. */
function scratchOf(kernel: KernelName, bufs: Named, params: Numbers, threads: number): number {
  const list = slotsOf(kernel).find((slot) => slot.list)
  if (list) {
    // How many entries a command holds changes the commands, not their scratch.
    const lengths = (bufs[list.name] as readonly Buf[]).map(({ length }) => length)
    return listPlan(kernel, lengths, lengths.length).shared
  }
  const plan = planOf(kernel, kernel === 'matmul' ? joinProducts(params) : params, (name) => bufs[name] !== undefined)
  return plan.shared + Math.ceil(plan.own / 64) * 64 * threads
}

/** A planner for a number of threads, each of which takes scratch of its own. */
export function createPlanner({ threads = 1 }: { threads?: number } = {}): Planner {
  const memory = { heap: createHeap(endless, HEAP, Number.POSITIVE_INFINITY), over: false }
  let recording: { readonly heap: Heap; over: boolean; dispatches: number } | undefined
  const counts = { dispatches: 0, writes: 0, allocations: 0 }
  const largest = { buffer: 0, scratch: 0 }
  const live = new Set<PlannedBuf>()
  let programs = 0
  let used = 0
  let peak = 0
  const use = (bytes: number) => {
    used += bytes
    peak = Math.max(peak, used)
  }
  return {
    name: 'wasm',
    caps: Object.freeze({ threads, relaxedSimd: false, shared: threads > 1, notes: Object.freeze(['plans only']) }),
    alloc(length, dtype) {
      const home = recording ?? memory
      const buf = new PlannedBuf(length, dtype, home.heap.alloc(length * 4), home)
      live.add(buf)
      largest.buffer = Math.max(largest.buffer, length * 4)
      if (!recording) use(length * 4)
      return buf
    },
    free(handle) {
      const buf = handle as PlannedBuf
      if (!live.delete(buf) || buf.home.over) return
      if (buf.home === memory) {
        memory.heap.free(buf.address, 0)
        used -= buf.length * 4
      } else if (buf.home === recording) recording.heap.free(buf.address, 0)
    },
    write() {
      counts.writes++
    },
    async read(handle, length, offset = 0): Promise<HostArray> {
      const n = length ?? handle.length - offset
      return handle.dtype === 'i32' ? new Int32Array(n) : new Float32Array(n)
    },
    dispatch(kernel, bufs, params) {
      const scratch = scratchOf(kernel, bufs as Named, params as Numbers, threads)
      largest.scratch = Math.max(largest.scratch, scratch)
      if (scratch > 0) {
        const { heap } = recording ?? memory
        heap.free(heap.alloc(scratch + 64), 0)
      }
      if (recording) recording.dispatches++
      else counts.dispatches++
    },
    capture(body): Program {
      if (recording) throw new Error('planner: a recorded step cannot record another')
      const step = { heap: createHeap(endless, 64, Number.POSITIVE_INFINITY), over: false, dispatches: 0 }
      recording = step
      try {
        body()
      } finally {
        recording = undefined
      }
      const bytes = step.heap.capacity()
      const block = memory.heap.alloc(bytes)
      use(bytes)
      programs++
      return {
        dispatches: step.dispatches,
        replay() {
          counts.dispatches += step.dispatches
        },
        dispose() {
          if (step.over) return
          step.over = true
          for (const buf of live) if (buf.home === step) live.delete(buf)
          memory.heap.free(block, 0)
          used -= bytes
          programs--
        },
      }
    },
    sync: async () => {},
    memory: () => ({ used, pooled: memory.heap.capacity() - used, peak, buffers: live.size + programs }),
    stats: () => ({ ...counts }),
    resetPeak() {
      peak = used
    },
    reserved: () => memory.heap.capacity(),
    largest: () => ({ ...largest }),
    dispose: async () => {},
  }
}
