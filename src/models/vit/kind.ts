// Vision transformers as the registry has them: one class for ViT, DeiT and DINOv2 with and without registers.

import type { ModelKind } from '../model-kind.ts'
import { attentionDropoutOf, parseVitConfig, type VitConfig } from './config.ts'
import { type VitFamilyName, vitFamilies, vitFamilyNames } from './families.ts'
import { vitImages } from './images.ts'
import { describeVit, type LoadOptions, loadVit } from './load.ts'
import {
  architectureOf,
  baseName,
  classicName,
  headModules,
  huggingFaceName,
  isHead,
  isHeadModule,
  modernName,
  storedShape,
} from './names.ts'
import { attentionRollout, patchesOf } from './rollout.ts'
import { saveVit } from './save.ts'
import { isTimm } from './timm.ts'
import { Vit } from './vit.ts'

export const vit: ModelKind<VitConfig, Vit, LoadOptions> = {
  families: vitFamilyNames,
  names: {
    base: baseName,
    architecture: architectureOf,
    checkpoint: huggingFaceName,
    shape: storedShape,
    heads: headModules,
    isHeadModule,
    isHead,
    // The patch embedding is a convolution there.
    isLinear: (path) => path !== 'patch',
    modern: modernName,
    classic: classicName,
  },
  reads: ({ config, names }) => vitFamilyNames.some((name) => name === config.model_type) || isTimm(names()),
  parse: parseVitConfig,
  describe: describeVit,
  build: (backend, config, init, packing) => new Vit(backend, config, init, packing),
  load: loadVit,
  save: saveVit,
  published: (family) => vitFamilies[family as VitFamilyName],
  imagesOf: vitImages,
  lookedAt: (model, images) => patchesOf(model, attentionRollout(model, images)),
  leavesOut(json) {
    const dropped = attentionDropoutOf(json)
    return dropped > 0 ? [`the attention dropout of ${dropped}`] : []
  },
}
