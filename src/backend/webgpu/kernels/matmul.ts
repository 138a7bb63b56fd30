// matmul: tiles of A and B in workgroup memory, a block of results in each invocation's registers, the epilogue fused.
// Parallel over tiles of y, over products and, where those are few and k is long, over parts of k (then a second pass adds
// the parts, in order, and does the epilogue). f32 sums in a fixed order. Any size, no alignment; 0 stands for what lies outside.
import type { Params } from '../../kernels.ts'
import type { GpuKernel } from '../kernel.ts'
import { expText, geluText } from './math.ts'
import { type BufferSpec, type Field, pass, WIDTH } from './wgsl.ts'

type Has = (buffer: string) => boolean

interface Tile {
  /** Rows and columns of y that a workgroup computes, and how much of k it holds at a time. */
  readonly rows: number
  readonly columns: number
  readonly depth: number
  /** The same for one invocation: its rows and columns lie rows / perRow apart, so that neighbours touch neighbouring words. */
  readonly perRow: number
  readonly perColumn: 2 | 4
  /** Invocations that share a result, each with every slices-th step of k; their sums are added at the end. */
  readonly slices: number
}

/**
 * Each has 256 invocations, WebGPU's default limit, and fits in 16 KiB, the default workgroup memory:
 * (rows + columns + 2) x depth x 4 bytes. Scalars, one buffer for a tile: vectors in workgroup memory and a double-buffered
 * loop were slower where others measured them. To be tuned on real devices.
 */
const tiles = {
  // 16 results an invocation for 8 loads; the best middle size on discrete and integrated GPUs (torchlette). 8.1 KiB.
  square: { rows: 64, columns: 64, depth: 16, perRow: 4, perColumn: 4, slices: 1 },
  // 32 results for 12 loads, where there are enough tiles left for every core and no epilogue needs registers. 12.1 KiB.
  large: { rows: 128, columns: 64, depth: 16, perRow: 8, perColumn: 4, slices: 1 },
  // A quarter of the square tile: four times the workgroups for products too small to fill a GPU, batched ones above all. 4.1 KiB.
  small: { rows: 32, columns: 32, depth: 16, perRow: 2, perColumn: 2, slices: 1 },
  // LoRA's down projection (n = rank): 16 columns waste little; depth 32 halves the barriers. 10.3 KiB.
  tall: { rows: 64, columns: 16, depth: 32, perRow: 2, perColumn: 2, slices: 1 },
  // The same, turned.
  wide: { rows: 16, columns: 64, depth: 32, perRow: 2, perColumn: 2, slices: 1 },
  // Few results and a long k: LoRA's weight gradients, a head. k is shared out inside a workgroup, so one dispatch does.
  deep: { rows: 16, columns: 16, depth: 64, perRow: 2, perColumn: 2, slices: 4 },
} as const satisfies Record<string, Tile>

/** Workgroups that keep a middling GPU busy (108 cores on an A100, 10 to 40 on Apple's). */
const enoughGroups = 128
/** Fewer square tiles than this go to small ones. */
const fewSquares = 32
/** Fewer workgroups than this leave cores idle for so long that cutting k pays for a second dispatch. */
const idleGroups = 48
/** The shortest part of k that does. */
const shortestPart = 256
/** The shortest k for a deep tile, and the most of those: more results fill a GPU with better tiles. */
const deepEnough = 256
const mostDeep = 128
/** Elements that the parts may take: 16 MiB. */
const mostPartial = 1 << 22

type Size = Pick<Params<'matmul'>, 'batch' | 'm' | 'n' | 'k'>

const tileCount = ({ batch, m, n }: Size, t: Tile) => batch * Math.ceil(m / t.rows) * Math.ceil(n / t.columns)

/** The shape class of a product; `bare` is one without an epilogue. */
function tileFor(p: Size, bare: boolean): Tile {
  if (p.k >= deepEnough && tileCount(p, tiles.deep) <= mostDeep) return tiles.deep
  if (p.m <= 32 && p.n <= 32) return tiles.small
  if (p.n <= 16) return tiles.tall
  if (p.m <= 16) return tiles.wide
  if (bare && tileCount(p, tiles.large) >= enoughGroups) return tiles.large
  return tileCount(p, tiles.square) < fewSquares ? tiles.small : tiles.square
}

/** Into how many parts k is cut, and how long they are. */
function split(p: Size, t: Tile): { parts: number; length: number } {
  const groups = tileCount(p, t)
  const wanted = t.slices > 1 || groups >= idleGroups ? 1 : Math.ceil(enoughGroups / groups)
  const room = Math.floor(mostPartial / (p.batch * p.m * p.n))
  const parts = Math.max(1, Math.min(wanted, room, Math.floor(p.k / shortestPart)))
  const length = Math.max(1, Math.ceil(p.k / parts / t.depth)) * t.depth
  return { parts: Math.max(1, Math.ceil(p.k / length)), length }
}

/** `finish`: what happens to a finished sum. */
function epilogue(p: Params<'matmul'>, has: Has): string {
  const kept = has('residual') ? ' + residual[at]' : p.accumulate === 1 ? ' + y[at]' : ''
  return `${p.act === 1 ? expText + geluText : ''}
fn finish(at: u32, column: u32, sum: f32) {
  let v = u.alpha * sum${has('bias') ? ' + bias[column]' : ''};
  ${has('pre') ? 'pre[at] = v;' : ''}
  y[at] = ${p.act === 1 ? 'gelu1(v)' : 'v'}${has('colScale') ? ' * colScale[column]' : ''}${kept};
}`
}

/** Lines of WGSL for 0 .. n - 1. */
const lines = (n: number, line: (i: number) => string) => Array.from({ length: n }, (_, i) => line(i)).join('\n  ')

/** Copies one tile into workgroup memory as [depth][side + 1]; the spare column spreads the words over the banks. */
function load(operand: 'a' | 'b', side: 'm' | 'n', length: number, depth: number, alongK: boolean): string {
  const turned = alongK
    ? `let c = e % ${depth}u; let s = e / ${depth}u;`
    : `let s = e % ${length}u; let c = e / ${length}u;`
  const at = alongK ? `(first_${side} + s) * u.k + k0 + c` : `(k0 + c) * u.${side} + first_${side} + s`
  return `for (var e = lane; e < ${length * depth}u; e += ${WIDTH}u) {
      ${turned}
      var v = 0.0;
      if (first_${side} + s < u.${side} && k0 + c < end) { v = ${operand}[${operand}_base + ${at}]; }
      tile_${operand}[c * ${length + 1}u + s] = v;
    }`
}

/** Workgroup memory, and `keep`, which puts a sum where `store` says. */
const tileHelpers = (t: Tile, store: string) => `
var<workgroup> tile_a: array<f32, ${t.depth * (t.rows + 1)}>;
var<workgroup> tile_b: array<f32, ${t.depth * (t.columns + 1)}>;
fn keep(z: u32, part: u32, row: u32, column: u32, sum: f32) {
  if (row >= u.m || column >= u.n) { return; }
  let at = (z * u.m + row) * u.n + column;
  ${store}
}`

/** The tile of y that a workgroup owns, over its part of k. */
function tileBody(t: Tile, p: Params<'matmul'>): string {
  const down = t.rows / t.perRow
  const across = t.columns / t.perColumn
  const row = (i: number) => `tile_a[kk * ${t.rows + 1}u + y0 + ${i * down}u]`
  const slice = t.slices === 1 ? '0u' : `lane / ${across * down}u`
  const columns = Array.from({ length: t.perColumn }, (_, j) => `tile_b[kk * ${t.columns + 1}u + x0 + ${j * across}u]`)
  return `
  let tiles_n = (u.n + ${t.columns - 1}u) / ${t.columns}u;
  let tiles_m = (u.m + ${t.rows - 1}u) / ${t.rows}u;
  if (group >= tiles_n * tiles_m * u.parts * u.batch) { return; }
  let first_n = group % tiles_n * ${t.columns}u;
  let first_m = group / tiles_n % tiles_m * ${t.rows}u;
  let part = group / (tiles_n * tiles_m) % u.parts;
  let z = group / (tiles_n * tiles_m * u.parts);
  let a_base = z * u.stride_a;
  let b_base = z * u.stride_b;
  let end = min(u.k, (part + 1u) * u.length);
  let x0 = lane % ${across}u;
  let y0 = lane / ${across}u % ${down}u;
  ${lines(t.perRow, (i) => `var sum${i} = vec${t.perColumn}f();`)}
  for (var k0 = part * u.length; k0 < end; k0 += ${t.depth}u) {
    ${load('a', 'm', t.rows, t.depth, p.transA !== 1)}
    ${load('b', 'n', t.columns, t.depth, p.transB === 1)}
    workgroupBarrier();
    for (var kk = ${slice}; kk < ${t.depth}u; kk += ${t.slices}u) {
      let vb = vec${t.perColumn}f(${columns.join(', ')});
      ${lines(t.perRow, (i) => `sum${i} += ${row(i)} * vb;`)}
    }
    workgroupBarrier();
  }
${t.slices === 1 ? keepOwn(t) : keepSlices(t)}`
}

/** Line by line for each of an invocation's results: its row and column in the tile, and its sum. */
const results = (t: Tile, line: (row: string, column: string, sum: string) => string) =>
  lines(t.perRow * t.perColumn, (e) => {
    const i = Math.floor(e / t.perColumn)
    const j = e % t.perColumn
    return line(`y0 + ${(i * t.rows) / t.perRow}u`, `x0 + ${(j * t.columns) / t.perColumn}u`, `sum${i}[${j}]`)
  })

const keepOwn = (t: Tile) => `
  ${results(t, (row, column, sum) => `keep(z, part, first_m + ${row}, first_n + ${column}, ${sum});`)}`

/** The slices' sums meet in the memory of A's tile, which has room for them. */
const keepSlices = (t: Tile) => `
  let slice = lane / ${WIDTH / t.slices}u * ${t.rows * t.columns}u;
  ${results(t, (row, column, sum) => `tile_a[slice + (${row}) * ${t.columns}u + ${column}] = ${sum};`)}
  workgroupBarrier();
  for (var e = lane; e < ${t.rows * t.columns}u; e += ${WIDTH}u) {
    var sum = 0.0;
    for (var s = 0u; s < ${t.slices}u; s++) { sum += tile_a[s * ${t.rows * t.columns}u + e]; }
    keep(z, part, first_m + e / ${t.columns}u, first_n + e % ${t.columns}u, sum);
  }`

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

export const matmul: GpuKernel<'matmul'> = (params, has, { maxWorkgroups }) => {
  const p = joined(params)
  const { batch, m, n, k } = p
  const read = (name: string): BufferSpec => ({ name, access: 'read' })
  const outputs = ['y', 'pre'].filter((name) => name === 'y' || has(name))
  const written = outputs.map((name): BufferSpec => ({ name, access: 'read_write' }))
  const extras = ['bias', 'colScale', 'residual'].filter(has)
  const operands = [read('a'), read('b')]
  const bare = extras.length === 0 && outputs.length === 1 && p.act !== 1 && p.accumulate !== 1
  const tile = tileFor(p, bare)
  const { parts, length } = split(p, tile)
  const count = batch * m * n
  const alpha: Field = ['alpha', 'f32', p.alpha]
  const fields: Field[] = [
    ['batch', 'u32', batch],
    ['m', 'u32', m],
    ['n', 'u32', n],
    ['k', 'u32', k],
    ['stride_a', 'u32', p.strideA],
    ['stride_b', 'u32', p.strideB],
    ['parts', 'u32', parts],
    ['length', 'u32', length],
  ]
  const shape = `${tile.rows}x${tile.columns} ${p.transA}${p.transB}`
  const ending = [p.act, has('residual') ? 0 : p.accumulate, ...outputs, ...extras].join(' ')
  const groups = tileCount(p, tile) * parts
  const product = (key: string, buffers: BufferSpec[], more: Field[], helpers: () => string) =>
    pass(
      {
        key: `${shape} ${key}`,
        buffers,
        fields: [...fields, ...more],
        groups,
        width: WIDTH,
        helpers,
        body: () => tileBody(tile, p),
      },
      maxWorkgroups,
    )
  if (parts === 1) {
    const helpers = () => epilogue(p, has) + tileHelpers(tile, 'finish(at, column, sum);')
    return { passes: [product(ending, [...written, ...operands, ...extras.map(read)], [alpha], helpers)] }
  }
  const scratch = { name: 'temp:parts', as: 'parts' } as const
  const store = 'parts[part * u.batch * u.m * u.n + at] = sum;'
  const sum = pass(
    {
      key: `add ${ending}`,
      buffers: [...written, { ...scratch, access: 'read' }, ...extras.map(read)],
      fields: [['count', 'u32', count], ['n', 'u32', n], ['parts', 'u32', parts], alpha],
      groups: Math.ceil(count / WIDTH),
      width: WIDTH,
      helpers: () => epilogue(p, has),
      body: () => addParts,
    },
    maxWorkgroups,
  )
  const partial = product('parts', [{ ...scratch, access: 'read_write' }, ...operands], [], () =>
    tileHelpers(tile, store),
  )
  return { passes: [partial, sum], temps: { parts: parts * count } }
}
