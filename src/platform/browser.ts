// The platform in a page or a worker of a browser: no environment; workers start from a Blob. Files and images have
// files of their own.
import { decodeImage, readImage } from './browser-images.ts'
import { lockHolder, takeLock } from './browser-locks.ts'
import { currentFiles } from './browser-storage.ts'
import { download } from './download.ts'
import { InputError } from './errors.ts'
import type { Platform, WorkerHandle } from './platform.ts'

function sharedMemory(): true | string {
  if (globalThis.crossOriginIsolated === false) {
    return 'the page is not cross-origin isolated: send the COOP and COEP headers'
  }
  if (typeof SharedArrayBuffer === 'undefined') return 'this browser offers no SharedArrayBuffer here'
  return true
}

async function digest(bytes: Uint8Array): Promise<string | undefined> {
  if (!globalThis.crypto?.subtle) return undefined
  const sum = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>))
  return Array.from(sum, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

const blocked = 'it was not loaded: a Content-Security-Policy must allow worker-src blob:'

function startWorker(source: string): WorkerHandle {
  if (typeof Worker === 'undefined') throw new InputError('worker: this browser has none here; use a newer one')
  const url = URL.createObjectURL(new Blob([source], { type: 'text/javascript' }))
  const worker = new Worker(url)
  return {
    post: (message, transfer = []) => worker.postMessage(message, [...transfer]),
    onMessage: (listener) => worker.addEventListener('message', (event) => listener(event.data)),
    onError: (listener) =>
      // Without a message it has not even been loaded.
      worker.addEventListener('error', ({ message }) => listener(new Error(message || blocked))),
    hold: () => {},
    async stop() {
      worker.terminate()
      URL.revokeObjectURL(url)
    },
  }
}

/** The platform of this page. */
export const platform: Platform = {
  name: 'browser',
  cores: navigator.hardwareConcurrency ?? 1,
  sharedMemory: sharedMemory(),
  v8: undefined,
  describe: () => ({ runtime: 'browser', version: navigator.userAgent }),
  // Engines that have it need no flag.
  enableRelaxedSimd: () => {},
  joinsVectors: false,
  compileWhole: (_, compile) => compile(),
  startWorker,
  get files() {
    return currentFiles()
  },
  takeLock,
  lockHolder,
  digest,
  decodeImage,
  readImage,
  download,
  hub: undefined,
  env: () => undefined,
  homeFolder: () => '',
  memoryLimit: () => undefined,
  peakResident: () => undefined,
  async gpu() {
    const { gpu } = navigator as { gpu?: GPU }
    if (gpu) return gpu
    return globalThis.isSecureContext ? 'this browser has no WebGPU' : 'WebGPU needs a secure page (https or localhost)'
  },
  lookForGpu: async () => undefined,
}
