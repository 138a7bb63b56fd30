// The images without labels that a run learns from too: opened, listed, compared with its own list where it goes on, and with the
// images that are trained and validated on.
import { type Dataset, subset } from '../data/dataset.ts'
import type { LabelledData } from '../data/open-data.ts'
import { openUnlabelled, type UnlabelledData } from '../data/unlabelled.ts'
import { listed } from '../platform/listed.ts'
import { type Change, compareImages } from '../use/image-changes.ts'
import {
  findDigests,
  keepList,
  type Listed,
  type ListKeeper,
  listedNames,
  listImages,
  readImageList,
  sizesOf,
  unlabelledFile,
  wholeOf,
} from '../use/image-list.ts'

/** Images without labels of a run. */
export interface RunUnlabelled extends Pick<UnlabelledData, 'dataset' | 'ignored'> {
  readonly list: ListKeeper
  /** What is not as it was when the run began. */
  readonly changes: readonly Change[]
  readonly notes: readonly string[]
}

/** How the images are listed: as a data set to train on, without classes. */
const asListed = ({ root }: UnlabelledData, train: Dataset): Listed => ({
  root,
  train,
  val: undefined,
  valSource: 'none',
  valRoot: undefined,
})

/** What changed, told of these images. */
const toldOf = (changes: readonly Change[]): Change[] =>
  changes.map(({ what, names }) => ({ what: what.replace(/\bimages?\b/, '$& without labels'), names }))

/**
 * Opens the folder of a run beside its labelled images. Where it goes on, images keep the order of its list, in which they come round;
 * new ones come last. Throws an InputError where there are none.
 */
export async function* openRunUnlabelled(
  folder: string,
  { folder: labelled, begun }: { readonly folder: LabelledData; readonly begun: boolean },
  { out, resume }: { readonly out: string | undefined; readonly resume: boolean },
): AsyncGenerator<{ kind: 'check'; done: number; total: number }, RunUnlabelled> {
  const opened = await openUnlabelled(folder)
  const { dataset, ignored } = opened
  const notes = await sharedNotes(labelled, opened)
  const before = resume && out !== undefined ? await readImageList(out, unlabelledFile) : undefined
  if (!before || !begun) {
    const all = asListed(opened, dataset)
    const now = await listImages(all)
    // A run that is begun again has read nothing yet.
    const known = before?.images.map((image) => ({ ...image, digest: undefined }))
    const changes = known ? compareImages({ ...before!, images: known }, now).changes : []
    return { dataset, ignored, notes, changes: toldOf(changes), list: keepList(now, all, out, unlabelledFile) }
  }
  // What was never read is compared by name and size.
  const read = new Set(before.images.flatMap(({ file, digest }) => (digest === undefined ? [] : [file])))
  const which = listedNames(dataset, folder).flatMap((name, i) => (read.has(name) ? [i] : []))
  for await (const progress of findDigests(dataset, which)) yield { kind: 'check', ...progress }
  const { changes, list, order } = compareImages(before, await listImages(asListed(opened, dataset)))
  const ordered = subset(dataset, order)
  return {
    dataset: ordered,
    ignored,
    notes,
    changes: toldOf(changes),
    list: keepList(list, asListed(opened, ordered), out, unlabelledFile),
  }
}

/** Which images are among the unlabelled ones too, byte for byte. Only files of a size that both have are read. */
async function sharedNotes(labelled: LabelledData, { dataset }: UnlabelledData): Promise<string[]> {
  const whole = wholeOf(labelled)
  const [sizes, others] = [await sizesOf(whole), await sizesOf(dataset)]
  const sameSize = (all: readonly number[], known: ReadonlySet<number>) =>
    all.flatMap((size, i) => (known.has(size) ? [i] : []))
  const [twins, candidates] = [sameSize(sizes, new Set(others)), sameSize(others, new Set(sizes))]
  for (const [images, which] of [
    [whole, twins],
    [dataset, candidates],
  ] as const) {
    for await (const _ of findDigests(images, which)) {
    }
  }
  const digestsOf = (images: Dataset, i: number) => images.stored?.digests?.get(i)
  const digests = new Set(candidates.map((i) => digestsOf(dataset, i)))
  const shared = twins.filter((i) => digestsOf(whole, i) !== undefined && digests.has(digestsOf(whole, i)))
  const told = (part: readonly number[], what: string, more: string) => {
    const are = part.length === 1 ? `image to ${what} is` : `images to ${what} are`
    const names = listed(
      part.map((i) => whole.file(i)),
      3,
    )
    return part.length === 0 ? [] : [`${part.length} ${are} among those without labels, byte for byte${more}: ${names}`]
  }
  return [
    ...told(
      shared.filter((i) => i >= labelled.train.length),
      'validate on',
      ', which flatters the accuracy',
    ),
    ...told(
      shared.filter((i) => i < labelled.train.length),
      'train on',
      '',
    ),
  ]
}
