// The error function in f64, and the exact GELU built on it.
// W. J. Cody, "Rational Chebyshev approximations for the error function", Math. Comp. 23 (1969), and his CALERF.

const A = [3.1611237438705655, 1.1386415415105016e2, 3.77485237685302e2, 3.2093775891384694e3, 1.8577770618460315e-1]
const B = [2.3601290952344122e1, 2.4402463793444417e2, 1.2826165260773723e3, 2.844236833439171e3]
const C = [
  5.641884969886701e-1, 8.883149794388377, 6.611919063714163e1, 2.986351381974001e2, 8.81952221241769e2,
  1.7120476126340707e3, 2.0510783778260716e3, 1.2303393547979972e3, 2.1531153547440383e-8,
]
const D = [
  1.5744926110709835e1, 1.176939508913125e2, 5.371811018620099e2, 1.6213895745666903e3, 3.2907992357334597e3,
  4.362619090143247e3, 3.4393676741437216e3, 1.2303393548037495e3,
]
const P = [
  3.0532663496123236e-1, 3.6034489994980445e-1, 1.2578172611122926e-1, 1.6083785148742275e-2, 6.587491615298378e-4,
  1.6315387137302097e-2,
]
const Q = [2.568520192289822, 1.8729528499234673, 5.279051029514285e-1, 6.051834131244132e-2, 2.3352049762686918e-3]

/** (lead z + num[0]) z + num[1] ... over (z + den[0]) z + den[1] ..., Cody's way of writing each of his ratios. */
function ratio(z: number, lead: number, num: readonly number[], den: readonly number[]): number {
  let top = lead * z
  let bottom = z
  const last = den.length - 1
  for (let i = 0; i < last; i++) {
    top = (top + num[i]!) * z
    bottom = (bottom + den[i]!) * z
  }
  return (top + num[last]!) / (bottom + den[last]!)
}

/** erfc(y) for y > 0.46875. exp(-y^2) is split so that the rounding of y^2 is not magnified. */
function tail(y: number): number {
  if (y > 27) return 0
  const r = y <= 4 ? ratio(y, C[8]!, C, D) : (1 / Math.sqrt(Math.PI) - ratio(1 / (y * y), P[5]!, P, Q) / (y * y)) / y
  const high = Math.trunc(y * 16) / 16
  return Math.exp(-high * high) * Math.exp(-(y - high) * (y + high)) * r
}

/** erf(x), error below 1e-15. */
export function erf(x: number): number {
  const y = Math.abs(x)
  if (y <= 0.46875) return x * ratio(x * x, A[4]!, A, B)
  return x > 0 ? 1 - tail(y) : tail(y) - 1
}

/** erfc(x) = 1 - erf(x), with a small relative error for large x too. */
export function erfc(x: number): number {
  if (x > 0.46875) return tail(x)
  return x < -0.46875 ? 2 - tail(-x) : 1 - erf(x)
}

/** x Phi(x), Phi the standard normal distribution function. */
export function gelu(x: number): number {
  return x === Number.NEGATIVE_INFINITY ? 0 : 0.5 * x * erfc(-x * Math.SQRT1_2)
}

/** Phi(x) + x phi(x). */
export function geluGrad(x: number): number {
  return 0.5 * erfc(-x * Math.SQRT1_2) + (x * Math.exp(-0.5 * x * x)) / Math.sqrt(2 * Math.PI)
}
