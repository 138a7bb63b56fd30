// What is measured: the two ViT shapes and the matrix products in them. No code.

/** A vision transformer with a class token and separate query, key and value; MLP of 4 x hidden. */
export interface VitShape {
  readonly name: string
  readonly image: number
  readonly patch: number
  readonly hidden: number
  readonly layers: number
  readonly heads: number
  readonly classes: number
  readonly layerScale: boolean
}

/** facebook/dinov2-small at 224 px: ViT-S/14, 257 tokens. */
export const dinov2Small: VitShape = {
  name: "DINOv2-small's shape",
  image: 224,
  patch: 14,
  hidden: 384,
  layers: 12,
  heads: 6,
  classes: 100,
  layerScale: true,
}

/** facebook/dinov2-base's shape: ViT-B/14. */
export const vitBase: VitShape = { ...dinov2Small, name: "DINOv2-base's shape", hidden: 768, heads: 12 }

/** facebook/dinov2-large's shape: ViT-L/14. */
export const vitLarge: VitShape = { ...dinov2Small, name: "DINOv2-large's shape", hidden: 1024, heads: 16, layers: 24 }

/** 32 px, 65 tokens. */
export const smallVit: VitShape = {
  name: 'small ViT',
  image: 32,
  patch: 4,
  hidden: 192,
  layers: 6,
  heads: 3,
  classes: 10,
  layerScale: false,
}

/** y (m, n) = a (m, k) b (k, n). */
export interface Product {
  readonly m: number
  readonly k: number
  readonly n: number
}

/** The one that targets are set on. */
export const target: Product = { m: 2056, k: 384, n: 1536 }

/** A batch of 8 images of dinov2Small through its layers and through LoRA's; then 64 of smallVit. */
export const products: readonly Product[] = [
  target,
  { m: 2056, k: 384, n: 384 },
  { m: 2056, k: 1536, n: 384 },
  { m: 2056, k: 384, n: 8 },
  { m: 2056, k: 8, n: 384 },
  { m: 4160, k: 192, n: 192 },
  { m: 4160, k: 192, n: 768 },
]

export const productName = ({ m, k, n }: Product) => `${m} x ${k} x ${n}`
export const flopsOf = ({ m, k, n }: Product) => 2 * m * k * n
