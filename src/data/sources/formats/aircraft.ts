// FGVC-Aircraft (Maji and others, 2013) as fgvc-aircraft-2013b.tar.gz unpacks: photos in images/, and for each of three levels of
// classes a list of them and of each part's images (README of the set; torchvision, datasets/fgvc_aircraft.py).
import { InputError } from '../../../platform/errors.ts'
import type { ListedItem } from '../listed-files.ts'
import { checkClasses, type Format, hasAll, knownClass, linesOf, notReadNote, type Place, pairsOf } from './format.ts'

const levels = { variant: 'variants.txt', family: 'families.txt', manufacturer: 'manufacturers.txt' } as const

/** Parts that are divided into others, which are read instead where they are there. */
async function partsOf({ kind, path }: Place, level: string) {
  const list = (part: string) => `images_${level}_${part}.txt`
  const there = async (part: string) => (await kind(list(part))) === 'file'
  const apart = await there('train')
  if (!apart && !(await there('trainval'))) {
    throw new InputError(`${path(list('train'))}: must be there, or ${list('trainval')}, got neither; restore the set`)
  }
  const parts = apart
    ? ([
        ['train', list('train')],
        ['val', list('val')],
        ['test', list('test')],
      ] as const)
    : ([
        ['train', list('trainval')],
        ['test', list('test')],
      ] as const)
  const found: (typeof parts)[number][] = []
  for (const part of parts) if ((await kind(part[1])) === 'file') found.push(part)
  return { found, unread: apart ? [list('trainval')] : [] }
}

/** The layout with the classes of one level. */
export function aircraft(level: keyof typeof levels): Format {
  return {
    title: 'FGVC-Aircraft',
    folders: ['', 'data', 'fgvc-aircraft-2013b/data', 'fgvc-aircraft-2013b/fgvc-aircraft-2013b/data'],
    wants: `images/, ${levels[level]} and images_${level}_train.txt`,
    async is(place) {
      const list = await place.first('file', [`images_${level}_train.txt`, `images_${level}_trainval.txt`])
      return list !== undefined && hasAll(place, 'images/', levels[level])
    },
    async read(place) {
      const declared = checkClasses(await linesOf(place, levels[level]), place.path(levels[level]))
      const known = new Set(declared)
      const { found, unread } = await partsOf(place, level)
      const items: ListedItem[] = []
      for (const [split, list] of found) {
        for (const { at, key, value } of await pairsOf(place, list, `an image's number and its ${level}`)) {
          const names = [knownClass(value, known, at, levels[level])]
          items.push({ at, names, places: [`images/${key}.jpg`], from: place.from, split })
        }
      }
      const notes = [
        `classes are those of the level ${level} (also there: ${Object.keys(levels)
          .filter((one) => one !== level)
          .join(', ')})`,
        'each photo has a banner with its copyright, 20 pixels high, at the bottom: it is not cut off, nor is it by torchvision',
        ...(await notReadNote(place, ['images_box.txt'], ' (boxes of the aircraft)')),
        ...(await notReadNote(place, unread, ', train and val together')),
      ]
      return { items, declared, notes }
    },
  }
}
