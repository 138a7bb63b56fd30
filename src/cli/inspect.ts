// vitune inspect: what is understood of labelled images before anything is trained.
import { Command } from 'commander'
import { passedOverText } from '../data/passed-over.ts'
import type { TaskName } from '../labels/labels.ts'
import { only } from '../schema/setting.ts'
import { settings } from '../settings/schema.ts'
import { tasks } from '../tasks/registry.ts'
import { type Duplicates, type InspectedLabel, type Inspection, inspect } from '../use/inspect.ts'
import { oneLine, plural, table } from './format.ts'
import { addOutput, addSettings, examples } from './options.ts'
import { bar, createUi } from './ui.ts'

interface Flags {
  task?: TaskName
  val?: string
  format?: string
  perClass?: number
  folds?: number
  fold?: number
  seed?: number
  json?: boolean
  color?: boolean
}

/** So many names of each kind are shown; --json has all. */
const shown = 10

/** Labels from the roots down, each with what stands before its name. */
function drawn(labels: readonly InspectedLabel[], parent?: InspectedLabel, before = ''): [string, InspectedLabel][] {
  const below = labels.filter((label) => label.parent === parent?.name)
  return below.flatMap((label, i): [string, InspectedLabel][] => {
    const last = i === below.length - 1
    const own =
      parent && label.name.startsWith(`${parent.name}/`) ? label.name.slice(parent.name.length + 1) : label.name
    const [branch, trunk] = parent ? (last ? ['└─ ', '   '] : ['├─ ', '│  ']) : ['', '']
    return [[`${before}${branch}${oneLine(own)}`, label], ...drawn(labels, label, before + trunk)]
  })
}

function labelTable({ labels, images }: Inspection): string {
  const parts = (['train', 'val', 'test'] as const).filter((part) => images[part] > 0)
  const unknown = labels.some((label) => label.unknown > 0)
  const head = ['label', ...parts, ...(unknown ? ['unknown'] : [])]
  const rows = drawn(labels).map(([name, label]) => [
    name,
    ...parts.map((part) => String(label.images[part])),
    ...(unknown ? [String(label.unknown)] : []),
  ])
  return table(
    [head, ...rows],
    head.map((_, i) => i).filter((i) => i > 0),
  )
}

/** A heading and the first of some lines, or nothing where there are none. */
function list(heading: string, lines: readonly string[]): string[] {
  if (lines.length === 0) return []
  const more = lines.length - shown
  return [
    '',
    `${heading} (${lines.length})`,
    ...lines.slice(0, shown).map((line) => `  ${oneLine(line)}`),
    ...(more > 0 ? [`  and ${more} more (all: --json)`] : []),
  ]
}

const sameText = ({ files }: Duplicates, labels: boolean): string =>
  files
    .map(({ file, part, labels: names }) => `${file} (${labels ? names.join(', ') || 'no label' : part})`)
    .join(' = ')

function text(found: Inspection): string {
  const { images, imbalance, labels, unlabelled, duplicates } = found
  const of = (name: string) => labels.find((label) => label.name === name)!.images.train
  const aside = { folder: '', split: ' (set aside)', none: '' }[found.validation]
  const total = images.train + images.val + images.test
  const { largest, smallest, ratio } = imbalance
  const inner = labels.filter(({ name }) => labels.some(({ parent }) => parent === name)).length
  const rows = [
    ['task', `${found.task}, ${tasks[found.task].says}, since ${found.why}`],
    ['images', `${total}: ${images.train} train, ${images.val} val${aside}, ${images.test} test`],
    ['labels', inner > 0 ? `${labels.length}, ${inner} of them with kinds` : String(labels.length)],
    [
      'balance',
      `${largest} has most images to train on (${of(largest)}), ${smallest} fewest (${of(smallest)})${
        Number.isFinite(ratio) ? `: ${ratio.toFixed(1)} to 1` : ''
      }`,
    ],
  ]
  const across = duplicates.filter((same) => same.across)
  const contradicting = duplicates.filter((same) => same.contradicting)
  const plain = duplicates.filter((same) => !same.across && !same.contradicting)
  return [
    table(rows.map(([name, value]) => [name!, oneLine(value!)])),
    '',
    labelTable(found),
    ...list(
      'Cannot be decoded',
      found.broken.map(({ file, reason }) => `${file}: ${reason}`),
    ),
    ...list(
      'The same image in several parts: what it is tested on was trained on',
      across.map((same) => sameText(same, false)),
    ),
    ...list(
      'The same image with different labels',
      contradicting.map((same) => sameText(same, true)),
    ),
    ...list(
      'The same image several times in one part',
      plain.map((same) => sameText(same, false)),
    ),
    ...list('Without any label', unlabelled),
    ...list('Passed over', found.ignored.map(passedOverText)),
    ...list('Notes', found.notes),
  ].join('\n')
}

async function run(path: string, { json, color = true, ...options }: Flags): Promise<void> {
  const ui = createUi({ colour: color })
  const looking = inspect(path, options)
  let step = await looking.next()
  for (; !step.done; step = await looking.next()) {
    const { done, total } = step.value
    ui.progress(() => `decoding ${bar(done / total)} ${done}/${plural(total, 'image')}`)
  }
  ui.clear()
  if (json) ui.json(step.value)
  else ui.result(text(step.value))
}

/** The verb. */
export function inspectCommand(): Command {
  const command = new Command('inspect')
    .description('show what is understood of labelled images: task, labels, counts, broken and double images')
    .argument('<data>', 'a folder of images, or a file of labels (CSV, JSON lines, Datumaro), as for vitune train')
  addSettings(command, only(settings, 'task', 'val', 'format', 'perClass', 'folds', 'fold', 'seed'))
  addOutput(command, 'print all of it as one JSON object')
  return command
    .addHelpText(
      'after',
      examples(
        'vitune inspect IMAGES',
        'vitune inspect labels.csv --task multilabel',
        'vitune inspect IMAGES --folds 5 --fold 0',
        'vitune inspect IMAGES --json',
      ),
    )
    .action(run)
}
