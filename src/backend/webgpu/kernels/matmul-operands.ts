// What the operands of a product are: f32, a packed weight whose numbers are made as tiles are loaded, or codes of 8 bits. Text.
import { packedFormats } from '../../kernels.ts'
import { flag, type Operands } from './matmul-epilogue.ts'
import type { Field } from './wgsl.ts'

export const numbers: Operands = { key: '', integer: false, helpers: () => '', fields: [] }

const byte = 'f32(extractBits(bitcast<i32>(b[e >> 2u]), 8u * (e & 3u), 8u))'

/**
 * `weight(row, column)` of the packed weight in b and bScale. The block's length is part of the text, so that dividing by it is
 * a shift. `exact` keeps its number from being fused with what follows: a u.zero that is 0 is nothing a compiler knows.
 */
export function weightText(format: number, block: number): string {
  const i = `e / ${block}u`
  const text = {
    [packedFormats.nf4]: `bScale[16u + ${i}]`,
    [packedFormats['nf4-double']]: `maximum(${i})`,
    [packedFormats.int8]: `${byte} * bScale[row]`,
    [packedFormats['int8-block']]: `${byte} * bScale[${i}]`,
  }[format]!
  return `${exactText}
fn maximum(i: u32) -> f32 {
  let code = extractBits(b[u.codes + (i >> 2u)], 8u * (i & 3u), 8u);
  return exact(bScale[16u + code] * bScale[273u + (i >> 8u)]) + bScale[272u];
}
fn weight(row: u32, column: u32) -> f32 {
  let e = row * u.columns + column;
  return ${format < packedFormats.int8 ? 'bScale[extractBits(b[e >> 3u], 4u * ((e & 7u) ^ 1u), 4u)] * ' : ''}${text};
}`
}

export const exactText = `
fn exact(v: f32) -> f32 { return bitcast<f32>(bitcast<u32>(v) ^ u.zero); }`

export const weightFields = (format: number, rows: number, columns: number): Field[] => [
  ['columns', 'u32', format === packedFormats.int8 ? 4 * Math.ceil(columns / 4) : columns],
  ['codes', 'u32', Math.ceil((rows * columns) / 8)],
  ['zero', 'u32', 0],
]

const alongK = `(u.flags & ${flag.bAlongK}u) != 0u`

/** A packed weight (rows, columns), whose rows are along k or across. */
export function packed(format: number, block: number, rows: number, columns: number): Operands {
  return {
    key: ` packed ${format} ${block}`,
    integer: false,
    helpers: () => `${weightText(format, block)}
fn weight_at(column: u32, step: u32) -> f32 {
  let along_k = ${alongK};
  return weight(select(step, column, along_k), select(column, step, along_k));
}`,
    b: (column, step) => `weight_at(${column}, ${step})`,
    fields: weightFields(format, rows, columns),
  }
}

/**
 * `times`: a word's codes times those of some columns. `codes`: those of a column at four steps of k, which lie in four rows
 * where rows are not along k; past the last row any code will do, since A's are 0 there.
 */
export const codes = (dot: boolean): Operands => ({
  key: ` codes${dot ? ' dot' : ''}`,
  integer: true,
  helpers: (size) => `
fn dot4(a: u32, b: u32) -> i32 {
  ${
    dot
      ? 'return dot4I8Packed(a, b);'
      : `let at = vec4u(0, 8, 16, 24);
  return dot(vec4i(vec4u(a) << (24 - at)) >> vec4u(24), vec4i(vec4u(b) << (24 - at)) >> vec4u(24));`
  }
}
fn times(a: u32, b: vec${size}u) -> vec${size}i {
  return vec${size}i(${Array.from({ length: size }, (_, j) => `dot4(a, b[${j}])`).join(', ')});
}
fn codes(column: u32, step: u32) -> u32 {
  if (${alongK}) { return b[column * u.b_n + step]; }
  var word = 0u;
  for (var r = 0u; r < 4u; r++) {
    word = insertBits(word, b[(4u * step + r) * u.b_k + column / 4u] >> (8u * (column & 3u)), 8u * r, 8u);
  }
  return word;
}`,
  b: (column, step) => `codes(${column}, ${step})`,
  fields: [],
})
