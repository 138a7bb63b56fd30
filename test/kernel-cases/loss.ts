// Cases of crossEntropy, crossEntropyGrad.
import { add, type Draw, f32, forward, grid } from './case.ts'

for (const [m, n] of [...grid, [300, 1000]] as [number, number][]) {
  for (const smoothing of [0, f32(0.1)]) {
    for (const size of m === 17 ? [3, 60] : [3]) {
      const params = { m, n, smoothing }
      const title = `${m} x ${n} smoothing ${smoothing.toFixed(1)}, logits of ${size}`
      const values = (r: Draw) => ({ x: r.normal(m * n, size), target: r.ints(m, m > 1 ? -1 : 0, n) })
      const tolerance = {
        abs: 2e-7 * size + 3e-7,
        rel: 2e-6,
        why: 'log-sum-exp minus a logit, both of the logits’ size',
      }
      add('crossEntropy', title, params, values, { loss: m, lse: m }, tolerance)
      add(
        'crossEntropyGrad',
        title,
        params,
        async (r) => {
          const given = values(r)
          const { lse } = await forward('crossEntropy', given, { loss: m, lse: m }, params)
          return { dy: r.normal(m), lse: lse!, ...given }
        },
        { dx: m * n },
        { abs: 2e-7, rel: 2e-6 + 2e-7 * size, why: 'exp of a difference of values of the logits’ size' },
      )
    }
  }
}
