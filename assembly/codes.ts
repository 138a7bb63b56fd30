// Panels of codes, and the micro-kernels that multiply two of them to a tile of exact integers. Used by matmul-i8.ts.
// A step of a panel is 4 bytes a row or column: 4 codes, 2 of 16 bits or 1 as f32. The kind of panel is the log2 of that number.
import { at } from './math'
import { HEIGHT, multiplyEight } from './panels'

/** Kinds of panel; src/backend/wasm/integer.ts has the same numbers. */
export const AS_F32: i32 = 0
export const DOT16: i32 = 1
export const DOT: i32 = 2

/** Codes of a row, of `words` words, as f32 or 16 bits. */
export function widenRow(from: usize, words: i32, kind: i32, out: usize): void {
  for (const end = from + at(words); from < end; from += 4) {
    const v = i16x8.extend_low_i8x16_s(v128.load32_zero(from))
    if (kind == DOT16) {
      v128.store_lane<i64>(out, v, 0)
      out += 8
    } else {
      v128.store(out, f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(v)))
      out += 16
    }
  }
}

/** A panel of 8 columns, [words][8][4 codes], as another kind. For DOT each code has 64 added, which makes it 0..127. */
export function widenPanel(from: usize, words: i32, kind: i32, out: usize): void {
  const end = from + 32 * words
  if (kind == DOT) {
    for (; from < end; from += 16, out += 16) v128.store(out, i8x16.add(v128.load(from), i8x16.splat(64)))
  } else if (kind == DOT16) {
    for (; from < end; from += 32, out += 64) {
      for (let half = 0; half < 32; half += 16) {
        const v = v128.load(from + half)
        const pairs = v128.shuffle<i8>(v, v, 0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15)
        v128.store(out + half, i16x8.extend_low_i8x16_s(pairs))
        v128.store(out + half, i16x8.extend_high_i8x16_s(pairs), 32)
      }
    }
  } else {
    for (; from < end; from += 32, out += 128) {
      for (let half = 0; half < 32; half += 16) {
        const v = v128.load(from + half)
        v128.store(out + half, f32x4.convert_i32x4_s(i32x4.shr_s(i32x4.shl(v, 24), 24)))
        v128.store(out + half, f32x4.convert_i32x4_s(i32x4.shr_s(i32x4.shl(v, 16), 24)), 32)
        v128.store(out + half, f32x4.convert_i32x4_s(i32x4.shr_s(i32x4.shl(v, 8), 24)), 64)
        v128.store(out + half, f32x4.convert_i32x4_s(i32x4.shr_s(v, 24)), 96)
      }
    }
  }
}

/**
 * The codes of 8 columns, or of the 4 that are left, from k rows, `ld` bytes apart, as a panel [words][8][4 codes], zero below the
 * last row. `spare` is 32 bytes.
 */
export function turnCodes(source: usize, ld: usize, k: i32, columns: i32, out: usize, spare: usize): void {
  for (let j = 0; j < k; j += 4, source += 4 * ld, out += 32) {
    const rows = min(4, k - j)
    let from = source
    let step = ld
    if (rows < 4 || columns < 8) {
      memory.fill(spare, 0, 32)
      for (let i = 0; i < rows; i++) memory.copy(spare + 8 * i, source + i * ld, columns)
      from = spare
      step = 8
    }
    const a = v128.load64_zero(from)
    const b = v128.load64_zero(from + step)
    const c = v128.load64_zero(from + 2 * step)
    const d = v128.load64_zero(from + 3 * step)
    const ab = v128.shuffle<i8>(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
    const cd = v128.shuffle<i8>(c, d, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
    v128.store(out, v128.shuffle<i16>(ab, cd, 0, 8, 1, 9, 2, 10, 3, 11))
    v128.store(out, v128.shuffle<i16>(ab, cd, 4, 12, 5, 13, 6, 14, 7, 15), 16)
  }
}

/** -64 times the sum of a row's codes: what the 64 that panels of B have added makes too much. */
export function lessOffset(row: usize, words: i32): i32 {
  const end = row + at(words)
  const whole = row + at(words & -4)
  let sums = i32x4.splat(0)
  for (; row < whole; row += 16) {
    sums = i32x4.add(sums, i32x4.extadd_pairwise_i16x8_s(i16x8.extadd_pairwise_i8x16_s(v128.load(row))))
  }
  for (; row < end; row += 4) {
    sums = i32x4.add(sums, i32x4.extadd_pairwise_i16x8_s(i16x8.extadd_pairwise_i8x16_s(v128.load32_zero(row))))
  }
  sums = i32x4.add(sums, v128.shuffle<i32>(sums, sums, 2, 3, 0, 1))
  return -64 * (i32x4.extract_lane(sums, 0) + i32x4.extract_lane(sums, 1))
}

/** a b + c of four codes a lane, b within 0..127, for which alone the instruction is defined. */
// @ts-ignore: decorator
@inline
function dot(a: v128, b: v128, c: v128): v128 {
  return i32x4.relaxed_dot_i8x16_i7x16_add_s(a, b, c)
}

/** Tile (6, 8) = `less` by row + A panel times B panel, as `multiplyEight`: in this order V8 keeps all of it in registers. */
function multiplyDot(a: usize, b: usize, steps: i32, tile: usize, less: usize): void {
  const end = a + at(6 * steps)
  let c00 = v128.load_splat<i32>(less)
  let c01 = c00
  let c10 = v128.load_splat<i32>(less, 4)
  let c11 = c10
  let c20 = v128.load_splat<i32>(less, 8)
  let c21 = c20
  let c30 = v128.load_splat<i32>(less, 12)
  let c31 = c30
  let c40 = v128.load_splat<i32>(less, 16)
  let c41 = c40
  let c50 = v128.load_splat<i32>(less, 20)
  let c51 = c50
  do {
    const b0 = v128.load(b)
    const b1 = v128.load(b, 16)
    let x = v128.load_splat<i32>(a)
    c00 = dot(x, b0, c00)
    c01 = dot(x, b1, c01)
    x = v128.load_splat<i32>(a, 4)
    c10 = dot(x, b0, c10)
    c11 = dot(x, b1, c11)
    x = v128.load_splat<i32>(a, 8)
    c20 = dot(x, b0, c20)
    c21 = dot(x, b1, c21)
    x = v128.load_splat<i32>(a, 12)
    c30 = dot(x, b0, c30)
    c31 = dot(x, b1, c31)
    x = v128.load_splat<i32>(a, 16)
    c40 = dot(x, b0, c40)
    c41 = dot(x, b1, c41)
    x = v128.load_splat<i32>(a, 20)
    c50 = dot(x, b0, c50)
    c51 = dot(x, b1, c51)
    a += 24
    b += 32
  } while (a != end)
  v128.store(tile, c00)
  v128.store(tile, c01, 16)
  v128.store(tile, c10, 32)
  v128.store(tile, c11, 48)
  v128.store(tile, c20, 64)
  v128.store(tile, c21, 80)
  v128.store(tile, c30, 96)
  v128.store(tile, c31, 112)
  v128.store(tile, c40, 128)
  v128.store(tile, c41, 144)
  v128.store(tile, c50, 160)
  v128.store(tile, c51, 176)
}

/** c + a b of two 16-bit codes a lane. */
// @ts-ignore: decorator
@inline
function dot16(a: v128, b: v128, c: v128): v128 {
  return i32x4.add(c, i32x4.dot_i16x8_s(a, b))
}

/** The same of panels of 16 bits, HEIGHT rows. */
function multiplyDot16(a: usize, b: usize, steps: i32, tile: usize): void {
  const end = a + at(HEIGHT * steps)
  let c00 = i32x4.splat(0)
  let c01 = c00
  let c10 = c00
  let c11 = c00
  let c20 = c00
  let c21 = c00
  let c30 = c00
  let c31 = c00
  let c40 = c00
  let c41 = c00
  let c50 = c00
  let c51 = c00
  do {
    const b0 = v128.load(b)
    const b1 = v128.load(b, 16)
    let x = v128.load_splat<i32>(a)
    c00 = dot16(x, b0, c00)
    c01 = dot16(x, b1, c01)
    x = v128.load_splat<i32>(a, 4)
    c10 = dot16(x, b0, c10)
    c11 = dot16(x, b1, c11)
    x = v128.load_splat<i32>(a, 8)
    c20 = dot16(x, b0, c20)
    c21 = dot16(x, b1, c21)
    x = v128.load_splat<i32>(a, 12)
    c30 = dot16(x, b0, c30)
    c31 = dot16(x, b1, c31)
    x = v128.load_splat<i32>(a, 16)
    c40 = dot16(x, b0, c40)
    c41 = dot16(x, b1, c41)
    if (HEIGHT > 5) {
      x = v128.load_splat<i32>(a, 20)
      c50 = dot16(x, b0, c50)
      c51 = dot16(x, b1, c51)
    }
    a += at(HEIGHT)
    b += 32
  } while (a != end)
  v128.store(tile, c00)
  v128.store(tile, c01, 16)
  v128.store(tile, c10, 32)
  v128.store(tile, c11, 48)
  v128.store(tile, c20, 64)
  v128.store(tile, c21, 80)
  v128.store(tile, c30, 96)
  v128.store(tile, c31, 112)
  v128.store(tile, c40, 128)
  v128.store(tile, c41, 144)
  if (HEIGHT > 5) {
    v128.store(tile, c50, 160)
    v128.store(tile, c51, 176)
  }
}

/** Sums of up to 512 products as f32, exact since below 2^24, made integers. */
function multiplyF32(a: usize, b: usize, steps: i32, tile: usize): void {
  multiplyEight(a, b, steps, tile)
  for (const end = tile + 32 * HEIGHT; tile < end; tile += 16) {
    v128.store(tile, i32x4.trunc_sat_f32x4_s(v128.load(tile)))
  }
}

// @ts-ignore: decorator
@inline
function multiplyCodes(a: usize, b: usize, steps: i32, tile: usize, kind: i32, less: usize): void {
  if (ASC_FEATURE_RELAXED_SIMD) {
    if (kind == DOT) return multiplyDot(a, b, steps, tile, less)
  }
  if (kind == DOT16) multiplyDot16(a, b, steps, tile)
  else multiplyF32(a, b, steps, tile)
}

/** As addPanels, of codes: the tile holds integers. `less` is what DOT begins with, by row. */
export function addCodes(
  a: usize,
  b: usize,
  steps: i32,
  tile: usize,
  first: bool,
  spare: usize,
  kind: i32,
  less: usize,
): void {
  if (first) {
    if (steps == 0) return memory.fill(tile, 0, 32 * HEIGHT)
    return multiplyCodes(a, b, steps, tile, kind, less)
  }
  multiplyCodes(a, b, steps, spare, kind, less)
  for (const end = tile + 32 * HEIGHT; tile < end; tile += 16, spare += 16) {
    v128.store(tile, i32x4.add(v128.load(tile), v128.load(spare)))
  }
}
