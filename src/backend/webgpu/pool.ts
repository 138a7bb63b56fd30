// Device buffers by size class. One buffer holds one tensor: WebGPU tracks usage per buffer, so inputs can bind as `read`.
// A freed buffer may be used again at once, since the queue runs in order; it is destroyed only when its work is done.
import { usage } from './device.ts'

export interface Slot {
  readonly id: number
  readonly buffer: GPUBuffer
  /** Bytes of the buffer: the size class. */
  readonly bytes: number
  /** The number of the batch of commands that last used it. */
  touched: number
}

export interface Pool {
  /** A buffer of at least `bytes`, contents undefined. */
  take(bytes: number): Slot
  give(slot: Slot): void
  /** Bytes held: handed out and free. */
  held(): number
  /** Destroys everything. */
  dispose(): void
}

export interface PoolHooks {
  /** Called when a buffer has been made, and when one is about to be destroyed. */
  readonly made: () => void
  readonly dropped: (slot: Slot) => void
  /** Resolves when all that was submitted so far, and what is being encoded, has run. */
  readonly finished: () => Promise<void>
}

/** Free bytes beyond this share of what is in use go back to the system, but not the first 64 MiB. */
const SPARE = 0.5
const KEEP = 64 * 2 ** 20

/** Four classes for each doubling, at least 256 bytes: at most a fifth of a buffer is waste. */
export function sizeClass(bytes: number): number {
  if (bytes <= 256) return 256
  const step = 2 ** (Math.floor(Math.log2(bytes - 1)) - 2)
  return Math.max(Math.ceil(bytes / step) * step, 256)
}

export function createPool(device: GPUDevice, maxBytes: number, hooks: PoolHooks): Pool {
  // Oldest first, whatever the order of freeing: a step that repeats gets the same buffers, so its bind groups are known.
  const free = new Map<number, Slot[]>()
  const all = new Set<Slot>()
  let nextId = 1
  let held = 0
  let spare = 0
  let highest = 0

  function drop(slot: Slot): void {
    all.delete(slot)
    held -= slot.bytes
    hooks.dropped(slot)
  }

  /** Lets go of free buffers, the largest classes first, until `bytes` more fit into what was ever needed, and a half. */
  function trim(bytes: number): void {
    const most = KEEP + highest * (1 + SPARE)
    if (held + bytes <= most) return
    const dropped: Slot[] = []
    for (const size of [...free.keys()].sort((a, b) => b - a)) {
      const slots = free.get(size)!
      while (slots.length > 0 && held + bytes > most) {
        const slot = slots.pop()!
        spare -= slot.bytes
        drop(slot)
        dropped.push(slot)
      }
    }
    const destroy = () => {
      for (const { buffer } of dropped) buffer.destroy()
    }
    // A lost device has no use for them either.
    if (dropped.length > 0) hooks.finished().then(destroy, destroy)
  }

  return {
    take(bytes) {
      if (bytes > maxBytes) {
        throw new Error(`webgpu: a buffer must fit the device's ${maxBytes} bytes, got ${bytes}; use a smaller batch`)
      }
      const size = Math.min(sizeClass(bytes), maxBytes)
      const reused = free.get(size)?.shift()
      if (reused) {
        spare -= size
        highest = Math.max(highest, held - spare)
        return reused
      }
      trim(size)
      const buffer = device.createBuffer({ size, usage: usage.storage | usage.uniform | usage.copySrc | usage.copyDst })
      const slot: Slot = { id: nextId++, buffer, bytes: size, touched: 0 }
      all.add(slot)
      held += size
      highest = Math.max(highest, held - spare)
      hooks.made()
      return slot
    },
    give(slot) {
      const slots = free.get(slot.bytes)
      if (!slots) free.set(slot.bytes, [slot])
      else {
        const after = slots.findLastIndex(({ id }) => id < slot.id)
        slots.splice(after + 1, 0, slot)
      }
      spare += slot.bytes
    },
    held: () => held,
    dispose() {
      for (const { buffer } of all) buffer.destroy()
      all.clear()
      free.clear()
      held = 0
      spare = 0
    },
  }
}
