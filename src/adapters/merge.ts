// Merging adapters into the weights for inference without their cost, and taking them out again exactly.

import type { Classifier } from '../models/model-kind.ts'
import { inPlaceOf } from '../nn/layers.ts'
import { disposeModule } from '../nn/module.ts'
import { InputError } from '../platform/errors.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { adaptedLayers } from './inject.ts'

export interface Merged {
  /** Layers merged. */
  readonly layers: number
  /** Puts the adapters and the original weights back, bit for bit. */
  unmerge(): void
  /** Frees the adapters and the kept originals: the merge becomes final. */
  seal(): void
}

/** Why a model's adapters are in no weight, where that is so. */
export const cannotMerge = (model: Classifier): string | undefined =>
  adaptedLayers(model).find(({ adapter }) => adapter.cannotMerge)?.adapter.cannotMerge

/**
 * Puts what each adapter does into its layer's weight and takes it off; a packed weight becomes f32. The originals are kept for
 * `unmerge`. Throws an
 * InputError where an adapter is of a kind that no weight can hold.
 */
export function merge(model: Classifier): Merged {
  const why = cannotMerge(model)
  if (why !== undefined) throw new InputError(`merge: ${why}; predict with the adapter in place`)
  const layers = adaptedLayers(model)
  const originals = layers.map(({ layer, adapter }) => {
    const original = layer.weight
    layer.weight = inPlaceOf(original, () => adapter.mergedWeight(layer))
    layer.adapter = undefined
    return original
  })
  let open = true
  const close = () => {
    if (!open) throw new Error('merge: this merge was already undone or sealed')
    open = false
  }
  return {
    layers: layers.length,
    unmerge() {
      if (!open) throw new Error('merge: this merge was already undone or sealed')
      layers.forEach(({ layer, adapter }, i) => {
        layer.weight.dispose()
        layer.weight = originals[i]!
        layer.adapter = adapter
      })
      close()
    },
    seal() {
      close()
      for (const original of originals) original.dispose()
      for (const { adapter } of layers) disposeModule(adapter)
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
