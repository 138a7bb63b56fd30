// What the rest of the library asks of where it runs. node.ts and browser.ts each implement it; `#platform` picks one.

import type { Download } from './download.ts'

export interface WorkerHandle {
  post(message: unknown, transfer?: readonly Transferable[]): void
  onMessage(listener: (message: unknown) => void): void
  /** An error thrown in the worker, or its end before `stop`. */
  onError(listener: (error: Error) => void): void
  /** While true, the process stays alive for this worker (Node); workers start unheld. */
  hold(on: boolean): void
  stop(): Promise<void>
}

/** 8-bit sRGB pixels, row by row, three bytes each, nothing between rows. */
export interface RgbImage {
  readonly width: number
  readonly height: number
  /** `3 * width * height` bytes. */
  readonly data: Uint8Array
}

/** Whatever shows a picture in a browser: a file's bytes, an address, an element, a canvas, a camera's frame. */
export type ImageObject =
  | Blob
  | URL
  | ImageBitmap
  | ImageData
  | HTMLCanvasElement
  | OffscreenCanvas
  | HTMLVideoElement
  | HTMLImageElement
  | VideoFrame

/** What images are given as: decoded, a path (in a browser also an address), or what shows a picture. */
export type ImageSource = RgbImage | string | ImageObject

/** What a file is written from: text, bytes, or parts of it one after the other. */
export type Data = string | Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>

/** One thing in a folder. */
export interface FolderEntry {
  readonly name: string
  /** What it is, or what a link leads to; `other` is nothing to be opened. */
  readonly kind: 'file' | 'folder' | 'other'
  /** Where a link leads to, without any link on the way. */
  readonly target?: string
  /** What `other` is, in words: `pipes`, `links to nowhere`. */
  readonly what?: string
}

/**
 * Local files: the disk, or a browser's own storage for this site. Paths are absolute or relative to the working directory.
 * Errors keep Node's `code`; what cannot be written is a WriteError (in a browser an InputError) that names the file.
 */
export interface Files {
  /** Whether other threads see them too. */
  readonly shared: boolean
  /** All bytes of a file; throws where the path is a pipe, a socket or a device, which may have no end. */
  read(path: string): Promise<Uint8Array>
  /** `length` bytes from byte `offset`; throws when the file is shorter. */
  readRange(path: string, offset: number, length: number): Promise<Uint8Array>
  /** Bytes, or undefined when there is no such file. */
  size(path: string): Promise<number | undefined>
  kind(path: string): Promise<'file' | 'folder' | undefined>
  /** Names in a folder, sorted by code unit; folders end in '/'. */
  list(path: string): Promise<string[]>
  /** What is in a folder, sorted by code unit, with links told apart. */
  entries(path: string): Promise<FolderEntry[]>
  /** The path without any link on the way. */
  realPath(path: string): Promise<string>
  makeFolder(path: string): Promise<void>
  /** Writes to a temporary name beside it, fsyncs, renames: the file is whole or as it was. */
  writeAtomic(path: string, data: Data): Promise<void>
  /** The same for files that belong together: none takes its name before all are written. */
  writeTogether(entries: readonly (readonly [path: string, data: Data])[]): Promise<void>
  /** Adds to the end of a file; with `flush` it is on the disk when the promise resolves. */
  append(path: string, text: string, flush?: boolean): Promise<void>
  /** Gives a file or folder another name, on most systems also that of an empty folder; absent where folders cannot be moved. */
  move?(from: string, to: string): Promise<void>
  remove(path: string): Promise<void>
  join(...parts: string[]): string
  baseName(path: string): string
  resolve(path: string): string
}

/** What one process at a time has, or one tab; it ends with it. */
export interface Lock {
  release(): Promise<void>
}

/** Who has a lock. */
export interface LockHolder {
  /** The file of the lock. */
  readonly path: string
  /** Like `process 12 on a-host since 2026-05-01T10:00:00.000Z`. */
  readonly who: string
  /** False where it cannot be seen from here whether it still runs. */
  readonly known: boolean
}

/** One revision of a model on a Hugging Face hub. */
export interface HubPlace {
  /** The hub's address, without a slash at the end. */
  readonly url: string
  /** `org/name`. */
  readonly name: string
  /** A branch, a tag or a commit. */
  readonly revision: string
  readonly token: string | undefined
}

/** A file there: `etag` names it in the cache and is its hash, SHA-256 or that of a git blob. */
export interface HubFile {
  readonly path: string
  readonly size: number
  readonly etag: string
  readonly hash: 'sha256' | 'git'
}

/** A Hugging Face hub. Errors carry a numeric `statusCode` where the server answered. */
export interface Hub {
  /** The commit of the place's revision. */
  commit(place: HubPlace): Promise<string>
  /** Files in the root of the place. */
  list(place: HubPlace): Promise<HubFile[]>
  /**
   * Brings one file into `folder` (`models--org--name` of a cache), checked and whole or not at all; what a broken one left
   * is taken up. The place's revision must be a commit, and path and etag plain names. `onBytes` is told how many are there.
   */
  download(place: HubPlace, file: HubFile, folder: string, onBytes: (done: number) => void): Promise<void>
}

/** The adapter that was found, if any, or why nobody could say; and the lines that drivers wrote meanwhile. */
export interface GpuLook {
  readonly adapter?:
    | { vendor: string; architecture: string; description: string; isFallbackAdapter: boolean }
    | undefined
  readonly reason?: string
  readonly words: readonly string[]
}

export interface Platform {
  readonly name: 'node' | 'browser'
  /** Logical processors this process may use. */
  readonly cores: number
  /** Whether SharedArrayBuffer and threads may be used, or one sentence why not. */
  readonly sharedMemory: true | string
  /** For run.json: runtime, version, os, cpu. */
  describe(): Record<string, string>
  /** V8's version, where the platform tells it. */
  readonly v8: string | undefined
  /** Switches relaxed SIMD on where it hides behind a flag (Node 20); call before the first WebAssembly compile. */
  enableRelaxedSimd(): void
  /** Whether the engine may be asked to join neighbouring vectors of 128 bits to ones of 256; needed for `compileWhole`. */
  readonly joinsVectors: boolean
  /** Runs what compiles WebAssembly at once while the engine compiles whole modules, in one of three ways. */
  compileWhole<T>(way: 'baseline' | 'optimised' | 'joined', compile: () => T): T
  /** Starts a worker from source text. In it `self.onmessage = e => e.data` and `postMessage` exist on both platforms. */
  startWorker(source: string): WorkerHandle
  readonly files: Files | undefined
  /** Takes the lock of a path in a folder that exists, or says who has it. The lock of a process that died is taken over. */
  takeLock(path: string): Promise<Lock | LockHolder>
  /** Who has the lock of a path; undefined where it is free or its owner has died. */
  lockHolder(path: string): Promise<LockHolder | undefined>
  /** SHA-256 of bytes in hex; undefined on a page that is not secure (neither https nor localhost), which has none. */
  digest(bytes: Uint8Array): Promise<string | undefined>
  /**
   * Decodes what image-formats.ts lists and the platform knows: the first frame, turned as its EXIF orientation says,
   * alpha dropped (not blended), grey and deeper pixels as 8-bit RGB. Rejects with the reason where the bytes are
   * anything else or broken, and before decoding where they hold more pixels than image-budget.ts allows.
   */
  decodeImage(bytes: Uint8Array): Promise<RgbImage>
  /** Pixels of what shows a picture here: in Node a Blob. Rejects as `decodeImage` does. */
  readImage(source: ImageObject): Promise<RgbImage>
  /** One file from an address, as it comes; undefined when there is none. Throws InputError on any other answer. */
  download(url: string, signal?: AbortSignal): Promise<Download | undefined>
  /** Downloads from a Hugging Face hub; absent in a browser. */
  readonly hub: Hub | undefined
  /** An environment variable, undefined in a browser. */
  env(name: string): string | undefined
  homeFolder(): string
  /** Bytes of memory that this process may use, where known. */
  memoryLimit(): number | undefined
  /** Highest resident set of the process so far in bytes, where known. */
  peakResident(): number | undefined
  /**
   * What gives WebGPU adapters, or one sentence why there is none. Under Node it must be let go of once its device is
   * destroyed, since it keeps the process alive, and drivers may write to the terminal.
   */
  gpu(): Promise<GPU | string>
  /** Which adapter `gpu` would give, found where no driver writes to the terminal; undefined where none would. */
  lookForGpu(): Promise<GpuLook | undefined>
}
