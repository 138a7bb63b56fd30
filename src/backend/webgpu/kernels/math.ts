// WGSL functions that kernels share: NaN-keeping max, exp, log, tanh, sigmoid, gelu. Each states its error against f64.
// The language's own exp and log are too loose for the tests (exp: |x| ULP), so these are those of assembly/math.ts.

/** is_nan by its bits: compilers may take `x != x` to be false. infinity(): constants may not be infinite. */
export const bitsText = `
fn is_nan(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u; }
var<private> infinity_bits: u32 = 0x7f800000u;
var<private> nan_bits: u32 = 0x7fc00000u;
fn infinity() -> f32 { return bitcast<f32>(infinity_bits); }
fn nan() -> f32 { return bitcast<f32>(nan_bits); }
`

/** max2, min2: NaN where either is NaN. Needs bitsText. */
export const extremaText = `
fn max2(a: f32, b: f32) -> f32 { return select(select(b, a, a > b), a, is_nan(a)); }
fn min2(a: f32, b: f32) -> f32 { return select(select(b, a, a < b), a, is_nan(a)); }
`

/**
 * exp1(x): about 1 ULP on [-87, 88.7]; 0 below about -104, infinity above 88.73, NaN kept (Cephes expf).
 * 2^n is applied in two factors, so that the ends of the range neither overflow nor lose more than subnormals.
 */
export const expText = `
fn exp1(x0: f32) -> f32 {
  let x = select(select(x0, 89.0, x0 > 89.0), -104.0, x0 < -104.0);
  let n = floor(fma(x, 1.44269504, 0.5));
  let r = fma(n, 2.12194440e-4, fma(n, -0.693359375, x));
  var p = fma(1.9875691500e-4, r, 1.3981999507e-3);
  p = fma(p, r, 8.3334519073e-3);
  p = fma(p, r, 4.1665795894e-2);
  p = fma(p, r, 1.6666665459e-1);
  p = fma(p, r, 5.0000001201e-1);
  p = fma(p, r * r, r) + 1.0;
  let k = i32(n);
  let k1 = k >> 1u;
  let k2 = k - k1;
  return p * bitcast<f32>((k1 + 127) << 23u) * bitcast<f32>((k2 + 127) << 23u);
}
`

/** log1(x): about 1 ULP for positive normal x; log 0 = -infinity, of a negative NaN (Cephes logf). Needs bitsText. */
export const logText = `
fn log1(x0: f32) -> f32 {
  let tiny = x0 < 1.17549435e-38;
  let bits = bitcast<u32>(select(x0, x0 * 8388608.0, tiny));
  var e = f32(i32((bits >> 23u) & 255u) - 126) - select(0.0, 23.0, tiny);
  var m = bitcast<f32>((bits & 0x007fffffu) | 0x3f000000u);
  if (m < 0.70710678) {
    e -= 1.0;
    m += m;
  }
  m -= 1.0;
  let z = m * m;
  var p = fma(7.0376836292e-2, m, -1.1514610310e-1);
  p = fma(p, m, 1.1676998740e-1);
  p = fma(p, m, -1.2420140846e-1);
  p = fma(p, m, 1.4249322787e-1);
  p = fma(p, m, -1.6668057665e-1);
  p = fma(p, m, 2.0000714765e-1);
  p = fma(p, m, -2.4999993993e-1);
  p = fma(p, m, 3.3333331174e-1);
  p = p * m * z;
  p = fma(e, -2.12194440e-4, p);
  p = fma(z, -0.5, p);
  p = fma(e, 0.693359375, m + p);
  if (x0 == 0.0) { p = -infinity(); }
  if (x0 < 0.0) { p = nan(); }
  return select(p, x0, is_nan(x0) || bitcast<u32>(x0) == infinity_bits);
}
`

/** tanh1(x): about 3 ULP (Cephes tanhf). Needs expText. */
export const tanhText = `
fn tanh1(x: f32) -> f32 {
  let z = x * x;
  var p = fma(-5.70498872745e-3, z, 2.06390887954e-2);
  p = fma(p, z, -5.37397155531e-2);
  p = fma(p, z, 1.33314422036e-1);
  p = fma(p, z, -3.33332819422e-1);
  let e = exp1(-2.0 * abs(x));
  let far = (1.0 - e) / (1.0 + e);
  return select(select(far, -far, x < 0.0), fma(p * z, x, x), abs(x) < 0.625);
}
`

/** sigmoid1(x) = 1 / (1 + e^-x): about 3 ULP; e^-|x| cannot overflow. Needs expText. */
export const sigmoidText = `
fn sigmoid1(x: f32) -> f32 {
  let e = exp1(-abs(x));
  return select(1.0, e, x < 0.0) / (1.0 + e);
}
`

/**
 * gelu2(x): x Phi(x), by erf, and its slope Phi(x) + x phi(x): absolute error at most 5e-7 and 3e-7.
 * normal_cdf(x, e), e = exp(-x^2 / 2): the tail is e t P(t), t = 1 / (1 + 0.304 |x|), relative error 1e-7 on [0, 14].
 * Needs expText.
 */
export const geluText = `
fn normal_cdf(x: f32, e: f32) -> f32 {
  let t = 1.0 / fma(abs(x), 0.304, 1.0);
  var p = fma(t, 0.036624125595939236, -0.1543488033717241);
  p = fma(p, t, 0.1905952014377532);
  p = fma(p, t, -0.04170093446576478);
  p = fma(p, t, 0.12281626495096024);
  p = fma(p, t, 0.10264073115879052);
  p = fma(p, t, 0.12213654837386745);
  p = fma(p, t, 0.1212368663796836);
  let tail = p * t * e;
  return select(1.0 - tail, tail, x < 0.0);
}
fn gelu2(x: f32) -> vec2f {
  let e = exp1(-0.5 * x * x);
  let cdf = normal_cdf(x, e);
  return vec2f(x * cdf, fma(x * 0.3989422804014327, e, cdf));
}
`

/** Everything, in an order in which each finds what it needs. */
export const mathText = bitsText + extremaText + expText + logText + tanhText + sigmoidText + geluText
