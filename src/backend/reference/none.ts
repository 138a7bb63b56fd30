// What takes reference.ts's place in create.ts in what a page loads, by rollup.config.mjs: loops that define the kernels and are
// slow are of no use there, and would be a fortieth of it. `vitune/tensor` has them.
import { InputError } from '../../platform/errors.ts'
import type { Backend } from '../backend.ts'

export function createReference(): Backend {
  throw new InputError(
    'device: reference is not in what a page loads; use wasm, or createReference of vitune/tensor for tests of kernels',
  )
}
