// The kernels of assembly/, compiled by rollup.config.mjs in four ways: plain and relaxed SIMD, then both with threads.

declare module 'wasm:kernels' {
  const kernels: {
    /** All four, each cut into so many `parts` and the parts in turn, deflated together, in base64. */
    readonly packed: string
    readonly parts: number
    readonly sizes: readonly number[]
  }
  export default kernels
}
