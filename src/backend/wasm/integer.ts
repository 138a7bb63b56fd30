// How products of codes are multiplied here: by the instruction for four 8-bit codes, by that for two of 16 bits, or as f32. All
// give the same integers where they work, so what is right on this engine and fastest on this processor is found by trying.
import { platform } from '#platform'
import { kernels, slotsOf } from '../kernels.ts'
import { KIND, OWN, PHASE, RING, SERIAL, SHARED, WORDS } from './layout.ts'
import { planOf } from './plan.ts'
import type { Execute } from './queue.ts'
import type { Feature, Variant } from './variants.ts'

/** By number: the log2 of the codes of a step (assembly/codes.ts). */
export const integers = ['f32', 'dot16', 'dot'] as const
export type Integer = (typeof integers)[number]

/** V8 before 12.4 (Node 20 and 21): its baseline compiler adds wrongly, depending on which registers are free. */
const FIRST_RIGHT = [12, 4] as const

/** Most milliseconds that choosing may take, and how many it takes at least: the engine's optimising compiler is to be done. */
const [LEAST, MOST] = [15, 40]

type Try = (kind: number) => void
interface Product {
  readonly m: number
  readonly n: number
  readonly k: number
  readonly transB: number
}

/** Codes without a pattern within -most..most, every fifth of them the largest there is. */
function codes(into: Int8Array, rows: number, columns: number, most: number): Int8Array {
  const row = 4 * Math.ceil(columns / 4)
  let state = rows + columns
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      state = (Math.imul(state, 1103515245) + 12345) >>> 0
      const code = ((state >>> 16) % (2 * most + 1)) - most
      into[i * row + j] = state % 5 === 0 ? Math.sign(code) * most : code
    }
  }
  return into
}

/** Puts a product into the memory; `run` computes it with a kind of panel, `wrong` tells whether that gave the wrong numbers. */
function prepare(memory: WebAssembly.Memory, execute: Execute, product: Product): { run: Try; wrong(): boolean } {
  const { m, n, k, transB } = product
  const rowA = 4 * Math.ceil(k / 4)
  const [rowsB, columnsB] = transB === 1 ? [n, k] : [k, n]
  const rowB = 4 * Math.ceil(columnsB / 4)
  let free = RING + WORDS * 4
  const take = (bytes: number) => {
    const at = free
    free += 64 * Math.ceil(bytes / 64 + 1)
    return at
  }
  const [a, b, aScale, y] = [take(m * rowA), take(rowsB * rowB), take(m * 4), take(m * n * 4)]
  const bytes = new Int8Array(memory.buffer)
  bytes.fill(0, a, aScale)
  const left = codes(bytes.subarray(a), m, k, 127)
  const right = codes(bytes.subarray(b), rowsB, columnsB, 63)
  new Float32Array(memory.buffer, aScale, m).fill(1)
  const record = new Int32Array(memory.buffer, RING, WORDS)
  const numbers: Readonly<Record<string, number>> = { ...product, act: 0, accumulate: 0 }
  const places: Readonly<Record<string, number>> = { y, a, aScale, b }
  return {
    run(kind) {
      const plan = planOf('matmulI8', { ...numbers, kind }, () => false)
      record.fill(0)
      let word = 0
      record[word++] = Object.keys(kernels).indexOf('matmulI8')
      for (const { name } of slotsOf('matmulI8')) record[word++] = places[name] ?? 0
      for (const name of Object.keys(kernels.matmulI8.params)) {
        if (name === 'alpha') new Float32Array(memory.buffer, RING, WORDS)[word++] = 1
        else record[word++] = numbers[name]!
      }
      record[KIND] = kind
      record[SHARED] = free
      record[OWN] = free + plan.shared + 64
      record[SERIAL] = 1
      for (const phase of [0, 1]) {
        record[PHASE] = phase
        record[PHASE + 2] = 0
        execute(RING, 0, 1)
      }
    },
    wrong() {
      const found = new Float32Array(memory.buffer, y, m * n)
      const [step, column] = transB === 1 ? [1, rowB] : [rowB, 1]
      for (let i = 0; i < m; i++) {
        for (let j = 0; j < n; j++) {
          let sum = 0
          for (let c = 0; c < k; c++) sum += left[i * rowA + c]! * right[c * step + j * column]!
          if (found[i * n + j] !== sum) return true
        }
      }
      return false
    },
  }
}

/** Odd sizes, blocks in parts, both ways of storing B; sums stay below 2^24. */
const proofs: readonly Product[] = [
  { m: 1, n: 1, k: 1, transB: 1 },
  { m: 7, n: 13, k: 67, transB: 0 },
  { m: 13, n: 17, k: 130, transB: 1 },
  { m: 6, n: 8, k: 2081, transB: 1 },
]
const timed: Product = { m: 96, n: 64, k: 384, transB: 1 }

/** Whether V8 is known to be wrong; undefined versions are other engines' and pages', which the proofs decide. */
function isKnownWrong(version: string | undefined): boolean {
  if (version === undefined) return false
  const [major = 0, minor = 0] = version.split('.').map(Number)
  return major < FIRST_RIGHT[0] || (major === FIRST_RIGHT[0] && minor < FIRST_RIGHT[1])
}

const chosen = new Map<string, Integer>()

/** The fastest of those that are right and not switched off; found once a process, in some 20 ms. */
export function chooseInteger(module: WebAssembly.Module, variant: Variant, disable: readonly Feature[]): Integer {
  const key = [
    variant.relaxedSimd,
    variant.wide,
    variant.shared,
    disable.includes('dot'),
    disable.includes('dot16'),
  ].join()
  const known = chosen.get(key) ?? choose(module, variant, disable)
  chosen.set(key, known)
  return known
}

function choose(module: WebAssembly.Module, variant: Variant, disable: readonly Feature[]): Integer {
  const allowed = [0]
  if (!disable.includes('dot16')) allowed.push(1)
  if (variant.relaxedSimd && !disable.includes('dot') && !isKnownWrong(platform.v8)) allowed.push(2)
  const memory = new WebAssembly.Memory({ initial: 24, maximum: 24, shared: variant.shared })
  const execute = new WebAssembly.Instance(module, { env: { memory } }).exports.execute as Execute
  const right = (kinds: readonly number[]) => {
    const wrong = new Set<number>()
    for (const product of proofs) {
      const proof = prepare(memory, execute, product)
      for (const kind of kinds) {
        proof.run(kind)
        if (proof.wrong()) wrong.add(kind)
      }
    }
    return kinds.filter((kind) => !wrong.has(kind))
  }
  const kinds = right(allowed)
  const best = new Map<number, number>()
  const { run } = prepare(memory, execute, timed)
  const start = performance.now()
  let steady = start
  for (let now = start; now < start + MOST && !(now > start + LEAST && now > steady + LEAST / 2); ) {
    for (const kind of kinds) {
      const before = performance.now()
      let runs = 0
      do {
        run(kind)
        runs++
        now = performance.now()
      } while (now < before + 0.3)
      const time = (now - before) / runs
      if (time < 0.9 * (best.get(kind) ?? Number.POSITIVE_INFINITY)) steady = now
      best.set(kind, Math.min(time, best.get(kind) ?? time))
    }
  }
  // Once more: by now it is the optimising compiler's code that runs.
  const still = right(kinds)
  if (still.length === 0) throw new Error('wasm: this engine multiplies integers wrongly; use the reference backend')
  return integers[still.reduce((a, b) => (best.get(b)! < best.get(a)! ? b : a))]!
}
