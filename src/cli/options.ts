// Flags that several verbs share, and how the text of a flag becomes a value. Each refusal names the flag.
import { type Command, Option } from 'commander'
import { InputError } from '../platform/errors.ts'
import { saysOf, shapeOf } from '../schema/rules.ts'
import { groups, namesOf, only, otherwiseOf, type Setting, type Settings } from '../schema/setting.ts'
import { settings } from '../settings/schema.ts'

/** `--batch-size` of `--batch-size <n>`. */
const nameOf = (flags: string): string => /--[\w-]+/.exec(flags)?.[0] ?? flags

/** A flag with a number; whether the number makes sense is checked where it is used. */
export function numberOption(flags: string, description: string): Option {
  return new Option(flags, description).argParser((text: string) => readNumber(flags, text))
}

function readNumber(flags: string, text: string): number {
  const value = Number(text)
  if (text.trim() !== '' && Number.isFinite(value)) return value
  throw new InputError(`${nameOf(flags)}: must be a number, got ${JSON.stringify(text)}`)
}

/** How the text of a flag becomes a value of these; whether that makes sense is checked where it is used. */
function reader(flag: string, { value, read }: Setting): ((text: string) => unknown) | undefined {
  const { type, options } = shapeOf(value)
  if (read) return read
  if (type === 'number') return (text) => readNumber(flag, text)
  if (type === 'list') return namesOf
  if (type !== 'choice') return undefined
  return (text) => {
    const found = options!.find((one) => String(one) === text)
    if (found !== undefined) return found
    throw new InputError(`${nameOf(flag)}: must be ${saysOf(value)}, got ${JSON.stringify(text)}`)
  }
}

/** What a setting's flag does, what it takes and what holds without it. */
function helpOf(setting: Setting): string {
  const { description, without, value } = setting
  const { options } = shapeOf(value)
  const otherwise = otherwiseOf(setting)
  const words = options ? `: ${options.join(', ')}` : ''
  return `${without ?? description}${words}${otherwise === undefined ? '' : ` (default: ${otherwise})`}`
}

/** Adds the flags of these settings, group by group; those named in `needed` must be given. */
export function addSettings(command: Command, settings: Settings, needed: readonly string[] = []): Command {
  for (const group of groups) {
    for (const [name, setting] of Object.entries(settings)) {
      if (setting.group !== group || setting.flag === undefined) continue
      const option = new Option(setting.flag, helpOf(setting)).makeOptionMandatory(needed.includes(name))
      option.attributeName = () => name
      const read = reader(setting.flag, setting)
      command.optionsGroup(`${group}:`).addOption(read ? option.argParser(read) : option)
      if (setting.off === undefined) continue
      const off = new Option(setting.off, `no ${nameOf(setting.flag).slice(2)}`)
      off.attributeName = () => name
      command.addOption(off)
    }
  }
  return command
}

/** Adds --device and --threads. */
export const addDevice = (command: Command): Command => addSettings(command, only(settings, 'device', 'threads'))

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
