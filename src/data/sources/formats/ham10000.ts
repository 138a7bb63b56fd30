// HAM10000 (Tschandl and others, 2018) as Harvard's Dataverse (doi 10.7910/DVN/DBW86T) and Kaggle give it: HAM10000_metadata with a
// diagnosis (dx) an image and the lesion that it shows, images in two folders or one. Several images show one lesion, so parts are
// drawn by lesion. Where the test set of ISIC 2018 (task 3) lies beside it, or its validation set, these are test and val.
import { InputError } from '../../../platform/errors.ts'
import { listed } from '../../../platform/listed.ts'
import { csvTable } from '../csv.ts'
import type { ListedItem } from '../listed-files.ts'
import { type Format, knownClass, notReadNote, type Place } from './format.ts'

/** Diagnoses, as the metadata writes them. */
const diagnoses = ['akiec', 'bcc', 'bkl', 'df', 'mel', 'nv', 'vasc']
const metadata = ['HAM10000_metadata.csv', 'HAM10000_metadata.tab', 'HAM10000_metadata']
const folders = ['HAM10000_images_part_1', 'HAM10000_images_part_2', 'ham10000_images_part_1', 'ham10000_images_part_2']
const oneFolder = ['HAM10000_images', 'images', '']

/** The names of a set of ISIC 2018: its list, and the folders that its images may lie in. */
function ofIsic(part: 'Validation' | 'Test') {
  const list = `ISIC2018_Task3_${part}_GroundTruth`
  const images = ['Images', 'Input'].map((end) => `ISIC2018_Task3_${part}_${end}`)
  return {
    lists: [`${list}.csv`, `${list}.tab`, `${list}/${list}.csv`],
    folders: [...images, ...images.map((folder) => `${folder}/${folder}`)],
  }
}

/** A row's image and diagnosis: in columns image_id and dx, or one column a diagnosis as the challenge writes them. */
async function rowsOf(
  place: Place,
  list: string,
  where: readonly string[],
  split: ListedItem['split'],
): Promise<ListedItem[]> {
  const { columns, rows } = csvTable(await place.text(list), place.path(list))
  const names = columns.map((column) => column.trim().toLowerCase())
  const of = (name: string) => names.indexOf(name)
  const image = Math.max(of('image_id'), of('image'))
  const [dx, lesion] = [of('dx'), of('lesion_id')]
  const marks = diagnoses.map(of)
  if (image < 0 || (dx < 0 && marks.includes(-1))) {
    throw new InputError(`${place.path(list)}: must have columns image_id and dx, got ${listed(columns)}`)
  }
  const known = new Set(diagnoses)
  return rows.map(({ at, cells }): ListedItem => {
    const cell = (column: number) => String(cells[column] ?? '').trim()
    const there = diagnoses.filter((_, i) => dx < 0 && Number(cell(marks[i]!)) === 1)
    if (dx < 0 && there.length !== 1) throw new InputError(`${at}: must have one diagnosis, got ${there.length}`)
    const label = knownClass(there[0] ?? cell(dx), known, at, diagnoses.join(', '))
    const id = cell(image)
    if (id === '') throw new InputError(`${at}: must have an image, got none`)
    const group = lesion < 0 ? '' : cell(lesion)
    const places = where.map((folder) => (folder === '' ? `${id}.jpg` : `${folder}/${id}.jpg`))
    return { at, names: [label], places, from: place.from, ...(group && { group }), ...(split && { split }) }
  })
}

/** The layout. */
export const ham10000: Format = {
  title: 'HAM10000',
  folders: ['', 'dataverse_files'],
  wants: 'HAM10000_metadata.csv',
  is: async ({ first }) => (await first('file', metadata)) !== undefined,
  // Others sort its images into class folders beside the list.
  sure: async ({ first }) => (await first('folder', [...folders, 'HAM10000_images'])) !== undefined,
  async read(place) {
    const other: ListedItem[] = []
    for (const [part, split] of [
      ['Validation', 'val'],
      ['Test', 'test'],
    ] as const) {
      const names = ofIsic(part)
      const list = await place.first('file', names.lists)
      const there = await place.first('folder', names.folders)
      if (list !== undefined && there !== undefined) other.push(...(await rowsOf(place, list, names.folders, split)))
    }
    // Where another part is there each image is in one.
    const split = other.length > 0 ? 'train' : undefined
    const own: string[] = []
    for (const folder of folders) if ((await place.kind(folder)) === 'folder') own.push(folder, `${folder}/${folder}`)
    const list = (await place.first('file', metadata))!
    const items = [...(await rowsOf(place, list, [...own, ...oneFolder], split)), ...other]
    const notes = [
      `classes are dx of ${list}; age, sex, place on the body and dx_type are not read`,
      'images of one lesion (lesion_id) stay in one part: what is set aside to validate on, and folds, are drawn by lesion',
      ...(await notReadNote(place, ['HAM10000_segmentations_lesion_tschandl'], ' (masks of the lesions)')),
    ]
    return { items, declared: diagnoses, notes }
  },
}
