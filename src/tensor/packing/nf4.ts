// NF4 (QLoRA, arXiv:2305.14314): four bits a value, 16 quantiles of the normal distribution times the largest magnitude of a
// block. Codes and maxima are bitsandbytes 0.50.2's on a CPU, bit for bit; another codebook (FP4) unpacks alike.
import { decodeMaxima, encodeMaxima, maximaWords } from './maxima.ts'
import { blocksOf, bytesOf, largest, type Packing } from './packing.ts'

const round = Math.fround

/** The 16 values, ascending. */
export const nf4Codebook: Float32Array<ArrayBuffer> = Float32Array.of(
  ...[-1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334],
  ...[-0.09105003625154495, 0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224],
  ...[0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1],
)

/** Midpoints of neighbours; the code of x is how many of them lie below it, so a tie takes the lower one. */
const thresholds = Float32Array.from({ length: 16 }, (_, i) =>
  i < 15 ? round(round(nf4Codebook[i]! + nf4Codebook[i + 1]!) / 2) : Number.POSITIVE_INFINITY,
)

/** [-1, 1] in cells of 1/32, fewer than two thresholds in each: how many lie below a cell. */
const below = Uint8Array.from({ length: 65 }, (_, cell) => thresholds.filter((t) => t < cell / 32 - 1).length)

/** Bytes of codes, which end with a whole word. */
const codeWords = (elements: number) => Math.ceil(elements / 8)

/** Smaller maxima are divided by this one; a ragged last block stores it instead of its own. */
const least = round(1e-38)

export const nf4: Packing = {
  wordsOf(shape, { block, double }) {
    const blocks = blocksOf(shape, block)
    return codeWords(shape[0] * shape[1]) + (double ? maximaWords(blocks).words : 0)
  },

  scalesOf(shape, { block, double }) {
    const blocks = blocksOf(shape, block)
    return 16 + (double ? maximaWords(blocks).scales : blocks)
  },

  encode(values, shape, options) {
    const { block, double } = options
    const elements = shape[0] * shape[1]
    const words = new Int32Array(this.wordsOf(shape, options))
    const scales = new Float32Array(this.scalesOf(shape, options))
    scales.set(nf4Codebook)
    const bytes = bytesOf(words)
    const maxima = double ? new Float32Array(blocksOf(shape, block)) : scales.subarray(16)
    for (let i = 0; i < maxima.length; i++) {
      const from = i * block
      const to = Math.min(elements, from + block)
      const most = largest(values, from, to)
      const divisor = Math.max(most, least)
      // A full block is multiplied by the reciprocal, a ragged one divided: two roundings, or one.
      const ragged = to - from < block
      const inverse = round(1 / divisor)
      maxima[i] = ragged ? divisor : most
      for (let e = from; e < to; e++) {
        const x = ragged ? round(values[e]! / divisor) : round(values[e]! * inverse)
        const low = below[((x + 1) * 32) | 0]!
        const code = x > thresholds[low]! ? low + 1 : low
        bytes[e >> 1] = (e & 1) === 0 ? code << 4 : bytes[e >> 1]! | code
      }
    }
    // An odd number of values is filled up with a zero, whose code is 7.
    if (elements % 2 === 1) bytes[elements >> 1] = bytes[elements >> 1]! | 7
    if (double) encodeMaxima(maxima, bytes.subarray(4 * codeWords(elements)), scales.subarray(16))
    return { words, scales }
  },

  decode({ words, scales }, shape, { block, double }, row = 0, rows = shape[0] - row) {
    const [from, to] = [row * shape[1], (row + rows) * shape[1]]
    const bytes = bytesOf(words)
    const first = Math.floor(from / block)
    const maxima = double
      ? decodeMaxima(
          bytes.subarray(4 * codeWords(shape[0] * shape[1])),
          scales.subarray(16),
          first,
          Math.ceil(to / block),
        )
      : scales.subarray(16 + first)
    const out = new Float32Array(to - from)
    const levels = new Float32Array(16)
    for (let i = first; i * block < to; i++) {
      for (let code = 0; code < 16; code++) levels[code] = scales[code]! * maxima[i - first]!
      const end = Math.min(to, (i + 1) * block)
      for (let e = Math.max(from, i * block); e < end; e++) {
        const byte = bytes[e >> 1]!
        out[e - from] = levels[(e & 1) === 0 ? byte >> 4 : byte & 15]!
      }
    }
    return out
  },
}
