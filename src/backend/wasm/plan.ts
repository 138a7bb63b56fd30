// What a command needs beside its buffers: steps, scratch, chunks, and whether it is worth more than one thread.
// Scratch sizes mirror the layouts in assembly/ (matmul.ts, attention.ts, reduce.ts, layer-norm.ts), of the wide build too.
import type { KernelName } from '../kernels.ts'

export interface Plan {
  /** One entry a step: true where one thread does it, because handing it to more would cost more than it saves. */
  readonly serial: readonly boolean[]
  /** Bytes of scratch that all threads share, and that each has for itself. */
  readonly shared: number
  readonly own: number
  /** Pieces of a long sum; fixed by the shape, so that results do not depend on the threads. */
  readonly chunks: number
}

/** The numbers of a call by name. */
export type Numbers = Readonly<Record<string, number>>

const up = (a: number, b: number) => Math.ceil(a / b)

/** Handing a command to all threads costs about 6 us: the work that one thread does in about as long. */
const SMALL_WORK = 12_000 // elements of a simple kernel
const SMALL_FLOPS = 400_000

const simple = (elements: number): Plan => ({ serial: [elements < SMALL_WORK], shared: 0, own: 0, chunks: 1 })

function reducePlan({ outer = 0, count = 0, inner = 0 }: Numbers): Plan {
  const outputs = outer * inner
  const total = outputs * count
  const chunks = outputs >= 64 || total < 32768 ? 1 : Math.min(64, up(count, 512))
  const serial = [total < SMALL_WORK]
  if (chunks > 1) serial.push(true)
  return { serial, shared: chunks > 1 ? outputs * chunks * 8 : 0, own: 256, chunks }
}

function layerNormGradPlan({ m = 0, n = 0 }: Numbers, sums: boolean): Plan {
  const chunks = Math.max(1, Math.min(64, up(m, 32)))
  const first = m * n * 2 < SMALL_WORK
  if (!sums) return { serial: [first], shared: 0, own: 0, chunks }
  return { serial: [first, chunks * n < SMALL_WORK], shared: chunks * 2 * n * 4, own: 0, chunks }
}

const DEPTH = 512
/** Rows of a tile with relaxed SIMD; 5 without. */
const HEIGHT = 6
/** Columns of a tile in the wide build; 8 in the others. */
const WIDTH = 16
const ROWS = 16
const COLUMNS = 2048

/** A codebook in bytes, and 64 numbers of each column of a panel. */
const UNPACKED = 64 + 64 * 16 * 4

function matmulPlan({ batch = 0, m = 0, n = 0, k = 0, strideB = 0, format = 0 }: Numbers): Plan {
  const products = strideB === 0 ? 1 : batch
  const columns = up(n, WIDTH) * WIDTH
  const depth = Math.max(1, up(k, Math.max(1, up(k, DEPTH))))
  const packed = products * k * columns
  const sums = depth < k ? ROWS * Math.min(COLUMNS, columns) : WIDTH
  return {
    serial: [packed < SMALL_WORK * 2, 2 * batch * m * n * k < SMALL_FLOPS],
    shared: packed * 4,
    own: Math.max((ROWS * HEIGHT * depth + 128 + sums * HEIGHT) * 4, format > 0 ? UNPACKED : 0),
    chunks: 1,
  }
}

/** `kind` is the log2 of the codes of a step of 4 bytes (assembly/codes.ts). */
function matmulI8Plan({ m = 0, n = 0, k = 0, kind = 0 }: Numbers): Plan {
  const words = up(k, 4)
  const shift = 2 - kind
  const panels = up(n, 8)
  const depth = Math.max(1, up(words, Math.max(1, up(words, DEPTH >> shift))))
  const packed = panels * 8 * (words << shift)
  const tiles = depth < words ? ROWS * Math.min(COLUMNS / 8, panels) : 1
  return {
    serial: [packed < SMALL_WORK * 2, 2 * m * n * k < SMALL_FLOPS * (1 << kind)],
    shared: packed * 4,
    own: (256 + (ROWS + 1) * HEIGHT * (depth << shift) + tiles * 8 * HEIGHT) * 4,
    chunks: 1,
  }
}

const FORWARD_ROWS = 32
/** Most query rows that the gradient takes at a time: as many as keep a block of scores in the second-level cache. */
const backwardRows = (keys: number) => Math.min(128, Math.max(64, Math.floor(2048 / keys) * 16))
/** At least n rounded up to whole panels of rows, whether a panel has 5 or 6. */
const inPanels = (n: number) => n + HEIGHT - 1
/** A tile, or a number for each of its columns. */
const TILE = 6 * WIDTH

function attentionPlan({ b = 0, n = 0, h = 0, d = 0 }: Numbers): Plan {
  const keys = inPanels(n)
  const scores = FORWARD_ROWS * (keys + 1)
  const own = keys * d + inPanels(d) * n + FORWARD_ROWS * d + scores + FORWARD_ROWS + WIDTH + TILE
  return { serial: [4 * b * h * n * n * d < SMALL_FLOPS], shared: 0, own: own * 4, chunks: 1 }
}

function attentionGradPlan({ b = 0, n = 0, h = 0, d = 0 }: Numbers): Plan {
  const keys = inPanels(n)
  const depth = up(d, WIDTH) * WIDTH
  const rows = backwardRows(n)
  const own =
    2 * keys * d +
    inPanels(d) * n +
    2 * depth * keys +
    2 * rows * d +
    2 * rows * depth +
    3 * keys * rows +
    2 * rows +
    WIDTH +
    2 * TILE
  return { serial: [10 * b * h * n * n * d < SMALL_FLOPS], shared: 0, own: own * 4, chunks: 1 }
}

type Planner = (p: Numbers, given: (name: string) => boolean) => Plan

/** Rows of n numbers, read and written about twice. */
const byRow: Planner = ({ m = 0, n = 0 }) => simple(m * n * 4)
const byElement: Planner = ({ n = 0 }) => simple(n)
const byFunction: Planner = ({ n = 0 }) => simple(n * 2)
const byEntry: Planner = ({ m = 0, n = 0 }) => simple(m * n)
/** Lists are cut by listPlan. */
const byList: Planner = () => simple(0)

/** How each kernel is planned; the compiler names one that is missing. */
const planners = {
  matmul: matmulPlan,
  attention: attentionPlan,
  attentionGrad: attentionGradPlan,
  reduce: reducePlan,
  layerNorm: byRow,
  layerNormGrad: (p, given) => layerNormGradPlan(p, given('dw') || given('db')),
  softmax: byRow,
  softmaxGrad: byRow,
  crossEntropy: byRow,
  crossEntropyGrad: byRow,
  copy: (p) => simple(p.d0! * p.d1! * p.d2! * p.d3! * p.d4! * p.d5!),
  fill: byElement,
  binary: byElement,
  unary: byFunction,
  unaryGrad: byFunction,
  dropout: byFunction,
  gather: byEntry,
  scatterAdd: byEntry,
  adamw: byList,
  sgd: byList,
  clipNorm: byList,
  quantizeRows: ({ m = 0, k = 0 }, given) => ({ ...simple(m * k * 2), own: given('kScale') ? k * 4 : 0 }),
  matmulI8: matmulI8Plan,
  unpack: ({ rows = 0, k = 0 }) => ({ ...simple(rows * k * 2), own: UNPACKED }),
} as const satisfies Record<KernelName, Planner>

/** The plan of one call; `given` tells whether an optional buffer is there. */
export const planOf = (kernel: KernelName, p: Numbers, given: (name: string) => boolean): Plan =>
  planners[kernel](p, given)

/** Elements of a list's tensor that make one piece of a sum; assembly/adamw.ts has the same number. */
const NORM_PIECE = 16384

export interface ListPart {
  /** Entries [from, to) of the lists go into one command. */
  readonly from: number
  readonly to: number
  readonly serial: boolean
}

export interface ListPlan {
  readonly parts: readonly ListPart[]
  /** The first piece of each entry, and the number of pieces. */
  readonly first: readonly number[]
  readonly pieces: number
  /** Whether a last command finishes what the others left in shared scratch, of so many bytes. */
  readonly finish: boolean
  readonly shared: number
}

/** The commands of a kernel over lists whose tensors have these lengths; each takes at most `most` entries. */
export function listPlan(kernel: KernelName, lengths: readonly number[], most: number): ListPlan {
  const first: number[] = []
  let pieces = 0
  for (const n of lengths) {
    first.push(pieces)
    pieces += up(n, NORM_PIECE)
  }
  const parts: ListPart[] = []
  for (let from = 0; from < lengths.length; from += most) {
    const to = Math.min(lengths.length, from + most)
    const elements = lengths.slice(from, to).reduce((sum, n) => sum + n, 0)
    parts.push({ from, to, serial: elements * 2 < SMALL_WORK })
  }
  const finish = kernel === 'clipNorm'
  return { parts, first, pieces, finish, shared: finish ? pieces * 8 : 0 }
}

/** Products that share B and follow each other in A are one product with more rows. */
export function joinProducts(p: Numbers): Numbers {
  const { batch = 0, m = 0, k = 0, transA, strideA, strideB } = p
  if (batch > 1 && strideB === 0 && transA === 0 && strideA === m * k)
    return { ...p, batch: 1, m: batch * m, strideA: 0 }
  return p
}
