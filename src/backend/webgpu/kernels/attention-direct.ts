// attention and attentionGrad for adapters in software: a row an invocation, the other side streamed past it eight rows at a
// time, nothing in workgroup memory, results added up in place. Lanes are neighbouring rows of one head and share the loads of
// the streamed rows. Many times as fast as attention-tiles.ts on SwiftShader. The same formulas, buffers and flags.
import type { Params } from '../../kernels.ts'
import { type BuildPass, LOWEST, want } from './attention-ways.ts'
import { type BufferSpec, type PassSpec, pass } from './wgsl.ts'

/** Threads of a workgroup. */
const WIDTH = 32
const eight = [0, 1, 2, 3, 4, 5, 6, 7]

/** Values of the eight streamed rows, two vectors NAME0 and NAME1. */
const both = (line: (half: 0 | 1) => string) => `${line(0)}\n    ${line(1)}`
const streamed = (y: string, half: 0 | 1) =>
  `vec4f(${eight
    .slice(4 * half, 4 * half + 4)
    .map((j) => `${y}[at${j} + c]`)
    .join(', ')})`

/** Declares NAME0, NAME1: the own row of x times each streamed row of y. */
const products = (name: string, x: string, y: string) => `
    ${both((half) => `var ${name}${half} = vec4f();`)}
    for (var c = 0u; c < u.d; c++) {
      let one = ${x}[own + c];
      ${both((half) => `${name}${half} += one * ${streamed(y, half)};`)}
    }`

/** The own row of `to`, times `fix`, plus the streamed rows of y weighted by NAME0, NAME1. The first block starts it. */
const addRows = (to: string, name: string, y: string, fix = '') => `
    for (var c = 0u; c < u.d; c++) {
      var sum = 0.0;
      if (first > 0u) { sum = ${to}[own + c]${fix}; }
      ${to}[own + c] = sum + dot(${name}0, ${streamed(y, 0)}) + dot(${name}1, ${streamed(y, 1)});
    }`

/** Rows past the end are the last one's: the cells become 0 or the lowest number whatever they are. */
const loop = (body: string) => `
  for (var first = 0u; first < u.n; first += 8u) {
    let rows0 = first + vec4u(0u, 1u, 2u, 3u);
    let rows1 = rows0 + 4u;
    ${both((half) => `let inside${half} = rows${half} < vec4u(u.n);`)}
    ${eight.map((j) => `let at${j} = base + min(first + ${j}u, u.n - 1u) * width;`).join('\n    ')}
    ${body}
  }`

interface Direct {
  readonly key: string
  readonly buffers: readonly BufferSpec[]
  readonly flags: number
  readonly body: string
}

function rowPass({ b, n, h, d, scale }: Params<'attention'>, spec: Direct, maxWorkgroups: number) {
  const whole: PassSpec = {
    key: `${spec.key} direct`,
    buffers: spec.buffers,
    fields: [
      ['n', 'u32', n],
      ['h', 'u32', h],
      ['heads', 'u32', b * h],
      ['d', 'u32', d],
      ['flags', 'u32', spec.flags],
      ['scale', 'f32', scale],
    ],
    groups: Math.ceil((b * h * n) / WIDTH),
    width: WIDTH,
    body: () => `
  if (i >= u.heads * u.n) { return; }
  let head = i / u.n;
  let row = i % u.n;
  let width = u.h * u.d;
  let base = head / u.h * u.n * width + head % u.h * u.d;
  let own = base + row * width;
  ${spec.body}`,
  }
  return pass(whole, maxWorkgroups)
}

/** The forward pass: running maximum and sum of the row. */
const forwardBody = `
  var top = ${LOWEST};
  var total = 0.0;
  ${loop(`${products('s', 'q', 'k')}
    ${both((half) => `s${half} = select(vec4f(${LOWEST}), u.scale * s${half}, inside${half});`)}
    let largest = max(s0, s1);
    let now = max(max(top, max(largest.x, largest.y)), max(largest.z, largest.w));
    let fix = exp(top - now);
    ${both((half) => `s${half} = exp(s${half} - now);`)}
    total = total * fix + dot(s0 + s1, vec4f(1.0));
    top = now;
    ${addRows('o', 's', 'v', ' * fix')}`)}
  for (var c = 0u; c < u.d; c++) { o[own + c] /= total; }
  if (u.flags != 0u) { lse[i] = top + log(total); }`

/** P and dS of eight cells; lse and delta are the row's or, by key, each streamed query's. */
const cells = (x: string, y: string, lse: (half: 0 | 1) => string) => `
    ${products('s', x, y)}
    ${both((half) => `s${half} = select(vec4f(), exp(u.scale * s${half} - ${lse(half)}), inside${half});`)}`
const slopes = (x: string, y: string, delta: (half: 0 | 1) => string) => `
    ${products('g', x, y)}
    ${both((half) => `g${half} = u.scale * s${half} * (g${half} - ${delta(half)});`)}`

const queryBody = `
  var own_delta = 0.0;
  for (var c = 0u; c < u.d; c++) { own_delta += dO[own + c] * o[own + c]; }
  if ((u.flags & ${want.dk}u) != 0u) { delta[i] = own_delta; }
  if ((u.flags & ${want.dq}u) == 0u) { return; }
  let own_lse = lse[i];
  ${loop(`${cells('q', 'k', () => 'own_lse')}${slopes('dO', 'v', () => 'own_delta')}${addRows('dq', 'g', 'k')}`)}`

const ofQueries = (from: string) => (half: 0 | 1) =>
  `vec4f(${eight
    .slice(4 * half, 4 * half + 4)
    .map((j) => `${from}[head * u.n + min(first + ${j}u, u.n - 1u)]`)
    .join(', ')})`

const keyBody = loop(`${cells('k', 'q', ofQueries('lse'))}
    if ((u.flags & ${want.dv}u) != 0u) {${addRows('dv', 's', 'dO')}
    }
    if ((u.flags & ${want.dk}u) != 0u) {${slopes('v', 'dO', ofQueries('delta'))}${addRows('dk', 'g', 'q')}
    }`)

const direct =
  (key: string, body: string): BuildPass =>
  (sizes, buffers, flags, { maxWorkgroups }) =>
    rowPass(sizes, { key, buffers, flags, body }, maxWorkgroups)

export const directForward = direct('', forwardBody)
export const directQueryGrad = direct('queries', queryBody)
export const directKeyGrad = direct('keys', keyBody)
