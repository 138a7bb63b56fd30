// vitune predict: labels of image files.
import { Command } from 'commander'
import { candidates, headOf, tellRest } from '../data/candidates.ts'
import { collector, passedOverText } from '../data/passed-over.ts'
import { placeOf, walk } from '../data/walk.ts'
import { localFiles } from '../io/local-files.ts'
import { isOneOfAll } from '../labels/labels.ts'
import { InputError, sentence } from '../platform/errors.ts'
import { type ImagePrediction, predict } from '../use/predict.ts'
import { oneLine, percent, plural, table } from './format.ts'
import { addModel, addQuantize, checkModel, type ModelFlags, thresholdOption, withModel } from './open.ts'
import { addDevice, addOutput, examples, numberOption } from './options.ts'
import { bar, createUi } from './ui.ts'

interface Flags extends ModelFlags {
  logits?: boolean
  top?: number
  batchSize?: number
  strict?: boolean
  json?: boolean
  color?: boolean
}

/** The files, with folders replaced by the images below them, sorted by name; `onNote` is told what is passed over there. */
async function expand(paths: readonly string[], onNote: (note: string) => void): Promise<string[]> {
  const found: string[] = []
  for (const path of paths) {
    const files = localFiles(path)
    if ((await files.kind(path)) !== 'folder') {
      found.push(path)
      continue
    }
    const over = collector()
    const all = await walk(files, path, { within: await files.realPath(path), over })
    const inside = await candidates(all, (file) => headOf(files, file.path))
    tellRest(inside, over, placeOf)
    const told = over.list().map(passedOverText)
    if (inside.images.length === 0) {
      throw new InputError(`${path}: has no images in it that can be read${told[0] ? `; ${told.at(-1)}` : ''}`)
    }
    for (const note of told) onNote(note)
    found.push(...inside.images.map((file) => file.path))
  }
  return found
}

/** The `n` best labels with their scores, best first. */
function best(prediction: ImagePrediction, classes: readonly string[], n: number): { label: string; score: number }[] {
  return prediction.scores
    .map((score, i) => ({ label: classes[i]!, score }))
    .sort((a, b) => b.score - a.score)
    .slice(0, n)
}

/** So many labels of an image are shown; --json has all. */
const most = 10

/** Labels that are there, each with its score: in a tree from the root down, else the surest first. */
function labelsText(found: readonly { label: string; score: number }[], isTree: boolean): string {
  if (found.length === 0) return 'no label'
  const sorted = isTree ? found : found.toSorted((a, b) => b.score - a.score)
  const shown = sorted.slice(0, most).map(({ label, score }) => `${oneLine(label)} ${percent(score)}`)
  const more = found.length - shown.length
  return `${shown.join(', ')}${more > 0 ? ` and ${more} more (all: --json)` : ''}`
}

async function run(paths: string[], flags: Flags): Promise<void> {
  const ui = createUi({ colour: flags.color ?? true })
  const { top = 1, logits = false, strict = false, batchSize } = flags
  if (!(Number.isInteger(top) && top >= 1)) throw new InputError(`--top: must be a whole number from 1, got ${top}`)
  checkModel(flags)
  const files = await expand(paths, (note) => ui.note(oneLine(note)))
  let skipped = 0
  const { predictions, classes, single, isTree } = await withModel(flags, ui, async ({ opened, task }) => ({
    classes: task.classes,
    single: isOneOfAll(task.labels),
    isTree: task.labels.parents.some((parent) => parent >= 0),
    predictions: await predict(opened, files, {
      task,
      strict,
      ...(batchSize === undefined ? {} : { batchSize }),
      onBroken(file, reason) {
        skipped++
        ui.note(`${ui.err('yellow', 'skipped')} ${sentence(`${file}: ${reason}`)}`)
      },
      onProgress: (done, total) => ui.progress(() => `predicting ${bar(done / total)} ${done}/${total}`),
    }),
  }))
  ui.clear()
  const ranked = (p: ImagePrediction) => best(p, classes, top)
  const found = (p: ImagePrediction) => p.labels.map((label) => ({ label, score: p.scores[classes.indexOf(label)]! }))
  if (flags.json) {
    ui.json({
      predictions: predictions.map((p) => ({
        file: p.file,
        label: p.label,
        score: p.score,
        ...(single ? {} : { labels: found(p) }),
        ...(top > 1 ? { top: ranked(p) } : {}),
        ...(logits ? { logits: p.logits } : {}),
      })),
    })
  } else {
    const rows = predictions.map((p) => [
      oneLine(p.file),
      ...(single || top > 1
        ? ranked(p).flatMap(({ label, score }) => [oneLine(label), percent(score)])
        : [labelsText(found(p), isTree)]),
      ...(logits ? [p.logits.map((z) => z.toFixed(4)).join(' ')] : []),
    ])
    ui.result(table(rows))
  }
  if (skipped > 0) ui.note(`skipped ${plural(skipped, 'file')} of ${files.length} that could not be read`)
}

/** The verb. */
export function predictCommand(): Command {
  const command = new Command('predict')
    .description('predict the classes of image files')
    .argument('<files...>', 'images, and folders whose images are taken')
  addQuantize(addModel(command))
    .optionsGroup('Options:')
    .addOption(thresholdOption())
    .option('--logits', 'also print the raw outputs, in the order of the classes')
    .addOption(numberOption('--top <n>', 'print the n best classes (default: 1)'))
    .addOption(numberOption('--batch-size <n>', 'images computed at once (default: 16)'))
    .option('--strict', 'end at the first broken image with code 2 instead of skipping it')
  addDevice(command)
  addOutput(command, 'print {"predictions": [{"file", "label", "score"}]}')
  return command
    .addHelpText(
      'after',
      examples(
        'vitune predict --run RUN cat.jpg dog.jpg',
        'vitune predict --run RUN --top 3 photos/',
        'vitune predict --run RUN --quantize int8 photos/',
        'vitune predict --model MODEL --adapter ADAPTER --json --logits cat.jpg',
      ),
    )
    .action(run)
}
