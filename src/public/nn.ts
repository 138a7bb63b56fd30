// `vitune/nn`: modules and the layers that every model has. Not here: whole models, any code.

// nn
export { Context } from '../nn/context.ts'
export { LayerNorm, Linear, LinearAdapter, ones, truncatedNormal, zeros } from '../nn/layers.ts'
export type { Model } from '../nn/model.ts'
export {
  countParameters,
  disposeModule,
  Module,
  namedModules,
  namedParameters,
  namedWeights,
  replaceModule,
  setTrainable,
  trainableParameters,
} from '../nn/module.ts'
