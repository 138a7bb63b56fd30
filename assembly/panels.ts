// Panels of packed operands, and the micro-kernel of 4 x 8 that multiplies two. Used by matmul.ts and attention.ts.
import { at, loadPart, madd, splat } from './math'

/** Writes the transpose of four vectors to out, out + step, out + 2 step, out + 3 step. */
// @ts-ignore: decorator
@inline
export function storeTransposed(a: v128, b: v128, c: v128, d: v128, out: usize, step: usize): void {
  const ab = v128.shuffle<i32>(a, b, 0, 4, 1, 5)
  const cd = v128.shuffle<i32>(c, d, 0, 4, 1, 5)
  const ab2 = v128.shuffle<i32>(a, b, 2, 6, 3, 7)
  const cd2 = v128.shuffle<i32>(c, d, 2, 6, 3, 7)
  v128.store(out, v128.shuffle<i64>(ab, cd, 0, 2))
  v128.store(out + step, v128.shuffle<i64>(ab, cd, 1, 3))
  v128.store(out + 2 * step, v128.shuffle<i64>(ab2, cd2, 0, 2))
  v128.store(out + 3 * step, v128.shuffle<i64>(ab2, cd2, 1, 3))
}

/** Copies one step's `height` numbers, 4 to 6, of a panel of rows. */
// @ts-ignore: decorator
@inline
function copyStep(from: usize, to: usize, height: i32): void {
  v128.store(to, v128.load(from))
  if (height == 5) store<f32>(to, load<f32>(from, 16), 16)
  if (height == 6) store<i64>(to, load<i64>(from, 16), 16)
}

/** Packs panels of `height` (4 to 6) rows of A as [panel][k][height], zero below the last row; ld is A's row length. */
export function packA(source: usize, ld: i32, m: i32, k: i32, transposed: bool, height: i32, out: usize): void {
  const step = at(height)
  const panel = at(height * k)
  let i = 0
  if (transposed) {
    const next = at(ld)
    // Panels share cache lines of the source: four of them in a pass.
    for (; i + 4 * height <= m; i += 4 * height, out += 4 * panel) {
      let p = source + at(i)
      let q = out
      for (let j = 0; j < k; j++, p += next, q += step) {
        copyStep(p, q, height)
        copyStep(p + step, q + panel, height)
        copyStep(p + 2 * step, q + 2 * panel, height)
        copyStep(p + 3 * step, q + 3 * panel, height)
      }
    }
    for (; i < m; i += height, out += panel) {
      const left = min(height, m - i)
      let p = source + at(i)
      let q = out
      for (let j = 0; j < k; j++, p += next, q += step) {
        if (left == height) copyStep(p, q, height)
        else for (let r = 0; r < height; r++) store<f32>(q + at(r), r < left ? load<f32>(p + at(r)) : 0)
      }
    }
    return
  }
  for (; i < m; i += height, out += panel) {
    const left = min(height, m - i)
    const a = source + at(i * ld)
    const row = at(ld)
    let j = 0
    if (left == height) {
      const e = a + 4 * row
      const f = height == 6 ? e + row : e
      let q = out
      for (; j + 4 <= k; j += 4, q += 4 * step) {
        const p = a + at(j)
        storeTransposed(v128.load(p), v128.load(p + row), v128.load(p + 2 * row), v128.load(p + 3 * row), q, step)
        if (height == 4) continue
        const ev = v128.load(e + at(j))
        if (height == 5) {
          v128.store_lane<f32>(q, ev, 0, 16)
          v128.store_lane<f32>(q + step, ev, 1, 16)
          v128.store_lane<f32>(q + 2 * step, ev, 2, 16)
          v128.store_lane<f32>(q + 3 * step, ev, 3, 16)
          continue
        }
        const fv = v128.load(f + at(j))
        const low = v128.shuffle<i32>(ev, fv, 0, 4, 1, 5)
        const high = v128.shuffle<i32>(ev, fv, 2, 6, 3, 7)
        v128.store_lane<i64>(q, low, 0, 16)
        v128.store_lane<i64>(q + step, low, 1, 16)
        v128.store_lane<i64>(q + 2 * step, high, 0, 16)
        v128.store_lane<i64>(q + 3 * step, high, 1, 16)
      }
    }
    for (; j < k; j++) {
      const q = out + at(height * j)
      for (let r = 0; r < height; r++) store<f32>(q + at(r), r < left ? load<f32>(a + at(r * ld + j)) : 0)
    }
  }
}

/** Packs panels [from, to) of 8 columns of B as [panel][k][8], zero right of the last column n. */
export function packB(source: usize, ld: i32, k: i32, n: i32, transposed: bool, out: usize, from: i32, to: i32): void {
  for (let panel = from; panel < to; panel++) {
    const column = panel * 8
    const left = min(8, n - column)
    let q = out + at(column * k)
    if (!transposed) {
      let p = source + at(column)
      const step = at(ld)
      if (left == 8 && panel + 1 < to && n - column >= 16) {
        // Two panels share a cache line of the source.
        const next = at(8 * k)
        for (let j = 0; j < k; j++, p += step, q += 32) {
          v128.store(q, v128.load(p))
          v128.store(q, v128.load(p, 16), 16)
          v128.store(q + next, v128.load(p, 32))
          v128.store(q + next, v128.load(p, 48), 16)
        }
        panel++
      } else if (left == 8) {
        for (let j = 0; j < k; j++, p += step, q += 32) {
          v128.store(q, v128.load(p))
          v128.store(q, v128.load(p, 16), 16)
        }
      } else {
        for (let j = 0; j < k; j++, p += step, q += 32) {
          v128.store(q, left < 4 ? loadPart(p, left) : v128.load(p))
          v128.store(q, left > 4 ? loadPart(p + 16, left - 4) : splat(0), 16)
        }
      }
      continue
    }
    if (left == 8) {
      for (let half = 0; half < 2; half++) {
        const a = source + at((column + 4 * half) * ld)
        const b = a + at(ld)
        const c = b + at(ld)
        const d = c + at(ld)
        let o: usize = 0
        let p = q + 16 * half
        let j = 0
        for (; j + 4 <= k; j += 4, o += 16, p += 128) {
          storeTransposed(v128.load(a + o), v128.load(b + o), v128.load(c + o), v128.load(d + o), p, 32)
        }
        for (; j < k; j++, o += 4, p += 32) {
          store<f32>(p, load<f32>(a + o))
          store<f32>(p, load<f32>(b + o), 4)
          store<f32>(p, load<f32>(c + o), 8)
          store<f32>(p, load<f32>(d + o), 12)
        }
      }
    } else {
      for (let j = 0; j < k; j++, q += 32) {
        for (let c = 0; c < 8; c++) store<f32>(q + at(c), c < left ? load<f32>(source + at((column + c) * ld + j)) : 0)
      }
    }
  }
}

/**
 * The micro-kernel: tile (4, 8) = [tile +] A panel (k, 4) times B panel (k, 8). The first step stands before the loop, so that
 * V8 keeps the addresses that it shares with the others in registers, and the pointers move before they are used, so that it
 * takes them as they are: the loop is 20 instructions for 8 fused multiply-adds.
 */
export function micro(a: usize, b: usize, k: i32, tile: usize, first: bool): void {
  if (k == 0) {
    if (first) memory.fill(tile, 0, 128)
    return
  }
  const end = a + at(4 * (k - 1))
  let b0 = v128.load(b)
  let b1 = v128.load(b, 16)
  let x = v128.load_splat<f32>(a)
  let c00 = f32x4.mul(x, b0)
  let c01 = f32x4.mul(x, b1)
  x = v128.load_splat<f32>(a, 4)
  let c10 = f32x4.mul(x, b0)
  let c11 = f32x4.mul(x, b1)
  x = v128.load_splat<f32>(a, 8)
  let c20 = f32x4.mul(x, b0)
  let c21 = f32x4.mul(x, b1)
  x = v128.load_splat<f32>(a, 12)
  let c30 = f32x4.mul(x, b0)
  let c31 = f32x4.mul(x, b1)
  while (a != end) {
    a += 16
    b += 32
    b0 = v128.load(b)
    b1 = v128.load(b, 16)
    x = v128.load_splat<f32>(a)
    c00 = madd(x, b0, c00)
    c01 = madd(x, b1, c01)
    x = v128.load_splat<f32>(a, 4)
    c10 = madd(x, b0, c10)
    c11 = madd(x, b1, c11)
    x = v128.load_splat<f32>(a, 8)
    c20 = madd(x, b0, c20)
    c21 = madd(x, b1, c21)
    x = v128.load_splat<f32>(a, 12)
    c30 = madd(x, b0, c30)
    c31 = madd(x, b1, c31)
  }
  if (!first) {
    c00 = f32x4.add(c00, v128.load(tile))
    c01 = f32x4.add(c01, v128.load(tile, 16))
    c10 = f32x4.add(c10, v128.load(tile, 32))
    c11 = f32x4.add(c11, v128.load(tile, 48))
    c20 = f32x4.add(c20, v128.load(tile, 64))
    c21 = f32x4.add(c21, v128.load(tile, 80))
    c30 = f32x4.add(c30, v128.load(tile, 96))
    c31 = f32x4.add(c31, v128.load(tile, 112))
  }
  v128.store(tile, c00)
  v128.store(tile, c01, 16)
  v128.store(tile, c10, 32)
  v128.store(tile, c11, 48)
  v128.store(tile, c20, 64)
  v128.store(tile, c21, 80)
  v128.store(tile, c30, 96)
  v128.store(tile, c31, 112)
}
