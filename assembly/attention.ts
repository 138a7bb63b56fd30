// Softmax(scale Q K^T) V by (sample, head), and its gradient. Scores live in a thread's scratch, a block of query rows
// at a time. forward: parallel over (sample, head) or (sample, head, row block). backward: over (sample, head); P is recomputed.
// Packed layouts and the micro-kernel are those of panels.ts; accumulation in f32.
import { at, ceilDiv, expNegative16, log4, madd, share, splat, storePart, sumLanes } from './math'
import { addPanels, HEIGHT, multiplyPanels, packA, packB, storeTurned, TILE, WIDTH } from './panels'
import { float, int, pointer, own, take } from './record'

/** Most panels of WIDTH query rows in a block. */
const FORWARD_PANELS = 32 / WIDTH
/** Query rows by which blocks of the gradient are cut, whatever the panels: the order of dK's and dV's sums hangs on it. */
const CUT = 16
/** Bytes for a tile, with the room that expNegative16 takes beyond one of 5 rows. */
const ROOM: usize = 24 * WIDTH

/** Most query rows for the gradient, in CUTs: as many as keep a block of scores in the second-level cache. */
// @ts-ignore: decorator
@inline
function backwardCuts(keys: i32): i32 {
  return min(8, max(4, 2048 / keys))
}

/** Stores a tile as `height` rows of `left` columns of a matrix with row length ld. */
function storeTile(tile: usize, out: usize, ld: i32, height: i32, left: i32): void {
  for (let i = 0; i < height; i++, tile += at(WIDTH), out += at(ld)) {
    for (let c = 0; c < min(WIDTH, left); c += 4) {
      const v = v128.load(tile + at(c))
      if (left - c < 4) storePart(out + at(c), v, left - c)
      else v128.store(out + at(c), v)
    }
  }
}

/** Multiplies each row of a tile by WIDTH factors, one a column. */
function scaleColumns(tile: usize, factors: usize): void {
  for (let part: usize = 0; part < at(WIDTH); part += 32) {
    const f0 = v128.load(factors + part)
    const f1 = v128.load(factors + part, 16)
    for (let t = tile + part; t < tile + TILE; t += at(WIDTH)) {
      v128.store(t, f32x4.mul(v128.load(t), f0))
      v128.store(t, f32x4.mul(v128.load(t, 16), f1), 16)
    }
  }
}

/** Subtracts WIDTH numbers, one a column, from each row of a tile. */
function subtractColumns(tile: usize, numbers: usize): void {
  for (let part: usize = 0; part < at(WIDTH); part += 32) {
    const f0 = v128.load(numbers + part)
    const f1 = v128.load(numbers + part, 16)
    for (let t = tile + part; t < tile + TILE; t += at(WIDTH)) {
      v128.store(t, f32x4.sub(v128.load(t), f0))
      v128.store(t, f32x4.sub(v128.load(t, 16), f1), 16)
    }
  }
}

/** Stores a tile of HEIGHT columns of WIDTH rows, each row times its factor, as `height` rows of `left` columns. */
function storeRows(tile: usize, factors: usize, out: usize, ld: i32, height: i32, left: i32): void {
  scaleColumns(tile, factors)
  if (height >= WIDTH && left >= HEIGHT) return storeTurned(tile, out, at(ld))
  for (let row = 0; row < min(WIDTH, height); row++) {
    for (let column = 0; column < min(HEIGHT, left); column++) {
      store<f32>(out + at(row * ld + column), load<f32>(tile + at(WIDTH * column + row)))
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

/** The largest score of 8 query rows at tops, scores [key][WIDTH rows] up to `stop`. */
function topsOf(scores: usize, stop: usize, tops: usize): void {
  let a = v128.load(scores)
  let b = v128.load(scores, 16)
  let c = a
  let d = b
  let q = scores
  for (; q + 2 * at(WIDTH) <= stop; q += 2 * at(WIDTH)) {
    a = f32x4.pmax(a, v128.load(q))
    b = f32x4.pmax(b, v128.load(q, 16))
    c = f32x4.pmax(c, v128.load(q + at(WIDTH)))
    d = f32x4.pmax(d, v128.load(q + at(WIDTH), 16))
  }
  if (q < stop) {
    a = f32x4.pmax(a, v128.load(q))
    b = f32x4.pmax(b, v128.load(q, 16))
  }
  v128.store(tops, f32x4.pmax(a, c))
  v128.store(tops, f32x4.pmax(b, d), 16)
}

/** Their sums at sums: those of the even keys and of the odd, then both. */
function sumsOf(scores: usize, stop: usize, sums: usize): void {
  let a = splat(0)
  let b = a
  let c = a
  let d = a
  let q = scores
  for (; q + 2 * at(WIDTH) <= stop; q += 2 * at(WIDTH)) {
    a = f32x4.add(a, v128.load(q))
    b = f32x4.add(b, v128.load(q, 16))
    c = f32x4.add(c, v128.load(q + at(WIDTH)))
    d = f32x4.add(d, v128.load(q + at(WIDTH), 16))
  }
  if (q < stop) {
    a = f32x4.add(a, v128.load(q))
    b = f32x4.add(b, v128.load(q, 16))
  }
  v128.store(sums, f32x4.add(a, c))
  v128.store(sums, f32x4.add(b, d), 16)
}

/**
 * Softmax over the keys of WIDTH query rows, scores [key][WIDTH rows] with room for a key more: leaves e^(score - top) there,
 * 1 / sum of each row at sums and top + log sum in lse. `tops` has room for a number of each row.
 */
function softmaxRows(scores: usize, n: i32, sums: usize, tops: usize, lse: usize, height: i32): void {
  const stop = scores + at(WIDTH * n)
  for (let part: usize = 0; part < at(WIDTH); part += 32) topsOf(scores + part, stop + part, tops + part)
  const t0 = v128.load(tops)
  const t1 = v128.load(tops, 16)
  const t2 = WIDTH == 16 ? v128.load(tops, 32) : t0
  const t3 = WIDTH == 16 ? v128.load(tops, 48) : t1
  for (let q = scores; q < stop; q += 64) {
    v128.store(q, f32x4.sub(v128.load(q), t0))
    v128.store(q, f32x4.sub(v128.load(q, 16), t1), 16)
    v128.store(q, f32x4.sub(v128.load(q, 32), t2), 32)
    v128.store(q, f32x4.sub(v128.load(q, 48), t3), 48)
    expNegative16(q)
  }
  for (let part: usize = 0; part < at(WIDTH); part += 32) sumsOf(scores + part, stop + part, sums + part)
  for (let c = 0; c < WIDTH; c += 4) {
    const sum = v128.load(sums + at(c))
    v128.store(sums + at(c), f32x4.div(splat(1), sum))
    const left = height - c
    if (lse == 0 || left <= 0) continue
    const l = f32x4.add(v128.load(tops + at(c)), log4(sum))
    if (left < 4) storePart(lse + at(c), l, left)
    else v128.store(lse + at(c), l)
  }
}

/**
 * Everything is held turned, WIDTH query rows side by side: scores come out of the micro-kernel as the product with V takes
 * them. Scratch a thread: K panels, V panels, Q panels, scores, sums, tops, one tile.
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
  const queryPanels = ceilDiv(n, WIDTH)
  const blocks = ceilDiv(queryPanels, FORWARD_PANELS)

  const packedK = own(r, thread) // [panel][d][HEIGHT keys]
  const packedV = packedK + at(keyPanels * HEIGHT * d) // [panel][n][HEIGHT columns]
  const packedQ = packedV + at(depthPanels * HEIGHT * n) // [panel][d][WIDTH rows]
  const scores = packedQ + at(FORWARD_PANELS * WIDTH * d) // [panel][key][WIDTH rows]
  const scoreStep = at((keyPanels * HEIGHT + 1) * WIDTH)
  const sums = scores + <usize>FORWARD_PANELS * scoreStep
  const tops = sums + at(FORWARD_PANELS * WIDTH)
  const tile = tops + at(WIDTH)

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
      const row = p0 * WIDTH
      const height = min(n, (p0 + panels) * WIDTH) - row
      packB(pointer(r, 3) + base + at(row * ld), ld, d, height, true, packedQ, 0, panels)
      // scale may be negative, so it comes before the maximum.
      scaleAll(packedQ, panels * WIDTH * d, scale)
      for (let j = 0; j < keyPanels; j++) {
        const a = packedK + at(j * HEIGHT * d)
        const out = scores + at(j * HEIGHT * WIDTH)
        for (let p = 0; p < panels; p++) multiplyPanels(a, packedQ + at(p * WIDTH * d), d, out + <usize>p * scoreStep)
      }
      for (let p = 0; p < panels; p++) {
        const i = row + p * WIDTH
        const from = scores + <usize>p * scoreStep
        softmaxRows(from, n, sums + at(p * WIDTH), tops, lse == 0 ? 0 : lse + at(head * n + i), n - i)
      }
      const o = pointer(r, 1) + base + at(row * ld)
      for (let j = 0; j < depthPanels; j++) {
        const a = packedV + at(j * HEIGHT * n)
        for (let p = 0; p < panels; p++) {
          multiplyPanels(a, scores + <usize>p * scoreStep, n, tile)
          const out = o + at(p * WIDTH * ld + j * HEIGHT)
          storeRows(tile, sums + at(p * WIDTH), out, ld, height - p * WIDTH, d - j * HEIGHT)
        }
      }
    }
  }
}

/**
 * Scores and their gradients come as tiles of HEIGHT keys by WIDTH query rows: as they are for dQ, turned for dK and dV. Scratch a
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
  const depthPanels = ceilDiv(d, WIDTH)
  const cuts = ceilDiv(n, CUT)
  const most = backwardCuts(n)
  const blocks = ceilDiv(cuts, most)
  const ROWS = most * CUT

  const keysByScore = own(r, thread) // [key panel][d][HEIGHT]
  const valuesByScore = keysByScore + at(keyPanels * HEIGHT * d)
  const keysByDepth = valuesByScore + at(keyPanels * HEIGHT * d) // [column panel][key][HEIGHT]
  const tilesK = keysByDepth + at(columnPanels * HEIGHT * n) // [depth panel][key panel] tiles
  const tileBytes = at(depthPanels * keyPanels * HEIGHT * WIDTH)
  const tilesV = tilesK + tileBytes
  const byScoreQ = tilesV + tileBytes // [query panel][d][WIDTH]
  const byScoreO = byScoreQ + at(ROWS * d)
  const byDepthQ = byScoreO + at(ROWS * d) // [depth panel][query][WIDTH]
  const byDepthO = byDepthQ + at(ROWS * depthPanels * WIDTH)
  const scores = byDepthO + at(ROWS * depthPanels * WIDTH) // dS as [query panel][key][WIDTH]
  const scoreStep = at(keyPanels * HEIGHT * WIDTH)
  const turnedP = scores + at(keyPanels * HEIGHT * ROWS) // [key panel][query][HEIGHT]
  const turnedS = turnedP + at(keyPanels * HEIGHT * ROWS)
  const tops = turnedS + at(keyPanels * HEIGHT * ROWS) // of each query: log-sum-exp
  const deltas = tops + at(ROWS) // and dO O
  const factors = deltas + at(ROWS)
  const tile = factors + at(WIDTH)
  const tile2 = tile + ROOM

  const units = int(r, 10) * heads
  for (let head = take(r); head < units; head = take(r)) {
    const base = at((head / heads) * n * ld + (head % heads) * d)
    const lse = pointer(r, 9) + at(head * n)
    packA(pointer(r, 6) + base, ld, n, d, false, keysByScore)
    packA(pointer(r, 7) + base, ld, n, d, false, valuesByScore)
    if (dq != 0) packA(pointer(r, 6) + base, ld, d, n, true, keysByDepth)
    for (let c = 0; c < WIDTH; c += 4) v128.store(factors + at(c), scale)
    for (let block = 0; block < blocks; block++) {
      const row = share(cuts, block, blocks) * CUT
      const height = min(n, share(cuts, block + 1, blocks) * CUT) - row
      const panels = ceilDiv(height, WIDTH)
      const from = base + at(row * ld)
      const query = pointer(r, 5) + from
      const dOut = pointer(r, 4) + from
      packB(query, ld, d, height, true, byScoreQ, 0, panels)
      scaleAll(byScoreQ, panels * WIDTH * d, scale)
      packB(dOut, ld, d, height, true, byScoreO, 0, panels)
      if (dk != 0) {
        packB(query, ld, height, d, false, byDepthQ, 0, depthPanels)
        scaleAll(byDepthQ, depthPanels * WIDTH * height, scale)
      }
      if (dv != 0) packB(dOut, ld, height, d, false, byDepthO, 0, depthPanels)
      for (let i = 0; i < panels * WIDTH; i++) {
        const o = at(i * ld)
        store<f32>(tops + at(i), i < height ? load<f32>(lse + at(row + i)) : 0)
        store<f32>(deltas + at(i), i < height ? dot(pointer(r, 8) + from + o, dOut + o, d) : 0)
      }
      const step = at(HEIGHT * WIDTH * panels) // from one key panel to the next where turned
      for (let j = 0; j < keyPanels; j++) {
        const keys = keysByScore + at(j * HEIGHT * d)
        const values = valuesByScore + at(j * HEIGHT * d)
        for (let p = 0; p < panels; p++) {
          multiplyPanels(keys, byScoreQ + at(p * WIDTH * d), d, tile)
          multiplyPanels(values, byScoreO + at(p * WIDTH * d), d, tile2)
          const dS = scores + <usize>p * scoreStep + at(j * HEIGHT * WIDTH)
          subtractColumns(tile, tops + at(p * WIDTH))
          for (let t = tile; t < tile + TILE; t += 64) expNegative16(t)
          subtractColumns(tile2, deltas + at(p * WIDTH))
          for (let t = tile, g = tile2, s = dS; t < tile + TILE; t += 32, g += 32, s += 32) {
            v128.store(s, f32x4.mul(v128.load(t), v128.load(g)))
            v128.store(s, f32x4.mul(v128.load(t, 16), v128.load(g, 16)), 16)
          }
          const turned = <usize>j * step + at(p * WIDTH * HEIGHT)
          if (dv != 0) storeTurned(tile, turnedP + turned, at(HEIGHT))
          if (dk != 0) storeTurned(dS, turnedS + turned, at(HEIGHT))
        }
      }
      if (dq != 0) {
        for (let j = 0; j < columnPanels; j++) {
          const a = keysByDepth + at(j * HEIGHT * n)
          for (let p = 0; p < panels; p++) {
            multiplyPanels(a, scores + <usize>p * scoreStep, n, tile)
            const out = dq + from + at(p * WIDTH * ld + j * HEIGHT)
            storeRows(tile, factors, out, ld, height - p * WIDTH, d - j * HEIGHT)
          }
        }
      }
      for (let j = 0; j < depthPanels; j++) {
        const b = at(j * WIDTH * height)
        let t = at(j * keyPanels * HEIGHT * WIDTH)
        for (let p = 0; p < keyPanels; p++, t += TILE) {
          const a = <usize>p * step
          if (dk != 0) addPanels(turnedS + a, byDepthQ + b, height, tilesK + t, block == 0, tile)
          if (dv != 0) addPanels(turnedP + a, byDepthO + b, height, tilesV + t, block == 0, tile)
        }
      }
    }
    for (let j = 0; j < depthPanels; j++) {
      const left = d - j * WIDTH
      for (let p = 0; p < keyPanels; p++) {
        const t = at((j * keyPanels + p) * HEIGHT * WIDTH)
        const out = base + at(p * HEIGHT * ld + j * WIDTH)
        const tall = min(HEIGHT, n - p * HEIGHT)
        if (dk != 0) storeTile(tilesK + t, dk + out, ld, tall, left)
        if (dv != 0) storeTile(tilesV + t, dv + out, ld, tall, left)
      }
    }
  }
}
