// Cases of reduce.
import { reduceOps } from 'vitune/tensor'
import { add, type Draw, f32, large, sizes } from './case.ts'

for (const [outer, count, inner] of [
  ...sizes.map((n) => [1, n, 1]),
  ...sizes.map((n) => [3, n, 1]),
  ...[3, 4, 17, 67].map((n) => [1, 17, n]),
  [3, 4, 17],
  [17, 1, 3],
  [2, 67, 67],
  [67, 3, 4],
  [1, 1, 67],
  [1, large, 1],
  [517, 385, 1],
  [1, 517, 385],
  [3, 257, 193],
] as [number, number, number][]) {
  reduceOps.forEach((name, op) => {
    const all = outer * count * inner
    for (const scale of [1, f32(0.37)]) {
      // A sum of k normals has size sqrt(k), and its f32 error at most grows alike with blocked sums.
      const abs = name === 'max' ? 0 : 1e-6 * Math.sqrt(count)
      const tolerance = { abs, rel: 3e-6, why: 'an f32 sum of `count` values near 1' }
      const values = (r: Draw) => ({ x: r.normal(all) })
      const title = `${name} ${outer} x ${count} x ${inner} scale ${scale.toFixed(2)}`
      add('reduce', title, { op, outer, count, inner, scale }, values, { y: outer * inner }, tolerance)
    }
  })
}
