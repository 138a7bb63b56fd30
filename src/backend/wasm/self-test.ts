// Whether two compiled kernel sets give the same bits: one of each kernel's calls, on sizes that end within tiles, vectors
// and blocks. It stands between an engine's experiment and anybody's training.
import { type KernelName, kernels, slotsOf } from '../kernels.ts'
import { CHUNKS, HEAP, OWN, OWN_STRIDE, PHASE, RING, SERIAL, SHARED, WORDS } from './layout.ts'
import { type Numbers, planOf } from './plan.ts'

interface Case {
  readonly kernel: KernelName
  /** Lengths of the buffers that the call is given, places too. */
  readonly lengths: Numbers
  readonly params: Numbers
}

function product(m: number, n: number, k: number, params: Numbers, more: Numbers): Case {
  const rest = { transA: 0, transB: 0, strideA: 0, strideB: 0, alpha: 0.75, act: 0, accumulate: 0, format: 0, block: 0 }
  return {
    kernel: 'matmul',
    lengths: { y: m * n, a: m * k, b: k * n, ...more },
    params: { batch: 1, m, n, k, ...rest, ...params },
  }
}

function attentions(n: number, d: number): Case[] {
  const h = 2
  const size = n * h * d
  const params = { b: 1, n, h, d, scale: 0.3 }
  const given = { q: size, k: size, v: size, o: size, lse: h * n }
  return [
    { kernel: 'attention', lengths: given, params },
    { kernel: 'attentionGrad', lengths: { ...given, do: size, dq: size, dk: size, dv: size }, params },
  ]
}

function elementwise(n: number): Case[] {
  const cases: Case[] = [
    {
      kernel: 'dropout',
      lengths: { y: n, x: n, seed: 2 },
      params: { n, inner: 1, threshold: 1 << 30, scale: 2, stream: 3 },
    },
  ]
  for (let op = 0; op < 13; op++) {
    cases.push({ kernel: 'unary', lengths: { y: n, x: n }, params: { op, n, a: 1.5, b: 0.5 } })
    cases.push({ kernel: 'unaryGrad', lengths: { dx: n, dy: n, x: n }, params: { op, n, a: 1.5, b: 0.5 } })
  }
  for (let op = 0; op < 6; op++) {
    cases.push({ kernel: 'binary', lengths: { y: n, a: n, b: n }, params: { op, n, inner: 1, count: n } })
  }
  for (let op = 0; op < 3; op++) {
    for (const inner of [1, n]) {
      cases.push({
        kernel: 'reduce',
        lengths: { y: 3 * inner, x: 3 * 5 * n },
        params: { op, outer: 3, count: (5 * n) / inner, inner, scale: 0.5 },
      })
    }
  }
  return cases
}

function rows(m: number, n: number): Case[] {
  const size = m * n
  const norm = { x: size, mean: m, rstd: m, w: n }
  return [
    { kernel: 'softmax', lengths: { y: size, x: size }, params: { m, n } },
    { kernel: 'softmaxGrad', lengths: { dx: size, dy: size, y: size }, params: { m, n } },
    { kernel: 'layerNorm', lengths: { ...norm, y: size, b: n }, params: { m, n, eps: 1e-5 } },
    {
      kernel: 'layerNormGrad',
      lengths: { ...norm, dx: size, dw: n, db: n, dy: size },
      params: { m, n, accumulate: 1 },
    },
  ]
}

const cases: readonly Case[] = [
  product(13, 37, 29, { transB: 1, act: 1 }, { bias: 37, slope: 13 * 37 }),
  product(12, 32, 530, { transA: 1, accumulate: 1 }, { gate: 12 * 32, kScale: 530 }),
  product(7, 56, 40, { act: 2 }, { colScale: 56, residual: 7 * 56 }),
  product(5, 21, 6, { batch: 3, strideA: 30, strideB: 126 }, { y: 315, a: 90, b: 378 }),
  ...attentions(37, 20),
  ...attentions(150, 16),
  ...elementwise(45),
  ...rows(5, 77),
]

/** Numbers from -2 to 2, the same each time. */
function fill(values: Float32Array, seed: number): void {
  for (let i = 0, x = seed; i < values.length; i++) {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0
    values[i] = x / 2 ** 30 - 2
  }
}

/** What the calls leave in their buffers, those that they only read too. */
function results(module: WebAssembly.Module, shared: boolean): Int32Array[] {
  const memory = new WebAssembly.Memory({ initial: 64, maximum: 64, shared })
  const execute = new WebAssembly.Instance(module, { env: { memory } }).exports.execute as (...args: number[]) => void
  const words = new Int32Array(memory.buffer)
  const floats = new Float32Array(memory.buffer)
  return cases.flatMap(({ kernel, lengths, params }, which) => {
    const record = new Int32Array(WORDS)
    const numbers = new Float32Array(record.buffer)
    record[0] = Object.keys(kernels).indexOf(kernel)
    let word = 1
    let free = HEAP
    const places: (readonly [from: number, to: number])[] = []
    for (const { name } of slotsOf(kernel)) {
      const length = lengths[name]
      if (length !== undefined) {
        fill(floats.subarray(free / 4, free / 4 + length), which + word)
        record[word] = free
        places.push([free / 4, free / 4 + length])
        free += Math.ceil(length / 16) * 64
      }
      word++
    }
    for (const [name, type] of Object.entries(kernels[kernel].params))
      (type === 'f32' ? numbers : record)[word++] = params[name]!
    const plan = planOf(kernel, params, (name) => lengths[name] !== undefined)
    record[SHARED] = free
    record[OWN] = free + Math.ceil(plan.shared / 64) * 64
    record[OWN_STRIDE] = Math.ceil(plan.own / 64) * 64
    record[CHUNKS] = plan.chunks
    record[SERIAL] = 1
    for (const step of plan.serial.keys()) {
      record[PHASE] = step
      words.set(record, RING / 4)
      execute(RING, 0, 1)
    }
    return places.map(([from, to]) => words.slice(from, to))
  })
}

/** Whether two modules do the same, bit for bit; `shared` where they take shared memory. */
export function sameBits(a: WebAssembly.Module, b: WebAssembly.Module, shared: boolean): boolean {
  const expected = results(b, shared)
  return results(a, shared).every((found, i) => found.every((word, j) => word === expected[i]![j]))
}
