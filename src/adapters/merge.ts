// Merging adapters into the weights for inference without their cost, and taking them out again exactly.

import type { Vit } from '../models/vit.ts'
import { Linear } from '../nn/layers.ts'
import { replaceModule } from '../nn/module.ts'
import { overwrite } from '../ops/view.ts'
import { keep, scope } from '../tensor/scope.ts'
import { empty, type Tensor } from '../tensor/tensor.ts'
import { adaptedLayers } from './inject.ts'

export interface Merged {
  /** Layers merged. */
  readonly layers: number
  /** Puts the adapters and the original weights back, bit for bit. */
  unmerge(): void
  /** Frees the adapters and the kept originals: the merge becomes final. */
  seal(): void
}

/** Replaces each adapted layer by a plain Linear of the merged weight. The originals are kept for `unmerge`. */
export function merge(model: Vit): Merged {
  const layers = adaptedLayers(model)
  const originals = layers.map(({ layer, path }) => {
    if (layer.loraBias)
      throw new Error('merge: layers with a LoRA bias are not supported; predict with the adapter in place')
    const original = keep(empty(layer.weight.backend, layer.weight.shape))
    overwrite(original, layer.weight)
    scope(() => overwrite(layer.weight, layer.mergedWeight()))
    replaceModule(model, path, new Linear(layer.weight, layer.bias))
    return original
  })
  let open = true
  const close = () => {
    if (!open) throw new Error('merge: this merge was already undone or sealed')
    open = false
    for (const t of originals) t.dispose()
  }
  return {
    layers: layers.length,
    unmerge() {
      if (!open) throw new Error('merge: this merge was already undone or sealed')
      layers.forEach(({ path, layer }, i) => {
        overwrite(layer.weight, originals[i]!)
        replaceModule(model, path, layer)
      })
      close()
    },
    seal() {
      close()
      for (const { layer } of layers) layer.disposeAdapter()
    },
  }
}

/** The largest absolute difference of two outputs of the same shape. */
export async function largestDifference(a: Tensor, b: Tensor): Promise<number> {
  const [x, y] = await Promise.all([a.data(), b.data()])
  let most = 0
  for (let i = 0; i < x.length; i++) most = Math.max(most, Math.abs(x[i]! - y[i]!))
  return most
}
