// Cases of adamw, sgd and clipNorm: lists of one tensor of each size, and of more tensors than a command or a pass takes.
import { add, type Draw, f32, large, sizes, type Values } from './case.ts'

const tolerance = { abs: 1e-7, rel: 1e-6, why: 'a few f32 roundings' }

/** One buffer for each length, named `NAME:0`, `NAME:1`, ... */
const list = <V>(name: string, lengths: readonly number[], make: (n: number) => V): Record<string, V> =>
  Object.fromEntries(lengths.map((n, i) => [`${name}:${i}`, make(n)]))

const many = Array.from({ length: 23 }, (_, i) => sizes[i % sizes.length]! + i)
const lists: number[][] = [...[...sizes, large].map((n) => [n]), [3, 67], many, [large, 1, 300]]
const titleOf = (lengths: readonly number[]) => (lengths.length > 5 ? `${lengths.length} tensors` : lengths.join(' + '))

for (const lengths of lists) {
  for (const extra of [[], ['gradScale']]) {
    for (const [decay, flag] of [
      [0, 0],
      [f32(0.05), 1],
    ] as const) {
      const title = `${titleOf(lengths)}, decay ${decay.toFixed(2)}${extra.length ? ', scaled gradient' : ''}`
      const scale = (r: Draw): Values => (extra.length ? { gradScale: r.uniform(1, 0.1, 0.9) } : {})
      const steps = flag ? [1, 1] : [1 - 0.9 ** 3, 1 - 0.999 ** 3]
      const same = (name: string) => list(name, lengths, (n) => n)
      add(
        'adamw',
        title,
        { decay },
        (r) => ({
          ...list('p', lengths, (n) => r.normal(n)),
          ...list('m', lengths, (n) => r.normal(n, 0.1)),
          ...list('v', lengths, (n) => r.uniform(n, 0.001, 0.1)),
          ...list('g', lengths, (n) => r.normal(n)),
          hyper: Float32Array.of(0.003, 0.9, 0.999, 1e-8, ...steps),
          ...scale(r),
        }),
        { ...same('p'), ...same('m'), ...same('v') },
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
          { decay, nesterov },
          (r) => ({
            ...list('p', lengths, (n) => r.normal(n)),
            ...list('buf', lengths, (n) => r.normal(n)),
            ...list('g', lengths, (n) => r.normal(n)),
            hyper: Float32Array.of(0.1, momentum),
            ...scale(r),
          }),
          { ...same('p'), ...same('buf') },
          tolerance,
        )
      }
    }
  }
  for (const maxNorm of [0.5, 1e6]) {
    add(
      'clipNorm',
      `${titleOf(lengths)}, at most ${maxNorm}`,
      { maxNorm },
      (r) => list('g', lengths, (n) => r.normal(n)),
      { norm: 1, factor: 1 },
      { abs: 1e-37, rel: 2e-6, why: 'an f32 sum of squares' },
    )
  }
}
