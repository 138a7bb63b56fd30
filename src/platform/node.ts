// The platform under Node: worker_threads, and the process. Files are in files-node.ts, decoding in decode-node.ts.
import { createHash } from 'node:crypto'
import { arch, availableParallelism, cpus, homedir, platform as osName, release, totalmem } from 'node:os'
import { setFlagsFromString } from 'node:v8'
import { type Transferable as Transfer, Worker } from 'node:worker_threads'
import { compileWhole, joinsVectors } from './compiling-node.ts'
import { decodeImage } from './decode-node.ts'
import { download } from './download.ts'
import { files } from './files-node.ts'
import { gpu, lookForGpu } from './gpu-node.ts'
import { hub } from './hub-node.ts'
import { lockHolder, takeLock } from './locks-node.ts'
import type { Platform, WorkerHandle } from './platform.ts'

// Gives a worker started from text the two names it would have in a browser, this file's address as its own, and the packages
// that this file sees. The port is opened when `onmessage` is set, so that no message is lost while the source still runs.
const PRELUDE = `'use strict';{
const { parentPort, workerData } = require('node:worker_threads')
globalThis.moduleAddress = workerData
globalThis.require = require('node:module').createRequire(workerData)
let listener = null
globalThis.self = globalThis
globalThis.postMessage = (message, transfer) => parentPort.postMessage(message, transfer)
Object.defineProperty(globalThis, 'onmessage', {
  configurable: true,
  get: () => listener,
  set(fn) {
    if (!listener && fn) parentPort.on('message', (data) => { if (listener) listener({ data }) })
    listener = fn
  },
})
}
`

function startWorker(source: string): WorkerHandle {
  // Loader flags of the parent (a TypeScript runner, say) are of no use to plain source and slow every start.
  const worker = new Worker(PRELUDE + source, { eval: true, execArgv: [], workerData: import.meta.url })
  let stopping = false
  let held = false
  worker.unref()
  // Without a listener an 'error' event would end the process before anyone has asked for errors.
  worker.on('error', () => {})
  return {
    post: (message, transfer = []) => worker.postMessage(message, transfer as readonly Transfer[]),
    onMessage(listener) {
      worker.on('message', listener)
      // A new listener refs the worker again, whatever was said before.
      if (!held) worker.unref()
    },
    onError(listener) {
      let told = false
      worker.on('error', (error) => {
        told = true
        listener(error instanceof Error ? error : new Error(String(error)))
      })
      worker.on('exit', (code) => {
        if (!told && !stopping) listener(new Error(`worker: ended before it was stopped, exit code ${code}`))
      })
    },
    hold(on) {
      held = on
      if (on) worker.ref()
      else worker.unref()
    },
    async stop() {
      stopping = true
      await worker.terminate()
    },
  }
}

/** The platform under Node 20.12 and later. */
export const platform: Platform = {
  name: 'node',
  cores: availableParallelism(),
  sharedMemory: true,
  v8: process.versions.v8,
  describe: () => ({
    runtime: 'node',
    version: process.versions.node,
    os: `${osName()} ${release()} ${arch()}`,
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
  }),
  enableRelaxedSimd() {
    // From Node 22 on it is there without a flag, and the flag itself is gone.
    if (Number.parseInt(process.versions.node, 10) < 22) setFlagsFromString('--experimental-wasm-relaxed-simd')
  },
  joinsVectors,
  compileWhole,
  startWorker,
  files,
  takeLock,
  lockHolder,
  digest: async (bytes) => createHash('sha256').update(bytes).digest('hex'),
  decodeImage,
  async readImage(source) {
    if (source instanceof Blob) return decodeImage(new Uint8Array(await source.arrayBuffer()))
    throw new Error('only a path, a Blob or decoded pixels are images in Node')
  },
  download,
  hub,
  env: (name) => process.env[name],
  homeFolder: () => homedir(),
  memoryLimit() {
    const most = process.constrainedMemory?.() ?? 0
    return most > 0 ? Math.min(most, totalmem()) : totalmem()
  },
  peakResident: () => process.resourceUsage().maxRSS * 1024,
  gpu,
  lookForGpu,
}
