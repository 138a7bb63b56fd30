// Seven bits a value with one scale by row, for products of integers: -63..63, so that the relaxed dot product is exact on every
// engine (backend/kernels.ts, matmulI8).
import { bytesOf, largest, type Packing } from './packing.ts'

/** The largest code. */
const most = 63
/** Added and taken off again, it rounds a small double to the nearest integer, half to even. */
const toInteger = 1.5 * 2 ** 52

const rowBytes = (columns: number) => 4 * Math.ceil(columns / 4)

export const int8: Packing = {
  wordsOf: ([rows, columns]) => (rows * rowBytes(columns)) / 4,

  scalesOf: ([rows]) => rows,

  encode(values, shape, options) {
    const [rows, columns] = shape
    const words = new Int32Array(this.wordsOf(shape, options))
    const scales = new Float32Array(rows)
    const codes = new Int8Array(words.buffer)
    for (let row = 0; row < rows; row++) {
      const from = row * columns
      const scale = Math.fround(largest(values, from, from + columns) / most)
      scales[row] = scale
      if (scale === 0) continue
      const at = row * rowBytes(columns)
      for (let c = 0; c < columns; c++) {
        const code = values[from + c]! / scale + toInteger - toInteger
        codes[at + c] = code > most ? most : code < -most ? -most : code // beyond it where the scale has few bits
      }
    }
    return { words, scales }
  },

  decode({ words, scales }, [allRows, columns], _options, row = 0, rows = allRows - row) {
    const codes = new Int8Array(bytesOf(words).buffer, words.byteOffset, words.byteLength)
    const out = new Float32Array(rows * columns)
    for (let r = 0; r < rows; r++) {
      const scale = scales[row + r]!
      const at = (row + r) * rowBytes(columns)
      for (let c = 0; c < columns; c++) out[r * columns + c] = codes[at + c]! * scale
    }
    return out
  },
}
