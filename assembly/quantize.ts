// Rows of numbers as codes of 8 bits with a scale each, for matmul-i8.ts. Parallel over rows; the formula is in kernels.ts.
import { at, ceilDiv, loadPart, share, splat } from './math'
import { int, own, pointer } from './record'

/** Bits of infinity, above which are those of NaN, and of 2^-100. */
const INFINITE: i32 = 0x7f800000
const LEAST: i32 = 0x0d800000

/** The largest bits of |x| in a row, which order magnitudes as integers do, with NaN above all. */
function mostBits(x: usize, k: i32): i32 {
  const sign = i32x4.splat(0x7fffffff)
  let a = i32x4.splat(0)
  let b = a
  let j = 0
  for (; j + 8 <= k; j += 8) {
    a = i32x4.max_s(a, v128.and(v128.load(x + at(j)), sign))
    b = i32x4.max_s(b, v128.and(v128.load(x + at(j), 16), sign))
  }
  if (j + 4 <= k) {
    a = i32x4.max_s(a, v128.and(v128.load(x + at(j)), sign))
    j += 4
  }
  if (j < k) b = i32x4.max_s(b, v128.and(loadPart(x + at(j), k - j), sign))
  a = i32x4.max_s(a, b)
  a = i32x4.max_s(a, v128.shuffle<i32>(a, a, 2, 3, 0, 1))
  return max(i32x4.extract_lane(a, 0), i32x4.extract_lane(a, 1))
}

/** Adding 1.5 * 2^23 rounds half to even to an integer, which sits in the low bits. */
// @ts-ignore: decorator
@inline
function rounded(v: v128, inverse: v128): v128 {
  return i32x4.sub(f32x4.add(f32x4.mul(v, inverse), splat(12582912)), i32x4.splat(0x4b400000))
}

/** Four codes as a word. */
// @ts-ignore: decorator
@inline
function word(codes: v128): v128 {
  const pairs = i16x8.narrow_i32x4_s(codes, codes)
  return i8x16.narrow_i16x8_s(pairs, pairs)
}

function codesOf(x: usize, k: i32, inverse: v128, out: usize): void {
  let j = 0
  for (; j + 16 <= k; j += 16, out += 16) {
    const a = rounded(v128.load(x + at(j)), inverse)
    const b = rounded(v128.load(x + at(j), 16), inverse)
    const c = rounded(v128.load(x + at(j), 32), inverse)
    const d = rounded(v128.load(x + at(j), 48), inverse)
    v128.store(out, i8x16.narrow_i16x8_s(i16x8.narrow_i32x4_s(a, b), i16x8.narrow_i32x4_s(c, d)))
  }
  for (; j + 4 <= k; j += 4, out += 4) {
    v128.store_lane<i32>(out, word(rounded(v128.load(x + at(j)), inverse)), 0)
  }
  if (j < k) v128.store_lane<i32>(out, word(rounded(loadPart(x + at(j), k - j), inverse)), 0)
}

/** A row times `scale`, into scratch of a thread. */
function scaleRow(x: usize, scale: usize, k: i32, out: usize): void {
  let j = 0
  for (; j + 4 <= k; j += 4, x += 16, scale += 16) v128.store(out + at(j), f32x4.mul(v128.load(x), v128.load(scale)))
  for (; j < k; j++, x += 4, scale += 4) store<f32>(out + at(j), load<f32>(x) * load<f32>(scale))
}

export function quantizeRows(r: usize, thread: i32, threads: i32): void {
  const m = int(r, 5)
  const k = int(r, 6)
  const kScale = pointer(r, 4)
  const scaled = own(r, thread)
  const words = ceilDiv(k, 4)
  const end = share(m, thread + 1, threads)
  for (let i = share(m, thread, threads); i < end; i++) {
    let x = pointer(r, 3) + at(i * k)
    if (kScale != 0) {
      scaleRow(x, kScale, k, scaled)
      x = scaled
    }
    const codes = pointer(r, 1) + at(i * words)
    const scale = pointer(r, 2) + at(i)
    const bits = mostBits(x, k)
    if (bits < LEAST || bits >= INFINITE) {
      memory.fill(codes, 0, at(words))
      store<f32>(scale, bits < LEAST ? 0 : NaN)
      continue
    }
    const most = reinterpret<f32>(bits)
    store<f32>(scale, most * (<f32>1 / <f32>127))
    codesOf(x, k, splat(<f32>127 / most), codes)
  }
}
