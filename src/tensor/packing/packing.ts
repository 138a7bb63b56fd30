// What a format of packed weights is: sizes, packing and unpacking on the host. The bits are those of backend/kernels.ts
// (packedFormats); what runs with packed weights on a device is not here.
import { InputError } from '../../platform/errors.ts'

/** Rows and columns of a weight as it is stored: (outputs, inputs) of a Linear. */
export type PackedShape = readonly [rows: number, columns: number]

export interface PackingOptions {
  /** Elements that share one scale, over the flat weight: a power of two within 32..4096. Formats by row leave it alone. */
  readonly block: number
  /** Whether the maxima of blocks are packed too (NF4 alone). */
  readonly double: boolean
}

/** A packed weight on the host. */
export interface PackedValues {
  readonly words: Int32Array<ArrayBuffer>
  readonly scales: Float32Array<ArrayBuffer>
}

/** One format of packed weights. */
export interface Packing {
  /** Words (i32) of a weight of that shape. */
  wordsOf(shape: PackedShape, options: PackingOptions): number
  /** Scales (f32) of a weight of that shape, with whatever codebooks stand before them. */
  scalesOf(shape: PackedShape, options: PackingOptions): number
  /** Packs values, row by row. Throws an InputError where one is not finite or the block is none that a kernel takes. */
  encode(values: Float32Array, shape: PackedShape, options: PackingOptions): PackedValues
  /** Rows `row` to before `row + rows` as f32 (default: all), as the kernel `unpack` gives them. */
  decode(
    packed: { readonly words: Int32Array; readonly scales: Float32Array },
    shape: PackedShape,
    options: PackingOptions,
    row?: number,
    rows?: number,
  ): Float32Array<ArrayBuffer>
}

/** The sizes of block that kernels take, which are bitsandbytes'. */
export const packedBlocks: readonly number[] = [32, 64, 128, 256, 512, 1024, 2048, 4096]

/** Blocks of a weight. Throws an InputError for a block of another size. */
export function blocksOf([rows, columns]: PackedShape, block: number): number {
  if (!packedBlocks.includes(block)) {
    throw new InputError(`packed weights: the block must be one of ${packedBlocks.join(', ')}, got ${block}`)
  }
  return Math.ceil((rows * columns) / block)
}

/** The bytes of words, in order; the host's byte order is the kernels', little-endian. */
export const bytesOf = (words: Int32Array): Uint8Array<ArrayBuffer> =>
  new Uint8Array(words.buffer as ArrayBuffer, words.byteOffset, words.byteLength)

/** The largest |value| of a part of an array. Throws an InputError where a value is not finite, since no code is. */
export function largest(values: Float32Array, from: number, to: number): number {
  let most = 0
  let sum = 0 // NaN as soon as one value is infinite or NaN
  for (let e = from; e < to; e++) {
    const magnitude = Math.abs(values[e]!)
    sum += magnitude * 0
    if (magnitude > most) most = magnitude
  }
  if (sum !== 0) throw new InputError('packed weights: values must be finite, got one that is infinite or NaN')
  return most
}
