// Cases of gather, scatterAdd.
import { add, type Draw, exact } from './case.ts'

for (const [m, n, rows] of [
  [1, 1, 1],
  [3, 4, 2],
  [17, 67, 5],
  [67, 17, 100],
  [4, 3, 1],
  [1031, 193, 300],
] as const) {
  const values = (r: Draw) => ({ x: r.normal(rows * n), index: r.ints(m, 0, rows) })
  add('gather', `${m} of ${rows} rows of ${n}`, { m, n }, values, { y: m * n }, exact)
  const onto = (r: Draw) => ({ x: r.normal(m * n), index: r.ints(m, 0, rows), y: r.normal(rows * n) })
  const tolerance = { abs: 1e-6 * Math.sqrt(m / rows + 1), rel: 1e-6, why: 'f32 sums of the rows with one index' }
  add('scatterAdd', `${m} to ${rows} rows of ${n}`, { m, n }, onto, { y: rows * n }, tolerance)
}
