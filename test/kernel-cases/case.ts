// What a case is, and the tools with which the files beside this one write theirs.
import { type Bufs, createReference, type KernelName, type Params, Rng } from 'vitune/tensor'

export type Values = Record<string, Float32Array | Int32Array>

/** |got - want| <= abs + rel |want|, with the reason. `want` is the f64 result rounded to f32. */
export interface Tolerance {
  abs: number
  rel: number
  why: string
}

export interface KernelCase {
  kernel: KernelName
  name: string
  params: Record<string, number>
  /** Values of the inputs, and of outputs that the kernel reads. */
  values: () => Values | Promise<Values>
  /** Number of elements of each output. */
  outputs: Record<string, number>
  /** Buffers that are another one: `{ y: 'x' }`. */
  same: Record<string, string>
  tolerance: Tolerance
}

/** Filled by the files beside this one, in the order in which kernel-cases.ts imports them. */
export const cases: KernelCase[] = []

export const sizes = [1, 3, 4, 17, 67]
/** Enough for a kernel to be worth sharing out among threads, and odd. */
export const large = 70_001

export const exact = { abs: 0, rel: 0, why: 'moves values, or rounds once' }
export const oneStep = {
  abs: 1e-37,
  rel: 3e-7,
  why: 'a few f32 roundings; results below the normal range may be flushed to 0',
}
export const transcendental = { abs: 2e-7, rel: 2e-6, why: 'exp, tanh and erf are short approximations in f32' }
export const expOnly = {
  abs: 1e-37,
  rel: 1e-6,
  why: 'exp in f32 is within a few ULP; below the normal range it may be 0',
}
export const rowSum = { abs: 1e-6, rel: 1e-6, why: 'f32 sums over a row of values near 1' }

/** The numbers of one case, always the same for the same seed. */
function draw(seed: number) {
  const rng = new Rng(seed, 77)
  // Long inputs repeat after a prime number of draws, which costs less than drawing them all.
  const period = 4099
  const filled = <A extends Float32Array | Int32Array>(into: A, next: () => number): A => {
    for (let j = 0; j < Math.min(into.length, period); j++) into[j] = next()
    for (let j = period; j < into.length; j += period) into.copyWithin(j, 0, Math.min(period, into.length - j))
    return into
  }
  return {
    normal: (n: number, scale = 1, shift = 0) => filled(new Float32Array(n), () => shift + scale * rng.normal()),
    uniform: (n: number, low: number, high: number) =>
      filled(new Float32Array(n), () => low + (high - low) * rng.uniform()),
    ints: (n: number, low: number, high: number) => filled(new Int32Array(n), () => low + rng.below(high - low)),
  }
}
export type Draw = ReturnType<typeof draw>

/** Buffers as a kernel takes them: `p:0`, `p:1` are the first two of the list `p`. */
export function byList<B>(bufs: Record<string, B>): Record<string, B | B[]> {
  const found: Record<string, B | B[]> = {}
  for (const [name, buf] of Object.entries(bufs)) {
    const [list, place] = name.split(':') as [string, string?]
    if (place === undefined) found[name] = buf
    else {
      const entries = (found[list] ?? []) as B[]
      entries[Number(place)] = buf
      found[list] = entries
    }
  }
  return found
}

/** Adds a case; every argument is a field of KernelCase. */
export function add<K extends KernelName>(
  kernel: K,
  name: string,
  params: Params<K>,
  values: (r: Draw) => Values | Promise<Values>,
  outputs: Record<string, number>,
  tolerance: Tolerance,
  same: Record<string, string> = {},
): void {
  const seed = cases.length
  cases.push({ kernel, name, params, values: () => values(draw(seed)), outputs, same, tolerance })
}

/** The outputs (by name and length) of one kernel on the f64 reference, rounded to f32: saved tensors for the gradient cases. */
export async function forward<K extends KernelName>(
  kernel: K,
  values: Values,
  out: Record<string, number>,
  params: Params<K>,
) {
  const backend = createReference({ precision: 'f64' })
  const bufs: Record<string, unknown> = {}
  for (const [name, length] of Object.entries(out)) bufs[name] = backend.alloc(length, 'f32')
  for (const [name, data] of Object.entries(values)) {
    const buf = backend.alloc(data.length, data instanceof Int32Array ? 'i32' : 'f32')
    backend.write(buf, data)
    bufs[name] = buf
  }
  const given = bufs as Bufs<K>
  backend.dispatch(kernel, given, params)
  const result: Record<string, Float32Array> = {}
  for (const name of Object.keys(out))
    result[name] = Float32Array.from(await backend.read(given[name as keyof Bufs<K>]!))
  await backend.dispose()
  return result
}

export const f32 = Math.fround

/** Rows and columns for kernels that work by row. */
export const grid: [number, number][] = [
  ...sizes.flatMap((m) => sizes.map((n) => [m, n] as [number, number])),
  [3, 257],
  [517, 257],
  [2056, 17],
]
