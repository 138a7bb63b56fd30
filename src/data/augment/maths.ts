// Functions of which every engine gives the same bits: made of + - * / and square roots, which IEEE 754 rounds one way.
// Math.sin, exp and the like are left to the engine in their last bits. Errors are below 1e-15, relatively for exp.

const LN2 = 0.6931471805599453

/** e^x for |x| < 700: 2^k e^r with |r| < 0.35, e^r by its series. */
export function exp(x: number): number {
  const k = Math.round(x / LN2)
  const r = x - k * LN2
  let sum = 1
  for (let n = 14; n > 0; n--) sum = 1 + (sum * r) / n
  const step = k < 0 ? 0.5 : 2
  for (let i = Math.abs(k); i > 0; i--) sum *= step
  return sum
}

/** ln x for x > 0: e ln 2 + 2 artanh((m - 1) / (m + 1)) with m in [0.7, 1.42]. */
export function log(x: number): number {
  let m = x
  let e = 0
  for (; m > Math.SQRT2; e++) m /= 2
  for (; m < Math.SQRT1_2; e--) m *= 2
  const s = (m - 1) / (m + 1)
  let sum = 0
  for (let n = 23; n > 0; n -= 2) sum = sum * s * s + 1 / n
  return e * LN2 + 2 * s * sum
}

/** Sine and cosine of an angle in degrees: by quadrants, the rest (at most 45 degrees) by its series. */
export function sinCos(degrees: number): readonly [sin: number, cos: number] {
  const quadrant = Math.round(degrees / 90)
  const x = ((degrees - quadrant * 90) * Math.PI) / 180
  let sin = 1
  let cos = 1
  for (let n = 16; n > 0; n -= 2) {
    sin = 1 - (sin * x * x) / (n * (n + 1))
    cos = 1 - (cos * x * x) / (n * (n - 1))
  }
  sin *= x
  const turns = ((quadrant % 4) + 4) % 4
  if (turns === 0) return [sin, cos]
  if (turns === 1) return [cos, -sin]
  return turns === 2 ? [-sin, -cos] : [-cos, sin]
}

/** 1.5 * 2^52: what is added to it has no place left for fractions. */
const WHOLE = 6755399441055744

/** x rounded to whole numbers, halves to even ones, as torch.round does; for |x| < 2^51. */
export const roundEven = (x: number): number => x + WHOLE - WHOLE

/**
 * The number below which a standard normal one lies with probability p, 0 < p < 1; within 1e-7 (Wichura, 1988: algorithm AS
 * 241, PPND7).
 */
export function normalQuantile(p: number): number {
  const q = p - 0.5
  if (Math.abs(q) <= 0.425) {
    const r = 0.180625 - q * q
    return (
      (q * (((59.10937472 * r + 159.29113202) * r + 50.434271938) * r + 3.3871327179)) /
      (((67.1875636 * r + 78.757757664) * r + 17.895169469) * r + 1)
    )
  }
  const r = Math.sqrt(-log(q < 0 ? p : 1 - p))
  const tail =
    r <= 5
      ? (((0.17023821103 * (r - 1.6) + 1.3067284816) * (r - 1.6) + 2.75681539) * (r - 1.6) + 1.4234372777) /
        ((0.12021132975 * (r - 1.6) + 0.7370016425) * (r - 1.6) + 1)
      : (((0.017337203997 * (r - 5) + 0.42868294337) * (r - 5) + 3.081226386) * (r - 5) + 6.657905115) /
        ((0.012258202635 * (r - 5) + 0.24197894225) * (r - 5) + 1)
  return q < 0 ? -tail : tail
}
