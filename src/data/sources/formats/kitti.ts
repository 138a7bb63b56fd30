// KITTI's object data (Geiger and others, 2012; training/image_2, training/label_2) as VTAB's task "closest vehicle distance"
// (Zhai and others, 2019; task_adaptation, data/kitti.py): how far ahead the nearest car, van or truck is, in four classes. Parts are
// those of TFDS 4.9 (datasets/kitti, _build_splits): a tenth of the drives to validate on and a tenth to test on, by the devkit's
// mapping, where that is there.
import { InputError } from '../../../platform/errors.ts'
import { eachOf } from '../../each-of.ts'
import type { ListedItem } from '../listed-files.ts'
import { byCodeUnit } from '../source.ts'
import { type Format, hasAll, linesOf, notReadNote, type Place } from './format.ts'
import { numpyChoice } from './numpy-choice.ts'

/** VTAB's classes in its order, and what each begins above, in metres. */
const classes = ['vehicle within 8 m', 'vehicle at 8 to 20 m', 'vehicle beyond 20 m', 'no vehicle']
const above = [-100, 8, 20, 999]

const vehicles = new Set(['Car', 'Van', 'Truck'])
const others = new Set(['Pedestrian', 'Person_sitting', 'Cyclist', 'Tram', 'Misc', 'DontCare'])

const within = (part: string, archive: string) => [
  `training/${part}`,
  `${archive}/training/${part}`,
  `raw/training/${part}`,
]
const labelFolders = within('label_2', 'data_object_label_2')
const imageFolders = within('image_2', 'data_object_image_2')
const mappings = ['mapping', 'devkit/mapping', 'devkit_object/mapping', 'raw/mapping']

/** The class of an image: the last threshold that the nearest vehicle's distance lies above, in single precision as VTAB has it. */
async function classOf(place: Place, list: string): Promise<string> {
  let nearest = 1000
  for (const { at, text } of await linesOf(place, list)) {
    const [type = '', ...cells] = text.split(/\s+/)
    if (!vehicles.has(type) && !others.has(type)) {
      throw new InputError(`${at}: must begin with a type of KITTI's, as Car, got ${JSON.stringify(type.slice(0, 40))}`)
    }
    const numbers = cells.map(Number)
    if (numbers.length !== 14 || numbers.some((x) => !Number.isFinite(x))) {
      throw new InputError(`${at}: must have 14 numbers behind the type, got ${JSON.stringify(text.slice(0, 60))}`)
    }
    if (vehicles.has(type)) nearest = Math.min(nearest, Math.fround(numbers[12]!))
  }
  const name = classes.findLast((_, i) => above[i]! < nearest)
  if (name !== undefined) return name
  throw new InputError(`${place.path(list)}: a vehicle must be above ${above[0]} m ahead, got ${nearest}`)
}

/** The drive that each image was taken on, by the image's number. */
async function drivesOf(place: Place, folder: string): Promise<string[]> {
  const lines = (await place.text(`${folder}/train_mapping.txt`)).split(/\r?\n/)
  const path = place.path(`${folder}/train_rand.txt`)
  const text = await place.text(`${folder}/train_rand.txt`)
  return text
    .trim()
    .split(',')
    .map((number, i) => {
      const drive = lines[Number(number) - 1]?.trim().split(/\s+/)[1]
      if (drive !== undefined && /^\s*\d+\s*$/.test(number)) return drive
      const got = JSON.stringify(number.trim().slice(0, 40))
      throw new InputError(
        `${path}, number ${i + 1}: must be a line of train_mapping.txt that names a drive, got ${got}`,
      )
    })
}

/** Parts by drive, as TFDS draws them. */
function partsOf(drives: readonly string[]): Map<string, 'train' | 'val' | 'test'> {
  const choose = numpyChoice(123)
  const all = byCodeUnit(new Set(drives))
  const tenth = Math.max(1, Math.floor((10 * all.length) / 100))
  const test = new Set(choose(all, tenth))
  const val = new Set(
    choose(
      all.filter((drive) => !test.has(drive)),
      tenth,
    ),
  )
  return new Map(all.map((drive) => [drive, test.has(drive) ? 'test' : val.has(drive) ? 'val' : 'train']))
}

/** The layout. */
export const kitti: Format = {
  title: "KITTI's object data",
  folders: ['', 'Kitti', 'kitti', 'KITTI'],
  wants: 'training/image_2/ and training/label_2/',
  alone: false,
  hint: "its labels are boxes of objects, so say what is to be learnt: --format kitti-distance takes VTAB's closest vehicle distance",
  is: async ({ first }) =>
    (await first('folder', labelFolders)) !== undefined && (await first('folder', imageFolders)) !== undefined,
  async read(place) {
    const folder = (await place.first('folder', labelFolders))!
    const lists = (await place.files.entries(place.path(folder)))
      .filter(({ name, kind }) => kind === 'file' && /^\d{6}\.txt$/.test(name))
      .map(({ name }) => name.slice(0, 6))
    if (lists.length === 0) throw new InputError(`${place.path(folder)}: must have files like 000000.txt, got none`)
    const there: string[] = []
    for (const mapping of mappings) {
      if (await hasAll(place, `${mapping}/train_mapping.txt`, `${mapping}/train_rand.txt`)) there.push(mapping)
    }
    const [mapping] = there
    const drives = mapping === undefined ? undefined : await drivesOf(place, mapping)
    const parts = partsOf(drives ?? [])
    const items = await eachOf(lists, async (id): Promise<ListedItem> => {
      const list = `${folder}/${id}.txt`
      const at = place.path(list)
      const names = [await classOf(place, list)]
      const places = imageFolders.flatMap((images) => [`${images}/${id}.png`, `${images}/${id}.jpg`])
      if (drives === undefined) return { at, names, places, from: place.from }
      const group = drives[Number(id)]
      if (group === undefined)
        throw new InputError(`${at}: its image must have a number in ${mapping}/train_rand.txt, got none`)
      return { at, names, places, from: place.from, group, split: parts.get(group)! }
    })
    const notes = [
      drives === undefined
        ? "the devkit's mapping/train_mapping.txt and train_rand.txt are not there: images of one drive may lie on both sides of the split"
        : "parts are TFDS's: a tenth of the drives to validate on, a tenth to test on; images of one drive stay in one part",
      ...(await notReadNote(place, ['testing', 'data_object_image_2/testing'], ', since it has no labels')),
    ]
    return { items, declared: classes, notes }
  },
}
