// Packed weights and quantised rows: what their words stand for, and products of integers. The definition, step by step in f32.
import { packedFormats } from '../kernels.ts'
import { finish } from './epilogue.ts'
import type { Cells, Kernel } from './kernel.ts'

const round = Math.fround
const bytesOf = (words: Cells): Int8Array => new Int8Array(words.buffer, words.byteOffset, words.byteLength)

/** The value of element e of a packed weight with rows of `columns` elements, `elements` in all. */
export function unpacked(
  words: Cells,
  scales: Cells,
  columns: number,
  elements: number,
  { format, block }: { readonly format: number; readonly block: number },
): (e: number) => number {
  const bytes = bytesOf(words)
  if (format === packedFormats.int8) {
    const row = 4 * Math.ceil(columns / 4)
    return (e) => {
      const r = Math.floor(e / columns)
      return round(bytes[r * row + (e - r * columns)]! * scales[r]!)
    }
  }
  if (format === packedFormats['int8-block']) return (e) => round(bytes[e]! * scales[Math.floor(e / block)]!)
  const first = 4 * Math.ceil(elements / 8) // the byte where the maxima's codes begin
  const maximum = (i: number) =>
    format === packedFormats.nf4
      ? scales[16 + i]!
      : round(round(scales[16 + (bytes[first + i]! & 255)]! * scales[273 + (i >> 8)]!) + scales[272]!)
  return (e) => {
    const byte = bytes[e >> 1]!
    return round(scales[e % 2 === 0 ? (byte >> 4) & 15 : byte & 15]! * maximum(Math.floor(e / block)))
  }
}

export const unpack: Kernel<'unpack'> = ({ y, b, bScale }, p) => {
  const value = unpacked(b, bScale, p.k, p.n * p.k, p)
  for (let e = 0; e < p.rows * p.k; e++) y[e] = value(p.row * p.k + e)
}

/** Half to even, as hardware rounds. */
function nearest(x: number): number {
  const down = Math.floor(x)
  const rest = x - down
  if (rest !== 0.5) return rest < 0.5 ? down : down + 1
  return down % 2 === 0 ? down : down + 1
}

export const quantizeRows: Kernel<'quantizeRows'> = ({ codes, scale, x, kScale }, { m, k }) => {
  const bytes = bytesOf(codes)
  const width = 4 * Math.ceil(k / 4)
  const row = new Float64Array(k)
  for (let r = 0; r < m; r++) {
    let most = 0
    for (let c = 0; c < k; c++) {
      row[c] = round(kScale ? round(x[r * k + c]!) * round(kScale[c]!) : x[r * k + c]!)
      most = Math.max(most, Math.abs(row[c]!)) // NaN stays
    }
    bytes.fill(0, r * width, (r + 1) * width)
    const finite = most < Infinity
    scale[r] = !finite ? Number.NaN : most < 2 ** -100 ? 0 : round(most * round(1 / 127))
    if (!finite || most < 2 ** -100) continue
    const inverse = round(127 / most)
    for (let c = 0; c < k; c++) {
      bytes[r * width + c] = Math.min(127, Math.max(-127, nearest(round(row[c]! * inverse))))
    }
  }
}

export const matmulI8: Kernel<'matmulI8'> = (bufs, p) => {
  const { m, n, k, transB, alpha } = p
  const [a, b] = [bytesOf(bufs.a), bytesOf(bufs.b)]
  const aRow = 4 * Math.ceil(k / 4)
  const [bRow, bColumn] = transB === 1 ? [1, aRow] : [4 * Math.ceil(n / 4), 1]
  for (let r = 0; r < m; r++) {
    for (let j = 0; j < n; j++) {
      let sum = 0
      for (let c = 0; c < k; c++) sum += a[r * aRow + c]! * b[c * bRow + j * bColumn]!
      const scaled = round(round(round(sum) * bufs.aScale[r]!) * (bufs.bScale ? bufs.bScale[j]! : 1))
      finish(bufs, p, round(scaled * alpha), r * n + j, j)
    }
  }
}
