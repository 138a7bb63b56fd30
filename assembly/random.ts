// Dropout by Philox4x32-10 (Salmon et al., 2011), word for word that of src/tensor/philox.ts.
// Parallel over blocks of 16 elements: with inner 1 that is four counters, one a lane.
import { at, ceilDiv, loadPart, share, splat, storePart } from './math'
import { float, int, pointer } from './record'

// The four words of the last call of `philox`, counters in lanes.
let w0: v128 = i32x4.splat(0)
let w1: v128 = i32x4.splat(0)
let w2: v128 = i32x4.splat(0)
let w3: v128 = i32x4.splat(0)

// @ts-ignore: decorator
@inline
function mulHigh(a: v128, b: v128): v128 {
  const low = i64x2.extmul_low_i32x4_u(a, b)
  const high = i64x2.extmul_high_i32x4_u(a, b)
  return v128.shuffle<i32>(low, high, 1, 3, 5, 7)
}

function philox(c0: v128, stream: i32, step: i32, seed: i32): void {
  const m0 = i32x4.splat(0xd2511f53)
  const m1 = i32x4.splat(0xcd9e8d57)
  let c1 = i32x4.splat(stream)
  let c2 = i32x4.splat(step)
  let c3 = i32x4.splat(0)
  let k0 = seed
  let k1 = 0
  for (let round = 0; round < 10; round++) {
    const h0 = mulHigh(m0, c0)
    const h1 = mulHigh(m1, c2)
    const l0 = i32x4.mul(m0, c0)
    const l1 = i32x4.mul(m1, c2)
    c0 = v128.xor(v128.xor(h1, c1), i32x4.splat(k0))
    c1 = l1
    c2 = v128.xor(v128.xor(h0, c3), i32x4.splat(k1))
    c3 = l0
    k0 += 0x9e3779b9
    k1 += 0xbb67ae85
  }
  w0 = c0
  w1 = c1
  w2 = c2
  w3 = c3
}

// @ts-ignore: decorator
@inline
function keep(y: usize, x: usize, j: i32, end: i32, words: v128, threshold: v128, scale: v128): void {
  if (j >= end) return
  const left = end - j
  const mask = i32x4.ge_u(words, threshold)
  if (left < 4) storePart(y + at(j), v128.and(mask, f32x4.mul(loadPart(x + at(j), left), scale)), left)
  else v128.store(y + at(j), v128.and(mask, f32x4.mul(v128.load(x + at(j)), scale)))
}

export function dropout(r: usize, thread: i32, threads: i32): void {
  const y = pointer(r, 1)
  const x = pointer(r, 2)
  const seed = load<i32>(pointer(r, 3))
  const step = load<i32>(pointer(r, 3) + 4)
  const n = int(r, 4)
  const inner = int(r, 5)
  const threshold = i32x4.splat(int(r, 6))
  const scale = splat(float(r, 7))
  const stream = int(r, 8)
  const blocks = ceilDiv(n, 16)
  let j = share(blocks, thread, threads) * 16
  const end = min(n, share(blocks, thread + 1, threads) * 16)
  if (inner == 1) {
    for (; j < end; j += 16) {
      philox(i32x4.add(i32x4.splat(j / 4), i32x4(0, 1, 2, 3)), stream, step, seed)
      // Word k of counter c belongs to element 4 c + k: transpose.
      const a = v128.shuffle<i32>(w0, w1, 0, 4, 1, 5)
      const b = v128.shuffle<i32>(w2, w3, 0, 4, 1, 5)
      const c = v128.shuffle<i32>(w0, w1, 2, 6, 3, 7)
      const d = v128.shuffle<i32>(w2, w3, 2, 6, 3, 7)
      keep(y, x, j, end, v128.shuffle<i64>(a, b, 0, 2), threshold, scale)
      keep(y, x, j + 4, end, v128.shuffle<i64>(a, b, 1, 3), threshold, scale)
      keep(y, x, j + 8, end, v128.shuffle<i64>(c, d, 0, 2), threshold, scale)
      keep(y, x, j + 12, end, v128.shuffle<i64>(c, d, 1, 3), threshold, scale)
    }
    return
  }
  while (j < end) {
    const e = j / inner
    philox(i32x4.splat(e / 4), stream, step, seed)
    const word = e % 4
    const words = word == 0 ? w0 : word == 1 ? w1 : word == 2 ? w2 : w3
    const stop = <i32>min(<i64>end, <i64>(e + 1) * inner)
    for (; j < stop; j += 4) keep(y, x, j, stop, words, threshold, scale)
    j = stop
  }
}
