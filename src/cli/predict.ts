// vitune predict: labels of image files.
import { Command } from 'commander'
import { isImageName } from '../data/candidates.ts'
import { localFiles } from '../io/local-files.ts'
import { InputError } from '../platform/errors.ts'
import { type ImagePrediction, predict } from '../train/predict.ts'
import { oneLine, percent, plural, table } from './format.ts'
import { addModel, checkModel, type ModelFlags, withModel } from './open.ts'
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

/** Deeper folders are not looked into: links may lead in circles. */
const depthLimit = 16

/** The files, with folders replaced by the images in them, sorted by name. */
export async function expand(paths: readonly string[]): Promise<string[]> {
  const found: string[] = []
  const walk = async (folder: string, depth: number): Promise<void> => {
    const files = localFiles(folder)
    for (const name of await files.list(folder)) {
      if (name.startsWith('.')) continue
      if (!name.endsWith('/')) {
        if (isImageName(name)) found.push(files.join(folder, name))
      } else if (depth < depthLimit) await walk(files.join(folder, name.slice(0, -1)), depth + 1)
    }
  }
  for (const path of paths) {
    const before = found.length
    if ((await localFiles(path).kind(path)) !== 'folder') found.push(path)
    else await walk(path, 1)
    if (found.length === before) throw new InputError(`${path}: has no images in it (jpg, png or webp)`)
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

async function run(paths: string[], flags: Flags): Promise<void> {
  const ui = createUi({ colour: flags.color ?? true })
  const { top = 1, logits = false, strict = false, batchSize } = flags
  if (!(Number.isInteger(top) && top >= 1)) throw new InputError(`--top: must be a whole number from 1, got ${top}`)
  checkModel(flags)
  const files = await expand(paths)
  let skipped = 0
  const { predictions, classes } = await withModel(flags, ui, async ({ opened, task }) => ({
    classes: task.classes,
    predictions: await predict(opened, files, {
      task,
      strict,
      ...(batchSize === undefined ? {} : { batchSize }),
      onBroken(file, reason) {
        skipped++
        ui.note(`${ui.err('yellow', 'skipped')} ${oneLine(file)}: ${oneLine(reason)}`)
      },
      onProgress: (done, total) => ui.progress(() => `predicting ${bar(done / total)} ${done}/${total}`),
    }),
  }))
  ui.clear()
  const ranked = (p: ImagePrediction) => best(p, classes, top)
  if (flags.json) {
    ui.json({
      predictions: predictions.map((p) => ({
        file: p.file,
        label: p.label,
        score: p.score,
        ...(top > 1 ? { top: ranked(p) } : {}),
        ...(logits ? { logits: p.logits } : {}),
      })),
    })
  } else {
    const rows = predictions.map((p) => [
      oneLine(p.file),
      ...ranked(p).flatMap(({ label, score }) => [oneLine(label), percent(score)]),
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
  addModel(command)
    .optionsGroup('Options:')
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
        'vitune predict --model MODEL --adapter ADAPTER --json --logits cat.jpg',
      ),
    )
    .action(run)
}
