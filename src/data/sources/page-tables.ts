// Tables of labels among files that a page was given, and which of those files their rows mean. What a table may be is table.ts's.
import { InputError } from '../../platform/errors.ts'
import { csvTable } from './csv.ts'
import { jsonLinesTable } from './json-lines.ts'
import { hasLabels, type Table, type TableItem, tableLabels } from './table.ts'
import { labelsLimit } from './text.ts'

/** A file and where it lies. */
interface Placed {
  readonly file: File
  readonly name: string
  readonly folders: readonly string[]
}

/** What a table says of one image. */
export interface PageRow extends TableItem {
  /** The table's file. */
  readonly table: Placed
  /** Whether it is to test on, where others are to train on. */
  readonly toTest: boolean
  /** The image that is meant: by its path from the table's folder, or else by its name where only one is called so. */
  find<T extends Placed>(images: readonly T[]): T | undefined
}

const metadata = /^metadata\.(csv|jsonl)$/
const isTable = ({ name }: Placed): boolean => /\.(csv|tsv|jsonl|ndjson)$/i.test(name)

async function read({ file, name }: Placed): Promise<Table> {
  if (file.size > labelsLimit)
    throw new InputError(`${name}: may hold ${labelsLimit} bytes of labels, got ${file.size}`)
  const text = await file.text()
  return /\.[ct]sv$/i.test(name) ? csvTable(text, name) : jsonLinesTable(text, name)
}

const keyOf = (parts: readonly string[]): string => parts.join('/').normalize('NFC')

/** The parts of a path from folders on, without `.` and `..`. */
function partsOf(path: string, from: readonly string[]): string[] {
  const parts = [...from]
  for (const part of path.replaceAll('\\', '/').split('/')) {
    if (part === '..') parts.pop()
    else if (part !== '' && part !== '.') parts.push(part)
  }
  return parts
}

/** Images by their places, and by their names where only one has a name; made once for a list of images. */
function finder() {
  let of: readonly Placed[] = []
  let byKey = new Map<string, Placed>()
  let byName = new Map<string, Placed | undefined>()
  return (images: readonly Placed[], parts: readonly string[]): Placed | undefined => {
    if (of !== images) {
      of = images
      byKey = new Map(images.map((image) => [keyOf([...image.folders, image.name]), image]))
      byName = new Map()
      for (const image of images) {
        const name = keyOf([image.name])
        byName.set(name, byName.has(name) ? undefined : image)
      }
    }
    return byKey.get(keyOf(parts)) ?? byName.get(keyOf(parts.slice(-1)))
  }
}

/**
 * Rows of all tables among files that have labels; of Hugging Face's metadata where there is any. Throws an InputError on metadata
 * that cannot be read, and on any table that has labels and cannot be understood.
 */
export async function readTables(files: readonly Placed[]): Promise<PageRow[]> {
  const own = files.filter(({ name }) => metadata.test(name))
  const tables: { placed: Placed; table: Table }[] = []
  for (const placed of own.length > 0 ? own : files.filter(isTable)) {
    const table = await read(placed).catch((error) => {
      if (own.length > 0) throw error
      return undefined // something else beside images
    })
    if (table && hasLabels(table)) tables.push({ placed, table })
  }
  const find = finder()
  const rows = tables.flatMap(({ placed, table }) =>
    tableLabels(table).items.map((item) => ({ ...item, table: placed, parts: partsOf(item.file, placed.folders) })),
  )
  const splits = rows.some(({ split }) => split === 'train')
  return rows.map(({ parts, ...row }) => ({
    ...row,
    toTest: splits && row.split === 'test',
    find: <T extends Placed>(images: readonly T[]) => find(images, parts) as T | undefined,
  }))
}
