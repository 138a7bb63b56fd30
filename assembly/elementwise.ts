// fill, unary, unaryGrad, binary. Parallel over elements in blocks of 16; the last block may be short.
import {
  at,
  ceilDiv,
  exp4,
  gelu4,
  geluGrad4,
  loadPart,
  log4,
  madd,
  share,
  sigmoid4,
  splat,
  storePart,
  tanh4,
} from './math'
import { float, int, pointer } from './record'

export function fill(r: usize, thread: i32, threads: i32): void {
  const y = pointer(r, 1)
  const n = int(r, 2)
  const v = splat(float(r, 3))
  const blocks = ceilDiv(n, 16)
  let j = share(blocks, thread, threads) * 16
  const end = min(n, share(blocks, thread + 1, threads) * 16)
  for (; j + 4 <= end; j += 4) v128.store(y + at(j), v)
  if (j < end) storePart(y + at(j), v, end - j)
}

// The order of unaryOps in kernels.ts.
// @ts-ignore: decorator
@inline
function apply(op: i32, x: v128, a: v128, b: v128): v128 {
  switch (op) {
    case 0:
      return madd(x, a, b)
    case 1:
      return exp4(x)
    case 2:
      return log4(x)
    case 3:
      return f32x4.sqrt(x)
    case 4:
      return f32x4.div(splat(1), f32x4.sqrt(x))
    case 5:
      return f32x4.div(splat(1), x)
    case 6:
      return tanh4(x)
    case 7:
      return sigmoid4(x)
    case 8:
      return f32x4.max(x, splat(0))
    case 9:
      return gelu4(x)
    case 10:
      return f32x4.mul(x, sigmoid4(x))
    case 11:
      return f32x4.abs(x)
    default:
      return f32x4.mul(x, x)
  }
}

// @ts-ignore: decorator
@inline
function slope(op: i32, x: v128, a: v128): v128 {
  switch (op) {
    case 0:
      return a
    case 1:
      return exp4(x)
    case 2:
    case 5: {
      const inverse = f32x4.div(splat(1), x)
      return op == 2 ? inverse : f32x4.neg(f32x4.mul(inverse, inverse))
    }
    case 3:
      return f32x4.div(splat(0.5), f32x4.sqrt(x))
    case 4:
      return f32x4.div(splat(-0.5), f32x4.mul(x, f32x4.sqrt(x)))
    case 6: {
      const t = tanh4(x)
      return f32x4.sub(splat(1), f32x4.mul(t, t))
    }
    case 7: {
      const s = sigmoid4(x)
      return f32x4.mul(s, f32x4.sub(splat(1), s))
    }
    case 8:
      return v128.and(splat(1), f32x4.gt(x, splat(0)))
    case 9:
      return geluGrad4(x)
    case 10: {
      const s = sigmoid4(x)
      return madd(f32x4.mul(x, s), f32x4.sub(splat(1), s), s)
    }
    case 11: // sign, 0 at 0
      return f32x4.sub(v128.and(splat(1), f32x4.gt(x, splat(0))), v128.and(splat(1), f32x4.lt(x, splat(0))))
    default:
      return f32x4.add(x, x)
  }
}

export function unary(r: usize, thread: i32, threads: i32): void {
  const y = pointer(r, 1)
  const x = pointer(r, 2)
  const op = int(r, 3)
  const n = int(r, 4)
  const a = splat(float(r, 5))
  const b = splat(float(r, 6))
  const blocks = ceilDiv(n, 16)
  let j = share(blocks, thread, threads) * 16
  const end = min(n, share(blocks, thread + 1, threads) * 16)
  while (j < end) {
    const left = end - j
    const v = apply(op, left < 4 ? loadPart(x + at(j), left) : v128.load(x + at(j)), a, b)
    if (left < 4) storePart(y + at(j), v, left)
    else v128.store(y + at(j), v)
    j += 4
  }
}

export function unaryGrad(r: usize, thread: i32, threads: i32): void {
  const dx = pointer(r, 1)
  const dy = pointer(r, 2)
  const x = pointer(r, 3)
  const op = int(r, 4)
  const n = int(r, 5)
  const a = splat(float(r, 6))
  const blocks = ceilDiv(n, 16)
  let j = share(blocks, thread, threads) * 16
  const end = min(n, share(blocks, thread + 1, threads) * 16)
  while (j < end) {
    const left = end - j
    const s = slope(op, left < 4 ? loadPart(x + at(j), left) : v128.load(x + at(j)), a)
    if (left < 4) storePart(dx + at(j), f32x4.mul(s, loadPart(dy + at(j), left)), left)
    else v128.store(dx + at(j), f32x4.mul(s, v128.load(dy + at(j))))
    j += 4
  }
}

// The order of binaryOps in kernels.ts.
// @ts-ignore: decorator
@inline
function combine(op: i32, a: v128, b: v128): v128 {
  switch (op) {
    case 0:
      return f32x4.add(a, b)
    case 1:
      return f32x4.sub(a, b)
    case 2:
      return f32x4.mul(a, b)
    case 3:
      return f32x4.div(a, b)
    case 4:
      return f32x4.max(a, b)
    default:
      return f32x4.min(a, b)
  }
}

/** Runs in which b is contiguous (inner 1) or constant (inner > 1, or one value). */
export function binary(r: usize, thread: i32, threads: i32): void {
  const y = pointer(r, 1)
  const a = pointer(r, 2)
  const b = pointer(r, 3)
  const op = int(r, 4)
  const n = int(r, 5)
  const count = int(r, 7)
  const inner = count == 1 ? max(n, 1) : int(r, 6)
  const blocks = ceilDiv(n, 16)
  let j = share(blocks, thread, threads) * 16
  const end = min(n, share(blocks, thread + 1, threads) * 16)
  while (j < end) {
    if (inner == 1) {
      const from = j % count
      const stop = min(end, j + count - from)
      let q = b + at(from)
      for (; j + 4 <= stop; j += 4, q += 16) v128.store(y + at(j), combine(op, v128.load(a + at(j)), v128.load(q)))
      const left = stop - j
      if (left > 0) storePart(y + at(j), combine(op, loadPart(a + at(j), left), loadPart(q, left)), left)
      j = stop
    } else {
      const group = j / inner
      const stop = <i32>min(<i64>end, <i64>(group + 1) * inner)
      const v = v128.load_splat<f32>(b + at(group % count))
      for (; j + 4 <= stop; j += 4) v128.store(y + at(j), combine(op, v128.load(a + at(j)), v))
      const left = stop - j
      if (left > 0) storePart(y + at(j), combine(op, loadPart(a + at(j), left), v), left)
      j = stop
    }
  }
}
