// What a session keeps, as plain folders: models/NAME, images/NAME/CLASS/FILE, runs/NAME. Here: names, listing, removing.
import { isImageName } from '../data/candidates.ts'
import { InputError } from '../platform/errors.ts'
import type { Files } from '../platform/platform.ts'
import type { StoredDataset } from './types.ts'

/** What a user has to know where files are in memory. */
export const inMemory = (reason: string): string =>
  `Pictures, models and runs are kept in memory and are gone with this tab, also when it is reloaded: ${reason}`

/** Where everything lies. */
export const places = { models: '/vitune/models', images: '/vitune/images', runs: '/vitune/runs' } as const

/** A name that may be a folder everywhere; throws an InputError on any other. */
export function checkName(what: string, name: unknown): string {
  if (
    typeof name === 'string' &&
    /^[^./\\:*?"<>|\p{Cc}][^/\\:*?"<>|\p{Cc}]{0,99}$/u.test(name) &&
    !/[. ]$/.test(name)
  ) {
    return name
  }
  throw new InputError(
    `${what}: must be a name of 1 to 100 characters without / \\ : * ? " < > | and no dot at its ends, got ${JSON.stringify(name)}`,
  )
}

/** Names of the folders in a folder that need not exist. */
export async function foldersIn(files: Files, path: string): Promise<string[]> {
  if ((await files.kind(path)) === undefined) return []
  return (await files.list(path)).filter((entry) => entry.endsWith('/')).map((entry) => entry.slice(0, -1))
}

/** Images of a dataset by class, and their bytes. */
export async function describeDataset(files: Files, name: string): Promise<StoredDataset> {
  const folder = files.join(places.images, name)
  const classes: { name: string; images: number }[] = []
  let bytes = 0
  for (const label of await foldersIn(files, folder)) {
    const images = (await files.list(files.join(folder, label))).filter(isImageName)
    const sizes = await Promise.all(images.map((image) => files.size(files.join(folder, label, image))))
    bytes += sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0)
    classes.push({ name: label, images: images.length })
  }
  return { name, classes, bytes }
}

export async function listDatasets(files: Files): Promise<StoredDataset[]> {
  return Promise.all((await foldersIn(files, places.images)).map((name) => describeDataset(files, name)))
}

/** The first images of a class as they are kept, by name. */
export async function readImages(
  files: Files,
  { dataset, class: label, count }: { dataset: string; class: string; count: number },
): Promise<File[]> {
  const folder = files.join(places.images, checkName('dataset', dataset), checkName('class', label))
  const names = (await files.list(folder)).filter(isImageName).slice(0, count)
  const read = async (name: string) =>
    new File([(await files.read(files.join(folder, name))) as Uint8Array<ArrayBuffer>], name)
  return Promise.all(names.map(read))
}

/** Removes a class with its images; a dataset without classes goes too. */
export async function removeClass(
  files: Files,
  { dataset, class: label }: { dataset: string; class: string },
): Promise<void> {
  const folder = files.join(places.images, checkName('dataset', dataset))
  await files.remove(files.join(folder, checkName('class', label)))
  if ((await foldersIn(files, folder)).length === 0) await files.remove(folder)
}

/** Removes one; throws an InputError when there is none of this name. */
export async function removeStored(files: Files, place: keyof typeof places, name: string): Promise<void> {
  const folder = files.join(places[place], checkName(place, name))
  if ((await files.kind(folder)) === undefined) throw new InputError(`${place}: nothing is kept under ${name}`)
  await files.remove(folder)
}
