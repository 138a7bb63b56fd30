// CUB-200-2011 (Wah and others, 2011) as CUB_200_2011.tgz unpacks: images.txt, image_class_labels.txt and train_test_split.txt
// number the images alike, classes.txt the classes (README of the set; OpenMMLab's mmpretrain, datasets/cub.py reads the same).
import { InputError } from '../../../platform/errors.ts'
import type { ListedItem } from '../listed-files.ts'
import { checkClasses, type Format, hasAll, mapOf, notReadNote } from './format.ts'

/** The layout. */
export const cub: Format = {
  title: 'CUB-200-2011',
  folders: ['', 'CUB_200_2011'],
  wants: 'images/, images.txt, image_class_labels.txt, train_test_split.txt and classes.txt',
  is: (place) =>
    hasAll(place, 'images/', 'images.txt', 'image_class_labels.txt', 'train_test_split.txt', 'classes.txt'),
  async read(place) {
    const classes = await mapOf(place, 'classes.txt', 'the number and name of a class')
    const declared = checkClasses(
      [...classes.values()].map(({ at, value: text }) => ({ at, text })),
      place.path('classes.txt'),
    )
    const images = await mapOf(place, 'images.txt', "an image's number and path")
    const labels = await mapOf(place, 'image_class_labels.txt', 'the numbers of an image and its class')
    const parts = await mapOf(place, 'train_test_split.txt', "an image's number and 1 (train) or 0 (test)")
    const items = [...images].map(([id, { at, value }]): ListedItem => {
      const [label, part] = [labels.get(id), parts.get(id)]
      const lacking =
        label === undefined ? 'image_class_labels.txt' : part === undefined ? 'train_test_split.txt' : undefined
      if (!label || !part) throw new InputError(`${at}: image ${id} must have a line in ${lacking}, got none`)
      const name = classes.get(label.value)
      if (!name) throw new InputError(`${label.at}: the class must be a number in classes.txt, got ${label.value}`)
      if (part.value !== '0' && part.value !== '1') {
        throw new InputError(`${part.at}: must be 1 (train) or 0 (test), got ${part.value}`)
      }
      const split = part.value === '1' ? 'train' : 'test'
      return { at, names: [name.value], places: [`images/${value}`], from: place.from, split }
    })
    for (const { size, file } of [
      { size: labels.size, file: 'image_class_labels.txt' },
      { size: parts.size, file: 'train_test_split.txt' },
    ]) {
      if (size === images.size) continue
      throw new InputError(
        `${place.path(file)}: must have a line for each image of images.txt, got ${size} for ${images.size}`,
      )
    }
    const notes = await notReadNote(
      place,
      ['bounding_boxes.txt', 'parts', 'attributes'],
      ' (boxes, parts and attributes of the birds)',
    )
    return { items, declared, notes }
  },
}
