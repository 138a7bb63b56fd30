// Values that are no numbers: one pass over what was read.

/** How many values are NaN or infinite. */
export function countNonFinite(values: Float32Array): number {
  let count = 0
  for (let i = 0; i < values.length; i++) {
    const x = values[i]!
    if (x - x !== 0) count++
  }
  return count
}
