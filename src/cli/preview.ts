// vitune preview: what training images look like once they are changed at random, as a PNG file.
import { Command } from 'commander'
import { createPlanner } from '../backend/wasm/planner.ts'
import { augmentationsInWords } from '../data/augmentations.ts'
import { openData } from '../data/open-data.ts'
import { outputSize, type Preprocess, processors, withInputSize } from '../data/preprocess.ts'
import { localFiles } from '../io/local-files.ts'
import { encodePng } from '../platform/encode-node.ts'
import { InputError } from '../platform/errors.ts'
import { checkRules, text, whole } from '../schema/rules.ts'
import { only, type Setting, type Settings } from '../schema/setting.ts'
import { defaults, settings } from '../settings/schema.ts'
import { checkSettings, withRecipe } from '../settings/setting-rules.ts'
import { defined, pick, type TrainSettings } from '../settings/settings.ts'
import { openModel } from '../use/open-model.ts'
import { MOST_SHOWN, previewSheet } from '../use/preview.ts'
import { downloads } from './downloads.ts'
import { oneLine, plural, table } from './format.ts'
import { addOutput, addSettings, examples } from './options.ts'
import { createUi } from './ui.ts'

const own = {
  out: {
    value: text('a file name that ends in .png'),
    group: 'Input and output',
    flag: '--out <file>',
    description: 'the picture, a PNG file',
  },
  images: {
    value: whole(1, MOST_SHOWN, 'a whole number of images'),
    default: 6,
    group: 'Input and output',
    flag: '--images <n>',
    description: 'images to show, one a row',
  },
  epochs: {
    value: whole(1, MOST_SHOWN, 'a whole number of epochs'),
    default: 7,
    group: 'Input and output',
    flag: '--epochs <n>',
    description: 'epochs to show, one a column, behind the image as it is in evaluation',
  },
} satisfies Record<string, Setting>
const shared = ['data', 'model', 'recipe', 'augment', 'inputSize', 'seed', 'task', 'val'] as const
const flags = only(settings, ...shared)

interface Flags
  extends Omit<Pick<TrainSettings, (typeof shared)[number]>, 'model'>,
    Partial<Pick<TrainSettings, 'model'>> {
  out: string
  images?: number
  epochs?: number
  json?: boolean
  color?: boolean
}

/** How the model takes images, or plainly resized ones without a model. */
async function preprocessOf(
  { model, inputSize }: Flags,
  onProgress: ReturnType<typeof downloads>,
): Promise<Preprocess> {
  if (model === undefined) return withInputSize(processors.vit, inputSize ?? 224)
  // Weights are not kept: this backend only plans.
  return (await openModel(createPlanner(), model, { inputSize, allowNonFinite: true, onProgress })).preprocess
}

async function run(given: Flags): Promise<void> {
  const ui = createUi({ colour: given.color ?? true })
  const { data, out, task, val, seed = defaults.seed } = given
  const asked = defined(pick(given, 'images', 'epochs', 'out'))
  checkRules(asked, Object.fromEntries(Object.entries(own).map(([name, { value }]) => [name, value])))
  checkSettings(defined(pick(given, ...shared)))
  if (!/\.png$/i.test(out)) throw new InputError(`--out: must be a file name that ends in .png, got ${out}`)
  const folder = await openData(data, { seed, task, val })
  const preprocess = await preprocessOf(given, downloads(ui))
  ui.clear()
  const { train } = folder
  const { width, height } = outputSize(preprocess)
  const { settings: decided } = withRecipe(pick(given, 'augment', 'recipe'), {
    method: defaults.peft,
    task: train.labelSpace.task,
    images: train.length,
    labels: train.classes.length,
    validates: folder.val !== undefined,
    inputSize: Math.min(width, height),
  })
  const augmentations = typeof decided.augment === 'object' ? decided.augment : {}
  const { sheet, files, broken } = await previewSheet(train, preprocess, {
    augmentations,
    seed,
    ...pick(given, 'images', 'epochs'),
  })
  await localFiles(out).writeAtomic(out, await encodePng(sheet))
  const size = { width: sheet.width, height: sheet.height }
  if (given.json) return ui.json({ out, ...size, files, broken, augmentations })
  const rows = [
    ['changes', augmentationsInWords(augmentations)],
    [
      'picture',
      `${oneLine(out)}, ${size.width} x ${size.height} px: a row an image, first as it is, then as each epoch sees it`,
    ],
    ['images', files.map(oneLine).join(', ')],
  ]
  ui.result(table(rows))
  if (broken.length > 0) ui.note(`left out ${plural(broken.length, 'image')}: ${broken.map(oneLine).join('; ')}`)
}

/** The verb. */
export function previewCommand(): Command {
  const command = new Command('preview').description(
    'show what training images look like once they are changed at random, as a picture',
  )
  addSettings(command, { ...flags, ...own } as Settings, ['data', 'out'])
  addOutput(command, 'print {"out", "width", "height", "files", "broken", "augmentations"}')
  return command
    .addHelpText(
      'after',
      examples(
        'vitune preview --data IMAGES --out sheet.png',
        'vitune preview --data IMAGES --augment flip,colorJitter=0.4,affine=20 --out sheet.png',
        'vitune preview --data IMAGES --model MODEL --augment getitune --seed 3 --out sheet.png',
      ),
    )
    .action(run)
}
