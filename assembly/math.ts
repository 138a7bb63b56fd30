// Vector arithmetic shared by the kernels: multiply-add, exp, log, tanh, gelu, partial loads and stores.
// Four f32 lanes at a time. Every approximation states its error against f64. No tables, so no data segment.

/** a b + c; fused where the relaxed variant is built. */
// @ts-ignore: decorator
@inline
export function madd(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_madd(a, b, c)
  return f32x4.add(f32x4.mul(a, b), c)
}

// @ts-ignore: decorator
@inline
export function splat(x: f32): v128 {
  return f32x4.splat(x)
}

/** Share `thread` of `units`: where it starts (and, for thread + 1, where it ends). */
// @ts-ignore: decorator
@inline
export function share(units: i32, thread: i32, threads: i32): i32 {
  return <i32>((<i64>units * <i64>thread) / <i64>threads)
}

// @ts-ignore: decorator
@inline
export function ceilDiv(a: i32, b: i32): i32 {
  return (a + b - 1) / b
}

/** Byte offset of element i. */
// @ts-ignore: decorator
@inline
export function at(i: i32): usize {
  return (<usize>i) << 2
}

/** The first `count` (1 to 3) lanes from memory, the others 0. */
export function loadPart(p: usize, count: i32): v128 {
  if (count == 1) return v128.load32_zero(p)
  const two = v128.load64_zero(p)
  return count == 2 ? two : v128.load_lane<f32>(p, two, 2, 8)
}

/** Stores the first `count` (1 to 3) lanes. */
export function storePart(p: usize, v: v128, count: i32): void {
  if (count == 1) {
    v128.store_lane<f32>(p, v, 0)
    return
  }
  v128.store_lane<i64>(p, v, 0)
  if (count == 3) v128.store_lane<f32>(p, v, 2, 8)
}

/** Sum of the four lanes, pairwise. */
// @ts-ignore: decorator
@inline
export function sumLanes(v: v128): f32 {
  return f32x4.extract_lane(v, 0) + f32x4.extract_lane(v, 2) + (f32x4.extract_lane(v, 1) + f32x4.extract_lane(v, 3))
}

// @ts-ignore: decorator
@inline
export function maxLanes(v: v128): f32 {
  return max(
    max(f32x4.extract_lane(v, 0), f32x4.extract_lane(v, 2)),
    max(f32x4.extract_lane(v, 1), f32x4.extract_lane(v, 3)),
  )
}

/** e^x, at most 1 ULP on [-87, 88.7]; 0 below about -104, infinity above 88.73, NaN kept (Cephes expf). */
// @ts-ignore: decorator
@inline
export function exp4(x0: v128): v128 {
  const x = f32x4.pmax(f32x4.pmin(x0, splat(89)), splat(-104))
  // Adding 1.5 * 2^23 rounds to an integer that sits in the low bits.
  const z = madd(x, splat(1.44269504088896341), splat(12582912))
  const n = f32x4.sub(z, splat(12582912))
  let r = madd(n, splat(-0.693359375), x)
  r = madd(n, splat(2.1219444e-4), r)
  let p = madd(splat(1.98756915e-4), r, splat(1.3981999507e-3))
  p = madd(p, r, splat(8.3334519073e-3))
  p = madd(p, r, splat(4.1665795894e-2))
  p = madd(p, r, splat(1.6666665459e-1))
  p = madd(p, r, splat(5.0000001201e-1))
  p = f32x4.add(madd(p, f32x4.mul(r, r), r), splat(1))
  // 2^n in two factors, so that the ends of the range neither overflow nor lose their subnormals.
  const k = i32x4.sub(z, i32x4.splat(0x4b400000))
  const k1 = i32x4.shr_s(k, 1)
  const k2 = i32x4.sub(k, k1)
  const one = i32x4.splat(127)
  p = f32x4.mul(p, i32x4.shl(i32x4.add(k1, one), 23))
  return f32x4.mul(p, i32x4.shl(i32x4.add(k2, one), 23))
}

/**
 * e^x for x <= 0 (softmax, gelu), at most 1 ULP on [-80, 0]; below it stays at e^-80, about 2e-35, since products with
 * anything smaller may be subnormal numbers, which take processors some 100 cycles.
 */
// @ts-ignore: decorator
@inline
export function expNegative4(x0: v128): v128 {
  const x = f32x4.pmax(x0, splat(-80))
  const z = madd(x, splat(1.44269504088896341), splat(12582912))
  const n = f32x4.sub(z, splat(12582912))
  let r = madd(n, splat(-0.693359375), x)
  r = madd(n, splat(2.1219444e-4), r)
  let p = madd(splat(1.98756915e-4), r, splat(1.3981999507e-3))
  p = madd(p, r, splat(8.3334519073e-3))
  p = madd(p, r, splat(4.1665795894e-2))
  p = madd(p, r, splat(1.6666665459e-1))
  p = madd(p, r, splat(5.0000001201e-1))
  p = f32x4.add(madd(p, f32x4.mul(r, r), r), splat(1))
  return f32x4.mul(p, i32x4.shl(i32x4.add(z, i32x4.splat(127)), 23))
}

/**
 * e^x for 16 numbers x <= 0 in place, by expNegative4's arithmetic. Four vectors at a time, because the constants cost as
 * much to make as to use, and so that one vector's latency hides behind the others'.
 */
export function expNegative16(p: usize): void {
  const least = splat(-80)
  let x0 = f32x4.pmax(v128.load(p), least)
  let x1 = f32x4.pmax(v128.load(p, 16), least)
  let x2 = f32x4.pmax(v128.load(p, 32), least)
  let x3 = f32x4.pmax(v128.load(p, 48), least)
  const shift = splat(12582912)
  const perLog2 = splat(1.44269504088896341)
  const z0 = madd(x0, perLog2, shift)
  const z1 = madd(x1, perLog2, shift)
  const z2 = madd(x2, perLog2, shift)
  const z3 = madd(x3, perLog2, shift)
  let n0 = f32x4.sub(z0, shift)
  let n1 = f32x4.sub(z1, shift)
  let n2 = f32x4.sub(z2, shift)
  let n3 = f32x4.sub(z3, shift)
  const high = splat(-0.693359375)
  x0 = madd(n0, high, x0)
  x1 = madd(n1, high, x1)
  x2 = madd(n2, high, x2)
  x3 = madd(n3, high, x3)
  const low = splat(2.1219444e-4)
  x0 = madd(n0, low, x0)
  x1 = madd(n1, low, x1)
  x2 = madd(n2, low, x2)
  x3 = madd(n3, low, x3)
  const c6 = splat(1.98756915e-4)
  let c = splat(1.3981999507e-3)
  n0 = madd(c6, x0, c)
  n1 = madd(c6, x1, c)
  n2 = madd(c6, x2, c)
  n3 = madd(c6, x3, c)
  c = splat(8.3334519073e-3)
  n0 = madd(n0, x0, c)
  n1 = madd(n1, x1, c)
  n2 = madd(n2, x2, c)
  n3 = madd(n3, x3, c)
  c = splat(4.1665795894e-2)
  n0 = madd(n0, x0, c)
  n1 = madd(n1, x1, c)
  n2 = madd(n2, x2, c)
  n3 = madd(n3, x3, c)
  c = splat(1.6666665459e-1)
  n0 = madd(n0, x0, c)
  n1 = madd(n1, x1, c)
  n2 = madd(n2, x2, c)
  n3 = madd(n3, x3, c)
  c = splat(5.0000001201e-1)
  n0 = madd(n0, x0, c)
  n1 = madd(n1, x1, c)
  n2 = madd(n2, x2, c)
  n3 = madd(n3, x3, c)
  c = splat(1)
  n0 = f32x4.add(madd(n0, f32x4.mul(x0, x0), x0), c)
  n1 = f32x4.add(madd(n1, f32x4.mul(x1, x1), x1), c)
  n2 = f32x4.add(madd(n2, f32x4.mul(x2, x2), x2), c)
  n3 = f32x4.add(madd(n3, f32x4.mul(x3, x3), x3), c)
  const bias = i32x4.splat(127)
  v128.store(p, f32x4.mul(n0, i32x4.shl(i32x4.add(z0, bias), 23)))
  v128.store(p, f32x4.mul(n1, i32x4.shl(i32x4.add(z1, bias), 23)), 16)
  v128.store(p, f32x4.mul(n2, i32x4.shl(i32x4.add(z2, bias), 23)), 32)
  v128.store(p, f32x4.mul(n3, i32x4.shl(i32x4.add(z3, bias), 23)), 48)
}

/** Natural logarithm, at most 1 ULP for positive finite x; log 0 = -infinity, log of a negative = NaN (Cephes logf). */
export function log4(x0: v128): v128 {
  const tiny = f32x4.lt(x0, splat(1.17549435e-38))
  const x = v128.bitselect(f32x4.mul(x0, splat(8388608)), x0, tiny)
  let e = f32x4.convert_i32x4_s(i32x4.sub(i32x4.shr_u(x, 23), i32x4.splat(126)))
  e = f32x4.sub(e, v128.and(tiny, splat(23)))
  let m = v128.or(v128.and(x, i32x4.splat(0x007fffff)), i32x4.splat(0x3f000000)) // [0.5, 1)
  const low = f32x4.lt(m, splat(0.707106781186547524))
  e = f32x4.sub(e, v128.and(low, splat(1)))
  m = f32x4.sub(f32x4.add(m, v128.and(low, m)), splat(1))
  const z = f32x4.mul(m, m)
  let p = madd(splat(7.0376836292e-2), m, splat(-1.151461031e-1))
  p = madd(p, m, splat(1.167699874e-1))
  p = madd(p, m, splat(-1.2420140846e-1))
  p = madd(p, m, splat(1.4249322787e-1))
  p = madd(p, m, splat(-1.6668057665e-1))
  p = madd(p, m, splat(2.0000714765e-1))
  p = madd(p, m, splat(-2.4999993993e-1))
  p = madd(p, m, splat(3.3333331174e-1))
  p = f32x4.mul(f32x4.mul(p, m), z)
  p = madd(e, splat(-2.1219444e-4), p)
  p = madd(z, splat(-0.5), p)
  p = madd(e, splat(0.693359375), f32x4.add(m, p))
  p = v128.bitselect(splat(-Infinity), p, f32x4.eq(x0, splat(0)))
  p = v128.bitselect(x0, p, f32x4.eq(x0, splat(Infinity)))
  return v128.bitselect(splat(NaN), p, v128.or(f32x4.lt(x0, splat(0)), f32x4.ne(x0, x0)))
}

/** log of one number. */
export function log1(x: f32): f32 {
  return f32x4.extract_lane(log4(splat(x)), 0)
}

/**
 * Phi(-a) for a >= 0 given e = exp(-a^2 / 2), Phi the standard normal distribution function (1 + erf(x / sqrt 2)) / 2:
 * e t P(t), t = 1 / (1 + 0.304 a), a minimax fit of degree 7 with relative error 1e-7 on [0, 14].
 */
// @ts-ignore: decorator
@inline
function normalTail4(a: v128, e: v128): v128 {
  const t = f32x4.div(splat(1), madd(a, splat(0.304), splat(1)))
  let p = madd(t, splat(0.036624125595939236), splat(-0.1543488033717241))
  p = madd(p, t, splat(0.1905952014377532))
  p = madd(p, t, splat(-0.04170093446576478))
  p = madd(p, t, splat(0.12281626495096024))
  p = madd(p, t, splat(0.10264073115879052))
  p = madd(p, t, splat(0.12213654837386745))
  p = madd(p, t, splat(0.1212368663796836))
  return f32x4.mul(f32x4.mul(p, t), e)
}

/** Phi(x) from the tail on the side of x. */
// @ts-ignore: decorator
@inline
function normalCdf4(x: v128, tail: v128): v128 {
  return v128.bitselect(tail, f32x4.sub(splat(1), tail), f32x4.lt(x, splat(0)))
}

/** x Phi(x) (GELU by erf): at most 8 ULP for x >= 0, relative error at most 2e-6 on [-6, 0]. */
// @ts-ignore: decorator
@inline
export function gelu4(x: v128): v128 {
  const e = expNegative4(f32x4.mul(f32x4.mul(x, x), splat(-0.5)))
  return f32x4.mul(x, normalCdf4(x, normalTail4(f32x4.abs(x), e)))
}

/** Phi(x) + x phi(x), the slope of gelu: absolute error at most 3e-7. */
// @ts-ignore: decorator
@inline
export function geluGrad4(x: v128): v128 {
  const e = expNegative4(f32x4.mul(f32x4.mul(x, x), splat(-0.5)))
  const cdf = normalCdf4(x, normalTail4(f32x4.abs(x), e))
  return madd(f32x4.mul(x, splat(0.3989422804014327)), e, cdf)
}

/** Phi(x) for the 16 numbers at p goes to out, e^(-x^2 / 2) to exps, by the arithmetic of gelu4. */
function normalCdf16(p: usize, out: usize, exps: usize): void {
  const half = splat(-0.5)
  const x0 = v128.load(p)
  const x1 = v128.load(p, 16)
  const x2 = v128.load(p, 32)
  const x3 = v128.load(p, 48)
  v128.store(exps, f32x4.mul(f32x4.mul(x0, x0), half))
  v128.store(exps, f32x4.mul(f32x4.mul(x1, x1), half), 16)
  v128.store(exps, f32x4.mul(f32x4.mul(x2, x2), half), 32)
  v128.store(exps, f32x4.mul(f32x4.mul(x3, x3), half), 48)
  expNegative16(exps)
  const one = splat(1)
  let c = splat(0.304)
  const t0 = f32x4.div(one, madd(f32x4.abs(x0), c, one))
  const t1 = f32x4.div(one, madd(f32x4.abs(x1), c, one))
  const t2 = f32x4.div(one, madd(f32x4.abs(x2), c, one))
  const t3 = f32x4.div(one, madd(f32x4.abs(x3), c, one))
  c = splat(0.036624125595939236)
  let d = splat(-0.1543488033717241)
  let p0 = madd(t0, c, d)
  let p1 = madd(t1, c, d)
  let p2 = madd(t2, c, d)
  let p3 = madd(t3, c, d)
  d = splat(0.1905952014377532)
  p0 = madd(p0, t0, d)
  p1 = madd(p1, t1, d)
  p2 = madd(p2, t2, d)
  p3 = madd(p3, t3, d)
  d = splat(-0.04170093446576478)
  p0 = madd(p0, t0, d)
  p1 = madd(p1, t1, d)
  p2 = madd(p2, t2, d)
  p3 = madd(p3, t3, d)
  d = splat(0.12281626495096024)
  p0 = madd(p0, t0, d)
  p1 = madd(p1, t1, d)
  p2 = madd(p2, t2, d)
  p3 = madd(p3, t3, d)
  d = splat(0.10264073115879052)
  p0 = madd(p0, t0, d)
  p1 = madd(p1, t1, d)
  p2 = madd(p2, t2, d)
  p3 = madd(p3, t3, d)
  d = splat(0.12213654837386745)
  p0 = madd(p0, t0, d)
  p1 = madd(p1, t1, d)
  p2 = madd(p2, t2, d)
  p3 = madd(p3, t3, d)
  d = splat(0.1212368663796836)
  p0 = madd(p0, t0, d)
  p1 = madd(p1, t1, d)
  p2 = madd(p2, t2, d)
  p3 = madd(p3, t3, d)
  p0 = f32x4.mul(f32x4.mul(p0, t0), v128.load(exps))
  p1 = f32x4.mul(f32x4.mul(p1, t1), v128.load(exps, 16))
  p2 = f32x4.mul(f32x4.mul(p2, t2), v128.load(exps, 32))
  p3 = f32x4.mul(f32x4.mul(p3, t3), v128.load(exps, 48))
  d = splat(0)
  v128.store(out, v128.bitselect(p0, f32x4.sub(one, p0), f32x4.lt(x0, d)))
  v128.store(out, v128.bitselect(p1, f32x4.sub(one, p1), f32x4.lt(x1, d)), 16)
  v128.store(out, v128.bitselect(p2, f32x4.sub(one, p2), f32x4.lt(x2, d)), 32)
  v128.store(out, v128.bitselect(p3, f32x4.sub(one, p3), f32x4.lt(x3, d)), 48)
}

/** gelu of 16 numbers in place; `scratch` holds 32. */
export function gelu16(p: usize, scratch: usize): void {
  normalCdf16(p, scratch, scratch + 64)
  v128.store(p, f32x4.mul(v128.load(p), v128.load(scratch)))
  v128.store(p, f32x4.mul(v128.load(p, 16), v128.load(scratch, 16)), 16)
  v128.store(p, f32x4.mul(v128.load(p, 32), v128.load(scratch, 32)), 32)
  v128.store(p, f32x4.mul(v128.load(p, 48), v128.load(scratch, 48)), 48)
}

/** gelu of 16 numbers in place, where `act`, and its slope there at `slopes`; `scratch` holds 32. */
export function geluGrad16(p: usize, slopes: usize, act: bool, scratch: usize): void {
  normalCdf16(p, scratch, scratch + 64)
  const c = splat(0.3989422804014327)
  for (let end = p + 64; p < end; p += 16, slopes += 16, scratch += 16) {
    const x = v128.load(p)
    const cdf = v128.load(scratch)
    if (act) v128.store(p, f32x4.mul(x, cdf))
    v128.store(slopes, madd(f32x4.mul(x, c), v128.load(scratch, 64), cdf))
  }
}

/** tanh(x), at most 3 ULP (Cephes tanhf). */
// @ts-ignore: decorator
@inline
export function tanh4(x: v128): v128 {
  const z = f32x4.mul(x, x)
  let p = madd(splat(-5.70498872745e-3), z, splat(2.06390887954e-2))
  p = madd(p, z, splat(-5.37397155531e-2))
  p = madd(p, z, splat(1.33314422036e-1))
  p = madd(p, z, splat(-3.33332819422e-1))
  const near = madd(f32x4.mul(p, z), x, x)
  const e = exp4(f32x4.mul(x, splat(2)))
  const far = f32x4.sub(splat(1), f32x4.div(splat(2), f32x4.add(e, splat(1))))
  return v128.bitselect(near, far, f32x4.lt(f32x4.abs(x), splat(0.625)))
}

/** 1 / (1 + e^-x), at most 3 ULP on [-20, 20]. */
// @ts-ignore: decorator
@inline
export function sigmoid4(x: v128): v128 {
  return f32x4.div(splat(1), f32x4.add(splat(1), exp4(f32x4.neg(x))))
}
