// The Hugging Face hub under Node, by its own library: which commit, which files, and one file into the local cache.
// What is fetched and when is decided in io/hub.ts.
import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { copyFile, type FileHandle, open, rename, rm, stat, statfs, symlink } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { InputError } from './errors.ts'
import { makeFolder } from './files-node.ts'
import { partialName, removeOrphans, takeOrphan } from './partial-node.ts'
import type { Hub, HubFile, HubPlace } from './platform.ts'

const library = () => import('@huggingface/hub')

const answerLimit = 8_000_000
const answerSeconds = 60
const mostFiles = 10_000

/** `fetch` for what the library reads whole: bounded in bytes and in time. */
async function boundedFetch(input: string | URL | Request, init: RequestInit = {}): Promise<Response> {
  const response = await fetch(input, { ...init, signal: AbortSignal.timeout(answerSeconds * 1000) })
  const parts: Uint8Array[] = []
  let size = 0
  for await (const part of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    size += part.length
    if (size > answerLimit)
      throw new InputError(`${new URL(response.url).host}: answers with over ${answerLimit} bytes`)
    parts.push(part)
  }
  const { status, statusText, headers } = response
  // The body is decoded already.
  const plain = new Headers(headers)
  plain.delete('content-encoding')
  plain.delete('content-length')
  return new Response(status === 204 || status === 304 ? null : Buffer.concat(parts), {
    status,
    statusText,
    headers: plain,
  })
}

const access = ({ url, token }: HubPlace) => ({ hubUrl: url, ...(token === undefined ? {} : { accessToken: token }) })

async function commit(place: HubPlace): Promise<string> {
  const { modelInfo } = await library()
  const { name, revision } = place
  const info = await modelInfo({ name, revision, additionalFields: ['sha'], fetch: boundedFetch, ...access(place) })
  return info.sha
}

async function list(place: HubPlace): Promise<HubFile[]> {
  const { listFiles } = await library()
  const found: HubFile[] = []
  let seen = 0
  const { name, revision } = place
  const repo = { type: 'model', name } as const
  for await (const entry of listFiles({ repo, revision, fetch: boundedFetch, ...access(place) })) {
    if (++seen > mostFiles) throw new InputError(`${name}: may have ${mostFiles} files on ${place.url}, got more`)
    if (entry.type !== 'file') continue
    const { path, size, lfs, oid } = entry
    found.push({ path, size, etag: lfs?.oid ?? oid ?? '', hash: lfs ? 'sha256' : 'git' })
  }
  return found
}

/** Bytes that are not those of the listing: they are not kept. */
class Damaged extends Error {}

/** The hash that the listing names: SHA-256 of large files, and git's own of the others. */
function hashOf({ hash, size }: HubFile) {
  return hash === 'sha256' ? createHash('sha256') : createHash('sha1').update(`blob ${size}\0`)
}

/**
 * The rest of a file from the hub, and where it begins: at `from`, or at 0 where the server cannot start in the middle.
 */
async function restOf(place: HubPlace, file: HubFile, from: number) {
  const { downloadFile, fileDownloadInfo } = await library()
  const { name, revision } = place
  const given = { repo: { type: 'model', name }, path: file.path, revision, ...access(place) } as const
  const info = await fileDownloadInfo(given)
  if (!info) throw new Error(`${file.path}: the server says it is not there`)
  if (info.size !== file.size) throw new Error(`${file.path}: has ${info.size} bytes, listed with ${file.size}`)
  let begin = from
  const watched = async (input: string | URL | Request, init?: RequestInit) => {
    const response = await fetch(input, init)
    if (!info.xet && new Headers(init?.headers).has('range') && response.status === 200) begin = 0
    return response
  }
  const whole = await downloadFile({ ...given, downloadInfo: info, fetch: watched })
  if (!whole) throw new Error(`${file.path}: the server says it is not there`)
  const body = (from === 0 ? whole : whole.slice(from)).stream() as unknown as AsyncIterable<Uint8Array>
  return { body, begin: () => begin }
}

/** Brings a file to its full length from what `out` holds of it, and checks it; `onBytes` is told how many are there. */
async function complete(
  place: HubPlace,
  file: HubFile,
  out: FileHandle,
  onBytes: (done: number) => void,
): Promise<void> {
  let hash = hashOf(file)
  let { size } = await out.stat()
  if (size > file.size) {
    await out.truncate(0)
    size = 0
  }
  if (size > 0) {
    for await (const part of out.createReadStream({ start: 0, end: size - 1, autoClose: false })) hash.update(part)
    onBytes(size)
  }
  if (size < file.size || file.size === 0) {
    const rest = await restOf(place, file, size)
    let first = true
    for await (const chunk of rest.body) {
      if (first && rest.begin() !== size) {
        await out.truncate(0)
        hash = hashOf(file)
        size = 0
      }
      first = false
      if (size + chunk.length > file.size) {
        await out.truncate(0)
        throw new Damaged(`${file.path}: more bytes come than the ${file.size} that were announced`)
      }
      for (let done = 0; done < chunk.length; ) {
        done += (await out.write(chunk, done, chunk.length - done, size + done)).bytesWritten
      }
      hash.update(chunk)
      size += chunk.length
      onBytes(size)
    }
    await out.sync()
  }
  if (size < file.size) throw new Error(`${file.path}: ${size} bytes came, expected ${file.size}`)
  if (hash.digest('hex') !== file.etag) {
    await out.truncate(0)
    throw new Damaged(
      `${file.path}: came damaged, its ${file.hash === 'sha256' ? 'SHA-256' : 'SHA-1'} differs from the listing`,
    )
  }
}

async function checkSpace(path: string, file: HubFile, there: number): Promise<void> {
  const free = await statfs(dirname(path)).then(
    ({ bavail, bsize }) => bavail * bsize,
    () => Number.POSITIVE_INFINITY,
  )
  if (file.size - there <= free) return
  throw new InputError(
    `${file.path}: needs ${file.size - there} bytes in ${dirname(path)}, where ${free} are free; make room or set HF_HUB_CACHE`,
  )
}

/** Writes to a name of its own, from where it stopped before; once length and hash are right it takes the blob's name. */
async function fetchBlob(place: HubPlace, file: HubFile, blob: string, onBytes: (done: number) => void): Promise<void> {
  const incomplete = partialName(blob)
  await takeOrphan(blob)
  const before = (await stat(incomplete).catch(() => undefined))?.size ?? 0
  await checkSpace(incomplete, file, before)
  const out = await open(incomplete, constants.O_RDWR | constants.O_CREAT)
  let size = 0
  try {
    try {
      await complete(place, file, out, onBytes).catch((error) => {
        // What was taken up may be what was wrong.
        if (!(before > 0 && error instanceof Damaged)) throw error
        return complete(place, file, out, onBytes)
      })
    } finally {
      size = (await out.stat()).size
      await out.close()
    }
    await rename(incomplete, blob)
  } catch (error) {
    // Without it the next download would begin anew; an empty one is of no use.
    if (size === 0) await rm(incomplete, { force: true })
    throw error
  }
}

async function bring(place: HubPlace, file: HubFile, folder: string, onBytes: (done: number) => void): Promise<void> {
  const blob = join(folder, 'blobs', file.etag)
  const pointer = join(folder, 'snapshots', place.revision, file.path)
  await makeFolder(dirname(blob))
  await makeFolder(dirname(pointer))
  const there = await stat(blob).catch(() => undefined)
  if (there?.size !== file.size) await fetchBlob(place, file, blob, onBytes)
  else {
    await removeOrphans(blob)
    onBytes(file.size)
  }
  // Under a name of its own first, so that an old or dangling pointer is replaced in one step.
  const temporary = partialName(pointer)
  await removeOrphans(pointer)
  await rm(temporary, { force: true })
  try {
    // Where links are not allowed (Windows), a copy does.
    await symlink(relative(dirname(pointer), blob), temporary).catch(() => copyFile(blob, temporary))
    await rename(temporary, pointer)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
}

// One after another: whoever asks for what is on its way finds it there then.
const last = new Map<string, Promise<void>>()

const download: Hub['download'] = (place, file, folder, onBytes) => {
  const key = join(folder, file.etag)
  const mine = (last.get(key) ?? Promise.resolve())
    .catch(() => {})
    .then(() => bring(place, file, folder, onBytes))
    .finally(() => last.get(key) === mine && last.delete(key))
  last.set(key, mine)
  return mine
}

/** The hub as seen from Node. */
export const hub: Hub = { commit, list, download }
