// Cases of fill, unary, unaryGrad, binary.
import { binaryOps, unaryOps } from 'vitune/tensor'
import { add, type Draw, exact, expOnly, f32, large, oneStep, sizes, type Tolerance, transcendental } from './case.ts'

// fill
for (const n of [...sizes, large]) add('fill', `n ${n}`, { n, value: f32(-1.7) }, () => ({}), { y: n }, exact)

// unary, unaryGrad
const positiveOnly = new Set(['log', 'sqrt', 'rsqrt', 'reciprocal'])
const distribution = {
  abs: 1e-6,
  rel: 2e-6,
  why: 'x Phi(x) and 1 - tanh^2 hold an absolute, not a relative, f32 error',
}
const nearOne = { abs: 2e-7, rel: 2e-6, why: 'log near 1 loses what the f32 input does not hold' }
unaryOps.forEach((name, op) => {
  const positive = positiveOnly.has(name)
  const tolerance =
    name === 'log'
      ? nearOne
      : name === 'exp'
        ? expOnly
        : name === 'gelu'
          ? distribution
          : positive
            ? oneStep
            : transcendental
  const slopeTolerance = name === 'tanh' || name === 'gelu' ? distribution : tolerance
  const make = (r: Draw, n: number) => (positive ? r.uniform(n, 0.01, 9) : r.normal(n, 3))
  const numbers = { op, a: f32(-1.3), b: f32(0.4) }
  for (const n of [...sizes, large]) {
    const params = { ...numbers, n }
    add('unary', `${name} ${n}`, params, (r) => ({ x: make(r, n) }), { y: n }, tolerance)
    add('unary', `${name} ${n} in place`, params, (r) => ({ x: make(r, n) }), { y: n }, tolerance, { y: 'x' })
    add('unaryGrad', `${name} ${n}`, params, (r) => ({ dy: r.normal(n), x: make(r, n) }), { dx: n }, slopeTolerance)
  }
  const far = positive
    ? [1e-30, 1e-6, 1, 1e6, 1e30]
    : [-1e9, -1e4, -110, -88, -30, -9, -0, 0, 1e-20, 9, 30, 88, 1e4, 1e9]
  const held = far.filter((x) => name !== 'exp' || x <= 88).map(f32)
  const params = { ...numbers, n: held.length }
  const wide = (t: Tolerance) => ({ ...t, abs: Math.max(t.abs, 1e-37) })
  add('unary', `${name} far out`, params, () => ({ x: Float32Array.from(held) }), { y: held.length }, wide(tolerance))
  // The slopes of rsqrt and reciprocal leave f32 at the ends.
  const inside = held.filter((x) => !positive || (x > 1e-20 && x < 1e20))
  add(
    'unaryGrad',
    `${name} far out`,
    { ...params, n: inside.length },
    () => ({ x: Float32Array.from(inside), dy: new Float32Array(inside.length).fill(0.5) }),
    { dx: inside.length },
    wide(slopeTolerance),
  )
  // A run that diverged must show it.
  const lost = Float32Array.of(Number.NaN, 1, Number.NaN, 2, Number.NaN)
  add('unary', `${name} keeps NaN`, { ...numbers, n: 5 }, () => ({ x: lost }), { y: 5 }, tolerance)
})

// binary
binaryOps.forEach((name, op) => {
  const values = (n: number, bn: number) => (r: Draw) => ({ a: r.normal(n), b: r.uniform(bn, 0.5, 2) })
  for (const n of [...sizes, large]) {
    add('binary', `${name} same shape ${n}`, { op, n, inner: 1, count: n }, values(n, n), { y: n }, oneStep)
    add('binary', `${name} scalar ${n}`, { op, n, inner: 1, count: 1 }, values(n, 1), { y: n }, oneStep)
    add('binary', `${name} ${n} in place`, { op, n, inner: 1, count: n }, values(n, n), { y: n }, oneStep, { y: 'a' })
    add('binary', `${name} ${n} with itself`, { op, n, inner: 1, count: n }, values(n, n), { y: n }, oneStep, {
      b: 'a',
    })
  }
  for (const [m, n] of [
    [3, 4],
    [4, 3],
    [17, 67],
    [67, 17],
    [67, 1],
    [401, 384],
  ] as const) {
    const all = m * n
    add('binary', `${name} row ${m} x ${n}`, { op, n: all, inner: 1, count: n }, values(all, n), { y: all }, oneStep)
    add('binary', `${name} column ${m} x ${n}`, { op, n: all, inner: n, count: m }, values(all, m), { y: all }, oneStep)
    const middle = { op, n: 2 * all * 5, inner: 5, count: n }
    add('binary', `${name} middle ${m} x ${n}`, middle, values(middle.n, n), { y: middle.n }, oneStep)
  }
  add('binary', `${name} cut off`, { op, n: 67, inner: 4, count: 5 }, values(67, 5), { y: 67 }, oneStep)
})
