// matmul: register blocks over tiles in workgroup memory (matmul-tiles.ts), or straight from memory on an adapter in software
// (matmul-direct.ts), with the epilogue fused. Parallel over blocks of y, over products and, where those are few and k is
// long, over parts of k (then a second pass adds the parts, in order, and does the epilogue). f32 sums in a fixed order.
// Any size, no alignment; 0 stands for what lies outside.
import type { Params } from '../../kernels.ts'
import type { GpuKernel } from '../kernel.ts'
import { directBody, directGroups, directHelpers, directWidth, splitDirect } from './matmul-direct.ts'
import { epilogue, flag, type Size } from './matmul-epilogue.ts'
import { inHalves, split, tileBody, tileCount, tileFor, tileHelpers } from './matmul-tiles.ts'
import { type BufferSpec, NONE, type PassSpec, pass, WIDTH } from './wgsl.ts'

/** How a product is computed: the parts of k, and the pass without its buffers and fields. */
interface Way {
  readonly parts: number
  readonly length: number
  readonly spec: Pick<PassSpec, 'key' | 'groups' | 'width' | 'f16' | 'helpers' | 'body'>
}

function directWay(p: Size, scaled: boolean): Way {
  const { parts, length } = splitDirect(p)
  const groups = directGroups(p, parts)
  const spec = {
    key: scaled ? 'direct scaled' : 'direct',
    groups,
    width: directWidth,
    helpers: () => directHelpers,
    body: () => directBody(scaled),
  }
  return { parts, length, spec }
}

function tiledWay(p: Size, bare: boolean, f16: boolean): Way {
  const tile = f16 ? inHalves(tileFor(p, bare)) : tileFor(p, bare)
  const { parts, length } = split(p, tile)
  const groups = tileCount(p, tile) * parts
  const key = `${tile.rows}x${tile.columns}${f16 ? ' f16' : ''}`
  const spec = { key, groups, width: WIDTH, f16, helpers: () => tileHelpers(tile), body: () => tileBody(tile) }
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

export const matmul: GpuKernel<'matmul'> = (params, has, { maxWorkgroups, direct, f16 }) => {
  const p = joined(params)
  const { batch, m, n, k } = p
  const ending =
    [0, flag.gelu, flag.geluGrad][p.act]! |
    (p.accumulate === 1 && !has('residual') ? flag.accumulate : 0) |
    (['bias', 'slope', 'gate', 'colScale', 'residual'] as const).filter(has).reduce((all, name) => all | flag[name], 0)
  const operands =
    (p.transA === 1 ? 0 : flag.aAlongK) | (p.transB === 1 ? flag.bAlongK : 0) | (has('kScale') ? flag.kScale : 0)
  // A Linear's forward pass is the one with both along k; gradients may be too small for f16.
  const halves = f16 && p.transA !== 1 && p.transB === 1
  const { parts, length, spec } = direct ? directWay(p, has('kScale')) : tiledWay(p, ending === 0, halves)
  const count = batch * m * n
  const read = (name: string, as = name): BufferSpec => ({ name, access: 'read', as })
  const write = (name: string, as = name): BufferSpec => ({ name, access: 'read_write', as })
  /** The operands of `finish`; `other` is bound where one is not given. */
  const extras = (other: string) => ['bias', 'colScale', 'residual'].map((name) => read(has(name) ? name : other, name))
  const slope = write(has('slope') ? 'slope' : has('gate') ? 'gate' : NONE, 'slope')
  const product = (y: string, flags: number, alpha: number) =>
    pass(
      {
        ...spec,
        buffers: [
          write(y, 'y'),
          y === 'y' ? slope : write(NONE, 'slope'),
          read('a'),
          read('b'),
          ...extras('a'),
          read(has('kScale') ? 'kScale' : 'a', 'kScale'),
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
          ['b_n', 'u32', p.transB === 1 ? k : 1],
          ['b_k', 'u32', p.transB === 1 ? 1 : n],
          ['parts', 'u32', parts],
          ['length', 'u32', length],
          ['flags', 'u32', flags],
          ['alpha', 'f32', alpha],
        ],
      },
      maxWorkgroups,
    )
  if (parts === 1) return { passes: [product('y', ending | operands, p.alpha)] }
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
      helpers: () => epilogue,
      body: () => addParts,
    },
    maxWorkgroups,
  )
  return { passes: [product('temp:parts', operands, 1), sum], temps: { parts: parts * count } }
}
