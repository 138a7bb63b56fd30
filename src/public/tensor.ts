// `vitune/tensor`: tensors, random numbers, differentiation, operations, optimisers and the backends that compute them. Not here:
// opening whichever device there is (`createBackend` in `vitune`), any code.

// backend
export type { Backend, BackendStats, Caps, HostArray, MemoryStats, Program } from '../backend/backend.ts'
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
} from '../backend/kernels.ts'
export { createReference } from '../backend/reference/reference.ts'
export { createWasm, type WasmOptions } from '../backend/wasm/wasm.ts'
export { createWebgpu, type WebgpuBackend, type WebgpuOptions, type WebgpuStats } from '../backend/webgpu/webgpu.ts'

// tensor
export type { HostInputs, HostValues } from '../tensor/host.ts'
export { philox, Rng } from '../tensor/philox.ts'
export { Packed, type PackedFormat, type Packing } from '../tensor/packed.ts'
export { keep, scope } from '../tensor/scope.ts'
export { checkpoint, untracked, type ValueAndGrad, valueAndGrad } from '../tensor/tape.ts'
export { empty, Parameter, parameter, Tensor, tensor } from '../tensor/tensor.ts'

// ops
export { attention } from '../ops/attention.ts'
export { dropout } from '../ops/dropout.ts'
export {
  abs,
  add,
  affine,
  broadcastTo,
  div,
  exp,
  gelu,
  log,
  mul,
  reciprocal,
  relu,
  rsqrt,
  sigmoid,
  silu,
  sqrt,
  square,
  sub,
  tanh,
} from '../ops/elementwise.ts'
export { type LinearOptions, linear, matmul } from '../ops/linear.ts'
export { crossEntropy } from '../ops/loss.ts'
export { layerNorm, softmax } from '../ops/normalise.ts'
export { unpack } from '../ops/packed.ts'
export { mean, meanAll, sum, sumSquares } from '../ops/reduce.ts'
export { concat, gather, overwrite, permute, reshape, slice, transpose } from '../ops/view.ts'

// optim
export { type AdamwOptions, adamw } from '../optim/adamw.ts'
export { clipFactor } from '../optim/clip.ts'
export { decayGroups, isVector, type Optimizer, type ParameterGroup } from '../optim/optimizer.ts'
export { Plateau, type PlateauOptions, rateFactor } from '../optim/schedules.ts'
export { type SgdOptions, sgd } from '../optim/sgd.ts'
