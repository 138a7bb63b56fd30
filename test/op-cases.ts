// What the tests of operations share: operands that repeat over each other, every form of `linear`.
import { add, div, type LinearOptions, linear, mul, sub, type Tensor, tensor } from 'vitune/tensor'
import type { Input } from './grad-check.ts'

export type Shape = readonly number[]
export const sizeOf = (shape: Shape) => shape.reduce((a, b) => a * b, 1)
export const ints = (like: Tensor, values: readonly number[]) =>
  tensor(like.backend, Int32Array.from(values), [values.length])
export const of = (...shapes: Shape[]): Input[] => shapes.map((shape) => ({ shape }))

export const binaryOps = { add, sub, mul, div }

/** Shapes of two operands that repeat over each other, both ways round. */
export const pairs: [string, Shape, Shape][] = [
  ['same', [3, 4], [3, 4]],
  ['scalar', [3, 4], []],
  ['one element', [3, 4], [1, 1]],
  ['row', [3, 4], [4]],
  ['row of a batch', [2, 3, 4], [3, 4]],
  ['column', [3, 4], [3, 1]],
  ['middle', [2, 3, 4], [3, 1]],
  ['leading', [2, 3, 4], [2, 1, 1]],
  ['ones inside', [4, 5, 3], [4, 1, 3]],
  ['ones inside both', [4, 1, 3], [4, 5, 1]],
  ['row against column', [1, 4], [3, 1]],
  ['fewer axes against ones', [4, 1, 3], [4, 3]],
  ['ones kept', [1, 4], [1, 1]],
]

export const linearCases = [false, true].flatMap((bias) =>
  [1, -0.7].flatMap((alpha) =>
    (['none', 'gelu'] as const).flatMap((act) =>
      [false, true].flatMap((colScale) => [false, true].map((residual) => ({ bias, alpha, act, colScale, residual }))),
    ),
  ),
)

/** `linear` with the inputs that a case names, in order. */
export function linearOf(c: (typeof linearCases)[number], shapes: { x: Shape; out: number }) {
  const y = [...shapes.x.slice(0, -1), shapes.out]
  const extra: [string, Shape][] = []
  if (c.bias) extra.push(['bias', [shapes.out]])
  if (c.colScale) extra.push(['colScale', [shapes.out]])
  if (c.residual) extra.push(['residual', y])
  const inputs = of(shapes.x, [shapes.out, shapes.x.at(-1)!], ...extra.map(([, shape]) => shape))
  const fn = (x: Tensor, w: Tensor, ...rest: Tensor[]) => {
    const given: LinearOptions = Object.fromEntries(extra.map(([name], i) => [name, rest[i]!]))
    return linear(x, w, { ...given, alpha: c.alpha, act: c.act })
  }
  return { fn, inputs }
}

export const seed = (like: Tensor) => ints(like, [5, 9])
