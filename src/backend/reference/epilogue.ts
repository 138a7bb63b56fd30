// What follows a product's sum: bias, activation, gate, column scale, residual, accumulation.
import { gelu, geluGrad } from './erf.ts'
import type { Cells } from './kernel.ts'

interface Tail {
  readonly y: Cells
  readonly slope?: Cells | undefined
  readonly bias?: Cells | undefined
  readonly gate?: Cells | undefined
  readonly colScale?: Cells | undefined
  readonly residual?: Cells | undefined
}

/** Puts `value`, a sum before its bias, at element `at` of y, in column j. */
export function finish(
  { y, slope, bias, gate, colScale, residual }: Tail,
  { act, accumulate }: { readonly act: number; readonly accumulate: number },
  value: number,
  at: number,
  j: number,
): void {
  const v = value + (bias ? bias[j]! : 0)
  if (slope) slope[at] = geluGrad(v)
  const acted = act === 1 ? gelu(v) : act === 2 ? geluGrad(v) : v
  const out = acted * (gate ? gate[at]! : 1) * (colScale ? colScale[j]! : 1)
  const before = y[at]!
  y[at] = out + (residual ? residual[at]! : 0)
  // Rounded by the store first, so that adding in place gives the bits of adding later.
  if (accumulate === 1) y[at]! += before
}
