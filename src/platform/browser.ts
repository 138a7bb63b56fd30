// A page or a worker in a browser: no files, no environment, module workers started from a Blob.
import type { Platform, RgbImage, WorkerHandle } from './platform.ts'

/** One sentence when this page may not share memory, else true. */
function sharedMemory(): true | string {
  if (typeof SharedArrayBuffer === 'undefined') return 'This browser has no SharedArrayBuffer here.'
  if (!globalThis.crossOriginIsolated) return 'The page is not cross-origin isolated (COOP and COEP headers).'
  return true
}

function startWorker(source: string): WorkerHandle {
  const url = URL.createObjectURL(new Blob([source], { type: 'text/javascript' }))
  const worker = new Worker(url)
  return {
    post: (message) => worker.postMessage(message),
    onMessage: (listener) => worker.addEventListener('message', (event) => listener(event.data)),
    onError: (listener) => worker.addEventListener('error', (event) => listener(new Error(event.message))),
    hold: () => {},
    async stop() {
      worker.terminate()
      URL.revokeObjectURL(url)
    },
  }
}

/** Decodes what the browser knows; alpha is dropped, and pixels that are wholly transparent come out black. */
async function decodeImage(bytes: Uint8Array): Promise<RgbImage> {
  const blob = new Blob([new Uint8Array(bytes)])
  const bitmap = await createImageBitmap(blob, { imageOrientation: 'from-image', premultiplyAlpha: 'none' })
  const { width, height } = bitmap
  const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true })
  if (!context) throw new Error('image: this browser gave no canvas to decode with')
  context.drawImage(bitmap, 0, 0)
  bitmap.close()
  const rgba = context.getImageData(0, 0, width, height).data
  const data = new Uint8Array(width * height * 3)
  for (let i = 0, o = 0; i < rgba.length; i += 4) {
    data[o++] = rgba[i]!
    data[o++] = rgba[i + 1]!
    data[o++] = rgba[i + 2]!
  }
  return { width, height, data }
}

/** This browser. */
export const platform: Platform = {
  name: 'browser',
  cores: navigator.hardwareConcurrency ?? 1,
  sharedMemory: sharedMemory(),
  describe: () => ({ runtime: 'browser', version: navigator.userAgent }),
  enableRelaxedSimd: () => {},
  startWorker,
  files: undefined,
  decodeImage,
  env: () => undefined,
  homeFolder: () => '/',
  peakResident: () => undefined,
}
