// Cases of quantizeRows and matmulI8. Codes, scales and sums are the same everywhere, to the last bit.
import { add, type Draw, exact, f32, type Values } from './case.ts'

const up = (a: number, b: number) => Math.ceil(a / b)

/** Kinds of rows: from a normal number and its column. Maxima tiny, huge, at 2^-100 and just below, not finite; ties; zero. */
const kinds: ((v: number, c: number) => number)[] = [
  (v) => v,
  (v) => v * 2 ** -98,
  () => 0,
  (v, c) => (c === 2 ? Number.POSITIVE_INFINITY : v),
  (v, c) => (c === 2 ? Number.NaN : v),
  (_, c) => 2 ** -100 / (c + 1),
  (_, c) => (2 ** -100 * (1 - 2 ** -24)) / (c + 1),
  (v) => v * 1e37,
  (v, c) => (c === 1 ? -3.4028234663852886e38 : v),
  (_, c) => 127 - c,
  // Halves, behind a maximum whose inverse is 1.
  (_, c) => (c === 0 ? 127 : (c % 2 === 0 ? 1 : -1) * (63.5 - (c % 127))),
]

function rows(r: Draw, m: number, k: number): Float32Array {
  return r.normal(m * k).map((v, e) => kinds[Math.floor(e / k) % kinds.length]!(v, e % k))
}

for (const [m, k] of [
  [1, 1],
  [12, 3],
  [25, 4],
  [13, 65],
  [48, 384],
  [36, 257],
  [517, 131],
] as const) {
  for (const scaled of [false, true]) {
    add(
      'quantizeRows',
      `${m} x ${k}${scaled ? ', kScale' : ''}`,
      { m, k },
      (r): Values => ({
        x: rows(r, m, k),
        codes: new Int32Array(m * up(k, 4)).fill(-1),
        ...(scaled ? { kScale: r.normal(k) } : {}),
      }),
      { codes: m * up(k, 4), scale: m },
      exact,
    )
  }
}

/** Codes within -most..most, rows of `columns` padded with 0 to words. */
function codes(r: Draw, count: number, columns: number, most: number): Int32Array {
  const width = 4 * up(columns, 4)
  const bytes = Int8Array.from(r.ints(count * width, -most, most + 1))
  for (let row = 0; row < count; row++) bytes.fill(0, row * width + columns, (row + 1) * width)
  return new Int32Array(bytes.buffer)
}

interface Product {
  transB?: number
  alpha?: number
  act?: number
  accumulate?: number
  with?: string[]
  /** Scales of 1, so that y is the sum itself. */
  whole?: boolean
}

function addProduct(m: number, n: number, k: number, how: Product = {}): void {
  const { transB = 1, act = 0, accumulate = 0, whole = false } = how
  const alpha = f32(how.alpha ?? 1)
  const extra = how.with ?? []
  const all = m * n
  const lengths: Record<string, number> = { bScale: n, bias: n, colScale: n, residual: all, gate: all }
  const name = [
    `${m} x ${n} x ${k}`,
    transB ? 'B^T' : '',
    alpha === 1 ? '' : `alpha ${alpha.toFixed(2)}`,
    ['', 'gelu', 'gelu slope'][act]!,
    accumulate ? 'accumulate' : '',
    whole ? 'sums' : '',
    ...extra,
  ]
  add(
    'matmulI8',
    name.filter(Boolean).join(', '),
    { m, n, k, transB, alpha, act, accumulate },
    (r) => {
      const values: Values = {
        a: codes(r, m, k, 127),
        b: transB ? codes(r, n, k, 63) : codes(r, k, n, 63),
        aScale: whole ? new Float32Array(m).fill(1) : r.uniform(m, 0.001, 0.02),
      }
      for (const given of extra) {
        if (given === 'bScale') values.bScale = r.uniform(n, 0.001, 0.02)
        else if (given !== 'slope') values[given] = r.normal(lengths[given]!)
      }
      if (accumulate) values.y = r.normal(all)
      return values
    },
    extra.includes('slope') ? { y: all, slope: all } : { y: all },
    whole
      ? { abs: 0, rel: 0, why: 'sums of integers below 2^24' }
      : { abs: 4e-6, rel: 2e-6, why: 'a few f32 roundings, and gelu' },
  )
}

for (const transB of [1, 0]) {
  for (const [m, n, k] of [
    [1, 1, 1],
    [3, 5, 7],
    [6, 8, 16],
    [7, 9, 17],
    [13, 33, 29],
    [4, 16, 1030],
    [25, 67, 130],
    [130, 70, 513],
  ] as const) {
    addProduct(m, n, k, { transB, whole: true })
  }
  for (const [m, n, k] of [
    [3, 5, 7],
    [26, 35, 66],
  ] as const) {
    addProduct(m, n, k, { transB })
    addProduct(m, n, k, { transB, with: ['bScale'] })
    addProduct(m, n, k, { transB, alpha: 0.3, with: ['bScale', 'bias', 'colScale', 'residual'] })
    addProduct(m, n, k, { transB, act: 1, with: ['slope', 'bScale', 'bias'] })
    addProduct(m, n, k, { transB, act: 2, with: ['bias'] })
    addProduct(m, n, k, { transB, accumulate: 1, with: ['gate'] })
    // What no layer does: nine buffers beside a and y.
    addProduct(m, n, k, { transB, act: 1, with: ['slope', 'bScale', 'bias', 'colScale', 'residual'] })
    addProduct(m, n, k, { transB, with: ['gate', 'residual'] })
  }
  // Enough for threads.
  addProduct(257, 131, 200, { transB, with: ['bScale', 'bias'] })
}
