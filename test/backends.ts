// The backends that the tests of kernels, of the backend contract and of replay run on, in Node and in a page of Chromium.
import { type Backend, createReference, createWasm, createWebgpu } from 'vitune/tensor'
import { type KernelCase, tileCases } from './kernel-cases.ts'

export interface Tested {
  start(): Promise<Backend>
  /** A backend whose results this one repeats bit for bit. */
  sameBitsAs?: string
  /** Whether a kernel case is left out here. */
  leavesOut?(c: KernelCase): boolean
}

// WebGPU's tiles have edges of their own, which only it and the reference know.
const leavesOut = (c: KernelCase) => tileCases.has(c)
const wasm: Record<string, Tested> = {
  'wasm, 1 thread': { start: () => createWasm({ threads: 1, disable: ['relaxed-simd'] }), leavesOut },
  'wasm, 2 threads': {
    start: () => createWasm({ threads: 2, disable: ['relaxed-simd'] }),
    sameBitsAs: 'wasm, 1 thread',
    leavesOut,
  },
  'wasm, 2 threads, relaxed': {
    start: () => createWasm({ threads: 2 }),
    sameBitsAs: 'wasm, 1 thread, relaxed',
    leavesOut,
  },
}

// None of them runs otherwise in a page.
const onlyInNode: Record<string, Tested> = {
  'wasm, 1 thread, relaxed': { start: () => createWasm({ threads: 1 }), leavesOut },
  'reference f32': { start: async () => createReference() },
  // More threads than most cases have work for, and than this machine may have cores.
  'wasm, 5 threads': {
    start: () => createWasm({ threads: 5, disable: ['relaxed-simd'] }),
    sameBitsAs: 'wasm, 1 thread',
    leavesOut,
  },
}

/** Tiles run slowly in software: the cases that reach each of them, with every epilogue and transpose on one of them. */
function fewForTiles(c: KernelCase): boolean {
  if (tileCases.has(c)) return false
  if (c.kernel === 'attention') return !/^2 x 67|257/.test(c.name)
  if (c.kernel === 'attentionGrad') return !/^2 x (67|17)/.test(c.name)
  if (c.kernel === 'matmulI8') return !/^(26|130) x/.test(c.name)
  if (/format/.test(c.name)) return !/^5 x 13 .*64|^257 .*format 2/.test(c.name)
  if (c.kernel !== 'matmul') return true
  if (/^(1028 x 8|1028 x 384|8 x 384) x/.test(c.name)) return !/bias|accumulate/.test(c.name)
  return !/^(17 x 67 x 33|1 x 67 x 67|17 x 13 x 4)\b/.test(c.name)
}

const webgpu: Record<string, Tested> = { webgpu: { start: () => createWebgpu() } }
/** What reads otherwise where there are no subgroups, and no products of four bytes. */
function withoutSubgroups(c: KernelCase): boolean {
  if (c.kernel === 'matmulI8') return /^26 x/.test(c.name)
  if (c.kernel === 'attention' || c.kernel === 'attentionGrad') return /^2 x 67/.test(c.name)
  return ['reduce', 'softmax', 'softmaxGrad', 'layerNorm', 'layerNormGrad', 'crossEntropy', 'clipNorm'].includes(
    c.kernel,
  )
}

const inPage = Boolean(process.env.VITUNE_TEST_PAGE)
/** A page runs them slower still: the edges of matmul's tiles, and one width of heads. */
function fewerForTiles(c: KernelCase): boolean {
  return c.kernel === 'matmul' ? !tileCases.has(c) : fewForTiles(c) || !/^2 x 67/.test(c.name)
}

// On an adapter in software: the kernels that GPUs get, those with subgroups and those of them without.
const asOnGpu: Record<string, Tested> = {
  'webgpu, as on a GPU': {
    start: () => createWebgpu({ disable: ['direct'] }),
    leavesOut: inPage ? fewerForTiles : fewForTiles,
  },
}
const noSubgroups: Record<string, Tested> = {
  'webgpu, as on a GPU without subgroups': {
    start: () => createWebgpu({ disable: ['direct', 'subgroups', 'dot'] }),
    leavesOut: (c) => !withoutSubgroups(c),
  },
}

/** Those whose label matches VITUNE_TEST_ONLY; all without it. */
function chosen(all: Record<string, Tested>): Record<string, Tested> {
  const only = new RegExp(process.env.VITUNE_TEST_ONLY ?? '')
  return Object.fromEntries(Object.entries(all).filter(([label]) => only.test(label)))
}

/** By label. WebGPU where test/run.mjs found an adapter. */
export const backends: Record<string, Tested> = chosen({
  ...(inPage ? {} : onlyInNode),
  ...wasm,
  ...(process.env.VITUNE_TEST_WEBGPU ? webgpu : {}),
})

/** Those, and the kernels of WebGPU that another machine would get. */
export const kernelBackends: Record<string, Tested> = chosen({
  ...backends,
  ...(process.env.VITUNE_TEST_WEBGPU ? asOnGpu : {}),
  ...(process.env.VITUNE_TEST_WEBGPU && !inPage ? noSubgroups : {}),
})
