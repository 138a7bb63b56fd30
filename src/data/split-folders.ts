// Whether a folder holds splits: whole names of its own folders, in any case, and nothing else, are train, val and test.
import { InputError } from '../platform/errors.ts'
import { listed } from '../platform/listed.ts'
import type { Files } from '../platform/platform.ts'
import { endingKind, isImageName } from './candidates.ts'
import { inside, isHidden, type WalkOptions } from './walk.ts'

/** What each split may be called. */
const splits = { train: ['train'], val: ['val', 'valid', 'validation'], test: ['test'] } as const
/** A part of the data. */
export type Split = keyof typeof splits

/** The split that a folder's name means, in any case. */
export const splitOf = (name: string): Split | undefined =>
  (Object.keys(splits) as Split[]).find((split) => (splits[split] as readonly string[]).includes(name.toLowerCase()))

/** Names of splits that other tools read. Here they are none, and they are seldom classes. */
const looksLikeSplit = /^(train(ing|set)?|val(id|idation)?|test(ing|set|s)?|dev|eval(uation)?|hold-?out)$/i

/** A folder's own folders by the split that they are. */
export interface Splits extends Record<Split, readonly string[]> {
  /** What is to be said of them. */
  readonly notes: readonly string[]
  /** Folders that are called as splits are elsewhere, where there are no others and none is called train. */
  readonly strange: readonly string[]
}

const called = 'splits are called train, val (valid, validation) and test'

/** The one folder of a split, if there is any; throws an InputError where there are several. */
export function onlySplit(dir: string, split: Split, found: Splits): string | undefined {
  const [name, ...more] = found[split]
  if (name === undefined || more.length === 0) return name
  throw new InputError(
    `${dir}: one folder can be the ${split} split, got ${listed(found[split])}; keep one of them there`,
  )
}

/** The splits in `dir`; links that lead out of it are passed over. */
export async function findSplits(files: Files, dir: string, { within, over }: WalkOptions): Promise<Splits> {
  const entries = await files.entries(dir)
  const folders = entries.filter(({ name, kind }) => kind === 'folder' && !isHidden(name))
  const names = folders
    .filter(({ target }) => target === undefined || inside(files, within, target))
    .map(({ name }) => name)
  // A class may be called "train" too; then there are images in it, and no folders.
  const deep: string[] = []
  for (const name of names) {
    const below = await files.entries(files.join(dir, name))
    if (below.some((inner) => inner.kind === 'folder' && !isHidden(inner.name))) deep.push(name)
  }
  const of = (split: Split) => deep.filter((name) => splitOf(name) === split)
  const found = { train: of('train'), val: of('val'), test: of('test') }
  const like = deep.filter((name) => looksLikeSplit.test(name))
  const [train] = found.train
  if (train === undefined) {
    const note = `${listed(like)}: taken for classes, since there is no train folder; ${called}`
    // Hardly anybody means to tell train from test; a class of such a name among others is one.
    const flat = deep.length === 0 && names.length > 1 && names.every((name) => looksLikeSplit.test(name))
    const flatNote = `${listed(names)}: taken for classes, since no class folders are in them; ${called}`
    return {
      ...found,
      notes: like.length > 0 ? [note] : flat ? [flatNote] : [],
      strange: like.length === names.length ? like : [],
    }
  }
  for (const { name, kind, target, what } of entries) {
    if (isHidden(name)) over.add('hidden entries', name)
    else if (target !== undefined && !inside(files, within, target)) over.add('links that leave the folder', name)
    else if (kind === 'other') over.add(what ?? 'entries of an unknown kind', name)
    else if (kind === 'file') over.add(isImageName(name) ? 'images beside the splits' : endingKind(name), name)
  }
  const taken = [...found.train, ...found.val, ...found.test]
  const rest = names.filter((name) => !taken.includes(name))
  const notes = [`${listed(taken)} ${taken.length === 1 ? 'is taken for a split' : 'are taken for splits'} of the data`]
  if (rest.length > 0) notes.push(`${listed(rest)} beside ${train}: not read; ${called}, and hold class folders`)
  return { ...found, notes, strange: [] }
}

/** Throws an InputError where all folders look like splits although none of them is the one to train on. */
export function checkStrange(dir: string, { strange }: Splits): void {
  if (strange.length > 0)
    throw new InputError(`${dir}: ${listed(strange)} look like splits, but there is no train folder; ${called}`)
}
