// A recorded step: its buffers, one uniform buffer written once, bind groups made once; a replay only encodes and submits.
// Not here: from a kernel to its passes (webgpu.ts).
import type { Buf } from '../kernels.ts'
import { usage } from './device.ts'
import { BATCH } from './encoder.ts'
import type { Pipeline, Pipelines } from './pipelines.ts'
import { type Pool, type Slot, sizeClass } from './pool.ts'
import { BLOCK, put } from './uniforms.ts'

interface Command {
  readonly pipeline: Pipeline
  readonly slots: readonly Slot[]
  readonly words: readonly number[]
  readonly floats: readonly boolean[] | undefined
  readonly workgroups: readonly [number, number, number]
}

/** A step while it is recorded, and after. */
export class Recording {
  readonly commands: Command[] = []
  /** Buffers used that the step did not make. */
  readonly outside = new Set<Buf>()
  /** Bytes of the device buffers that it holds. */
  bytes = 0
  /** Whether its memory was given back. */
  over = false
  private readonly held: Slot[] = []
  private readonly free = new Map<number, Slot[]>()

  constructor(private readonly pool: Pool) {}

  /** A device buffer of at least `bytes`: one that an earlier command of the step is done with, or one of the pool. */
  take(bytes: number): Slot {
    const known = this.free.get(sizeClass(bytes))?.pop()
    if (known) return known
    const slot = this.pool.take(bytes)
    this.held.push(slot)
    this.bytes += slot.bytes
    return slot
  }

  /** Later commands of the step may use the buffer. */
  give(slot: Slot): void {
    const slots = this.free.get(slot.bytes)
    if (slots) slots.push(slot)
    else this.free.set(slot.bytes, [slot])
  }

  /** Gives all back to the pool. */
  drop(): void {
    if (this.over) return
    this.over = true
    for (const slot of this.held) this.pool.give(slot)
  }
}

export interface Encoded {
  /** Submits the commands; calls `submitted` for each batch of them. */
  replay(submitted: (dispatches: number) => void): void
  dispose(): void
}

/** Makes ready to replay: uniforms on the device, and a bind group for each command. */
export function encode(
  device: GPUDevice,
  pipelines: Pipelines,
  commands: readonly Command[],
  made: () => void,
): Encoded {
  const size = Math.max(1, commands.length) * BLOCK
  const uniforms = device.createBuffer({ size, usage: usage.uniform | usage.copyDst })
  made()
  const host = new ArrayBuffer(size)
  const ints = new Int32Array(host)
  const reals = new Float32Array(host)
  const groups = new Map<string, GPUBindGroup>()
  const ready = commands.map(({ pipeline, slots, words, floats, workgroups }, i) => {
    put(ints, reals, (i * BLOCK) / 4, words, floats)
    const key = [pipeline.layout.id, ...slots.map(({ id }) => id)].join(' ')
    const group = groups.get(key) ?? pipelines.group(pipeline.layout, slots, uniforms)
    groups.set(key, group)
    return { pipeline, group, offsets: pipeline.layout.uniform >= 0 ? [i * BLOCK] : [], workgroups }
  })
  device.queue.writeBuffer(uniforms, 0, host)
  return {
    replay(submitted) {
      for (let start = 0; start < ready.length; start += BATCH) {
        const batch = ready.slice(start, start + BATCH)
        const encoder = device.createCommandEncoder()
        const pass = encoder.beginComputePass()
        let current: GPUComputePipeline | undefined
        for (const { pipeline, group, offsets, workgroups } of batch) {
          if (current !== pipeline.pipeline) pass.setPipeline(pipeline.pipeline)
          current = pipeline.pipeline
          pass.setBindGroup(0, group, offsets)
          pass.dispatchWorkgroups(...workgroups)
        }
        pass.end()
        device.queue.submit([encoder.finish()])
        submitted(batch.length)
      }
    },
    dispose: () => uniforms.destroy(),
  }
}
