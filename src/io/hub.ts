// Finds a model: a folder as it is, or `org/name` in the local Hugging Face cache, or downloaded into that cache. Only
// the files that a model folder needs are fetched. How files travel is the platform's business.
import { platform } from '#platform'
import { InputError } from '../platform/errors.ts'
import type { Files, HubFile, HubPlace } from '../platform/platform.ts'
import { checkpointFiles, hasModel, parseWeightMap } from './checkpoint.ts'
import { jsonLimit, readJsonObject } from './json.ts'
import { localFiles } from './local-files.ts'
import { bringModel, type DownloadProgress, urlSource } from './model-files.ts'

/** Where models come from; what is left out is read from the environment, as Hugging Face's own tools do. */
export interface ResolveOptions {
  readonly onProgress?: ((progress: DownloadProgress) => void) | undefined
  /** Default HF_ENDPOINT, or https://huggingface.co. */
  readonly hubUrl?: string
  /** Default HF_HUB_CACHE, or `hub` in HF_HOME, or ~/.cache/huggingface/hub. */
  readonly cacheDir?: string
  /** Never ask the network; default HF_HUB_OFFLINE. */
  readonly offline?: boolean
  /** Default HF_TOKEN, or the token that `hf auth login` stored. */
  readonly token?: string
}

// The hub's own limit for a repository is 96 characters; a folder's name is made of it.
const longestName = 200
const COMMIT = /^[0-9a-f]{40}$/
const NAME = /^[A-Za-z0-9][\w.-]*\/[A-Za-z0-9][\w.-]*$/
const REVISION = /^[\w][\w./-]*$/

const isOn = (value: string | undefined): boolean => /^(1|true|yes|on)$/i.test(value ?? '')

function homeOfHub(files: Files): string {
  const home = platform.env('HF_HOME')
  if (home) return home
  return files.join(platform.env('XDG_CACHE_HOME') || files.join(platform.homeFolder(), '.cache'), 'huggingface')
}

/** The folder of the local Hugging Face cache, as the environment says. */
export function hubCacheFolder(): string {
  const files = localFiles('the Hugging Face cache')
  const named = platform.env('HF_HUB_CACHE') || platform.env('HUGGINGFACE_HUB_CACHE')
  return named || files.join(homeOfHub(files), 'hub')
}

async function storedToken(files: Files): Promise<string | undefined> {
  const named = platform.env('HF_TOKEN') || platform.env('HUGGING_FACE_HUB_TOKEN')
  if (named) return named.trim()
  const path = platform.env('HF_TOKEN_PATH') || files.join(homeOfHub(files), 'token')
  if ((await files.kind(path)) !== 'file') return undefined
  return new TextDecoder().decode(await files.read(path)).trim() || undefined
}

/** `org/name` and perhaps `@revision`; undefined when the text is no model name. */
function parseName(text: string): { name: string; revision: string } | undefined {
  const [name = '', revision = 'main', ...rest] = text.split('@')
  if (rest.length > 0 || text.length > longestName || !NAME.test(name) || !REVISION.test(revision)) return undefined
  if (`${name}/${revision}`.includes('..')) return undefined
  return { name, revision }
}

/** The commit that the cache knows a revision by. */
async function cachedCommit(files: Files, folder: string, revision: string): Promise<string | undefined> {
  if (COMMIT.test(revision)) return revision
  const ref = files.join(folder, 'refs', revision)
  if ((await files.kind(ref)) !== 'file') return undefined
  const commit = new TextDecoder().decode(await files.read(ref)).trim()
  return COMMIT.test(commit) ? commit : undefined
}

/** One sentence for whatever went wrong on the way to the hub. */
function explain(error: unknown, name: string, url: string): InputError {
  if (error instanceof InputError) return error
  const status = error instanceof Error && 'statusCode' in error ? Number(error.statusCode) : 0
  if (status === 401) {
    return new InputError(
      `${name}: ${url} has no such model, or it is private (401); check the name, or set HF_TOKEN to a token that may read it`,
    )
  }
  if (status === 403) {
    return new InputError(`${name}: ${url} refuses it (403); accept the model's terms on its page and set HF_TOKEN`)
  }
  if (status === 404) {
    return new InputError(`${name}: there is no such folder here and no such model or revision on ${url} (404)`)
  }
  if (status) return new InputError(`${name}: ${url} answered with status ${status}; try again later`)
  // The library reads answers without looking at their shape; what the network does has a cause.
  if (error instanceof SyntaxError || (error instanceof TypeError && error.cause === undefined))
    return new InputError(
      `${name}: ${url} answers with something that is no hub's; check HF_ENDPOINT and the connection`,
    )
  const parts: string[] = []
  for (let e = error; e instanceof Error; e = e.cause) if (e.message) parts.push(e.message.split('\n')[0] ?? '')
  return new InputError(
    `${name}: could not be downloaded from ${url} (${parts.join(': ') || String(error)}); check the connection and try ` +
      'again, or give a model folder',
  )
}

/** Names from a server become paths, and they are hashes: nothing else is used. */
function checkFile(file: HubFile): void {
  const plain = file.hash === 'sha256' ? /^[0-9a-f]{64}$/ : /^[0-9a-f]{40}$/
  if (typeof file.etag !== 'string' || !plain.test(file.etag) || !Number.isSafeInteger(file.size) || file.size < 0) {
    throw new InputError(`${file.path}: the hub described it wrongly, got ${JSON.stringify(file)}`)
  }
}

async function download(files: Files, folder: string, place: HubPlace, options: ResolveOptions): Promise<string> {
  const { hub } = platform
  if (!hub) throw new InputError(`${place.name}: models cannot be downloaded in a browser; fetch the files yourself`)
  const commit = COMMIT.test(place.revision) ? place.revision : await hub.commit(place)
  if (!COMMIT.test(commit))
    throw new InputError(`${place.name}: the hub must name a commit, got ${JSON.stringify(commit)}`)
  const pinned = { ...place, revision: commit }
  const remote = new Map((await hub.list(pinned)).map((file) => [file.path, file]))
  const snapshot = files.join(folder, 'snapshots', commit)

  const get = async (name: string): Promise<void> => {
    const file = remote.get(name)
    if (!file) throw new InputError(`${place.name}: has no ${name} on ${place.url}`)
    checkFile(file)
    if ((await files.size(files.join(snapshot, name))) === file.size) return
    if (name.endsWith('.json') && file.size > jsonLimit) {
      throw new InputError(`${place.name}: ${name} may hold ${jsonLimit} bytes of JSON, is listed with ${file.size}`)
    }
    const tell = (done: number) => options.onProgress?.({ file: name, done, total: file.size })
    tell(0)
    await hub.download(pinned, file, folder, tell)
  }

  const { config, preprocessor, weights, index } = checkpointFiles
  const single = remote.has(weights)
  if (!single && !remote.has(index)) {
    const old = [...remote.keys()].find((name) => name.startsWith('pytorch_model'))
    const why = old ? `only ${old}, which must be converted to safetensors first` : 'no weights'
    throw new InputError(`${place.name}: must have ${weights} or ${index} on ${place.url}, got ${why}`)
  }
  // Weights come last: what was cut off half way then never looks complete.
  await get(config)
  if (remote.has(preprocessor)) await get(preprocessor)
  else await markAbsent(files, folder, commit)
  if (single) await get(weights)
  else {
    await get(index)
    const path = files.join(snapshot, index)
    for (const shard of new Set(parseWeightMap(await readJsonObject(path), path).values())) await get(shard)
  }
  if (place.revision !== commit) {
    const ref = files.join(folder, 'refs', place.revision)
    await files.makeFolder(files.join(ref, '..'))
    await files.writeAtomic(ref, commit)
  }
  return snapshot
}

const absentPath = (files: Files, folder: string, commit: string): string =>
  files.join(folder, '.no_exist', commit, checkpointFiles.preprocessor)

/** Notes, as Hugging Face's library does, that the hub has no preprocessor file for this commit. */
async function markAbsent(files: Files, folder: string, commit: string): Promise<void> {
  const path = absentPath(files, folder, commit)
  await files.makeFolder(files.join(path, '..'))
  await files.writeAtomic(path, '')
}

/** The folder of a model served at an address, fetched once into the browser's own storage. */
async function fetchedModel(files: Files, address: string, options: ResolveOptions): Promise<string> {
  if (platform.name !== 'browser') {
    throw new InputError(`${address}: addresses are for browsers; give a model name like facebook/dinov2-small`)
  }
  const folder = files.join('/vitune/fetched', encodeURIComponent(address.replace(/\/+$/, '')))
  if (await hasModel(files, folder)) return folder
  await files.remove(folder)
  await bringModel(urlSource(address), folder, options)
  return folder
}

/**
 * The folder of a model, given as a folder or as `org/name`, optionally `org/name@revision`. A name is looked up in the
 * local Hugging Face cache and otherwise downloaded into it. In a browser also the address of such a folder. Throws an InputError that says what to do when there is no
 * such model, or it may not be read, or the network cannot be reached.
 */
export async function resolveModel(nameOrFolder: string, options: ResolveOptions = {}): Promise<string> {
  const files = localFiles(nameOrFolder)
  if (/^https?:/i.test(nameOrFolder)) return fetchedModel(files, nameOrFolder, options)
  const kind = await files.kind(nameOrFolder)
  if (kind === 'folder') return nameOrFolder
  if (kind === 'file') throw new InputError(`${nameOrFolder}: must be a model folder or a model name, got a file`)
  const parsed = parseName(nameOrFolder)
  if (!parsed) {
    throw new InputError(`${nameOrFolder}: no such folder, and not a model name like facebook/dinov2-small`)
  }
  const { name, revision } = parsed
  const url = (options.hubUrl ?? (platform.env('HF_ENDPOINT') || 'https://huggingface.co')).replace(/\/+$/, '')
  if (!/^https?:\/\/[^/?#]+/i.test(url)) {
    throw new InputError(`HF_ENDPOINT: must be an address of http or https, got ${JSON.stringify(url)}`)
  }
  const offline =
    options.offline ?? (isOn(platform.env('HF_HUB_OFFLINE')) || isOn(platform.env('TRANSFORMERS_OFFLINE')))
  const folder = files.join(options.cacheDir ?? hubCacheFolder(), `models--${name.replace('/', '--')}`)

  const commit = await cachedCommit(files, folder, revision)
  const snapshot = commit && files.join(folder, 'snapshots', commit)
  const whole = snapshot !== undefined && (await hasModel(files, snapshot))
  if (commit && snapshot && whole) {
    // Another program may have fetched the weights alone; the preprocessor file is worth one more try.
    const hasPreprocessor = await files.kind(files.join(snapshot, checkpointFiles.preprocessor))
    if (hasPreprocessor || offline || (await files.kind(absentPath(files, folder, commit)))) return snapshot
  }
  if (offline) {
    throw new InputError(
      `${name}: is not in the cache ${folder} and the network is switched off; unset HF_HUB_OFFLINE or give a model folder`,
    )
  }
  const token = options.token ?? (await storedToken(files))
  if (token !== undefined && !/^hf_\w+$/.test(token)) {
    throw new InputError(
      'HF_TOKEN: must start with hf_ and hold letters and digits only; check where it was copied from',
    )
  }
  try {
    return await download(files, folder, { url, name, revision: commit && whole ? commit : revision, token }, options)
  } catch (error) {
    if (snapshot && whole) return snapshot
    throw explain(error, name, url)
  }
}
