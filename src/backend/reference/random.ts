// dropout: which elements stay follows from seed, stream and position alone.
import { philox } from '../../tensor/philox.ts'
import type { Kernel } from './kernel.ts'

export const dropout: Kernel<'dropout'> = ({ y, x, seed }, { n, inner, threshold, scale, stream }) => {
  const words = new Uint32Array(4)
  const least = threshold >>> 0
  let block = -1
  for (let j = 0; j < n; j++) {
    const e = Math.floor(j / inner)
    if (e >>> 2 !== block) {
      block = e >>> 2
      philox(block, stream >>> 0, seed[1]! >>> 0, 0, seed[0]! >>> 0, 0, words)
    }
    y[j] = words[e % 4]! >= least ? x[j]! * scale : 0
  }
}
