// A backend that computes nothing: it tells what is dispatched, so that a training step can be counted in a moment.
import type { Backend, Buf, Bufs, KernelName, MemoryStats, Params } from 'vitune/tensor'

/** One dispatched kernel as it came. */
export interface Call {
  readonly kernel: KernelName
  /** By name; entry i of a list is `name:i`. */
  readonly bufs: Readonly<Record<string, Buf | undefined>>
  /** Elements of each entry of the lists; empty where the kernel has none. */
  readonly lengths: readonly number[]
  readonly params: Readonly<Record<string, number>>
}

/** A dispatch as a call, its lists taken apart. */
export function callOf<K extends KernelName>(kernel: K, bufs: Bufs<K>, params: Params<K>): Call {
  const given: Record<string, Buf> = {}
  let lengths: readonly number[] = []
  for (const [name, value] of Object.entries(bufs as Record<string, Buf | readonly Buf[] | undefined>)) {
    if (Array.isArray(value)) {
      lengths = value.map(({ length }) => length)
      for (const [i, buf] of value.entries()) given[`${name}:${i}`] = buf
    } else if (value) given[name] = value as Buf
  }
  return { kernel, bufs: given, lengths, params }
}

/** Every number read is 0. `seen` is told each dispatch. `capture` is not for it: fit with `replay: false`. */
export function countingBackend(seen: (call: Call) => void): Backend {
  const memory: MemoryStats = { used: 0, pooled: 0, peak: 0, buffers: 0 }
  const counts = { dispatches: 0, writes: 0, allocations: 0 }
  return {
    name: 'reference',
    caps: { threads: 1, relaxedSimd: false, shared: false, notes: [] },
    alloc(length, dtype) {
      counts.allocations++
      return { length, dtype }
    },
    free() {},
    write() {
      counts.writes++
    },
    async read(buf, length = buf.length) {
      return buf.dtype === 'i32' ? new Int32Array(length) : new Float32Array(length)
    },
    dispatch<K extends KernelName>(kernel: K, bufs: Bufs<K>, params: Params<K>) {
      counts.dispatches++
      seen(callOf(kernel, bufs, params))
    },
    capture() {
      throw new Error('counting backend: nothing is recorded here; fit with replay: false')
    },
    async sync() {},
    memory: () => memory,
    stats: () => counts,
    resetPeak() {},
    async dispose() {},
  }
}
