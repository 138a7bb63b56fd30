// Bytes that kernels move, counted and not measured: the least possible (each operand once) against what the plans' tiles
// read and write. A load counts as often as a workgroup (WebGPU) or a pass over memory (wasm) issues it; caches may serve it.
import { type KernelName, kernels } from 'vitune/tensor'
import { planOf } from '../../src/backend/wasm/plan.ts'
import type { GpuKernel, GpuLimits, Pass } from '../../src/backend/webgpu/kernel.ts'
import { table } from '../../src/backend/webgpu/webgpu.ts'
import type { Call } from './counting-backend.ts'

/** Bytes read and written, and dispatches (WebGPU: compute passes). */
export interface Traffic {
  readonly dispatches: number
  readonly read: number
  readonly written: number
}

/** WebGPU's default limits: what a plan may count on everywhere. */
const limits: GpuLimits = {
  maxWorkgroups: 65535,
  maxInvocations: 256,
  workgroupStorage: 16384,
  storageBuffers: 8,
  direct: false,
  subgroups: 0,
  f16: false,
  dot: false,
}

type Numbers = Readonly<Record<string, number>>
interface Elements {
  read: number
  written: number
}

const up = (a: number, b: number) => Math.ceil(a / b)
/** Elements of a buffer, of all of a list. */
const lengthOf = (call: Call, name: string) =>
  Object.entries(call.bufs).reduce((sum, [key, buf]) => sum + (key.split(':')[0] === name ? (buf?.length ?? 0) : 0), 0)
const namesOf = (list: readonly string[]) => list.map((name) => name.replace(/[?*]$/, ''))
const bytes = ({ read, written }: Elements, dispatches: number): Traffic => ({
  dispatches,
  read: 4 * read,
  written: 4 * written,
})

/** Buffers that a kernel reads although they are outputs. */
const inPlace: Partial<Record<KernelName, readonly string[]>> = {
  adamw: ['p', 'm', 'v'],
  sgd: ['p', 'buf'],
  scatterAdd: ['y'],
}

/** Elements moved when every operand is touched once. */
function leastElements(call: Call): Elements {
  const { kernel, bufs, params: p } = call
  const has = (name: string) => (bufs[name] ? 1 : 0)
  if (kernel === 'copy') {
    const n = p.d0! * p.d1! * p.d2! * p.d3! * p.d4! * p.d5!
    return { read: n * (1 + p.accumulate!), written: n }
  }
  if (kernel === 'matmul') {
    const [m, n, k, batch] = [p.m!, p.n!, p.k!, p.batch!]
    const a = m * k * (p.strideA === 0 ? 1 : batch)
    // Packed, it is fewer words than elements, and the numbers that they stand for.
    const b = p.format ? bufs.b!.length + bufs.bScale!.length : k * n * (p.strideB === 0 ? 1 : batch)
    const y = m * n * batch
    const vectors = n * (has('bias') + has('colScale')) + k * has('kScale')
    const ending = y * ((has('residual') || p.accumulate!) + has('gate'))
    return { read: a + b + vectors + ending, written: y * (1 + has('slope')) }
  }
  const spec = kernels[kernel]
  const sum = (names: readonly string[]) => names.reduce((all, name) => all + lengthOf(call, name), 0)
  return { read: sum(namesOf(spec.in)) + sum(inPlace[kernel] ?? []), written: sum(namesOf(spec.out)) }
}

/** The least that one call can move, on any backend. */
export const leastTraffic = (call: Call): Traffic => bytes(leastElements(call), 1)

/** Rows and columns of a tile, from the end or the start of a pass's key (`64x64`). */
function tileOf(pass: Pass, where: RegExp): { rows: number; columns: number } {
  const [, rows, columns] = where.exec(pass.key) ?? []
  if (!rows || !columns) throw new Error(`traffic: a pass's key must name its tile, got ${pass.key}`)
  return { rows: Number(rows), columns: Number(columns) }
}

/** Each tile of y reads its rows of A and its columns of B; parts of k go through memory once more. */
function matmulOnGpu(call: Call, passes: readonly Pass[], parts: number): Elements {
  const p = call.params as { m: number; n: number; k: number; batch: number; transA: number; strideA: number }
  const has = (name: string) => (call.bufs[name] ? 1 : 0)
  // Products that share B are one with more rows.
  const joins = call.params.strideB === 0 && p.transA !== 1 && p.strideA === p.m * p.k
  const [batch, m] = joins ? [1, p.batch * p.m] : [p.batch, p.m]
  const { rows, columns } = tileOf(passes[0]!, /(\d+)x(\d+)/)
  const a = batch * m * p.k * up(p.n, columns)
  const b = batch * p.k * p.n * up(m, rows)
  const y = batch * m * p.n
  const scales = batch * up(m, rows) * up(p.n, columns) * p.k * has('kScale')
  const vectors = batch * p.n * up(m, rows) * (has('bias') + has('colScale')) + scales
  const ending = y * ((has('residual') || call.params.accumulate!) + has('gate'))
  const partial = parts > 1 ? parts * y : 0
  return { read: a + b + vectors + ending + partial, written: y * (1 + has('slope')) + partial }
}

/** Blocks of rows that a pass owns and that it streams, and how often columns of wide heads repeat the scores. */
function streamed(pass: Pass, { n, d }: { n: number; d: number }) {
  const { rows, columns } = tileOf(pass, /(\d+)x(\d+)$/)
  return { own: up(n, 16 * rows), streamed: up(n, 16 * columns), wide: up(d, 128) }
}

function attentionOnGpu(call: Call, passes: readonly Pass[]): Elements {
  const p = call.params as { b: number; n: number; h: number; d: number }
  const [side, vector] = [p.b * p.h * p.n * p.d, p.b * p.h * p.n]
  const has = (name: string) => call.bufs[name] !== undefined
  if (call.kernel === 'attention') {
    const s = streamed(passes[0]!, p)
    // Own queries are staged again for every block of keys.
    const read = side * (s.streamed * s.wide + s.own * s.wide + s.own)
    return { read, written: side + (has('lse') ? vector : 0) }
  }
  let read = 0
  let written = 0
  for (const pass of passes) {
    const s = streamed(pass, p)
    if (pass.key.startsWith('queries')) {
      // delta from dO and O; for dQ the scores of q with k and of dO with v, and dS K.
      read += 2 * side * s.wide
      if (has('dk')) written += vector
      if (!has('dq')) continue
      read += side * (2 * s.streamed * s.wide + 2 * s.own * s.wide + s.own) + vector
      written += side
    } else {
      // The scores of k with q; for dV P^T dO; for dK those of v with dO, and dS^T Q.
      read += side * (s.streamed + s.own) * s.wide + vector * s.own
      if (has('dv')) read += side * s.own
      if (has('dk')) read += side * ((s.streamed + s.own) * s.wide + s.own) + vector * s.own
      written += side * ((has('dv') ? 1 : 0) + (has('dk') ? 1 : 0))
    }
  }
  return { read, written }
}

/** Kernels with a workgroup for each row: how often each reads its rows, and the vectors that all rows share. */
function rowsOnGpu(call: Call): Elements | undefined {
  const least = leastElements(call)
  const { m, n } = call.params as { m: number; n: number }
  const has = (name: string) => call.bufs[name] !== undefined
  switch (call.kernel) {
    case 'layerNorm':
      return { ...least, read: m * n * (3 + 2) }
    case 'layerNormGrad': {
      const dx = has('dx') ? m * n * (2 + 2 + 2) + 2 * m : 0
      const sums = has('dw') ? 2 * m * n : has('db') ? m * n : 0
      return { ...least, read: dx + sums }
    }
    case 'softmax':
      return { ...least, read: 3 * m * n }
    case 'softmaxGrad':
      return { ...least, read: 4 * m * n }
    case 'crossEntropy':
      return { ...least, read: 3 * m * n + 2 * m }
    default:
      return undefined
  }
}

/** What the WebGPU backend's plan for this call moves, with the scratch that its passes hand on. */
export function webgpuTraffic(call: Call): Traffic {
  const { bufs, kernel, lengths, params } = call
  const has = (name: string) => {
    if (!name.startsWith('alias:')) return bufs[name] !== undefined
    const [one, other] = name.slice(6).split('=')
    return bufs[one!] !== undefined && bufs[one!] === bufs[other!]
  }
  const build = table[kernel] as unknown as GpuKernel<KernelName>
  const { passes, temps = {} } = build(params as never, has, limits, lengths)
  const run = passes.filter((pass) => !pass.workgroups.includes(0))
  if (kernel === 'matmul') {
    const parts = (temps.parts ?? 0) / (params.batch! * params.m! * params.n!)
    return bytes(matmulOnGpu(call, run, parts), run.length)
  }
  if (kernel === 'attention' || kernel === 'attentionGrad') return bytes(attentionOnGpu(call, run), run.length)
  const scratch = Object.values(temps).reduce((sum, length) => sum + length, 0)
  const { read, written } = rowsOnGpu(call) ?? leastElements(call)
  return bytes({ read: read + scratch, written: written + scratch }, run.length)
}

/** What the wasm backend's plan for this call moves: operands once, and packed copies written once and read by each block. */
export function wasmTraffic(call: Call): Traffic {
  const { kernel, params: p, bufs, lengths } = call
  const least = leastElements(call)
  if (lengths.length > 0) return bytes(least, 1)
  const plan = planOf(kernel, p as Numbers, (name) => bufs[name] !== undefined)
  if (kernel !== 'matmul') {
    const shared = plan.shared / 4
    return bytes({ read: least.read + shared, written: least.written + shared }, 1)
  }
  // B is packed once for all threads; a block of 64 rows of A is packed, stays in cache, and meets all of B.
  const packed = plan.shared / 4
  const blocks = up(p.m! * (p.strideB === 0 ? p.batch! : 1), 64)
  return bytes({ read: least.read + packed * blocks, written: least.written + packed }, 1)
}
