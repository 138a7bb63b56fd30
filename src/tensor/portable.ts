// Logarithm and exponential with the same bits in every engine: made of +, -, * and / alone, which IEEE 754 rounds one way,
// while engines may differ in the last digit of Math.log and Math.exp. For random numbers; not for speed.

/** ln x for finite x > 0, relative error below 1e-14. */
export function log(x: number): number {
  let exponent = 0
  let m = x
  for (; m < Math.SQRT1_2; m *= 2) exponent--
  for (; m > Math.SQRT2; m /= 2) exponent++
  // ln m = 2 artanh((m - 1) / (m + 1)), whose argument is at most 0.172.
  const s = (m - 1) / (m + 1)
  let sum = 0
  for (let k = 25; k > 0; k -= 2) sum = sum * s * s + 1 / k
  return exponent * Math.LN2 + 2 * s * sum
}

/** e^x, relative error below 1e-15 (1 + |x|); infinite where that is beyond f64. */
export function exp(x: number): number {
  const twos = Math.round(x / Math.LN2)
  if (twos > 1023) return Number.POSITIVE_INFINITY
  const r = x - twos * Math.LN2
  let result = 1
  for (let k = 18; k > 0; k--) result = 1 + (r / k) * result
  for (let i = 0; i < twos; i++) result *= 2
  for (let i = 0; i > twos && result > 0; i--) result /= 2
  return result
}
