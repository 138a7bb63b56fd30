// Cases at the edges of the WASM kernels' panels, of 5 rows or 6 by 8 columns: one short of whole ones, whole ones, one more.
import { addAttention, addAttentionGrad } from './attention.ts'
import { addMatmul } from './matmul.ts'

for (const m of [5, 6, 7, 10, 11, 12, 13, 19, 20, 21, 23, 24, 25, 48]) {
  addMatmul(m, 16, 9)
  addMatmul(m, 15, 6, { transA: 1, act: 1, with: ['slope', 'bias', 'residual'] })
}
addMatmul(12, 24, 1030, { with: ['bias', 'gate'] })
// Panels of columns that a panel of rows meets in a row: 13 where k is 300, 11 where it is 1030 in three blocks.
for (const n of [103, 104, 105, 209]) addMatmul(13, n, 300, { with: ['bias', 'residual'] })
for (const n of [88, 89, 200]) addMatmul(13, n, 1030, { transB: 1, with: ['gate'] })
// The last block is one shorter: a group of its own would be 16 panels where the first's is 15, and 12 after 11.
for (const k of [513, 1025]) addMatmul(13, 209, k, { with: ['residual'] })
for (const [n, d] of [
  [5, 6],
  [6, 5],
  [12, 12],
  [11, 13],
  [130, 10],
] as const) {
  addAttention(2, n, 2, d)
  addAttentionGrad(2, n, 2, d, ['dq', 'dk', 'dv'])
}
