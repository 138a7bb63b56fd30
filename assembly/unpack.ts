// Packed weights as f32: a run within a row at a time, for the panels of matmul.ts and the rows of the kernel `unpack`.
// Values have the bits that the formats' definition gives (src/backend/kernels.ts). Not here: packing, which is the host's.
import { at, ceilDiv, share, splat } from './math'
import { packB, WIDTH } from './panels'
import { int, own, pointer } from './record'

/** Elements that are unpacked in a row, of which scratch holds WIDTH rows: a block of the usual length. */
const RUN = 64
const NF4_DOUBLE = 2
const INT8 = 3
const INT8_BLOCK = 4

// The weight that is unpacked; set at the start of a call, and private to the thread.
let words: usize = 0
let scales: usize = 0
let columns: i32 = 0
let format: i32 = 0
let block: i32 = 1
let doubled: usize = 0 // codes of absmax
let planes: usize = 0 // scratch: the codebook's first bytes, its second, third and fourth
let scratch: usize = 0

/** Takes the weight W (rows, columns) of a call: `b`, `bScale`, its format and block, and 64 + 256 WIDTH bytes of the thread's. */
export function openPacked(b: usize, bScale: usize, rows: i32, width: i32, kind: i32, length: i32, mine: usize): void {
  words = b
  scales = bScale
  columns = width
  format = kind
  block = length
  planes = mine
  scratch = mine + 64
  if (kind > NF4_DOUBLE) return
  doubled = b + at(ceilDiv(rows * width, 8))
  const first = v128.load(bScale)
  const second = v128.load(bScale, 16)
  const third = v128.load(bScale, 32)
  const fourth = v128.load(bScale, 48)
  for (let half = 0; half < 2; half++) {
    // Byte 0, then 1, of all lanes; in the second turn 2 and 3.
    const a = half == 0 ? first : i32x4.shr_u(first, 16)
    const b = half == 0 ? second : i32x4.shr_u(second, 16)
    const c = half == 0 ? third : i32x4.shr_u(third, 16)
    const d = half == 0 ? fourth : i32x4.shr_u(fourth, 16)
    const ab = v128.shuffle<i8>(a, b, 0, 4, 8, 12, 16, 20, 24, 28, 1, 5, 9, 13, 17, 21, 25, 29)
    const cd = v128.shuffle<i8>(c, d, 0, 4, 8, 12, 16, 20, 24, 28, 1, 5, 9, 13, 17, 21, 25, 29)
    v128.store(mine + 32 * half, v128.shuffle<i64>(ab, cd, 0, 2))
    v128.store(mine + 32 * half, v128.shuffle<i64>(ab, cd, 1, 3), 16)
  }
}

/** What the codes of a block are multiplied by. */
function scaleOf(i: i32): f32 {
  if (format == INT8_BLOCK) return load<f32>(scales + at(i))
  if (format != NF4_DOUBLE) return load<f32>(scales + at(i), 64)
  const code = <i32>load<u8>(doubled + i)
  const value = load<f32>(scales + at(code), 64) * load<f32>(scales + at(i >> 8), 1092)
  return value + load<f32>(scales, 1088)
}

// @ts-ignore: decorator
@inline
function pick(plane: v128, index: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return i8x16.relaxed_swizzle(plane, index)
  return i8x16.swizzle(plane, index)
}

function nibble(e: i32, scale: f32, out: usize): void {
  const two = <i32>load<u8>(words + (e >> 1))
  store<f32>(out, load<f32>(scales + at(e & 1 ? two & 15 : two >> 4)) * scale)
}

/** Elements [e, end) of nf4. Sixteen at a time: the codes pick from each plane, and the four bytes of a number are joined. */
function nibbles(e: i32, end: i32, scale: f32, out: usize): void {
  if (e & 1) {
    nibble(e++, scale, out)
    out += 4
  }
  const p0 = v128.load(planes)
  const p1 = v128.load(planes, 16)
  const p2 = v128.load(planes, 32)
  const p3 = v128.load(planes, 48)
  const s = splat(scale)
  for (; e + 16 <= end; e += 16, out += 64) {
    const two = v128.load64_zero(words + (e >> 1))
    const high = i8x16.shr_u(two, 4)
    const low = v128.and(two, i8x16.splat(15))
    const index = v128.shuffle<i8>(high, low, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
    const b0 = pick(p0, index)
    const b1 = pick(p1, index)
    const b2 = pick(p2, index)
    const b3 = pick(p3, index)
    let x = v128.shuffle<i8>(b0, b1, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
    let y = v128.shuffle<i8>(b2, b3, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
    v128.store(out, f32x4.mul(v128.shuffle<i16>(x, y, 0, 8, 1, 9, 2, 10, 3, 11), s))
    v128.store(out, f32x4.mul(v128.shuffle<i16>(x, y, 4, 12, 5, 13, 6, 14, 7, 15), s), 16)
    x = v128.shuffle<i8>(b0, b1, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
    y = v128.shuffle<i8>(b2, b3, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
    v128.store(out, f32x4.mul(v128.shuffle<i16>(x, y, 0, 8, 1, 9, 2, 10, 3, 11), s), 32)
    v128.store(out, f32x4.mul(v128.shuffle<i16>(x, y, 4, 12, 5, 13, 6, 14, 7, 15), s), 48)
  }
  for (; e < end; e++, out += 4) nibble(e, scale, out)
}

/** `count` bytes with a sign. */
function bytes(p: usize, count: i32, scale: f32, out: usize): void {
  const s = splat(scale)
  let j = 0
  for (; j + 8 <= count; j += 8, p += 8, out += 32) {
    const v = v128.load_ext<i8>(p)
    v128.store(out, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(v)), s))
    v128.store(out, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(v)), s), 16)
  }
  for (; j < count; j++, p++, out += 4) store<f32>(out, <f32>(<i32>load<i8>(p)) * scale)
}

/** Writes `count` elements of a row from `column` on. */
function unpackRun(row: i32, column: i32, count: i32, out: usize): void {
  if (format == INT8) {
    return bytes(words + row * ((columns + 3) & -4) + column, count, load<f32>(scales + at(row)), out)
  }
  let e = row * columns + column
  const end = e + count
  while (e < end) {
    const i = e / block
    const stop = min(end, (i + 1) * block)
    if (format == INT8_BLOCK) bytes(words + e, stop - e, scaleOf(i), out)
    else nibbles(e, stop, scaleOf(i), out)
    out += at(stop - e)
    e = stop
  }
}

/** As packB, of the packed weight W, from k0 on: panels [from, to) of WIDTH columns as [panel][k][WIDTH]. */
export function packWords(k0: i32, k: i32, n: i32, transposed: bool, out: usize, from: i32, to: i32): void {
  if (transposed) {
    for (let panel = from; panel < to; panel++) {
      const first = panel * WIDTH
      const left = min(WIDTH, n - first)
      for (let j = 0; j < k; j += RUN) {
        const count = min(RUN, k - j)
        for (let i = 0; i < left; i++) unpackRun(first + i, k0 + j, count, scratch + at(i * count))
        memory.fill(scratch + at(left * count), 0, at((WIDTH - left) * count))
        packB(scratch, count, count, WIDTH, true, out + at(first * k + j * WIDTH), 0, 1)
      }
    }
    return
  }
  for (let panel = from; panel < to; panel += RUN / WIDTH) {
    const first = panel * WIDTH
    const count = min(n - first, min(RUN, (to - panel) * WIDTH))
    const end = scratch + at(count)
    memory.fill(end, 0, at(WIDTH - 1))
    let row = out + at(first * k)
    for (let j = 0; j < k; j++, row += at(WIDTH)) {
      unpackRun(k0 + j, first, count, scratch)
      let q = row
      for (let p = scratch; p < end; q += at(k * WIDTH)) {
        for (let c = 0; c < WIDTH; c += 4, p += 16) v128.store(q + at(c), v128.load(p))
      }
    }
  }
}

export function unpack(r: usize, thread: i32, threads: i32): void {
  const n = int(r, 4)
  const k = int(r, 5)
  const from = int(r, 6)
  const rows = int(r, 7)
  openPacked(pointer(r, 2), pointer(r, 3), n, k, int(r, 8), int(r, 9), own(r, thread))
  const end = share(rows, thread + 1, threads)
  for (let i = share(rows, thread, threads); i < end; i++) unpackRun(from + i, 0, k, pointer(r, 1) + at(i * k))
}
