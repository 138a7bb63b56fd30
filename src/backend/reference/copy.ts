// copy: strided over six dimensions.
import type { Kernel } from './kernel.ts'

export const copy: Kernel<'copy'> = ({ y, x }, p) => {
  for (let i0 = 0; i0 < p.d0; i0++) {
    for (let i1 = 0; i1 < p.d1; i1++) {
      for (let i2 = 0; i2 < p.d2; i2++) {
        for (let i3 = 0; i3 < p.d3; i3++) {
          for (let i4 = 0; i4 < p.d4; i4++) {
            let yi = p.yo + i0 * p.ys0 + i1 * p.ys1 + i2 * p.ys2 + i3 * p.ys3 + i4 * p.ys4
            let xi = p.xo + i0 * p.xs0 + i1 * p.xs1 + i2 * p.xs2 + i3 * p.xs3 + i4 * p.xs4
            for (let i5 = 0; i5 < p.d5; i5++, yi += p.ys5, xi += p.xs5) {
              y[yi] = p.accumulate === 1 ? y[yi]! + x[xi]! : x[xi]!
            }
          }
        }
      }
    }
  }
}
