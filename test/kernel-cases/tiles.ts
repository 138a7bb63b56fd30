// Cases of matmul and attention for the blocks that only larger sizes reach on WebGPU: big tiles, k in parts, wide heads.
import { addAttention, addAttentionGrad } from './attention.ts'
import { addMatmul, transposes } from './matmul.ts'

addMatmul(1040, 1030, 5)
for (const turned of transposes) {
  addMatmul(390, 389, 37, turned)
  addMatmul(390, 389, 37, { ...turned, act: 1, with: ['slope', 'bias', 'colScale', 'residual'] })
  addMatmul(190, 190, 520, turned)
}
addMatmul(1040, 1030, 5, { transA: 1, transB: 1 })
addMatmul(190, 190, 520, { with: ['kScale', 'gate'] })
addMatmul(190, 190, 520, { act: 1, alpha: 0.3, accumulate: 1, with: ['slope', 'bias', 'colScale'] })

for (const d of [100, 130, 200]) {
  addAttention(1, 37, 2, d)
  addAttentionGrad(1, 37, 2, d, ['dq', 'dk', 'dv'])
}
