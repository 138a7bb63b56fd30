// The reference backend: every kernel as a plain loop, run at once on the calling thread, in f32 or f64.
// It is the definition of the kernels and the oracle of the tests, so it checks each dispatch; it is not fast.
import type { Backend, HostArray, MemoryStats, Program } from '../backend.ts'
import { type Buf, type Bufs, type Dtype, type KernelName, kernels, type Params, slotsOf } from '../kernels.ts'
import { attention, attentionGrad } from './attention.ts'
import { copy } from './copy.ts'
import { binary, fill, unary, unaryGrad } from './elementwise.ts'
import { gather, scatterAdd } from './gather.ts'
import type { Cells, Kernel } from './kernel.ts'
import { layerNorm, layerNormGrad } from './layer-norm.ts'
import { crossEntropy, crossEntropyGrad } from './loss.ts'
import { matmul } from './matmul.ts'
import { adamw, clipNorm, sgd } from './optimizer.ts'
import { matmulI8, quantizeRows, unpack } from './packed.ts'
import { dropout } from './random.ts'
import { reduce } from './reduce.ts'
import { checkParams, inPlace, isInteger, leastLengths } from './sizes.ts'
import { softmax, softmaxGrad } from './softmax.ts'

const table = {
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
} satisfies { [K in KernelName]: Kernel<K> }

/** What fresh integers hold, so that reading them before writing shows. Fresh floats are NaN. */
const poison = 0x7eadbeef

interface RefBuf extends Buf {
  cells: Cells | undefined
  /** The recording that made it. */
  home: Recording | undefined
}

/** A step while it is recorded, and after. */
interface Recording {
  readonly commands: (() => void)[]
  readonly outside: Set<Buf>
  /** What its commands so far are done with, by type and length. */
  readonly spare: Map<string, Cells[]>
  dispatches: number
  bytes: number
  /** Whether its memory was given back. */
  over: boolean
}

/**
 * A reference backend. Under precision f64 every f32 buffer is a Float64Array, `read` returns one and all
 * arithmetic is f64; under f32 kernels sum in f64 and round on each store, and f32 parameters are rounded first.
 */
export function createReference(options: { precision?: 'f32' | 'f64' } = {}): Backend {
  const wide = options.precision === 'f64'
  const live = new Set<RefBuf>()
  const counts = { dispatches: 0, writes: 0, allocations: 0 }
  let used = 0
  let peak = 0
  let programs = 0
  let recording: Recording | undefined
  let disposed = false

  function use(bytes: number): void {
    used += bytes
    peak = Math.max(peak, used)
  }

  function notRecording(what: string): void {
    if (recording) throw new Error(`${what}: cannot be recorded; do it before or after the recorded step`)
  }

  function cellsOf(what: string, buf: Buf | undefined): Cells {
    if (disposed) throw new Error(`${what}: the backend was disposed`)
    if (!buf) throw new Error(`${what}: buffer is missing`)
    if (!live.has(buf as RefBuf))
      throw new Error(`${what}: buffer of ${buf.length} was freed, or is of another backend`)
    return (buf as RefBuf).cells!
  }

  function newCells(length: number, dtype: Dtype): Cells {
    if (dtype === 'i32') return new Int32Array(length)
    return wide ? new Float64Array(length) : new Float32Array(length)
  }

  function checkRange(what: string, buf: Buf, length: number, offset: number): void {
    const whole = Number.isInteger(length) && Number.isInteger(offset)
    if (!whole || length < 0 || offset < 0 || offset + length > buf.length) {
      throw new Error(`${what}: elements must lie in the buffer of ${buf.length}, got ${length} from ${offset}`)
    }
  }

  return {
    name: 'reference',
    caps: Object.freeze({ threads: 1, relaxedSimd: false, shared: false, notes: Object.freeze([]) }),

    alloc(length: number, dtype: Dtype): Buf {
      if (disposed) throw new Error('alloc: the backend was disposed')
      if (!Number.isInteger(length) || length < 0)
        throw new Error(`alloc: length must be a whole number >= 0, got ${length}`)
      const spare = recording?.spare.get(`${dtype} ${length}`)?.pop()
      const cells = spare ?? newCells(length, dtype)
      const spoil = () => cells.fill(dtype === 'i32' ? poison : Number.NaN)
      const buf: RefBuf = { length, dtype, cells, home: recording }
      live.add(buf)
      if (!recording) {
        counts.allocations++
        use(4 * length)
        spoil()
        return buf
      }
      // Fresh in every replay.
      recording.commands.push(spoil)
      if (!spare) recording.bytes += 4 * length
      return buf
    },

    free(buf: Buf): void {
      const { home } = buf as RefBuf
      // Its memory went with the program.
      if (home?.over) return
      const cells = cellsOf('free', buf)
      live.delete(buf as RefBuf)
      ;(buf as RefBuf).cells = undefined
      if (!home) used -= 4 * buf.length
      else if (home === recording) {
        const key = `${buf.dtype} ${buf.length}`
        home.spare.set(key, [...(home.spare.get(key) ?? []), cells])
      }
    },

    write(buf: Buf, data: HostArray, offset = 0): void {
      const cells = cellsOf('write', buf)
      if (data instanceof Int32Array !== (buf.dtype === 'i32')) {
        throw new Error(`write: data must suit an ${buf.dtype} buffer, got ${data.constructor.name}`)
      }
      checkRange('write', buf, data.length, offset)
      notRecording('write')
      counts.writes++
      cells.set(data, offset)
    },

    async read(buf: Buf, length?: number, offset = 0): Promise<HostArray> {
      const cells = cellsOf('read', buf)
      const count = length ?? buf.length - offset
      checkRange('read', buf, count, offset)
      notRecording('read')
      return cells.slice(offset, offset + count)
    },

    dispatch<K extends KernelName>(kernel: K, bufs: Bufs<K>, params: Params<K>): void {
      checkParams(kernel, params)
      checkBufs(kernel, bufs as Named, params)
      const cells: Record<string, Cells | readonly Cells[]> = {}
      const given: Buf[] = []
      for (const [name, buf] of Object.entries(bufs as Named)) {
        if (!buf) continue
        const each = Array.isArray(buf) ? buf : [buf as Buf]
        const own = each.map((one) => cellsOf(`${kernel}: ${name}`, one))
        cells[name] = Array.isArray(buf) ? own : own[0]!
        given.push(...each)
      }
      const run = table[kernel] as unknown as (bufs: typeof cells, params: Record<string, number>) => void
      const numbers = wide ? params : rounded(kernel, params)
      if (!recording) {
        counts.dispatches++
        run(cells, numbers)
        return
      }
      const { commands, outside } = recording
      for (const buf of given) if ((buf as RefBuf).home !== recording) outside.add(buf)
      recording.dispatches++
      commands.push(() => run(cells, numbers))
    },

    capture(body): Program {
      if (disposed) throw new Error('capture: the backend was disposed')
      notRecording('capture')
      const step: Recording = {
        commands: [],
        outside: new Set(),
        spare: new Map(),
        dispatches: 0,
        bytes: 0,
        over: false,
      }
      const drop = () => {
        step.over = true
        for (const buf of live) if (buf.home === step) live.delete(buf)
      }
      recording = step
      try {
        body()
      } catch (error) {
        drop()
        throw error
      } finally {
        recording = undefined
      }
      counts.allocations++
      use(step.bytes)
      programs++
      return {
        dispatches: step.dispatches,
        replay() {
          notRecording('replay')
          if (step.over || disposed) throw new Error('replay: the program was disposed; record again')
          for (const buf of step.outside) {
            if (!live.has(buf as RefBuf))
              throw new Error('replay: a buffer of the recorded step was freed; record again')
          }
          for (const command of step.commands) command()
          counts.dispatches += step.dispatches
        },
        dispose() {
          if (step.over || disposed) return
          drop()
          used -= step.bytes
          programs--
        },
      }
    },

    async sync(): Promise<void> {
      if (disposed) throw new Error('sync: the backend was disposed')
    },

    memory: (): MemoryStats => ({ used, pooled: 0, peak, buffers: live.size + programs }),
    stats: () => ({ ...counts }),

    resetPeak(): void {
      peak = used
    },

    async dispose(): Promise<void> {
      disposed = true
      for (const buf of live) buf.cells = undefined
      live.clear()
      used = 0
      programs = 0
    },
  }
}

/** Buffers of a call by name. */
type Named = Readonly<Record<string, Buf | readonly Buf[] | undefined>>

/** The numbers as a kernel compiled for f32 gets them. */
function rounded<K extends KernelName>(kernel: K, params: Params<K>): Record<string, number> {
  const spec: Readonly<Record<string, string>> = kernels[kernel].params
  const entries = Object.entries<number>(params)
  return Object.fromEntries(entries.map(([name, v]) => [name, spec[name] === 'f32' ? Math.fround(v) : v]))
}

/** Throws unless each buffer is there, of the right dtype, long enough, and shared only where the table allows it. */
function checkBufs<K extends KernelName>(kernel: K, bufs: Named, params: Params<K>): void {
  const slots = slotsOf(kernel)
  const outputs = kernels[kernel].out.length
  const numbers: Readonly<Record<string, number>> = params
  const unknown = Object.keys(bufs).find((name) => !slots.some((slot) => slot.name === name))
  if (unknown) {
    throw new Error(`${kernel}: no buffer is called ${unknown}; it takes ${slots.map(({ name }) => name).join(', ')}`)
  }
  const least: Record<string, number> = leastLengths[kernel](params)
  const known = (name: string): readonly Buf[] => [bufs[name] ?? []].flat()
  const lists = slots.filter(({ list }) => list).map(({ name }) => known(name))
  slots.forEach(({ name, optional, list }, at) => {
    if (!bufs[name]) {
      if (optional) return
      throw new Error(`${kernel}: buffer ${name} is missing`)
    }
    if (list !== Array.isArray(bufs[name])) {
      throw new Error(`${kernel}: ${name} must be ${list ? 'a list of buffers' : 'one buffer'}`)
    }
    const x = bufs.x as Buf | undefined
    const dtype = kernel === 'copy' ? x?.dtype : isInteger(kernel, name, numbers) ? 'i32' : 'f32'
    known(name).forEach((buf, i) => {
      if (buf.dtype !== dtype) throw new Error(`${kernel}: ${name} must be ${dtype}, got ${buf.dtype}`)
      const needed = list ? lists[0]![i]?.length : least[name]
      if (list ? buf.length !== needed : buf.length < needed!)
        throw new Error(`${kernel}: ${name} must hold ${needed} elements, got ${buf.length}`)
      if (at >= outputs) return
      for (const [otherAt, other] of slots.entries()) {
        const same = known(other.name).indexOf(buf)
        if (same < 0 || (otherAt === at && same === i) || (at === 0 && inPlace[kernel] === other.name)) continue
        throw new Error(`${kernel}: output ${name} must not be the buffer ${other.name}`)
      }
    })
  })
  if (lists.some(({ length }) => length !== lists[0]!.length)) {
    throw new Error(`${kernel}: its lists must be equally long, got ${lists.map(({ length }) => length).join(', ')}`)
  }
  if (kernel === 'copy' && numbers.accumulate === 1 && (bufs.y as Buf).dtype === 'i32') {
    throw new Error('copy: accumulate must be 0 for i32 buffers, got 1')
  }
  const product = kernel === 'matmul' || kernel === 'matmulI8'
  if (product && numbers.accumulate === 1 && bufs.residual) {
    throw new Error(`${kernel}: residual must be left out when accumulate is 1`)
  }
  if (product && ((bufs.slope && numbers.act !== 1) || (bufs.gate && numbers.act !== 0))) {
    throw new Error(`${kernel}: slope must be left out unless act is 1, and gate unless it is 0`)
  }
  if (kernel === 'unpack' && numbers.row! + numbers.rows! > numbers.n!) {
    throw new Error(`unpack: row and rows must stay within ${numbers.n}, got ${numbers.row} and ${numbers.rows}`)
  }
  if (kernel !== 'matmul') return
  if (numbers.format! > 0 !== (bufs.bScale !== undefined)) {
    throw new Error('matmul: bScale must be there where format is not 0, and nowhere else')
  }
  if (numbers.format! > 0 && (numbers.batch! > 1 || numbers.strideB !== 0)) {
    throw new Error('matmul: a packed operand is one for all, with batch 1 and strideB 0')
  }
}
