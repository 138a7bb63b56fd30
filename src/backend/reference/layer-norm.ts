// layerNorm and layerNormGrad, by row.
import type { Kernel } from './kernel.ts'

export const layerNorm: Kernel<'layerNorm'> = ({ y, mean, rstd, x, w, b }, { m, n, eps }) => {
  for (let r = 0; r < m; r++) {
    let mu = 0
    for (let j = 0; j < n; j++) mu += x[r * n + j]!
    mu /= n
    let variance = 0
    for (let j = 0; j < n; j++) variance += (x[r * n + j]! - mu) ** 2
    const rs = 1 / Math.sqrt(variance / n + eps)
    for (let j = 0; j < n; j++) y[r * n + j] = (x[r * n + j]! - mu) * rs * w[j]! + b[j]!
    if (mean) mean[r] = mu
    if (rstd) rstd[r] = rs
  }
}

export const layerNormGrad: Kernel<'layerNormGrad'> = ({ dx, dw, db, dy, x, mean, rstd, w }, p) => {
  const { m, n } = p
  const dwSum = new Float64Array(n)
  const dbSum = new Float64Array(n)
  for (let r = 0; r < m; r++) {
    const mu = mean[r]!
    const rs = rstd[r]!
    let sum = 0
    let dot = 0
    for (let j = 0; j < n; j++) {
      const d = dy[r * n + j]!
      const xh = (x[r * n + j]! - mu) * rs
      const g = d * w[j]!
      dwSum[j]! += d * xh
      dbSum[j]! += d
      sum += g
      dot += g * xh
    }
    if (!dx) continue
    for (let j = 0; j < n; j++) {
      const xh = (x[r * n + j]! - mu) * rs
      const before = dx[r * n + j]!
      dx[r * n + j] = rs * (dy[r * n + j]! * w[j]! - sum / n - (xh * dot) / n)
      // Rounded by the store first, so that adding in place gives the bits of adding later.
      if (p.accumulate === 1) dx[r * n + j]! += before
    }
  }
  dw?.set(dwSum)
  db?.set(dbSum)
}
