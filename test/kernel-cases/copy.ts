// Cases of copy.
import type { Params } from 'vitune/tensor'
import { add, type Draw, exact, large, oneStep, sizes } from './case.ts'

interface Walk {
  d: number[]
  ys: number[]
  xs: number[]
  yo?: number
  xo?: number
  accumulate?: number
}
function addCopy(name: string, walk: Walk, yLength: number, xLength: number, ints = false): void {
  const at = (list: number[], axis: number, rest: number) => list[axis - 6 + list.length] ?? rest
  const axes = [0, 1, 2, 3, 4, 5]
  const params = Object.fromEntries([
    ...axes.map((axis) => [`d${axis}`, at(walk.d, axis, 1)]),
    ...axes.map((axis) => [`ys${axis}`, at(walk.ys, axis, 0)]),
    ...axes.map((axis) => [`xs${axis}`, at(walk.xs, axis, 0)]),
  ]) as Omit<Params<'copy'>, 'yo' | 'xo' | 'accumulate'>
  const { yo = 0, xo = 0, accumulate = 0 } = walk
  const make = (r: Draw, n: number) => (ints ? r.ints(n, -2147483648, 2147483647) : r.normal(n))
  add(
    'copy',
    name,
    { ...params, yo, xo, accumulate },
    (r) => ({ x: make(r, xLength), y: make(r, yLength) }),
    { y: yLength },
    accumulate ? oneStep : exact,
  )
}
for (const n of [...sizes, large]) {
  addCopy(`contiguous ${n}`, { d: [n], ys: [1], xs: [1] }, n, n)
  addCopy(`every third of ${n}`, { d: [n], ys: [1], xs: [3] }, n, 3 * n)
  addCopy(`to every third of ${n}`, { d: [n], ys: [3], xs: [1] }, 3 * n, n)
  addCopy(`backwards ${n}`, { d: [n], ys: [1], xs: [-1], xo: n - 1 }, n, n)
  addCopy(`one value to ${n}`, { d: [n], ys: [1], xs: [0] }, n, 1)
  addCopy(`add ${n}`, { d: [n], ys: [1], xs: [1], accumulate: 1 }, n, n)
}
for (const [m, n] of [
  [3, 4],
  [17, 67],
  [67, 17],
  [1, 67],
  [300, 401],
] as const) {
  addCopy(`transpose ${m} x ${n}`, { d: [m, n], ys: [n, 1], xs: [1, m] }, m * n, m * n)
  addCopy(`transpose, scattered on y ${m} x ${n}`, { d: [m, n], ys: [1, m], xs: [n, 1] }, m * n, m * n)
  addCopy(`add transpose ${m} x ${n}`, { d: [m, n], ys: [n, 1], xs: [1, m], accumulate: 1 }, m * n, m * n)
  addCopy(`row to ${m} x ${n}`, { d: [m, n], ys: [n, 1], xs: [0, 1] }, m * n, n)
  addCopy(`column to ${m} x ${n}`, { d: [m, n], ys: [n, 1], xs: [1, 0] }, m * n, m)
  const wide = n + 5
  addCopy(`into columns ${m} x ${n}`, { d: [m, n], ys: [wide, 1], xs: [n, 1], yo: 3 }, m * wide, m * n)
  addCopy(`out of columns ${m} x ${n}`, { d: [m, n], ys: [n, 1], xs: [wide, 1], xo: 3 }, m * n, m * wide)
}
for (const [b, t, h, d] of [
  [2, 5, 3, 4],
  [1, 17, 3, 67],
  [2, 50, 6, 64],
] as const) {
  const all = b * t * h * d
  const walk = { d: [b, h, t, d], ys: [h * t * d, t * d, d, 1], xs: [t * h * d, d, h * d, 1] }
  addCopy(`heads apart ${b} ${t} ${h} ${d}`, walk, all, all)
  addCopy(`i32 heads apart ${b} ${t} ${h} ${d}`, walk, all, all, true)
}
for (const [b, g, p, c] of [
  [1, 2, 3, 3],
  [2, 3, 4, 3],
  [2, 7, 8, 3],
] as const) {
  const side = g * p // image (b, c, side, side) to patches (b, g g, c p p)
  const walk = {
    d: [b, g, g, c, p, p],
    ys: [g * g * c * p * p, g * c * p * p, c * p * p, p * p, p, 1],
    xs: [c * side * side, p * side, p, side * side, side, 1],
  }
  addCopy(`patches ${b} ${g} ${p}`, walk, b * c * side * side, b * c * side * side)
  addCopy(`add patches ${b} ${g} ${p}`, { ...walk, accumulate: 1 }, b * c * side * side, b * c * side * side)
}
