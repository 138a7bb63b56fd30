// dropout: which elements stay follows from seed, stream and position alone, bit for bit as tensor/philox.ts says.
import type { GpuKernel } from '../kernel.ts'
import { type BufferSpec, pass, WIDTH } from './wgsl.ts'

/** WGSL has no 64-bit product: its upper half comes from halves of 16 bits. No sum here passes 2^32. */
const philoxText = `
fn mul_high(a: u32, b: u32) -> u32 {
  let al = a & 0xffffu;
  let ah = a >> 16u;
  let bl = b & 0xffffu;
  let bh = b >> 16u;
  let mid = ah * bl + ((al * bl) >> 16u);
  let low = (mid & 0xffffu) + al * bh;
  return ah * bh + (mid >> 16u) + (low >> 16u);
}
fn philox(counter: vec4u, seed: vec2u) -> vec4u {
  var c = counter;
  var k = seed;
  for (var round = 0u; round < 10u; round++) {
    let h0 = mul_high(0xd2511f53u, c.x);
    let h1 = mul_high(0xcd9e8d57u, c.z);
    c = vec4u(h1 ^ c.y ^ k.x, 0xcd9e8d57u * c.z, h0 ^ c.w ^ k.y, 0xd2511f53u * c.x);
    k += vec2u(0x9e3779b9u, 0xbb67ae85u);
  }
  return c;
}
`

export const dropout: GpuKernel<'dropout'> = ({ n, inner, threshold, scale, stream }, has, { maxWorkgroups }) => {
  const inPlace = has('alias:y=x')
  // Four neighbours share one block of random words.
  const each = inner === 1 ? 4 : 1
  const buffers: BufferSpec[] = [{ name: 'y', access: 'read_write' }]
  if (!inPlace) buffers.push({ name: 'x', access: 'read' })
  return {
    passes: [
      pass(
        {
          key: `${each} ${inPlace ? 'in place' : ''}`,
          buffers: [...buffers, { name: 'seed', access: 'read', type: 'u32' }],
          fields: [
            ['n', 'u32', n],
            ['inner', 'u32', inner],
            ['threshold', 'u32', threshold],
            ['stream', 'u32', stream],
            ['scale', 'f32', scale],
          ],
          groups: Math.ceil(n / (WIDTH * each)),
          width: WIDTH,
          helpers: () => philoxText,
          body: () => `  let first = i * ${each}u;
  if (first >= u.n) { return; }
  let e = first / u.inner;
  let words = philox(vec4u(e / 4u, u.stream, seed[1], 0u), vec2u(seed[0], 0u));
  for (var j = first; j < min(first + ${each}u, u.n); j++) {
    let word = words[${each === 4 ? 'j - first' : 'e % 4u'}];
    y[j] = select(0.0, ${inPlace ? 'y' : 'x'}[j] * u.scale, word >= u.threshold);
  }`,
        },
        maxWorkgroups,
      ),
    ],
  }
}
