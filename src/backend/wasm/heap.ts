// Room in a WebAssembly memory: best fit, neighbours merged, grows the memory on demand. Knows nothing of tensors.
// A block may be given back while queued commands still use it: that is safe for what later commands write, but not
// for what the host writes at once. So free room remembers the command count after which nothing touches it.
import { lessMemory, OutOfMemoryError } from '../../platform/errors.ts'

const PAGE = 65536
const ALIGN = 64

/** Rounds up to whole cache lines. */
const whole = (bytes: number) => Math.max(ALIGN, Math.ceil(bytes / ALIGN) * ALIGN)

/** What a heap fills: a WebAssembly memory, or a range of addresses that only grows. */
export interface Room {
  readonly buffer: { readonly byteLength: number }
  grow(pages: number): number
}

/** Addresses without memory behind them, to plan in. */
export const endless: Room = { buffer: { byteLength: Number.POSITIVE_INFINITY }, grow: () => 0 }

export interface Heap {
  /**
   * The address of `bytes` bytes, 64-byte aligned, contents undefined. With `settled`, only room that no command after
   * that count touches. Throws when the memory cannot grow.
   */
  alloc(bytes: number, settled?: number): number
  /** Gives a block back; commands up to the count `pending` may still use it. */
  free(address: number, pending: number): void
  /** The count after which no earlier command touches the live block. */
  pendingOf(address: number): number
  /** Bytes between the first and the last address, free or not. */
  capacity(): number
}

/** A heap from byte `base` of the memory up to its maximum of `maxBytes`. */
export function createHeap(memory: Room, base: number, maxBytes: number): Heap {
  // Free blocks by address.
  const starts: number[] = []
  const sizes: number[] = []
  const pendings: number[] = []
  const live = new Map<number, { size: number; pending: number }>()
  let end = base

  /** Index of the first free block at or behind an address. */
  function position(address: number): number {
    let low = 0
    let high = starts.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (starts[middle]! < address) low = middle + 1
      else high = middle
    }
    return low
  }

  function insert(start: number, size: number, pending: number): void {
    let i = position(start)
    if (i > 0 && starts[i - 1]! + sizes[i - 1]! === start) {
      i--
      sizes[i]! += size
      pendings[i] = Math.max(pendings[i]!, pending)
    } else {
      starts.splice(i, 0, start)
      sizes.splice(i, 0, size)
      pendings.splice(i, 0, pending)
    }
    if (i + 1 < starts.length && starts[i]! + sizes[i]! === starts[i + 1]!) {
      sizes[i]! += sizes[i + 1]!
      pendings[i] = Math.max(pendings[i]!, pendings[i + 1]!)
      starts.splice(i + 1, 1)
      sizes.splice(i + 1, 1)
      pendings.splice(i + 1, 1)
    }
  }

  /** Takes `size` bytes from free block i. */
  function take(i: number, size: number): number {
    const start = starts[i]!
    const pending = pendings[i]!
    if (sizes[i] === size) {
      starts.splice(i, 1)
      sizes.splice(i, 1)
      pendings.splice(i, 1)
    } else {
      starts[i] = start + size
      sizes[i]! -= size
    }
    live.set(start, { size, pending })
    return start
  }

  function bestFit(size: number, settled: number): number {
    let best = -1
    for (let i = 0; i < starts.length; i++) {
      if (sizes[i]! < size || pendings[i]! > settled) continue
      if (best < 0 || sizes[i]! < sizes[best]!) best = i
    }
    return best
  }

  /** Makes the memory at least `bytes` longer than `end`; false where it may not be. */
  function grow(bytes: number): boolean {
    const have = memory.buffer.byteLength
    const need = end + bytes
    if (need > maxBytes) return false
    if (need > have) {
      const pages = Math.ceil((need - have) / PAGE)
      const room = Math.floor((maxBytes - have) / PAGE)
      // A few large steps instead of many small ones.
      const step = Math.min(room, Math.max(pages, 256, Math.ceil(have / PAGE / 8)))
      try {
        memory.grow(step)
      } catch {
        try {
          memory.grow(pages)
        } catch {
          return false
        }
      }
    }
    return true
  }

  return {
    alloc(bytes, settled = Number.POSITIVE_INFINITY) {
      const size = whole(bytes)
      const fit = bestFit(size, settled)
      if (fit >= 0) return take(fit, size)
      // A free block at the end is made longer, when it may be used at all.
      const tail = starts.length - 1
      const extend = tail >= 0 && starts[tail]! + sizes[tail]! === end && pendings[tail]! <= settled
      const missing = extend ? size - sizes[tail]! : size
      if (!grow(missing)) {
        throw new OutOfMemoryError(`wasm: out of memory, needed ${bytes} bytes of ${maxBytes}; ${lessMemory}`)
      }
      if (extend) {
        sizes[tail]! += missing
        end += missing
        return take(tail, size)
      }
      const start = end
      end += size
      live.set(start, { size, pending: 0 })
      return start
    },
    free(address, pending) {
      const block = live.get(address)
      if (!block) throw new Error(`wasm: address ${address} is not in use`)
      live.delete(address)
      insert(address, block.size, Math.max(pending, block.pending))
    },
    pendingOf: (address) => live.get(address)?.pending ?? 0,
    capacity: () => end - base,
  }
}
