// y = residual + colScale gate act(alpha aScale bScale A B + bias) of codes of 8 bits: as matmul.ts, with exact integers for sums.
// Which of three kinds of panel (codes.ts) multiplies them is the command's; it changes no bit.
import { addCodes, DOT, lessOffset, turnCodes, widenPanel, widenRow } from './codes'
import { beginEpilogue, epilogue } from './epilogue'
import { at, ceilDiv, loadPart, splat } from './math'
import { HEIGHT, packA, packEight } from './panels'
import { float, int, KIND, own, PHASE, pointer, SHARED, take } from './record'
import { c0, c1, cutUnits, openUnit, p0, p1, ROWS } from './units'

/** Most steps of an inner block: sums of so many products are exact in f32, and a panel of A stays in the first-level cache. */
const DEPTH = 512

/** Words of an inner block: equal blocks of at most DEPTH steps. */
// @ts-ignore: decorator
@inline
function blockWords(words: i32, kind: i32): i32 {
  return max(1, ceilDiv(words, max(1, ceilDiv(words, DEPTH >> (2 - kind)))))
}

/** Panels of 8 columns that a panel of rows meets before the next one's turn: 128 KiB, as in matmul.ts. */
// @ts-ignore: decorator
@inline
function panelsAcross(steps: i32): i32 {
  return max(8, 4096 / steps)
}

/** Phase 0: B as [inner block][panel][steps][8] in scratch. */
function pack(r: usize, thread: i32, threads: i32): void {
  const kind = int(r, KIND)
  const n = int(r, 12)
  const k = int(r, 13)
  const transposed = int(r, 14) != 0
  const source = pointer(r, 5)
  const out = pointer(r, SHARED)
  const mine = own(r, thread)
  const words = ceilDiv(k, 4)
  const depth = blockWords(words, kind)
  const panels = ceilDiv(n, 8)
  const units = ceilDiv(words, depth) * panels
  const step = ceilDiv(units, threads == 1 ? 1 : 8 * threads)
  const row = (<usize>n + 3) & -4
  for (;;) {
    let u = take(r) * step
    if (u >= units) return
    for (const end = min(units, u + step); u < end; u++) {
      const j = u % panels
      const w0 = (u / panels) * depth
      const count = min(depth, words - w0)
      if (transposed) {
        const first = source + at(j * 8 * words + w0)
        packEight(first, words, count, min(8, n - j * 8), mine + 32)
      } else {
        const from = source + 4 * w0 * row + 8 * j
        turnCodes(from, row, min(4 * count, k - 4 * w0), min(8, <i32>row - 8 * j), mine + 32, mine)
      }
      widenPanel(mine + 32, count, kind, out + ((at(8 * w0 * panels) + at(8 * j * count)) << (2 - kind)))
    }
  }
}

/** Packs the codes of m rows from word w0 on as panels of HEIGHT rows; scratch `wide` of a panel's rows. */
function packRows(source: usize, ld: i32, m: i32, words: i32, kind: i32, out: usize, less: usize, wide: usize): void {
  if (kind == DOT) {
    packA(source, ld, m, words, false, out)
    for (let i = 0; i < m; i++) store<i32>(less + at(i), lessOffset(source + at(i * ld), words))
    return
  }
  const steps = words << (2 - kind)
  for (let i = 0; i < m; i += HEIGHT, out += at(HEIGHT * steps)) {
    const rows = min(HEIGHT, m - i)
    for (let j = 0; j < rows; j++) widenRow(source + at((i + j) * ld), words, kind, wide + at(j * steps))
    packA(wide, steps, rows, steps, false, out)
  }
}

/** A tile's integers as f32, times the scales of `rows` rows and of 8 columns. */
function scaleTile(tile: usize, rows: i32, aScale: usize, s: v128, t: v128): void {
  for (const end = tile + 32 * rows; tile < end; tile += 32, aScale += 4) {
    const a = v128.load_splat<f32>(aScale)
    v128.store(tile, f32x4.mul(f32x4.mul(f32x4.convert_i32x4_s(v128.load(tile)), a), s))
    v128.store(tile, f32x4.mul(f32x4.mul(f32x4.convert_i32x4_s(v128.load(tile, 16)), a), t), 16)
  }
}

/** Up to four scales, of which `left` are there; 1 where none are given. */
// @ts-ignore: decorator
@inline
function scales(from: usize, column: i32, left: i32): v128 {
  if (from == 0) return splat(1)
  if (left >= 4) return v128.load(from + at(column))
  return left > 0 ? loadPart(from + at(column), left) : splat(0)
}

/** Phase 1; scratch of a thread: 128 spare numbers, 128 by row, A panels [16][steps][HEIGHT], a panel's rows, tiles. */
function multiply(r: usize, thread: i32, threads: i32): void {
  const kind = int(r, KIND)
  const a = pointer(r, 3)
  const aScale = pointer(r, 4)
  const bScale = pointer(r, 6)
  const m = int(r, 11)
  const n = int(r, 12)
  const words = ceilDiv(int(r, 13), 4)
  const panels = ceilDiv(n, 8)
  const depth = blockWords(words, kind)
  const shift = 2 - kind
  const group = panelsAcross(depth << shift)
  const packed = pointer(r, SHARED)
  const spare = own(r, thread)
  const less = spare + 512
  const mine = less + 512
  const wide = mine + at(ROWS * HEIGHT * (depth << shift))
  const tiles = wide + (kind == DOT ? 0 : at(HEIGHT * (depth << shift)))
  const tileStep: usize = depth < words ? 32 * HEIGHT : 0 // partial sums outlive a block only when more follow
  beginEpilogue(
    pointer(r, 1),
    pointer(r, 2),
    pointer(r, 7),
    pointer(r, 8),
    pointer(r, 9),
    pointer(r, 10),
    m,
    n,
    float(r, 15),
    int(r, 16),
    int(r, 17) != 0,
    spare,
  )
  const units = cutUnits(1, ceilDiv(m, HEIGHT), panels, 8, words << shift, threads)
  for (let u = take(r); u < units; u = take(r)) {
    openUnit(u)
    const row = p0 * HEIGHT
    const height = min(m, p1 * HEIGHT) - row
    let w0 = 0
    do {
      const count = min(depth, words - w0)
      const steps = count << shift
      const last = w0 + count >= words
      packRows(a + at(row * words + w0), words, height, count, kind, mine, less, wide)
      let b = packed + (at(w0 * panels * 8 + c0 * 8 * count) << shift)
      let tile = tiles
      for (let c = c0; c < c1; c += group, b += at(group * 8 * steps)) {
        const stop = min(c1, c + group)
        let p = mine
        for (let i = p0; i < p1; i++, p += at(HEIGHT * steps)) {
          let q = b
          for (let j = c; j < stop; j++, q += at(8 * steps), tile += tileStep) {
            addCodes(p, q, steps, tile, w0 == 0, spare, kind, less + at((i - p0) * HEIGHT))
            if (!last) continue
            const first = i * HEIGHT
            const left = n - j * 8
            scaleTile(
              tile,
              min(HEIGHT, m - first),
              aScale + at(first),
              scales(bScale, j * 8, left),
              scales(bScale, j * 8 + 4, left - 4),
            )
            epilogue(tile, 32, 0, first, j * 8, HEIGHT)
          }
        }
      }
      w0 += count
    } while (w0 < words)
  }
}

export function matmulI8(r: usize, thread: i32, threads: i32): void {
  if (int(r, PHASE) == 0) pack(r, thread, threads)
  else multiply(r, thread, threads)
}
