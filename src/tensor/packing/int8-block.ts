// Eight bits a value with one scale by block of the flat weight: the smallest error of the formats, in f32 products.
import { blocksOf, largest, type Packing } from './packing.ts'

/** The largest code. */
const most = 127
/** Added and taken off again, it rounds a small double to the nearest integer, half to even. */
const toInteger = 1.5 * 2 ** 52

export const int8Block: Packing = {
  wordsOf: ([rows, columns]) => Math.ceil((rows * columns) / 4),

  scalesOf: (shape, { block }) => blocksOf(shape, block),

  encode(values, shape, options) {
    const elements = shape[0] * shape[1]
    const words = new Int32Array(this.wordsOf(shape, options))
    const scales = new Float32Array(this.scalesOf(shape, options))
    const codes = new Int8Array(words.buffer)
    for (let i = 0; i < scales.length; i++) {
      const from = i * options.block
      const to = Math.min(elements, from + options.block)
      const scale = Math.fround(largest(values, from, to) / most)
      scales[i] = scale
      if (scale === 0) continue
      for (let e = from; e < to; e++) {
        const code = values[e]! / scale + toInteger - toInteger
        codes[e] = code > most ? most : code < -most ? -most : code // beyond it where the scale has few bits
      }
    }
    return { words, scales }
  },

  decode({ words, scales }, shape, { block }, row = 0, rows = shape[0] - row) {
    const codes = new Int8Array(words.buffer, words.byteOffset, words.byteLength)
    const [from, to] = [row * shape[1], (row + rows) * shape[1]]
    const out = new Float32Array(to - from)
    for (let i = Math.floor(from / block); i * block < to; i++) {
      const end = Math.min(to, (i + 1) * block)
      for (let e = Math.max(from, i * block); e < end; e++) out[e - from] = codes[e]! * scales[i]!
    }
    return out
  },
}
