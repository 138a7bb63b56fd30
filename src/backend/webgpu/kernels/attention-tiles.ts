// What attention's passes share: tiles of scores in registers and workgroup memory, and their product with streamed rows. Text.
// A workgroup owns a block of one head's rows and streams the other side's in blocks: see attention.ts for what is made of it.
import type { Params } from '../../kernels.ts'
import type { GpuLimits, Pass } from '../kernel.ts'
import { type BufferSpec, pass, WIDTH } from './wgsl.ts'

/** The WIDTH = 256 threads as a square: thread (ty, tx) has rows ty + 16 i and columns tx + 16 j of every tile. */
export const SIDE = 16
/** Columns of D staged at a time for a tile of scores. */
const DEPTH = 16
/** Columns of a head that one workgroup writes: 8 registers for each row of an accumulator. Wider heads take several. */
const MOST_COLUMNS = 128

/** Registers of a thread: rows and columns of the tile of scores, and columns of a result, in fours. */
export interface Plot {
  readonly rows: number
  readonly columns: 2
  readonly wide: number
}

/**
 * Two widths, so that a model compiles one pipeline a pass: 64 columns, which nearly every ViT's heads have, and all else
 * up to 128, where what lies past the head is multiplied as zeros.
 */
export const wideOf = (d: number): number => (d <= 4 * SIDE ? 1 : 2)

/** Lines of WGSL for 0 .. n - 1, and for every (i, j). */
export const lines = (n: number, line: (i: number) => string) =>
  Array.from({ length: n }, (_, i) => line(i)).join('\n  ')
export const grid = (rows: number, columns: number, line: (i: number, j: number) => string) =>
  lines(rows * columns, (e) => line(Math.floor(e / columns), e % columns))

/** Row i, or column j, of a thread. */
export const rowOf = (i: number | string) => (typeof i === 'number' ? `(ty + ${i * SIDE}u)` : `(ty + ${i} * ${SIDE}u)`)
export const columnOf = (j: number) => `(tx + ${j * SIDE}u)`
/** Columns of a block of results. */
const columnsOf = (s: Plot) => s.wide * 4 * SIDE

/** Floats of staging: DEPTH columns of both sides. */
const staged = ({ rows, columns }: Plot) => DEPTH * (SIDE * (rows + columns) + 2)
/** Streamed rows staged at a time by `multiply`: a power of 2, at least 4. */
const stagedRows = (s: Plot) => Math.min(SIDE * s.columns, 2 ** Math.floor(Math.log2(staged(s) / columnsOf(s))))

export interface Streamed {
  readonly key: string
  readonly buffers: readonly BufferSpec[]
  readonly sizes: Params<'attention'>
  /** What is wanted of the pass, bit by bit: uniform branches instead of a pipeline for each choice. */
  readonly flags: number
  readonly before: string
  /** Run for every block of streamed rows; the block begins at row `first`. Barriers are allowed in all three. */
  readonly body: string
  readonly after: string
}

/**
 * A pass with one workgroup for each head, block of rows and block of columns. In scope: `own` (first row), `head` of b h,
 * `column` (first column written), `base` (the head's first element), `width` (elements from a row to the next), tx, ty.
 */
export function streamedPass(s: Plot, spec: Streamed, { maxWorkgroups, subgroups }: GpuLimits): Pass {
  const { b, n, h, d, scale } = spec.sizes
  const rows = s.rows * SIDE
  const columnBlocks = Math.ceil(d / MOST_COLUMNS)
  return pass(
    {
      key: `${spec.key} ${s.wide} ${s.rows}x${s.columns}`,
      buffers: spec.buffers,
      fields: [
        ['n', 'u32', n],
        ['h', 'u32', h],
        ['heads', 'u32', b * h],
        ['d', 'u32', d],
        ['column_blocks', 'u32', columnBlocks],
        ['flags', 'u32', spec.flags],
        ['scale', 'f32', scale],
      ],
      groups: Math.ceil(n / rows) * columnBlocks * b * h,
      width: WIDTH,
      subgroups,
      helpers: () => `var<workgroup> tile: array<f32, ${rows * (s.columns * SIDE + 1)}>;
var<workgroup> stage: array<f32, ${staged(s)}>;
${foldHelpers(s, subgroups)}`,
      body: () => `
  let row_blocks = (u.n + ${rows - 1}u) / ${rows}u;
  let head = group / (row_blocks * u.column_blocks);
  if (head >= u.heads) { return; }
  let own = group % row_blocks * ${rows}u;
  let column = group / row_blocks % u.column_blocks * ${MOST_COLUMNS}u;
  let width = u.h * u.d;
  let base = head / u.h * u.n * width + head % u.h * u.d;
  let seat = ${subgroups > 0 ? 'own_seat(invocation)' : 'lane'};
  let tx = seat % ${SIDE}u;
  let ty = seat / ${SIDE}u;
  ${spec.before}
  for (var first = 0u; first < u.n; first += ${s.columns * SIDE}u) {
    ${spec.body}
  }
  ${spec.after}`,
    },
    maxWorkgroups,
  )
}

/** Threads of a row that a subgroup is sure to hold. */
const sharing = (subgroups: number) => Math.min(SIDE, subgroups)

/**
 * Workgroup memory of `foldRows`. With subgroups also `own_seat`, the thread's place in the square: a subgroup's threads sit
 * side by side in it, aligned to their number, whichever threads of the workgroup they are. Which subgroup sits where is a
 * race, and changes no result.
 */
const foldHelpers = (s: Plot, subgroups: number) =>
  subgroups === 0
    ? `var<workgroup> row_cell: array<f32, ${s.rows * SIDE}>;`
    : `var<workgroup> seated: atomic<u32>;
fn own_seat(invocation: u32) -> u32 {
  let count = subgroupAdd(1u);
  var first = 0u;
  if (subgroupElect()) { first = atomicAdd(&seated, count); }
  return subgroupBroadcastFirst(first) + invocation;
}`

/**
 * Declares NAMEi: the values `value(i)` of a row's 16 threads as one, known to all of them; `join` joins values a and b.
 * With subgroups they swap values as far as a subgroup is sure to reach, 16 threads on nearly every GPU and then without any
 * barrier. Without, a thread for each row adds them up. Leaves the staging free.
 */
export function foldRows(
  s: Plot,
  subgroups: number,
  name: string,
  join: (a: string, b: string) => string,
  value: (i: number) => string,
): string {
  const cell = (row: string, c: string) => `stage[${row} * ${SIDE + 1}u + ${c}]`
  if (subgroups === 0) {
    return `
    ${lines(s.rows, (i) => `${cell(rowOf(i), 'tx')} = ${value(i)};`)}
    workgroupBarrier();
    if (lane < ${s.rows * SIDE}u) {
      var all = ${cell('lane', '0u')};
      for (var c = 1u; c < ${SIDE}u; c++) { all = ${join('all', cell('lane', 'c'))}; }
      row_cell[lane] = all;
    }
    workgroupBarrier();
    ${lines(s.rows, (i) => `let ${name}${i} = row_cell[${rowOf(i)}];`)}`
  }
  const reach = sharing(subgroups)
  const swaps = [1, 2, 4, 8].filter((step) => step < reach)
  const swapped = lines(
    s.rows,
    (i) =>
      `var ${name}${i} = ${value(i)};\n    ${swaps.map((step) => `${name}${i} = ${join(`${name}${i}`, `subgroupShuffleXor(${name}${i}, ${step}u)`)};`).join('\n    ')}`,
  )
  if (reach === SIDE) return `\n    ${swapped}`
  return `
    ${swapped}
    if (tx % ${reach}u == 0u) {
      ${lines(s.rows, (i) => `${cell(rowOf(i), 'tx')} = ${name}${i};`)}
    }
    workgroupBarrier();
    ${lines(s.rows, (i) => `${name}${i} = ${cell(rowOf(i), '0u')};`)}
    for (var c = ${reach}u; c < ${SIDE}u; c += ${reach}u) {
      ${lines(s.rows, (i) => `${name}${i} = ${join(`${name}${i}`, cell(rowOf(i), 'c'))};`)}
    }
    workgroupBarrier();`
}

/** Stages DEPTH columns of a block of rows as [DEPTH][rows + 1]; the spare column spreads the words over the banks. */
const stageColumns = (from: string, start: string, rows: number, offset: number) => `
      for (var e = lane; e < ${rows * DEPTH}u; e += ${WIDTH}u) {
        let c = e % ${DEPTH}u;
        let r = e / ${DEPTH}u;
        var cell = 0.0;
        if (${start} + r < u.n && c0 + c < u.d) { cell = ${from}[base + (${start} + r) * width + c0 + c]; }
        stage[${offset}u + c * ${rows + 1}u + r] = cell;
      }`

/** Declares NAMEi, own row i of x times both streamed rows of y, over all of D. Leaves the staging free. */
export function scores(s: Plot, name: string, x: string, y: string): string {
  const rows = s.rows * SIDE
  const columns = s.columns * SIDE
  const offset = DEPTH * (rows + 1)
  return `
    ${lines(s.rows, (i) => `var ${name}${i} = vec2f();`)}
    for (var c0 = 0u; c0 < u.d; c0 += ${DEPTH}u) {
      ${stageColumns(x, 'own', rows, 0)}
      ${stageColumns(y, 'first', columns, offset)}
      workgroupBarrier();
      for (var c = 0u; c < ${DEPTH}u; c++) {
        let at = ${offset}u + c * ${columns + 1}u;
        let pair = vec2f(stage[at + ${columnOf(0)}], stage[at + ${columnOf(1)}]);
        ${lines(s.rows, (i) => `${name}${i} += stage[c * ${rows + 1}u + ${rowOf(i)}] * pair;`)}
      }
      workgroupBarrier();
    }`
}

/** `pick` is value i of the thread's vectors NAME0, NAME1, ...; a chain that the compiler drops where it unrolls the loop. */
const pick = (s: Plot, name: string) => `var value = ${name}0;
      ${lines(s.rows - 1, (i) => `if (i == ${i + 1}u) { value = ${name}${i + 1}; }`)}`

/** NAMEi (and NAMEi_1) += (row i of the tile VALUEi) times this block's rows of y. Leaves tile and staging free. */
export function multiply(s: Plot, name: string, value: string, y: string): string {
  const wide = columnsOf(s)
  const taken = stagedRows(s)
  const pitch = s.columns * SIDE + 1
  const four = (j: number) =>
    `vec4f(${Array.from({ length: 4 }, (_, e) => `stage[r * ${wide}u + ${columnOf(4 * j + e)}]`).join(', ')})`
  return `
    for (var i = 0u; i < ${s.rows}u; i++) {
      ${pick(s, value)}
      tile[${rowOf('i')} * ${pitch}u + ${columnOf(0)}] = value.x;
      tile[${rowOf('i')} * ${pitch}u + ${columnOf(1)}] = value.y;
    }
    for (var r0 = 0u; r0 < ${s.columns * SIDE}u; r0 += ${taken}u) {
      for (var e = lane; e < ${taken * wide}u; e += ${WIDTH}u) {
        let c = e % ${wide}u;
        let r = e / ${wide}u;
        var cell = 0.0;
        if (first + r0 + r < u.n && column + c < u.d) { cell = ${y}[base + (first + r0 + r) * width + column + c]; }
        stage[e] = cell;
      }
      workgroupBarrier();
      for (var r = 0u; r < ${taken}u; r++) {
        ${lines(s.wide, (j) => `let y${j} = ${four(j)};`)}
        ${lines(s.rows, (i) => `let x${i} = tile[${rowOf(i)} * ${pitch}u + r0 + r];`)}
        ${grid(s.rows, s.wide, (i, j) => `${accumulator(name, i, j)} += x${i} * y${j};`)}
      }
      workgroupBarrier();
    }`
}

const accumulator = (name: string, i: number, j: number) => (j === 0 ? `${name}${i}` : `${name}${i}_${j}`)

/** Declares the accumulators of `multiply`. */
export const accumulators = (s: Plot, name: string) =>
  grid(s.rows, s.wide, (i, j) => `var ${accumulator(name, i, j)} = vec4f();`)

/** Multiplies or divides the accumulators of row i: `how` is `*= VALUE` or `/= VALUE`. */
export const scaleRow = (s: Plot, name: string, how: (i: number) => string) =>
  grid(s.rows, s.wide, (i, j) => `${accumulator(name, i, j)} ${how(i)};`)

/** Writes the accumulators to the own rows of a buffer. */
export const writeOut = (s: Plot, name: string, to: string) => `
  for (var j = 0u; j < ${4 * s.wide}u; j++) {
    for (var i = 0u; i < ${s.rows}u; i++) {
      ${pick(s, name)}
      ${s.wide === 1 ? '' : lines(s.rows, (i) => `if (i == ${i}u && j > 3u) { value = ${accumulator(name, i, 1)}; }`)}
      let row = own + ${rowOf('i')};
      let c = column + tx + j * ${SIDE}u;
      if (row < u.n && c < u.d) { ${to}[base + row * width + c] = value[j % 4u]; }
    }
  }`
