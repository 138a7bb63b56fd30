// matmul: register blocks over tiles in workgroup memory (matmul-tiles.ts), or straight from memory on an adapter in software
// (matmul-direct.ts), with the epilogue fused. Parallel over blocks of y, over products and, where those are few and k is
// long, over parts of k (then a second pass adds the parts, in order, and does the epilogue). f32 sums in a fixed order.
// Any size, no alignment; 0 stands for what lies outside. matmulI8 is the same of codes (matmul-operands.ts).
import type { Params } from '../../kernels.ts'
import type { GpuKernel, GpuLimits, Plan } from '../kernel.ts'
import { directBody, directGroups, directHelpers, directWidth, splitDirect } from './matmul-direct.ts'
import { epilogue, flag, type Operands, type Size } from './matmul-epilogue.ts'
import { codes, numbers, packed } from './matmul-operands.ts'
import { inHalves, split, tileBody, tileCount, tileFor, tileHelpers } from './matmul-tiles.ts'
import { type BufferSpec, NONE, type PassSpec, pass, WIDTH } from './wgsl.ts'

/** How a product is computed: the parts of k, and the pass without its buffers and fields. */
interface Way {
  readonly parts: number
  readonly length: number
  readonly spec: Pick<PassSpec, 'key' | 'groups' | 'width' | 'f16' | 'helpers' | 'body'>
}

function directWay(p: Size, scaled: boolean, of: Operands): Way {
  const { parts, length } = of.integer ? { parts: 1, length: p.k } : splitDirect(p)
  const groups = directGroups(p, parts)
  const spec = {
    key: `${scaled ? 'direct scaled' : 'direct'}${of.key}`,
    groups,
    width: directWidth,
    helpers: () => directHelpers(of),
    body: () => directBody(scaled, of),
  }
  return { parts, length, spec }
}

function tiledWay(p: Size, bare: boolean, f16: boolean, of: Operands): Way {
  // Sums of integers are not cut: parts of them would have to be kept as such.
  const own = tileFor(of.integer ? { ...p, k: 0 } : p, bare)
  const tile = f16 ? inHalves(own) : own
  const { parts, length } = of.integer ? { parts: 1, length: p.k } : split(p, tile)
  const groups = tileCount(p, tile) * parts
  const key = `${tile.rows}x${tile.columns}${f16 ? ' f16' : ''}${of.key}`
  const spec = { key, groups, width: WIDTH, f16, helpers: () => tileHelpers(tile, of), body: () => tileBody(tile, of) }
  return { parts, length, spec }
}

/** Adds the parts of each sum and finishes it; one invocation an element. */
const addParts = `
  if (i >= u.count) { return; }
  var sum = 0.0;
  for (var part = 0u; part < u.parts; part++) { sum += parts[part * u.count + i]; }
  finish(i, i % u.n, sum);`

/** Products that share B and follow each other in A are one product with more rows. */
function joined(p: Params<'matmul'>): Params<'matmul'> {
  const follows = p.strideB === 0 && p.transA !== 1 && p.strideA === p.m * p.k
  return follows ? { ...p, batch: 1, m: p.batch * p.m } : p
}

/** A product's numbers as the uniform block has them: k in steps, elements from a row or a column of B to the next. */
type Product = Omit<Params<'matmul'>, 'format' | 'block'> & { readonly bRow: number; readonly bColumn: number }

function plan(p: Product, of: Operands, has: (buffer: string) => boolean, limits: GpuLimits): Plan {
  const { batch, m, n, k } = p
  const ending =
    [0, flag.gelu, flag.geluGrad][p.act]! |
    (p.accumulate === 1 && !has('residual') ? flag.accumulate : 0) |
    (['bias', 'slope', 'gate', 'colScale', 'residual'] as const).filter(has).reduce((all, name) => all | flag[name], 0)
  const scale = of.integer ? 'aScale' : 'kScale'
  const operands =
    (p.transA === 1 ? 0 : flag.aAlongK) |
    (p.transB === 1 ? flag.bAlongK : 0) |
    (has('kScale') ? flag.kScale : 0) |
    (of.integer && has('bScale') ? flag.bScale : 0)
  // A Linear's forward pass is the one with both along k; gradients may be too small for f16.
  const halves = limits.f16 && !of.integer && p.transA !== 1 && p.transB === 1
  const way = limits.direct ? directWay(p, has('kScale'), of) : tiledWay(p, ending === 0, halves, of)
  const { parts, length, spec } = way
  const count = batch * m * n
  const read = (name: string, as = name): BufferSpec => ({ name, access: 'read', as })
  const write = (name: string, as = name): BufferSpec => ({ name, access: 'read_write', as })
  /** The operands of `finish`; `other` is bound where one is not given. */
  const extras = (other: string, names = ['bias', 'colScale', 'residual']) =>
    names.map((name) => read(has(name) ? name : other, name))
  const slope = write(has('slope') ? 'slope' : has('gate') ? 'gate' : NONE, 'slope')
  // Scales of B take the residual's place, which goes to that of slope and gate where it can.
  const displaced = of.b !== undefined && has('residual')
  const twice = parts > 1 || (displaced && (slope.name !== NONE || has('alias:residual=a')))
  const codes = of.b ? ('u32' as const) : 'f32'
  const product = (y: string, flags: number, alpha: number) =>
    pass(
      {
        ...spec,
        buffers: [
          write(y, 'y'),
          y !== 'y' ? write(NONE, 'slope') : displaced ? write('residual', 'slope') : slope,
          { ...read('a'), type: of.integer ? codes : 'f32' },
          { ...read('b'), type: codes },
          ...extras('a', ['bias', 'colScale', of.b ? 'bScale' : 'residual', scale]),
        ],
        fields: [
          ['batch', 'u32', batch],
          ['m', 'u32', m],
          ['n', 'u32', n],
          ['k', 'u32', k],
          ['stride_a', 'u32', p.strideA],
          ['stride_b', 'u32', p.strideB],
          ['a_m', 'u32', p.transA === 1 ? 1 : k],
          ['a_k', 'u32', p.transA === 1 ? m : 1],
          ['b_n', 'u32', p.bColumn],
          ['b_k', 'u32', p.bRow],
          ['parts', 'u32', parts],
          ['length', 'u32', length],
          ['flags', 'u32', flags],
          ['alpha', 'f32', alpha],
          ...of.fields,
        ],
      },
      limits.maxWorkgroups,
    )
  if (!twice) return { passes: [product('y', ending | operands, p.alpha)] }
  const sum = pass(
    {
      key: 'add',
      buffers: [write('y'), slope, read('temp:parts', 'parts'), ...extras('temp:parts')],
      fields: [
        ['count', 'u32', count],
        ['n', 'u32', n],
        ['parts', 'u32', parts],
        ['flags', 'u32', ending],
        ['alpha', 'f32', p.alpha],
      ],
      groups: Math.ceil(count / WIDTH),
      width: WIDTH,
      helpers: () => epilogue(),
      body: () => addParts,
    },
    limits.maxWorkgroups,
  )
  return { passes: [product('temp:parts', operands, 1), sum], temps: { parts: parts * count } }
}

export const matmul: GpuKernel<'matmul'> = (params, has, limits) => {
  const { format, block, ...p } = joined(params)
  const [bRow, bColumn] = p.transB === 1 ? [1, p.k] : [p.n, 1]
  const of =
    format === 0 ? numbers : packed(format, block, ...((p.transB === 1 ? [p.n, p.k] : [p.k, p.n]) as [number, number]))
  return plan({ ...p, bRow, bColumn }, of, has, limits)
}

/** Four codes of A's rows, and of B's columns, are a step of k. */
export const matmulI8: GpuKernel<'matmulI8'> = (p, has, limits) => {
  const k = Math.ceil(p.k / 4)
  const [bRow, bColumn] = p.transB === 1 ? [1, k] : [Math.ceil(p.n / 4), 1]
  return plan({ ...p, batch: 1, k, transA: 0, strideA: 0, strideB: 0, bRow, bColumn }, codes(limits.dot), has, limits)
}
