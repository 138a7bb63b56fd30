// attention and attentionGrad: one (N, N) score row at a time.
import type { Cells, Kernel } from './kernel.ts'

/** Where q, k, v and o keep token t of one head: `base + t * row`, D elements. */
function dot(x: Cells, xi: number, y: Cells, yi: number, d: number): number {
  let sum = 0
  for (let c = 0; c < d; c++) sum += x[xi + c]! * y[yi + c]!
  return sum
}

export const attention: Kernel<'attention'> = ({ o, lse, q, k, v }, { b, n, h, d, scale }) => {
  const row = h * d
  const score = new Float64Array(n)
  const acc = new Float64Array(d)
  for (let z = 0; z < b; z++) {
    for (let head = 0; head < h; head++) {
      const base = z * n * row + head * d
      for (let t = 0; t < n; t++) {
        let max = Number.NEGATIVE_INFINITY
        for (let s = 0; s < n; s++) {
          score[s] = scale * dot(q, base + t * row, k, base + s * row, d)
          max = Math.max(max, score[s]!)
        }
        let sum = 0
        acc.fill(0)
        for (let s = 0; s < n; s++) {
          const e = Math.exp(score[s]! - max)
          sum += e
          for (let c = 0; c < d; c++) acc[c]! += e * v[base + s * row + c]!
        }
        for (let c = 0; c < d; c++) o[base + t * row + c] = acc[c]! / sum
        if (lse) lse[(z * h + head) * n + t] = max + Math.log(sum)
      }
    }
  }
}

export const attentionGrad: Kernel<'attentionGrad'> = ({ dq, dk, dv, do: dO, q, k, v, o, lse }, p) => {
  const { b, n, h, d, scale } = p
  const row = h * d
  const dqRow = new Float64Array(d)
  const dkSum = new Float64Array(n * d)
  const dvSum = new Float64Array(n * d)
  for (let z = 0; z < b; z++) {
    for (let head = 0; head < h; head++) {
      const base = z * n * row + head * d
      dkSum.fill(0)
      dvSum.fill(0)
      for (let t = 0; t < n; t++) {
        const qi = base + t * row
        const delta = dot(dO, qi, o, qi, d)
        dqRow.fill(0)
        for (let s = 0; s < n; s++) {
          const ki = base + s * row
          const prob = Math.exp(scale * dot(q, qi, k, ki, d) - lse[(z * h + head) * n + t]!)
          const ds = scale * prob * (dot(dO, qi, v, ki, d) - delta)
          for (let c = 0; c < d; c++) {
            dqRow[c]! += ds * k[ki + c]!
            dkSum[s * d + c]! += ds * q[qi + c]!
            dvSum[s * d + c]! += prob * dO[qi + c]!
          }
        }
        dq?.set(dqRow, qi)
      }
      for (let s = 0; s < n; s++) {
        dk?.set(dkSum.subarray(s * d, s * d + d), base + s * row)
        dv?.set(dvSum.subarray(s * d, s * d + d), base + s * row)
      }
    }
  }
}
