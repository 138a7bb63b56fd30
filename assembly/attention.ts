// Softmax(scale Q K^T) V by (sample, head), and its gradient. Scores live in a thread's scratch, a block of query rows
// at a time. forward: parallel over (sample, head) or (sample, head, row block). backward: over (sample, head); P is recomputed.
// Packed layouts and the micro-kernel are those of panels.ts; accumulation in f32.
import { at, ceilDiv, expNegative16, expNegative4, log4, madd, share, splat, storePart, sumLanes } from './math'
import { micro, packA, packB, storeTransposed } from './panels'
import { float, int, pointer, own, take } from './record'

/** Most panels of 8 query rows in a block. */
const FORWARD_PANELS = 4

/** The same for the gradient: as many as keep a block of scores in the second-level cache. */
// @ts-ignore: decorator
@inline
function backwardPanels(keys: i32): i32 {
  return min(32, max(16, 8192 / keys))
}

/** Stores a finished tile as `height` rows of `left` columns of a matrix with row length ld. */
function storeTile(tile: usize, out: usize, ld: i32, height: i32, left: i32): void {
  for (let i = 0; i < height; i++, tile += 32, out += at(ld)) {
    const v = v128.load(tile)
    if (left < 4) {
      storePart(out, v, left)
      continue
    }
    v128.store(out, v)
    const w = v128.load(tile, 16)
    if (left >= 8) v128.store(out, w, 16)
    else if (left > 4) storePart(out + 16, w, left - 4)
  }
}

/** Sum of a[i] b[i] over n. */
function dot(a: usize, b: usize, n: i32): f32 {
  let s = splat(0)
  let t = s
  let i = 0
  for (; i + 8 <= n; i += 8, a += 32, b += 32) {
    s = madd(v128.load(a), v128.load(b), s)
    t = madd(v128.load(a, 16), v128.load(b, 16), t)
  }
  let sum = sumLanes(f32x4.add(s, t))
  for (; i < n; i++, a += 4, b += 4) sum += load<f32>(a) * load<f32>(b)
  return sum
}

/** Multiplies n numbers (a multiple of 4) in place. */
function scaleAll(p: usize, n: i32, scale: v128): void {
  for (const end = p + at(n); p < end; p += 16) v128.store(p, f32x4.mul(v128.load(p), scale))
}

/**
 * Softmax over the keys of 8 query rows, scores [key][8 rows]: leaves e^(score - top) there, 1 / sum of each row at sums and
 * top + log sum in lse.
 */
function softmaxRows(scores: usize, n: i32, sums: usize, lse: usize, height: i32): void {
  const stop = scores + at(8 * n)
  let a = v128.load(scores)
  let b = v128.load(scores, 16)
  let c = a
  let d = b
  let q = scores
  for (; q + 64 <= stop; q += 64) {
    a = f32x4.pmax(a, v128.load(q))
    b = f32x4.pmax(b, v128.load(q, 16))
    c = f32x4.pmax(c, v128.load(q, 32))
    d = f32x4.pmax(d, v128.load(q, 48))
  }
  if (q < stop) {
    a = f32x4.pmax(a, v128.load(q))
    b = f32x4.pmax(b, v128.load(q, 16))
  }
  const top0 = f32x4.pmax(a, c)
  const top1 = f32x4.pmax(b, d)
  a = splat(0)
  b = a
  c = a
  d = a
  for (q = scores; q + 64 <= stop; q += 64) {
    v128.store(q, f32x4.sub(v128.load(q), top0))
    v128.store(q, f32x4.sub(v128.load(q, 16), top1), 16)
    v128.store(q, f32x4.sub(v128.load(q, 32), top0), 32)
    v128.store(q, f32x4.sub(v128.load(q, 48), top1), 48)
    expNegative16(q)
    a = f32x4.add(a, v128.load(q))
    b = f32x4.add(b, v128.load(q, 16))
    c = f32x4.add(c, v128.load(q, 32))
    d = f32x4.add(d, v128.load(q, 48))
  }
  if (q < stop) {
    const e0 = expNegative4(f32x4.sub(v128.load(q), top0))
    const e1 = expNegative4(f32x4.sub(v128.load(q, 16), top1))
    v128.store(q, e0)
    v128.store(q, e1, 16)
    a = f32x4.add(a, e0)
    b = f32x4.add(b, e1)
  }
  a = f32x4.add(a, c)
  b = f32x4.add(b, d)
  v128.store(sums, f32x4.div(splat(1), a))
  v128.store(sums, f32x4.div(splat(1), b), 16)
  if (lse == 0) return
  const l0 = f32x4.add(top0, log4(a))
  if (height < 4) return storePart(lse, l0, height)
  v128.store(lse, l0)
  const l1 = f32x4.add(top1, log4(b))
  if (height >= 8) v128.store(lse, l1, 16)
  else if (height > 4) storePart(lse + 16, l1, height - 4)
}

/** Stores a tile (4 columns, 8 rows), each row times its factor, as `height` rows of `left` columns. */
function storeTurned(tile: usize, factors: usize, out: usize, ld: i32, height: i32, left: i32): void {
  const f0 = v128.load(factors)
  const f1 = v128.load(factors, 16)
  if (height >= 8 && left >= 4) {
    const a = f32x4.mul(v128.load(tile), f0)
    const b = f32x4.mul(v128.load(tile, 32), f0)
    const c = f32x4.mul(v128.load(tile, 64), f0)
    storeTransposed(a, b, c, f32x4.mul(v128.load(tile, 96), f0), out, at(ld))
    const e = f32x4.mul(v128.load(tile, 16), f1)
    const f = f32x4.mul(v128.load(tile, 48), f1)
    const g = f32x4.mul(v128.load(tile, 80), f1)
    storeTransposed(e, f, g, f32x4.mul(v128.load(tile, 112), f1), out + at(4 * ld), at(ld))
    return
  }
  for (let row = 0; row < min(8, height); row++) {
    const factor = load<f32>(factors + at(row))
    for (let column = 0; column < min(4, left); column++) {
      store<f32>(out + at(row * ld + column), factor * load<f32>(tile + at(8 * column + row)))
    }
  }
}

/**
 * Everything is held turned, 8 query rows side by side: scores come out of the micro-kernel as the product with V takes
 * them. Scratch a thread: K panels, V panels, Q panels, scores, sums, one tile.
 */
export function attention(r: usize, thread: i32, threads: i32): void {
  const lse = pointer(r, 2)
  const n = int(r, 7)
  const heads = int(r, 8)
  const d = int(r, 9)
  const scale = splat(float(r, 10))
  const ld = heads * d
  const keyPanels = ceilDiv(n, 4)
  const depthPanels = ceilDiv(d, 4)
  const queryPanels = ceilDiv(n, 8)
  const blocks = ceilDiv(queryPanels, FORWARD_PANELS)

  const packedK = own(r, thread) // [panel][d][4 keys]
  const packedV = packedK + at(keyPanels * 4 * d) // [panel][n][4 columns]
  const packedQ = packedV + at(depthPanels * 4 * n) // [panel][d][8 rows]
  const scores = packedQ + at(FORWARD_PANELS * 8 * d) // [panel][key][8 rows]
  const scoreStep = at(keyPanels * 32)
  const sums = scores + <usize>FORWARD_PANELS * scoreStep
  const tile = sums + FORWARD_PANELS * 32

  // Whole heads where there are many, so that each is packed once.
  const all = int(r, 6) * heads
  const step = threads == 1 || all >= 8 * threads ? blocks : 1
  const units = all * blocks
  let packed = -1
  for (let first = take(r) * step; first < units; first = take(r) * step) {
    for (let u = first; u < first + step; u++) {
      const head = u / blocks // over samples and heads
      const base = at((head / heads) * n * ld + (head % heads) * d)
      if (head != packed) {
        packA(pointer(r, 4) + base, ld, n, d, false, 4, packedK)
        packA(pointer(r, 5) + base, ld, d, n, true, 4, packedV)
        packed = head
      }
      const p0 = share(queryPanels, u % blocks, blocks)
      const panels = share(queryPanels, (u % blocks) + 1, blocks) - p0
      const row = p0 * 8
      const height = min(n, (p0 + panels) * 8) - row
      packB(pointer(r, 3) + base + at(row * ld), ld, d, height, true, packedQ, 0, panels)
      // scale may be negative, so it comes before the maximum.
      scaleAll(packedQ, panels * 8 * d, scale)
      for (let j = 0; j < keyPanels; j++) {
        const a = packedK + at(j * 4 * d)
        const out = scores + ((<usize>j) << 7)
        for (let p = 0; p < panels; p++) micro(a, packedQ + at(p * 8 * d), d, out + <usize>p * scoreStep, true)
      }
      for (let p = 0; p < panels; p++) {
        const i = row + p * 8
        softmaxRows(scores + <usize>p * scoreStep, n, sums + p * 32, lse == 0 ? 0 : lse + at(head * n + i), n - i)
      }
      const o = pointer(r, 1) + base + at(row * ld)
      for (let j = 0; j < depthPanels; j++) {
        const a = packedV + at(j * 4 * n)
        for (let p = 0; p < panels; p++) {
          micro(a, scores + <usize>p * scoreStep, n, tile, true)
          storeTurned(tile, sums + p * 32, o + at(p * 8 * ld + j * 4), ld, height - p * 8, d - j * 4)
        }
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
  for (let head = take(r); head < units; head = take(r)) {
    const base = at((head / heads) * n * ld + (head % heads) * d)
    const lse = pointer(r, 9) + at(head * n)
    packB(pointer(r, 6) + base, ld, d, n, true, keysByScore, 0, keyPanels)
    packB(pointer(r, 7) + base, ld, d, n, true, valuesByScore, 0, keyPanels)
    if (dq != 0) {
      packB(pointer(r, 6) + base, ld, n, d, false, keysByDepth, 0, depthPanels)
      scaleAll(keysByDepth, depthPanels * 8 * n, scale)
    }
    for (let block = 0; block < blocks; block++) {
      const p0 = share(queryPanels, block, blocks)
      const panels = share(queryPanels, block + 1, blocks) - p0
      const row = p0 * 4
      const height = min(n, (p0 + panels) * 4) - row
      const from = base + at(row * ld)
      const query = pointer(r, 5) + from
      const dOut = pointer(r, 4) + from
      packA(query, ld, height, d, false, 4, rowsQ)
      scaleAll(rowsQ, panels * 4 * d, scale)
      packA(dOut, ld, height, d, false, 4, rowsO)
      if (dk != 0) {
        packB(query, ld, height, d, false, panelsQ, 0, depthPanels)
        scaleAll(panelsQ, depthPanels * 8 * height, scale)
      }
      if (dv != 0) packB(dOut, ld, height, d, false, panelsO, 0, depthPanels)
      for (let i = 0; i < height; i++) {
        const place = at(i * ld)
        store<f32>(deltas + at(i), dot(pointer(r, 8) + from + place, dOut + place, d))
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
            const a = expNegative4(f32x4.sub(v128.load(t), l))
            const b = expNegative4(f32x4.sub(v128.load(t, 16), l))
            const sa = f32x4.mul(a, f32x4.sub(v128.load(g), delta))
            const sb = f32x4.mul(b, f32x4.sub(v128.load(g, 16), delta))
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
            storeTile(tile, dq + from + at(p * 4 * ld + j * 8), ld, min(4, height - p * 4), left)
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
        if (dk != 0) storeTile(tilesK + t, dk + out, ld, tall, left)
        if (dv != 0) storeTile(tilesV + t, dv + out, ld, tall, left)
      }
    }
  }
}
