// Repositories on the Hugging Face hub that are known to load, with what one asks before choosing: for lists and help. Any other
// repository of these families loads as well.
import type { VitFamilyName } from './vit/families.ts'

export interface KnownModel {
  readonly name: string
  /** Hugging Face's model_type. */
  readonly family: VitFamilyName
  readonly width: number
  readonly depth: number
  /** Of what is computed here, without a classifier. */
  readonly parameters: number
  /** Side of patch and of input in pixels. */
  readonly patch: number
  readonly input: number
  readonly licence: string
}

type Size = readonly [name: string, width: number, depth: number, parameters: number]

const of = (family: VitFamilyName, patch: number, sizes: readonly Size[]): KnownModel[] =>
  sizes.map(([name, width, depth, parameters]) => ({
    name,
    family,
    width,
    depth,
    parameters,
    patch,
    input: 224,
    licence: 'Apache-2.0',
  }))

/** test/find.test.ts counts the parameters. */
export const knownModels: readonly KnownModel[] = [
  ...of('dinov2', 14, [
    ['facebook/dinov2-small', 384, 12, 22_056_192],
    ['facebook/dinov2-base', 768, 12, 86_579_712],
    ['facebook/dinov2-large', 1024, 24, 304_367_616],
    ['facebook/dinov2-giant', 1536, 40, 1_136_479_232],
  ]),
  ...of('dinov2_with_registers', 14, [
    ['facebook/dinov2-with-registers-small', 384, 12, 22_057_728],
    ['facebook/dinov2-with-registers-base', 768, 12, 86_582_784],
    ['facebook/dinov2-with-registers-large', 1024, 24, 304_371_712],
    ['facebook/dinov2-with-registers-giant', 1536, 40, 1_136_485_376],
  ]),
  ...of('vit', 16, [
    ['facebook/deit-tiny-patch16-224', 192, 12, 5_524_416],
    ['facebook/deit-small-patch16-224', 384, 12, 21_665_664],
    ['google/vit-base-patch16-224', 768, 12, 85_798_656],
    ['google/vit-large-patch16-224', 1024, 24, 303_301_632],
    ['timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k', 192, 12, 5_524_416],
    ['timm/vit_small_patch16_224.augreg_in21k_ft_in1k', 384, 12, 21_665_664],
    ['timm/vit_base_patch16_224.augreg_in21k_ft_in1k', 768, 12, 85_798_656],
    ['timm/vit_large_patch16_224.augreg_in21k_ft_in1k', 1024, 24, 303_301_632],
  ]),
  ...of('deit', 16, [
    ['facebook/deit-tiny-distilled-patch16-224', 192, 12, 5_524_800],
    ['facebook/deit-small-distilled-patch16-224', 384, 12, 21_666_432],
    ['facebook/deit-base-distilled-patch16-224', 768, 12, 85_800_192],
  ]),
]
