// Collects dispatches in one compute pass and submits them many at a time: a submit costs far more than a dispatch.
import type { Pipeline } from './pipelines.ts'
import { createUniforms, type Uniforms } from './uniforms.ts'

/** Dispatches before they are sent off: few submits a step, and the device still starts while the next are encoded. */
export const BATCH = 64

export interface Encoder {
  readonly uniforms: Uniforms
  /** The number of the batch being encoded; whatever has a lower one was submitted. */
  batch(): number
  dispatch(
    pipeline: Pipeline,
    group: GPUBindGroup,
    words: readonly number[],
    floats: readonly boolean[] | undefined,
    workgroups: readonly [number, number, number],
  ): void
  copy(from: GPUBuffer, fromByte: number, to: GPUBuffer, toByte: number, bytes: number): void
  /** Submits what is encoded, if anything is. */
  flush(): void
  /** Drops what is encoded. */
  dispose(): void
}

export interface EncoderHooks {
  readonly dispatched: () => void
  readonly submitted: () => void
}

export function createEncoder(device: GPUDevice, hooks: EncoderHooks): Encoder {
  const uniforms = createUniforms(device, BATCH)
  let commands: GPUCommandEncoder | undefined
  let pass: GPUComputePassEncoder | undefined
  let current: GPUComputePipeline | undefined
  let count = 0
  let batch = 1

  function endPass(): void {
    pass?.end()
    pass = undefined
    current = undefined
  }

  function flush(): void {
    if (!commands) return
    endPass()
    uniforms.upload()
    device.queue.submit([commands.finish()])
    commands = undefined
    count = 0
    batch++
    hooks.submitted()
  }

  return {
    uniforms,
    batch: () => batch,
    dispatch({ pipeline, layout }, group, words, floats, workgroups) {
      commands ??= device.createCommandEncoder()
      pass ??= commands.beginComputePass()
      if (current !== pipeline) {
        pass.setPipeline(pipeline)
        current = pipeline
      }
      pass.setBindGroup(0, group, layout.uniform >= 0 ? [uniforms.add(words, floats)] : [])
      pass.dispatchWorkgroups(...workgroups)
      hooks.dispatched()
      if (++count >= BATCH) flush()
    },
    copy(from, fromByte, to, toByte, bytes) {
      commands ??= device.createCommandEncoder()
      endPass()
      commands.copyBufferToBuffer(from, fromByte, to, toByte, bytes)
    },
    flush,
    dispose() {
      commands = undefined
      pass = undefined
      uniforms.dispose()
    },
  }
}
