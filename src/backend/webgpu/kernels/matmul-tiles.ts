// matmul for GPUs: tiles of A and B in workgroup memory, a block of results in each invocation's registers. Which tile for
// which shape, and its WGSL.
import { flag, keepText, lines, type Operands, results, type Size, sumsOf, timesText } from './matmul-epilogue.ts'
import { WIDTH } from './wgsl.ts'

export interface Tile {
  /** Rows and columns of y that a workgroup computes, and how much of k it holds at a time. */
  readonly rows: number
  readonly columns: number
  readonly depth: number
  /** The same for one invocation: its rows and columns lie rows / perRow apart, so that neighbours touch neighbouring words. */
  readonly perRow: number
  readonly perColumn: 2 | 4
  /** Invocations that share a result, each with every slices-th step of k; their sums are added at the end. */
  readonly slices: number
  /** Held in half precision. */
  readonly half?: boolean
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

/**
 * The same tile in half precision and twice as deep: as many bytes, half the barriers. Products are of f32 again, so what is
 * lost is the operands' rounding alone.
 */
export const inHalves = (t: Tile): Tile => ({ ...t, depth: 2 * t.depth, half: true })

/** Words of a bank are 4 bytes: a spare column, or two halves, spread the rows over the banks. */
const pitch = (side: number, t: Tile) => side + (t.half ? 2 : 1)

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

export const tileCount = ({ batch, m, n }: Size, t: Tile) => batch * Math.ceil(m / t.rows) * Math.ceil(n / t.columns)

/** The shape class of a product; `bare` is one without an epilogue. */
export function tileFor(p: Size, bare: boolean): Tile {
  if (p.k >= deepEnough && tileCount(p, tiles.deep) <= mostDeep) return tiles.deep
  if (p.m <= 32 && p.n <= 32) return tiles.small
  if (p.n <= 16) return tiles.tall
  if (p.m <= 16) return tiles.wide
  if (bare && tileCount(p, tiles.large) >= enoughGroups) return tiles.large
  return tileCount(p, tiles.square) < fewSquares ? tiles.small : tiles.square
}

/** Into how many parts k is cut, and how long they are. */
export function split(p: Size, t: Tile): { parts: number; length: number } {
  const groups = tileCount(p, t)
  const wanted = t.slices > 1 || groups >= idleGroups ? 1 : Math.ceil(enoughGroups / groups)
  const room = Math.floor(mostPartial / (p.batch * p.m * p.n))
  const parts = Math.max(1, Math.min(wanted, room, Math.floor(p.k / shortestPart)))
  const length = Math.max(1, Math.ceil(p.k / parts / t.depth)) * t.depth
  return { parts: Math.max(1, Math.ceil(p.k / length)), length }
}

/**
 * Copies one tile into workgroup memory as [depth][pitch]. Neighbours
 * read neighbouring words, whichever way the operand lies: which way is a uniform flag, its strides are uniforms.
 */
function load(t: Tile, operand: 'a' | 'b', side: 'm' | 'n', length: number, of: Operands): string {
  const { depth } = t
  const [place, step] = [`first_${side} + s`, 'k0 + c']
  const value =
    (operand === 'b' && of.b?.(place, step)) ||
    `${operand}[${operand}_base + (${place}) * u.${operand}_${side} + (${step}) * u.${operand}_k]`
  return `for (var e = lane; e < ${length * depth}u; e += ${WIDTH}u) {
      let c = select(e / ${length}u, e % ${depth}u, ${operand}_along_k);
      let s = select(e % ${length}u, e / ${depth}u, ${operand}_along_k);
      var v = ${of.integer ? '0u' : '0.0'};
      if (${place} < u.${side} && ${step} < end) {
        v = ${value};${operand === 'a' && !of.integer ? scaledText : ''}
      }
      tile_${operand}[c * ${pitch(length, t)}u + s] = ${t.half ? 'f16(v)' : 'v'};
    }`
}

const scaledText = `
        if ((u.flags & ${flag.kScale}u) != 0u) { v *= kScale[k0 + c]; }`

/** Workgroup memory. */
export const tileHelpers = (t: Tile, of: Operands) => `${of.helpers(t.perColumn)}${keepText(of)}
alias Cell = ${of.integer ? 'u32' : t.half ? 'f16' : 'f32'};
var<workgroup> tile_a: array<Cell, ${t.depth * pitch(t.rows, t)}>;
var<workgroup> tile_b: array<Cell, ${t.depth * pitch(t.columns, t)}>;
${t.slices > 1 && t.half ? `var<workgroup> slices: array<f32, ${t.slices * t.rows * t.columns}>;` : ''}`

/** The tile of y that a workgroup owns, over its part of k. */
export function tileBody(t: Tile, of: Operands): string {
  const [type, cell] = of.integer ? ['u', ''] : ['f', 'f32']
  const down = t.rows / t.perRow
  const across = t.columns / t.perColumn
  const row = (i: number) => `${cell}(tile_a[kk * ${pitch(t.rows, t)}u + y0 + ${i * down}u])`
  const slice = t.slices === 1 ? '0u' : `lane / ${across * down}u`
  const columns = Array.from(
    { length: t.perColumn },
    (_, j) => `${cell}(tile_b[kk * ${pitch(t.columns, t)}u + x0 + ${j * across}u])`,
  )
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
  let a_along_k = (u.flags & ${flag.aAlongK}u) != 0u;
  let b_along_k = (u.flags & ${flag.bAlongK}u) != 0u;
  let end = min(u.k, (part + 1u) * u.length);
  let x0 = lane % ${across}u;
  let y0 = lane / ${across}u % ${down}u;
  ${sumsOf(t.perRow, t.perColumn, of)}
  for (var k0 = part * u.length; k0 < end; k0 += ${t.depth}u) {
    ${load(t, 'a', 'm', t.rows, of)}
    ${load(t, 'b', 'n', t.columns, of)}
    workgroupBarrier();
    for (var kk = ${slice}; kk < ${t.depth}u; kk += ${t.slices}u) {
      let vb = vec${t.perColumn}${type}(${columns.join(', ')});
      ${lines(t.perRow, (i) => `sum${i} += ${timesText(of, row(i), 'vb')};`)}
    }
    workgroupBarrier();
  }
  let y_z = part * u.batch + z;
${t.slices === 1 ? keepOwn(t) : keepSlices(t)}`
}

/** Row i and column j of an invocation's results in its tile. */
const rowOf = (t: Tile, i: string) => `(y0 + ${i} * ${t.rows / t.perRow}u)`
const columnOf = (t: Tile, j: string) => `(x0 + ${j} * ${t.columns / t.perColumn}u)`

const keepOwn = (t: Tile) =>
  results(
    t.perRow,
    t.perColumn,
    (i, j, sum) => `keep(y_z, first_m + ${rowOf(t, i)}, first_n + ${columnOf(t, j)}, ${sum});`,
  )

/** Where the slices' sums meet: in the memory of A's tile, which has room for them, where that holds f32. */
const meeting = (t: Tile) => (t.half ? 'slices' : 'tile_a')

const keepSlices = (t: Tile) => `
  let slice = lane / ${WIDTH / t.slices}u * ${t.rows * t.columns}u;
  ${results(t.perRow, t.perColumn, (i, j, sum) => `${meeting(t)}[slice + ${rowOf(t, i)} * ${t.columns}u + ${columnOf(t, j)}] = ${sum};`)}
  workgroupBarrier();
  for (var e = lane; e < ${t.rows * t.columns}u; e += ${WIDTH}u) {
    var sum = 0.0;
    for (var s = 0u; s < ${t.slices}u; s++) { sum += ${meeting(t)}[s * ${t.rows * t.columns}u + e]; }
    keep(y_z, first_m + e / ${t.columns}u, first_n + e % ${t.columns}u, sum);
  }`
