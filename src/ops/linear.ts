// Matrix products: y = x W^T + b with its epilogues, and plain batched matmul.

import { Packed } from '../tensor/packed.ts'
import { sameShape, showShape, sizeOf } from '../tensor/shape.ts'
import { isKnown, isTracked, markKnown, record, valuesUnread } from '../tensor/tape.ts'
import { empty, type Tensor } from '../tensor/tensor.ts'
import { run } from './dispatch.ts'
import { add, mul } from './elementwise.ts'
import type { Weight } from './packed.ts'
import { productWith } from './product.ts'
import { reduceTo } from './reduce-to.ts'

const plain = {
  batch: 1,
  transA: 0,
  transB: 0,
  strideA: 0,
  strideB: 0,
  alpha: 1,
  act: 0,
  accumulate: 0,
  format: 0,
  block: 0,
}

export interface LinearOptions {
  /** (out): added before the activation. */
  bias?: Tensor | undefined
  /** Multiplies x W^T. */
  alpha?: number
  act?: 'none' | 'gelu'
  /** (out): multiplies the activation, as layer scale does. */
  colScale?: Tensor | undefined
  /** Same shape as the result, added last. */
  residual?: Tensor | undefined
  /** Whether a packed weight is multiplied with in f32 although its format has products of integers. */
  exact?: boolean
}

/** residual + colScale * act(alpha x W^T + bias) for x (..., in) and W (out, in): (..., out), in one kernel. */
export function linear(x: Tensor, w: Weight, options: LinearOptions = {}): Tensor {
  const { bias, alpha = 1, act = 'none', colScale, residual } = options
  const k = x.shape[x.shape.length - 1]!
  if (w.shape.length !== 2 || w.shape[1] !== k) {
    throw new Error(`linear: weight must be (out, ${k}), got ${showShape(w.shape)} for x ${showShape(x.shape)}`)
  }
  const n = w.shape[0]!
  const m = x.size / k
  const shape = [...x.shape.slice(0, -1), n]
  if (residual && !sameShape(residual.shape, shape)) {
    throw new Error(`linear: residual must be ${showShape(shape)}, got ${showShape(residual.shape)}`)
  }
  for (const v of [bias, colScale]) {
    if (v && v.size !== n)
      throw new Error(`linear: bias and colScale must have ${n} elements, got ${showShape(v.shape)}`)
  }
  // A trained scale needs the value that it multiplies: then it is an op of its own.
  if (isTracked(colScale)) {
    const scaled = mul(linear(x, w, { ...options, colScale: undefined, residual: undefined }), colScale!)
    return residual ? add(scaled, residual) : scaled
  }
  const product = productWith(w, options)
  const weight = w instanceof Packed ? undefined : w
  const y = empty(x.backend, shape)
  const activated = act === 'gelu' && [x, weight, bias].some(isTracked)
  const slope = activated ? empty(x.backend, shape) : undefined
  const sizes = { m, n, k, alpha }
  if (!valuesUnread()) {
    product.forward({ y, slope, bias, colScale, residual }, x, { ...sizes, act: act === 'gelu' ? 1 : 0 })
  } else if (slope && isKnown(x)) {
    // The way back reads the activation's slope, and not the activation.
    product.forward({ y: slope, bias }, x, { ...sizes, act: 2 })
    markKnown(slope)
  }
  return record(y, [x, weight, bias, residual], ([needsX, needsW, needsBias, needsResidual]) => {
    const inner = needsX || needsW || needsBias
    // The residual's gradient passes by the activation, so then the activation sees to its own slope.
    const gate = slope && !needsResidual ? { gate: 2 } : {}
    return {
      saved: [needsW ? x : undefined, inner ? colScale : undefined, slope, needsX ? weight : undefined],
      ...gate,
      backward(dy, [x, colScale, slope, w], [sumX, sumW], gateOf) {
        // The product with W scales by itself; the other gradients need the scaled values.
        const scaled = colScale && (needsW || needsBias)
        let dp = scaled ? mul(dy, colScale) : dy
        if (slope && needsResidual) dp = mul(dp, slope)
        const kScale = scaled ? undefined : colScale
        let dx: Tensor | undefined
        let dw: Tensor | undefined
        if (needsX) {
          dx = sumX ?? empty(dy.backend, [...dy.shape.slice(0, -1), k])
          const accumulate = sumX ? 1 : 0
          product.backward({ y: dx, gate: gateOf(0) }, dp, w, kScale, { ...sizes, accumulate })
        }
        if (needsW) {
          dw = sumW ?? empty(dy.backend, [n, k])
          const accumulate = sumW ? 1 : 0
          run('matmul', { y: dw, a: dp, b: x! }, { ...plain, m: n, n: k, k: m, transA: 1, alpha, accumulate })
        }
        return [dx, dw, needsBias ? reduceTo(dp, bias!.shape) : undefined, needsResidual ? dy : undefined]
      },
    }
  })
}

/** A B for A (..., m, k) and B (..., k, n) with equal leading sizes, or B (k, n) shared by all. */
export function matmul(a: Tensor, b: Tensor): Tensor {
  const rank = a.shape.length
  const m = a.shape[rank - 2]!
  const k = a.shape[rank - 1]!
  const n = b.shape[b.shape.length - 1]!
  const shared = b.shape.length === 2
  if (
    rank < 2 ||
    b.shape[b.shape.length - 2] !== k ||
    !(shared || sameShape(a.shape.slice(0, -2), b.shape.slice(0, -2)))
  ) {
    throw new Error(`matmul: inner sizes must match, got ${showShape(a.shape)} x ${showShape(b.shape)}`)
  }
  const batch = sizeOf(a.shape.slice(0, -2))
  // A shared right side makes one tall product of the whole batch.
  const p = shared ? { batch: 1, m: batch * m } : { batch, m }
  const strideB = shared ? 0 : k * n
  const y = empty(a.backend, [...a.shape.slice(0, -1), n])
  run('matmul', { y, a, b }, { ...plain, ...p, n, k, strideA: m * k, strideB })
  return record(y, [a, b], ([needsA, needsB]) => ({
    saved: [needsB ? a : undefined, needsA ? b : undefined],
    backward(dy, [savedA, savedB], [sumA, sumB]) {
      let da: Tensor | undefined
      let db: Tensor | undefined
      if (needsA) {
        da = sumA ?? empty(dy.backend, a.shape)
        const accumulate = sumA ? 1 : 0
        run(
          'matmul',
          { y: da, a: dy, b: savedB! },
          { ...plain, ...p, n: k, k: n, transB: 1, strideA: m * n, strideB, accumulate },
        )
      }
      if (needsB) {
        db = sumB ?? empty(dy.backend, b.shape)
        run(
          'matmul',
          { y: db, a: savedA!, b: dy },
          {
            ...plain,
            batch: p.batch,
            m: k,
            n,
            k: p.m,
            transA: 1,
            strideA: m * k,
            strideB: m * n,
            accumulate: sumB ? 1 : 0,
          },
        )
      }
      return [da, db]
    },
  }))
}
