// Opens what a user brings (sources/find.ts says what that may be): images in parts to train, validate and test on, with
// labels of one space. Nothing is decoded here.
import { platform } from '#platform'
import { type ImageLabels, isOneOfAll, type LabelSpace, type TaskName } from '../labels/labels.ts'
import { sameText } from '../labels/same-text.ts'
import { InputError } from '../platform/errors.ts'
import { listed } from '../platform/listed.ts'
import type { Files } from '../platform/platform.ts'
import { type Dataset, fileDataset, subset } from './dataset.ts'
import { type ImageGroups, stratifiedSplit } from './divide.ts'
import { acrossNotes, checkDivision, drawn, inFolds, labelsOf } from './parts.ts'
import { type Collector, collector, type PassedOver, passedOverText } from './passed-over.ts'
import { findSource } from './sources/find.ts'
import type { FolderPart } from './sources/folders.ts'
import { imageLabels, placesOf, recognise } from './sources/recognise.ts'
import { isToTrain, type LabelSource, type SourceItem } from './sources/source.ts'
import { checkStrange, findSplits, onlySplit, type Split } from './split-folders.ts'

/** How data are opened. */
export interface DataOptions {
  /** What is to be learnt; default what the labels say. */
  readonly task?: TaskName | undefined
  /** Labelled images to validate on, instead of those of a split. */
  readonly val?: string | undefined
  /** Governs the split; default 0. */
  readonly seed?: number
  /** Part of each label set aside where there is nothing to validate on, default 0.2; 0 for none. */
  readonly valFraction?: number
  /** The layout of a published set, by its name; default what the files show. */
  readonly format?: string | undefined
  /** So many images of each label to train on, drawn by the seed from those that are not validated on; default all. */
  readonly perClass?: number | undefined
  /** Folds that the images to train and validate on are divided into by the seed, each label alike. */
  readonly folds?: number | undefined
  /** The one that is validated on, from 0; default 0. */
  readonly fold?: number | undefined
  /** Bytes of decoded images each dataset keeps, default 256 MB. */
  readonly cacheBytes?: number
}

/** What was brought. */
export interface LabelledData {
  readonly labelSpace: LabelSpace
  /** Names of the labels. */
  readonly classes: readonly string[]
  /** Why it is taken for what it is, as the end of a sentence: 'each image has one label'. */
  readonly recognised: string
  readonly train: Dataset
  readonly val: Dataset | undefined
  readonly test: Dataset | undefined
  /** Where `val` comes from: what was brought, or a part (a fold) set aside here. */
  readonly valSource: 'folder' | 'split' | 'none'
  /** The folder that all images of the data lie in, and that of `val` where that was given beside it. */
  readonly root: string
  readonly valRoot: string | undefined
  /** Files and folders that were passed over, by kind and name: hidden, of another kind, links that leave the folder. */
  readonly ignored: readonly PassedOver[]
  /** What was taken for a split, what is not read beside it, and names that were joined. */
  readonly notes: readonly string[]
}

function localFiles(path: string): Files {
  if (typeof path !== 'string') throw new InputError(`data: must be a path, got ${JSON.stringify(path)?.slice(0, 60)}`)
  if (platform.files) return platform.files
  throw new InputError(`${path}: folders cannot be read in a browser; use memoryDataset`)
}

/** Splits among the folders of `dir`, the one to train on first; without one the folder itself. */
async function partsToTrain(files: Files, dir: string, over: Collector, given: string | undefined) {
  const splits = await findSplits(files, dir, { within: await files.realPath(dir), over })
  const train = onlySplit(dir, 'train', splits)
  checkStrange(dir, splits)
  const at = (split: Split): FolderPart[] => {
    const name = onlySplit(dir, split, splits)
    return name === undefined ? [] : [{ folder: files.join(dir, name), prefix: `${name}/`, split }]
  }
  if (train === undefined) return { parts: [{ folder: dir, prefix: '' }], notes: splits.notes }
  if (given === undefined) return { parts: [...at('train'), ...at('val'), ...at('test')], notes: splits.notes }
  const unread = splits.val.length > 0 ? [notRead(listed(splits.val))] : []
  return { parts: [...at('train'), ...at('test')], notes: [...splits.notes, ...unread] }
}

const notRead = (what: string) => `${what} in the data is not read, since another folder is given to validate on`

/** The folders of `dir` to test on: test, else val, else the classes in it; with `all` everything. */
async function partsToTest(files: Files, dir: string, over: Collector, options: TestDataOptions) {
  const { all = false, pooled = false, labelSpace } = options
  const splits = await findSplits(files, dir, { within: await files.realPath(dir), over })
  const [train, val, test] = (['train', 'val', 'test'] as const).map((split) => onlySplit(dir, split, splits))
  const every = all || (pooled && train !== undefined && test === undefined)
  let parts = every ? [train, val, test].filter((part) => part !== undefined) : [test ?? val]
  if (train === undefined) {
    // Then they may be classes.
    const own = new Set(labelSpace.names.map(sameText))
    if (parts.every((part) => part !== undefined && own.has(sameText(part)))) parts = [undefined]
  } else if (!every && parts[0] === undefined) throw noTest(dir, 'folder')
  return {
    parts: parts.map((part) =>
      part === undefined ? { folder: dir, prefix: '' } : { folder: files.join(dir, part), prefix: `${part}/` },
    ),
    notes: parts.flatMap((part) => (part === undefined ? [] : [`tests on ${part} in ${dir}`])),
  }
}

const noTest = (path: string, what: string): InputError =>
  new InputError(`${path}: has a train ${what} but no test or val ${what} to test on; test it with all, or another`)

/** Throws an InputError on labels that are not trained on; says which are only stored in other bytes. */
function checkKnown(items: readonly SourceItem[], { names }: LabelSpace): string[] {
  const exact = new Set(names)
  const known = new Set(names.map(sameText))
  const strays = new Map<string, string>()
  const twins = new Map<string, string>()
  for (const item of items) {
    for (const name of item.names) {
      if (!known.has(sameText(name))) strays.set(name, strays.get(name) ?? item.at)
      else if (!exact.has(name)) twins.set(name, twins.get(name) ?? item.at)
    }
  }
  const [[, at] = []] = strays
  if (at !== undefined) {
    const unknown = [...strays.keys()]
    const other = names.find((name) => unknown.some((stray) => stray.toLowerCase() === name.toLowerCase()))
    const hint = other === undefined ? '' : `; "${other}" has other upper and lower case`
    throw new InputError(`${at}: its labels must be among those trained on, got also ${listed(unknown)}${hint}`)
  }
  const [[, first] = []] = twins
  if (first === undefined) return []
  return [`${first}: ${listed([...twins.keys()])} is spelled in other bytes than the class of the same name`]
}

/** Labels of which a source with a column for each says nothing: nobody looked for them there. */
function unsaidIn({ declared }: LabelSource, { names, groups }: LabelSpace): readonly string[] {
  if (declared === undefined || groups.length > 0) return []
  const said = new Set(declared.map(sameText))
  return names.filter((name) => !said.has(sameText(name)))
}

function unsaidNotes(source: LabelSource, labelSpace: LabelSpace): string[] {
  const unsaid = unsaidIn(source, labelSpace)
  return unsaid.length > 0 ? [`${source.name}: says nothing of ${listed(unsaid)}, unknown in all its images`] : []
}

/** Throws an InputError on images that say nothing: none has a label, and none is known to lack one. */
function checkSaysSomething({ groups, names }: LabelSpace, dataset: Dataset, name: string, what: string): void {
  const grouped = new Set(groups.flat())
  const single = names.map((_, label) => label).filter((label) => !grouped.has(label))
  for (let i = 0; i < dataset.length; i++) {
    const { present, unknown = [] } = dataset.labels(i)
    if (present.length > 0 || single.some((label) => !unknown.includes(label))) return
  }
  throw new InputError(`${name}: must have a label that is known in an image to ${what} on, got none`)
}

/** The images with their labels in a space. */
function datasetOf(
  items: readonly SourceItem[],
  source: LabelSource,
  labelSpace: LabelSpace,
  { over, cacheBytes }: { over: Collector; cacheBytes: number | undefined },
): { dataset: Dataset; groups: ImageGroups } | undefined {
  // A list of all images may hold some that nobody has labelled yet.
  const pass = isOneOfAll(labelSpace) && source.tree !== undefined
  const places = placesOf(labelSpace)
  const unsaid = unsaidIn(source, labelSpace)
  const files: string[] = []
  const labels: ImageLabels[] = []
  const groups: (string | undefined)[] = []
  for (const item of items) {
    if (pass && item.names.length === 0) over.add('images without a label', item.path)
    else {
      files.push(item.path)
      groups.push(item.group)
      const unknown = unsaid.length > 0 ? [...(item.unknown ?? []), ...unsaid] : item.unknown
      labels.push(imageLabels(labelSpace, places, unknown ? { ...item, unknown } : item))
    }
  }
  if (files.length === 0) return undefined
  const { names: classes } = labelSpace
  const keeping = cacheBytes === undefined ? {} : { cacheBytes }
  return { dataset: fileDataset({ files, labels, classes, labelSpace, ...keeping }), groups }
}

/**
 * Opens labelled images to train on: a folder, or a file of labels. Throws an InputError when nothing is there, where the
 * labels contradict what is to be learnt, and on a label to validate or test on that is not trained on.
 */
export async function openData(path: string, options: DataOptions = {}): Promise<LabelledData> {
  const files = localFiles(path)
  const { task, val: given, seed = 0, valFraction = 0.2, cacheBytes, format, perClass, folds, fold = 0 } = options
  if (!(valFraction >= 0 && valFraction < 1)) {
    throw new InputError(`validation part: must be from 0 to below 1, got ${valFraction}`)
  }
  checkDivision(options)
  const over = collector()
  const keeping = { over, cacheBytes }
  const notes: string[] = []
  const source = await findSource(
    path,
    { files, over },
    { task, format, parts: (dir) => partsToTrain(files, dir, over, given) },
  )
  const { items, root } = source
  const { space: labelSpace, why } = recognise(source, task)
  notes.push(...source.notes)
  const part = (split: Split): Dataset | undefined => {
    const own = items.filter((item) => item.split === split)
    notes.push(...checkKnown(own, labelSpace))
    return datasetOf(own, source, labelSpace, keeping)?.dataset
  }
  // Folds are drawn of all that is not to be tested on.
  const pooled = folds === undefined ? [] : items.filter(({ split }) => split === 'val')
  if (pooled.length > 0) {
    notes.push(...checkKnown(pooled, labelSpace), 'the val split is divided into folds together with train')
  }
  const all = datasetOf([...items.filter(isToTrain), ...pooled], source, labelSpace, keeping)
  if (!all) throw new InputError(`${source.name}: must have labelled images to train on, got none`)
  checkSaysSomething(labelSpace, all.dataset, source.name, 'train')
  let val: Dataset | undefined
  let valRoot: string | undefined
  if (given === undefined) val = folds === undefined ? part('val') : undefined
  else {
    if (items.some(({ split }) => split === 'val')) notes.push(notRead('the val split'))
    const parts = async (folder: string) => {
      return { parts: [{ folder, prefix: `${given}/`, split: 'val' as const }], notes: [] }
    }
    const other = await findSource(given, { files, over, beside: true }, { task: labelSpace.task, parts })
    notes.push(...other.notes, ...checkKnown(other.items, labelSpace), ...unsaidNotes(other, labelSpace))
    val = datasetOf(other.items, other, labelSpace, keeping)?.dataset
    valRoot = other.root
    if (!val) throw new InputError(`${given}: must have labelled images to validate on, got none`)
    checkSaysSomething(labelSpace, val, given, 'validate')
  }
  const test = part('test')
  notes.push(...acrossNotes(items))
  let train = all.dataset
  let valSource: LabelledData['valSource'] = val ? 'folder' : 'none'
  if (folds !== undefined) {
    const divided = inFolds(train, all.groups, path, { folds, fold, seed })
    notes.push(...divided.notes)
    train = divided.train
    val = divided.val
    valSource = 'split'
  } else if (!val && valFraction > 0) {
    const halves = stratifiedSplit(labelsOf(train), valFraction, seed, all.groups)
    if (halves.val.length === 0) {
      throw new InputError(
        `${path}: no class has two images, so none can be set aside to validate on; give a val folder`,
      )
    }
    val = subset(train, halves.val)
    train = subset(train, halves.train)
    valSource = 'split'
  }
  if (perClass !== undefined) {
    const few = drawn(train, perClass, seed)
    notes.push(...few.notes)
    train = few.train
  }
  return {
    labelSpace,
    classes: labelSpace.names,
    recognised: why,
    train,
    val,
    test,
    valSource,
    root,
    valRoot,
    ignored: over.list(),
    notes,
  }
}

/** How data to test on are opened. */
export interface TestDataOptions {
  /** The model's own. */
  readonly labelSpace: LabelSpace
  /** The layout of a published set, by its name; default what the files show. */
  readonly format?: string | undefined
  readonly cacheBytes?: number
  /** Everything that is there. */
  readonly all?: boolean
  /** Whether train and val were divided into folds together: without a test split both are meant then. */
  readonly pooled?: boolean
  /** Told what was taken for a split, what is not read and what was passed over, in sentences. */
  readonly onNote?: (note: string) => void
}

/** What is to be tested on. */
export interface TestData {
  readonly dataset: Dataset
  /** The folder that all images lie in. */
  readonly root: string
}

/**
 * Opens labelled images to test a trained model on: those of the test split, else of the validation split, else all; with
 * `all` everything, also what is there to train on. Throws an InputError on any label that is not the model's.
 */
export async function openTestData(path: string, options: TestDataOptions): Promise<TestData> {
  const files = localFiles(path)
  const { labelSpace, cacheBytes, onNote, format, all = false, pooled = false } = options
  const over = collector()
  const parts = (dir: string) => partsToTest(files, dir, over, options)
  const source = await findSource(path, { files, over }, { task: labelSpace.task, format, parts })
  const has = (split: Split) => source.items.some((item) => item.split === split)
  const split = has('test') ? 'test' : has('val') && !pooled ? 'val' : undefined
  if (!all && !pooled && split === undefined && has('train')) throw noTest(path, 'split')
  const items = all || split === undefined ? source.items : source.items.filter((item) => item.split === split)
  const notes = [
    ...(split !== undefined && !all ? [`tests on ${split} in ${path}`] : []),
    ...source.notes,
    ...checkKnown(items, labelSpace),
    ...unsaidNotes(source, labelSpace),
  ]
  const dataset = datasetOf(items, source, labelSpace, { over, cacheBytes })?.dataset
  if (!dataset) throw new InputError(`${path}: must have labelled images to test on, got none`)
  checkSaysSomething(labelSpace, dataset, path, 'test')
  for (const note of [...notes, ...over.list().map(passedOverText)]) onNote?.(note)
  return { dataset, root: source.root }
}
