// Cases of matmul with a packed operand, and of unpack. Any bits are a packed weight, so none is made from numbers.
import { packedLengths } from '../../src/backend/reference/sizes.ts'
import { add, type Draw, exact } from './case.ts'
import { addMatmul, type Product } from './matmul.ts'

const formats = { nf4: 1, 'nf4-double': 2, int8: 3, 'int8-block': 4 } as const

/** Words and scales of a weight (rows, columns); scales are such that numbers are near 1. */
function packed(r: Draw, rows: number, columns: number, format: number, block: number) {
  const { b, bScale } = packedLengths(rows, columns, format, block)
  const most = format === formats.int8 ? 63 : format === formats['int8-block'] ? 127 : 128
  const bytes = Int8Array.from(r.ints(4 * b, -most, most))
  const scales = r.uniform(bScale, 0.5, 1)
  if (most < 128) for (let j = 0; j < bScale; j++) scales[j]! /= most
  else for (let j = 0; j < 16; j++) scales[j]! *= j % 2 === 0 ? 1 : -1
  return { b: new Int32Array(bytes.buffer), bScale: scales }
}

function addPacked(m: number, n: number, k: number, format: number, block: number, transB: number, how: Product = {}) {
  const [rows, columns] = transB === 1 ? [n, k] : [k, n]
  const values = (r: Draw) => packed(r, rows, columns, format, block)
  addMatmul(m, n, k, { ...how, transB, strideB: 0, packed: { format, block, values } })
}

for (const [name, format] of Object.entries(formats)) {
  for (const transB of [0, 1]) {
    // Blocks within rows, blocks that span rows, rows of an odd length, several groups of columns, more than one inner block.
    for (const [m, n, k] of [
      [3, 64, 128],
      [7, 96, 33],
      [1, 1, 1],
      [5, 13, 67],
      [13, 201, 130],
      [4, 30, 1030],
    ] as const) {
      addPacked(m, n, k, format, 64, transB)
    }
    addPacked(13, 72, 65, format, 64, transB, { transA: 1, with: ['bias', 'colScale', 'residual'], alpha: 0.3 })
    addPacked(19, 33, 70, format, 64, transB, { act: 1, with: ['slope', 'bias'] })
    addPacked(9, 40, 96, format, 64, transB, { accumulate: 1, with: ['gate'] })
    // Enough for threads.
    addPacked(67, 131, 130, format, 64, transB)
  }
  for (const [n, k, row, rows] of [
    [1, 1, 0, 1],
    [5, 64, 1, 3],
    [9, 33, 2, 7],
    [300, 130, 7, 290],
    [3, 1030, 1, 2],
    [4, 5, 2, 0],
  ] as const) {
    add(
      'unpack',
      `${name}, rows ${row} to ${row + rows} of ${n} x ${k}`,
      { n, k, row, rows, format, block: 64 },
      (r) => packed(r, n, k, format, 64),
      { y: rows * k },
      exact,
    )
  }
}

// Blocks of other lengths, and more buffers than WebGPU binds at once.
for (const transB of [0, 1]) {
  addPacked(5, 13, 67, formats.nf4, 32, transB)
  addPacked(4, 30, 70, formats['int8-block'], 100, transB)
  // On WebGPU in parts of k.
  addPacked(257, 131, 520, formats['nf4-double'], 64, transB)
  addPacked(13, 72, 65, formats['nf4-double'], 64, transB, {
    transA: 1,
    with: ['kScale', 'bias', 'colScale', 'residual', 'gate'],
    alpha: 0.3,
  })
}
