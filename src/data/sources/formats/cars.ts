// Stanford Cars (Krause and others, 2013): MATLAB files of the devkit beside cars_train/ and cars_test/ (its README.txt; torchvision,
// datasets/stanford_cars.py; TFDS 4.9, image_classification/cars196.py), with the folders in folders that Kaggle's copies have
// (pytorch/vision, issue 7545); or cars_annos.mat, both parts in one list, beside car_ims/. Boxes are read past.
import { type MatStructs, type MatValue, readMat } from '../../../io/mat.ts'
import { InputError } from '../../../platform/errors.ts'
import { listed } from '../../../platform/listed.ts'
import type { ListedItem } from '../listed-files.ts'
import { labelName } from '../source.ts'
import { labelsLimit } from '../text.ts'
import { checkClasses, type Format, notReadNote, type Place } from './format.ts'

const devkits = ['devkit', 'car_devkit/devkit', 'car_devkit', '']
const inDevkit = (name: string) => devkits.map((folder) => (folder === '' ? name : `${folder}/${name}`))
const metaFiles = inDevkit('cars_meta.mat')
const trainFiles = inDevkit('cars_train_annos.mat')
const testFiles = inDevkit('cars_test_annos_withlabels.mat')
const together = ['cars_annos.mat', ...inDevkit('cars_annos.mat')]

async function variables({ files, path }: Place, name: string): Promise<Map<string, MatValue>> {
  const size = (await files.size(path(name))) ?? 0
  if (size > labelsLimit) throw new InputError(`${path(name)}: may hold ${labelsLimit} bytes of labels, got ${size}`)
  return readMat(Uint8Array.from(await files.read(path(name))), path(name))
}

/** The names of the classes, numbered from 1. */
function classNames(found: ReadonlyMap<string, MatValue>, path: string): string[] {
  const value = found.get('class_names')
  if (value?.kind !== 'cells') throw new InputError(`${path}: must have a cell array class_names, got none`)
  const lines = value.cells.map((cell, i) => {
    const at = `${path}, class ${i + 1}`
    if (cell.kind !== 'text') throw new InputError(`${at}: must have a name, got ${cell.kind}`)
    return { at, text: labelName(cell.text) }
  })
  return checkClasses(lines, path)
}

function annotations(found: ReadonlyMap<string, MatValue>, path: string, fields: readonly string[]): MatStructs {
  const value = found.get('annotations')
  if (value?.kind !== 'structs') throw new InputError(`${path}: must have a struct array annotations, got none`)
  const lacking = fields.find((field) => !value.fields.includes(field))
  if (lacking === undefined) return value
  throw new InputError(`${path}: annotations must have the field ${lacking}, got ${listed(value.fields)}`)
}

function numberIn(value: MatValue | undefined, what: string): number {
  const [x, ...more] = value?.kind === 'numbers' ? value.values : []
  if (x !== undefined && more.length === 0 && Number.isInteger(x)) return x
  throw new InputError(`${what} must be a whole number, got ${value?.kind ?? 'none'}`)
}

function textIn(value: MatValue | undefined, what: string): string {
  if (value?.kind === 'text' && value.text.trim() !== '') return value.text.trim()
  throw new InputError(`${what} must be text, got ${value?.kind ?? 'none'}`)
}

function classIn(value: MatValue | undefined, names: readonly string[], at: string): string {
  const place = numberIn(value, `${at}: class`)
  const name = names[place - 1]
  if (name !== undefined) return name
  throw new InputError(`${at}: class must be 1 to ${names.length}, got ${place}`)
}

const boxes = (path: string) => `${path}: boxes of the cars are not read`

/** Both parts in one list, beside car_ims/. */
async function readTogether(place: Place, list: string) {
  const path = place.path(list)
  const found = await variables(place, list)
  const declared = classNames(found, path)
  const { rows } = annotations(found, path, ['relative_im_path', 'class', 'test'])
  const items = rows.map((row, i): ListedItem => {
    const at = `${path}, image ${i + 1}`
    const names = [classIn(row.get('class'), declared, at)]
    const test = numberIn(row.get('test'), `${at}: test`)
    const file = textIn(row.get('relative_im_path'), `${at}: relative_im_path`)
    return { at, names, places: [file], from: place.from, split: test === 0 ? 'train' : 'test' }
  })
  return { items, declared, notes: [boxes(list)] }
}

/** The devkit's lists, a part each. */
async function readApart(place: Place, meta: string, train: string) {
  const declared = classNames(await variables(place, meta), place.path(meta))
  const test = await place.first('file', testFiles)
  const items: ListedItem[] = []
  for (const [split, list] of [
    ['train', train],
    ['test', test],
  ] as const) {
    if (list === undefined) continue
    const path = place.path(list)
    const { rows } = annotations(await variables(place, list), path, ['class', 'fname'])
    for (const [i, row] of rows.entries()) {
      const at = `${path}, image ${i + 1}`
      const names = [classIn(row.get('class'), declared, at)]
      const file = textIn(row.get('fname'), `${at}: fname`)
      const folder = `cars_${split}`
      items.push({ at, names, places: [`${folder}/${file}`, `${folder}/${folder}/${file}`], from: place.from, split })
    }
  }
  const without =
    test === undefined
      ? ['cars_test/ is not read, since cars_test_annos_withlabels.mat with its classes is not there']
      : []
  const bare = await notReadNote(place, inDevkit('cars_test_annos.mat'), ', since it has no classes')
  return {
    items,
    declared,
    notes: [boxes([train, test].filter((list) => list !== undefined).join(', ')), ...without, ...bare],
  }
}

/** The layout. */
export const cars: Format = {
  title: 'Stanford Cars',
  folders: ['', 'stanford_cars', 'stanford-cars'],
  wants: 'devkit/cars_meta.mat, devkit/cars_train_annos.mat and cars_train/, or cars_annos.mat and car_ims/',
  async is({ first, kind }) {
    if ((await first('file', together)) !== undefined && (await kind('car_ims')) === 'folder') return true
    const lists = [await first('file', metaFiles), await first('file', trainFiles)]
    return !lists.includes(undefined) && (await kind('cars_train')) === 'folder'
  },
  async read(place) {
    const [meta, train] = [await place.first('file', metaFiles), await place.first('file', trainFiles)]
    if (meta !== undefined && train !== undefined && (await place.kind('cars_train')) === 'folder') {
      return readApart(place, meta, train)
    }
    return readTogether(place, (await place.first('file', together))!)
  },
}
