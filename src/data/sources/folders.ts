// Class folders, and folders in them: parts of one class (a camera's days, one a patient), or kinds of it (animal/dog), which
// makes a tree of labels.

import { sameText } from '../../labels/same-text.ts'
import { InputError } from '../../platform/errors.ts'
import { listed } from '../../platform/listed.ts'
import { findClasses } from '../class-folders.ts'
import { type PassedOver, passedOverText } from '../passed-over.ts'
import type { Split } from '../split-folders.ts'
import type { WalkedFile } from '../walk.ts'
import { treeOfPaths } from './recognise.ts'
import { isToTrain, type LabelSource, type SourceContext, type SourceItem } from './source.ts'

/** A folder of class folders. */
export interface FolderPart {
  readonly folder: string
  /** Put before names that are told. */
  readonly prefix: string
  readonly split?: Split
}

const layout = 'expected CLASS/*.jpg or train/CLASS/*.jpg (JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF)'
const alsoThere = ([first]: readonly PassedOver[]): string => (first ? `; ${passedOverText(first)}` : '')

/** Names that count or date things: what is in such folders is a part, not a kind. */
const counts = /^([\W_\d]+|[a-z]{1,12}[\W_]*\d+|\d+[\W_]*[a-z]{1,3})$/i

/** The folders below each class, of the images of each; undefined where not all lie in such, or a class has only one. */
export function kindsOf(images: readonly (readonly Pick<WalkedFile, 'folders'>[])[]): string[][] | undefined {
  const all = images.map((list) => [...new Set(list.map(({ folders }) => folders[1]))])
  const whole = images.length > 1 && all.every((names) => names.length > 1 && !names.includes(undefined))
  return whole ? (all as string[][]) : undefined
}

/** Whether folders in class folders are named as kinds are: not counted or dated, nor the same everywhere. */
export function namedAsKinds(kinds: readonly (readonly string[])[]): boolean {
  const names = kinds.flat()
  const same = new Set(kinds.map((list) => [...list].sort().join('\0'))).size === 1
  return !same && names.filter((name) => counts.test(name)).length * 2 < names.length
}

const labelIn = (label: string, { folders }: WalkedFile): string =>
  [label, ...folders.slice(1)].map((name) => sameText(name).trim()).join('/')

/**
 * Class folders, in one folder or several splits. `nested` says whether folders in them are kinds; without it their names
 * tell. Throws an InputError where there are no images to train on.
 */
export async function folderSource(
  root: string,
  parts: readonly FolderPart[],
  { files, over }: SourceContext,
  nested?: boolean,
): Promise<LabelSource> {
  const notes: string[] = []
  const items: SourceItem[] = []
  const within = await files.realPath(root)
  let isTree = nested
  for (const { folder, prefix, split } of parts) {
    const found = await findClasses(files, folder, { within, over, prefix })
    if (found.classes.length === 0) {
      const what =
        split === 'val' || split === 'test' ? 'class folders with images' : `images in class folders, ${layout}`
      throw new InputError(`${folder}: has no ${what}${alsoThere(over.list())}`)
    }
    const kinds = kindsOf(found.images)
    const shown = kinds?.slice(0, 2).map((list, i) => `${found.classes[i]}/${list[0]}`)
    if (isTree === undefined && shown) {
      isTree = namedAsKinds(kinds!)
      notes.push(
        isTree
          ? `${listed(shown)}: folders in folders are taken for kinds of them, a hierarchy; with task multiclass they are parts of one class`
          : `${listed(shown)}: folders in folders are taken for parts of one class; with task hierarchical they are kinds of it`,
      )
    }
    isTree ??= false
    notes.push(...found.notes)
    for (const [i, label] of found.classes.entries()) {
      for (const image of found.images[i]!) {
        const names = [isTree ? labelIn(label, image) : label]
        items.push({ path: image.path, at: image.path, names, ...(split && { split }) })
      }
    }
  }
  const tree = isTree ? treeOfPaths(items.filter(isToTrain).flatMap(({ names }) => names)) : undefined
  const hint = `, ${layout}${alsoThere(over.list())}`
  return { name: parts[0]!.folder, root, items, ...(tree && { tree }), notes, hint }
}
