// Cases of matmul.
import { add, type Draw, f32, type Values } from './case.ts'

export interface Product {
  batch?: number
  transA?: number
  transB?: number
  strideA?: number
  strideB?: number
  alpha?: number
  with?: string[]
  act?: number
  accumulate?: number
  /** B as words and scales. */
  packed?: { format: number; block: number; values: (r: Draw) => Values }
}
/** Adds a product of (m, k) by (k, n), values normal. */
export function addMatmul(m: number, n: number, k: number, how: Product = {}): void {
  const { batch = 1, transA = 0, transB = 0, strideA = m * k, strideB = k * n, act = 0, accumulate = 0 } = how
  const { format, block } = how.packed ?? { format: 0, block: 0 }
  const alpha = f32(how.alpha ?? 1)
  const extra = how.with ?? []
  const all = batch * m * n
  const params = { batch, m, n, k, transA, transB, strideA, strideB, alpha, act, accumulate, format, block }
  // Errors of k products near 1 add up like a walk; alpha scales them, and a column's scale may be 3.
  const abs =
    2e-6 *
    Math.sqrt(k + 1) *
    Math.max(1, Math.abs(alpha)) *
    (extra.includes('colScale') ? 3 : 1) *
    (extra.includes('kScale') ? 2 : 1)
  const tolerance = { abs, rel: 3e-6, why: 'an f32 sum of k products of normals' }
  const lengths: Record<string, number> = { bias: n, colScale: n, residual: all, kScale: k, gate: all }
  const title = [
    `${m} x ${n} x ${k}`,
    batch > 1 ? `batch ${batch} strides ${strideA} ${strideB}` : '',
    transA ? 'A^T' : '',
    transB ? 'B^T' : '',
    format > 0 ? `format ${format}, blocks of ${block}` : '',
    alpha === 1 ? '' : `alpha ${alpha.toFixed(2)}`,
    ['', 'gelu', 'gelu slope'][act]!,
    accumulate ? 'accumulate' : '',
    ...extra,
  ]
  add(
    'matmul',
    title.filter(Boolean).join(', '),
    params,
    (r) => {
      const values: Values = {
        a: r.normal((batch - 1) * strideA + m * k),
        ...(how.packed?.values(r) ?? { b: r.normal((batch - 1) * strideB + k * n) }),
      }
      for (const name of extra) if (name !== 'slope') values[name] = r.normal(lengths[name]!)
      if (accumulate) values.y = r.normal(all)
      return values
    },
    extra.includes('slope') ? { y: all, slope: all } : { y: all },
    tolerance,
  )
}
export const transposes = [{}, { transA: 1 }, { transB: 1 }, { transA: 1, transB: 1 }]
const epilogues: Product[] = [
  { with: ['bias'] },
  { with: ['bias'], act: 1 },
  { with: ['slope', 'bias'], act: 1 },
  { with: ['bias'], act: 2 },
  { with: ['colScale'] },
  { with: ['residual'] },
  { with: ['bias', 'colScale', 'residual'] },
  { with: ['slope', 'bias', 'colScale', 'residual'], act: 1, alpha: 0.3 },
  { accumulate: 1 },
  { accumulate: 1, alpha: -0.7 },
  { accumulate: 1, act: 1, with: ['slope', 'bias', 'colScale'] },
  { alpha: 2.5 },
]
for (const [m, n, k] of [
  [1, 1, 1],
  [1, 1, 67],
  [3, 4, 17],
  [4, 3, 1],
  [4, 8, 4],
  [5, 9, 2],
  [8, 8, 8],
  [8, 16, 32],
  [17, 67, 4],
  [67, 17, 67],
  [67, 1, 17],
  [1, 67, 67],
  [64, 64, 64],
  [13, 33, 29],
  [130, 70, 513],
  [257, 67, 130],
] as const) {
  for (const how of transposes) addMatmul(m, n, k, how)
}
for (const [m, n, k] of [
  [3, 5, 7],
  [17, 67, 33],
  [4, 8, 1],
  [130, 70, 513],
] as const) {
  for (const how of epilogues) for (const turned of transposes) addMatmul(m, n, k, { ...turned, ...how })
}
for (const [m, n, k] of [
  [3, 4, 5],
  [17, 13, 4],
  [67, 66, 17],
] as const) {
  for (const turned of transposes) {
    addMatmul(m, n, k, { ...turned, batch: 3 })
    addMatmul(m, n, k, { ...turned, batch: 3, strideA: 0, accumulate: 1 })
    addMatmul(m, n, k, { ...turned, batch: 4, strideB: 0, with: ['bias', 'colScale', 'residual', 'slope'], act: 1 })
    addMatmul(m, n, k, { ...turned, batch: 2, strideA: m * k + 3, strideB: k * n + 5 })
  }
}
// Shapes of LoRA and of a head at ViT size: tall and thin, wide and thin, deep.
for (const [m, n, k] of [
  [1028, 8, 384],
  [1028, 384, 8],
  [8, 384, 1028],
  [384, 8, 1028],
  [8, 10, 384],
  [1, 1000, 384],
] as const) {
  for (const how of transposes) addMatmul(m, n, k, how)
  addMatmul(m, n, k, { transA: 1, accumulate: 1, alpha: 0.5 })
  addMatmul(m, n, k, { transB: 1, with: ['bias', 'residual'] })
}
