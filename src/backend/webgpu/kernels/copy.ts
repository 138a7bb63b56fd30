// copy: one element a thread. Neighbouring dimensions that lie behind one another on both sides become one first.
import type { GpuKernel } from '../kernel.ts'
import { type Field, pass, WIDTH } from './wgsl.ts'

interface Dimension {
  readonly size: number
  readonly ys: number
  readonly xs: number
}

/** The walk without dimensions of size 1, and with those that continue one another joined: the same elements, in order. */
function joined(dimensions: readonly Dimension[]): Dimension[] {
  const out: Dimension[] = []
  for (const next of dimensions) {
    if (next.size === 1) continue
    const last = out.at(-1)
    if (last && last.ys === next.ys * next.size && last.xs === next.xs * next.size) {
      out[out.length - 1] = { size: last.size * next.size, ys: next.ys, xs: next.xs }
    } else out.push(next)
  }
  return out
}

export const copy: GpuKernel<'copy'> = (p, _, { maxWorkgroups }) => {
  const walk = joined([
    { size: p.d0, ys: p.ys0, xs: p.xs0 },
    { size: p.d1, ys: p.ys1, xs: p.xs1 },
    { size: p.d2, ys: p.ys2, xs: p.xs2 },
    { size: p.d3, ys: p.ys3, xs: p.xs3 },
    { size: p.d4, ys: p.ys4, xs: p.xs4 },
    { size: p.d5, ys: p.ys5, xs: p.xs5 },
  ])
  const n = walk.reduce((all, { size }) => all * size, 1)
  const add = p.accumulate === 1
  // Words are moved as integers, so that no bit of a NaN, a subnormal or an i32 changes on the way.
  const type = add ? 'f32' : 'u32'
  const fields: Field[] = [
    ['n', 'u32', n],
    ['yo', 'i32', p.yo],
    ['xo', 'i32', p.xo],
    ...walk.flatMap(({ size, ys, xs }, k): Field[] => [
      [`d${k}`, 'u32', size],
      [`ys${k}`, 'i32', ys],
      [`xs${k}`, 'i32', xs],
    ]),
  ]
  const steps = () =>
    walk
      .map((_, k) => k)
      .reverse()
      .map((k) => {
        const index = k === 0 ? 'i32(rest)' : `i32(rest % u.d${k})`
        const next = k === 0 ? '' : `\n  rest /= u.d${k};`
        return `  yi += ${index} * u.ys${k};\n  xi += ${index} * u.xs${k};${next}`
      })
      .join('\n')
  return {
    passes: [
      pass(
        {
          key: `${walk.length} ${type}`,
          buffers: [
            { name: 'y', access: 'read_write', type },
            { name: 'x', access: 'read', type },
          ],
          fields,
          groups: Math.ceil(n / WIDTH),
          width: WIDTH,
          body: () => `  if (i >= u.n) { return; }
  var rest = i;
  var yi = u.yo;
  var xi = u.xo;
${steps()}
  y[yi] = ${add ? 'y[yi] + ' : ''}x[xi];`,
        },
        maxWorkgroups,
      ),
    ],
  }
}
