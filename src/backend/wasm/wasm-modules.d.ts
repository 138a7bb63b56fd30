// The kernels of assembly/, compiled by rollup.config.mjs.

declare module 'wasm:kernels' {
  /** Plain and relaxed SIMD, then both with threads. */
  const kernels: import('./packed-kernels.ts').PackedKernels
  export default kernels
}

declare module 'wasm:wide' {
  /** The wide build, the same with threads, the ordinary micro-kernel alone and the wide one. */
  const kernels: import('./packed-kernels.ts').PackedKernels
  export default kernels
}
