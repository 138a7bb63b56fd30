// Softmax(scale Q K^T) V by (sample, head), and its gradient. Scores live in a thread's scratch, a block of query rows
// at a time. forward: parallel over (sample, head) or (sample, head, row block). backward: over (sample, head); P is recomputed.
// Packed layouts and the micro-kernel are those of panels.ts; accumulation in f32.
import { at, ceilDiv, expNegative16, expNegative4, log4, madd, share, splat, storePart, sumLanes } from './math'
import { addPanels, HEIGHT, multiplyPanels, packA, packB, storeTurned } from './panels'
import { float, int, pointer, own, take } from './record'

/** Most panels of 8 query rows in a block. */
const FORWARD_PANELS = 4
/** Bytes of a tile, with the room that expNegative16 takes beyond one of 5 rows. */
const TILE: usize = 192

/** Most panels for the gradient: as many as keep a block of scores in the second-level cache. */
// @ts-ignore: decorator
@inline
function backwardPanels(keys: i32): i32 {
  return min(16, max(8, 4096 / keys))
}

/** Stores a tile as `height` rows of `left` columns of a matrix with row length ld. */
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

/** Stores a tile of HEIGHT columns of 8 rows, each row times its factor, as `height` rows of `left` columns. */
function storeRows(tile: usize, factors: usize, out: usize, ld: i32, height: i32, left: i32): void {
  const f0 = v128.load(factors)
  const f1 = v128.load(factors, 16)
  for (let t = tile; t < tile + 32 * HEIGHT; t += 32) {
    v128.store(t, f32x4.mul(v128.load(t), f0))
    v128.store(t, f32x4.mul(v128.load(t, 16), f1), 16)
  }
  if (height >= 8 && left >= HEIGHT) return storeTurned(tile, out, at(ld))
  for (let row = 0; row < min(8, height); row++) {
    for (let column = 0; column < min(HEIGHT, left); column++) {
      store<f32>(out + at(row * ld + column), load<f32>(tile + at(8 * column + row)))
    }
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
  const keyPanels = ceilDiv(n, HEIGHT)
  const depthPanels = ceilDiv(d, HEIGHT)
  const queryPanels = ceilDiv(n, 8)
  const blocks = ceilDiv(queryPanels, FORWARD_PANELS)

  const packedK = own(r, thread) // [panel][d][HEIGHT keys]
  const packedV = packedK + at(keyPanels * HEIGHT * d) // [panel][n][HEIGHT columns]
  const packedQ = packedV + at(depthPanels * HEIGHT * n) // [panel][d][8 rows]
  const scores = packedQ + at(FORWARD_PANELS * 8 * d) // [panel][key][8 rows]
  const scoreStep = at(keyPanels * HEIGHT * 8)
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
        packA(pointer(r, 4) + base, ld, n, d, false, packedK)
        packA(pointer(r, 5) + base, ld, d, n, true, packedV)
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
        const a = packedK + at(j * HEIGHT * d)
        const out = scores + at(j * HEIGHT * 8)
        for (let p = 0; p < panels; p++) multiplyPanels(a, packedQ + at(p * 8 * d), d, out + <usize>p * scoreStep)
      }
      for (let p = 0; p < panels; p++) {
        const i = row + p * 8
        softmaxRows(scores + <usize>p * scoreStep, n, sums + p * 32, lse == 0 ? 0 : lse + at(head * n + i), n - i)
      }
      const o = pointer(r, 1) + base + at(row * ld)
      for (let j = 0; j < depthPanels; j++) {
        const a = packedV + at(j * HEIGHT * n)
        for (let p = 0; p < panels; p++) {
          multiplyPanels(a, scores + <usize>p * scoreStep, n, tile)
          storeRows(tile, sums + p * 32, o + at(p * 8 * ld + j * HEIGHT), ld, height - p * 8, d - j * HEIGHT)
        }
      }
    }
  }
}

/**
 * Scores and their gradients come as tiles of HEIGHT keys by 8 query rows: as they are for dQ, turned for dK and dV. Scratch a
 * thread: K panels twice and V panels, tiles of dK and dV, then what belongs to a block of query rows.
 */
export function attentionGrad(r: usize, thread: i32, threads: i32): void {
  const dq = pointer(r, 1)
  const dk = pointer(r, 2)
  const dv = pointer(r, 3)
  const n = int(r, 11)
  const heads = int(r, 12)
  const d = int(r, 13)
  const scale = splat(float(r, 14))
  const ld = heads * d
  const keyPanels = ceilDiv(n, HEIGHT)
  const columnPanels = ceilDiv(d, HEIGHT)
  const depthPanels = ceilDiv(d, 8)
  const queryPanels = ceilDiv(n, 8)
  const most = backwardPanels(n)
  const blocks = ceilDiv(queryPanels, most)
  const ROWS = most * 8

  const keysByScore = own(r, thread) // [key panel][d][HEIGHT]
  const valuesByScore = keysByScore + at(keyPanels * HEIGHT * d)
  const keysByDepth = valuesByScore + at(keyPanels * HEIGHT * d) // [column panel][key][HEIGHT]
  const tilesK = keysByDepth + at(columnPanels * HEIGHT * n) // [depth panel][key panel] tiles
  const tileBytes = at(depthPanels * keyPanels * HEIGHT * 8)
  const tilesV = tilesK + tileBytes
  const byScoreQ = tilesV + tileBytes // [query panel][d][8]
  const byScoreO = byScoreQ + at(ROWS * d)
  const byDepthQ = byScoreO + at(ROWS * d) // [depth panel][query][8]
  const byDepthO = byDepthQ + at(ROWS * depthPanels * 8)
  const scores = byDepthO + at(ROWS * depthPanels * 8) // dS as [query panel][key][8]
  const scoreStep = at(keyPanels * HEIGHT * 8)
  const turnedP = scores + <usize>most * scoreStep // [key panel][query][HEIGHT]
  const turnedS = turnedP + at(keyPanels * HEIGHT * ROWS)
  const tops = turnedS + at(keyPanels * HEIGHT * ROWS) // of each query: log-sum-exp
  const deltas = tops + at(ROWS) // and dO O
  const factors = deltas + at(ROWS)
  const tile = factors + 32
  const tile2 = tile + TILE

  const units = int(r, 10) * heads
  for (let head = take(r); head < units; head = take(r)) {
    const base = at((head / heads) * n * ld + (head % heads) * d)
    const lse = pointer(r, 9) + at(head * n)
    packA(pointer(r, 6) + base, ld, n, d, false, keysByScore)
    packA(pointer(r, 7) + base, ld, n, d, false, valuesByScore)
    if (dq != 0) packA(pointer(r, 6) + base, ld, d, n, true, keysByDepth)
    v128.store(factors, scale)
    v128.store(factors, scale, 16)
    for (let block = 0; block < blocks; block++) {
      const p0 = share(queryPanels, block, blocks)
      const panels = share(queryPanels, block + 1, blocks) - p0
      const row = p0 * 8
      const height = min(n, (p0 + panels) * 8) - row
      const from = base + at(row * ld)
      const query = pointer(r, 5) + from
      const dOut = pointer(r, 4) + from
      packB(query, ld, d, height, true, byScoreQ, 0, panels)
      scaleAll(byScoreQ, panels * 8 * d, scale)
      packB(dOut, ld, d, height, true, byScoreO, 0, panels)
      if (dk != 0) {
        packB(query, ld, height, d, false, byDepthQ, 0, depthPanels)
        scaleAll(byDepthQ, depthPanels * 8 * height, scale)
      }
      if (dv != 0) packB(dOut, ld, height, d, false, byDepthO, 0, depthPanels)
      for (let i = 0; i < panels * 8; i++) {
        const o = at(i * ld)
        store<f32>(tops + at(i), i < height ? load<f32>(lse + at(row + i)) : 0)
        store<f32>(deltas + at(i), i < height ? dot(pointer(r, 8) + from + o, dOut + o, d) : 0)
      }
      const step = at(HEIGHT * 8 * panels) // from one key panel to the next where turned
      for (let j = 0; j < keyPanels; j++) {
        const keys = keysByScore + at(j * HEIGHT * d)
        const values = valuesByScore + at(j * HEIGHT * d)
        for (let p = 0; p < panels; p++) {
          multiplyPanels(keys, byScoreQ + at(p * 8 * d), d, tile)
          multiplyPanels(values, byScoreO + at(p * 8 * d), d, tile2)
          const t0 = v128.load(tops + at(p * 8))
          const t1 = v128.load(tops + at(p * 8), 16)
          for (let t = tile; t < tile + 32 * HEIGHT; t += 32) {
            v128.store(t, f32x4.sub(v128.load(t), t0))
            v128.store(t, f32x4.sub(v128.load(t, 16), t1), 16)
          }
          for (let t = tile; t < tile + 32 * HEIGHT; t += 64) expNegative16(t)
          const d0 = v128.load(deltas + at(p * 8))
          const d1 = v128.load(deltas + at(p * 8), 16)
          const dS = scores + <usize>p * scoreStep + at(j * HEIGHT * 8)
          for (let t = tile, g = tile2, s = dS; t < tile + 32 * HEIGHT; t += 32, g += 32, s += 32) {
            v128.store(s, f32x4.mul(v128.load(t), f32x4.sub(v128.load(g), d0)))
            v128.store(s, f32x4.mul(v128.load(t, 16), f32x4.sub(v128.load(g, 16), d1)), 16)
          }
          const turned = <usize>j * step + at(p * 8 * HEIGHT)
          if (dv != 0) storeTurned(tile, turnedP + turned, at(HEIGHT))
          if (dk != 0) storeTurned(dS, turnedS + turned, at(HEIGHT))
        }
      }
      if (dq != 0) {
        for (let j = 0; j < columnPanels; j++) {
          const a = keysByDepth + at(j * HEIGHT * n)
          for (let p = 0; p < panels; p++) {
            multiplyPanels(a, scores + <usize>p * scoreStep, n, tile)
            const out = dq + from + at(p * 8 * ld + j * HEIGHT)
            storeRows(tile, factors, out, ld, height - p * 8, d - j * HEIGHT)
          }
        }
      }
      for (let j = 0; j < depthPanels; j++) {
        const b = at(j * 8 * height)
        let t = at(j * keyPanels * HEIGHT * 8)
        for (let p = 0; p < keyPanels; p++, t += 32 * HEIGHT) {
          const a = <usize>p * step
          if (dk != 0) addPanels(turnedS + a, byDepthQ + b, height, tilesK + t, block == 0, tile)
          if (dv != 0) addPanels(turnedP + a, byDepthO + b, height, tilesV + t, block == 0, tile)
        }
      }
    }
    for (let j = 0; j < depthPanels; j++) {
      const left = d - j * 8
      for (let p = 0; p < keyPanels; p++) {
        const t = at((j * keyPanels + p) * HEIGHT * 8)
        const out = base + at(p * HEIGHT * ld + j * 8)
        const tall = min(HEIGHT, n - p * HEIGHT)
        if (dk != 0) storeTile(tilesK + t, dk + out, ld, tall, left)
        if (dv != 0) storeTile(tilesV + t, dv + out, ld, tall, left)
      }
    }
  }
}
