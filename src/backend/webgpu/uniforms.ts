// The uniform blocks of one batch of commands in one buffer, bound by dynamic offset and uploaded once a batch.
// The next batch starts over: its upload runs behind the commands that read the last one.
import { usage } from './device.ts'

/** Distance of two blocks, and the most a block may hold: the alignment that every device allows. */
export const BLOCK = 256

export interface Uniforms {
  readonly buffer: GPUBuffer
  /** Puts down one block; returns its offset in bytes. At most `blocks` of them between two uploads. */
  add(words: readonly number[], floats: readonly boolean[] | undefined): number
  /** Sends what was added to the device, ahead of the batch that reads it. */
  upload(): void
  dispose(): void
}

/** Puts one block at word `start` of a buffer seen as integers and as floats; `floats` says which words are. */
export function put(
  ints: Int32Array,
  reals: Float32Array,
  start: number,
  words: readonly number[],
  floats: readonly boolean[] | undefined,
): void {
  if (words.length * 4 > BLOCK)
    throw new Error(`webgpu: a uniform block must fit ${BLOCK} bytes, got ${words.length * 4}`)
  words.forEach((word, at) => {
    if (floats?.[at]) reals[start + at] = word
    else ints[start + at] = word
  })
}

export function createUniforms(device: GPUDevice, blocks: number): Uniforms {
  const buffer = device.createBuffer({ size: blocks * BLOCK, usage: usage.uniform | usage.copyDst })
  const host = new ArrayBuffer(blocks * BLOCK)
  const ints = new Int32Array(host)
  const reals = new Float32Array(host)
  let count = 0
  return {
    buffer,
    add(words, floats) {
      const start = (count * BLOCK) / 4
      put(ints, reals, start, words, floats)
      count++
      return start * 4
    },
    upload() {
      if (count > 0) device.queue.writeBuffer(buffer, 0, host, 0, count * BLOCK)
      count = 0
    },
    dispose: () => buffer.destroy(),
  }
}
