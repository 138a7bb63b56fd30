// The backends that the tests of kernels and of the backend contract run on.
import { type Backend, createReference, createWasm, createWebgpu } from 'vitune'
import { cases, type KernelCase, tileCases } from './kernel-cases.ts'

export interface Tested {
  start(): Promise<Backend>
  /** A backend whose results this one repeats bit for bit. */
  sameBitsAs?: string
  /** Whether a kernel case is left out here. */
  leavesOut?(c: KernelCase): boolean
}

/**
 * SwiftShader takes about a second to compile each variant of matmul: of an epilogue that has a case for each way of
 * transposing A and B, one way is run, another for each epilogue. Bare products run in all.
 */
function otherWayRuns({ kernel, name, params }: KernelCase): boolean {
  const plain = name.replace(', A^T', '').replace(', B^T', '')
  if (kernel !== 'matmul' || /^[\d x]+$/.test(plain)) return false
  const ways = cases.filter((c) => c.kernel === kernel && c.name.replace(', A^T', '').replace(', B^T', '') === plain)
  const way = [...plain].reduce((sum, letter) => sum + letter.charCodeAt(0), 0) % 4
  return ways.length === 4 && way !== 2 * params.transA! + params.transB!
}

export const backends: Record<string, Tested> = {
  'reference f32': { start: async () => createReference() },
  'wasm, 1 thread': { start: () => createWasm({ threads: 1, disable: ['relaxed-simd'] }) },
  'wasm, 1 thread, relaxed': { start: () => createWasm({ threads: 1 }) },
  'wasm, 2 threads': {
    start: () => createWasm({ threads: 2, disable: ['relaxed-simd'] }),
    sameBitsAs: 'wasm, 1 thread',
  },
  'wasm, 2 threads, relaxed': { start: () => createWasm({ threads: 2 }), sameBitsAs: 'wasm, 1 thread, relaxed' },
  // More threads than most cases have work for, and than this machine may have cores.
  'wasm, 5 threads': {
    start: () => createWasm({ threads: 5, disable: ['relaxed-simd'] }),
    sameBitsAs: 'wasm, 1 thread',
  },
}

// `npm run test:webgpu` adds the WebGPU backend, in software; it takes minutes, so `npm test` does not.
for (const name in backends) if (name.startsWith('wasm')) backends[name]!.leavesOut = (c) => tileCases.has(c)
if (process.env.VITUNE_TEST_WEBGPU) backends.webgpu = { start: () => createWebgpu(), leavesOut: otherWayRuns }
