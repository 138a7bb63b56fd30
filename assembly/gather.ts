// Rows by index. gather is parallel over rows; scatterAdd over columns, so that rows add in their order.
import { at, ceilDiv, loadPart, share, storePart } from './math'
import { int, pointer } from './record'

export function gather(r: usize, thread: i32, threads: i32): void {
  const m = int(r, 4)
  const n = int(r, 5)
  const end = share(m, thread + 1, threads)
  for (let i = share(m, thread, threads); i < end; i++) {
    const y = pointer(r, 1) + at(i * n)
    const x = pointer(r, 2) + at(load<i32>(pointer(r, 3) + at(i)) * n)
    let j = 0
    for (; j + 4 <= n; j += 4) v128.store(y + at(j), v128.load(x + at(j)))
    if (j < n) storePart(y + at(j), loadPart(x + at(j), n - j), n - j)
  }
}

export function scatterAdd(r: usize, thread: i32, threads: i32): void {
  const m = int(r, 4)
  const n = int(r, 5)
  const blocks = ceilDiv(n, 16)
  const from = share(blocks, thread, threads) * 16
  const end = min(n, share(blocks, thread + 1, threads) * 16)
  if (from >= end) return
  for (let i = 0; i < m; i++) {
    const y = pointer(r, 1) + at(load<i32>(pointer(r, 3) + at(i)) * n)
    const x = pointer(r, 2) + at(i * n)
    let j = from
    for (; j + 4 <= end; j += 4) v128.store(y + at(j), f32x4.add(v128.load(y + at(j)), v128.load(x + at(j))))
    if (j < end) storePart(y + at(j), f32x4.add(loadPart(y + at(j), end - j), loadPart(x + at(j), end - j)), end - j)
  }
}
