// What attention's passes share: tiles of scores in registers and workgroup memory, and their product with streamed rows. Text.
// A workgroup owns a block of one head's rows and streams the other side's in blocks: see attention.ts for what is made of it.
import type { Params } from '../../kernels.ts'
import type { Pass } from '../kernel.ts'
import { type BufferSpec, pass, WIDTH } from './wgsl.ts'

/** The WIDTH = 256 threads as a square: thread (ty, tx) has rows ty + 16 i and columns tx + 16 j of every tile. */
export const SIDE = 16
/** Columns of D staged at a time for a tile of scores. */
const DEPTH = 16
/** Columns of a head that one workgroup writes: 8 registers for each row of an accumulator. Wider heads take several. */
const MOST_COLUMNS = 128

/** Registers of a thread: rows and columns of the tile of scores, and columns of a result. */
export interface Plot {
  readonly d: number
  readonly rows: number
  readonly columns: number
  readonly wide: number
}

/** The block for heads of d, no larger than n needs. */
export function plot(n: number, d: number, most: { readonly rows: number; readonly columns: number }): Plot {
  const needed = Math.ceil(n / SIDE)
  const wide = Math.ceil(Math.min(d, MOST_COLUMNS) / SIDE)
  return { d, rows: Math.min(most.rows, needed), columns: Math.min(most.columns, needed), wide }
}

/** Lines of WGSL for 0 .. n - 1, and for every (i, j). */
export const lines = (n: number, line: (i: number) => string) =>
  Array.from({ length: n }, (_, i) => line(i)).join('\n  ')
export const grid = (rows: number, columns: number, line: (i: number, j: number) => string) =>
  lines(rows * columns, (e) => line(Math.floor(e / columns), e % columns))

/** Row i, or column j, of a thread. */
export const rowOf = (i: number) => `(ty + ${i * SIDE}u)`
export const columnOf = (j: number) => `(tx + ${j * SIDE}u)`

/** Floats of staging: DEPTH columns of both sides. */
const staged = ({ rows, columns }: Plot) => DEPTH * (SIDE * (rows + columns) + 2)
/** Streamed rows staged at a time by `multiply`: a power of 2, at least 4. */
const stagedRows = (s: Plot) => Math.min(SIDE * s.columns, 2 ** Math.floor(Math.log2(staged(s) / (s.wide * SIDE))))

export interface Streamed {
  readonly key: string
  readonly buffers: readonly BufferSpec[]
  readonly sizes: Pick<Params<'attention'>, 'b' | 'n' | 'h' | 'scale'>
  readonly helpers?: string
  readonly before: string
  /** Run for every block of streamed rows; the block begins at row `first`. Barriers are allowed in all three. */
  readonly body: string
  readonly after: string
}

/**
 * A pass with one workgroup for each head, block of rows and block of columns. In scope: `own` (first row), `head` of b h,
 * `column` (first column written), `base` (the head's first element), `width` (elements from a row to the next), d, tx, ty.
 */
export function streamedPass(s: Plot, spec: Streamed, maxWorkgroups: number): Pass {
  const { b, n, h, scale } = spec.sizes
  const rows = s.rows * SIDE
  const columnBlocks = Math.ceil(s.d / MOST_COLUMNS)
  return pass(
    {
      key: `${spec.key} ${s.d} ${s.rows}x${s.columns}`,
      buffers: spec.buffers,
      fields: [
        ['n', 'u32', n],
        ['h', 'u32', h],
        ['heads', 'u32', b * h],
        ['scale', 'f32', scale],
      ],
      groups: Math.ceil(n / rows) * columnBlocks * b * h,
      width: WIDTH,
      helpers: () => `const d = ${s.d}u;
var<workgroup> tile: array<f32, ${rows * (s.columns * SIDE + 1)}>;
var<workgroup> stage: array<f32, ${staged(s)}>;
${spec.helpers ?? ''}`,
      body: () => `
  let row_blocks = (u.n + ${rows - 1}u) / ${rows}u;
  let head = group / (row_blocks * ${columnBlocks}u);
  if (head >= u.heads) { return; }
  let own = group % row_blocks * ${rows}u;
  let column = group / row_blocks % ${columnBlocks}u * ${MOST_COLUMNS}u;
  let width = u.h * d;
  let base = head / u.h * u.n * width + head % u.h * d;
  let tx = lane % ${SIDE}u;
  let ty = lane / ${SIDE}u;
  ${spec.before}
  for (var first = 0u; first < u.n; first += ${s.columns * SIDE}u) {
    ${spec.body}
  }
  ${spec.after}`,
    },
    maxWorkgroups,
  )
}

/** Stages DEPTH columns of a block of rows as [DEPTH][rows + 1]; the spare column spreads the words over the banks. */
const stageColumns = (from: string, start: string, rows: number, offset: number) => `
      for (var e = lane; e < ${rows * DEPTH}u; e += ${WIDTH}u) {
        let c = e % ${DEPTH}u;
        let r = e / ${DEPTH}u;
        var cell = 0.0;
        if (${start} + r < u.n && c0 + c < d) { cell = ${from}[base + (${start} + r) * width + c0 + c]; }
        stage[${offset}u + c * ${rows + 1}u + r] = cell;
      }`

/** Declares NAMEi_j = own row i of x times streamed row j of y, over all of D. Leaves the staging free. */
export function scores(s: Plot, name: string, x: string, y: string): string {
  const rows = s.rows * SIDE
  const columns = s.columns * SIDE
  const offset = DEPTH * (rows + 1)
  return `
    ${grid(s.rows, s.columns, (i, j) => `var ${name}${i}_${j} = 0.0;`)}
    for (var c0 = 0u; c0 < d; c0 += ${DEPTH}u) {
      ${stageColumns(x, 'own', rows, 0)}
      ${stageColumns(y, 'first', columns, offset)}
      workgroupBarrier();
      for (var c = 0u; c < ${DEPTH}u; c++) {
        ${lines(s.rows, (i) => `let x${i} = stage[c * ${rows + 1}u + ${rowOf(i)}];`)}
        ${lines(s.columns, (j) => `let y${j} = stage[${offset}u + c * ${columns + 1}u + ${columnOf(j)}];`)}
        ${grid(s.rows, s.columns, (i, j) => `${name}${i}_${j} += x${i} * y${j};`)}
      }
      workgroupBarrier();
    }`
}

/** NAMEi_j += (row i of the tile VALUEi_j) times column j of this block's rows of y. Leaves tile and staging free. */
export function multiply(s: Plot, name: string, value: string, y: string): string {
  const wide = s.wide * SIDE
  const taken = stagedRows(s)
  const pitch = s.columns * SIDE + 1
  return `
    ${grid(s.rows, s.columns, (i, j) => `tile[${rowOf(i)} * ${pitch}u + ${columnOf(j)}] = ${value}${i}_${j};`)}
    for (var r0 = 0u; r0 < ${s.columns * SIDE}u; r0 += ${taken}u) {
      for (var e = lane; e < ${taken * wide}u; e += ${WIDTH}u) {
        let c = e % ${wide}u;
        let r = e / ${wide}u;
        var cell = 0.0;
        if (first + r0 + r < u.n && column + c < d) { cell = ${y}[base + (first + r0 + r) * width + column + c]; }
        stage[e] = cell;
      }
      workgroupBarrier();
      for (var r = 0u; r < ${taken}u; r++) {
        ${lines(s.rows, (i) => `let x${i} = tile[${rowOf(i)} * ${pitch}u + r0 + r];`)}
        ${lines(s.wide, (j) => `let y${j} = stage[r * ${wide}u + ${columnOf(j)}];`)}
        ${grid(s.rows, s.wide, (i, j) => `${name}${i}_${j} += x${i} * y${j};`)}
      }
      workgroupBarrier();
    }`
}

/** Declares the accumulators of `multiply`. */
export const accumulators = (s: Plot, name: string) => grid(s.rows, s.wide, (i, j) => `var ${name}${i}_${j} = 0.0;`)

/** Writes the accumulators to the own rows of a buffer, what follows (`/ row[0]`, say) applied to each. */
export const writeOut = (s: Plot, name: string, to: string, then: (i: number) => string = () => '') =>
  grid(s.rows, s.wide, (i, j) => {
    const row = `own + ${rowOf(i)}`
    const c = `column + ${columnOf(j)}`
    return `if (${row} < u.n && ${c} < d) { ${to}[base + (${row}) * width + ${c}] = ${name}${i}_${j}${then(i)}; }`
  })
