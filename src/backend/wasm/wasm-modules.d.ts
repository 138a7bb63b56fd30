// The kernels of assembly/, compiled by rollup.config.mjs, one module each way of building them: deflated, in base64.

declare module 'wasm:simd' {
  const base64: string
  export default base64
}
declare module 'wasm:relaxed' {
  const base64: string
  export default base64
}
declare module 'wasm:simd-threads' {
  const base64: string
  export default base64
}
declare module 'wasm:relaxed-threads' {
  const base64: string
  export default base64
}
