// softmax and softmaxGrad, by row.
import type { Kernel } from './kernel.ts'

export const softmax: Kernel<'softmax'> = ({ y, x }, { m, n }) => {
  const e = new Float64Array(n)
  for (let r = 0; r < m; r++) {
    let max = Number.NEGATIVE_INFINITY
    for (let j = 0; j < n; j++) max = Math.max(max, x[r * n + j]!)
    let sum = 0
    for (let j = 0; j < n; j++) {
      e[j] = Math.exp(x[r * n + j]! - max)
      sum += e[j]!
    }
    for (let j = 0; j < n; j++) y[r * n + j] = e[j]! / sum
  }
}

export const softmaxGrad: Kernel<'softmaxGrad'> = ({ dx, dy, y }, { m, n }) => {
  for (let r = 0; r < m; r++) {
    let dot = 0
    for (let j = 0; j < n; j++) dot += dy[r * n + j]! * y[r * n + j]!
    for (let j = 0; j < n; j++) dx[r * n + j] = y[r * n + j]! * (dy[r * n + j]! - dot)
  }
}
