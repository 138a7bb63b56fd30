// matmul with its epilogue: bias, activation, column scale, residual, accumulation.
import { gelu, geluGrad } from './erf.ts'
import type { Kernel } from './kernel.ts'

export const matmul: Kernel<'matmul'> = ({ y, slope, a, b, bias, colScale, residual, kScale, gate }, p) => {
  const { batch, m, n, k } = p
  const [aRow, aCol] = p.transA === 1 ? [1, m] : [k, 1]
  const [bRow, bCol] = p.transB === 1 ? [1, k] : [n, 1]
  const acc = new Float64Array(n)
  const rows = new Float64Array(k * n) // b as k rows in f64, whichever way and type it lies in
  for (let z = 0; z < batch; z++) {
    for (let c = 0, at = 0; c < k; c++)
      for (let j = 0; j < n; j++, at++) rows[at] = b[z * p.strideB + c * bRow + j * bCol]!
    for (let r = 0; r < m; r++) {
      acc.fill(0)
      for (let c = 0, at = 0; c < k; c++) {
        const av = a[z * p.strideA + r * aRow + c * aCol]! * (kScale ? kScale[c]! : 1)
        for (let j = 0; j < n; j++, at++) acc[j]! += av * rows[at]!
      }
      const row = (z * m + r) * n
      for (let j = 0; j < n; j++) {
        const v = p.alpha * acc[j]! + (bias ? bias[j]! : 0)
        if (slope) slope[row + j] = geluGrad(v)
        const acted = p.act === 1 ? gelu(v) : p.act === 2 ? geluGrad(v) : v
        const out = acted * (gate ? gate[row + j]! : 1) * (colScale ? colScale[j]! : 1)
        const before = y[row + j]!
        y[row + j] = out + (residual ? residual[row + j]! : 0)
        // Rounded by the store first, so that adding in place gives the bits of adding later.
        if (p.accumulate === 1) y[row + j]! += before
      }
    }
  }
}
