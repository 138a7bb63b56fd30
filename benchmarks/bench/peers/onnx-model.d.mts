// Types of onnx-model.mjs.

/** The bytes of a model that multiplies (m, k) by (k, n). */
export function matmulModel(sizes: { m: number; k: number; n: number }): Uint8Array

/** The bytes of a ViT with random weights; `int8`: its products by weights in 8 bits. */
export function vitModel(sizes: {
  shape: import('../shapes.ts').VitShape
  batch: number
  int8?: boolean
}): Uint8Array
