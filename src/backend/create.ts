// Picks the backend by name, and says why.
import { InputError } from '../platform/errors.ts'
import type { Backend } from './backend.ts'
import { createReference } from './reference/reference.ts'
import { createWasm } from './wasm/wasm.ts'
import { createWebgpu } from './webgpu/webgpu.ts'

export type Device = 'auto' | 'wasm' | 'webgpu' | 'reference'
export const devices: readonly Device[] = ['auto', 'wasm', 'webgpu', 'reference']

export interface BackendOptions {
  /** Default 'auto': the fastest that works here. */
  device?: Device | undefined
  /** WASM threads; default one for each processor, at most 16. */
  threads?: number | undefined
}

/** Starts a backend. Throws InputError for a device that this version or machine does not have. */
export async function createBackend(options: BackendOptions = {}): Promise<Backend> {
  const { device = 'auto', threads } = options
  if (!devices.includes(device)) throw new InputError(`device: must be one of ${devices.join(', ')}, got ${device}`)
  if (device === 'webgpu') {
    return createWebgpu().catch((error: unknown) => {
      throw new InputError(`device: ${error instanceof Error ? error.message : error}; or use auto or wasm`)
    })
  }
  if (device === 'reference') return createReference()
  if (threads !== undefined && !(Number.isInteger(threads) && threads >= 1 && threads <= 64)) {
    throw new InputError(`threads: must be a whole number from 1 to 64, got ${threads}`)
  }
  return createWasm(threads === undefined ? {} : { threads })
}
