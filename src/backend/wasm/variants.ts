// Which of the four compiled kernel sets this engine can run, and why not a faster one.

import kernels from 'wasm:kernels'
import { platform } from '#platform'
import { InputError } from '../../platform/errors.ts'

export interface Variant {
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly relaxedSimd: boolean
  readonly shared: boolean
  readonly notes: readonly string[]
}

/** What can be switched off by name. */
export type Feature = 'relaxed-simd' | 'threads' | 'dot' | 'dot16'

/** The kernels as text, for a worker whose code comes without them. */
export const compiled = kernels

function inflater(): DecompressionStream {
  try {
    return new DecompressionStream('deflate-raw')
  } catch {
    throw new InputError('wasm: this engine cannot unpack the kernels (deflate-raw); use Node 20.12 or newer')
  }
}

/** The variant at `place`, of all that rollup.config.mjs has cut and packed together. */
async function unpack(place: 0 | 1 | 2 | 3): Promise<Uint8Array<ArrayBuffer>> {
  const { packed, sizes, parts } = kernels
  const text = atob(packed)
  const bytes = new Uint8Array(text.length)
  for (let i = 0; i < bytes.length; i++) bytes[i] = text.charCodeAt(i)
  const inflated = new Blob([bytes]).stream().pipeThrough(inflater())
  const all = new Uint8Array(await new Response(inflated).arrayBuffer())
  const out = new Uint8Array(sizes[place]!)
  let from = 0
  for (let part = 0; part < parts; part++) {
    for (const [i, size] of sizes.entries()) {
      const [start, end] = [Math.floor((size * part) / parts), Math.floor((size * (part + 1)) / parts)]
      if (i === place) out.set(all.subarray(from, from + end - start), start)
      from += end - start
    }
  }
  return out
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
    const bytes = await unpack(shared ? 3 : 1)
    if (WebAssembly.validate(bytes)) return { bytes, relaxedSimd: true, shared, notes }
    notes.push('relaxed SIMD is not known to this engine')
  }
  const bytes = await unpack(shared ? 2 : 0)
  if (WebAssembly.validate(bytes)) return { bytes, relaxedSimd: false, shared, notes }
  throw new Error('wasm: this engine has no WebAssembly SIMD; use the reference backend')
}
