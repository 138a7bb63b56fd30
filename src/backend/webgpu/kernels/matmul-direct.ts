// matmul for adapters in software: a block of results in each invocation's registers, operands straight from memory.
// A CPU's caches hold what a GPU wants in workgroup memory, and each barrier there is a switch of stacks, so on SwiftShader
// this is several times as fast as any tile.
import { keepText, lines, type Operands, results, type Size, sumsOf, timesText } from './matmul-epilogue.ts'

/**
 * Rows and columns of an invocation: 16 loads for 64 products, since a load is dear on SwiftShader, whether neighbouring
 * invocations read neighbouring words or not.
 */
const [rows, columns] = [8, 8]
/** Vectors of a row. */
const fours = columns / 4
/** Threads of a workgroup; a core takes a workgroup at a time. */
export const directWidth = 64
/** Workgroups that give every core a few, and the shortest part of k that is cut off to get there. */
const enough = 16
const shortestPart = 128

const blocks = ({ batch, m, n }: Size) => batch * Math.ceil(m / rows) * Math.ceil(n / columns)

/** Into how many parts k is cut, and how long they are. */
export function splitDirect(p: Size): { parts: number; length: number } {
  const wanted = Math.ceil((enough * directWidth) / Math.max(1, blocks(p)))
  const parts = Math.max(1, Math.min(wanted, enough, Math.floor(p.k / shortestPart)))
  const length = Math.max(1, Math.ceil(p.k / parts))
  return { parts: Math.max(1, Math.ceil(p.k / length)), length }
}

export const directGroups = (p: Size, parts: number) => Math.ceil((blocks(p) * parts) / directWidth)

export const directHelpers = (of: Operands) => `${of.helpers(4)}${keepText(of)}`

/**
 * Rows and columns past the end are those of the last one, and not kept. An iteration loads before it multiplies, and adds to
 * two offsets instead of every address: each variable that changes is memory to SwiftShader.
 */
export function directBody(scaled: boolean, of: Operands): string {
  const loadB = (at: string) => of.b?.(at, 'kk') ?? `b[${at} + to_b]`
  return `
  let across = (u.n + ${columns - 1}u) / ${columns}u;
  let down = (u.m + ${rows - 1}u) / ${rows}u;
  let block = i / (across * down);
  if (block >= u.parts * u.batch) { return; }
  let column = i % across * ${columns}u;
  let row = i / across % down * ${rows}u;
  let part = block % u.parts;
  let z = block / u.parts;
  let end = min(u.k, (part + 1u) * u.length);
  ${lines(rows, (i) => `let at_a${i} = z * u.stride_a + min(row + ${i}u, u.m - 1u) * u.a_m;`)}
  ${lines(columns, (j) => `let at_b${j} = ${of.b ? '' : 'z * u.stride_b + u.b_n * '}min(column + ${j}u, u.n - 1u);`)}
  ${sumsOf(rows * fours, 4, of)}
  var to_a = part * u.length * u.a_k;
  var to_b = part * u.length * u.b_k;
  for (var kk = part * u.length; kk < end; kk++) {
    ${lines(fours, (h) => `let vb${h} = vec4${of.integer ? 'u' : 'f'}(${[0, 1, 2, 3].map((j) => loadB(`at_b${4 * h + j}`)).join(', ')})${scaled ? ' * kScale[kk]' : ''};`)}
    ${lines(rows, (i) => `let va${i} = a[at_a${i} + to_a];`)}
    ${lines(rows * fours, (v) => `sum${v} += ${timesText(of, `va${Math.floor(v / fours)}`, `vb${v % fours}`)};`)}
    to_a += u.a_k;
    to_b += u.b_k;
  }
  let y_z = part * u.batch + z;
${results(rows * fours, 4, (v, j, sum) => `keep(y_z, row + ${v} / ${fours}u, column + ${v} % ${fours}u * 4u + ${j}, ${sum});`)}`
}
