// Cases of matmul with what gradients need: a scale along k (layer scale) and a slope.
import { addMatmul, transposes } from './matmul.ts'

for (const [m, n, k] of [
  [3, 5, 7],
  [17, 67, 33],
  [4, 8, 1],
  [130, 70, 513],
] as const) {
  for (const turned of transposes) {
    addMatmul(m, n, k, { ...turned, with: ['kScale'] })
    addMatmul(m, n, k, { ...turned, with: ['gate'] })
    addMatmul(m, n, k, { ...turned, alpha: 0.3, with: ['bias', 'colScale', 'residual', 'kScale', 'gate'] })
    addMatmul(m, n, k, { ...turned, accumulate: 1, with: ['kScale', 'gate'] })
  }
}
addMatmul(17, 13, 4, { batch: 3, with: ['kScale', 'gate'] })
addMatmul(19, 13, 24, { batch: 3, strideB: 0, transB: 1, with: ['kScale'] })
