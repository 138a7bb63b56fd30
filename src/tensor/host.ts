// Arrays of the host by name, as batches hold them: the first dimension of each is the sample.
import type { HostArray } from '../backend/backend.ts'
import type { Shape } from './shape.ts'

/** Values with their shape. */
export interface HostValues {
  readonly data: HostArray
  readonly shape: Shape
}

/** Arrays of as many samples, by name. */
export type HostInputs = Readonly<Record<string, HostValues>>

/** Samples `from` to before `to`; shares the memory. */
export function samplesOf(inputs: HostInputs, from: number, to: number): HostInputs {
  return Object.fromEntries(
    Object.entries(inputs).map(([name, { data, shape }]) => {
      const each = shape.slice(1).reduce((a, b) => a * b, 1)
      return [name, { data: data.subarray(from * each, to * each), shape: [to - from, ...shape.slice(1)] }]
    }),
  )
}

/** The shapes as text. */
export const shapesOf = (inputs: HostInputs): string =>
  Object.entries(inputs)
    .map(([name, { shape }]) => `${name} ${shape}`)
    .join(' ')

/** The samples of one, then those of the other, which must have the same names; copies. */
export function joinInputs(first: HostInputs, second: HostInputs): HostInputs {
  return Object.fromEntries(
    Object.entries(first).map(([name, { data, shape }]) => {
      const { data: more, shape: others } = second[name]!
      const joined =
        data instanceof Int32Array
          ? new Int32Array(data.length + more.length)
          : new Float32Array(data.length + more.length)
      joined.set(data)
      joined.set(more, data.length)
      return [name, { data: joined, shape: [shape[0]! + others[0]!, ...shape.slice(1)] }]
    }),
  )
}
