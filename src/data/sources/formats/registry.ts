// The layouts of published data sets that there are, by the name that `format` gives them; and which of them a folder has.
import { InputError } from '../../../platform/errors.ts'
import { listed } from '../../../platform/listed.ts'
import type { Files } from '../../../platform/platform.ts'
import { findListed } from '../listed-files.ts'
import type { LabelSource, SourceContext } from '../source.ts'
import { aircraft } from './aircraft.ts'
import { cars } from './cars.ts'
import { cub } from './cub.ts'
import { food101 } from './food101.ts'
import { type Format, type Place, placeIn } from './format.ts'
import { ham10000 } from './ham10000.ts'
import { kitti } from './kitti.ts'
import { type FormatName, formatNames } from './names.ts'
import { resisc45 } from './resisc45.ts'

/** Layouts by name; of those of one set the first is what is recognised. */
export const formats = {
  'fgvc-aircraft': aircraft('variant'),
  'fgvc-aircraft-family': aircraft('family'),
  'fgvc-aircraft-manufacturer': aircraft('manufacturer'),
  'food-101': food101,
  'stanford-cars': cars,
  'cub-200': cub,
  ham10000,
  resisc45,
  'kitti-distance': kitti,
} as const satisfies Record<FormatName, Format>

async function placeOf(
  { folders, is, sure }: Format,
  files: Files,
  root: string,
  beyondDoubt: boolean,
): Promise<Place | undefined> {
  for (const folder of folders) {
    const place = placeIn(files, root, folder)
    if ((await is(place)) && (!beyondDoubt || !sure || (await sure(place)))) return place
  }
  return undefined
}

/** Throws an InputError on a name that is no layout's. */
export function formatOf(name: string): Format {
  if (Object.hasOwn(formats, name)) return formats[name as FormatName]
  throw new InputError(`format: must be one of ${formatNames.join(', ')}, got ${JSON.stringify(name)}`)
}

/** The layouts that a folder has, beyond doubt, one a set. */
export async function formatsIn(root: string, files: Files): Promise<FormatName[]> {
  const found = new Map<string, FormatName>()
  for (const name of formatNames) {
    const { title } = formats[name]
    if (!found.has(title) && (await placeOf(formats[name], files, root, true))) found.set(title, name)
  }
  return [...found.values()]
}

/** The one layout that a folder has, or undefined. Throws an InputError where it has several. */
export async function recogniseFormat(root: string, files: Files): Promise<FormatName | undefined> {
  const names = await formatsIn(root, files)
  if (names.length < 2) return names[0]
  throw new InputError(
    `${root}: must be one data set, got the files of ${listed(names)}; say which by format, or give its own folder`,
  )
}

/** Reads the labels of a layout. Throws an InputError where its files are not there or say what cannot be. */
export async function formatSource(root: string, name: string, context: SourceContext): Promise<LabelSource> {
  const format = formatOf(name)
  const place = await placeOf(format, context.files, root, false)
  if (!place) throw new InputError(`${root}: must have ${format.wants}, as ${name} does, got none`)
  const { items, declared, notes } = await format.read(place)
  if (items.length === 0) throw new InputError(`${place.path('')}: must name images, as ${name} does, got none`)
  const found = await findListed(items, root, context)
  // A set of which one part alone is there is not divided.
  const divided = found.some(({ split }) => split !== undefined && split !== 'train')
  const own = divided ? found : found.map(({ split: _, ...item }) => item)
  return { name: place.path(''), root, items: own, declared, notes }
}
