// Cases of adamw, sgd.
import { add, type Draw, f32, large, sizes, type Values } from './case.ts'

for (const n of [...sizes, large]) {
  for (const extra of [[], ['gradScale']]) {
    for (const [decay, flag] of [
      [0, 0],
      [f32(0.05), 1],
    ] as const) {
      const title = `${n}, decay ${decay.toFixed(2)}${extra.length ? ', scaled gradient' : ''}`
      const scale = (r: Draw): Values => (extra.length ? { gradScale: r.uniform(1, 0.1, 0.9) } : {})
      const tolerance = { abs: 1e-7, rel: 1e-6, why: 'a few f32 roundings' }
      const steps = flag ? [1, 1] : [1 - 0.9 ** 3, 1 - 0.999 ** 3]
      add(
        'adamw',
        title,
        { n, decay },
        (r) => {
          const hyper = Float32Array.of(0.003, 0.9, 0.999, 1e-8, ...steps)
          return {
            p: r.normal(n),
            m: r.normal(n, 0.1),
            v: r.uniform(n, 0.001, 0.1),
            g: r.normal(n),
            hyper,
            ...scale(r),
          }
        },
        { p: n, m: n, v: n },
        tolerance,
      )
      for (const [momentum, nesterov] of [
        [0, 0],
        [0.9, 0],
        [0.9, 1],
      ] as const) {
        add(
          'sgd',
          `${title}, momentum ${momentum}${nesterov ? ', nesterov' : ''}`,
          { n, decay, nesterov },
          (r) => ({
            p: r.normal(n),
            buf: r.normal(n),
            g: r.normal(n),
            hyper: Float32Array.of(0.1, momentum),
            ...scale(r),
          }),
          { p: n, buf: n },
          tolerance,
        )
      }
    }
  }
}
