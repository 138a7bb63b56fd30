// The mean of f32 values with the roundings of PyTorch's on a processor with AVX2, on one thread.

const round = Math.fround

/** Values in one of PyTorch's vectors, and vectors summed side by side. */
const vector = 8
const beside = 4
const levels = 4

/** Sums of `columns` neighbouring numbers by column over `rows` rows, small sums into larger ones (cascade summation). */
function columnSums(values: Float32Array, columns: number, rows: number): Float32Array {
  const power = Math.max(4, Math.floor(Math.ceil(Math.log2(Math.max(1, rows))) / levels))
  const step = 2 ** power
  const sums = Array.from({ length: levels }, () => new Float32Array(columns))
  const carry = (into: Float32Array, from: Float32Array) => {
    for (let c = 0; c < columns; c++) into[c] = into[c]! + from[c]!
  }
  let row = 0
  const take = () => {
    carry(sums[0]!, values.subarray(row * columns))
    row++
  }
  while (row + step <= rows) {
    for (let i = 0; i < step; i++) take()
    for (let level = 1; level < levels; level++) {
      carry(sums[level]!, sums[level - 1]!)
      sums[level - 1]!.fill(0)
      if (row % step ** (level + 1) !== 0) break
    }
  }
  while (row < rows) take()
  for (let level = 1; level < levels; level++) carry(sums[0]!, sums[level]!)
  return sums[0]!
}

/**
 * The mean of f32 values as torch.mean rounds it on one thread, vectors of eight (AVX2, which PyTorch takes here with AVX-512
 * too). From 32768 values on PyTorch's depends on its number of threads. Source: PyTorch, aten/src/ATen/native/cpu/SumKernel.cpp.
 */
export function meanLikeTorch(values: Float32Array): number {
  const lanes = values.length < vector ? 1 : vector
  const vectors = Math.floor(values.length / lanes)
  const columns = lanes * beside
  const rows = Math.floor(vectors / beside)
  const sums = columnSums(values, columns, rows)
  for (let v = rows * beside; v < vectors; v++) {
    for (let lane = 0; lane < lanes; lane++) sums[lane] = sums[lane]! + values[v * lanes + lane]!
  }
  for (let k = lanes; k < columns; k++) sums[k % lanes] = sums[k % lanes]! + sums[k]!
  let sum = 0
  for (let e = vectors * lanes; e < values.length; e++) sum = round(sum + values[e]!)
  for (let lane = 0; lane < lanes; lane++) sum = round(sum + sums[lane]!)
  return round(sum / values.length)
}
