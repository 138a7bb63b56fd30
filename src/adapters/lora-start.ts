// The values that lora_A and lora_B start with, as PEFT draws them.
import { InputError } from '../platform/errors.ts'
import type { Rng } from '../tensor/philox.ts'
import type { LoraConfig } from './lora-config.ts'

export interface Start {
  /** (R, in) */
  a: Float32Array
  /** (out, R) */
  b: Float32Array
  /** (out): of lora_B's bias, where it has one. */
  bias: Float32Array
}

/** R rows at right angles, each of length 1 (Gram and Schmidt's way, twice for the rounding). */
function rightAngles(r: number, rng: Rng): Float64Array[] {
  const rows: Float64Array[] = []
  for (let i = 0; i < r; i++) {
    const row = Float64Array.from({ length: r }, () => rng.normal())
    for (const other of [...rows, ...rows]) {
      const along = row.reduce((sum, v, k) => sum + v * other[k]!, 0)
      for (let k = 0; k < r; k++) row[k] = row[k]! - along * other[k]!
    }
    const length = Math.hypot(...row)
    rows.push(row.map((v) => v / length))
  }
  return rows
}

/**
 * Starting values. By default A is uniform up to 1 / sqrt(in) and B is 0; `gaussian` draws A with deviation 1 / R; `false`
 * leaves both as torch makes a Linear, uniform up to 1 / sqrt(in) and 1 / sqrt(R); `orthogonal` makes both of normal numbers
 * in rows at right angles, so that B A is 0. Throws an InputError where PEFT would refuse, or needs more than the shape.
 */
export function startingValues(
  init: LoraConfig['initLoraWeights'],
  r: number,
  nIn: number,
  nOut: number,
  rng: Rng,
): Start {
  const uniform = (length: number, bound: number) =>
    Float32Array.from({ length }, () => (2 * rng.uniform() - 1) * bound)
  const bias = new Float32Array(nOut)
  if (init === 'gaussian') {
    return { a: Float32Array.from({ length: r * nIn }, () => rng.normal() / r), b: new Float32Array(nOut * r), bias }
  }
  if (init === 'orthogonal') {
    if (r % 2 !== 0) throw new InputError(`initLoraWeights: orthogonal needs an even rank, got ${r}`)
    const rows = rightAngles(r, rng)
    /** (n, R): normal numbers (n, R / 2) times every other row. */
    const mixed = (n: number, first: number) => {
      const out = new Float32Array(n * r)
      for (let i = 0; i < n; i++) {
        for (let j = first; j < r; j += 2) {
          const v = rng.normal() / 10
          for (let k = 0; k < r; k++) out[i * r + k] = out[i * r + k]! + v * rows[j]![k]!
        }
      }
      return out
    }
    const across = mixed(nIn, 0)
    const a = Float32Array.from({ length: r * nIn }, (_, i) => across[(i % nIn) * r + Math.floor(i / nIn)]!)
    return { a, b: mixed(nOut, 1), bias }
  }
  if (init === 'eva' || init === 'mica') {
    const source = init === 'eva' ? "the data's activations" : "the weights' singular vectors"
    throw new InputError(
      `initLoraWeights: ${init} starts from ${source}; begin such an adapter in PEFT and go on with it`,
    )
  }
  const a = uniform(r * nIn, 1 / Math.sqrt(nIn))
  if (init) return { a, b: new Float32Array(nOut * r), bias }
  return { a, b: uniform(nOut * r, 1 / Math.sqrt(r)), bias: uniform(nOut, 1 / Math.sqrt(r)) }
}
