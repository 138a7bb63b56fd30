// The WebGPU backend: one pooled device buffer for each tensor, a dispatch becomes one to three compute passes.
// Not here: the kernels' WGSL (kernels/), buffers (pool.ts), pipelines and bind groups (pipelines.ts), submits (encoder.ts).
import { platform } from '#platform'
import type { Backend, BackendStats, HostArray, Program } from '../backend.ts'
import { type Buf, type Bufs, type Dtype, type KernelName, kernels, type Params, slotsOf } from '../kernels.ts'
import { lookForDevice, type OpenDeviceOptions, openDevice } from './device.ts'
import { createEncoder } from './encoder.ts'
import type { GpuKernel } from './kernel.ts'
import { attention, attentionGrad } from './kernels/attention.ts'
import { copy } from './kernels/copy.ts'
import { binary, fill, unary, unaryGrad } from './kernels/elementwise.ts'
import { gather, scatterAdd } from './kernels/gather.ts'
import { layerNorm, layerNormGrad } from './kernels/layer-norm.ts'
import { crossEntropy, crossEntropyGrad } from './kernels/loss.ts'
import { matmul, matmulI8 } from './kernels/matmul.ts'
import { adamw, clipNorm, sgd } from './kernels/optimizer.ts'
import { quantizeRows, unpack } from './kernels/packed.ts'
import { dropout } from './kernels/random.ts'
import { reduce } from './kernels/reduce.ts'
import { softmax, softmaxGrad } from './kernels/softmax.ts'
import { NONE } from './kernels/wgsl.ts'
import { createPipelines } from './pipelines.ts'
import { createPool, type Slot } from './pool.ts'
import { encode, Recording } from './program.ts'
import { createReadback } from './readback.ts'

export const table = {
  fill,
  copy,
  unary,
  unaryGrad,
  binary,
  reduce,
  matmul,
  softmax,
  softmaxGrad,
  layerNorm,
  layerNormGrad,
  crossEntropy,
  crossEntropyGrad,
  gather,
  scatterAdd,
  dropout,
  attention,
  attentionGrad,
  adamw,
  sgd,
  clipNorm,
  quantizeRows,
  matmulI8,
  unpack,
} satisfies { [K in KernelName]: GpuKernel<K> }

/** `disable` names features not to use, so that every variant can be tried on one machine. */
export interface WebgpuOptions extends OpenDeviceOptions {
  /** Look first where drivers cannot write to the terminal, and ask for a device only where that finds one. */
  readonly quiet?: boolean
  /** Where adapters come from, instead of the platform's own: `create([...])` of the package webgpu with options, say. */
  readonly gpu?: GPU | undefined
}

export type WebgpuStats = Required<BackendStats>

export interface WebgpuBackend extends Backend {
  readonly name: 'webgpu'
  /** The adapter's own words about itself. */
  readonly adapter: string
  /** Whether the adapter is a program instead of a GPU. */
  readonly software: boolean
  /** The device itself, for what this interface has no word for. Destroying it loses the backend. */
  readonly device: GPUDevice
  stats(): WebgpuStats
}

class GpuBuf implements Buf {
  constructor(
    readonly length: number,
    readonly dtype: Dtype,
    readonly slot: Slot,
    /** The recording whose memory this is. */
    readonly home: Recording | undefined,
  ) {}
}

const required = new Map(
  (Object.keys(kernels) as KernelName[]).map((kernel) => [
    kernel,
    slotsOf(kernel)
      .filter(({ optional, list }) => !optional && !list)
      .map(({ name }) => name),
  ]),
)

/** Starts WebGPU. Rejects with one sentence where the platform has none, or no adapter that will do. */
export async function createWebgpu(options: WebgpuOptions = {}): Promise<WebgpuBackend> {
  // Held until `dispose`: under Node the object that made the device must live as long as it does, and no longer.
  if (options.quiet && !options.gpu) await lookForDevice(options)
  let gpu: GPU | string | undefined = options.gpu ?? (await platform.gpu())
  if (typeof gpu === 'string') throw new Error(`webgpu: ${gpu}`)
  const { device, limits, maxBytes, adapter, software, notes, onFailure } = await openDevice(gpu, options)

  const counts: WebgpuStats = { dispatches: 0, submits: 0, writes: 0, allocations: 0, bindGroups: 0, pipelines: 0 }
  const live = new Set<GpuBuf>()
  let used = 0
  let peak = 0
  let programs = 0
  let recording: Recording | undefined
  let disposed = false
  let failure: Error | undefined
  /** A kernel that does not compile, which explains the errors that follow from it. */
  let badKernel: Error | undefined
  let giveUp: () => void = () => {}
  const failed = new Promise<void>((resolve) => {
    giveUp = resolve
  })
  onFailure((error) => {
    failure = error
    giveUp()
  })

  const encoder = createEncoder(device, {
    dispatched: () => counts.dispatches++,
    submitted: () => counts.submits++,
  })
  const pipelines = createPipelines(device, encoder.uniforms.buffer, {
    madePipeline: () => counts.pipelines++,
    madeGroup: () => counts.bindGroups++,
    failed: (error) => {
      badKernel ??= error
    },
  })
  const pool = createPool(device, maxBytes, {
    made: () => counts.allocations++,
    dropped: pipelines.forget,
    finished: () => {
      encoder.flush()
      return device.queue.onSubmittedWorkDone()
    },
  })
  const readback = createReadback(device, encoder, () => counts.allocations++)

  /** What is bound for `none`, an output that is not wanted. */
  let none: Slot | undefined
  const unwanted = (): Slot => {
    none ??= pool.take(4)
    return none
  }

  function own(buf: Buf, what: string): GpuBuf {
    if (!(buf instanceof GpuBuf) || !live.has(buf)) {
      throw new Error(`webgpu: ${what} was given a buffer that is not live here`)
    }
    return buf
  }

  function range(buf: GpuBuf, offset: number, length: number, what: string): void {
    if (!(offset >= 0 && length >= 0 && offset + length <= buf.length)) {
      throw new Error(`webgpu: ${what} must stay within ${buf.length} elements, got ${offset} to ${offset + length}`)
    }
  }

  function use(bytes: number): void {
    used += bytes
    peak = Math.max(peak, used)
  }

  function notRecording(what: string): void {
    if (recording) throw new Error(`webgpu: ${what} cannot be recorded; do it before or after the recorded step`)
  }

  /** Throws what has gone wrong so far. */
  async function check(): Promise<void> {
    if (disposed) throw new Error('webgpu: the backend was disposed')
    await Promise.race([pipelines.checked(), device.lost])
    const error = badKernel ?? failure
    if (error) throw error
  }

  /** `work`, unless the device fails first: a lost device need not answer. */
  async function unlessLost<T>(work: Promise<T>): Promise<T> {
    // A rejection is the shadow of a loss that is told a moment later.
    const done = work.catch(() => (disposed ? undefined : failed))
    const result = await Promise.race([done, failed])
    await check()
    return result as T
  }

  /** Gives back what a recording holds. */
  function drop(step: Recording): void {
    for (const buf of live) if (buf.home === step) live.delete(buf)
    step.drop()
  }

  function program(step: Recording): Program {
    const { commands, outside, bytes } = step
    const encoded = encode(device, pipelines, commands, () => counts.allocations++)
    use(bytes)
    programs++
    return {
      dispatches: commands.length,
      replay() {
        notRecording('replay')
        if (step.over || disposed) throw new Error('webgpu: replay: the program was disposed; record again')
        for (const buf of outside) {
          if (!live.has(buf as GpuBuf)) {
            throw new Error('webgpu: replay: a buffer of the recorded step was freed; record again')
          }
        }
        if (failure) return
        encoder.flush()
        encoded.replay((dispatches) => {
          counts.dispatches += dispatches
          counts.submits++
        })
      },
      dispose() {
        if (step.over || disposed) return
        drop(step)
        encoded.dispose()
        used -= bytes
        programs--
      },
    }
  }

  return {
    name: 'webgpu',
    caps: Object.freeze({
      threads: 1,
      relaxedSimd: false,
      shared: false,
      notes: Object.freeze([...notes]),
      maxBufferBytes: maxBytes,
    }),
    adapter,
    software,
    device,

    alloc(length, dtype) {
      if (disposed) throw new Error('webgpu: the backend was disposed')
      if (!Number.isInteger(length) || length < 0) {
        throw new Error(`webgpu: length must be a whole number >= 0, got ${length}`)
      }
      const buf = new GpuBuf(length, dtype, (recording ?? pool).take(length * 4), recording)
      live.add(buf)
      if (!recording) use(length * 4)
      return buf
    },

    free(handle) {
      // Its memory went with the program.
      if (handle instanceof GpuBuf && handle.home?.over) return
      const buf = own(handle, 'free')
      live.delete(buf)
      if (!buf.home) {
        pool.give(buf.slot)
        used -= buf.length * 4
      } else if (buf.home === recording) recording.give(buf.slot)
    },

    write(handle, data, offset = 0) {
      const buf = own(handle, 'write')
      range(buf, offset, data.length, 'write')
      notRecording('write')
      if (data.length === 0 || failure) return
      // The write would overtake what is only encoded.
      if (buf.slot.touched === encoder.batch()) encoder.flush()
      device.queue.writeBuffer(buf.slot.buffer, offset * 4, inDtype(data, buf.dtype))
      counts.writes++
    },

    async read(handle, length, offset = 0): Promise<HostArray> {
      const buf = own(handle, 'read')
      const n = length ?? buf.length - offset
      range(buf, offset, n, 'read')
      notRecording('read')
      const view = (bytes: ArrayBuffer) => (buf.dtype === 'i32' ? new Int32Array(bytes) : new Float32Array(bytes))
      if (n === 0 || failure) {
        await check()
        return view(new ArrayBuffer(0))
      }
      return view(await unlessLost(readback.read(buf.slot.buffer, offset * 4, n * 4)))
    },

    dispatch<K extends KernelName>(kernel: K, bufs: Bufs<K>, params: Params<K>) {
      const byName = bufs as Readonly<Record<string, Buf | readonly Buf[] | undefined>>
      const slots: Record<string, Slot> = {}
      let lengths: readonly number[] = []
      const bind = (name: string, handle: Buf) => {
        const buf = own(handle, kernel)
        slots[name] = buf.slot
        if (recording && buf.home !== recording) recording.outside.add(buf)
      }
      for (const [name, given] of Object.entries(byName)) {
        if (Array.isArray(given)) {
          lengths = given.map(({ length }) => length)
          for (const [i, handle] of given.entries()) bind(`${name}:${i}`, handle)
        } else if (given) bind(name, given as Buf)
      }
      for (const name of required.get(kernel)!) {
        if (!slots[name]) throw new Error(`webgpu: ${kernel} needs the buffer ${name}`)
      }
      if (failure) return
      const has = (name: string) => {
        if (!name.startsWith('alias:')) return name in slots
        const [one, other] = name.slice(6).split('=')
        return slots[one!] !== undefined && slots[one!] === slots[other!]
      }
      const build = table[kernel] as unknown as GpuKernel<K>
      const { passes, temps = {} } = build(params, has, limits, lengths)
      // Scratch may be given back at once: whoever gets it next runs behind this command.
      const rooms = recording ?? pool
      const scratch = Object.entries(temps).map(([name, length]) => {
        slots[`temp:${name}`] = rooms.take(length * 4)
        return slots[`temp:${name}`]!
      })
      try {
        for (const pass of passes) {
          if (pass.workgroups.includes(0)) continue
          const bound = pass.buffers.map(({ name }) => (name === NONE ? unwanted() : slots[name]!))
          const pipeline = pipelines.get(kernel, pass)
          if (recording) {
            const { words, floats, workgroups } = pass
            recording.commands.push({ pipeline, slots: bound, words, floats, workgroups })
            continue
          }
          for (const slot of bound) slot.touched = encoder.batch()
          const group = pipelines.bind(pipeline.layout, bound)
          encoder.dispatch(pipeline, group, pass.words, pass.floats, pass.workgroups)
        }
      } finally {
        for (const slot of scratch) rooms.give(slot)
      }
    },

    capture(body) {
      if (disposed) throw new Error('webgpu: the backend was disposed')
      notRecording('capture')
      const step = new Recording(pool)
      recording = step
      try {
        body()
      } catch (error) {
        drop(step)
        throw error
      } finally {
        recording = undefined
      }
      return program(step)
    },

    async sync() {
      if (!failure && !disposed) {
        encoder.flush()
        await unlessLost(device.queue.onSubmittedWorkDone())
      }
      await check()
    },

    memory: () => ({ used, pooled: Math.max(0, pool.held() - used), peak, buffers: live.size + programs }),
    resetPeak() {
      peak = used
    },
    stats: () => ({ ...counts }),

    async dispose() {
      if (disposed) return
      disposed = true
      live.clear()
      used = 0
      programs = 0
      encoder.dispose()
      readback.dispose()
      pool.dispose()
      device.destroy()
      await device.lost
      // Dawn told us of the loss from within its own event loop, and crashes when its instance is collected there.
      await new Promise((resolve) => setTimeout(resolve, 10))
      gpu = undefined
    },
  }
}

/** The data as elements of the buffer: numbers are converted where the types differ. */
function inDtype(data: HostArray, dtype: Dtype): Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer> {
  // The cast drops SharedArrayBuffer, which a queue takes too.
  if (dtype === 'i32') return (data instanceof Int32Array ? data : Int32Array.from(data)) as Int32Array<ArrayBuffer>
  return (data instanceof Float32Array ? data : Float32Array.from(data)) as Float32Array<ArrayBuffer>
}
