// What was understood of labelled images: labels with their counts, what cannot be decoded, and what is there twice.
import type { Dataset } from '../data/dataset.ts'
import { eachOf } from '../data/each-of.ts'
import { type LabelledData, openData } from '../data/open-data.ts'
import type { PassedOver } from '../data/passed-over.ts'
import type { TaskName } from '../labels/labels.ts'
import { checkRules } from '../schema/rules.ts'
import { settingRules } from '../settings/schema.ts'
import { pick } from '../settings/settings.ts'
import { createTask } from '../tasks/registry.ts'
import { listedNames } from './image-list.ts'

/** The parts of the data. */
export type Part = 'train' | 'val' | 'test'
const parts = ['train', 'val', 'test'] as const

/** A label, and how many images have it. */
export interface InspectedLabel {
  readonly name: string
  /** The label that it is a kind of. */
  readonly parent: string | undefined
  readonly images: Readonly<Record<Part, number>>
  /** Images of which nobody knows whether they have it. */
  readonly unknown: number
}

/** Images whose files are equal byte by byte. */
export interface Duplicates {
  readonly files: readonly { readonly file: string; readonly part: Part; readonly labels: readonly string[] }[]
  /** In several parts: what is validated or tested on was trained on. */
  readonly across: boolean
  /** With different labels. */
  readonly contradicting: boolean
}

/** What data are. */
export interface Inspection {
  readonly task: TaskName
  /** Why it is taken for that, as the end of a sentence. */
  readonly why: string
  readonly images: Readonly<Record<Part, number>>
  readonly validation: LabelledData['valSource']
  readonly labels: readonly InspectedLabel[]
  /** Labels of which an image has one at most. */
  readonly groups: readonly (readonly string[])[]
  /** Of those labels that images are told apart by, in training: the one with most and the one with fewest images. */
  readonly imbalance: { readonly largest: string; readonly smallest: string; readonly ratio: number }
  /** Images that have no label. */
  readonly unlabelled: readonly string[]
  /** Images that cannot be decoded. */
  readonly broken: readonly { readonly file: string; readonly reason: string }[]
  readonly duplicates: readonly Duplicates[]
  readonly ignored: readonly PassedOver[]
  readonly notes: readonly string[]
}

/** How data are inspected. */
export interface InspectOptions {
  readonly task?: TaskName | undefined
  readonly val?: string | undefined
  readonly format?: string | undefined
  readonly perClass?: number | undefined
  readonly folds?: number | undefined
  readonly fold?: number | undefined
  readonly seed?: number
}

interface Image {
  readonly dataset: Dataset
  readonly index: number
  readonly part: Part
  readonly file: string
}

/** Decodes all images, a few at a time, which also finds their digests; yields how many are done, now and then. */
async function* decodeAll(
  images: readonly Image[],
): AsyncGenerator<{ done: number; total: number }, { file: string; reason: string }[]> {
  const broken: { file: string; reason: string }[] = []
  let done = 0
  let left = false
  let ended = false
  const look = async ({ dataset, index, file }: Image) => {
    if (left) return
    await dataset.image(index).catch((error: Error & { reason?: string }) => {
      broken.push({ file, reason: error.reason ?? error.message })
    })
    done++
  }
  const all = eachOf(images, look, 8).finally(() => {
    ended = true
  })
  try {
    while (!ended) {
      await Promise.race([all, new Promise((resolve) => setTimeout(resolve, 100))])
      if (!ended) yield { done, total: images.length }
    }
  } finally {
    left = true
  }
  await all
  const order = new Map(images.map(({ file }, i) => [file, i]))
  return broken.sort((a, b) => order.get(a.file)! - order.get(b.file)!)
}

function duplicatesOf(images: readonly Image[], names: readonly string[]): Duplicates[] {
  const byDigest = new Map<string, Image[]>()
  for (const image of images) {
    const digest = image.dataset.stored?.digests?.get(image.index)
    if (digest !== undefined) byDigest.set(digest, [...(byDigest.get(digest) ?? []), image])
  }
  return [...byDigest.values()]
    .filter((same) => same.length > 1)
    .map((same) => {
      const files = same.map(({ dataset, index, part, file }) => ({
        file,
        part,
        labels: dataset.labels(index).present.map((label) => names[label]!),
      }))
      return {
        files,
        across: new Set(files.map(({ part }) => part)).size > 1,
        contradicting: new Set(files.map(({ labels }) => labels.join('\0'))).size > 1,
      }
    })
}

const inspectRules = pick(settingRules, 'task', 'val', 'format', 'perClass', 'folds', 'fold', 'seed')

/** Opens labelled images as training would, decodes each of them, and tells what is there. Throws an InputError as openData. */
export async function* inspect(
  path: string,
  options: InspectOptions = {},
): AsyncGenerator<{ done: number; total: number }, Inspection> {
  checkRules(options, inspectRules)
  checkRules({ data: path ?? null }, pick(settingRules, 'data'))
  const { seed, ...others } = options
  const data = await openData(path, { ...others, ...(seed === undefined ? {} : { seed }), cacheBytes: 0 })
  const { labelSpace, root, valRoot } = data
  // Labels that cannot be learnt are refused here as in training.
  createTask(labelSpace)
  const { names, parents } = labelSpace
  const images = parts.flatMap((part): Image[] => {
    const dataset = data[part]
    if (!dataset) return []
    const given = part === 'val' ? valRoot : undefined
    const files = listedNames(dataset, given ?? root, given === undefined ? '' : 'val:')
    return files.map((file, index) => ({ dataset, index, part, file }))
  })
  const broken = yield* decodeAll(images)
  const counts = names.map(() => ({ train: 0, val: 0, test: 0 }))
  const unknown = names.map(() => 0)
  for (const { dataset, index, part } of images) {
    const labels = dataset.labels(index)
    for (const label of labels.present) counts[label]![part]++
    for (const label of labels.unknown ?? []) unknown[label]!++
  }
  // What has kinds has at least as many images as they.
  const ends = names.map((_, i) => i).filter((i) => !parents.includes(i))
  const sorted = ends.sort((a, b) => counts[b]!.train - counts[a]!.train || a - b)
  const [largest, smallest] = [sorted[0]!, sorted.at(-1)!]
  return {
    task: labelSpace.task,
    why: data.recognised,
    images: { train: data.train.length, val: data.val?.length ?? 0, test: data.test?.length ?? 0 },
    validation: data.valSource,
    labels: names.map((name, i) => ({
      name,
      parent: names[parents[i]!],
      images: counts[i]!,
      unknown: unknown[i]!,
    })),
    groups: labelSpace.groups.map((group) => group.map((label) => names[label]!)),
    imbalance: {
      largest: names[largest]!,
      smallest: names[smallest]!,
      ratio: counts[largest]!.train / counts[smallest]!.train,
    },
    unlabelled: images
      .filter(({ dataset, index }) => dataset.labels(index).present.length === 0)
      .map(({ file }) => file),
    broken,
    duplicates: duplicatesOf(images, names),
    ignored: data.ignored,
    notes: data.notes,
  }
}
