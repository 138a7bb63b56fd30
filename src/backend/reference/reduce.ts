// reduce: sum, max or sum of squares over the middle dimension.
import { type ReduceOp, reduceOps } from '../kernels.ts'
import type { Kernel } from './kernel.ts'

const steps: Record<ReduceOp, (acc: number, x: number) => number> = {
  sum: (acc, x) => acc + x,
  max: Math.max,
  sumSquares: (acc, x) => acc + x * x,
}

export const reduce: Kernel<'reduce'> = ({ y, x }, { op, outer, count, inner, scale }) => {
  const name = reduceOps[op]!
  const step = steps[name]
  const start = name === 'max' ? Number.NEGATIVE_INFINITY : 0
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < inner; i++) {
      let acc = start
      for (let c = 0; c < count; c++) acc = step(acc, x[(o * count + c) * inner + i]!)
      y[o * inner + i] = scale * acc
    }
  }
}
