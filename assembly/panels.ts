// Panels of packed operands, and the micro-kernel that multiplies two of them to a tile. Used by matmul.ts and attention.ts.
import { at, loadPart, madd, splat } from './math'
import { multiplyWide } from './wide'

/** Rows of a tile: as many as V8 keeps in registers with two vectors of B, one of A and, not fused, a product. */
export const HEIGHT: i32 = ASC_FEATURE_RELAXED_SIMD ? 6 : 5
/** Columns of a tile: two vectors of 128 bits, or of 256 where the build is for an engine that joins neighbours to those (wide.ts). */
// @ts-ignore: given to the compiler by rollup.config.mjs
export const WIDTH: i32 = 8 << WIDE
/** Bytes of a tile. */
export const TILE: usize = 4 * HEIGHT * WIDTH

/** Writes the transpose of four vectors to out, out + step, out + 2 step, out + 3 step. */
// @ts-ignore: decorator
@inline
function storeTransposed(a: v128, b: v128, c: v128, d: v128, out: usize, step: usize): void {
  const ab = v128.shuffle<i32>(a, b, 0, 4, 1, 5)
  const cd = v128.shuffle<i32>(c, d, 0, 4, 1, 5)
  const ab2 = v128.shuffle<i32>(a, b, 2, 6, 3, 7)
  const cd2 = v128.shuffle<i32>(c, d, 2, 6, 3, 7)
  v128.store(out, v128.shuffle<i64>(ab, cd, 0, 2))
  v128.store(out + step, v128.shuffle<i64>(ab, cd, 1, 3))
  v128.store(out + 2 * step, v128.shuffle<i64>(ab2, cd2, 0, 2))
  v128.store(out + 3 * step, v128.shuffle<i64>(ab2, cd2, 1, 3))
}

/** The same of HEIGHT vectors, the last two of which are the same where it is 5. */
// @ts-ignore: decorator
@inline
function storeColumns(a: v128, b: v128, c: v128, d: v128, e: v128, f: v128, out: usize, step: usize): void {
  storeTransposed(a, b, c, d, out, step)
  if (HEIGHT == 5) {
    v128.store_lane<f32>(out, e, 0, 16)
    v128.store_lane<f32>(out + step, e, 1, 16)
    v128.store_lane<f32>(out + 2 * step, e, 2, 16)
    v128.store_lane<f32>(out + 3 * step, e, 3, 16)
    return
  }
  const low = v128.shuffle<i32>(e, f, 0, 4, 1, 5)
  const high = v128.shuffle<i32>(e, f, 2, 6, 3, 7)
  v128.store_lane<i64>(out, low, 0, 16)
  v128.store_lane<i64>(out + step, low, 1, 16)
  v128.store_lane<i64>(out + 2 * step, high, 0, 16)
  v128.store_lane<i64>(out + 3 * step, high, 1, 16)
}

/** Writes the transpose of a tile: WIDTH rows of HEIGHT numbers, `step` bytes apart. */
export function storeTurned(tile: usize, out: usize, step: usize): void {
  const row = at(WIDTH)
  const e = tile + 4 * row
  const f = HEIGHT == 6 ? e + row : e
  for (let part: usize = 0; part < row; part += 16, out += 4 * step) {
    const t = tile + part
    storeColumns(
      v128.load(t),
      v128.load(t + row),
      v128.load(t + 2 * row),
      v128.load(t + 3 * row),
      v128.load(e + part),
      v128.load(f + part),
      out,
      step,
    )
  }
}

/** Copies one step's numbers of a panel of rows. */
// @ts-ignore: decorator
@inline
function copyStep(from: usize, to: usize): void {
  v128.store(to, v128.load(from))
  if (HEIGHT == 5) store<f32>(to, load<f32>(from, 16), 16)
  else store<i64>(to, load<i64>(from, 16), 16)
}

/** Packs panels of HEIGHT rows of A as [panel][k][HEIGHT], zero below the last row. `ld` is A's row length in elements. */
export function packA(source: usize, ld: i32, m: i32, k: i32, transposed: bool, out: usize): void {
  const step = at(HEIGHT)
  const panel = at(HEIGHT * k)
  const row = at(ld)
  let i = 0
  if (transposed) {
    // Panels share cache lines of the source: four of them in a pass.
    for (; i + 4 * HEIGHT <= m; i += 4 * HEIGHT, out += 4 * panel) {
      let p = source + at(i)
      let q = out
      for (let j = 0; j < k; j++, p += row, q += step) {
        copyStep(p, q)
        copyStep(p + step, q + panel)
        copyStep(p + 2 * step, q + 2 * panel)
        copyStep(p + 3 * step, q + 3 * panel)
      }
    }
    for (; i < m; i += HEIGHT, out += panel) {
      const left = min(HEIGHT, m - i)
      let p = source + at(i)
      let q = out
      for (let j = 0; j < k; j++, p += row, q += step) {
        if (left == HEIGHT) copyStep(p, q)
        else for (let r = 0; r < HEIGHT; r++) store<f32>(q + at(r), r < left ? load<f32>(p + at(r)) : 0)
      }
    }
    return
  }
  for (; i < m; i += HEIGHT, out += panel) {
    const left = min(HEIGHT, m - i)
    const a = source + at(i * ld)
    let j = 0
    if (left == HEIGHT) {
      const e = a + 4 * row
      const f = HEIGHT == 6 ? e + row : e
      for (; j + 4 <= k; j += 4) {
        const o = at(j)
        const p = a + o
        storeColumns(
          v128.load(p),
          v128.load(p + row),
          v128.load(p + 2 * row),
          v128.load(p + 3 * row),
          v128.load(e + o),
          v128.load(f + o),
          out + at(HEIGHT * j),
          step,
        )
      }
    }
    for (; j < k; j++) {
      const q = out + at(HEIGHT * j)
      for (let r = 0; r < HEIGHT; r++) store<f32>(q + at(r), r < left ? load<f32>(a + at(r * ld + j)) : 0)
    }
  }
}

/** Packs `left` rows as the columns of one panel: [k][width], zero right of the last. */
// @ts-ignore: decorator
@inline
function packTurned(source: usize, ld: i32, k: i32, left: i32, width: i32, out: usize): void {
  const across = at(width)
  if (left == width) {
    for (let four = 0; four < width; four += 4) {
      const a = source + at(four * ld)
      const b = a + at(ld)
      const c = b + at(ld)
      const d = c + at(ld)
      let o: usize = 0
      let p = out + at(four)
      let j = 0
      for (; j + 4 <= k; j += 4, o += 16, p += 4 * across) {
        storeTransposed(v128.load(a + o), v128.load(b + o), v128.load(c + o), v128.load(d + o), p, across)
      }
      for (; j < k; j++, o += 4, p += across) {
        store<f32>(p, load<f32>(a + o))
        store<f32>(p, load<f32>(b + o), 4)
        store<f32>(p, load<f32>(c + o), 8)
        store<f32>(p, load<f32>(d + o), 12)
      }
    }
    return
  }
  for (let j = 0; j < k; j++, out += across) {
    for (let c = 0; c < width; c++) store<f32>(out + at(c), c < left ? load<f32>(source + at(c * ld + j)) : 0)
  }
}

/** Packs panels [from, to) of WIDTH columns of B as [panel][k][WIDTH], zero right of the last column n. */
export function packB(source: usize, ld: i32, k: i32, n: i32, transposed: bool, out: usize, from: i32, to: i32): void {
  const across = at(WIDTH)
  for (let panel = from; panel < to; panel++) {
    const column = panel * WIDTH
    const left = min(WIDTH, n - column)
    let q = out + at(column * k)
    if (!transposed) {
      let p = source + at(column)
      const step = at(ld)
      if (WIDTH == 16 && left == 16) {
        for (let j = 0; j < k; j++, p += step, q += 64) {
          v128.store(q, v128.load(p))
          v128.store(q, v128.load(p, 16), 16)
          v128.store(q, v128.load(p, 32), 32)
          v128.store(q, v128.load(p, 48), 48)
        }
      } else if (WIDTH == 8 && left == 8 && panel + 1 < to && n - column >= 16) {
        // Two panels share a cache line of the source.
        const next = at(8 * k)
        for (let j = 0; j < k; j++, p += step, q += 32) {
          v128.store(q, v128.load(p))
          v128.store(q, v128.load(p, 16), 16)
          v128.store(q + next, v128.load(p, 32))
          v128.store(q + next, v128.load(p, 48), 16)
        }
        panel++
      } else if (WIDTH == 8 && left == 8) {
        for (let j = 0; j < k; j++, p += step, q += 32) {
          v128.store(q, v128.load(p))
          v128.store(q, v128.load(p, 16), 16)
        }
      } else {
        for (let j = 0; j < k; j++, p += step, q += across) {
          let c = 0
          for (; c + 4 <= left; c += 4) v128.store(q + at(c), v128.load(p + at(c)))
          if (c < left) {
            v128.store(q + at(c), loadPart(p + at(c), left - c))
            c += 4
          }
          for (; c < WIDTH; c += 4) v128.store(q + at(c), splat(0))
        }
      }
      continue
    }
    packTurned(source + at(column * ld), ld, k, left, WIDTH, q)
  }
}

/** A panel of at most 8 columns, as packB packs B transposed, whatever the build's tiles are. */
export function packEight(source: usize, ld: i32, k: i32, left: i32, out: usize): void {
  packTurned(source, ld, k, left, 8, out)
}

/**
 * The micro-kernel: tile (HEIGHT, 8) = A panel (k, HEIGHT) times B panel (k, 8), k at least 1. The first step stands before the
 * loop, so that V8 keeps the addresses that it shares with the others in registers, and the pointers move before they are used,
 * so that it takes them as they are: the loop is 26 instructions for 12 fused multiply-adds. It adds nothing to what the tile
 * held: whatever more is done with the sums has V8 load all of a step's numbers before it multiplies, and keep some in memory.
 * Nor does it call or ask anything first: other registers make the loop's code longer, until a jump ends where the line of
 * 32 bytes does, which costs a quarter of the speed on many Intel processors (benchmarks/inner-loop.ts).
 */
export function multiplyEight(a: usize, b: usize, k: i32, tile: usize): void {
  const end = a + at(HEIGHT * (k - 1))
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
  x = v128.load_splat<f32>(a, 16)
  let c40 = f32x4.mul(x, b0)
  let c41 = f32x4.mul(x, b1)
  let c50 = b0
  let c51 = b1
  if (HEIGHT > 5) {
    x = v128.load_splat<f32>(a, 20)
    c50 = f32x4.mul(x, b0)
    c51 = f32x4.mul(x, b1)
  }
  while (a != end) {
    a += at(HEIGHT)
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
    x = v128.load_splat<f32>(a, 16)
    c40 = madd(x, b0, c40)
    c41 = madd(x, b1, c41)
    if (HEIGHT > 5) {
      x = v128.load_splat<f32>(a, 20)
      c50 = madd(x, b0, c50)
      c51 = madd(x, b1, c51)
    }
  }
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

/** The micro-kernel of this build: tile (HEIGHT, WIDTH) = A panel (k, HEIGHT) times B panel (k, WIDTH), k at least 1. */
export function multiplyPanels(a: usize, b: usize, k: i32, tile: usize): void {
  if (WIDTH == 16) multiplyWide(a, b, k, tile)
  else multiplyEight(a, b, k, tile)
}

/** tile = A panel times B panel where `first`, else tile += their product, which `spare` holds meanwhile. k may be 0 in the first. */
export function addPanels(a: usize, b: usize, k: i32, tile: usize, first: bool, spare: usize): void {
  if (first) {
    if (k == 0) return memory.fill(tile, 0, TILE)
    return multiplyPanels(a, b, k, tile)
  }
  multiplyPanels(a, b, k, spare)
  for (const end = tile + TILE; tile < end; tile += 32, spare += 32) {
    v128.store(tile, f32x4.add(v128.load(tile), v128.load(spare)))
    v128.store(tile, f32x4.add(v128.load(tile, 16), v128.load(spare, 16)), 16)
  }
}
