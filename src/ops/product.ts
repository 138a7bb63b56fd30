// x W^T and its way back, dy W, for each way in which a frozen or trained weight lies. Buffers and numbers alone: shapes, what is
// recorded and what is saved are linear.ts's.
import { Packed } from '../tensor/packed.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { run } from './dispatch.ts'
import { mul } from './elementwise.ts'
import { quantizeRows, type Weight } from './packed.ts'

/** What follows the sums. */
interface Tail {
  readonly y: Tensor
  readonly slope?: Tensor | undefined
  readonly bias?: Tensor | undefined
  readonly colScale?: Tensor | undefined
  readonly residual?: Tensor | undefined
}

/** Rows of x, outputs and inputs of the layer, and the factor of the sums. */
interface Sizes {
  readonly m: number
  readonly n: number
  readonly k: number
  readonly alpha: number
}

interface Product {
  /** Puts tail(alpha x W^T) into tail.y. */
  forward(tail: Tail, x: Tensor, sizes: Sizes & { readonly act: number }): void
  /** Puts alpha dy diag(kScale) W into y, times the gate. `w` is the weight where it is no packed one. */
  backward(
    to: { readonly y: Tensor; readonly gate: Tensor | undefined },
    dy: Tensor,
    w: Tensor | undefined,
    kScale: Tensor | undefined,
    sizes: Sizes & { readonly accumulate: number },
  ): void
}

const single = { batch: 1, transA: 0, strideA: 0, strideB: 0 }

/** W in f32, as it lies or from its packed words. */
function floats(weight: Weight): Product {
  const packed = weight instanceof Packed ? weight : undefined
  const how = { ...single, format: packed?.layout ?? 0, block: packed?.block ?? 0 }
  const operand = (w: Tensor | undefined) => (packed ? { b: packed.words, bScale: packed.scales } : { b: w! })
  return {
    forward(tail, x, sizes) {
      const w = packed ? undefined : (weight as Tensor)
      run('matmul', { ...tail, a: x, ...operand(w) }, { ...how, ...sizes, transB: 1, accumulate: 0 })
    },
    backward(to, dy, w, kScale, { m, n, k, alpha, accumulate }) {
      const sizes = { m, n: k, k: n, alpha, accumulate }
      run('matmul', { ...to, a: dy, ...operand(w), kScale }, { ...how, ...sizes, transB: 0, act: 0 })
    },
  }
}

/** W as integers by row, which x and dy are put into 8 bits for. */
function integers(weight: Packed): Product {
  const { words: b, scales: bScale } = weight
  return {
    forward(tail, x, sizes) {
      const { codes: a, scale: aScale } = quantizeRows(x)
      run('matmulI8', { ...tail, a, aScale, b, bScale }, { ...sizes, transB: 1, accumulate: 0 })
    },
    backward(to, dy, _, kScale, { m, n, k, alpha, accumulate }) {
      // The rows of W are now along the sums: their scales go to the columns of dy, before it is rounded.
      const { codes: a, scale: aScale } = quantizeRows(dy, kScale ? mul(bScale, kScale) : bScale)
      run('matmulI8', { ...to, a, aScale, b }, { m, n: k, k: n, alpha, transB: 0, act: 0, accumulate })
    },
  }
}

/** How a weight is multiplied with; `exact` keeps to f32 where its format has products of integers. */
export function productWith(w: Weight, { exact = false }: { readonly exact?: boolean } = {}): Product {
  if (!(w instanceof Packed) || w.format !== 'int8' || exact) return floats(w)
  return w.integerGradient ? integers(w) : { ...integers(w), backward: floats(w).backward }
}
