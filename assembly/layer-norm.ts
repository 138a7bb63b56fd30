// Layer norm by rows, variance in two passes, and its gradient. dw and db are summed over fixed chunks of rows
// (phase 0) and the chunks added in order (phase 1), so that they do not depend on the number of threads.
import { at, ceilDiv, loadPart, madd, share, splat, storePart, sumLanes } from './math'
import { CHUNKS, float, int, PHASE, pointer, SHARED } from './record'

export function layerNorm(r: usize, thread: i32, threads: i32): void {
  const means = pointer(r, 2)
  const rstds = pointer(r, 3)
  const w = pointer(r, 5)
  const b = pointer(r, 6)
  const m = int(r, 7)
  const n = int(r, 8)
  const eps = float(r, 9)
  const end = share(m, thread + 1, threads)
  for (let i = share(m, thread, threads); i < end; i++) {
    const y = pointer(r, 1) + at(i * n)
    const x = pointer(r, 4) + at(i * n)
    let s0 = splat(0)
    let s1 = splat(0)
    let j = 0
    for (; j + 8 <= n; j += 8) {
      s0 = f32x4.add(s0, v128.load(x + at(j)))
      s1 = f32x4.add(s1, v128.load(x + at(j), 16))
    }
    let total = sumLanes(f32x4.add(s0, s1))
    for (; j < n; j++) total += load<f32>(x + at(j))
    const mean = total / <f32>n
    const mu = splat(mean)
    s0 = splat(0)
    s1 = splat(0)
    for (j = 0; j + 8 <= n; j += 8) {
      const a = f32x4.sub(v128.load(x + at(j)), mu)
      const c = f32x4.sub(v128.load(x + at(j), 16), mu)
      s0 = madd(a, a, s0)
      s1 = madd(c, c, s1)
    }
    total = sumLanes(f32x4.add(s0, s1))
    for (; j < n; j++) {
      const d = load<f32>(x + at(j)) - mean
      total += d * d
    }
    const rstd = <f32>1 / sqrt<f32>(total / <f32>n + eps)
    const scale = splat(rstd)
    for (j = 0; j + 4 <= n; j += 4) {
      const xh = f32x4.mul(f32x4.sub(v128.load(x + at(j)), mu), scale)
      v128.store(y + at(j), madd(xh, v128.load(w + at(j)), v128.load(b + at(j))))
    }
    const left = n - j
    if (left > 0) {
      const xh = f32x4.mul(f32x4.sub(loadPart(x + at(j), left), mu), scale)
      storePart(y + at(j), madd(xh, loadPart(w + at(j), left), loadPart(b + at(j), left)), left)
    }
    if (means != 0) store<f32>(means + at(i), mean)
    if (rstds != 0) store<f32>(rstds + at(i), rstd)
  }
}

/** One row: dx when wanted (added to what is there with `accumulate`), and dy xh, dy added to the chunk's sums when `sums` is given. */
function rowGrad(
  dx: usize,
  dy: usize,
  x: usize,
  w: usize,
  n: i32,
  mean: f32,
  rstd: f32,
  sumW: usize,
  sumB: usize,
  accumulate: bool,
): void {
  const mu = splat(mean)
  const scale = splat(rstd)
  let g0 = splat(0)
  let g1 = splat(0)
  let j = 0
  for (; j + 4 <= n; j += 4) {
    const d = v128.load(dy + at(j))
    const xh = f32x4.mul(f32x4.sub(v128.load(x + at(j)), mu), scale)
    if (sumW != 0) {
      v128.store(sumW + at(j), madd(d, xh, v128.load(sumW + at(j))))
      v128.store(sumB + at(j), f32x4.add(d, v128.load(sumB + at(j))))
    }
    const g = f32x4.mul(d, v128.load(w + at(j)))
    g0 = f32x4.add(g0, g)
    g1 = madd(g, xh, g1)
  }
  const left = n - j
  if (left > 0) {
    const d = loadPart(dy + at(j), left)
    // Lanes past the end would hold -mean rstd; d is 0 there, so they add nothing.
    const xh = f32x4.mul(f32x4.sub(loadPart(x + at(j), left), mu), scale)
    if (sumW != 0) {
      storePart(sumW + at(j), madd(d, xh, loadPart(sumW + at(j), left)), left)
      storePart(sumB + at(j), f32x4.add(d, loadPart(sumB + at(j), left)), left)
    }
    const g = f32x4.mul(d, loadPart(w + at(j), left))
    g0 = f32x4.add(g0, g)
    g1 = madd(g, xh, g1)
  }
  if (dx == 0) return
  const mg = splat(sumLanes(g0) / <f32>n)
  const mgx = splat(-sumLanes(g1) / <f32>n)
  for (j = 0; j + 4 <= n; j += 4) {
    const xh = f32x4.mul(f32x4.sub(v128.load(x + at(j)), mu), scale)
    const g = f32x4.mul(v128.load(dy + at(j)), v128.load(w + at(j)))
    const d = f32x4.mul(scale, madd(xh, mgx, f32x4.sub(g, mg)))
    v128.store(dx + at(j), accumulate ? f32x4.add(v128.load(dx + at(j)), d) : d)
  }
  if (left > 0) {
    const xh = f32x4.mul(f32x4.sub(loadPart(x + at(j), left), mu), scale)
    const g = f32x4.mul(loadPart(dy + at(j), left), loadPart(w + at(j), left))
    const d = f32x4.mul(scale, madd(xh, mgx, f32x4.sub(g, mg)))
    storePart(dx + at(j), accumulate ? f32x4.add(loadPart(dx + at(j), left), d) : d, left)
  }
}

/** Shared scratch: f32 [chunks][2][n], sums of dy xh and of dy. */
export function layerNormGrad(r: usize, thread: i32, threads: i32): void {
  const dw = pointer(r, 2)
  const db = pointer(r, 3)
  const n = int(r, 10)
  const m = int(r, 9)
  const accumulate = int(r, 11) != 0
  const chunks = int(r, CHUNKS)
  const scratch = pointer(r, SHARED)
  if (int(r, PHASE) == 0) {
    const end = share(chunks, thread + 1, threads)
    for (let c = share(chunks, thread, threads); c < end; c++) {
      let sums: usize = 0
      if (dw != 0 || db != 0) {
        sums = scratch + at(2 * c * n)
        for (let j = 0; j < 2 * n; j++) store<f32>(sums + at(j), 0)
      }
      const stop = share(m, c + 1, chunks)
      for (let i = share(m, c, chunks); i < stop; i++) {
        const row = at(i * n)
        const dx = pointer(r, 1)
        const mean = load<f32>(pointer(r, 6) + at(i))
        const rstd = load<f32>(pointer(r, 7) + at(i))
        rowGrad(
          dx == 0 ? 0 : dx + row,
          pointer(r, 4) + row,
          pointer(r, 5) + row,
          pointer(r, 8),
          n,
          mean,
          rstd,
          sums,
          sums + at(n),
          accumulate,
        )
      }
    }
    return
  }
  const blocks = ceilDiv(n, 4)
  let j = share(blocks, thread, threads) * 4
  const end = min(n, share(blocks, thread + 1, threads) * 4)
  for (; j < end; j++) {
    let w: f64 = 0
    let b: f64 = 0
    let p = scratch + at(j)
    for (let c = 0; c < chunks; c++, p += at(2 * n)) {
      w += <f64>load<f32>(p)
      b += <f64>load<f32>(p + at(n))
    }
    if (dw != 0) store<f32>(dw + at(j), <f32>w)
    if (db != 0) store<f32>(db + at(j), <f32>b)
  }
}
