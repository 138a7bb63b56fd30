// A model folder brought from elsewhere: from an address that serves one in Hugging Face layout, or from files at hand (a
// folder dropped on a page). Only what a model needs is taken. The Hugging Face cache is hub.ts.
import { platform } from '#platform'
import type { Download } from '../platform/download.ts'
import { InputError } from '../platform/errors.ts'
import { adapterFiles, checkpointFiles, openCheckpoint, parseWeightMap } from './checkpoint.ts'
import { jsonLimit, readJsonObject } from './json.ts'
import { localFiles } from './local-files.ts'

/** Progress of a download: bytes of this file so far, out of `total`. */
export interface DownloadProgress {
  readonly file: string
  readonly done: number
  readonly total: number
}

/** Where the files of one model come from. */
export interface ModelSource {
  /** For messages. */
  readonly name: string
  /** A file by its name, undefined when there is none. */
  open(file: string, signal: AbortSignal | undefined): Promise<Download | undefined>
}

export interface BringOptions {
  readonly onProgress?: ((progress: DownloadProgress) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

/** A folder served at an address: `https://huggingface.co/facebook/dinov2-small/resolve/main/`. */
export function urlSource(address: string): ModelSource {
  let base: URL
  try {
    base = new URL(address)
  } catch {
    throw new InputError(`model: must be the address of a folder, got ${address}`)
  }
  if (!base.pathname.endsWith('/')) base.pathname += '/'
  return {
    name: base.href,
    open(file, signal) {
      const url = new URL(base)
      url.pathname += file
      return platform.download(url.href, signal)
    },
  }
}

async function* bytesOf(file: Blob): AsyncGenerator<Uint8Array> {
  const part = 2 ** 24
  for (let at = 0; at < file.size; at += part) {
    yield new Uint8Array(await file.slice(at, at + part).arrayBuffer())
  }
}

/** Files at hand, by name; where folders lie in each other, the model is in that of the shortest path to a config.json. */
export function fileSource(given: readonly File[]): ModelSource {
  const pathOf = (file: File) => file.webkitRelativePath || file.name
  const folderOf = (file: File) => pathOf(file).slice(0, -file.name.length)
  const marks: readonly string[] = [checkpointFiles.config, adapterFiles.config]
  const [config] = given.filter((f) => marks.includes(f.name)).sort((a, b) => pathOf(a).length - pathOf(b).length)
  const folder = config ? folderOf(config) : ''
  const here = new Map(given.filter((file) => folderOf(file) === folder).map((file) => [file.name, file]))
  return {
    name: folder.replace(/\/$/, '') || 'the files',
    async open(name) {
      const file = here.get(name)
      return file && { size: file.size, body: bytesOf(file) }
    },
  }
}

/** More than a page's memory holds. */
const weightsLimit = 2 ** 32

/** Told of each chunk as it passes; a body without end is not followed. */
async function* counted(
  { size, body }: Download,
  file: string,
  { onProgress, signal }: BringOptions,
): AsyncGenerator<Uint8Array> {
  let done = 0
  const limit = file.endsWith('.json') ? jsonLimit : weightsLimit
  const check = (bytes: number) => {
    if (bytes > limit) throw new InputError(`${file}: may have ${limit} bytes, got ${bytes} or more`)
  }
  check(size ?? 0)
  onProgress?.({ file, done, total: size ?? 0 })
  for await (const part of body) {
    signal?.throwIfAborted()
    done += part.length
    check(done)
    yield part
    onProgress?.({ file, done, total: Math.max(done, size ?? 0) })
  }
}

/** Brings the files named into a folder, each whole or not at all; throws an InputError where one that is needed is not there. */
async function bring(source: ModelSource, folder: string, names: string[], needed: boolean, options: BringOptions) {
  const files = localFiles(folder)
  let brought = 0
  for (const name of names) {
    options.signal?.throwIfAborted()
    const found = await source.open(name, options.signal)
    if (found) await files.writeAtomic(files.join(folder, name), counted(found, name, options))
    else if (needed) throw new InputError(`${source.name}: has no ${name}`)
    if (found) brought++
  }
  return brought === names.length
}

/**
 * Brings a model into an empty folder and checks it; weights come last, so that what was broken off never looks whole.
 * `check` sees the configuration before any weight is asked for. Throws an InputError that says what is missing or wrong.
 */
export async function bringModel(
  source: ModelSource,
  folder: string,
  options: BringOptions & { check?: (config: Record<string, unknown>) => void } = {},
): Promise<void> {
  const files = localFiles(folder)
  const { config, preprocessor, weights, index } = checkpointFiles
  await files.makeFolder(folder)
  if (!(await bring(source, folder, [config], false, options))) {
    throw new InputError(`${source.name}: has no ${config}; give the folder of a model in Hugging Face layout`)
  }
  options.check?.(await readJsonObject(files.join(folder, config)))
  await bring(source, folder, [preprocessor], false, options)
  if (!(await bring(source, folder, [weights], false, options))) {
    if (!(await bring(source, folder, [index], false, options))) {
      throw new InputError(`${source.name}: must have ${weights} or ${index}, got neither; convert its weights first`)
    }
    const path = files.join(folder, index)
    const shards = new Set(parseWeightMap(await readJsonObject(path), path).values())
    await bring(source, folder, [...shards], true, options)
  }
  // Reads every header, which says how long its file must be.
  await openCheckpoint(folder)
}

/** Brings the two files of an adapter into a folder. Throws an InputError where one is missing. */
export async function bringAdapter(source: ModelSource, folder: string, options: BringOptions = {}): Promise<void> {
  await localFiles(folder).makeFolder(folder)
  await bring(source, folder, [adapterFiles.config, adapterFiles.weights], true, options)
  await bring(source, folder, [adapterFiles.run], false, options)
}
