// Packed weights and quantised rows.
import type { KernelName } from '../../kernels.ts'
import type { GpuKernel } from '../kernel.ts'

const notYet =
  <K extends KernelName>(kernel: K): GpuKernel<K> =>
  () => {
    throw new Error(`${kernel}: WebGPU has no such kernel yet`)
  }

export const quantizeRows = notYet('quantizeRows')
export const matmulI8 = notYet('matmulI8')
export const unpack = notYet('unpack')
