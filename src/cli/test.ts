// vitune test: accuracy, loss and confusion matrix of a run or a model on a folder of labelled images.
import { Command } from 'commander'
import { type Dataset, joined, subset } from '../data/dataset.ts'
import { batchSource } from '../data/loader.ts'
import { openTestData } from '../data/open-data.ts'
import { evalTransform } from '../data/transforms.ts'
import { localFiles } from '../io/local-files.ts'
import { isOneOfAll, type LabelSpace } from '../labels/labels.ts'
import { InputError, sentence } from '../platform/errors.ts'
import type { TrainSettings } from '../settings/settings.ts'
import type { Task } from '../tasks/task.ts'
import type { BatchSource } from '../train/batch.ts'
import { type Evaluation, evaluate } from '../train/evaluate.ts'
import { seenImages, type Tested, type TestImages, testedOf } from '../use/seen-images.ts'
import { oneLine, percent, plural, table } from './format.ts'
import { labelName, labelRows, labelTable } from './label-table.ts'
import { addModel, addQuantize, type ModelFlags, type Opened, thresholdOption, withModel } from './open.ts'
import { addDevice, addOutput, examples, numberOption } from './options.ts'
import { bar, createUi, type Ui } from './ui.ts'

interface Flags extends ModelFlags {
  data?: string
  format?: string
  all?: boolean
  batchSize?: number
  strict?: boolean
  json?: boolean
  color?: boolean
}

/** Rows are the true classes, columns the predicted ones. */
export function confusionMatrix(predictions: Evaluation['predictions'], classes: readonly string[]): number[][] {
  const index = new Map(classes.map((name, i) => [name, i]))
  const matrix = classes.map(() => classes.map(() => 0))
  for (const { target, label } of predictions) matrix[index.get(target)!]![index.get(label)!]!++
  return matrix
}

/** A wider matrix cannot be read in a terminal; the pairs most often confused are shown then. */
const widest = 12

function confusionText(matrix: readonly number[][], classes: readonly string[]): string {
  if (classes.length <= widest) {
    const right = classes.map((_, i) => i + 1)
    const rows = matrix.map((row, i) => [oneLine(classes[i]!), ...row.map(String)])
    const header = ['true \\ predicted', ...classes.map((name) => oneLine(name).slice(0, 12))]
    return `Confusion matrix\n${table([header, ...rows], right)}`
  }
  const pairs = matrix.flatMap((row, i) => row.map((n, j) => ({ n, i, j }))).filter(({ n, i, j }) => i !== j && n > 0)
  if (pairs.length === 0) return 'No image was taken for another class.'
  const rows = pairs
    .sort((a, b) => b.n - a.n)
    .slice(0, 10)
    .map(({ n, i, j }) => [String(n), oneLine(classes[i]!), 'taken for', oneLine(classes[j]!)])
  return `Most often confused\n${table(rows, [0])}\n(the whole matrix: --json)`
}

/** Images to test on, and whether they are those of the run itself. */
type OwnImages = TestImages & { readonly own: boolean }

/** The images to test on: those of --data, else those of the run itself. */
async function openImages(flags: Flags, run: Opened['run'], labelSpace: LabelSpace, ui: Ui): Promise<OwnImages[]> {
  const { all = false } = flags
  const onNote = (note: string) => ui.note(`note: ${oneLine(note)}`)
  const { data, val, format, folds } = (run?.settings ?? {}) as Partial<TrainSettings>
  const open = async (path: string): Promise<OwnImages> => {
    const place = localFiles(path).resolve(path)
    const isData = place === data
    const pooled = isData && folds !== undefined
    const layout = flags.format ?? (isData ? format : undefined)
    const images = await openTestData(path, { labelSpace, all, onNote, format: layout, pooled })
    return { ...images, val: place === val, own: isData || place === val }
  }
  if (flags.data !== undefined) return [await open(flags.data)]
  if (data === undefined)
    throw new InputError('--data: is needed, a folder with a folder of images for each class, or a file of labels')
  if (val === undefined) return [await open(data)]
  return all ? [await open(data), await open(val)] : [await open(val)]
}

/** What is tested, and what the run has seen of it; undefined where no run is known, or it keeps no list. */
async function choose(flags: Flags, run: Opened['run'], images: readonly OwnImages[], ui: Ui) {
  const folder = flags.run ?? flags.adapter ?? flags.model
  if (folder === undefined || !run) return undefined
  const comparing = seenImages(folder, images)
  let compared = await comparing.next()
  for (; !compared.done; compared = await comparing.next()) {
    const { done, total } = compared.value
    ui.progress(() => `comparing images with the run's ${bar(done / total)} ${done}/${total}`)
  }
  const own = images.every((part) => part.own)
  return compared.value && testedOf(compared.value, { all: flags.all ?? false, own })
}

/** What was tested, in words. */
function testedText(tested: Tested | undefined, images: number): string {
  const all = plural(images, 'image')
  if (!tested)
    return `${all}; which of them were trained on is not known, since the run keeps no list (an earlier version made it)`
  const { part, validatedOn, trainedOn, leftOut } = tested
  if (part === 'held-out') {
    const others = images - validatedOn
    const what = [
      ...(validatedOn > 0 ? [`${plural(validatedOn, 'image')} held out by the run`] : []),
      ...(others > 0 ? [`${plural(others, 'image')} new to it`] : []),
    ]
    return `the ${what.join(' and ')}; ${leftOut} ${leftOut === 1 ? 'was' : 'were'} trained on: --all tests everything`
  }
  const n = trainedOn.length
  if (n === 0)
    return validatedOn > 0 ? `${all}, ${validatedOn} of them held out by the run` : `${all}, none of them trained on`
  const names = trainedOn.slice(0, 3).map(oneLine)
  return `${all}, ${n} of them trained on (${names.join(', ')}${n > names.length ? ', …' : ''}): that flatters the accuracy`
}

/** Images of each class, and how many of them are right. */
function perClass(confusion: readonly number[][], classes: readonly string[]) {
  return classes.map((name, i) => {
    const images = confusion[i]!.reduce((a, b) => a + b, 0)
    const correct = confusion[i]![i]!
    return { class: name, images, correct, accuracy: images > 0 ? correct / images : null }
  })
}

/** Everything, for --json. */
function asJson(result: Evaluation, task: Task, tested: Tested | undefined, skipped: ReadonlyMap<string, string>) {
  const { classes, labels } = task
  const single = isOneOfAll(labels)
  const confusion = single ? confusionMatrix(result.predictions, classes) : undefined
  const { accuracy, ...metrics } = result.metrics
  return {
    task: task.name,
    accuracy,
    loss: result.loss,
    ...metrics,
    images: result.count,
    ...(tested
      ? {
          part: tested.part,
          trained_on: tested.trainedOn.length,
          trained_on_files: tested.trainedOn,
          validated_on: tested.validatedOn,
          left_out: tested.leftOut,
        }
      : { part: 'all' }),
    classes,
    ...(confusion ? { per_class: perClass(confusion, classes), confusion } : {}),
    per_label: result.byLabel,
    skipped: [...skipped].map(([file, reason]) => ({ file, reason })),
    predictions: result.predictions.map(({ name, label, target, score, labels: found, wanted }) => ({
      ...{ file: name, label, target, score },
      ...(single ? {} : { labels: found, targets: wanted }),
    })),
  }
}

/** One class an image: accuracy by class, and what was taken for what. */
function ofOneClass(result: Evaluation, { classes }: Task, notes: string[][], ui: Ui): string {
  const confusion = confusionMatrix(result.predictions, classes)
  const each = perClass(confusion, classes)
  const right = each.reduce((sum, { correct }) => sum + correct, 0)
  const head = table([
    ['accuracy', `${ui.out('bold', percent(result.accuracy))} (${right} of ${plural(result.count, 'image')})`],
    ['loss', result.loss.toFixed(4)],
    ...notes,
  ])
  const { heading, rows } = labelRows(each, (c) => c.accuracy ?? undefined, 'accuracy')
  const lines = rows.map((c) => [
    labelName(c.class),
    c.accuracy === null ? 'no images' : percent(c.accuracy),
    `${c.correct}/${c.images}`,
  ])
  const own = table([['class', 'accuracy', 'right'], ...lines], [1, 2])
  return `${head}\n\n${heading}${own}\n\n${confusionText(confusion, classes)}`
}

/** Any labels an image: every metric, and how each label did. */
function ofLabels({ metrics, loss, count, byLabel }: Evaluation, task: Task, notes: string[][], ui: Ui): string {
  const [first] = Object.keys(task.monitors)
  const head = table([
    ...Object.entries(metrics).map(([name, value]) => [
      name,
      name === first ? ui.out('bold', percent(value)) : percent(value),
    ]),
    ['loss', loss.toFixed(4)],
    ['images', String(count)],
    ...notes,
  ])
  return `${head}\n\n${labelTable(byLabel, task.labels)}`
}

/** What packed weights cost, by what the task is compared by. */
function packedText(quantize: string, packed: Evaluation, whole: Evaluation, task: Task): string {
  const [name] = Object.keys(task.monitors) as [string]
  const [got, before] = [packed.metrics[name]!, whole.metrics[name]!]
  const points = (100 * Math.abs(before - got)).toFixed(1)
  const lost = points === '0.0' ? 'the same' : `${points} points ${got < before ? 'less' : 'more'}`
  return `as ${quantize}: ${lost} ${name} ${points === '0.0' ? 'as' : 'than'} in f32 (${percent(before)})`
}

/** Whether the run was told from which score on a label is there. */
const isGiven = (run: Opened['run']) =>
  typeof (run?.settings as Partial<TrainSettings> | undefined)?.threshold === 'number'

async function run(flags: Flags): Promise<void> {
  const ui = createUi({ colour: flags.color ?? true })
  const { batchSize = 16, strict = false } = flags
  if (!(Number.isInteger(batchSize) && batchSize >= 1)) {
    throw new InputError(`--batch-size: must be a whole number from 1, got ${batchSize}`)
  }
  const skipped = new Map<string, string>()
  const onBroken = (file: string, reason: string) => {
    if (!skipped.has(file)) ui.note(`${ui.err('yellow', 'skipped')} ${sentence(`${file}: ${reason}`)}`)
    skipped.set(file, reason)
  }
  const measure = (opened: Opened['opened'], task: Task, dataset: Dataset, what: string) => {
    const source = batchSource(dataset, {
      transform: evalTransform(opened.preprocess),
      targets: task.targets,
      batchSize,
      onBroken,
      strict,
    })
    const shown: BatchSource = {
      batches: source.batches,
      async *epoch(epoch, first) {
        let done = first
        for await (const batch of source.epoch(epoch, first)) {
          yield batch
          done++
          ui.progress(() => `${what} ${bar(done / source.batches)} ${done}/${source.batches} batches`)
        }
      },
    }
    return evaluate(opened.model, task, shown)
  }
  const { quantize = 'none' } = flags
  const { result, task, about, tested, chosen, dataset } = await withModel(flags, ui, async ({ opened, task, run }) => {
    const images = await openImages(flags, run, task.labels, ui)
    const whole = joined(images.map(({ dataset }) => dataset))
    const tested = await choose(flags, run, images, ui)
    ui.clear()
    const dataset = tested ? subset(whole, tested.indices) : whole
    const result = await measure(opened, task, dataset, 'testing')
    const tuned = flags.threshold === undefined && opened.labels?.thresholds !== undefined && !isGiven(run)
    const chosen = tuned ? 'the best epoch and the thresholds' : 'the best epoch'
    return { result, task, about: run && testedText(tested, dataset.length), tested, chosen, dataset }
  })
  // What packing costs is told on the same images.
  const whole =
    quantize === 'none'
      ? undefined
      : await withModel({ ...flags, quantize: 'none' }, { ...ui, note() {} }, ({ opened, task }) =>
          measure(opened, task, dataset, 'testing in f32'),
        )
  ui.clear()
  if (flags.json) {
    const f32 = whole && { f32: { accuracy: whole.accuracy, loss: whole.loss, ...whole.metrics } }
    ui.json({ ...asJson(result, task, tested, skipped), ...(whole ? { quantize, ...f32 } : {}) })
  } else {
    const notes = [
      ...(whole === undefined ? [] : [['packed', packedText(quantize, result, whole, task)]]),
      ...(about === undefined ? [] : [['tested', about]]),
      ...(tested && tested.validatedOn > 0
        ? [['note', `the held out images also chose ${chosen}: expect a little less on new ones`]]
        : []),
    ]
    ui.result((isOneOfAll(task.labels) ? ofOneClass : ofLabels)(result, task, notes, ui))
  }
  if (skipped.size > 0) ui.note(`skipped ${plural(skipped.size, 'image')} that could not be read`)
}

/** The verb. */
export function testCommand(): Command {
  const command = new Command('test').description(
    'measure a run, or a model, on labelled images; of its own data a run is tested on what it held out',
  )
  addQuantize(addModel(command))
    .optionsGroup('Options:')
    .option(
      '--data <path>',
      'images: CLASS/*.jpg, or with train/ beside test/ (or val/), which is used then (default: those of --run)',
    )
    .option('--format <name>', 'layout of --data where that is a published data set (default: recognised)')
    .option('--all', 'test on every image, also on those that were trained on')
    .addOption(thresholdOption())
    .addOption(numberOption('--batch-size <n>', 'images computed at once (default: 16)'))
    .option('--strict', 'end at the first broken image with code 2 instead of skipping it')
  addDevice(command)
  addOutput(command, 'print everything as JSON, with the confusion matrix and each prediction')
  return command
    .addHelpText(
      'after',
      examples(
        'vitune test --run RUN',
        'vitune test --run RUN --data IMAGES --json',
        'vitune test --run RUN --all',
        'vitune test --run RUN --quantize int8',
        'vitune test --model MODEL --adapter ADAPTER --data IMAGES',
      ),
    )
    .action(run)
}
