// Which of the four compiled kernel sets this engine can run, and why not a faster one.

import relaxed from 'wasm:relaxed'
import relaxedThreads from 'wasm:relaxed-threads'
import simd from 'wasm:simd'
import simdThreads from 'wasm:simd-threads'
import { platform } from '#platform'
import { InputError } from '../../platform/errors.ts'

export interface Variant {
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly relaxedSimd: boolean
  readonly shared: boolean
  readonly notes: readonly string[]
}

/** What can be switched off by name. */
export type Feature = 'relaxed-simd' | 'threads'

/** The kernels as text, for a worker whose code comes without them. */
export const compiled = { simd, relaxed, 'simd-threads': simdThreads, 'relaxed-threads': relaxedThreads } as const

function inflater(): DecompressionStream {
  try {
    return new DecompressionStream('deflate-raw')
  } catch {
    throw new InputError('wasm: this engine cannot unpack the kernels (deflate-raw); use Node 20.12 or newer')
  }
}

async function decode(base64: string): Promise<Uint8Array<ArrayBuffer>> {
  const text = atob(base64)
  const bytes = new Uint8Array(text.length)
  for (let i = 0; i < bytes.length; i++) bytes[i] = text.charCodeAt(i)
  const inflated = new Blob([bytes]).stream().pipeThrough(inflater())
  return new Uint8Array(await new Response(inflated).arrayBuffer())
}

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
    const bytes = await decode(shared ? relaxedThreads : relaxed)
    if (WebAssembly.validate(bytes)) return { bytes, relaxedSimd: true, shared, notes }
    notes.push('relaxed SIMD is not known to this engine')
  }
  const bytes = await decode(shared ? simdThreads : simd)
  if (WebAssembly.validate(bytes)) return { bytes, relaxedSimd: false, shared, notes }
  throw new Error('wasm: this engine has no WebAssembly SIMD; use the reference backend')
}
