// The optimizers' update of one parameter, in place: AdamW and SGD as PyTorch does them. Parallel over elements.
import { at, ceilDiv, loadPart, madd, share, splat, storePart } from './math'
import { float, int, pointer } from './record'

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
  const hyper = pointer(r, 5)
  const gradScale = pointer(r, 6)
  const n = int(r, 7)
  const lr = load<f32>(hyper)
  const beta1 = splat(load<f32>(hyper, 4))
  const beta2 = splat(load<f32>(hyper, 8))
  const eps = splat(load<f32>(hyper, 12))
  const step = splat(-lr / load<f32>(hyper, 16))
  const root = splat(<f32>1 / sqrt<f32>(load<f32>(hyper, 20)))
  const keep1 = splat(<f32>1 - load<f32>(hyper, 4))
  const keep2 = splat(<f32>1 - load<f32>(hyper, 8))
  const shrink = splat(<f32>1 - lr * float(r, 8))
  const scale = splat(gradScale == 0 ? <f32>1 : load<f32>(gradScale))
  const blocks = ceilDiv(n, 16)
  const end = min(n, share(blocks, thread + 1, threads) * 16)
  for (let j = share(blocks, thread, threads) * 16; j < end; j += 4) {
    const left = end - j
    const p = pointer(r, 1) + at(j)
    const m = pointer(r, 2) + at(j)
    const v = pointer(r, 3) + at(j)
    const g = f32x4.mul(get(pointer(r, 4) + at(j), left), scale)
    const m1 = madd(g, keep1, f32x4.mul(get(m, left), beta1))
    const v1 = madd(f32x4.mul(g, g), keep2, f32x4.mul(get(v, left), beta2))
    put(m, m1, left)
    put(v, v1, left)
    const down = f32x4.div(m1, madd(f32x4.sqrt(v1), root, eps))
    put(p, madd(down, step, f32x4.mul(get(p, left), shrink)), left)
  }
}

export function sgd(r: usize, thread: i32, threads: i32): void {
  const hyper = pointer(r, 4)
  const gradScale = pointer(r, 5)
  const n = int(r, 6)
  const step = splat(-load<f32>(hyper))
  const momentum = splat(load<f32>(hyper, 4))
  const decay = splat(float(r, 7))
  const nesterov = int(r, 8) != 0
  const scale = splat(gradScale == 0 ? <f32>1 : load<f32>(gradScale))
  const blocks = ceilDiv(n, 16)
  const end = min(n, share(blocks, thread + 1, threads) * 16)
  for (let j = share(blocks, thread, threads) * 16; j < end; j += 4) {
    const left = end - j
    const p = pointer(r, 1) + at(j)
    const b = pointer(r, 2) + at(j)
    const value = get(p, left)
    const g = madd(decay, value, f32x4.mul(get(pointer(r, 3) + at(j), left), scale))
    const buffer = madd(momentum, get(b, left), g)
    put(b, buffer, left)
    put(p, madd(nesterov ? madd(momentum, buffer, g) : buffer, step, value), left)
  }
}
