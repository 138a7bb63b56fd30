// Packed weights as f32, an element a thread, and rows quantised to 8 bits, a workgroup a row. Products: matmul.ts.
import type { GpuKernel } from '../kernel.ts'
import { exactText, weightFields, weightText } from './matmul-operands.ts'
import { pass, rowWidth, WIDTH } from './wgsl.ts'

export const unpack: GpuKernel<'unpack'> = ({ n, k, row, rows, format, block }, _, { maxWorkgroups }) => ({
  passes: [
    pass(
      {
        key: `${format} ${block}`,
        buffers: [
          { name: 'y', access: 'read_write' },
          { name: 'b', access: 'read', type: 'u32' },
          { name: 'bScale', access: 'read' },
        ],
        fields: [['all', 'u32', rows * k], ['k', 'u32', k], ['row', 'u32', row], ...weightFields(format, n, k)],
        groups: Math.ceil((rows * k) / WIDTH),
        width: WIDTH,
        helpers: () => weightText(format, block),
        body: () => '  if (i < u.all) { y[i] = weight(u.row + i / u.k, i % u.k); }',
      },
      maxWorkgroups,
    ),
  ],
})

/**
 * `value`: an element of the row, scaled. `inverse_of`: 127 / v to the nearest f32 for a normal v given by its bits, since
 * WGSL's own division may be 2.5 ULP off: 24 bits of 127 2^17 / M, M being the 24 of v, from a long division, then half to even.
 */
const rowText = `${exactText}
var<workgroup> most: atomic<u32>;
fn value(row: u32, c: u32) -> f32 {
  let v = x[row + c];
  if (u.scaled == 0u) { return v; }
  return exact(v * kScale[c]);
}
fn inverse_of(bits: u32) -> f32 {
  let divisor = (bits & 0x7fffffu) | 0x800000u;
  var rest = 127u << 17u;
  var exponent = 260u - (bits >> 23u);
  if (rest < divisor) {
    rest <<= 1u;
    exponent--;
  }
  var quotient = 0u;
  for (var digit = 0u; digit < 24u; digit++) {
    let one = rest >= divisor;
    quotient = 2u * quotient + select(0u, 1u, one);
    rest = 2u * select(rest, rest - divisor, one);
  }
  quotient += select(0u, 1u, rest > divisor || (rest == divisor && (quotient & 1u) == 1u));
  return bitcast<f32>((exponent << 23u) + quotient - 0x800000u);
}`

/** Maxima are of bits, which are in the order of what they stand for, NaN last. */
export const quantizeRows: GpuKernel<'quantizeRows'> = ({ m, k }, has, { maxWorkgroups }) => {
  const width = rowWidth(k)
  return {
    passes: [
      pass(
        {
          key: `${width}`,
          buffers: [
            { name: 'codes', access: 'read_write', type: 'u32' },
            { name: 'scale', access: 'read_write', type: 'u32' },
            { name: 'x', access: 'read' },
            { name: has('kScale') ? 'kScale' : 'x', access: 'read', as: 'kScale' },
          ],
          fields: [
            ['m', 'u32', m],
            ['k', 'u32', k],
            ['scaled', 'u32', has('kScale') ? 1 : 0],
            ['zero', 'u32', 0],
          ],
          groups: m,
          width,
          helpers: () => rowText,
          body: () => `  if (group >= u.m) { return; }
  let row = group * u.k;
  let words = (u.k + 3u) / 4u;
  var top = 0u;
  for (var c = lane; c < u.k; c += ${width}u) { top = max(top, bitcast<u32>(value(row, c)) & 0x7fffffffu); }
  atomicMax(&most, top);
  workgroupBarrier();
  top = atomicLoad(&most);
  let finite = top < 0x7f800000u;
  let some = finite && top >= 0x0d800000u;
  if (lane == 0u) {
    let step = bitcast<u32>(bitcast<f32>(top) * 0.007874015718698502);
    scale[group] = select(select(0x7fc00000u, 0u, finite), step, some);
  }
  let inverse = inverse_of(top);
  for (var w = lane; w < words; w += ${width}u) {
    var word = 0u;
    for (var c = 4u * w; some && c < min(u.k, 4u * w + 4u); c++) {
      let code = i32(clamp(round(value(row, c) * inverse), -127.0, 127.0));
      word = insertBits(word, bitcast<u32>(code), 8u * (c & 3u), 8u);
    }
    codes[group * words + w] = word;
  }`,
        },
        maxWorkgroups,
      ),
    ],
  }
}
