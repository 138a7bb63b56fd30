// Cases of attention, attentionGrad.
import { add, type Draw, f32, forward } from './case.ts'

const attentionTolerance = { abs: 2e-6, rel: 4e-6, why: 'f32 scores, then exp of them, then f32 sums over N' }
/** Adds a forward case; `size` is the deviation of q and k, `one` takes q for all three. */
export function addAttention(
  b: number,
  n: number,
  h: number,
  d: number,
  how: { lse?: boolean; size?: number; one?: boolean } = {},
): void {
  const { lse = true, size = 1, one = false } = how
  const all = b * n * h * d
  const params = { b, n, h, d, scale: f32(1 / Math.sqrt(d)) }
  const title = `${b} x ${n}, ${h} heads of ${d}${lse ? '' : ', no lse'}${one ? ', one input' : ''}${size > 1 ? `, size ${size}` : ''}`
  const values = (r: Draw) => ({ q: r.normal(all, size), k: r.normal(all, size), v: r.normal(all) })
  const abs = size > 1 ? 3e-5 : attentionTolerance.abs // scores near 100 have f32 steps of 8e-6 each
  const outputs = lse ? { o: all, lse: b * h * n } : { o: all }
  add('attention', title, params, values, outputs, { ...attentionTolerance, abs }, one ? { k: 'q', v: 'q' } : {})
}
/** Adds a gradient case with these outputs. */
export function addAttentionGrad(b: number, n: number, h: number, d: number, outs: string[]): void {
  const all = b * n * h * d
  const params = { b, n, h, d, scale: f32(1 / Math.sqrt(d)) }
  add(
    'attentionGrad',
    `${b} x ${n}, ${h} heads of ${d}: ${outs.join(', ')}`,
    params,
    async (r) => {
      const given = { q: r.normal(all), k: r.normal(all), v: r.normal(all) }
      const saved = await forward('attention', given, { o: all, lse: b * h * n }, params)
      return { do: r.normal(all), ...given, o: saved.o!, lse: saved.lse! }
    },
    Object.fromEntries(outs.map((name) => [name, all])),
    { abs: 4e-6, rel: 4e-6, why: 'as attention, then sums of products over N' },
  )
}
for (const [b, n, h, d] of [
  [1, 1, 1, 1],
  [1, 3, 1, 4],
  [2, 4, 3, 17],
  [1, 17, 2, 3],
  [2, 67, 3, 8],
  [1, 67, 1, 67],
  [3, 50, 4, 64],
  [1, 257, 2, 64],
  [1, 65, 3, 32],
] as const) {
  addAttention(b, n, h, d)
  addAttentionGrad(b, n, h, d, ['dq', 'dk', 'dv'])
}
addAttention(2, 17, 3, 8, { lse: false })
addAttention(2, 17, 3, 8, { one: true })
addAttention(1, 67, 2, 16, { size: 5 })
for (const outs of [['dq'], ['dk'], ['dv'], ['dq', 'dk'], ['dq', 'dv'], ['dk', 'dv']])
  addAttentionGrad(2, 17, 3, 8, outs)
