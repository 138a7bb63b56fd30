// The optimizers' update of a list of parameters, in place, and the norm of a list of gradients: AdamW, SGD and clipping
// as PyTorch does them. A record holds a few entries of the lists, each its pointers, its length and its first piece
// (of NORM_PIECE elements, counted over all records of the call). Parallel over elements, or over pieces.
import { at, ceilDiv, loadPart, madd, share, splat, storePart } from './math'
import { CHUNKS, float, int, PHASE, pointer, SHARED } from './record'
import { rowSum } from './reduce'

/** Elements whose squares are added up at a time; src/backend/wasm/plan.ts has the same number. */
const NORM_PIECE = 16384

// @ts-ignore: decorator
@inline
function get(p: usize, left: i32): v128 {
  return left < 4 ? loadPart(p, left) : v128.load(p)
}

// @ts-ignore: decorator
@inline
function put(p: usize, v: v128, left: i32): void {
  if (left < 4) storePart(p, v, left)
  else v128.store(p, v)
}

export function adamw(r: usize, thread: i32, threads: i32): void {
  const hyper = pointer(r, 1)
  const gradScale = pointer(r, 2)
  const lr = load<f32>(hyper)
  const beta1 = splat(load<f32>(hyper, 4))
  const beta2 = splat(load<f32>(hyper, 8))
  const eps = splat(load<f32>(hyper, 12))
  const step = splat(-lr / load<f32>(hyper, 16))
  const root = splat(<f32>1 / sqrt<f32>(load<f32>(hyper, 20)))
  const keep1 = splat(<f32>1 - load<f32>(hyper, 4))
  const keep2 = splat(<f32>1 - load<f32>(hyper, 8))
  const shrink = splat(<f32>1 - lr * float(r, 3))
  const scale = splat(gradScale == 0 ? <f32>1 : load<f32>(gradScale))
  let entry = 5
  for (let i = int(r, 4); i > 0; i--, entry += 6) {
    const n = int(r, entry + 4)
    const blocks = ceilDiv(n, 16)
    const end = min(n, share(blocks, thread + 1, threads) * 16)
    for (let j = share(blocks, thread, threads) * 16; j < end; j += 4) {
      const left = end - j
      const p = pointer(r, entry) + at(j)
      const m = pointer(r, entry + 1) + at(j)
      const v = pointer(r, entry + 2) + at(j)
      const g = f32x4.mul(get(pointer(r, entry + 3) + at(j), left), scale)
      const m1 = madd(g, keep1, f32x4.mul(get(m, left), beta1))
      const v1 = madd(f32x4.mul(g, g), keep2, f32x4.mul(get(v, left), beta2))
      put(m, m1, left)
      put(v, v1, left)
      const down = f32x4.div(m1, madd(f32x4.sqrt(v1), root, eps))
      put(p, madd(down, step, f32x4.mul(get(p, left), shrink)), left)
    }
  }
}

export function sgd(r: usize, thread: i32, threads: i32): void {
  const hyper = pointer(r, 1)
  const gradScale = pointer(r, 2)
  const step = splat(-load<f32>(hyper))
  const momentum = splat(load<f32>(hyper, 4))
  const decay = splat(float(r, 3))
  const nesterov = int(r, 4) != 0
  const scale = splat(gradScale == 0 ? <f32>1 : load<f32>(gradScale))
  let entry = 6
  for (let i = int(r, 5); i > 0; i--, entry += 5) {
    const n = int(r, entry + 3)
    const blocks = ceilDiv(n, 16)
    const end = min(n, share(blocks, thread + 1, threads) * 16)
    for (let j = share(blocks, thread, threads) * 16; j < end; j += 4) {
      const left = end - j
      const p = pointer(r, entry) + at(j)
      const b = pointer(r, entry + 1) + at(j)
      const value = get(p, left)
      const g = madd(decay, value, f32x4.mul(get(pointer(r, entry + 2) + at(j), left), scale))
      const buffer = madd(momentum, get(b, left), g)
      put(b, buffer, left)
      put(p, madd(nesterov ? madd(momentum, buffer, g) : buffer, step, value), left)
    }
  }
}

/** Phase 0: sums of squares by piece, f64, to shared scratch. Phase 1, one thread: the norm and the factor. */
export function clipNorm(r: usize, thread: i32, threads: i32): void {
  const pieces = pointer(r, SHARED)
  if (int(r, PHASE) == 1) {
    let sum: f64 = 0
    const count = int(r, CHUNKS)
    for (let i = 0; i < count; i++) sum += load<f64>(pieces + ((<usize>i) << 3))
    const norm = sqrt<f64>(sum)
    store<f32>(pointer(r, 1), <f32>norm)
    store<f32>(pointer(r, 2), <f32>min<f64>(1, <f64>float(r, 3) / (norm + 1e-6)))
    return
  }
  let entry = 5
  for (let i = int(r, 4); i > 0; i--, entry += 3) {
    const n = int(r, entry + 1)
    const own = ceilDiv(n, NORM_PIECE)
    const end = share(own, thread + 1, threads)
    for (let c = share(own, thread, threads); c < end; c++) {
      const from = c * NORM_PIECE
      const sum = rowSum(pointer(r, entry) + at(from), min(NORM_PIECE, n - from), true)
      store<f64>(pieces + ((<usize>(int(r, entry + 2) + c)) << 3), sum)
    }
  }
}
