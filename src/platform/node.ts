// The platform under Node: worker_threads, the file system and the process. Decoding is in decode-node.ts.
import { createHash, randomBytes } from 'node:crypto'
import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { arch, availableParallelism, cpus, homedir, platform as osName, release, totalmem } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { type Transferable as Transfer, Worker } from 'node:worker_threads'
import { decodeImage } from './decode-node.ts'
import { download } from './download.ts'
import { hub } from './hub-node.ts'
import type { Files, Platform, WorkerHandle } from './platform.ts'

const RANGE_LIMIT = 2 ** 31 - 1

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

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}

async function statOrNothing(path: string) {
  try {
    return await stat(path)
  } catch (error) {
    const code = codeOf(error)
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    throw error
  }
}

async function readRange(path: string, offset: number, length: number): Promise<Uint8Array> {
  const file = await open(path, 'r')
  try {
    const { size } = await file.stat()
    if (!(offset >= 0 && length >= 0 && offset + length <= size)) {
      throw new Error(`${path}: bytes ${offset} to ${offset + length} asked for, the file has ${size}`)
    }
    const out = new Uint8Array(length)
    let done = 0
    while (done < length) {
      const { bytesRead } = await file.read(out, done, Math.min(length - done, RANGE_LIMIT), offset + done)
      if (bytesRead === 0) throw new Error(`${path}: became shorter while it was read`)
      done += bytesRead
    }
    return out
  } finally {
    await file.close()
  }
}

async function syncFolder(path: string): Promise<void> {
  // Some systems (Windows) cannot open a folder; there the rename alone has to do.
  const folder = await open(path, 'r').catch(() => undefined)
  if (!folder) return
  await folder.sync().catch(() => {})
  await folder.close()
}

async function writeAtomic(
  path: string,
  data: string | Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): Promise<void> {
  const folder = dirname(path)
  const temporary = join(folder, `.${basename(path)}.${randomBytes(6).toString('hex')}.tmp`)
  const parts = typeof data === 'string' ? [new TextEncoder().encode(data)] : data instanceof Uint8Array ? [data] : data
  try {
    const file = await open(temporary, 'wx')
    try {
      for await (const part of parts) {
        let done = 0
        while (done < part.length) {
          const { bytesWritten } = await file.write(part, done, Math.min(part.length - done, RANGE_LIMIT))
          done += bytesWritten
        }
      }
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
  await syncFolder(folder)
}

async function append(path: string, text: string, flush = false): Promise<void> {
  const file = await open(path, 'a')
  try {
    const { size } = await file.stat()
    try {
      await file.appendFile(text)
      if (flush) await file.sync()
    } catch (error) {
      // Half a line would be read as a whole one.
      await file.truncate(size).catch(() => {})
      throw error
    }
  } finally {
    await file.close()
  }
}

async function list(path: string): Promise<string[]> {
  const entries = await readdir(path, { withFileTypes: true })
  const folders = await Promise.all(
    entries.map(async (entry) => {
      if (!entry.isSymbolicLink()) return entry.isDirectory()
      return (await statOrNothing(join(path, entry.name)))?.isDirectory() ?? false
    }),
  )
  return entries
    .map((entry, i) => ({ name: entry.name, folder: folders[i] }))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ name, folder }) => (folder ? `${name}/` : name))
}

const files: Files = {
  async read(path) {
    const bytes = await readFile(path)
    return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  },
  readRange,
  async size(path) {
    return (await statOrNothing(path))?.size
  },
  async kind(path) {
    const found = await statOrNothing(path)
    if (found?.isDirectory()) return 'folder'
    return found?.isFile() ? 'file' : undefined
  },
  list,
  async makeFolder(path) {
    await mkdir(path, { recursive: true })
  },
  writeAtomic,
  append,
  remove: (path) => rm(path, { recursive: true, force: true }),
  join: (...parts) => join(...parts),
  baseName: (path) => basename(path),
  resolve: (path) => resolve(path),
}

/** Whether the system's loader finds Vulkan; without it Dawn writes a warning of its own on standard error. */
async function hasVulkan(): Promise<boolean> {
  if (process.platform !== 'linux') return true
  const name = 'libvulkan.so.1'
  const known = await readFile('/etc/ld.so.cache', 'latin1').catch(() => '')
  if (known.includes(name)) return true
  const searched = (process.env.LD_LIBRARY_PATH ?? '').split(':').filter((folder) => folder !== '')
  const places = [...searched, '/usr/lib', '/usr/lib64', '/usr/local/lib', '/lib', '/run/opengl-driver/lib']
  return (await Promise.all(places.map((folder) => statOrNothing(join(folder, name))))).some(
    (found) => found !== undefined,
  )
}

async function gpu({ quiet = false } = {}): Promise<GPU | string> {
  try {
    const { create } = await import('webgpu')
    if (quiet && !(await hasVulkan())) return "Vulkan's loader (libvulkan.so.1) is not there: install the GPU's driver"
    return create([])
  } catch (error) {
    if (codeOf(error) === 'ERR_MODULE_NOT_FOUND')
      return 'the optional package webgpu is not installed: npm install webgpu'
    return `the package webgpu does not load here, ${error instanceof Error ? error.message : error}`
  }
}

/** The platform under Node 20.12 and later. */
export const platform: Platform = {
  name: 'node',
  cores: availableParallelism(),
  sharedMemory: true,
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
  startWorker,
  files,
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
}
