// The backends that the tests of kernels and of the backend contract run on.
import { type Backend, createReference, createWasm } from 'vitune'

export interface Tested {
  start(): Promise<Backend>
  /** A backend whose results this one repeats bit for bit. */
  sameBitsAs?: string
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
