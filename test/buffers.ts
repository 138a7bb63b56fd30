// Plain buffers for tests of backends: made, filled, looked at.
import type { Backend, Buf } from 'vitune/tensor'

/** y = a x + b, the kernel with which these tests leave their traces. */
export const affine = (backend: Backend, y: Buf, x: Buf, n: number, a: number, b: number) =>
  backend.dispatch('unary', { y, x }, { op: 0, n, a, b })

/** A buffer of `n` times the same number. */
export function filled(backend: Backend, n: number, value: number): Buf {
  const buf = backend.alloc(n, 'f32')
  backend.write(buf, new Float32Array(n).fill(value))
  return buf
}

/** Whether all elements are the number. */
export const all = (data: ArrayLike<number>, value: number) => Array.prototype.every.call(data, (v) => v === value)
