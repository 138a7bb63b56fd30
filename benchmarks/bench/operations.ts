// How many multiply-adds a ViT needs, twice: computed from its shape, and counted from the kernels that a step dispatched. And the
// bytes that a LoRA step has to hold. What times and memory of larger models are compared with.
import type { Call } from './counting-backend.ts'
import type { VitShape } from './shapes.ts'

/** Multiplications and additions of the kernels that are bound by them; 0 for those bound by memory. */
export function flopsOfCall({ kernel, params: p, bufs }: Call): number {
  if (kernel === 'matmul') return 2 * p.batch! * p.m! * p.n! * p.k!
  if (kernel === 'matmulI8') return 2 * p.m! * p.n! * p.k!
  const product = 2 * p.b! * p.h! * p.n! ** 2 * p.d!
  if (kernel === 'attention') return 2 * product
  // The scores again, dO V^T for dq and dk, and one product for each gradient asked for.
  if (kernel !== 'attentionGrad') return 0
  const [dq, dk, dv] = [bufs.dq, bufs.dk, bufs.dv].map((b) => (b ? 1 : 0)) as [number, number, number]
  return product * (1 + Math.max(dq, dk) + dq + dk + dv)
}

const RANK = 8
const tokensOf = ({ image, patch }: VitShape) => (image / patch) ** 2 + 1

/**
 * Multiply-adds of a LoRA step (rank 8, query and value) with one image of DINOv2's kind, whose classifier reads class token and
 * mean of patches. Forward: 12 N C^2 by weights and 2 N^2 C in attention by block; back the same by weights, and 5 N^2 C, since
 * the scores are made again. The first block hands on no gradient: neither its input's nor its keys'.
 */
export function loraStepMacs(shape: VitShape): number {
  const { hidden: c, layers, patch, classes } = shape
  const n = tokensOf(shape)
  const ends = (n - 1) * 3 * patch ** 2 * c + 2 * c * classes * 3
  const forward = 12 * n * c ** 2 + 2 * n ** 2 * c + 4 * n * c * RANK
  const back = 12 * n * c ** 2 + 5 * n ** 2 * c + 8 * n * c * RANK
  const notHandedOn = 3 * n * c ** 2 + n ** 2 * c + 2 * n * c * RANK
  return ends + layers * (forward + back) - notHandedOn
}

/**
 * Bytes of tensors at the peak of that step: all weights, and what each block keeps for the way back, which is eleven activations
 * (N, C) and some vectors: its input, the norm's output, query, key, value, what they attend to, the second norm's input, and
 * gelu's slope, four as wide. Five more are in use at once.
 */
export function loraStepBytes(shape: VitShape): number {
  const { hidden: c, layers, heads, patch } = shape
  const n = tokensOf(shape)
  const weights = layers * (12 * c ** 2 + 13 * c) + 3 * patch ** 2 * c + n * c
  return 4 * (weights + layers * n * (11 * c + heads + 2 * RANK + 4) + 5 * n * c)
}
