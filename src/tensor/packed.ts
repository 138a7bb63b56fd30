// A frozen weight in 4 or 8 bits: words and scales on a backend, in the layouts of the kernels' table. It is multiplied with as it
// lies; nothing of it trains. Not here: how numbers become words and back (packing/), products (ops/linear.ts).
import type { Backend, HostArray } from '../backend/backend.ts'
import type { PackedShape } from './packing/packing.ts'
import { kernelFormat, type PackedFormat, packings } from './packing/registry.ts'
import { keep } from './scope.ts'
import { type Shape, showShape } from './shape.ts'
import { empty, type Tensor } from './tensor.ts'

export type { PackedFormat }

/** How a weight is packed. */
export interface Packing {
  readonly format: PackedFormat
  /** nf4: whether the maxima of its blocks are packed too, to a byte each; default true. */
  readonly double?: boolean
  /** nf4 and int8-block: elements that share a scale, a power of two from 32 to 4096; default 64. */
  readonly block?: number
  /** int8: whether the way back multiplies integers too, or the weight as f32; default true. */
  readonly integerGradient?: boolean
}

export class Packed {
  readonly shape: PackedShape
  readonly format: PackedFormat
  readonly double: boolean
  readonly block: number
  readonly integerGradient: boolean
  /** i32 */
  readonly words: Tensor
  /** f32 */
  readonly scales: Tensor
  readonly trainable = false

  /** Room for a weight (out, in), contents undefined until `assign` or `write`; or another handle on the memory of `source`. */
  constructor(
    source: Backend | Packed,
    shape: Shape,
    { format, double = true, block = 64, integerGradient = true }: Packing,
  ) {
    if (shape.length !== 2) throw new Error(`packed: shape must be (out, in), got ${showShape(shape)}`)
    this.shape = shape as unknown as PackedShape
    this.format = format
    this.double = format === 'nf4' && double
    this.block = block
    this.integerGradient = format === 'int8' && integerGradient
    if (source instanceof Packed) {
      this.words = source.words.alias()
      this.scales = source.scales.alias()
      return
    }
    const sizes = packings[format]
    this.words = keep(empty(source, [sizes.wordsOf(this.shape, this)], 'i32'))
    try {
      this.scales = keep(empty(source, [sizes.scalesOf(this.shape, this)]))
    } catch (error) {
      // Memory may be full; nobody else knows of what was taken.
      this.words.dispose()
      throw error
    }
  }

  get backend(): Backend {
    return this.words.backend
  }
  /** Elements of the weight. */
  get size(): number {
    return this.shape[0] * this.shape[1]
  }
  /** Bytes that it takes on the backend. */
  get bytes(): number {
    return 4 * (this.words.size + this.scales.size)
  }
  /** The kernels' number for how it lies. */
  get layout(): number {
    return kernelFormat(this.format, this.double)
  }
  get disposed(): boolean {
    return this.words.disposed
  }

  /** Packs host data (out, in), row-major. */
  assign(values: HostArray): void {
    if (values.length !== this.size) throw new Error(`packed: needs ${this.size} elements, got ${values.length}`)
    const { words, scales } = packings[this.format].encode(
      values instanceof Float32Array ? values : Float32Array.from(values),
      this.shape,
      this,
    )
    this.write(words, scales)
  }

  /** Takes words and scales that are packed so already. */
  write(words: Int32Array, scales: Float32Array): void {
    this.words.assign(words)
    this.scales.assign(scales)
  }

  /** The weight's numbers as f32, (out, in) row-major, once everything queued before has run. */
  async data(): Promise<Float32Array> {
    const [words, scales] = await Promise.all([this.words.data(), this.scales.data()])
    const packed = { words: words as Int32Array, scales: scales as Float32Array }
    return packings[this.format].decode(packed, this.shape, this)
  }

  /** Another handle on the same memory. */
  alias(): Packed {
    return new Packed(this, this.shape, this)
  }

  /** Gives up this handle, and the memory with the last one; harmless when repeated. */
  dispose(): void {
    this.words.dispose()
    this.scales.dispose()
  }
}
