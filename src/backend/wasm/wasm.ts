// The WASM backend: buffers are addresses in one WebAssembly memory, a dispatch is a record of 32 words in a queue.
// Not here: the kernels (assembly/), allocation (heap.ts), who runs a record (queue.ts), recorded steps (recording.ts).
import { platform } from '#platform'
import type { Backend, HostArray, Program } from '../backend.ts'
import { type Buf, type BufferSlot, type Dtype, type KernelName, kernels, slotsOf } from '../kernels.ts'
import { createHeap } from './heap.ts'
import { chooseInteger, integers } from './integer.ts'
import { CHUNKS, HEAP, KIND, OWN, OWN_STRIDE, PHASE, SERIAL, SHARED, WORDS } from './layout.ts'
import { joinProducts, listPlan, type Numbers, planOf } from './plan.ts'
import { createDirectQueue, createThreadedQueue, type Execute } from './queue.ts'
import { createRecording, type PendingRead, type Recording, WasmBuf } from './recording.ts'
import { chooseVariant, type Feature, features } from './variants.ts'

export interface WasmOptions {
  /** Worker threads, 1 to 64; 1 runs on the calling thread. Default: one a core, at most 16. */
  readonly threads?: number
  /** Features not to use, so that every variant can be tried on one machine. */
  readonly disable?: readonly Feature[]
  /** Most memory in bytes, 4 GiB less one page at most (the default). */
  readonly maxBytes?: number
  /** Sentences for `caps.notes`, before its own: why this backend was taken. */
  readonly notes?: readonly string[]
}

const PAGE = 65536
/** Elements from which on a read waits and looks, which saves a copy. */
const LARGE_READ = 65536
// One page short of 4 GiB, so that the end of a buffer is never address 0.
const MOST_PAGES = 65535

interface Layout {
  readonly index: number
  readonly buffers: readonly BufferSlot[]
  readonly outputs: readonly string[]
  readonly lists: readonly string[]
  readonly params: readonly { name: string; float: boolean }[]
}

const layouts = new Map(
  Object.entries(kernels).map(([name, spec], index): [string, Layout] => {
    const slots = slotsOf(name as KernelName)
    const params = Object.entries(spec.params).map(([param, type]) => ({ name: param, float: type === 'f32' }))
    return [
      name,
      {
        index,
        buffers: slots.filter(({ list }) => !list),
        outputs: slots.slice(0, spec.out.length).map((slot) => slot.name),
        lists: slots.filter(({ list }) => list).map((slot) => slot.name),
        params,
      },
    ]
  }),
)

type Named = Readonly<Record<string, Buf | readonly Buf[] | undefined>>

/** A memory of at most `maxPages`; less where the engine refuses to reserve that much. */
function createMemory(maxPages: number, shared: boolean): { memory: WebAssembly.Memory; pages: number } {
  const initial = Math.ceil(HEAP / PAGE)
  for (let maximum = maxPages; ; maximum = Math.floor(maximum / 2)) {
    try {
      return { memory: new WebAssembly.Memory({ initial, maximum, shared }), pages: maximum }
    } catch (error) {
      if (maximum / 2 < initial) throw error
    }
  }
}

/**
 * The WASM backend. Throws where the engine has no WebAssembly SIMD or an option is out of range.
 * Results are the same bits for every number of threads; relaxed SIMD changes the last ones.
 */
export async function createWasm(options: WasmOptions = {}): Promise<Backend> {
  const wanted = options.threads ?? Math.min(16, platform.cores)
  if (!Number.isInteger(wanted) || wanted < 1 || wanted > 64) {
    throw new Error(`wasm: threads must be a whole number from 1 to 64, got ${wanted}`)
  }
  const maxPages = Math.min(MOST_PAGES, Math.floor((options.maxBytes ?? MOST_PAGES * PAGE) / PAGE))
  if (!(maxPages * PAGE > HEAP + PAGE)) {
    throw new Error(`wasm: maxBytes must be at least ${HEAP + 2 * PAGE}, got ${options.maxBytes}`)
  }
  const unknown = [options.disable ?? []].flat().find((name) => !features.includes(name))
  if (unknown !== undefined) throw new Error(`wasm: disable may name ${features.join(', ')}, got ${unknown}`)
  const variant = await chooseVariant(wanted, options.disable ?? [])
  const threads = variant.shared ? wanted : 1
  const { module } = variant
  const { memory, pages } = createMemory(maxPages, variant.shared)
  const queue = variant.shared
    ? await createThreadedQueue(memory, module, threads)
    : createDirectQueue(memory, (await WebAssembly.instantiate(module, { env: { memory } })).exports.execute as Execute)
  const counts = { dispatches: 0, writes: 0, allocations: 0 }
  const room = {
    get buffer() {
      return memory.buffer
    },
    grow(more: number) {
      counts.allocations++
      return memory.grow(more)
    },
  }
  const heap = createHeap(room, HEAP, pages * PAGE)

  let f32 = new Float32Array(memory.buffer)
  let i32 = new Int32Array(memory.buffer)
  /** Views go stale when the memory grows. */
  function view(dtype: Dtype): Float32Array | Int32Array {
    if (f32.buffer !== memory.buffer) {
      f32 = new Float32Array(memory.buffer)
      i32 = new Int32Array(memory.buffer)
    }
    return dtype === 'f32' ? f32 : i32
  }
  /** A copy of `length` values for the host. The constructor, since slice() would fill it with zeros first. */
  function copyOf(dtype: Dtype, from: number, length: number): HostArray {
    const values = view(dtype).subarray(from, from + length)
    return dtype === 'f32' ? new Float32Array(values) : new Int32Array(values)
  }

  /** Chosen when it is first asked for. */
  const integer = () => chooseInteger(module, variant, options.disable ?? [])

  const record = new Int32Array(WORDS)
  const floats = new Float32Array(record.buffer)
  const live = new Set<WasmBuf>()
  let used = 0
  let peak = 0
  let programs = 0
  /** Reads that will look at their buffer itself, unless it is changed before. */
  let waitingReads = 0
  let recording: Recording | undefined
  let disposed = false

  function use(bytes: number): void {
    used += bytes
    peak = Math.max(peak, used)
  }

  function notRecording(what: string): void {
    if (recording) throw new Error(`wasm: ${what} cannot be recorded; do it before or after the recorded step`)
  }

  /** Our own view of a handle; throws on one that was freed or belongs elsewhere. */
  function own(buf: Buf, what: string): WasmBuf {
    if (!(buf instanceof WasmBuf) || !live.has(buf))
      throw new Error(`wasm: ${what} was given a buffer that is not live here`)
    return buf
  }

  function range(buf: WasmBuf, offset: number, length: number, what: string): void {
    if (!(offset >= 0 && length >= 0 && offset + length <= buf.length)) {
      throw new Error(`wasm: ${what} must stay within ${buf.length} elements, got ${offset} to ${offset + length}`)
    }
  }

  /** Queues y[yo ...] = x[xo ...], addresses in bytes. */
  function pushCopy(y: number, x: number, length: number): void {
    record.fill(0)
    record[0] = layouts.get('copy')!.index
    record[1] = y
    record[2] = x
    record.fill(1, 3, 8)
    record[8] = length
    record[14] = 1
    record[20] = 1
    record[SERIAL] = length < 65536 ? 1 : 0
    queue.push(record)
  }

  /** Makes the copies for which reads of this buffer have waited: it is about to be changed. */
  function copyReads(buf: WasmBuf): void {
    for (const read of buf.reads.splice(0)) {
      waitingReads--
      read.copy = heap.alloc(read.length * 4)
      pushCopy(read.copy, read.address, read.length)
      read.count = queue.submitted()
      buf.touched = read.count
    }
  }

  /** Runs `fn` with the address of scratch, 0 for none. Given back at once: whoever gets it next runs behind. */
  function withScratch(bytes: number, fn: (scratch: number) => void): void {
    const rooms = recording?.heap ?? heap
    const scratch = bytes > 0 ? rooms.alloc(bytes + 64) : 0
    try {
      fn(scratch)
      if (recording) recording.dispatches++
      else counts.dispatches++
    } finally {
      if (scratch !== 0) rooms.free(scratch, recording ? 0 : queue.submitted())
    }
  }

  /** Puts a buffer's address into the record, for commands up to the count `after`. */
  function bind(handle: Buf, what: string, word: number, planned: number[], after: number): void {
    const buf = own(handle, what)
    if (!recording) buf.touched = after
    else if (buf.home === recording) planned.push(word)
    else recording.outside.add(buf)
    record[word] = buf.address
  }

  /** Begins a record: kernel, single buffers, parameters. Gives the next word. */
  function start(
    kernel: string,
    layout: Layout,
    bufs: Named,
    numbers: Numbers,
    planned: number[],
    after: number,
  ): number {
    record.fill(0)
    record[0] = layout.index
    let word = 1
    for (const { name, optional } of layout.buffers) {
      const handle = bufs[name] as Buf | undefined
      if (handle !== undefined) bind(handle, kernel, word, planned, after)
      else if (!optional) throw new Error(`wasm: ${kernel} needs the buffer ${name}`)
      word++
    }
    for (const { name, float } of layout.params) {
      if (float) floats[word++] = numbers[name]!
      else record[word++] = numbers[name]!
    }
    return word
  }

  /** Queues the record, or keeps it where a step is recorded. */
  function push(planned: readonly number[], step: number, serial: boolean): void {
    record[PHASE] = step
    record[SERIAL] = serial ? 1 : 0
    if (recording) recording.add(record, planned)
    else queue.push(record)
  }

  /** A kernel over lists: as many entries a record as fit, then a last record where the kernel has one. */
  function dispatchLists(kernel: KernelName, layout: Layout, bufs: Named, numbers: Numbers): void {
    const lists = layout.lists.map((name) => bufs[name] as readonly Buf[])
    const lengths = lists[0]!.map(({ length }) => length)
    const used = 1 + layout.buffers.length + layout.params.length
    const plan = listPlan(kernel, lengths, Math.floor((OWN - used - 1) / (lists.length + 2)))
    const after = queue.submitted() + plan.parts.length + 1
    withScratch(plan.shared, (scratch) => {
      for (const { from, to, serial } of plan.parts) {
        const planned = scratch === 0 ? [] : [SHARED]
        let word = start(kernel, layout, bufs, numbers, planned, after)
        record[SHARED] = scratch
        record[word++] = to - from
        for (let i = from; i < to; i++) {
          for (const list of lists) bind(list[i]!, kernel, word++, planned, after)
          record[word++] = lengths[i]!
          record[word++] = plan.first[i]!
        }
        push(planned, 0, serial)
      }
      if (!plan.finish) return
      const planned = scratch === 0 ? [] : [SHARED]
      start(kernel, layout, bufs, numbers, planned, after)
      record[SHARED] = scratch
      record[CHUNKS] = plan.pieces
      push(planned, 1, true)
    })
  }

  return {
    name: 'wasm',
    caps: Object.freeze({
      threads,
      relaxedSimd: variant.relaxedSimd,
      wide: variant.wide,
      shared: variant.shared,
      notes: Object.freeze([...(options.notes ?? []), ...variant.notes]),
      maxBytes: pages * PAGE - HEAP,
      get integer() {
        return integer()
      },
    }),

    alloc(length, dtype) {
      if (disposed) throw new Error('wasm: the backend was disposed')
      const address = (recording?.heap ?? heap).alloc(length * 4)
      const buf = new WasmBuf(length, dtype, address, recording ? 0 : heap.pendingOf(address), recording)
      live.add(buf)
      if (!recording) use(length * 4)
      return buf
    },

    free(handle) {
      // Its memory went with the program.
      if (handle instanceof WasmBuf && handle.home?.over) return
      const buf = own(handle, 'free')
      copyReads(buf)
      live.delete(buf)
      if (!buf.home) {
        heap.free(buf.address, buf.touched)
        used -= buf.length * 4
      } else if (buf.home === recording) recording.heap.free(buf.address, 0)
      buf.address = 0
    },

    write(handle, data, offset = 0) {
      const buf = own(handle, 'write')
      range(buf, offset, data.length, 'write')
      notRecording('write')
      counts.writes++
      if (data.length === 0) return
      copyReads(buf)
      if (buf.touched <= queue.completed()) {
        view(buf.dtype).set(data, buf.address / 4 + offset)
        return
      }
      const staging = stagingRoom(data.length * 4)
      view(buf.dtype).set(data, staging / 4)
      pushCopy(buf.address + offset * 4, staging, data.length)
      buf.touched = queue.submitted()
      heap.free(staging, queue.submitted())
    },

    async read(handle, length, offset = 0): Promise<HostArray> {
      const buf = own(handle, 'read')
      const n = length ?? buf.length - offset
      range(buf, offset, n, 'read')
      notRecording('read')
      if (n === 0 || buf.touched <= queue.completed()) {
        const copy = copyOf(buf.dtype, buf.address / 4 + offset, n)
        await queue.finished(0)
        return copy
      }
      const { dtype } = buf
      const read: PendingRead = { address: buf.address + offset * 4, length: n, copy: 0, count: buf.touched }
      buf.reads.push(read)
      waitingReads++
      // Small results are of buffers that are used again at once.
      if (n < LARGE_READ) copyReads(buf)
      try {
        for (let done = -1; done !== read.count; ) {
          done = read.count
          await queue.finished(done)
        }
        const from = (read.copy || read.address) / 4
        return copyOf(dtype, from, n)
      } finally {
        if (read.copy !== 0) heap.free(read.copy, read.count)
        else {
          buf.reads.splice(buf.reads.indexOf(read), 1)
          waitingReads--
        }
      }
    },

    dispatch(kernel, bufs, params) {
      const layout = layouts.get(kernel)!
      const byName = bufs as Named
      if (waitingReads > 0 && !recording) {
        for (const name of layout.outputs) for (const buf of [byName[name] ?? []].flat()) copyReads(own(buf, kernel))
      }
      if (layout.lists.length > 0) return dispatchLists(kernel, layout, byName, params)
      const kind = kernel === 'matmulI8' ? integers.indexOf(integer()) : 0
      const numbers = kernel === 'matmul' ? joinProducts(params) : ({ ...params, kind } as Numbers)
      const plan = planOf(kernel, numbers, (name) => byName[name] !== undefined)
      const ownBytes = Math.ceil(plan.own / 64) * 64
      const steps = plan.serial.length
      withScratch(plan.shared + ownBytes * threads, (scratch) => {
        const planned = scratch === 0 ? [] : [SHARED, OWN]
        start(kernel, layout, byName, numbers, planned, queue.submitted() + steps)
        record[SHARED] = scratch
        record[OWN] = scratch + Math.ceil(plan.shared / 64) * 64
        record[OWN_STRIDE] = ownBytes
        record[CHUNKS] = plan.chunks
        record[KIND] = kind
        plan.serial.forEach((serial, step) => {
          push(planned, step, serial)
        })
      })
    },

    capture(body) {
      if (disposed) throw new Error('wasm: the backend was disposed')
      notRecording('capture')
      const step = createRecording(pages * PAGE)
      recording = step
      try {
        body()
        recording = undefined
        return place(step)
      } catch (error) {
        step.over = true
        for (const buf of live) if (buf.home === step) live.delete(buf)
        throw error
      } finally {
        recording = undefined
      }
    },

    sync: () => queue.finished(queue.submitted()),
    memory: () => ({ used, pooled: heap.capacity() - used, peak, buffers: live.size + programs }),
    stats: () => ({ ...counts }),
    resetPeak() {
      peak = used
    },

    async dispose() {
      disposed = true
      await queue.stop()
      live.clear()
      used = 0
      programs = 0
    },
  }

  /** Takes the memory that a recorded step needs, and makes a program of it; throws where there is not as much. */
  function place(step: Recording): Program {
    const bytes = step.heap.capacity()
    const block = heap.alloc(bytes)
    const records = step.placed(block)
    const outside = [...step.outside]
    const inside = [...live].filter(({ home }) => home === step)
    for (const buf of inside) {
      buf.address = step.place(buf.address, block)
      buf.touched = heap.pendingOf(block)
    }
    use(bytes)
    programs++
    return {
      dispatches: step.dispatches,
      replay() {
        notRecording('replay')
        if (step.over || disposed) throw new Error('wasm: replay: the program was disposed; record again')
        if (!outside.every((buf) => live.has(buf))) {
          throw new Error('wasm: replay: a buffer of the recorded step was freed; record again')
        }
        if (waitingReads > 0) for (const buf of [...outside, ...inside]) copyReads(buf)
        for (const record of records) queue.push(record)
        counts.dispatches += step.dispatches
        for (const buf of outside) buf.touched = queue.submitted()
        for (const buf of inside) buf.touched = queue.submitted()
      },
      dispose() {
        if (step.over || disposed) return
        step.over = true
        for (const buf of inside) {
          copyReads(buf)
          live.delete(buf)
        }
        heap.free(block, queue.submitted())
        used -= bytes
        programs--
      },
    }
  }

  /** Room that the host may write at once; waits for the queue where there is no other. */
  function stagingRoom(bytes: number): number {
    try {
      return heap.alloc(bytes, queue.completed())
    } catch {
      queue.drain()
      return heap.alloc(bytes, queue.completed())
    }
  }
}
