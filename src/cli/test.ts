// vitune test: accuracy, loss and confusion matrix of a run on a folder of labelled images.
import { Command } from 'commander'
import { openTestFolder } from '../data/image-folder.ts'
import { batchSource } from '../data/loader.ts'
import { evalTransform } from '../data/transforms.ts'
import { InputError } from '../platform/errors.ts'
import { type BatchSource, type Evaluation, evaluate } from '../train/evaluate.ts'
import { oneLine, percent, plural, table } from './format.ts'
import { type ModelFlags, withModel } from './open.ts'
import { addDevice, addOutput, examples, numberOption } from './options.ts'
import { bar, createUi } from './ui.ts'

interface Flags extends Omit<ModelFlags, 'model' | 'adapter'> {
  run: string
  data: string
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

async function run(flags: Flags): Promise<void> {
  const ui = createUi({ colour: flags.color ?? true })
  const { data, batchSize = 16, strict = false } = flags
  if (!(Number.isInteger(batchSize) && batchSize >= 1)) {
    throw new InputError(`--batch-size: must be a whole number from 1, got ${batchSize}`)
  }
  const skipped = new Map<string, string>()
  const { result, classes } = await withModel(flags, ui, async ({ opened, task }) => {
    const dataset = await openTestFolder(data, { classes: task.classes })
    const onBroken = (file: string, reason: string) => {
      skipped.set(file, reason)
      ui.note(`${ui.err('yellow', 'skipped')} ${oneLine(file)}: ${oneLine(reason)}`)
    }
    const source = batchSource(dataset, { transform: evalTransform(opened.preprocess), batchSize, onBroken, strict })
    const shown: BatchSource = {
      batches: source.batches,
      async *epoch(epoch, first) {
        let done = first
        for await (const batch of source.epoch(epoch, first)) {
          yield batch
          done++
          ui.progress(() => `testing ${bar(done / source.batches)} ${done}/${source.batches} batches`)
        }
      },
    }
    return { result: await evaluate(opened.model, task, shown), classes: task.classes }
  })
  ui.clear()
  const confusion = confusionMatrix(result.predictions, classes)
  const perClass = classes.map((name, i) => {
    const images = confusion[i]!.reduce((a, b) => a + b, 0)
    const correct = confusion[i]![i]!
    return { class: name, images, correct, accuracy: images > 0 ? correct / images : null }
  })
  if (flags.json) {
    ui.json({
      accuracy: result.accuracy,
      loss: result.loss,
      images: result.images,
      classes,
      per_class: perClass,
      confusion,
      skipped: [...skipped].map(([file, reason]) => ({ file, reason })),
      predictions: result.predictions,
    })
  } else {
    const right = perClass.reduce((sum, { correct }) => sum + correct, 0)
    ui.result(
      table([
        ['accuracy', `${ui.out('bold', percent(result.accuracy))} (${right} of ${plural(result.images, 'image')})`],
        ['loss', result.loss.toFixed(4)],
      ]),
    )
    const rows = perClass.map((c) => [
      oneLine(c.class),
      c.accuracy === null ? 'no images' : percent(c.accuracy),
      `${c.correct}/${c.images}`,
    ])
    ui.result(`\n${table([['class', 'accuracy', 'right'], ...rows], [1, 2])}`)
    ui.result(`\n${confusionText(confusion, classes)}`)
  }
  if (skipped.size > 0) ui.note(`skipped ${plural(skipped.size, 'image')} that could not be read`)
}

/** The verb. */
export function testCommand(): Command {
  const command = new Command('test')
    .description('measure a trained run on labelled images')
    .requiredOption('--run <dir>', 'a folder that vitune train wrote')
    .requiredOption('--data <dir>', 'images: CLASS/*.jpg, or with train/ beside test/ (or val/), which is used then')
    .addOption(numberOption('--batch-size <n>', 'images computed at once (default: 16)'))
    .option('--strict', 'end at the first broken image with code 2 instead of skipping it')
  addDevice(command)
  addOutput(command, 'print everything as JSON, with the confusion matrix and each prediction')
  return command
    .addHelpText('after', examples('vitune test --run RUN --data IMAGES', 'vitune test --run RUN --data IMAGES --json'))
    .action(run)
}
