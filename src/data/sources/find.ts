// What labels are read from, by what is there: a file of labels (.csv, .tsv, .jsonl, Datumaro's .json), or a folder with
// Datumaro's annotations, with Hugging Face's metadata, in the layout of a published set, or with a folder for each class.
import type { TaskName } from '../../labels/labels.ts'
import { InputError } from '../../platform/errors.ts'
import { listed } from '../../platform/listed.ts'
import type { Files } from '../../platform/platform.ts'
import { splitOf } from '../split-folders.ts'
import { csvTable } from './csv.ts'
import { datumaroFile } from './datumaro.ts'
import { type FolderPart, folderSource } from './folders.ts'
import type { Format } from './formats/format.ts'
import { formatOf, formatSource, formats, formatsIn, recogniseFormat } from './formats/registry.ts'
import { jsonLinesTable } from './json-lines.ts'
import { findListed, type ListedItem } from './listed-files.ts'
import { findMetadata, type MetadataFile } from './metadata.ts'
import { byCodeUnit, type LabelSource, type SourceContext, type SourceItem } from './source.ts'
import { hasLabels, type Table, tableLabels } from './table.ts'
import { labelsText } from './text.ts'

/** How a place is read. */
export interface FindOptions {
  /** What is to be learnt, where that is said. */
  readonly task?: TaskName | undefined
  /** The layout of a published set, where that is said; else it may be recognised. */
  readonly format?: string | undefined
  /** Which folders of class folders count, where there are such. */
  readonly parts: (dir: string) => Promise<{ parts: readonly FolderPart[]; notes: readonly string[] }>
}

/** Whether folders in class folders are kinds, by what is to be learnt. */
const nests: Readonly<Record<TaskName, boolean>> = { multiclass: false, multilabel: false, hierarchical: true }

const endings: Readonly<Record<string, 'csv' | 'lines' | 'datumaro'>> = {
  csv: 'csv',
  tsv: 'csv',
  jsonl: 'lines',
  ndjson: 'lines',
  json: 'datumaro',
}
function kindOf(path: string) {
  const ending = /\.(\w+)$/.exec(path)?.[1]?.toLowerCase() ?? ''
  return Object.hasOwn(endings, ending) ? endings[ending] : undefined
}

async function readTable(files: Files, path: string): Promise<Table> {
  const text = await labelsText(files, path)
  return kindOf(path) === 'csv' ? csvTable(text, path) : jsonLinesTable(text, path)
}

/** Folders of splits that all paths begin with say the splits, where no column does. */
function splitsByFolder(items: readonly SourceItem[], root: string, files: Files): SourceItem[] | undefined {
  const start = files.join(root, 'x').length - 1
  const of = items.map(({ path }) => splitOf(path.slice(start).split(/[\\/]/)[0]!))
  return items.every(({ split }) => split === undefined) && !of.includes(undefined) && of.includes('train')
    ? items.map((item, i) => ({ ...item, split: of[i]! }))
    : undefined
}

/** Throws an InputError where some images are in a split and others in none. */
function checkSplits(items: readonly SourceItem[]): void {
  const without = items.find(({ split }) => split === undefined)
  if (without && items.some(({ split }) => split !== undefined)) {
    throw new InputError(`${without.at}: must have a split (train, val or test), since others have one, got none`)
  }
}

async function tableSource(
  root: string,
  tables: readonly (MetadataFile & { readonly table: Table })[],
  name: string,
  context: SourceContext,
): Promise<LabelSource> {
  const read = tables.map((file) => ({ ...file, found: tableLabels(file.table) }))
  const listing = read.flatMap(({ found, from, split }) =>
    found.items.map(({ file, ...item }): ListedItem => ({ ...item, places: [file], from, ...(split && { split }) })),
  )
  const notes = read.flatMap(({ found }) => found.notes)
  const [first, ...others] = read.filter(({ found }) => found.declared)
  const declared = first?.found.declared
  for (const { path, found } of others) {
    if (JSON.stringify(byCodeUnit(found.declared!)) === JSON.stringify(byCodeUnit(declared!))) continue
    throw new InputError(
      `${path}: must have the same columns of labels as ${first!.path}, got others; add those that lack, empty where nobody looked`,
    )
  }
  const items = await findListed(listing, root, context)
  const byFolder = splitsByFolder(items, root, context.files)
  if (byFolder) notes.push('the folders that paths begin with are taken for splits of the data')
  checkSplits(byFolder ?? items)
  return { name, root, items: byFolder ?? items, ...(declared && { declared }), notes }
}

async function datumaroSource(root: string, paths: readonly string[], context: SourceContext): Promise<LabelSource> {
  const { files } = context
  const listing: (readonly ListedItem[])[] = []
  const notes: string[] = []
  let first: { path: string; facts: string; source: Omit<LabelSource, 'items' | 'notes' | 'name' | 'root'> } | undefined
  for (const path of paths) {
    const split = files.baseName(path).replace(/\.json$/i, '')
    const { items, notes: told, ...source } = datumaroFile(await labelsText(files, path), path, split)
    const facts = JSON.stringify(source)
    first ??= { path, facts, source }
    if (first.facts !== facts) {
      throw new InputError(`${path}: must have the same labels as ${first.path}, got others; export them together`)
    }
    listing.push(items)
    notes.push(...told)
  }
  const all = listing.flat()
  if (all.length === 0) throw new InputError(`${root}: must have images in Datumaro's files, got none`)
  const items = await findListed(all, root, context)
  checkSplits(items)
  return { name: paths.length === 1 ? paths[0]! : root, root, items, ...first!.source, notes: [...new Set(notes)] }
}

/** Datumaro's files in a folder that has annotations/ beside images/; undefined where it has not. */
async function datumaroFiles(files: Files, dir: string): Promise<string[] | undefined> {
  const folder = files.join(dir, 'annotations')
  if ((await files.kind(folder)) !== 'folder' || (await files.kind(files.join(dir, 'images'))) !== 'folder') {
    return undefined
  }
  const found = (await files.entries(folder)).filter(({ name, kind }) => kind === 'file' && /\.json$/i.test(name))
  return found.length > 0 ? found.map(({ name }) => files.join(folder, name)) : undefined
}

/** The folder of a file. */
function folderOf(files: Files, path: string): string {
  const name = files.baseName(path)
  return path.endsWith(name) && path.length > name.length
    ? path.slice(0, -name.length).replace(/(?<=.)[\\/]$/, '')
    : '.'
}

/** Reads the labels in a file or a folder. Throws an InputError where it is nothing that labels can be read from. */
export async function findSource(path: string, context: SourceContext, options: FindOptions): Promise<LabelSource> {
  const { files } = context
  const { format } = options
  const kind = await files.kind(path)
  if (format !== undefined) {
    formatOf(format)
    if (kind !== 'folder')
      throw new InputError(`${path}: must be a folder, as ${format} is, got ${kind ?? 'nothing there'}`)
    return formatSource(path, format, context)
  }
  if (kind === 'file' && kindOf(path) !== undefined) {
    const root = folderOf(files, path)
    if (kindOf(path) !== 'datumaro') {
      return tableSource(root, [{ path, from: [], table: await readTable(files, path) }], path, context)
    }
    const inExport = files.baseName(files.resolve(root)) === 'annotations'
    return datumaroSource(inExport ? folderOf(files, files.resolve(root)) : root, [path], context)
  }
  if (kind !== 'folder') {
    const what = "a folder of images, or a file of labels (.csv, .tsv, .jsonl, or Datumaro's .json)"
    throw new InputError(`${path}: must be ${what}, got ${kind ?? 'nothing there'}`)
  }
  const exported = await datumaroFiles(files, path)
  if (exported) return datumaroSource(path, exported, context)
  const notes: string[] = []
  const metadata: (MetadataFile & { table: Table })[] = []
  const { found, without } = await findMetadata(files, path)
  for (const file of found) metadata.push({ ...file, table: await readTable(files, file.path) })
  const labelled = metadata.filter(({ table }) => hasLabels(table))
  if (labelled.length > 0) {
    const source = await tableSource(path, labelled, labelled.length === 1 ? labelled[0]!.path : path, context)
    const unread =
      without.length > 0 ? [`${listed(without)} in ${path}: not read, since no file of labels is there`] : []
    const layouts = await formatsIn(path, files)
    if (layouts.length > 0) {
      unread.push(`${path} has files of format ${listed(layouts)} too: not read, since labels lie beside the images`)
    }
    return { ...source, notes: [...source.notes, ...unread] }
  }
  const layout = await recogniseFormat(path, files)
  if (layout !== undefined) {
    const { title, alone, hint }: Format = formats[layout]
    if (alone === false) throw new InputError(`${path}: is ${title}; ${hint}`)
    const source = await formatSource(path, layout, context)
    return { ...source, notes: [`its files are those of ${title}, read as format ${layout}`, ...source.notes] }
  }
  if (metadata.length > 0) notes.push(`${listed(metadata.map((file) => file.path))}: not read, since it has no labels`)
  const { parts, notes: more } = await options.parts(path)
  const source = await folderSource(path, parts, context, options.task && nests[options.task])
  return { ...source, notes: [...notes, ...more, ...source.notes] }
}
