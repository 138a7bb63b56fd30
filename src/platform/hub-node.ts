// The Hugging Face hub under Node, by its own library: which commit, which files, and one file into the local cache.
// What is fetched and when is decided in io/hub.ts.
import { createHash, randomBytes } from 'node:crypto'
import { copyFile, mkdir, open, rename, rm, stat, symlink } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import type { Hub, HubFile, HubPlace } from './platform.ts'

const library = () => import('@huggingface/hub')

const access = ({ url, token }: HubPlace) => ({ hubUrl: url, ...(token === undefined ? {} : { accessToken: token }) })

async function commit(place: HubPlace): Promise<string> {
  const { modelInfo } = await library()
  const { name, revision } = place
  const info = await modelInfo({ name, revision, additionalFields: ['sha'], ...access(place) })
  return info.sha
}

async function list(place: HubPlace): Promise<HubFile[]> {
  const { listFiles } = await library()
  const found: HubFile[] = []
  const { name, revision } = place
  for await (const entry of listFiles({ repo: { type: 'model', name }, revision, ...access(place) })) {
    if (entry.type !== 'file') continue
    const etag = entry.lfs?.oid ?? entry.oid ?? entry.xetHash
    if (etag) found.push({ path: entry.path, size: entry.size, etag, sha256: entry.lfs?.oid })
  }
  return found
}

/** Writes to a name of its own, checks length and hash, then takes the blob's name: a blob is whole or not there. */
async function fetchBlob(place: HubPlace, file: HubFile, blob: string, onBytes: (n: number) => void): Promise<void> {
  const { downloadFile } = await library()
  const { name, revision } = place
  const body = await downloadFile({ repo: { type: 'model', name }, path: file.path, revision, ...access(place) })
  if (!body) throw new Error(`${file.path}: the server says it is not there`)
  const incomplete = `${blob}.${randomBytes(4).toString('hex')}.incomplete`
  try {
    const out = await open(incomplete, 'wx')
    const hash = createHash('sha256')
    let size = 0
    try {
      for await (const chunk of body.stream() as unknown as AsyncIterable<Uint8Array>) {
        await out.writeFile(chunk)
        hash.update(chunk)
        size += chunk.length
        onBytes(chunk.length)
      }
      await out.sync()
    } finally {
      await out.close()
    }
    if (size !== file.size) throw new Error(`${file.path}: ${size} bytes came, expected ${file.size}`)
    if (file.sha256 && hash.digest('hex') !== file.sha256) {
      throw new Error(`${file.path}: came damaged, its SHA-256 differs`)
    }
    await rename(incomplete, blob)
  } catch (error) {
    await rm(incomplete, { force: true })
    throw error
  }
}

async function download(
  place: HubPlace,
  file: HubFile,
  folder: string,
  onBytes: (bytes: number) => void,
): Promise<void> {
  const blob = join(folder, 'blobs', file.etag)
  const pointer = join(folder, 'snapshots', place.revision, file.path)
  await mkdir(dirname(blob), { recursive: true })
  await mkdir(dirname(pointer), { recursive: true })
  const there = await stat(blob).catch(() => undefined)
  if (there?.size === file.size) onBytes(file.size)
  else await fetchBlob(place, file, blob, onBytes)
  // Under a name of its own first, so that an old or dangling pointer is replaced in one step.
  const temporary = `${pointer}.${randomBytes(4).toString('hex')}.incomplete`
  try {
    // Where links are not allowed (Windows), a copy does.
    await symlink(relative(dirname(pointer), blob), temporary).catch(() => copyFile(blob, temporary))
    await rename(temporary, pointer)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
}

/** The hub as seen from Node. */
export const hub: Hub = { commit, list, download }
