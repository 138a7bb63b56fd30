// Operations on packed weights beside products: their numbers as f32, and rows in 8 bits to multiply them with.
import { Packed } from '../tensor/packed.ts'
import { scope } from '../tensor/scope.ts'
import { empty, type Tensor } from '../tensor/tensor.ts'
import { run } from './dispatch.ts'
import { sumSquares } from './reduce.ts'
import { concat } from './view.ts'

/** A weight as it is trained, or packed. */
export type Weight = Tensor | Packed

/** Numbers of a packed weight that are made f32 at a time where not all are wanted at once. */
const piece = 1 << 16

/** Rows [row, row + rows) of a packed weight as f32, (rows, in). Not recorded. */
export function unpack(w: Packed, row = 0, rows = w.shape[0]! - row): Tensor {
  const [n, k] = w.shape as [number, number]
  const y = empty(w.backend, [rows, k])
  run('unpack', { y, b: w.words, bScale: w.scales }, { n, k, row, rows, format: w.layout, block: w.block })
  return y
}

/** A weight as f32: itself, or all numbers of a packed one. */
export const dense = (w: Weight): Tensor => (w instanceof Packed ? unpack(w) : w)

/** Sums of squares by row of a weight, (out). Of a packed one no f32 copy is made as a whole. Not recorded for a packed one. */
export function rowSquares(w: Weight): Tensor {
  if (!(w instanceof Packed)) return sumSquares(w)
  const [n, k] = w.shape as [number, number]
  const rows = Math.max(1, Math.floor(piece / k))
  return scope(() => {
    const parts: Tensor[] = []
    for (let row = 0; row < n; row += rows) {
      parts.push(scope(() => sumSquares(unpack(w, row, Math.min(rows, n - row)))))
    }
    return parts.length === 1 ? parts[0]! : concat(parts, 0)
  })
}

/** Rows in 8 bits: codes i32 (m, ceil(k / 4)), and what each row's codes are multiplied by, (m). */
export interface Rows {
  readonly codes: Tensor
  readonly scale: Tensor
}

let shared: Map<Tensor, Rows> | undefined

/** Rows of x (..., k), columns multiplied by kScale first, in 8 bits. Not recorded: gradients go past the rounding. */
export function quantizeRows(x: Tensor, kScale?: Tensor): Rows {
  const known = kScale ? undefined : shared?.get(x)
  if (known) return known
  const k = x.shape[x.shape.length - 1]!
  const m = x.size / k
  const rows = { codes: empty(x.backend, [m, Math.ceil(k / 4)], 'i32'), scale: empty(x.backend, [m]) }
  run('quantizeRows', { ...rows, x, kScale }, { m, k })
  if (!kScale) shared?.set(x, rows)
  return rows
}

/** Runs `fn`, in which a tensor that several packed weights are multiplied with is put into 8 bits once. Nothing may overwrite it there. */
export function sharingRows<T>(fn: () => T): T {
  const before = shared
  shared = new Map()
  try {
    return fn()
  } finally {
    shared = before
  }
}
