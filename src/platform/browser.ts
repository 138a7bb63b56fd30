// The platform in a page or a worker of a browser: no environment; workers start from a Blob. Files: browser-files.ts.
import { files } from './browser-files.ts'
import type { Platform, RgbImage, WorkerHandle } from './platform.ts'

function sharedMemory(): true | string {
  if (globalThis.crossOriginIsolated === false) {
    return 'the page is not cross-origin isolated: send the COOP and COEP headers'
  }
  if (typeof SharedArrayBuffer === 'undefined') return 'this browser offers no SharedArrayBuffer here'
  return true
}

function startWorker(source: string): WorkerHandle {
  const url = URL.createObjectURL(new Blob([source], { type: 'text/javascript' }))
  const worker = new Worker(url)
  return {
    post: (message, transfer = []) => worker.postMessage(message, [...transfer]),
    onMessage: (listener) => worker.addEventListener('message', (event) => listener(event.data)),
    onError: (listener) => worker.addEventListener('error', (event) => listener(new Error(event.message))),
    hold: () => {},
    async stop() {
      worker.terminate()
      URL.revokeObjectURL(url)
    },
  }
}

async function decodeImage(bytes: Uint8Array): Promise<RgbImage> {
  // The copy gives Blob a plain ArrayBuffer; premultiplying would blend the alpha in.
  const blob = new Blob([new Uint8Array(bytes)])
  const bitmap = await createImageBitmap(blob, {
    imageOrientation: 'from-image',
    premultiplyAlpha: 'none',
    colorSpaceConversion: 'none',
  })
  const { width, height } = bitmap
  const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true })
  if (!context) throw new Error('image: this browser gives no 2D canvas to decode on')
  context.drawImage(bitmap, 0, 0)
  bitmap.close()
  const rgba = context.getImageData(0, 0, width, height).data
  const data = new Uint8Array(width * height * 3)
  for (let i = 0, j = 0; i < rgba.length; i += 4) {
    data[j++] = rgba[i]!
    data[j++] = rgba[i + 1]!
    data[j++] = rgba[i + 2]!
  }
  return { width, height, data }
}

/** The platform of this page. */
export const platform: Platform = {
  name: 'browser',
  cores: navigator.hardwareConcurrency ?? 1,
  sharedMemory: sharedMemory(),
  describe: () => ({ runtime: 'browser', version: navigator.userAgent }),
  // Engines that have it need no flag.
  enableRelaxedSimd: () => {},
  startWorker,
  files,
  decodeImage,
  hub: undefined,
  env: () => undefined,
  homeFolder: () => '',
  peakResident: () => undefined,
  async gpu() {
    const { gpu } = navigator as { gpu?: GPU }
    if (gpu) return gpu
    return globalThis.isSecureContext ? 'this browser has no WebGPU' : 'WebGPU needs a secure page (https or localhost)'
  },
}
