// `vitune/io`: safetensors, checkpoints, the hub, files made whole. Not here: any code.

// io
export { type Checkpoint, checkpointFiles, openCheckpoint, parseWeightMap } from '../io/checkpoint.ts'
export { fromBf16, fromF16, toBf16, toF16 } from '../io/half.ts'
export { hubCacheFolder, type ResolveOptions, resolveModel } from '../io/hub.ts'
export type { DownloadProgress } from '../io/model-files.ts'
export { readJsonObject } from '../io/json.ts'
export { writeFileAtomic } from '../io/local-files.ts'
export { encodeSafetensors, type TensorToWrite, type WrittenDtype, writeSafetensors } from '../io/safetensors-write.ts'
export {
  openSafetensors,
  parseSafetensors,
  type SafetensorsFile,
  type StoredDtype,
  type TensorInfo,
} from '../io/safetensors.ts'
