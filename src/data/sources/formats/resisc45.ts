// RESISC45 (Cheng and others, 2017) as NWPU-RESISC45.rar unpacks: 45 folders of classes with images like airplane_001.jpg, and beside
// them the lists of Neumann and others (2019), which most papers divide it by, where they are there (torchgeo 0.8,
// datasets/resisc45.py; TFDS 4.9 knows one part only).
import { InputError } from '../../../platform/errors.ts'
import { listed } from '../../../platform/listed.ts'
import { isImageName } from '../../candidates.ts'
import type { ListedItem } from '../listed-files.ts'
import { byCodeUnit } from '../source.ts'
import { type Format, linesOf, type Place } from './format.ts'

const names =
  'airplane airport baseball_diamond basketball_court beach bridge chaparral church circular_farmland cloud commercial_area ' +
  'dense_residential desert forest freeway golf_course ground_track_field harbor industrial_area intersection island lake ' +
  'meadow medium_residential mobile_home_park mountain overpass palace parking_lot railway railway_station ' +
  'rectangular_farmland river roundabout runway sea_ice ship snowberg sparse_residential stadium storage_tank tennis_court ' +
  'terrace thermal_power_station wetland'
const classes = new Set(names.split(' '))
const listOf = (split: string) => [`resisc45-${split}.txt`, `NWPU-RESISC45/resisc45-${split}.txt`]

/** The folder of the classes: below the place, or the place itself. */
const folderIn = async ({ kind }: Place): Promise<string> =>
  (await kind('NWPU-RESISC45')) === 'folder' ? 'NWPU-RESISC45/' : ''

/** Images by the lists of parts: `airplane_001.jpg` a line, which lies in the folder of its class. */
async function fromLists(place: Place, folder: string): Promise<ListedItem[]> {
  const items: ListedItem[] = []
  for (const split of ['train', 'val', 'test'] as const) {
    const list = await place.first('file', listOf(split))
    if (list === undefined) continue
    for (const { at, text } of await linesOf(place, list)) {
      const label = /^(\w+?)_\d+\.jpg$/.exec(text)?.[1] ?? ''
      if (!classes.has(label)) {
        throw new InputError(`${at}: must be an image like airplane_001.jpg, got ${JSON.stringify(text.slice(0, 60))}`)
      }
      items.push({ at, names: [label], places: [`${folder}${label}/${text}`], from: place.from, split })
    }
  }
  return items
}

/** Images by the folders of classes, and folders that are none. */
async function fromFolders(place: Place, folder: string): Promise<{ items: ListedItem[]; others: string[] }> {
  const items: ListedItem[] = []
  const others: string[] = []
  for (const { name, kind, target } of await place.files.entries(place.path(folder))) {
    if (kind !== 'folder' || target !== undefined) continue
    if (!classes.has(name)) others.push(name)
    else {
      const path = place.path(`${folder}${name}`)
      for (const image of await place.files.entries(path)) {
        if (image.kind !== 'file' || !isImageName(image.name)) continue
        const at = place.files.join(path, image.name)
        items.push({ at, names: [name], places: [`${folder}${name}/${image.name}`], from: place.from })
      }
    }
  }
  return { items, others }
}

/** The layout. */
export const resisc45: Format = {
  title: 'RESISC45',
  folders: [''],
  wants: 'NWPU-RESISC45/ with the folders of its classes, or these beside resisc45-train.txt',
  is: async ({ first }) =>
    (await first('file', listOf('train'))) !== undefined ||
    (await first('folder', ['NWPU-RESISC45/airplane', 'airplane'])) !== undefined,
  // Folders of classes by themselves are class folders.
  sure: async ({ first }) =>
    (await first('file', listOf('train'))) !== undefined ||
    (await first('folder', ['NWPU-RESISC45/airplane'])) !== undefined,
  async read(place) {
    const folder = await folderIn(place)
    const listing = (await place.first('file', listOf('train'))) !== undefined
    const { items, others } = listing
      ? { items: await fromLists(place, folder), others: [] }
      : await fromFolders(place, folder)
    if (items.length === 0)
      throw new InputError(`${place.path(folder)}: must have images in folders like airplane, got none`)
    const notes = [
      ...(listing
        ? []
        : ['resisc45-train.txt, -val.txt and -test.txt are not there: a part is set aside here to validate on']),
      ...(others.length > 0
        ? [`${listed(others)} in ${place.path(folder)}: not read, since they are no classes of RESISC45`]
        : []),
    ]
    // Papers and other libraries number the classes by their names.
    return { items, declared: byCodeUnit(new Set(items.flatMap(({ names }) => names))), notes }
  },
}
