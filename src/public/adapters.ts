// `vitune/adapters`: LoRA and DoRA, PEFT's rules and its files. Not here: any code.

// adapters
export type { AdapterConfig, AdapterKind } from '../adapters/adapter.ts'
export { DoraAdapter } from '../adapters/dora.ts'
export {
  adaptedLayers,
  freezeBackbone,
  headModules,
  injectAdapter,
  linearLayers,
  removeAdapters,
} from '../adapters/inject.ts'
export { type LoraConfig, loraConfig, loraDefaults } from '../adapters/lora-config.ts'
export { LoraAdapter } from '../adapters/lora.ts'
export { largestDifference, type Merged, merge } from '../adapters/merge.ts'
export { type Method, type MethodKind, methodOf, methods } from '../adapters/methods.ts'
export { adapterConfigText, parseAdapterConfig } from '../adapters/peft/config.ts'
export { type Adapter, openAdapter } from '../adapters/peft/folder.ts'
export { type ApplyOptions, applyAdapter } from '../adapters/peft/read.ts'
export { adapterTensors, type SaveAdapterOptions, saveAdapter } from '../adapters/peft/write.ts'
export { isSaved, isTarget, strength } from '../adapters/rules.ts'
