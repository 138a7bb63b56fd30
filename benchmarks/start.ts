// `npm start`: fine-tunes the small model in vit-cifar100/ five ways on the images in data/, one set for each task, shows a
// table and writes a report. Bundled into dist/start.js; needs a clone, no network.
import { existsSync } from 'node:fs'
import { mkdir, readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { Command, CommanderError } from 'commander'
import { duration, plural, quoted } from '../src/cli/format.ts'
import { createUi } from '../src/cli/ui.ts'
import {
  type ExperimentDataset,
  type ExperimentMethod,
  type ExperimentOptions,
  type ExperimentResult,
  experiment,
  experimentMethods,
  InputError,
  memoryDataset,
} from '../src/index.ts'
import { writeFileAtomic } from '../src/io/local-files.ts'
import { terminal } from '../src/platform/terminal-node.ts'
import { renderReport, renderTable } from '../src/public/report.ts'
import { count, list, methodName } from '../src/report/format.ts'
import { loadStartDatasets, perClassOf, type StartDataset, subset, writeImages } from './data/datasets.ts'
import { startScreen } from './start-screen.ts'
import { perMethod, settings, testPerClass, trainImages } from './start-settings.ts'

interface Flags {
  seeds: number
  methods: ExperimentMethod[]
  datasets?: string[]
  epochs: number
  trainPerClass?: number
  threads?: number
  out: string
  json?: boolean
  exportData?: string
}

const ui = createUi()

// Beside this file, or seen from dist/ when bundled.
const modelFolder = ['./vit-cifar100/', '../benchmarks/vit-cifar100/']
  .map((path) => fileURLToPath(new URL(path, import.meta.url)))
  .find((path) => existsSync(join(path, 'config.json')))

const examples = `
Examples:
  npm start                                      every method on one set for each task, one seed: about two minutes
  npm start -- --seeds 3                         the spread over three seeds as well
  npm start -- --methods linear,lora --datasets digits --epochs 8
  npm start -- --export-data images              the images as files, to train on with npx vitune train`

/** One for each task. Digits are a second one of one class an image. */
const usual = ['fashion', 'emoji-tree', 'emoji-tags']

function whole(name: string, low: number, high: number) {
  return (text: string): number => {
    const value = Number(text)
    if (/^\d+$/.test(text) && value >= low && value <= high) return value
    throw new InputError(`${name}: must be a whole number from ${low} to ${high}, got ${text}`)
  }
}

function names<T extends string>(name: string, known: readonly T[]) {
  return (text: string): T[] => {
    const given = text.split(',').map((word) => word.trim())
    for (const word of given) {
      if (!(known as readonly string[]).includes(word)) {
        throw new InputError(`${name}: must be among ${known.join(', ')}, got ${word || 'nothing'}`)
      }
    }
    return known.filter((word) => given.includes(word))
  }
}

/** Reads the flags. Throws InputError or CommanderError. */
function parse(args: readonly string[], datasets: string[]): Flags {
  const program = new Command('npm start --')
    .description('Fine-tunes a small pre-trained vision transformer five ways on real images and writes a report.')
    .helpOption('--help', 'show this')
    .option('--seeds <n>', 'repeat everything with this many seeds', whole('--seeds', 1, 100), 1)
    .option('--methods <list>', `of ${experimentMethods.join(',')}`, names('--methods', experimentMethods))
    .option(
      '--datasets <list>',
      `of ${datasets.join(',')} (default: ${usual.join(',')})`,
      names('--datasets', datasets),
    )
    .option('--epochs <n>', 'epochs of every run', whole('--epochs', 1, 1000), settings.epochs)
    .option(
      '--train-per-class <n>',
      `training images of each class (default: what makes about ${trainImages} in all)`,
      whole('--train-per-class', 1, 200),
    )
    .option('--threads <n>', 'threads (default: one for each processor)', whole('--threads', 1, 64))
    .option('--out <dir>', 'folder for report.html and results.json', 'runs/start')
    .option('--json', 'print the results as JSON in place of the table')
    .option('--export-data <dir>', 'write the images as class folders, or beside a table of labels, and stop')
    .addHelpText('after', examples)
    .allowExcessArguments(false)
    .exitOverride()
    .configureOutput({ outputError: () => {} })
  const flags = program.parse([...args], { from: 'user' }).opts<Flags>()
  return { ...flags, methods: flags.methods ?? [...experimentMethods] }
}

/** The images of a start data set as the experiment wants them. */
function asDataset(whole: StartDataset, perClass = perClassOf(whole, trainImages)): ExperimentDataset {
  const { name, source, labelSpace } = whole
  const classes = labelSpace.names
  const { test } = subset(whole, 0, perClass, testPerClass)
  const train = (seed: number) =>
    memoryDataset({ ...subset(whole, seed, perClass, testPerClass).train, classes, labelSpace })
  return { name, source, train, test: memoryDataset({ ...test, classes, labelSpace }) }
}

const imagesOf = ({ train }: ExperimentDataset) => (typeof train === 'function' ? train(0) : train).length

/** The first paragraph of the README beside the weights: what they are and how good. */
async function modelSource(folder: string): Promise<string> {
  const text = await readFile(join(folder, 'README.md'), 'utf8')
  const paragraph = text.split(/\n\s*\n/).find((part) => !part.startsWith('#')) ?? ''
  return paragraph.replace(/\s+/g, ' ').trim()
}

async function exportData(datasets: StartDataset[], dir: string, perClass: number | undefined): Promise<void> {
  for (const dataset of datasets) {
    const folder = join(dir, dataset.name)
    if (existsSync(folder)) throw new InputError(`--export-data: ${folder} is already there; choose another folder`)
  }
  const written: { name: string; data: string }[] = []
  for (const dataset of datasets) {
    const part = perClass === undefined ? dataset : subset(dataset, 0, perClass, testPerClass)
    const folder = join(dir, dataset.name)
    written.push({ name: dataset.name, data: await writeImages(part, folder) })
    ui.result(
      `${folder}: ${count(part.train.images.length)} training and ${count(part.test.images.length)} test images. ${part.source}`,
    )
  }
  const model = modelFolder ?? 'facebook/dinov2-small'
  const lines = written.map(
    ({ name, data }) => `  npx vitune train --data ${data} --model ${model} --no-augment --out runs/${name}`,
  )
  ui.result(`\nTrain on them:\n${lines.join('\n')}`)
}

/** The command that was typed, for the report. */
const commandOf = (args: readonly string[]) =>
  ['npm start', ...(args.length > 0 ? ['--', ...args.map(quoted)] : [])].join(' ')

/** Runs the experiment on the screen; Ctrl-C ends it after the step in hand with its exit code, a second one at once. */
async function run(options: ExperimentOptions, seeds: number): Promise<{ result: ExperimentResult; code: number }> {
  const { datasets, methods = experimentMethods } = options
  const show = startScreen(
    ui,
    seeds,
    methods,
    datasets.map((d) => d.name),
  )
  const controller = new AbortController()
  let code = 0
  const undo = terminal.onStop((signal) => {
    code = signal === 'SIGINT' ? 130 : 143
    if (controller.signal.aborted) terminal.exitNow(code)
    controller.abort()
    ui.note('Stopping after this step; once more ends it at once.')
  })
  try {
    const events = experiment({ ...options, signal: controller.signal })
    let next = await events.next()
    for (; !next.done; next = await events.next()) show(next.value)
    return { result: next.value, code }
  } finally {
    ui.clear()
    undo()
  }
}

/** Writes both files; returns their paths. */
async function write(result: ExperimentResult, out: string) {
  const paths = { report: resolve(out, 'report.html'), results: resolve(out, 'results.json') }
  await writeFileAtomic(paths.results, `${JSON.stringify(result, null, 2)}\n`)
  await writeFileAtomic(paths.report, await renderReport(result))
  return paths
}

/** Everything; returns the exit code. */
async function main(args: readonly string[]): Promise<number> {
  const begun = performance.now()
  const all = await loadStartDatasets()
  const flags = parse(
    args,
    all.map((d) => d.name),
  )
  const named = (names: string[]) => all.filter(({ name }) => names.includes(name))
  if (flags.exportData !== undefined) {
    await exportData(flags.datasets ? named(flags.datasets) : all, flags.exportData, flags.trainPerClass)
    return 0
  }
  if (!modelFolder) throw new InputError('model: benchmarks/vit-cifar100/ must hold the weights; run from a clone')
  const chosen = named(flags.datasets ?? usual)
  const { out } = flags
  await mkdir(out, { recursive: true }).catch(() => {
    throw new InputError(`--out: must be a folder that can be made, got ${out}`)
  })
  const datasets = chosen.map((dataset) => asDataset(dataset, flags.trainPerClass))
  const title = `Fine-tuning a small vision transformer on ${list(chosen.map((d) => d.name))}`
  const images = datasets.map((d) => `${d.name} (${imagesOf(d)} training, ${d.test.length} test images)`)
  ui.note(
    `Training ${list(flags.methods.map(methodName))} on ${list(images)}, ${plural(flags.epochs, 'epoch')} each.\n`,
  )
  const { result, code } = await run(
    {
      model: modelFolder,
      modelName: 'vit-cifar100',
      modelSource: await modelSource(modelFolder),
      datasets,
      methods: flags.methods,
      seeds: Array.from({ length: flags.seeds }, (_, i) => i),
      ...settings,
      epochs: flags.epochs,
      perMethod,
      title,
      remark: 'Learning rates were chosen by benchmarks/start-rates.ts, which sees training images only',
      command: commandOf(args),
      ...(flags.threads === undefined ? {} : { threads: flags.threads }),
    },
    flags.seeds,
  )
  if (result.runs.length === 0) {
    ui.note('No run was finished, so there is no report.')
    return code
  }
  const paths = await write(result, out)
  ui.note('')
  if (flags.json) ui.json(result, 2)
  else ui.result(renderTable(result, { color: terminal.colour.out }))
  // With --json, standard output holds nothing but JSON.
  const say = flags.json ? ui.note : ui.result
  say(`
${code ? `Stopped after ${plural(result.runs.length, 'run')} and` : 'Took'} ${duration((performance.now() - begun) / 1000)}.
Report:   open ${pathToFileURL(paths.report)} in a browser
Numbers:  ${paths.results}

Next:
  npm start -- --seeds 3     the spread over seeds
  npm start -- --help        other methods, images and lengths
  npx vitune train --data MY-IMAGES --model facebook/dinov2-small --out runs/mine
                             your own images: a folder of pictures for each class`)
  return code
}

try {
  terminal.exitWith(await main(terminal.args))
} catch (error) {
  const wrongFlag = error instanceof CommanderError
  if (!wrongFlag && !(error instanceof InputError)) throw error
  if (!wrongFlag || error.exitCode !== 0) ui.note(error.message.replace(/^error: /, '').replace(/\s+/g, ' '))
  terminal.exitWith(wrongFlag && error.exitCode === 0 ? 0 : 2)
}
