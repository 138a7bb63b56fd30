// matmul for adapters in software: a block of results in each invocation's registers, operands straight from memory.
// A CPU's caches hold what a GPU wants in workgroup memory, and each barrier there is a switch of stacks: on SwiftShader this
// runs 2 to 3 times as fast as any tile (0.6 against 0.25 GFLOP/s a core at 512 x 192 x 384).
import { keepText, lines, results, type Size, sumsOf } from './matmul-epilogue.ts'

/** Rows and columns of an invocation: four lanes run as one, and share the loads of A where they have the same rows. */
const [rows, columns] = [8, 4]
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

export const directHelpers = keepText

/** Rows and columns past the end are those of the last one, and not kept. */
export const directBody = (scaled: boolean) => `
  let across = (u.n + ${columns - 1}u) / ${columns}u;
  let down = (u.m + ${rows - 1}u) / ${rows}u;
  let block = i / (across * down);
  if (block >= u.parts * u.batch) { return; }
  let column = i % across * ${columns}u;
  let row = i / across % down * ${rows}u;
  let part = block % u.parts;
  let z = block / u.parts;
  let end = min(u.k, (part + 1u) * u.length);
  ${lines(rows, (i) => `var at_a${i} = z * u.stride_a + min(row + ${i}u, u.m - 1u) * u.a_m + part * u.length * u.a_k;`)}
  ${lines(columns, (j) => `var at_b${j} = z * u.stride_b + min(column + ${j}u, u.n - 1u) * u.b_n + part * u.length * u.b_k;`)}
  ${sumsOf(rows, columns)}
  for (var kk = part * u.length; kk < end; kk++) {
    let vb = vec${columns}f(${Array.from({ length: columns }, (_, j) => `b[at_b${j}]`).join(', ')})${scaled ? ' * kScale[kk]' : ''};
    ${lines(rows, (i) => `sum${i} += a[at_a${i}] * vb;`)}
    ${lines(rows, (i) => `at_a${i} += u.a_k;`)}
    ${lines(columns, (j) => `at_b${j} += u.b_k;`)}
  }
  let y_z = part * u.batch + z;
${results(rows, columns, (i, j, sum) => `keep(y_z, row + ${i}, column + ${j}, ${sum});`)}`
