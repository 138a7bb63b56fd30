// Attention rollout (Abnar & Zuidema 2020, arXiv:2005.00928): through which tokens the classifier's input came, by
// multiplying the attention of all layers. It tells where the model looked, not why it decided.
import { Context } from '../../nn/context.ts'
import { add, affine, broadcastTo } from '../../ops/elementwise.ts'
import { matmul } from '../../ops/linear.ts'
import { reshape, slice } from '../../ops/view.ts'
import { scope } from '../../tensor/scope.ts'
import { type Tensor, tensor } from '../../tensor/tensor.ts'
import type { Vit } from './vit.ts'

/** Tokens before the first patch: class, distillation and register tokens. */
function prefixOf({ config }: Vit): number {
  return 1 + (config.distillationToken ? 1 : 0) + config.registers
}

/** How much of each token the classifier reads, (N) that sum to 1: what `Vit.pool` takes, half and half where it takes two. */
function readBy(model: Vit): Float32Array {
  const first = prefixOf(model)
  const share = new Float32Array(first + model.patches)
  const { pooling } = model.config
  const averaged = (part: number) => share.fill(part / model.patches, first)
  if (pooling === 'mean') averaged(1)
  else if (pooling === 'cls+mean') averaged(0.5)
  if (pooling === 'cls') share[0] = 1
  else if (pooling !== 'mean') share[0] = 0.5
  if (pooling === 'distilled') share[1] = 0.5
  return share
}

/**
 * How much of each token of the first layer is in what the classifier reads, (B, N) for images (B, channels, H, W); rows
 * sum to 1. A layer passes on (A + I) / 2, A its attention averaged over the heads; adapters on query and key count.
 * The product starts from the class token, from the mean of the patches, or from both, as the model's pooling does.
 */
export function attentionRollout(model: Vit, images: Tensor): Tensor {
  const ctx = new Context()
  return scope(() => {
    const attended: Tensor[] = []
    let x = scope(() => model.embed(images, ctx))
    for (const block of model.blocks) {
      const before = x
      attended.push(scope(() => block.attention.weights(block.norm1.forward(before), ctx)))
      if (block !== model.blocks[model.blocks.length - 1]) x = scope(() => block.forward(before, ctx))
      before.dispose()
    }
    const [b, n] = attended[0]!.shape as [number, number, number]
    let row = broadcastTo(tensor(model.backend, readBy(model), [1, n]), [b, 1, n])
    for (const a of attended.reverse()) row = scope(() => affine(add(matmul(row, a), row), 0.5)) // (B, 1, N)
    return reshape(row, [b, n])
  })
}

/** The patches' part of a rollout (B, N): (B, patches), row by row of the image. Class, distillation and register tokens drop out. */
export function patchesOf(model: Vit, rollout: Tensor): Tensor {
  const first = prefixOf(model)
  return slice(rollout, 1, first, first + model.patches)
}
