// Cases of softmax, softmaxGrad, layerNorm, layerNormGrad.
import { add, type Draw, f32, forward, grid, rowSum, transcendental } from './case.ts'

// softmax, softmaxGrad
for (const [m, n] of grid) {
  const all = m * n
  add('softmax', `${m} x ${n}`, { m, n }, (r) => ({ x: r.normal(all, 3) }), { y: all }, transcendental)
  add('softmax', `${m} x ${n} around 1e4`, { m, n }, (r) => ({ x: r.normal(all, 20, 1e4) }), { y: all }, transcendental)
  const probabilities = (r: Draw) => r.uniform(all, 0, 2 / n)
  add('softmaxGrad', `${m} x ${n}`, { m, n }, (r) => ({ dy: r.normal(all), y: probabilities(r) }), { dx: all }, rowSum)
}
const masked = (r: Draw) => ({ x: r.normal(67 * 3).map((x, j) => (j % 67 !== 5 && j % 3 === 0 ? -Infinity : x)) })
add('softmax', 'with -Infinity', { m: 3, n: 67 }, masked, { y: 67 * 3 }, transcendental)

// layerNorm, layerNormGrad
function addLayerNorm(m: number, n: number, extra: string[], shift = 0, scale = 1): void {
  const outputs = Object.fromEntries([['y', m * n], ...extra.map((name) => [name, m])])
  // rstd (x - mean) magnifies the rounding of the mean by shift / scale.
  const abs = 3e-6 + (4e-7 * shift) / scale
  const tolerance = { abs, rel: 4e-6 + (4e-7 * shift) / scale, why: 'two f32 passes over a row; the mean is rounded' }
  const title = [`${m} x ${n}`, shift ? `around ${shift}` : '', ...extra].filter(Boolean).join(', ')
  const values = (r: Draw) => ({ x: r.normal(m * n, scale, shift), w: r.normal(n, 0.5, 1), b: r.normal(n) })
  add('layerNorm', title, { m, n, eps: f32(1e-6) }, values, outputs, tolerance)
}
function addLayerNormGrad(m: number, n: number, outs: string[], accumulate = 0): void {
  const lengths: Record<string, number> = { dx: m * n, dw: n, db: n }
  const abs = 1e-6 * Math.sqrt(m) + 3e-7 * Math.sqrt(n)
  add(
    'layerNormGrad',
    `${m} x ${n}: ${outs.join(', ')}${accumulate ? ', accumulate' : ''}`,
    { m, n, accumulate },
    async (r) => {
      const x = r.normal(m * n, 2, 0.5)
      const w = r.normal(n, 0.5, 1)
      const eps = 0.1 // keeps rstd small where a row has one or two columns
      const out = { y: m * n, mean: m, rstd: m }
      const saved = await forward('layerNorm', { x, w, b: new Float32Array(n) }, out, { m, n, eps })
      const before = accumulate ? { dx: r.normal(m * n) } : {}
      return { dy: r.normal(m * n), x, mean: saved.mean!, rstd: saved.rstd!, w, ...before }
    },
    Object.fromEntries(outs.map((name) => [name, lengths[name]!])),
    { abs, rel: 4e-6, why: 'f32 sums over rows (dw, db) and columns (dx)' },
  )
}
for (const [m, n] of grid) {
  if (n > 1) addLayerNorm(m, n, ['mean', 'rstd'])
  addLayerNormGrad(m, n, ['dx', 'dw', 'db'])
}
for (const [m, n] of [
  [17, 67],
  [5, 16],
] as const) {
  for (const extra of [[], ['mean'], ['rstd']]) addLayerNorm(m, n, extra)
  for (const outs of [['dx'], ['dw'], ['db'], ['dx', 'dw'], ['dx', 'db'], ['dw', 'db']]) addLayerNormGrad(m, n, outs)
  addLayerNormGrad(m, n, ['dx'], 1)
  addLayerNormGrad(m, n, ['dx', 'dw', 'db'], 1)
}
addLayerNorm(517, 385, [])
addLayerNorm(17, 384, ['mean', 'rstd'], 1000)
addLayerNormGrad(517, 385, ['dx', 'dw', 'db'])
addLayerNormGrad(517, 384, ['dx'], 1)
addLayerNormGrad(1030, 385, ['dw', 'db'])
add(
  'layerNorm',
  'rows of one value',
  { m: 3, n: 68, eps: f32(1e-6) },
  (r) => ({ x: new Float32Array(3 * 68).fill(2), w: r.normal(68), b: r.normal(68) }),
  { y: 3 * 68, mean: 3, rstd: 3 },
  rowSum,
)
