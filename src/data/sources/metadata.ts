// Labels beside images: Hugging Face's metadata.csv or metadata.jsonl, or a file called labels, in the folder or in each of its splits.
import { InputError } from '../../platform/errors.ts'
import { listed } from '../../platform/listed.ts'
import type { Files } from '../../platform/platform.ts'
import { type Split, splitOf } from '../split-folders.ts'
import { isHidden } from '../walk.ts'

const names = ['metadata.csv', 'metadata.jsonl', 'labels.csv', 'labels.jsonl']

/** A file of labels in a folder of data. */
export interface MetadataFile {
  readonly path: string
  /** The folders from the data to it. */
  readonly from: readonly string[]
  readonly split?: Split
}

async function inFolder(files: Files, folder: string): Promise<string | undefined> {
  const found = (await files.entries(folder)).filter(({ name, kind }) => kind === 'file' && names.includes(name))
  if (found.length > 1)
    throw new InputError(`${folder}: has ${listed(found.map(({ name }) => name))}; keep one of them`)
  return found[0]?.name
}

/** Metadata in a folder: its own, or else those of its splits; `without` are splits that have none. */
export async function findMetadata(files: Files, dir: string): Promise<{ found: MetadataFile[]; without: string[] }> {
  const own = await inFolder(files, dir)
  if (own !== undefined) return { found: [{ path: files.join(dir, own), from: [] }], without: [] }
  const found: MetadataFile[] = []
  const without: string[] = []
  for (const { name, kind, target } of await files.entries(dir)) {
    const split = splitOf(name)
    if (kind !== 'folder' || split === undefined || target !== undefined || isHidden(name)) continue
    const file = await inFolder(files, files.join(dir, name))
    if (file !== undefined) found.push({ path: files.join(dir, name, file), from: [name], split })
    else without.push(name)
  }
  return { found, without }
}
