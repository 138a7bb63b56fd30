// Shape arithmetic: sizes, row-major strides, and the one broadcast rule of the binary kernel.

export type Shape = readonly number[]

/** Number of elements. */
export function sizeOf(shape: Shape): number {
  let n = 1
  for (const d of shape) n *= d
  return n
}

/** Row-major strides in elements. */
export function stridesOf(shape: Shape): number[] {
  const strides = new Array<number>(shape.length).fill(1)
  for (let i = shape.length - 2; i >= 0; i--) strides[i] = strides[i + 1]! * shape[i + 1]!
  return strides
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((d, i) => d === b[i])
}

/** '(8, 257, 384)', as error messages print shapes. */
export function showShape(shape: Shape): string {
  return `(${shape.join(', ')})`
}

/** An axis counted from the end when negative; throws outside the rank. */
export function axisOf(op: string, axis: number, rank: number): number {
  const at = axis < 0 ? axis + rank : axis
  if (!Number.isInteger(at) || at < 0 || at >= rank)
    throw new Error(`${op}: axis must be within rank ${rank}, got ${axis}`)
  return at
}

/** A shape seen as (outer, count, inner) around one axis. */
export function aroundAxis(shape: Shape, axis: number): { outer: number; count: number; inner: number } {
  return { outer: sizeOf(shape.slice(0, axis)), count: shape[axis]!, inner: sizeOf(shape.slice(axis + 1)) }
}

/**
 * How `small` repeats over `large`: element j of large meets element (j / inner) % count of small.
 * Undefined where that one rule is not enough (ones in the middle, or a size that differs).
 */
export function repeatRule(large: Shape, small: Shape): { inner: number; count: number } | undefined {
  if (small.length > large.length) return undefined
  const padded = [...new Array<number>(large.length - small.length).fill(1), ...small]
  let first = padded.findIndex((d, i) => d !== 1 || large[i] === 1)
  while (first >= 0 && first < padded.length && padded[first] === 1) first++
  if (first < 0 || first === padded.length) return { inner: 1, count: 1 }
  let last = padded.length - 1
  while (padded[last] === 1) last--
  for (let i = first; i <= last; i++) if (padded[i] !== large[i]) return undefined
  return { inner: sizeOf(large.slice(last + 1)), count: sizeOf(padded.slice(first, last + 1)) }
}
