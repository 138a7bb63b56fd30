// attention and attentionGrad after FlashAttention-2 (Dao 2023, arXiv:2307.08691): one workgroup a head and block of rows, the
// other side streamed past it, scores computed again in the gradient, never an (N, N) tensor in memory.
// No atomics, so dQ (by query rows) and dK, dV (by key rows) are passes of their own. f32, sums in a fixed order.
// Any N and D; above 128 columns a head is shared out by columns among workgroups, each of which computes all scores.
import type { GpuKernel, Pass } from '../kernel.ts'
import {
  accumulators,
  columnOf,
  grid,
  lines,
  multiply,
  type Plot,
  plot,
  rowOf,
  SIDE,
  scores,
  streamedPass,
  writeOut,
} from './attention-tiles.ts'
import type { BufferSpec } from './wgsl.ts'

/** Rows that a workgroup owns and rows that it streams, in sixteens, at most. More rows: fewer loads for each product. */
const blocks = {
  // 64 x 32, as torchlette's: tile 8.3 KiB, staging 6.1 KiB and two columns of rows fit in the default 16 KiB.
  forward: { rows: 4, columns: 2 },
  queryGrad: { rows: 4, columns: 2 },
  // Two accumulators a thread, dK and dV: 32 registers for heads of 64; above that half the rows, or they would spill.
  keyGrad: { rows: 4, columns: 2 },
  keyGradWide: { rows: 2, columns: 2 },
}

/** Stands for minus infinity, which WGSL may assume away. */
const LOWEST = '-1e30'

const read = (name: string): BufferSpec => ({ name, access: 'read' })
const write = (name: string): BufferSpec => ({ name, access: 'read_write' })
/** `do` is a reserved word in WGSL. */
const gradient: BufferSpec = { name: 'do', access: 'read', as: 'dO' }

/** Puts a value of this thread for row i where `byRow` finds it. */
const put = (i: number, value: string) => `stage[${rowOf(i)} * ${SIDE + 1}u + tx] = ${value};`

/** Folds what a row's 16 threads have put into `all`, and runs `then` in one thread for each row, row `lane`. */
const byRow = (s: Plot, start: string, fold: string, then: string) => `
    workgroupBarrier();
    if (lane < ${s.rows * SIDE}u) {
      var all = ${start};
      for (var c = 0u; c < ${SIDE}u; c++) {
        let one = stage[lane * ${SIDE + 1}u + c];
        all = ${fold};
      }
      ${then}
    }
    workgroupBarrier();`

export const attention: GpuKernel<'attention'> = (sizes, has, { maxWorkgroups }) => {
  const s = plot(sizes.n, sizes.d, blocks.forward)
  const lse = has('lse')
  const columns = Array.from({ length: s.columns }, (_, j) => j)
  const streamed = {
    key: lse ? 'lse' : '',
    buffers: [write('o'), ...(lse ? [write('lse')] : []), read('q'), read('k'), read('v')],
    sizes,
    // Each row's running maximum, and what to multiply its sums by when that has grown.
    helpers: `var<workgroup> row_max: array<f32, ${s.rows * SIDE}>;
var<workgroup> row_fix: array<f32, ${s.rows * SIDE}>;`,
    before: `
  ${accumulators(s, 'o')}
  ${lines(s.rows, (i) => `var sum${i} = 0.0;`)}
  if (lane < ${s.rows * SIDE}u) { row_max[lane] = ${LOWEST}; }`,
    // Keys past the end score LOWEST, so that their exp is 0: every block has a real key.
    body: `
    ${scores(s, 's', 'q', 'k')}
    ${grid(s.rows, s.columns, (i, j) => `s${i}_${j} = select(${LOWEST}, u.scale * s${i}_${j}, first + ${columnOf(j)} < u.n);`)}
    ${lines(s.rows, (i) =>
      put(
        i,
        columns.map((j) => `s${i}_${j}`).reduce((a, b) => `max(${a}, ${b})`),
      ),
    )}
    ${byRow(s, 'row_max[lane]', 'max(all, one)', 'row_fix[lane] = exp(row_max[lane] - all); row_max[lane] = all;')}
    ${grid(s.rows, s.columns, (i, j) => `s${i}_${j} = exp(s${i}_${j} - row_max[${rowOf(i)}]);`)}
    ${lines(s.rows, (i) => `let fix${i} = row_fix[${rowOf(i)}];`)}
    ${lines(s.rows, (i) => `sum${i} = sum${i} * fix${i} + ${columns.map((j) => `s${i}_${j}`).join(' + ')};`)}
    ${grid(s.rows, s.wide, (i, j) => `o${i}_${j} *= fix${i};`)}
    ${multiply(s, 'o', 's', 'v')}`,
    after: `
    ${lines(s.rows, (i) => put(i, `sum${i}`))}
    ${byRow(
      s,
      '0.0',
      'all + one',
      `row_fix[lane] = all;
      ${lse ? 'if (column == 0u && own + lane < u.n) { lse[head * u.n + own + lane] = row_max[lane] + log(all); }' : ''}`,
    )}
    ${writeOut(s, 'o', 'o', (i) => ` / row_fix[${rowOf(i)}]`)}`,
  }
  return { passes: [streamedPass(s, streamed, maxWorkgroups)] }
}

/**
 * The loop of one side's gradient. Own rows are queries or keys; tiles are (own, streamed): P = exp(scale X Y^T - lse),
 * dS = scale P (X2 Y2^T - delta); (x, x2) is (q, do) or (k, v), (y, y2) the other; lse and delta belong to the query.
 * direct: da += dS Y (dQ or dK); weighted: wa += P Y2 (dV).
 */
function gradBody(s: Plot, byKey: boolean, direct: boolean, weighted: boolean): string {
  const [x, y, x2, y2] = byKey ? (['k', 'q', 'v', 'dO'] as const) : (['q', 'k', 'dO', 'v'] as const)
  const row = (i: number) => `own + ${rowOf(i)}`
  const column = (j: number) => `first + ${columnOf(j)}`
  // Past the end this is the last query's: the cell becomes 0 whatever it is.
  const query = (i: number, j: number) => `head * u.n + min(${byKey ? column(j) : row(i)}, u.n - 1u)`
  const inside = (i: number, j: number) => `${row(i)} < u.n && ${column(j)} < u.n`
  const delta = (i: number, j: number) => (byKey ? `delta[${query(i, j)}]` : `row_delta[${rowOf(i)}]`)
  const p = (i: number, j: number) =>
    `s${i}_${j} = select(0.0, exp(u.scale * s${i}_${j} - lse[${query(i, j)}]), ${inside(i, j)});`
  const ds = (i: number, j: number) => `g${i}_${j} = u.scale * s${i}_${j} * (g${i}_${j} - ${delta(i, j)});`
  const parts = [scores(s, 's', x, y), grid(s.rows, s.columns, p)]
  if (weighted) parts.push(multiply(s, 'wa', 's', y2))
  if (direct) parts.push(scores(s, 'g', x2, y2), grid(s.rows, s.columns, ds), multiply(s, 'da', 'g', y))
  return parts.join('\n    ')
}

/** delta = rowsum(dO O) of the own queries, for this workgroup and, where `keep`, in memory (B, H, N) for the next pass. */
const ownDelta = (s: Plot, keep: boolean) => `
  ${lines(
    s.rows,
    (i) => `var part${i} = 0.0;
  if (own + ${rowOf(i)} < u.n) {
    let at = base + (own + ${rowOf(i)}) * width;
    for (var c = tx; c < d; c += ${SIDE}u) { part${i} += dO[at + c] * o[at + c]; }
  }
  ${put(i, `part${i}`)}`,
  )}
  ${byRow(
    s,
    '0.0',
    'all + one',
    `row_delta[lane] = all;
      ${keep ? 'if (column == 0u && own + lane < u.n) { delta[head * u.n + own + lane] = all; }' : ''}`,
  )}`

export const attentionGrad: GpuKernel<'attentionGrad'> = (sizes, has, { maxWorkgroups }) => {
  const { b, n, h, d } = sizes
  const [dq, dk, dv] = [has('dq'), has('dk'), has('dv')]
  const delta = { name: 'temp:delta', as: 'delta' } as const
  const passes: Pass[] = []
  if (dq || dk) {
    const s = plot(n, d, blocks.queryGrad)
    const scored = dq ? [write('dq'), read('q'), read('k'), read('v'), read('lse')] : []
    const streamed = {
      key: `queries ${dq} ${dk}`,
      buffers: [...scored, ...(dk ? [{ ...delta, access: 'read_write' } as const] : []), gradient, read('o')],
      sizes,
      helpers: `var<workgroup> row_delta: array<f32, ${s.rows * SIDE}>;`,
      before: ownDelta(s, dk) + (dq ? accumulators(s, 'da') : ''),
      body: dq ? gradBody(s, false, true, false) : '',
      after: dq ? writeOut(s, 'da', 'dq') : '',
    }
    passes.push(streamedPass(s, streamed, maxWorkgroups))
  }
  if (dk || dv) {
    const s = plot(n, d, d > 64 ? blocks.keyGradWide : blocks.keyGrad)
    // dV alone needs neither v nor delta.
    const scored: BufferSpec[] = dk ? [write('dk'), read('v'), { ...delta, access: 'read' }] : []
    const streamed = {
      key: `keys ${dk} ${dv}`,
      buffers: [...scored, ...(dv ? [write('dv')] : []), gradient, read('q'), read('k'), read('lse')],
      sizes,
      before: (dk ? accumulators(s, 'da') : '') + (dv ? accumulators(s, 'wa') : ''),
      body: gradBody(s, true, dk, dv),
      after: (dk ? writeOut(s, 'da', 'dk') : '') + (dv ? writeOut(s, 'wa', 'dv') : ''),
    }
    passes.push(streamedPass(s, streamed, maxWorkgroups))
  }
  return dk ? { passes, temps: { delta: b * h * n } } : { passes }
}
