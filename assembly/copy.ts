// Strided copy over six dimensions. Neighbouring dimensions that step alike are merged first; runs with unit steps
// are copied by vectors. Parallel over the flat index of y; on one thread where elements of y repeat (a step of 0).
import { at, loadPart, share, storePart } from './math'
import { int, pointer } from './record'

// The merged dimensions, innermost first. Each thread has its own instance, so globals are private.
let d0: i32, d1: i32, d2: i32, d3: i32, d4: i32, d5: i32
let ys0: i32, ys1: i32, ys2: i32, ys3: i32, ys4: i32, ys5: i32
let xs0: i32, xs1: i32, xs2: i32, xs3: i32, xs4: i32, xs5: i32

function put(k: i32, d: i32, ys: i32, xs: i32): void {
  switch (k) {
    case 0: {
      d0 = d
      ys0 = ys
      xs0 = xs
      break
    }
    case 1: {
      d1 = d
      ys1 = ys
      xs1 = xs
      break
    }
    case 2: {
      d2 = d
      ys2 = ys
      xs2 = xs
      break
    }
    case 3: {
      d3 = d
      ys3 = ys
      xs3 = xs
      break
    }
    case 4: {
      d4 = d
      ys4 = ys
      xs4 = xs
      break
    }
    default: {
      d5 = d
      ys5 = ys
      xs5 = xs
    }
  }
}

/** One run of `n` elements; i32 and f32 words alike unless accumulating. */
function run(y: usize, x: usize, n: i32, ys: i32, xs: i32, accumulate: bool): void {
  if (ys == 1 && xs == 1) {
    let j = 0
    if (accumulate) {
      for (; j + 4 <= n; j += 4) v128.store(y + at(j), f32x4.add(v128.load(y + at(j)), v128.load(x + at(j))))
      if (j < n) storePart(y + at(j), f32x4.add(loadPart(y + at(j), n - j), loadPart(x + at(j), n - j)), n - j)
    } else {
      for (; j + 4 <= n; j += 4) v128.store(y + at(j), v128.load(x + at(j)))
      if (j < n) storePart(y + at(j), loadPart(x + at(j), n - j), n - j)
    }
    return
  }
  const yStep = at(ys)
  const xStep = at(xs)
  if (accumulate) {
    for (let j = 0; j < n; j++, y += yStep, x += xStep) store<f32>(y, load<f32>(y) + load<f32>(x))
  } else {
    for (let j = 0; j < n; j++, y += yStep, x += xStep) store<i32>(y, load<i32>(x))
  }
}

export function copy(r: usize, thread: i32, threads: i32): void {
  const y = pointer(r, 1) + at(int(r, 21))
  const x = pointer(r, 2) + at(int(r, 22))
  const accumulate = int(r, 23) != 0
  for (let k = 0; k < 6; k++) put(k, 1, 0, 0)
  let k = 0
  let d = 1
  let ys = 1
  let xs = 1
  let total = 1
  let repeats = false
  for (let j = 5; j >= 0; j--) {
    const dj = int(r, 3 + j)
    const yj = int(r, 9 + j)
    const xj = int(r, 15 + j)
    total *= dj
    if (dj == 1) continue
    if (yj == 0) repeats = true
    if (d == 1) {
      d = dj
      ys = yj
      xs = xj
    } else if (yj == d * ys && xj == d * xs) {
      d *= dj
    } else {
      put(k++, d, ys, xs)
      d = dj
      ys = yj
      xs = xj
    }
  }
  put(k, d, ys, xs)
  if (total == 0) return
  let lo = 0
  let hi = total
  if (repeats) {
    if (thread != 0) return
  } else {
    // Shares end at whole runs where there are enough of them, else anywhere (multiples of 16).
    const unit = total / d0 >= threads ? d0 : 16
    const units = (total + unit - 1) / unit
    lo = min(total, share(units, thread, threads) * unit)
    hi = min(total, share(units, thread + 1, threads) * unit)
  }
  while (lo < hi) {
    const i0 = lo % d0
    let q = lo / d0
    const n = min(d0 - i0, hi - lo)
    let yo = i0 * ys0
    let xo = i0 * xs0
    let i = q % d1
    q /= d1
    yo += i * ys1
    xo += i * xs1
    i = q % d2
    q /= d2
    yo += i * ys2
    xo += i * xs2
    i = q % d3
    q /= d3
    yo += i * ys3
    xo += i * xs3
    i = q % d4
    q /= d4
    yo += i * ys4
    xo += i * xs4
    yo += q * ys5
    xo += q * xs5
    run(y + at(yo), x + at(xo), n, ys0, xs0, accumulate)
    lo += n
  }
}
