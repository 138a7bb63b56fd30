// Softmax(scale Q K^T) V by (sample, head), and its gradient. Scores live in a thread's scratch, a block of query rows
// at a time. forward: parallel over (sample, head, row block). backward: parallel over (sample, head); P is recomputed.
// Packed layouts and the micro-kernel are those of matmul.ts; accumulation in f32.
import { at, ceilDiv, expNegative4, log4, madd, share, splat, storePart } from './math'
import { micro, packA, packB, storeTransposed } from './matmul'
import { float, int, pointer, own } from './record'

/** Most panels of 4 query rows in a block. */
const FORWARD_PANELS = 8

/** The same for the gradient: as many as keep a block of scores in the second-level cache. */
// @ts-ignore: decorator
@inline
function backwardPanels(keys: i32): i32 {
  return min(32, max(16, 8192 / keys))
}

/** Stores a finished tile times per-row factors at (row, column) of a matrix with row length ld. */
function storeTile(tile: usize, out: usize, ld: i32, height: i32, left: i32, f0: f32, f1: f32, f2: f32, f3: f32): void {
  for (let i = 0; i < height; i++, tile += 32, out += at(ld)) {
    const f = splat(i == 0 ? f0 : i == 1 ? f1 : i == 2 ? f2 : f3)
    const v = f32x4.mul(v128.load(tile), f)
    if (left < 4) {
      storePart(out, v, left)
      continue
    }
    v128.store(out, v)
    const w = f32x4.mul(v128.load(tile, 16), f)
    if (left >= 8) v128.store(out, w, 16)
    else if (left > 4) storePart(out + 16, w, left - 4)
  }
}

/** Scratch a thread: K panels, V panels, Q rows, scores, one tile. */
export function attention(r: usize, thread: i32, threads: i32): void {
  const lse = pointer(r, 2)
  const n = int(r, 7)
  const heads = int(r, 8)
  const d = int(r, 9)
  const scale = splat(float(r, 10))
  const ld = heads * d
  const keyPanels = ceilDiv(n, 8)
  const depthPanels = ceilDiv(d, 8)
  const queryPanels = ceilDiv(n, 4)
  const blocks = ceilDiv(queryPanels, FORWARD_PANELS)

  const packedK = own(r, thread)
  const packedV = packedK + at(keyPanels * 8 * d)
  const packedQ = packedV + at(depthPanels * 8 * n)
  const scores = packedQ + at(FORWARD_PANELS * 4 * d)
  const scoreStep = at(keyPanels * 32)
  const sums = scores + <usize>FORWARD_PANELS * scoreStep
  const tile = sums + FORWARD_PANELS * 16

  const units = int(r, 6) * heads * blocks
  const end = share(units, thread + 1, threads)
  let packed = -1
  for (let u = share(units, thread, threads); u < end; u++) {
    const head = u / blocks // over samples and heads
    const base = at((head / heads) * n * ld + (head % heads) * d)
    if (head != packed) {
      packB(pointer(r, 4) + base, ld, d, n, true, packedK, 0, keyPanels)
      packB(pointer(r, 5) + base, ld, n, d, false, packedV, 0, depthPanels)
      packed = head
    }
    const p0 = share(queryPanels, u % blocks, blocks)
    const panels = share(queryPanels, (u % blocks) + 1, blocks) - p0
    const row = p0 * 4
    const height = min(n, (p0 + panels) * 4) - row
    packA(pointer(r, 3) + base + at(row * ld), ld, height, d, false, packedQ)

    // Scores as [panel][key][4 rows], which is how the product with V wants them.
    for (let j = 0; j < keyPanels; j++) {
      const b = packedK + at(j * 8 * d)
      for (let p = 0; p < panels; p++) {
        micro(packedQ + at(p * 4 * d), b, d, tile, true)
        const out = scores + <usize>p * scoreStep + at(j * 32)
        storeTransposed(v128.load(tile), v128.load(tile, 32), v128.load(tile, 64), v128.load(tile, 96), out, 16)
        storeTransposed(
          v128.load(tile, 16),
          v128.load(tile, 48),
          v128.load(tile, 80),
          v128.load(tile, 112),
          out + 64,
          16,
        )
      }
    }
    for (let p = 0; p < panels; p++) {
      const s = scores + <usize>p * scoreStep
      const stop = s + at(4 * n)
      // scale may be negative, so it comes before the maximum.
      let top = f32x4.mul(v128.load(s), scale)
      for (let q = s + 16; q < stop; q += 16) top = f32x4.pmax(top, f32x4.mul(v128.load(q), scale))
      let sum = splat(0)
      for (let q = s; q < stop; q += 16) {
        const e = expNegative4(f32x4.sub(f32x4.mul(v128.load(q), scale), top))
        v128.store(q, e)
        sum = f32x4.add(sum, e)
      }
      v128.store(sums + p * 16, f32x4.div(splat(1), sum))
      if (lse != 0) {
        const i = row + p * 4
        const out = lse + at(head * n + i)
        const v = f32x4.add(top, log4(sum))
        if (n - i < 4) storePart(out, v, n - i)
        else v128.store(out, v)
      }
    }
    const o = pointer(r, 1) + base + at(row * ld)
    for (let j = 0; j < depthPanels; j++) {
      const b = packedV + at(j * 8 * n)
      for (let p = 0; p < panels; p++) {
        micro(scores + <usize>p * scoreStep, b, n, tile, true)
        const f = sums + p * 16
        const out = o + at(p * 4 * ld + j * 8)
        const tall = min(4, height - p * 4)
        storeTile(tile, out, ld, tall, d - j * 8, load<f32>(f), load<f32>(f, 4), load<f32>(f, 8), load<f32>(f, 12))
      }
    }
  }
}

/** Scratch a thread: see the layout at the top; transposed P and dS as [key panel of 4][query row][4]. */
export function attentionGrad(r: usize, thread: i32, threads: i32): void {
  const dq = pointer(r, 1)
  const dk = pointer(r, 2)
  const dv = pointer(r, 3)
  const n = int(r, 11)
  const heads = int(r, 12)
  const d = int(r, 13)
  const scale = splat(float(r, 14))
  const ld = heads * d
  const keyPanels = ceilDiv(n, 8)
  const depthPanels = ceilDiv(d, 8)
  const queryPanels = ceilDiv(n, 4)
  const most = backwardPanels(keyPanels * 8)
  const blocks = ceilDiv(queryPanels, most)
  const ROWS = most * 4

  // [key panels of 8][d][8] twice, [d panels][n][8], tiles of dK and dV, then what belongs to a block of rows.
  const keysByScore = own(r, thread)
  const valuesByScore = keysByScore + at(keyPanels * 8 * d)
  const keysByDepth = valuesByScore + at(keyPanels * 8 * d)
  const tilesK = keysByDepth + at(depthPanels * 8 * n)
  const tileBytes = at(depthPanels * keyPanels * 64)
  const tilesV = tilesK + tileBytes
  const rowsQ = tilesV + tileBytes
  const rowsO = rowsQ + at(ROWS * d)
  const panelsQ = rowsO + at(ROWS * d)
  const panelsO = panelsQ + at(ROWS * depthPanels * 8)
  const scoreStep = at(keyPanels * 32)
  const scores = panelsO + at(ROWS * depthPanels * 8) // dS as [panel][key][4 rows]
  const turned = at(keyPanels * 8 * ROWS)
  const turnedP = scores + <usize>most * scoreStep
  const turnedS = turnedP + turned
  const deltas = turnedS + turned
  const tile = deltas + at(ROWS)
  const tile2 = tile + 128

  const units = int(r, 10) * heads
  const end = share(units, thread + 1, threads)
  for (let head = share(units, thread, threads); head < end; head++) {
    const base = at((head / heads) * n * ld + (head % heads) * d)
    const lse = pointer(r, 9) + at(head * n)
    packB(pointer(r, 6) + base, ld, d, n, true, keysByScore, 0, keyPanels)
    packB(pointer(r, 7) + base, ld, d, n, true, valuesByScore, 0, keyPanels)
    if (dq != 0) packB(pointer(r, 6) + base, ld, n, d, false, keysByDepth, 0, depthPanels)
    for (let block = 0; block < blocks; block++) {
      const p0 = share(queryPanels, block, blocks)
      const panels = share(queryPanels, block + 1, blocks) - p0
      const row = p0 * 4
      const height = min(n, (p0 + panels) * 4) - row
      const from = base + at(row * ld)
      const query = pointer(r, 5) + from
      const dOut = pointer(r, 4) + from
      packA(query, ld, height, d, false, rowsQ)
      packA(dOut, ld, height, d, false, rowsO)
      if (dk != 0) packB(query, ld, height, d, false, panelsQ, 0, depthPanels)
      if (dv != 0) packB(dOut, ld, height, d, false, panelsO, 0, depthPanels)
      for (let i = 0; i < height; i++) {
        const o = pointer(r, 8) + from + at(i * ld)
        const g = dOut + at(i * ld)
        let s: f32 = 0
        for (let c = 0; c < d; c++) s += load<f32>(o + at(c)) * load<f32>(g + at(c))
        store<f32>(deltas + at(i), s)
      }
      const step = at(4 * height) // from one key panel to the next in the transposed blocks
      for (let j = 0; j < keyPanels; j++) {
        const bK = keysByScore + at(j * 8 * d)
        const bV = valuesByScore + at(j * 8 * d)
        for (let p = 0; p < panels; p++) {
          micro(rowsQ + at(p * 4 * d), bK, d, tile, true)
          micro(rowsO + at(p * 4 * d), bV, d, tile2, true)
          const tall = min(4, height - p * 4)
          const at0 = at(j * 2 * 4 * height + p * 16)
          for (let i = 0; i < tall; i++) {
            const t = tile + ((<usize>i) << 5)
            const g = tile2 + ((<usize>i) << 5)
            const l = v128.load_splat<f32>(lse + at(row + p * 4 + i))
            const delta = v128.load_splat<f32>(deltas + at(p * 4 + i))
            const a = expNegative4(f32x4.sub(f32x4.mul(v128.load(t), scale), l))
            const b = expNegative4(f32x4.sub(f32x4.mul(v128.load(t, 16), scale), l))
            const sa = f32x4.mul(f32x4.mul(a, f32x4.sub(v128.load(g), delta)), scale)
            const sb = f32x4.mul(f32x4.mul(b, f32x4.sub(v128.load(g, 16), delta)), scale)
            v128.store(t, sa)
            v128.store(t, sb, 16)
            const o = at0 + ((<usize>i) << 4)
            v128.store(turnedP + o, a)
            v128.store(turnedP + o + step, b)
            v128.store(turnedS + o, sa)
            v128.store(turnedS + o + step, sb)
          }
          if (dq != 0) {
            const out = scores + <usize>p * scoreStep + at(j * 32)
            storeTransposed(v128.load(tile), v128.load(tile, 32), v128.load(tile, 64), v128.load(tile, 96), out, 16)
            storeTransposed(
              v128.load(tile, 16),
              v128.load(tile, 48),
              v128.load(tile, 80),
              v128.load(tile, 112),
              out + 64,
              16,
            )
          }
        }
      }
      for (let j = 0; j < depthPanels; j++) {
        const left = d - j * 8
        if (dq != 0) {
          const b = keysByDepth + at(j * 8 * n)
          for (let p = 0; p < panels; p++) {
            micro(scores + <usize>p * scoreStep, b, n, tile, true)
            storeTile(tile, dq + from + at(p * 4 * ld + j * 8), ld, min(4, height - p * 4), left, 1, 1, 1, 1)
          }
        }
        const offset = at(j * keyPanels * 64)
        if (dk != 0) {
          const b = panelsQ + at(j * 8 * height)
          for (let p = 0; p < keyPanels * 2; p++)
            micro(turnedS + <usize>p * step, b, height, tilesK + offset + p * 128, block == 0)
        }
        if (dv != 0) {
          const b = panelsO + at(j * 8 * height)
          for (let p = 0; p < keyPanels * 2; p++)
            micro(turnedP + <usize>p * step, b, height, tilesV + offset + p * 128, block == 0)
        }
      }
    }
    for (let j = 0; j < depthPanels; j++) {
      const left = d - j * 8
      for (let p = 0; p < queryPanels; p++) {
        const t = at(j * keyPanels * 64 + p * 32)
        const out = base + at(p * 4 * ld + j * 8)
        const tall = min(4, n - p * 4)
        if (dk != 0) storeTile(tilesK + t, dk + out, ld, tall, left, 1, 1, 1, 1)
        if (dv != 0) storeTile(tilesV + t, dv + out, ld, tall, left, 1, 1, 1, 1)
      }
    }
  }
}
