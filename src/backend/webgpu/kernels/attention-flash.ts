// attention and attentionGrad on GPUs, after FlashAttention-2 (Dao 2023, arXiv:2307.08691): one workgroup a head and block of
// rows, the other side streamed past it, scores computed again in the gradient. Above 128 columns a head is shared out by
// columns among workgroups, each of which computes all scores. attention.ts says which passes there are.
import {
  accumulators,
  columnOf,
  foldRows,
  lines,
  multiply,
  type Plot,
  rowOf,
  SIDE,
  scaleRow,
  scores,
  streamedPass,
  wideOf,
  writeOut,
} from './attention-tiles.ts'
import { type BuildPass, LOWEST, want } from './attention-ways.ts'

/**
 * Rows that a workgroup owns, in sixteens; it streams 32. More rows: fewer loads for each product. 64 x 32 is torchlette's:
 * tile 8.3 KiB, staging 6.1 KiB and two columns of rows fit in the default 16 KiB. dK and dV together take two accumulators
 * a thread, 32 registers for heads of 64; above that half the rows, or they would spill.
 */
const plotOf = (d: number, rows: 2 | 4): Plot => ({ rows, columns: 2, wide: wideOf(d) })

const sum = (a: string, b: string) => `${a} + ${b}`
const max = (a: string, b: string) => `max(${a}, ${b})`

/** In the first thread of a row that exists, and in the first block of columns. */
const oncePerRow = (s: Plot, text: (i: number) => string) =>
  lines(s.rows, (i) => `if (tx == 0u && column == 0u && own + ${rowOf(i)} < u.n) { ${text(i)} }`)

export const flashForward: BuildPass = (sizes, buffers, flags, limits) => {
  const s = plotOf(sizes.d, 4)
  const { subgroups } = limits
  const streamed = {
    key: '',
    buffers,
    sizes,
    flags,
    // Each row's running maximum and sum: a thread's sum is over its own columns.
    before: `
  ${accumulators(s, 'o')}
  ${lines(s.rows, (i) => `var sum${i} = 0.0;`)}
  ${lines(s.rows, (i) => `var top${i} = ${LOWEST};`)}`,
    // Keys past the end score LOWEST, so that their exp is 0: every block has a real key.
    body: `
    ${scores(s, 's', 'q', 'k')}
    let inside = vec2<bool>(first + ${columnOf(0)} < u.n, first + ${columnOf(1)} < u.n);
    ${lines(s.rows, (i) => `s${i} = select(vec2f(${LOWEST}), u.scale * s${i}, inside);`)}
    ${foldRows(s, subgroups, 'now', max, (i) => `max(top${i}, max(s${i}.x, s${i}.y))`)}
    ${lines(s.rows, (i) => `let fix${i} = exp(top${i} - now${i});`)}
    ${lines(s.rows, (i) => `top${i} = now${i};`)}
    ${lines(s.rows, (i) => `s${i} = exp(s${i} - top${i});`)}
    ${lines(s.rows, (i) => `sum${i} = sum${i} * fix${i} + s${i}.x + s${i}.y;`)}
    ${scaleRow(s, 'o', (i) => `*= fix${i}`)}
    ${multiply(s, 'o', 's', 'v')}`,
    after: `
    ${foldRows(s, subgroups, 'total', sum, (i) => `sum${i}`)}
    if (u.flags != 0u) {
      ${oncePerRow(s, (i) => `lse[head * u.n + own + ${rowOf(i)}] = top${i} + log(total${i});`)}
    }
    ${scaleRow(s, 'o', (i) => `/= total${i}`)}
    ${writeOut(s, 'o', 'o')}`,
  }
  return streamedPass(s, streamed, limits)
}

const ifWanted = (name: keyof typeof want, text: string) => `if ((u.flags & ${want[name]}u) != 0u) {${text}\n    }`

/** The place in lse and delta of a query row; past the end that of the last one, whose cells become 0 whatever it is. */
const query = (row: string) => `head * u.n + min(${row}, u.n - 1u)`

/**
 * The loops of one side's gradient. Own rows are queries or keys; tiles are (own, streamed): P = exp(scale X Y^T - lse),
 * dS = scale P (X2 Y2^T - delta); (x, x2) is (q, do) or (k, v), (y, y2) the other; lse and delta belong to the query.
 * By query: da += dS Y (dQ). By key: wa += P Y2 (dV), and da += dS Y (dK).
 */
function gradBody(s: Plot, byKey: boolean): string {
  const [x, y, x2, y2] = byKey ? (['k', 'q', 'v', 'dO'] as const) : (['q', 'k', 'dO', 'v'] as const)
  const pair = (from: string) => `vec2f(${[0, 1].map((j) => `${from}[${query(`first + ${columnOf(j)}`)}]`).join(', ')})`
  const lse = (i: number) => (byKey ? 'lses' : `lse${i}`)
  const delta = (i: number) => (byKey ? 'deltas' : `delta${i}`)
  const cells = `
    let inside = vec2<bool>(first + ${columnOf(0)} < u.n, first + ${columnOf(1)} < u.n);
    ${byKey ? `let lses = ${pair('lse')};` : ''}
    ${scores(s, 's', x, y)}
    ${lines(
      s.rows,
      (i) => `s${i} = select(vec2f(), exp(u.scale * s${i} - ${lse(i)}), inside & vec2<bool>(own + ${rowOf(i)} < u.n));`,
    )}`
  const direct = `
    ${byKey ? `let deltas = ${pair('delta')};` : ''}
    ${scores(s, 'g', x2, y2)}
    ${lines(s.rows, (i) => `g${i} = u.scale * s${i} * (g${i} - ${delta(i)});`)}
    ${multiply(s, 'da', 'g', y)}`
  return byKey ? cells + ifWanted('dv', multiply(s, 'wa', 's', y2)) + ifWanted('dk', direct) : cells + direct
}

/** delta = rowsum(dO O) of the own queries, for this workgroup and, where dK is wanted, in memory (B, H, N) for the next pass. */
const ownDelta = (s: Plot, subgroups: number) => `
  ${lines(
    s.rows,
    (i) => `var part${i} = 0.0;
  if (own + ${rowOf(i)} < u.n) {
    let at = base + (own + ${rowOf(i)}) * width;
    for (var c = tx; c < u.d; c += ${SIDE}u) { part${i} += dO[at + c] * o[at + c]; }
  }`,
  )}
  ${foldRows(s, subgroups, 'delta', sum, (i) => `part${i}`)}
  if ((u.flags & ${want.dk}u) != 0u) {
    ${oncePerRow(s, (i) => `delta[head * u.n + own + ${rowOf(i)}] = delta${i};`)}
  }
  ${lines(s.rows, (i) => `let lse${i} = lse[${query(`own + ${rowOf(i)}`)}];`)}`

export const flashQueryGrad: BuildPass = (sizes, buffers, flags, limits) => {
  const s = plotOf(sizes.d, 4)
  const streamed = {
    key: 'queries',
    buffers,
    sizes,
    flags,
    before: ownDelta(s, limits.subgroups) + accumulators(s, 'da'),
    // Without dQ this pass is for delta alone.
    body: ifWanted('dq', gradBody(s, false)),
    after: ifWanted('dq', writeOut(s, 'da', 'dq')),
  }
  return streamedPass(s, streamed, limits)
}

export const flashKeyGrad: BuildPass = (sizes, buffers, flags, limits) => {
  const s = plotOf(sizes.d, wideOf(sizes.d) > 1 ? 2 : 4)
  const streamed = {
    key: 'keys',
    buffers,
    sizes,
    flags,
    before: accumulators(s, 'da') + accumulators(s, 'wa'),
    body: gradBody(s, true),
    after: ifWanted('dk', writeOut(s, 'da', 'dk')) + ifWanted('dv', writeOut(s, 'wa', 'dv')),
  }
  return streamedPass(s, streamed, limits)
}
