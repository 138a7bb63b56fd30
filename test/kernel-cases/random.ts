// Cases of dropout.
import { add, type Draw, exact, f32, large, sizes } from './case.ts'

for (const n of [...sizes, large]) {
  for (const [inner, threshold] of [
    [1, 0],
    [1, 429496730],
    [1, -2147483648],
    [1, 2147483648],
    [3, 3000000000],
    [67, 4294967295],
  ] as const) {
    const params = { n, inner, threshold, scale: f32(1.25), stream: 3 }
    const values = (r: Draw) => ({ x: r.normal(n), seed: r.ints(2, -2147483648, 2147483647) })
    add('dropout', `${n}, inner ${inner}, threshold ${threshold}`, params, values, { y: n }, exact)
    add('dropout', `${n}, inner ${inner}, threshold ${threshold} in place`, params, values, { y: n }, exact, { y: 'x' })
  }
  const stream = { n, inner: 1, threshold: 2147483648, scale: 1, stream: -5 }
  add('dropout', `${n}, high stream`, stream, (r) => ({ x: r.normal(n), seed: Int32Array.of(7, 0) }), { y: n }, exact)
}
