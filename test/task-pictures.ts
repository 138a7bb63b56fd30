// Small labelled pictures for tests of tasks, as a user brings them: a table with several labels a picture, one with a column
// a label and blank cells, folders in folders, and class folders. A label is a colour that the picture has more of.
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import sharp from 'sharp'
import { Rng } from 'vitune/tensor'

const colours = ['red', 'green', 'blue'] as const
/** The labels of the tables, in the order of a model's outputs. */
export const labels = ['blue', 'green', 'red']

async function picture(path: string, has: readonly string[], seed: number): Promise<void> {
  const [width, height] = [22, 19]
  const rng = new Rng(seed, 77)
  const value = (colour: string) => 50 + (has.includes(colour) ? 130 : 0) + 40 * rng.normal()
  const raw = Uint8Array.from({ length: width * height * 3 }, (_, i) =>
    Math.max(0, Math.min(255, value(colours[i % 3]!))),
  )
  mkdirSync(dirname(path), { recursive: true })
  await sharp(raw, { raw: { width, height, channels: 3 } })
    .png()
    .toFile(path)
}

/** The labels of picture `i`: each of the eight sets of three labels in turn, none too. */
export const labelsAt = (i: number): string[] => labels.filter((_, bit) => (i >> bit) & 1)

const file = (i: number) => `images/${String(i).padStart(2, '0')}.png`

/** `labels.csv` with a row a picture, its labels between semicolons, beside the pictures. */
export async function labelledTable(folder: string, count = 20): Promise<string> {
  const rows = ['path,label']
  for (let i = 0; i < count; i++) {
    await picture(join(folder, file(i)), labelsAt(i), i)
    rows.push(`${file(i)},${labelsAt(i).join(';')}`)
  }
  writeFileSync(join(folder, 'labels.csv'), `${rows.join('\n')}\n`)
  return join(folder, 'labels.csv')
}

/** Whether nobody looked for label `k` in picture `i`. */
export const isBlank = (i: number, k: number): boolean => (i + k) % 4 === 1

/** `columns.csv` with a column a label: 1, 0, or nothing where nobody looked. */
export async function labelledColumns(folder: string, count = 20): Promise<string> {
  const rows = [['path', ...labels].join(',')]
  for (let i = 0; i < count; i++) {
    await picture(join(folder, file(i)), labelsAt(i), i)
    const has = labelsAt(i)
    const cells = labels.map((label, k) => (isBlank(i, k) ? '' : has.includes(label) ? '1' : '0'))
    rows.push([file(i), ...cells].join(','))
  }
  writeFileSync(join(folder, 'columns.csv'), `${rows.join('\n')}\n`)
  return join(folder, 'columns.csv')
}

/** What the folders of the tree show. */
const tree = {
  'cold/blue': ['blue'],
  'cold/cyan': ['blue', 'green'],
  'warm/red': ['red'],
  'warm/sun': ['red', 'green'],
}
/** The labels of the tree, in the order of a model's outputs, and what `run.json` says of them. */
export const treeLabels = ['cold', 'warm', ...Object.keys(tree)]
export const treeFacts = {
  task: 'hierarchical',
  groups: [
    ['cold', 'warm'],
    ['cold/blue', 'cold/cyan'],
    ['warm/red', 'warm/sun'],
  ],
  parents: { 'cold/blue': 'cold', 'cold/cyan': 'cold', 'warm/red': 'warm', 'warm/sun': 'warm' },
}

/** Folders of two levels. */
export async function labelledTree(folder: string, each = 5): Promise<string> {
  for (const [k, [name, has]] of Object.entries(tree).entries()) {
    for (let i = 0; i < each; i++) await picture(join(folder, name, `${i}.png`), has, 100 * k + i)
  }
  return folder
}

/** A folder for each label, as one class an image. */
export async function classFolders(folder: string, each = 5): Promise<string> {
  for (const [k, name] of labels.entries()) {
    for (let i = 0; i < each; i++) await picture(join(folder, name, `${i}.png`), [name], 100 * k + i)
  }
  return folder
}
