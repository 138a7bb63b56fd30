// The SDK's public names, sorted by room. Not here: any code.

// platform
export { InputError } from './platform/errors.ts'

// backend
export type { Backend, Caps, HostArray, MemoryStats } from './backend/backend.ts'
export {
  type BinaryOp,
  type Buf,
  type Bufs,
  binaryOps,
  type Dtype,
  type KernelName,
  type KernelSpec,
  kernels,
  type Params,
  type ReduceOp,
  reduceOps,
  type UnaryOp,
  unaryOps,
} from './backend/kernels.ts'
export { createReference } from './backend/reference/reference.ts'

// io
export { type Checkpoint, checkpointFiles, openCheckpoint, parseWeightMap, readJsonObject } from './io/checkpoint.ts'
export { fromBf16, fromF16, toBf16, toF16 } from './io/half.ts'
export {
  openSafetensors,
  parseSafetensors,
  type SafetensorsFile,
  type StoredDtype,
  type TensorInfo,
} from './io/safetensors.ts'
export { encodeSafetensors, type TensorToWrite, type WrittenDtype, writeSafetensors } from './io/safetensors-write.ts'
