// What a session keeps, as plain folders: models/NAME, images/NAME (datasets.ts), runs/NAME. Here: names, listing, removing.
import { InputError } from '../platform/errors.ts'
import type { Files } from '../platform/platform.ts'

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

/** Removes one; throws an InputError when there is none of this name. */
export async function removeStored(files: Files, place: keyof typeof places, name: string): Promise<void> {
  const folder = files.join(places[place], checkName(place, name))
  if ((await files.kind(folder)) === undefined) throw new InputError(`${place}: nothing is kept under ${name}`)
  await files.remove(folder)
}
