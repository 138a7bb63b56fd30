// Types of onnx-model.mjs.

/** The bytes of a model that multiplies (m, k) by (k, n). */
export function matmulModel(sizes: { m: number; k: number; n: number }): Uint8Array
