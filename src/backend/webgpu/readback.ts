// Reads device buffers through staging buffers that the host can map. A staging buffer is used again once unmapped.
import { mapRead, usage } from './device.ts'
import type { Encoder } from './encoder.ts'
import { sizeClass } from './pool.ts'

/** Free staging buffers kept, and the largest kept: reads in training are a few numbers. */
const KEEP = 4
const KEEP_BYTES = 2 ** 20

export interface Readback {
  /** The bytes as they are once every command before has run. Submits. Rejects when the device is lost. */
  read(from: GPUBuffer, offset: number, bytes: number): Promise<ArrayBuffer>
  dispose(): void
}

export function createReadback(device: GPUDevice, encoder: Encoder, made: () => void): Readback {
  const free: GPUBuffer[] = []
  const all = new Set<GPUBuffer>()

  function take(bytes: number): GPUBuffer {
    const at = free.findIndex((buffer) => buffer.size >= bytes)
    if (at >= 0) return free.splice(at, 1)[0]!
    const staging = device.createBuffer({ size: sizeClass(bytes), usage: usage.mapRead | usage.copyDst })
    all.add(staging)
    made()
    return staging
  }

  function give(staging: GPUBuffer): void {
    if (staging.size <= KEEP_BYTES) free.push(staging)
    // The smallest goes: a larger one serves its reads too.
    const least = free.length > KEEP ? free.reduce((a, b) => (b.size < a.size ? b : a)) : undefined
    if (staging.size <= KEEP_BYTES && !least) return
    const gone = least ?? staging
    if (least) free.splice(free.indexOf(least), 1)
    all.delete(gone)
    gone.destroy()
  }

  return {
    async read(from, offset, bytes) {
      const staging = take(bytes)
      encoder.copy(from, offset, staging, 0, bytes)
      encoder.flush()
      try {
        await staging.mapAsync(mapRead, 0, bytes)
        const copy = staging.getMappedRange(0, bytes).slice(0)
        staging.unmap()
        give(staging)
        return copy
      } catch (error) {
        all.delete(staging)
        staging.destroy()
        throw error
      }
    },
    dispose() {
      for (const staging of all) staging.destroy()
      all.clear()
      free.length = 0
    },
  }
}
