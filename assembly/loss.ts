// Softmax cross entropy with integer targets and label smoothing, and its gradient. Parallel over rows.
import { at, exp4, loadPart, log1, share, splat, storePart, sumLanes } from './math'
import { float, int, pointer } from './record'
import { rowMax, rowSumExp } from './softmax'

export function crossEntropy(r: usize, thread: i32, threads: i32): void {
  const m = int(r, 5)
  const n = int(r, 6)
  const smoothing = float(r, 7)
  const end = share(m, thread + 1, threads)
  for (let i = share(m, thread, threads); i < end; i++) {
    const x = pointer(r, 3) + at(i * n)
    const target = load<i32>(pointer(r, 4) + at(i))
    const top = rowMax(x, n)
    const shifted = log1(rowSumExp(x, n, top)) // lse - top
    store<f32>(pointer(r, 2) + at(i), top + shifted)
    let loss: f32 = 0
    if (target >= 0) {
      loss = (<f32>1 - smoothing) * (shifted - (load<f32>(x + at(target)) - top))
      if (smoothing != 0) {
        let sum = splat(0)
        let j = 0
        for (; j + 4 <= n; j += 4) sum = f32x4.add(sum, f32x4.sub(v128.load(x + at(j)), splat(top)))
        let total = sumLanes(sum)
        for (; j < n; j++) total += load<f32>(x + at(j)) - top
        loss += smoothing * (shifted - total / <f32>n)
      }
    }
    store<f32>(pointer(r, 1) + at(i), loss)
  }
}

export function crossEntropyGrad(r: usize, thread: i32, threads: i32): void {
  const m = int(r, 6)
  const n = int(r, 7)
  const smoothing = float(r, 8)
  const end = share(m, thread + 1, threads)
  for (let i = share(m, thread, threads); i < end; i++) {
    const dx = pointer(r, 1) + at(i * n)
    const x = pointer(r, 3) + at(i * n)
    const target = load<i32>(pointer(r, 5) + at(i))
    const ignored = target < 0
    const dy = ignored ? <f32>0 : load<f32>(pointer(r, 2) + at(i))
    const lse = splat(load<f32>(pointer(r, 4) + at(i)))
    const g = splat(dy)
    const even = splat(smoothing / <f32>n)
    for (let j = 0; j < n; j += 4) {
      const left = n - j
      const v = left < 4 ? loadPart(x + at(j), left) : v128.load(x + at(j))
      const d = ignored ? g : f32x4.mul(g, f32x4.sub(exp4(f32x4.sub(v, lse)), even))
      if (left < 4) storePart(dx + at(j), d, left)
      else v128.store(dx + at(j), d)
    }
    if (!ignored) {
      const p = f32x4.extract_lane(exp4(f32x4.sub(splat(load<f32>(x + at(target))), lse)), 0)
      store<f32>(dx + at(target), dy * (p - (<f32>1 - smoothing) - smoothing / <f32>n))
    }
  }
}
