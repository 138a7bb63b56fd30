// The images that a run begins with, or goes on with: opened, listed, and where it goes on compared with its own list.
import { type Dataset, subset } from '../data/dataset.ts'
import { type LabelledData, openData } from '../data/open-data.ts'
import { localFiles } from '../io/local-files.ts'
import { ChangedError, InputError } from '../platform/errors.ts'
import { defaults } from '../settings/schema.ts'
import type { TrainSettings } from '../settings/settings.ts'
import { type Change, compareImages, describeChanges } from '../use/image-changes.ts'
import {
  divided,
  findDigests,
  type ImageList,
  keepList,
  type ListKeeper,
  listedNames,
  listImages,
  readImageList,
  wholeOf,
} from '../use/image-list.ts'
import { readRun, runLabels } from '../use/run-file.ts'
import { withOldLabels } from './from-run.ts'
import { checkLabels, runFolder } from './run-folder.ts'
import { openRunUnlabelled, type RunUnlabelled } from './run-unlabelled.ts'

/** Before a run goes on its images are read, to see that they are the same; told now and then, where that takes long. */
export interface CheckEvent {
  kind: 'check'
  /** Images read, of how many. */
  done: number
  total: number
}

/** The images of a run, each in its part. */
export interface RunImages {
  readonly folder: LabelledData
  readonly list: ListKeeper
  /** Images without labels to learn from too. */
  readonly unlabelled?: RunUnlabelled
  /** What is not as it was when the run began. */
  readonly changes: readonly Change[]
  /** Whether the images to validate on are others, so that accuracies of before and after do not compare. */
  readonly newValidation: boolean
  /** Whether the run has a saved state: until then nothing that counts was trained on anything. */
  readonly begun: boolean
  readonly notes: readonly string[]
}

async function hasState(out: string): Promise<boolean> {
  const disk = localFiles(out)
  return (await disk.kind(disk.join(out, runFolder.checkpoint))) === 'file'
}

/** Paths that are given anew: their content is compared by others. */
async function movedPlaces(out: string, settings: TrainSettings): Promise<Change[]> {
  const before = (await readRun(out)).settings as TrainSettings
  const places = [
    ['data', 'data folder'],
    ['val', 'validation folder'],
    ['unlabelled', 'folder without labels'],
    ['model', 'model'],
    ['adapter', 'adapter it began with'],
    ['from', 'run that it began with'],
  ] as const
  return places.flatMap(([name, what]) => {
    const [then, now] = [before[name as 'data'], settings[name as 'data']]
    return then === now
      ? []
      : [{ what: `the ${what} is ${now ?? 'the one in the data'} and was ${then ?? 'the one in the data'}`, names: [] }]
  })
}

/**
 * Those images of the data that a run drew: where it trains on a few of each label, one more image in the folder would change
 * which are drawn, and the run goes on with its own. Of a folder to validate on all count.
 */
function drawnBefore(folder: LabelledData, { images }: ImageList): LabelledData {
  const { train, val, root, valRoot, valSource } = folder
  const known = new Set(images.map(({ file }) => file))
  const own = (dataset: Dataset) => {
    const names = listedNames(dataset, root)
    return subset(
      dataset,
      names.map((_, i) => i).filter((i) => known.has(names[i]!)),
    )
  }
  const whole = val && valRoot === undefined && valSource === 'split'
  return { ...folder, train: own(train), ...(whole && { val: own(val) }) }
}

/**
 * Opens and lists the images of a run. Where a run goes on, all of them are read first (they are hashed, at the speed of the
 * disk) and compared with its list, and each stays in the part that it was in. A run without a saved state is begun again
 * with the images as they are.
 */
async function* openLabelled(settings: TrainSettings, resume: boolean): AsyncGenerator<CheckEvent, RunImages> {
  const { data, val, out, task, seed = defaults.seed, format, perClass, folds, fold } = settings
  // A run goes on with its own task, even where what is left of the data would be taken for another.
  const own = resume && out !== undefined ? runLabels(await readRun(out), `${out}/run.json`).space.task : undefined
  const options = { seed, task: task ?? own, val, format, folds, fold }
  const none = { changes: [], newValidation: false, begun: false, notes: [] }
  if (!resume || out === undefined) {
    const folder = await withOldLabels(await openData(data, { ...options, perClass }), settings, resume)
    return { ...none, folder, list: keepList(await listImages(folder), folder, out) }
  }
  const before = await readImageList(out)
  const begun = await hasState(out)
  const asked = before && begun ? options : { ...options, perClass }
  const opened = await withOldLabels(await openData(data, asked), settings, resume)
  const folder = before && begun && perClass !== undefined ? drawnBefore(opened, before) : opened
  await checkLabels(out, folder.train.labelSpace)
  if (before && begun) {
    for await (const progress of findDigests(wholeOf(folder))) yield { kind: 'check', ...progress }
  }
  const now = await listImages(folder)
  const moved = await movedPlaces(out, settings)
  if (!before) {
    const notes = begun
      ? ['the run keeps no list of its images (an earlier version began it): what changed since is not known']
      : []
    return { ...none, changes: moved, begun, notes, folder, list: keepList(now, folder, out) }
  }
  // Of a run that is begun again nothing was read yet: its images are compared by name and size.
  const known = begun ? before : { ...before, images: before.images.map((image) => ({ ...image, digest: undefined })) }
  const { changes, list, order, validation } = compareImages(known, now)
  const all = [...moved, ...changes]
  if (!begun) return { ...none, changes: all, folder, list: keepList(now, folder, out) }
  const counts = { train: list.images.filter(({ part }) => part === 'train').length }
  const parts = divided(folder, list, order)
  if (counts.train === 0) throw new InputError(`resume: no image is left to train on in ${data}; restore the images`)
  return { folder: parts, list: keepList(list, parts, out), changes: all, newValidation: validation, begun, notes: [] }
}

/** Opens and lists all images of a run, those without labels too, and compares them with its lists where it goes on. */
export async function* openRunImages(settings: TrainSettings, resume: boolean): AsyncGenerator<CheckEvent, RunImages> {
  const images = yield* openLabelled(settings, resume)
  if (settings.unlabelled === undefined) return images
  const { changes, notes } = images
  const unlabelled = yield* openRunUnlabelled(settings.unlabelled, images, { out: settings.out, resume })
  const all = { changes: [...changes, ...unlabelled.changes], notes: [...notes, ...unlabelled.notes] }
  return { ...images, ...all, unlabelled }
}

/** Refuses to go on with what is not as it was. */
export function refuseChanges(changes: readonly Change[]): void {
  if (changes.length === 0) return
  const [head, tail] = [
    'resume: since this run began ',
    '; restore that, or go on with --accept-changes (acceptChanges)',
  ]
  throw new ChangedError(`${head}${describeChanges(changes, 300 - head.length - tail.length)}${tail}`)
}
