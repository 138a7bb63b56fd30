// Softmax of rows and its gradient. Parallel over rows; the maximum is taken off first.
import { at, exp4, loadPart, madd, maxLanes, share, splat, storePart, sumLanes } from './math'
import { int, pointer } from './record'

/** Largest element of a row. */
export function rowMax(x: usize, n: i32): f32 {
  let m = <f32>-Infinity
  let j = 0
  if (n >= 4) {
    let v = v128.load(x)
    for (j = 4; j + 4 <= n; j += 4) v = f32x4.max(v, v128.load(x + at(j)))
    m = maxLanes(v)
  }
  for (; j < n; j++) m = max(m, load<f32>(x + at(j)))
  return m
}

/** Sum of exp(x - top) over a row. */
export function rowSumExp(x: usize, n: i32, top: f32): f32 {
  const t = splat(top)
  let sum = splat(0)
  let j = 0
  for (; j + 4 <= n; j += 4) sum = f32x4.add(sum, exp4(f32x4.sub(v128.load(x + at(j)), t)))
  let total = sumLanes(sum)
  for (; j < n; j++) total += f32x4.extract_lane(exp4(splat(load<f32>(x + at(j)) - top)), 0)
  return total
}

export function softmax(r: usize, thread: i32, threads: i32): void {
  const m = int(r, 3)
  const n = int(r, 4)
  const end = share(m, thread + 1, threads)
  for (let i = share(m, thread, threads); i < end; i++) {
    const x = pointer(r, 2) + at(i * n)
    const y = pointer(r, 1) + at(i * n)
    const t = splat(rowMax(x, n))
    let sum = splat(0)
    let j = 0
    for (; j + 4 <= n; j += 4) {
      const e = exp4(f32x4.sub(v128.load(x + at(j)), t))
      v128.store(y + at(j), e)
      sum = f32x4.add(sum, e)
    }
    let total = sumLanes(sum)
    for (; j < n; j++) {
      const e = f32x4.extract_lane(exp4(f32x4.sub(splat(load<f32>(x + at(j))), t)), 0)
      store<f32>(y + at(j), e)
      total += e
    }
    const scale = splat(<f32>1 / total)
    for (j = 0; j + 4 <= n; j += 4) v128.store(y + at(j), f32x4.mul(v128.load(y + at(j)), scale))
    if (j < n) storePart(y + at(j), f32x4.mul(loadPart(y + at(j), n - j), scale), n - j)
  }
}

export function softmaxGrad(r: usize, thread: i32, threads: i32): void {
  const m = int(r, 4)
  const n = int(r, 5)
  const end = share(m, thread + 1, threads)
  for (let i = share(m, thread, threads); i < end; i++) {
    const dx = pointer(r, 1) + at(i * n)
    const dy = pointer(r, 2) + at(i * n)
    const y = pointer(r, 3) + at(i * n)
    let sum = splat(0)
    let j = 0
    for (; j + 4 <= n; j += 4) sum = madd(v128.load(dy + at(j)), v128.load(y + at(j)), sum)
    if (j < n) sum = madd(loadPart(dy + at(j), n - j), loadPart(y + at(j), n - j), sum)
    const dot = splat(sumLanes(sum))
    for (j = 0; j + 4 <= n; j += 4) {
      v128.store(dx + at(j), f32x4.mul(v128.load(y + at(j)), f32x4.sub(v128.load(dy + at(j)), dot)))
    }
    const left = n - j
    if (left > 0) {
      storePart(dx + at(j), f32x4.mul(loadPart(y + at(j), left), f32x4.sub(loadPart(dy + at(j), left), dot)), left)
    }
  }
}
