// y = residual + colScale gate act(alpha A diag(kScale) B + bias): packed operands and a 4 x 8 micro-kernel, f32 accumulation.
// Phase 0 packs B once for all threads, phase 1 multiplies. A is packed by each thread for the rows it takes, 64 at a time.
// The inner size is cut into blocks that depend on it alone, so a result never depends on how threads share the work.
import { at, ceilDiv, gelu16, gelu4, geluGrad16, geluGrad4, loadPart, madd, splat, storePart } from './math'
import { float, int, own, PHASE, pointer, SHARED, take } from './record'

/** Longest inner block: an 8-column panel of B is then 16 KiB and stays in the first-level cache. */
const DEPTH = 512
/** Panels of 4 rows of A packed at a time. */
const ROWS = 16
/** Steps of the inner size, by panels of 4 rows and 8 columns, that take some 50 us: shorter units are not worth taking. */
const LONG: i64 = 30000
/** Panels of 8 columns for which partial sums are held. */
const COLUMNS = 256

// How y is finished; set at the start of a call. Each thread has its own instance, so these are private to it.
let y: usize = 0
let slope: usize = 0
let bias: usize = 0
let colScale: usize = 0
let residual: usize = 0
let gate: usize = 0
let rows: i32 = 0 // m
let width: i32 = 0 // n
let alpha: f32 = 1
let act: i32 = 0 // 1 gelu, 2 its slope
let accumulate: bool = false
let spare: usize = 0 // scratch of a tile

/** Inner block length for an inner size k: equal blocks of at most DEPTH. */
// @ts-ignore: decorator
@inline
function blockDepth(k: i32): i32 {
  return max(1, ceilDiv(k, max(1, ceilDiv(k, DEPTH))))
}

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

/** Packs panels of 4 rows of A as [panel][k][4], zero below the last row. `ld` is A's row length in elements. */
export function packA(source: usize, ld: i32, m: i32, k: i32, transposed: bool, out: usize): void {
  let i = 0
  if (transposed) {
    const step = at(ld)
    const panel = at(4 * k)
    // Four panels share a cache line of the source.
    for (; i + 16 <= m; i += 16, out += 4 * panel) {
      let p = source + at(i)
      let q = out
      for (let j = 0; j < k; j++, p += step, q += 16) {
        v128.store(q, v128.load(p))
        v128.store(q + panel, v128.load(p, 16))
        v128.store(q + 2 * panel, v128.load(p, 32))
        v128.store(q + 3 * panel, v128.load(p, 48))
      }
    }
  }
  for (; i < m; i += 4, out += at(4 * k)) {
    const left = min(4, m - i)
    if (transposed) {
      let p = source + at(i)
      let q = out
      const step = at(ld)
      for (let j = 0; j < k; j++, p += step, q += 16) v128.store(q, left < 4 ? loadPart(p, left) : v128.load(p))
      continue
    }
    const a = source + at(i * ld)
    const b = left > 1 ? a + at(ld) : a
    const c = left > 2 ? a + at(2 * ld) : a
    const d = left > 3 ? a + at(3 * ld) : a
    const zero = splat(0)
    let j = 0
    if (left == 4) {
      for (; j + 4 <= k; j += 4) {
        const o = at(j)
        storeTransposed(v128.load(a + o), v128.load(b + o), v128.load(c + o), v128.load(d + o), out + at(4 * j), 16)
      }
    } else {
      for (; j + 4 <= k; j += 4) {
        const o = at(j)
        storeTransposed(
          v128.load(a + o),
          left > 1 ? v128.load(b + o) : zero,
          left > 2 ? v128.load(c + o) : zero,
          zero,
          out + at(4 * j),
          16,
        )
      }
    }
    for (; j < k; j++) {
      const o = at(j)
      const q = out + at(4 * j)
      store<f32>(q, load<f32>(a + o))
      store<f32>(q, left > 1 ? load<f32>(b + o) : 0, 4)
      store<f32>(q, left > 2 ? load<f32>(c + o) : 0, 8)
      store<f32>(q, left > 3 ? load<f32>(d + o) : 0, 12)
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

/** Multiplies row j of panels of 8 columns, k rows each, by scale[j]. */
function scalePanels(panels: usize, count: i32, k: i32, scale: usize): void {
  for (let panel = 0; panel < count; panel++) {
    for (let j = 0; j < k; j++, panels += 32) {
      const s = v128.load_splat<f32>(scale + at(j))
      v128.store(panels, f32x4.mul(v128.load(panels), s))
      v128.store(panels, f32x4.mul(v128.load(panels, 16), s), 16)
    }
  }
}

/**
 * The micro-kernel: tile (4, 8) = [tile +] A panel (k, 4) times B panel (k, 8). Not unrolled over k: eight sums, two vectors
 * of B and one of A are all that V8 keeps in registers.
 */
export function micro(a: usize, b: usize, k: i32, tile: usize, first: bool): void {
  // The first step stands before the loop, so that V8 keeps the addresses it shares with the others in registers, and the
  // pointers move before they are used, so that it takes them as they are: 20 instructions a step for 8 multiply-adds.
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

// @ts-ignore: decorator
@inline
function get(p: usize, count: i32): v128 {
  return count < 4 ? loadPart(p, count) : v128.load(p)
}

/** act of up to four neighbouring elements, whose slope is stored where wanted. For the edges: `activate` is the fast way. */
function act4(v: v128, index: i32, count: i32): v128 {
  if (act == 2) return geluGrad4(v)
  if (slope != 0) {
    if (count < 4) storePart(slope + at(index), geluGrad4(v), count)
    else v128.store(slope + at(index), geluGrad4(v))
  }
  return gelu4(v)
}

/** alpha, bias, act with slope, gate, colScale, residual, accumulate on up to four neighbouring elements at row * n + column. */
// @ts-ignore: decorator
@inline
function finish(sum: v128, index: i32, column: i32, count: i32, acted: bool): void {
  let v = f32x4.mul(sum, splat(alpha))
  if (bias != 0) v = f32x4.add(v, get(bias + at(column), count))
  if (acted) v = act4(v, index, count)
  if (gate != 0) v = f32x4.mul(v, get(gate + at(index), count))
  if (colScale != 0) v = f32x4.mul(v, get(colScale + at(column), count))
  if (residual != 0) v = f32x4.add(v, get(residual + at(index), count))
  if (accumulate) v = f32x4.add(v, get(y + at(index), count))
  if (count < 4) storePart(y + at(index), v, count)
  else v128.store(y + at(index), v)
}

/**
 * The micro-kernel for a whole tile and a whole inner size, without act: finishes the sums without storing them first. With
 * gelu inside, V8 would keep the sums in memory.
 */
function microFinish(a: usize, b: usize, k: i32, index: i32, column: i32): void {
  // The first step stands before the loop, so that V8 keeps the addresses it shares with the others in registers, and the
  // pointers move before they are used, so that it takes them as they are: 20 instructions a step for 8 multiply-adds.
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
  finish(c00, index, column, 4, false)
  finish(c01, index + 4, column + 4, 4, false)
  index += width
  finish(c10, index, column, 4, false)
  finish(c11, index + 4, column + 4, 4, false)
  index += width
  finish(c20, index, column, 4, false)
  finish(c21, index + 4, column + 4, 4, false)
  index += width
  finish(c30, index, column, 4, false)
  finish(c31, index + 4, column + 4, 4, false)
}

/** A whole tile through act: as `finish`, with the vectors taken four at a time. */
function activate(tile: usize, index: i32, column: i32): void {
  const slopes = spare + 128
  const factor = splat(alpha)
  const b0 = bias != 0 ? v128.load(bias + at(column)) : splat(0)
  const b1 = bias != 0 ? v128.load(bias + at(column), 16) : splat(0)
  let p = tile
  let place = at(index)
  for (let i = 0; i < 4; i++, p += 32, place += at(width)) {
    const v = f32x4.add(f32x4.mul(v128.load(p), factor), b0)
    const w = f32x4.add(f32x4.mul(v128.load(p, 16), factor), b1)
    v128.store(p, v)
    v128.store(p, w, 16)
  }
  if (act == 2) {
    geluGrad16(tile, tile, false, spare)
    geluGrad16(tile + 64, tile + 64, false, spare)
  } else if (slope != 0) {
    geluGrad16(tile, slopes, true, spare)
    geluGrad16(tile + 64, slopes + 64, true, spare)
  } else {
    gelu16(tile, spare)
    gelu16(tile + 64, spare)
  }
  p = tile
  place = at(index)
  for (let i = 0; i < 4; i++, p += 32, place += at(width)) {
    let v = v128.load(p)
    let w = v128.load(p, 16)
    if (slope != 0) {
      const q = slopes + (p - tile)
      v128.store(slope + place, v128.load(q))
      v128.store(slope + place, v128.load(q, 16), 16)
    }
    if (colScale != 0) {
      v = f32x4.mul(v, v128.load(colScale + at(column)))
      w = f32x4.mul(w, v128.load(colScale + at(column), 16))
    }
    if (residual != 0) {
      v = f32x4.add(v, v128.load(residual + place))
      w = f32x4.add(w, v128.load(residual + place, 16))
    }
    if (accumulate) {
      v = f32x4.add(v, v128.load(y + place))
      w = f32x4.add(w, v128.load(y + place, 16))
    }
    v128.store(y + place, v)
    v128.store(y + place, w, 16)
  }
}

/** Finishes the tile whose first element is (row, column) of product `batch`. */
function epilogue(tile: usize, batch: i32, row: i32, column: i32): void {
  const height = min(4, rows - row)
  let index = (batch * rows + row) * width + column
  const left = width - column
  if (act != 0 && left >= 8 && height == 4) return activate(tile, index, column)
  if (left >= 8) {
    for (let i = 0; i < height; i++, index += width, tile += 32) {
      finish(v128.load(tile), index, column, 4, act != 0)
      finish(v128.load(tile, 16), index + 4, column + 4, 4, act != 0)
    }
    return
  }
  for (let i = 0; i < height; i++, index += width, tile += 32) {
    finish(v128.load(tile), index, column, min(4, left), act != 0)
    if (left > 4) finish(v128.load(tile, 16), index + 4, column + 4, left - 4, act != 0)
  }
}

/** Phase 0: B as [product][inner block][panel][k][8] in scratch. */
function pack(r: usize, threads: i32): void {
  const n = int(r, 12)
  const k = int(r, 13)
  const transposed = int(r, 15) != 0
  const strideB = int(r, 17)
  const products = strideB == 0 ? 1 : int(r, 10)
  const source = pointer(r, 4)
  const scale = pointer(r, 8)
  const out = pointer(r, SHARED)
  const panels = ceilDiv(n, 8)
  const depth = blockDepth(k)
  const blocks = ceilDiv(k, depth)
  const units = products * blocks * panels
  const step = ceilDiv(units, threads == 1 ? 1 : 8 * threads)
  for (;;) {
    let u = take(r) * step
    if (u >= units) return
    const end = min(units, u + step)
    while (u < end) {
      const panel = u % panels
      const block = (u / panels) % blocks
      const product = u / panels / blocks
      const to = min(panels, panel + end - u)
      const k0 = block * depth
      const from = source + at(product * strideB) + (transposed ? at(k0) : at(k0 * n))
      const target = out + at((product * k + k0) * panels * 8)
      const kc = min(depth, k - k0)
      packB(from, transposed ? k : n, kc, n, transposed, target, panel, to)
      if (scale != 0) scalePanels(target + at(panel * 8 * kc), to - panel, kc, scale + at(k0))
      u += to - panel
    }
  }
}

/** Phase 1; scratch of a thread: A panels [16][depth][4], 64 spare numbers, tiles. The threads take blocks of rows and columns. */
function multiply(r: usize, thread: i32, threads: i32): void {
  y = pointer(r, 1)
  slope = pointer(r, 2)
  bias = pointer(r, 5)
  colScale = pointer(r, 6)
  residual = pointer(r, 7)
  gate = pointer(r, 9)
  rows = int(r, 11)
  width = int(r, 12)
  alpha = float(r, 18)
  act = int(r, 19)
  accumulate = int(r, 20) != 0
  const a = pointer(r, 3)
  const k = int(r, 13)
  const transposed = int(r, 14) != 0
  const strideA = int(r, 16)
  const strideB = int(r, 17)
  const panels = ceilDiv(width, 8)
  const rowPanels = ceilDiv(rows, 4)
  const products = int(r, 10)
  const depth = blockDepth(k)

  // Blocks of rows and columns, enough for a slow thread to hold up the others by little, and long enough to be worth taking.
  const enough = threads == 1 ? 1 : 16 * threads
  let tall = ROWS
  while (tall > 8 && products * ceilDiv(rowPanels, tall) < enough) tall >>= 1
  const down = ceilDiv(rowPanels, tall)
  let wide = min(COLUMNS, panels)
  while (wide > 16 && products * down * ceilDiv(panels, wide) < enough && <i64>min(tall, rowPanels) * wide * k > LONG) {
    wide = ceilDiv(wide, 2)
  }
  const across = ceilDiv(panels, wide)
  const units = products * down * across

  const packed = pointer(r, SHARED)
  const mine = own(r, thread)
  spare = mine + at(ROWS * 4 * depth)
  const tiles = spare + 256
  const tileStep: usize = depth < k ? 128 : 0 // partial sums outlive a block only when more follow
  const fuse = depth >= k && act == 0
  const ld = transposed ? rows : k
  for (let u = take(r); u < units; u = take(r)) {
    const block = u / across
    const batch = block / down
    const p0 = (block % down) * tall
    const p1 = min(rowPanels, p0 + tall)
    const c0 = (u % across) * wide
    const c1 = min(panels, c0 + wide)
    const row = p0 * 4
    const height = min(rows, p1 * 4) - row
    const source = a + at(batch * strideA)
    const base = packed + (strideB == 0 ? 0 : at(batch * k * panels * 8))
    let k0 = 0
    do {
      const kc = min(depth, k - k0)
      const last = k0 + kc >= k
      packA(source + (transposed ? at(k0 * ld + row) : at(row * ld + k0)), ld, height, kc, transposed, mine)
      let b = base + at(k0 * panels * 8 + c0 * 8 * kc)
      let tile = tiles
      for (let c = c0; c < c1; c++, b += at(8 * kc)) {
        let p = mine
        for (let i = p0; i < p1; i++, p += at(4 * kc), tile += tileStep) {
          if (fuse && i * 4 + 4 <= rows && c * 8 + 8 <= width) {
            microFinish(p, b, kc, (batch * rows + i * 4) * width + c * 8, c * 8)
            continue
          }
          micro(p, b, kc, tile, k0 == 0)
          if (last) epilogue(tile, batch, i * 4, c * 8)
        }
      }
      k0 += kc
    } while (k0 < k)
  }
}

export function matmul(r: usize, thread: i32, threads: i32): void {
  if (int(r, PHASE) == 0) pack(r, threads)
  else multiply(r, thread, threads)
}
