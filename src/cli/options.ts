// Flags that several verbs share, and how the text of a flag becomes a value. Each refusal names the flag.
import { type Command, Option } from 'commander'
import { methods } from '../adapters/methods.ts'
import { devices } from '../backend/create.ts'
import { InputError } from '../platform/errors.ts'
import { samplers } from '../settings/settings.ts'
import { taskNames } from '../tasks/registry.ts'
import { decodings } from '../tasks/task.ts'

/** `--batch-size` of `--batch-size <n>`. */
const nameOf = (flags: string): string => /--[\w-]+/.exec(flags)?.[0] ?? flags

/** A flag with a number; whether the number makes sense is checked where it is used. */
export function numberOption(flags: string, description: string): Option {
  return new Option(flags, description).argParser((text: string) => {
    const value = Number(text)
    if (text.trim() === '' || !Number.isFinite(value)) {
      throw new InputError(`${nameOf(flags)}: must be a number, got ${JSON.stringify(text)}`)
    }
    return value
  })
}

/** A flag with one of a few words. `fallback` says what holds without it. */
export function choiceOption(flags: string, what: string, choices: readonly string[], fallback: string): Option {
  const description = `${what}: ${choices.join(', ')} (default: ${fallback})`
  return new Option(flags, description).argParser((text: string) => {
    if (choices.includes(text)) return text
    throw new InputError(`${nameOf(flags)}: must be one of ${choices.join(', ')}, got ${JSON.stringify(text)}`)
  })
}

/** A flag with names between commas. */
export function listOption(flags: string, description: string): Option {
  return new Option(flags, description).argParser((text: string) => names(text))
}

const names = (text: string): string[] =>
  text
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '')

/** What `--threshold` says: a number, or `tune`. */
function threshold(text: string): number | string {
  return text.trim() !== '' && Number.isFinite(Number(text)) ? Number(text) : text
}

/** What `--positive-weights` says: `balanced`, or `cat=2,dog=0.5`; the last `=` counts, labels may hold others. */
function positiveWeights(text: string): string | Record<string, number> {
  if (!text.includes('=')) return text
  const pairs = names(text).map((pair) => /^(.*)=([^=]*)$/.exec(pair) ?? [pair, pair, ''])
  return Object.fromEntries(
    pairs.map(([, name, value]) => [name!.trim(), value!.trim() === '' ? Number.NaN : Number(value)]),
  )
}

/** Adds the flags about what is learnt. */
export function addTask(command: Command): Command {
  return command
    .optionsGroup('Task:')
    .addOption(choiceOption('--task <name>', 'what is learnt', taskNames, "what the data's labels say"))
    .option('--loss <name>', "what training lowers (default: the task's first)")
    .option('--monitor <metric>', 'metric that chooses the best epoch and ends training early (default: by task)')
    .addOption(
      new Option(
        '--threshold <x|tune>',
        'score from which a label is there; tune finds one a label on the validation data (default: tune)',
      ).argParser(threshold),
    )
    .addOption(
      new Option(
        '--positive-weights <how>',
        'how much more a label counts where it is there: label=x,... or balanced, negatives / positives (default: 1 each)',
      ).argParser(positiveWeights),
    )
    .addOption(numberOption('--path-consistency <x>', 'weight of the loss that holds a tree together (default: 0)'))
    .addOption(choiceOption('--decoding <how>', 'labels of the best path, or of each level', decodings, 'path'))
    .addOption(
      choiceOption('--sampler <how>', 'images in a new order, or all classes equally often', samplers, 'shuffle'),
    )
}

/** What `--targets` says: `all-linear`, a list of names, or (with any other character in it) one regular expression. */
export function parseTargets(text: string): string[] | string {
  if (text.trim() === 'all-linear') return 'all-linear'
  return /^[\w.,\s-]*$/.test(text) ? names(text) : text
}

export function targetsOption(): Option {
  const description = 'adapted layers: names (query,value), one regular expression, or all-linear'
  return new Option('--targets <layers>', `${description} (default: query,value)`).argParser(parseTargets)
}

export const methodOption = (): Option => choiceOption('--peft <method>', 'fine-tuning method', methods, 'lora')

export function allowNonFiniteOption(): Option {
  const option = new Option(
    '--allow-nonfinite',
    'take weights that are NaN or infinite as they are, instead of refusing them',
  )
  option.attributeName = () => 'allowNonFinite'
  return option
}

/** Adds --device and --threads. */
export function addDevice(command: Command): Command {
  return command
    .optionsGroup('Machine:')
    .addOption(choiceOption('--device <name>', 'where to compute', devices, 'auto, the fastest here'))
    .addOption(numberOption('--threads <n>', 'threads of the wasm device (default: one a processor)'))
}

/** Adds --json, --no-color and --help. */
export function addOutput(command: Command, json: string): Command {
  return command
    .optionsGroup('Output:')
    .option('--json', json)
    .option('--no-color', 'no colours (also with NO_COLOR set, or into a pipe)')
    .helpOption('-h, --help', 'show this help')
}

/** The values that were typed, without defaults and without what only concerns the output. */
export function typed(command: Command): Record<string, unknown> {
  const values = Object.entries(command.opts())
  return Object.fromEntries(
    values.filter(([name]) => command.getOptionValueSource(name) === 'cli' && name !== 'json' && name !== 'color'),
  )
}

/** A command's examples, as the end of its help. */
export function examples(...lines: string[]): string {
  return `\nExamples:\n${lines.map((line) => `  ${line}`).join('\n')}`
}
