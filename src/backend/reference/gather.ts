// gather and scatterAdd: rows by index.
import type { Kernel } from './kernel.ts'

function checkIndex(kernel: string, at: number, row: number, n: number, length: number): void {
  if (at < 0 || (at + 1) * n > length) {
    throw new Error(`${kernel}: index must be in [0, ${Math.floor(length / n)}), got ${at} for row ${row}`)
  }
}

export const gather: Kernel<'gather'> = ({ y, x, index }, { m, n }) => {
  for (let r = 0; r < m; r++) {
    const at = index[r]!
    checkIndex('gather', at, r, n, x.length)
    for (let j = 0; j < n; j++) y[r * n + j] = x[at * n + j]!
  }
}

export const scatterAdd: Kernel<'scatterAdd'> = ({ y, x, index }, { m, n }) => {
  for (let r = 0; r < m; r++) {
    const at = index[r]!
    checkIndex('scatterAdd', at, r, n, y.length)
    for (let j = 0; j < n; j++) y[at * n + j]! += x[r * n + j]!
  }
}
