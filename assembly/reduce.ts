// Sum, max and sum of squares over the middle of (outer, count, inner), in f64; columns 32 rows at a time in f32.
// The count is cut into `chunks` pieces fixed by the shape, never by the number of threads: phase 0 reduces the pieces,
// phase 1 (when there is more than one) adds them in order. So the result does not depend on the threads.
import { at, ceilDiv, loadPart, madd, share, splat } from './math'
import { CHUNKS, float, int, own, PHASE, pointer, SHARED } from './record'

/** Columns that one unit of work takes when inner > 1, and rows that are summed in f32 before they go to f64. */
const COLUMNS = 32
const ROWS = 32

// @ts-ignore: decorator
@inline
function high(v: v128): v128 {
  return f64x2.promote_low_f32x4(v128.shuffle<i64>(v, v, 1, 0))
}

/** Sum of n elements, or of their squares. */
export function rowSum(x: usize, n: i32, squares: bool): f64 {
  let s0 = f64x2.splat(0)
  let s1 = f64x2.splat(0)
  let j = 0
  while (j < n) {
    const left = n - j
    const v = left < 4 ? loadPart(x + at(j), left) : v128.load(x + at(j))
    const a = f64x2.promote_low_f32x4(v)
    const b = high(v)
    s0 = f64x2.add(s0, squares ? f64x2.mul(a, a) : a)
    s1 = f64x2.add(s1, squares ? f64x2.mul(b, b) : b)
    j += 4
  }
  const s = f64x2.add(s0, s1)
  return f64x2.extract_lane(s, 0) + f64x2.extract_lane(s, 1)
}

function rowMax(x: usize, n: i32): f64 {
  let m = <f32>-Infinity
  let j = 0
  if (n >= 4) {
    let v = v128.load(x)
    for (j = 4; j + 4 <= n; j += 4) v = f32x4.max(v, v128.load(x + at(j)))
    m = max(
      max(f32x4.extract_lane(v, 0), f32x4.extract_lane(v, 1)),
      max(f32x4.extract_lane(v, 2), f32x4.extract_lane(v, 3)),
    )
  }
  for (; j < n; j++) m = max(m, load<f32>(x + at(j)))
  return m
}

// @ts-ignore: decorator
@inline
function take(op: i32, sum: v128, v: v128): v128 {
  if (op == 1) return f32x4.max(sum, v)
  return op == 2 ? madd(v, v, sum) : f32x4.add(sum, v)
}

// @ts-ignore: decorator
@inline
function fold(op: i32, out: usize, sum: v128): void {
  const a = v128.load(out)
  const b = v128.load(out, 16)
  const low = f64x2.promote_low_f32x4(sum)
  v128.store(out, op == 1 ? f64x2.max(a, low) : f64x2.add(a, low))
  v128.store(out, op == 1 ? f64x2.max(b, high(sum)) : f64x2.add(b, high(sum)), 16)
}

/** Up to four neighbouring columns over `rows` (at most ROWS) rows, folded into out (f64 x 4). */
function columns4(x: usize, rows: i32, stride: usize, width: i32, op: i32, out: usize): void {
  let a = splat(op == 1 ? -Infinity : 0)
  for (let i = 0; i < rows; i++, x += stride) a = take(op, a, width < 4 ? loadPart(x, width) : v128.load(x))
  fold(op, out, a)
}

/** 32 neighbouring columns, two cache lines a row. */
function columns32(x: usize, rows: i32, stride: usize, op: i32, out: usize): void {
  let a0 = splat(op == 1 ? -Infinity : 0)
  let a1 = a0,
    a2 = a0,
    a3 = a0,
    a4 = a0,
    a5 = a0,
    a6 = a0,
    a7 = a0
  for (let i = 0; i < rows; i++, x += stride) {
    a0 = take(op, a0, v128.load(x))
    a1 = take(op, a1, v128.load(x, 16))
    a2 = take(op, a2, v128.load(x, 32))
    a3 = take(op, a3, v128.load(x, 48))
    a4 = take(op, a4, v128.load(x, 64))
    a5 = take(op, a5, v128.load(x, 80))
    a6 = take(op, a6, v128.load(x, 96))
    a7 = take(op, a7, v128.load(x, 112))
  }
  fold(op, out, a0)
  fold(op, out + 32, a1)
  fold(op, out + 64, a2)
  fold(op, out + 96, a3)
  fold(op, out + 128, a4)
  fold(op, out + 160, a5)
  fold(op, out + 192, a6)
  fold(op, out + 224, a7)
}

/** Scratch: 32 f64 a thread; shared, the pieces: f64 [outer][chunks][inner]. */
export function reduce(r: usize, thread: i32, threads: i32): void {
  const y = pointer(r, 1)
  const x = pointer(r, 2)
  const op = int(r, 3)
  const outer = int(r, 4)
  const count = int(r, 5)
  const inner = int(r, 6)
  const scale = <f64>float(r, 7)
  const chunks = int(r, CHUNKS)
  const mine = own(r, thread)
  const pieces = pointer(r, SHARED)
  if (int(r, PHASE) == 1) {
    const outputs = outer * inner
    const end = share(outputs, thread + 1, threads)
    for (let j = share(outputs, thread, threads); j < end; j++) {
      let p = pieces + ((<usize>((j / inner) * chunks * inner + (j % inner))) << 3)
      let acc = load<f64>(p)
      for (let c = 1; c < chunks; c++) {
        p += (<usize>inner) << 3
        const v = load<f64>(p)
        acc = op == 1 ? max(acc, v) : acc + v
      }
      store<f32>(y + at(j), <f32>(acc * scale))
    }
    return
  }
  const blocks = ceilDiv(inner, COLUMNS)
  const units = outer * chunks * blocks
  const end = share(units, thread + 1, threads)
  const stride = at(inner)
  for (let u = share(units, thread, threads); u < end; u++) {
    const block = u % blocks
    const c = (u / blocks) % chunks
    const o = u / blocks / chunks
    const from = share(count, c, chunks)
    const rows = share(count, c + 1, chunks) - from
    const column = block * COLUMNS
    const width = min(COLUMNS, inner - column)
    const source = x + at((o * count + from) * inner + column)
    if (inner == 1) {
      store<f64>(mine, op == 1 ? rowMax(source, rows) : rowSum(source, rows, op == 2))
    } else {
      for (let w = 0; w < COLUMNS; w++) store<f64>(mine + ((<usize>w) << 3), op == 1 ? -Infinity : 0)
      for (let i = 0; i < rows; i += ROWS) {
        const p = source + at(i * inner)
        const tall = min(ROWS, rows - i)
        if (width == COLUMNS) {
          columns32(p, tall, stride, op, mine)
        } else {
          for (let w = 0; w < width; w += 4) {
            columns4(p + at(w), tall, stride, min(4, width - w), op, mine + ((<usize>w) << 3))
          }
        }
      }
    }
    if (chunks == 1) {
      const out = y + at(o * inner + column)
      for (let w = 0; w < width; w++) store<f32>(out + at(w), <f32>(load<f64>(mine + ((<usize>w) << 3)) * scale))
    } else {
      const out = pieces + ((<usize>((o * chunks + c) * inner + column)) << 3)
      for (let w = 0; w < width; w++) store<f64>(out + ((<usize>w) << 3), load<f64>(mine + ((<usize>w) << 3)))
    }
  }
}
