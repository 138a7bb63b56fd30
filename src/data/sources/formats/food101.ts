// Food-101 (Bossard and others, 2014) as food-101.tar.gz unpacks: images/CLASS/ID.jpg, and the two parts in meta/ as JSON and as
// text, which say the same (torchvision, datasets/food101.py; TFDS 4.9, image_classification/food101.py).
import { isRecord, parseJson } from '../../../io/json.ts'
import { InputError } from '../../../platform/errors.ts'
import type { ListedItem } from '../listed-files.ts'
import { byCodeUnit, labelName } from '../source.ts'
import { labelsLimit } from '../text.ts'
import { checkClasses, type Format, hasAll, knownClass, linesOf, notReadNote, type Place } from './format.ts'

/** What a part's file says: images as `CLASS/ID`. */
async function imagesOf(place: Place, list: string): Promise<{ at: string; text: string }[]> {
  if (list.endsWith('.txt')) return linesOf(place, list)
  const path = place.path(list)
  const json = parseJson(await place.text(list), path, labelsLimit)
  if (!isRecord(json))
    throw new InputError(`${path}: must be an object with the images of each class, got another value`)
  return Object.entries(json).flatMap(([label, images]) => {
    if (!Array.isArray(images)) throw new InputError(`${path}: ${label} must have a list of images, got another value`)
    return images.map((text: unknown, i) => {
      const at = `${path}, ${label}, image ${i + 1}`
      if (typeof text !== 'string') throw new InputError(`${at}: must be text like ${label}/123, got another value`)
      if (!text.startsWith(`${label}/`)) throw new InputError(`${at}: must begin with ${label}/, got ${text}`)
      return { at, text }
    })
  })
}

/** The layout. */
export const food101: Format = {
  title: 'Food-101',
  folders: ['', 'food-101', 'food-101/food-101'],
  wants: 'images/ and meta/train.json or meta/train.txt',
  async is(place) {
    const list = await place.first('file', ['meta/train.json', 'meta/train.txt'])
    return list !== undefined && hasAll(place, 'images/', 'meta/classes.txt')
  },
  async read(place) {
    const items: ListedItem[] = []
    const unread: string[] = []
    for (const split of ['train', 'test'] as const) {
      const names = [`meta/${split}.json`, `meta/${split}.txt`]
      const list = await place.first('file', names)
      if (list === undefined && split === 'test') continue
      if (list === names[0]) unread.push(names[1]!)
      for (const { at, text } of await imagesOf(place, list ?? names[0]!)) {
        const slash = text.indexOf('/')
        if (slash < 1) throw new InputError(`${at}: must be a class and an image like apple_pie/123, got ${text}`)
        const label = labelName(text.slice(0, slash))
        items.push({ at, names: [label], places: [`images/${text}.jpg`], from: place.from, split })
      }
    }
    const list = 'meta/classes.txt'
    const listed =
      (await place.kind(list)) === 'file' ? checkClasses(await linesOf(place, list), place.path(list)) : undefined
    const declared = listed ?? byCodeUnit(new Set(items.flatMap(({ names }) => names)))
    const known = new Set(declared)
    for (const { at, names } of items) knownClass(names[0]!, known, at, list)
    const notes = [
      ...(await notReadNote(place, unread, ', since the .json beside it says the same')),
      ...(await notReadNote(place, ['meta/labels.txt'], ' (names of the classes for readers)')),
    ]
    return { items, declared, notes }
  },
}
