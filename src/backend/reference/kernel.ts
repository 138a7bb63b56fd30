// The types that every file of the reference backend shares.
import type { Bufs, KernelName, Params } from '../kernels.ts'

/** A buffer's elements: f32 is Float32Array, or Float64Array under precision f64; i32 is Int32Array. */
export type Cells = Float32Array | Float64Array | Int32Array

/** One kernel as a plain loop. Sizes and dtypes are checked before it runs; sums are kept in f64, stores round. */
export type Kernel<K extends KernelName> = (bufs: Bufs<K, Cells>, params: Params<K>) => void
