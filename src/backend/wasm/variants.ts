// Which of the compiled kernel sets this engine can run, and why not a faster one.

import kernels from 'wasm:kernels'
import { platform } from '#platform'
import { unpack } from './packed-kernels.ts'
import { wideModule } from './wide.ts'

export interface Variant {
  readonly module: WebAssembly.Module
  readonly relaxedSimd: boolean
  /** Vectors of 256 bits. */
  readonly wide: boolean
  readonly shared: boolean
  readonly notes: readonly string[]
}

/** What can be switched off by name. */
export const features = ['relaxed-simd', 'threads', 'wide', 'dot', 'dot16'] as const
export type Feature = (typeof features)[number]

/** The kernels as text, for a worker whose code comes without them. */
export const compiled = kernels

/** The best variant for `threads` threads; throws where there is no WebAssembly SIMD. */
export async function chooseVariant(threads: number, disable: readonly Feature[]): Promise<Variant> {
  const notes: string[] = []
  let shared = threads > 1
  if (shared && disable.includes('threads')) {
    notes.push('threads are switched off by option')
    shared = false
  }
  if (shared && platform.sharedMemory !== true) {
    notes.push(`one thread only: ${platform.sharedMemory}`)
    shared = false
  }
  if (disable.includes('relaxed-simd')) {
    notes.push('relaxed SIMD is switched off by option')
  } else {
    platform.enableRelaxedSimd()
    const [bytes] = await unpack(kernels, [shared ? 3 : 1])
    if (WebAssembly.validate(bytes!)) {
      const off = disable.includes('wide')
      if (off && platform.joinsVectors) notes.push('vectors of 256 bits are switched off by option')
      const module = off ? undefined : await wideModule(bytes!, shared)
      return {
        module: module ?? (await WebAssembly.compile(bytes!)),
        relaxedSimd: true,
        wide: module !== undefined,
        shared,
        notes,
      }
    }
    notes.push('relaxed SIMD is not known to this engine')
  }
  const [bytes] = await unpack(kernels, [shared ? 2 : 0])
  if (WebAssembly.validate(bytes!)) {
    return { module: await WebAssembly.compile(bytes!), relaxedSimd: false, wide: false, shared, notes }
  }
  throw new Error('wasm: this engine has no WebAssembly SIMD; use the reference backend')
}
