// matmul: a product of two operands, the second of which may be packed; what follows the sums is in epilogue.ts.
import { finish } from './epilogue.ts'
import type { Kernel } from './kernel.ts'
import { unpacked } from './packed.ts'

export const matmul: Kernel<'matmul'> = (bufs, p) => {
  const { a, b, kScale, bScale } = bufs
  const { batch, m, n, k, format } = p
  const [aRow, aCol] = p.transA === 1 ? [1, m] : [k, 1]
  const [bRow, bCol] = p.transB === 1 ? [1, k] : [n, 1]
  const value = format > 0 ? unpacked(b, bScale!, p.transB === 1 ? k : n, n * k, p) : (e: number) => b[e]!
  const acc = new Float64Array(n)
  const rows = new Float64Array(k * n) // b as k rows in f64, whichever way and type it lies in
  for (let z = 0; z < batch; z++) {
    for (let c = 0, at = 0; c < k; c++)
      for (let j = 0; j < n; j++, at++) rows[at] = value(z * p.strideB + c * bRow + j * bCol)
    for (let r = 0; r < m; r++) {
      acc.fill(0)
      for (let c = 0, at = 0; c < k; c++) {
        const av = a[z * p.strideA + r * aRow + c * aCol]! * (kScale ? kScale[c]! : 1)
        for (let j = 0; j < n; j++, at++) acc[j]! += av * rows[at]!
      }
      const row = (z * m + r) * n
      for (let j = 0; j < n; j++) finish(bufs, p, p.alpha * acc[j]!, row + j, j)
    }
  }
}
