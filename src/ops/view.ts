// Moving elements without arithmetic: reshape (free), permute, slice, concat, gather.
import type { Params } from '../backend/kernels.ts'
import { aroundAxis, axisOf, showShape, sizeOf, stridesOf } from '../tensor/shape.ts'
import { record } from '../tensor/tape.ts'
import { empty, Tensor } from '../tensor/tensor.ts'
import { run } from './dispatch.ts'

/** The same elements in another shape; shares memory. One size may be -1. */
export function reshape(x: Tensor, shape: readonly number[]): Tensor {
  const known = shape.reduce((n, d) => (d === -1 ? n : n * d), 1)
  const full = shape.map((d) => (d === -1 ? x.size / known : d))
  if (sizeOf(full) !== x.size || !full.every(Number.isInteger)) {
    throw new Error(`reshape: element counts must match, got ${showShape(x.shape)} to ${showShape(shape)}`)
  }
  return record(new Tensor(x, full), [x], () => ({ saved: [], backward: (dy) => [reshape(dy, x.shape)] }))
}

interface Strided {
  sizes: readonly number[]
  ys: readonly number[]
  xs: readonly number[]
  yo?: number
  xo?: number
}

/** y[yo + i . ys] = x[xo + i . xs] over at most six sizes. Not recorded. */
export function copyStrided(y: Tensor, x: Tensor, { sizes, ys, xs, yo = 0, xo = 0 }: Strided): void {
  if (sizes.length > 6) throw new Error(`copy: at most 6 axes, got ${sizes.length}`)
  const params: Record<string, number> = { yo, xo, accumulate: 0 }
  const pad = 6 - sizes.length
  for (let i = 0; i < 6; i++) {
    params[`d${i}`] = i < pad ? 1 : sizes[i - pad]!
    params[`ys${i}`] = i < pad ? 0 : ys[i - pad]!
    params[`xs${i}`] = i < pad ? 0 : xs[i - pad]!
  }
  run('copy', { y, x }, params as Params<'copy'>)
}

/** Sets all elements. Not recorded. */
export function fill(to: Tensor, value: number): void {
  run('fill', { y: to }, { n: to.size, value })
}

/** Copies all elements of `from` into `to`. Not recorded. */
export function overwrite(to: Tensor, from: Tensor): void {
  if (to.size !== from.size) throw new Error(`overwrite: sizes must match, got ${to.size} and ${from.size}`)
  copyStrided(to, from, { sizes: [to.size], ys: [1], xs: [1] })
}

/** Axes in a new order: axis i of the result is axis order[i] of x. */
export function permute(x: Tensor, order: readonly number[]): Tensor {
  if (order.length !== x.shape.length || [...order].sort((a, b) => a - b).some((axis, i) => axis !== i)) {
    throw new Error(`permute: order must name each of ${x.shape.length} axes once, got ${showShape(order)}`)
  }
  const shape = order.map((axis) => x.shape[axis]!)
  const strides = stridesOf(x.shape)
  const y = empty(x.backend, shape, x.dtype)
  copyStrided(y, x, { sizes: shape, ys: stridesOf(shape), xs: order.map((axis) => strides[axis]!) })
  return record(y, [x], () => ({
    saved: [],
    backward: (dy) => [
      permute(
        dy,
        order.map((_, i) => order.indexOf(i)),
      ),
    ],
  }))
}

/** Swaps the last two axes. */
export function transpose(x: Tensor): Tensor {
  const rank = x.shape.length
  const order = x.shape.map((_, i) => i)
  order.splice(rank - 2, 2, rank - 1, rank - 2)
  return permute(x, order)
}

/** Elements [start, end) of one axis. */
export function slice(x: Tensor, axis: number, start: number, end: number): Tensor {
  const at = axisOf('slice', axis, x.shape.length)
  if (!(start >= 0 && start < end && end <= x.shape[at]!)) {
    throw new Error(`slice: range must lie within axis of ${x.shape[at]}, got [${start}, ${end})`)
  }
  const shape = x.shape.map((d, i) => (i === at ? end - start : d))
  const { outer, count, inner } = aroundAxis(x.shape, at)
  const block = {
    sizes: [outer, (end - start) * inner],
    ys: [(end - start) * inner, 1],
    xs: [count * inner, 1],
    xo: start * inner,
  }
  const y = empty(x.backend, shape, x.dtype)
  copyStrided(y, x, block)
  return record(y, [x], () => ({
    saved: [],
    backward(dy) {
      const dx = empty(dy.backend, x.shape)
      fill(dx, 0)
      copyStrided(dx, dy, { sizes: block.sizes, ys: block.xs, xs: block.ys, yo: block.xo })
      return [dx]
    },
  }))
}

/** Tensors joined along one axis; the other sizes must agree. */
export function concat(parts: readonly Tensor[], axis: number): Tensor {
  const first = parts[0]
  if (!first) throw new Error('concat: needs at least one tensor, got none')
  const at = axisOf('concat', axis, first.shape.length)
  for (const p of parts) {
    if (p.shape.length !== first.shape.length || p.shape.some((d, i) => i !== at && d !== first.shape[i])) {
      throw new Error(
        `concat: shapes must agree outside axis ${at}, got ${parts.map((t) => showShape(t.shape)).join(', ')}`,
      )
    }
  }
  const shape = first.shape.map((d, i) => (i === at ? parts.reduce((n, p) => n + p.shape[at]!, 0) : d))
  const { outer, inner } = aroundAxis(shape, at)
  const row = shape[at]! * inner
  const y = empty(first.backend, shape, first.dtype)
  const starts: number[] = []
  let start = 0
  for (const p of parts) {
    starts.push(start)
    const width = p.shape[at]! * inner
    copyStrided(y, p, { sizes: [outer, width], ys: [row, 1], xs: [width, 1], yo: start * inner })
    start += p.shape[at]!
  }
  return record(y, parts, (needs) => ({
    saved: [],
    backward: (dy) =>
      parts.map((p, i) => (needs[i] ? slice(dy, at, starts[i]!, starts[i]! + p.shape[at]!) : undefined)),
  }))
}

/** Rows of x (M, C) by index i32 (K): (K, C). */
export function gather(x: Tensor, index: Tensor): Tensor {
  if (x.shape.length !== 2 || index.dtype !== 'i32') {
    throw new Error(`gather: needs a matrix and i32 indices, got ${showShape(x.shape)} and ${index.dtype}`)
  }
  const params = { m: index.size, n: x.shape[1]! }
  const y = empty(x.backend, [params.m, params.n])
  run('gather', { y, x, index }, params)
  return record(y, [x], () => ({
    saved: [index],
    backward(dy, [index]) {
      const dx = empty(dy.backend, x.shape)
      fill(dx, 0)
      run('scatterAdd', { y: dx, x: dy, index: index! }, params)
      return [dx]
    },
  }))
}
