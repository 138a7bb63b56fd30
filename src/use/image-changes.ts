// What became of a run's images since its list was written, and where each belongs now: what was trained on is never
// validated on, nor the other way round. Also which images are in both parts, byte for byte.
import type { ImageList, RunImage } from './image-list.ts'

/** Something that is not as it was when the run began, with the names that it concerns. */
export interface Change {
  readonly what: string
  readonly names: readonly string[]
}

/** What a comparison found. */
export interface Comparison {
  readonly changes: readonly Change[]
  /** The images as they are now, each in its part, those to train on first. */
  readonly list: ImageList
  /** Where each of them stands in the list that was compared. */
  readonly order: readonly number[]
  /** Whether the images to validate on are others than before. */
  readonly validation: boolean
}

const sameBytes = (a: RunImage, b: RunImage): boolean =>
  a.size === b.size && (a.digest === undefined || a.digest === b.digest)

/** `1 image was added`, `2 images were added`. */
const counted = (count: number, what: string): string => `${count} ${count === 1 ? 'image was' : 'images were'} ${what}`

/** By digest, those whose digest is known. */
function byDigest(images: readonly RunImage[]): Map<string, RunImage[]> {
  const found = new Map<string, RunImage[]>()
  for (const image of images) {
    if (image.digest === undefined) continue
    const same = found.get(image.digest)
    if (same) same.push(image)
    else found.set(image.digest, [image])
  }
  return found
}

/**
 * Compares the list of a run with the images as they lie in their folders now, all read. Each image stays in its part,
 * wherever it lies and whatever it is called; one with the bytes of a trained image is trained on. Of the new ones those
 * in a validation folder are validated on, all others trained on. New images come last.
 */
export function compareImages(before: ImageList, now: ImageList): Comparison {
  const old = new Map(before.images.map((image) => [image.file, image]))
  const here = new Set(now.images.map(({ file }) => file))
  const gone = byDigest(before.images.filter(({ file }) => !here.has(file)))
  const known = byDigest(before.images)
  const names = { added: [] as string[], removed: [] as string[], renamed: [] as string[], changed: [] as string[] }
  const moved: string[] = []
  const relabelled: string[] = []
  const newFolder = now.validation === 'folder' && before.validation !== 'folder'
  const placed = new Map(before.images.map(({ file }, i) => [file, i]))

  /** The old image that a file under a new name is. */
  const pairs = new Map<string, RunImage>()
  for (const image of now.images) {
    const same = old.has(image.file) || image.digest === undefined ? undefined : gone.get(image.digest)
    // Of several copies the one that was in this class.
    const i = Math.max(0, same?.findIndex((candidate) => candidate.class === image.class) ?? 0)
    const [pair] = same?.splice(i, 1) ?? []
    if (pair) pairs.set(image.file, pair)
  }
  const partOf = (image: RunImage): RunImage['part'] => {
    const same = old.get(image.file)
    if (same && sameBytes(same, image)) return same.part
    const pair = pairs.get(image.file)
    if (pair) return pair.part
    const twins = image.digest === undefined ? [] : (known.get(image.digest) ?? [])
    return (twins.find(({ part }) => part === 'train') ?? twins[0] ?? same ?? image).part
  }

  const rows = now.images.map((image, index) => {
    const same = old.get(image.file)
    const pair = pairs.get(image.file)
    const from = same ?? pair
    if (from && from.class !== image.class) (same ? relabelled : moved).push(image.file)
    else if (pair) names.renamed.push(image.file)
    else if (!same) {
      if (!(newFolder && image.part === 'val')) names.added.push(image.file)
    } else if (!sameBytes(same, image)) names.changed.push(image.file)
    // A new image of a split that was drawn anew has no part of its own yet.
    const fresh: RunImage = now.validation === 'split' ? { ...image, part: 'train' } : image
    return {
      image: { ...image, part: partOf(fresh) },
      index,
      place: placed.get(from?.file ?? '') ?? Number.POSITIVE_INFINITY,
    }
  })
  const paired = new Set([...pairs.values()].map(({ file }) => file))
  const folderGone = before.validation === 'folder' && now.validation !== 'folder'
  for (const image of before.images) {
    if (here.has(image.file) || paired.has(image.file)) continue
    if (!(folderGone && image.part === 'val')) names.removed.push(image.file)
  }

  const changes: Change[] = []
  const count = (list: readonly { part: string }[]) => list.filter(({ part }) => part === 'val').length
  if (folderGone) changes.push({ what: `the validation folder (${count(before.images)} images) is gone`, names: [] })
  if (newFolder) changes.push({ what: `a validation folder (${count(now.images)} images) was added`, names: [] })
  for (const [what, list] of Object.entries(names))
    if (list.length > 0) changes.push({ what: counted(list.length, what), names: list })
  if (relabelled.length > 0) changes.push({ what: counted(relabelled.length, 'labelled otherwise'), names: relabelled })
  if (moved.length > 0) changes.push({ what: counted(moved.length, 'moved to another class'), names: moved })

  rows.sort((a, b) =>
    a.image.part < b.image.part ? -1 : a.image.part > b.image.part ? 1 : a.place - b.place || a.index - b.index,
  )
  const images = rows.map(({ image }) => image)
  const valOf = (list: readonly RunImage[]) =>
    JSON.stringify(list.filter(({ part }) => part === 'val').map(({ class: label, file }) => [label, file]))
  const changed = new Set(names.changed)
  const validation =
    valOf(before.images) !== valOf(images) || images.some(({ part, file }) => part === 'val' && changed.has(file))
  const source = count(images) === 0 ? 'none' : now.validation === 'folder' ? 'folder' : 'split'
  return { changes, list: { validation: source, images }, order: rows.map(({ index }) => index), validation }
}

/** Names in all, in one sentence. */
const mostNames = 5
const shorter = (name: string): string => (name.length <= 40 ? name : `…${name.slice(-39)}`)

function withNames(changes: readonly Change[], most: number): string {
  let left = most
  return changes
    .map(({ what, names }) => {
      const shown = names.slice(0, left)
      left -= shown.length
      if (shown.length === 0) return what
      return `${what} (${shown.map(shorter).join(', ')}${shown.length < names.length ? ', …' : ''})`
    })
    .join(', ')
}

/** The changes in words, with up to five names, fewer where they would take more than so many characters. */
export function describeChanges(changes: readonly Change[], longest = Number.POSITIVE_INFINITY): string {
  for (let most = mostNames; most > 0; most--) {
    const text = withNames(changes, most)
    if (text.length <= longest) return text
  }
  return withNames(changes, 0)
}

/** An image to validate on and one to train on that are the same file, byte for byte. */
export interface SharedImage {
  readonly val: string
  readonly train: string
}

/** Images to validate on whose bytes are trained on too, as far as digests are known. */
export function sharedImages(images: readonly RunImage[]): SharedImage[] {
  const trained = byDigest(images.filter(({ part }) => part === 'train'))
  return images.flatMap(({ part, file, digest }) => {
    const twin = part === 'val' && digest !== undefined ? trained.get(digest)?.[0] : undefined
    return twin ? [{ val: file, train: twin.file }] : []
  })
}
