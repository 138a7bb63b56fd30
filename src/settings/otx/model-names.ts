// The names that OTX and getitune have for pretrained models, and the repositories on the Hugging Face hub that hold the same
// weights. Not here: which models can be read (models/registry.ts).
import { families } from '../../models/registry.ts'

export interface Stand {
  readonly name: string
  /** In what it differs from what the name means there, as the end of a sentence. */
  readonly differs: string
}

const timm = (size: string): Stand => ({
  name: `timm/vit_${size}_patch16_224.augreg_in21k_ft_in1k`,
  differs:
    'the same weights; images are normalised as those were trained, by 0.5, where the recipe takes ImageNet’s mean',
})
const dinov2 = (size: string): Stand => ({
  name: `facebook/dinov2-with-registers-${size}`,
  differs:
    'the same weights; its classifier reads the class token and the mean of the patches, where OTX reads the class token alone',
})

/** What stands for each `model_name` (pretrained_urls in OTX 2.6.0 and VIT_PRETRAINED_URLS in getitune 0.4.0). */
export const modelNames: Readonly<Record<string, Stand>> = {
  ...Object.fromEntries(['tiny', 'small', 'base', 'large'].map((size) => [`vit-${size}`, timm(size)])),
  ...Object.fromEntries(['small', 'base', 'large', 'giant'].map((size) => [`dinov2-${size}`, dinov2(size)])),
}

/** A family of models in a repository's name, with its model_type: those that a configuration may ask for and that may not be here. */
const others: readonly [RegExp, string, string][] = [[/dinov3/i, 'dinov3_vit', 'DINOv3']]

/** Why a repository cannot be loaded, as far as its name tells; undefined where it may be. */
export function notHere(repository: string): string | undefined {
  const family = others.find(([pattern, type]) => pattern.test(repository) && !families.includes(type))
  return family && `${family[2]} is a family of models that is not here yet; put a model folder in its place by --model`
}
