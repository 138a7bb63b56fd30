// crossEntropy and crossEntropyGrad, by row of logits.
import type { Kernel } from './kernel.ts'

function checkTarget(kernel: string, t: number, row: number, n: number): void {
  if (t < -1 || t >= n) throw new Error(`${kernel}: target must be -1 or in [0, ${n}), got ${t} in row ${row}`)
}

export const crossEntropy: Kernel<'crossEntropy'> = ({ loss, lse, x, target }, { m, n, smoothing }) => {
  for (let r = 0; r < m; r++) {
    const t = target[r]!
    checkTarget('crossEntropy', t, r, n)
    let max = Number.NEGATIVE_INFINITY
    for (let j = 0; j < n; j++) max = Math.max(max, x[r * n + j]!)
    let sum = 0
    for (let j = 0; j < n; j++) sum += Math.exp(x[r * n + j]! - max)
    const log = max + Math.log(sum)
    let all = 0
    for (let j = 0; j < n; j++) all += x[r * n + j]! - log
    lse[r] = log
    loss[r] = t < 0 ? 0 : -(1 - smoothing) * (x[r * n + t]! - log) - (smoothing / n) * all
  }
}

export const crossEntropyGrad: Kernel<'crossEntropyGrad'> = ({ dx, dy, x, lse, target }, { m, n, smoothing }) => {
  for (let r = 0; r < m; r++) {
    const t = target[r]!
    checkTarget('crossEntropyGrad', t, r, n)
    for (let j = 0; j < n; j++) {
      const g = Math.exp(x[r * n + j]! - lse[r]!) - (j === t ? 1 - smoothing : 0) - smoothing / n
      dx[r * n + j] = t < 0 ? 0 : dy[r]! * g
    }
  }
}
