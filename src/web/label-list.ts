// The labels of images that have any number of them: Hugging Face's metadata.jsonl beside the images, as every reader of data
// here takes it. Read and written whole.
import { isRecord, parseJson } from '../io/json.ts'
import { InputError } from '../platform/errors.ts'
import type { Files } from '../platform/platform.ts'

/** What an image is labelled with, by names. */
export interface ImageLabelNames {
  readonly labels: readonly string[]
  /** Labels that nobody looked for. */
  readonly unknown?: readonly string[]
}

/** Labels by the image's file name. */
export type LabelList = Map<string, ImageLabelNames>

const fileName = 'metadata.jsonl'

/** A label as it is kept: the same text for the same letters. Throws an InputError on what is no name. */
export function checkLabel(label: unknown): string {
  const name = typeof label === 'string' ? label.normalize('NFC').trim() : ''
  if (name !== '' && name.length <= 100 && !/\p{Cc}/u.test(name)) return name
  throw new InputError(`label: must be text of 1 to 100 characters in one line, got ${JSON.stringify(label)}`)
}

/** Names as they are kept, each once; a label that is there is known. */
export function checkLabels(labels: readonly string[], unknown: readonly string[] = []): ImageLabelNames {
  const there = new Set(labels.map(checkLabel))
  const rest = [...new Set(unknown.map(checkLabel))].filter((label) => !there.has(label))
  return { labels: [...there], ...(rest.length > 0 && { unknown: rest }) }
}

const namesIn = (value: unknown): string[] => (Array.isArray(value) ? value.map(checkLabel) : [])

/** The labels in a folder; undefined where it keeps none. */
export async function readLabelList(files: Files, folder: string): Promise<LabelList | undefined> {
  const path = files.join(folder, fileName)
  if ((await files.kind(path)) !== 'file') return undefined
  const list: LabelList = new Map()
  for (const line of new TextDecoder().decode(await files.read(path)).split('\n')) {
    if (line === '') continue
    const row = parseJson(line, path)
    if (!isRecord(row) || typeof row.file_name !== 'string')
      throw new InputError(`${path}: must have a file_name a line`)
    list.set(row.file_name, checkLabels(namesIn(row.labels), namesIn(row.unknown)))
  }
  return list
}

/** Writes the labels in a folder, whole or not at all. */
export async function writeLabelList(files: Files, folder: string, list: LabelList): Promise<void> {
  const lines = [...list]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, labels]) => `${JSON.stringify({ file_name: name, ...labels })}\n`)
  await files.writeAtomic(files.join(folder, fileName), new TextEncoder().encode(lines.join('')))
}
