// The program `vitune`: its verbs, and what happens to errors. Bad input ends with code 2 and one sentence.
import { Command, CommanderError, type Option } from 'commander'
import { platform } from '#platform'
import { InputError } from '../platform/errors.ts'
import { terminal } from '../platform/terminal-node.ts'
import { version } from '../platform/version.ts'
import { benchmarkCommand } from './benchmark.ts'
import { demoCommand } from './demo.ts'
import { devicesCommand } from './devices.ts'
import { carryDotted } from './dotted.ts'
import { estimateCommand } from './estimate.ts'
import { findCommand } from './find.ts'
import { oneLine } from './format.ts'
import { inspectCommand } from './inspect.ts'
import { mergeCommand } from './merge.ts'
import { predictCommand } from './predict.ts'
import { previewCommand } from './preview.ts'
import { reportCommand } from './report.ts'
import { testCommand } from './test.ts'
import { trainCommand } from './train.ts'

function build(): Command {
  const program = new Command('vitune')
    .description('Fine-tune vision transformers on your own images, with no Python: full, linear, LoRA and DoRA.')
    .version(version, '-V, --version', 'show the version')
    .helpOption('-h, --help', 'show this help')
    .helpCommand('help [verb]', 'show the help of a verb')
    .addHelpText(
      'after',
      '\nStart with:\n  vitune train --data IMAGES --model facebook/dinov2-small --out RUN\n\nIMAGES holds a folder for each class; vitune inspect IMAGES shows what is understood.',
    )
  for (const make of [
    trainCommand,
    testCommand,
    predictCommand,
    mergeCommand,
    reportCommand,
    benchmarkCommand,
    estimateCommand,
    inspectCommand,
    findCommand,
    previewCommand,
    devicesCommand,
    demoCommand,
  ]) {
    program.addCommand(make())
  }
  program.hook('preAction', (_, acting) => checkFilled(acting))
  for (const command of [program, ...program.commands]) {
    // What commander would print about an error is printed by `report`.
    command.exitOverride().configureOutput({ writeOut: terminal.out, writeErr: () => {} })
  }
  return program
}

/** An empty name is a shell variable that was not set, and would mean the folder that one stands in. */
function checkFilled(command: Command): void {
  for (const option of command.options) {
    const value: unknown = command.getOptionValue(option.attributeName())
    if (typeof value === 'string' && value.trim() === '')
      throw new InputError(`${option.long}: must be given a value, got ${JSON.stringify(value)}`)
  }
  const at = command.args.findIndex((arg) => arg.trim() === '')
  if (at >= 0)
    throw new InputError(`argument ${at + 1}: must be given a value, got ${JSON.stringify(command.args[at])}`)
}

/** The flags of settings that the library calls by other names: `batchSize` is `--batch-size` here. */
function asFlag(message: string, command: Command | undefined): string {
  return message.replace(/^\w+(, \w+)*(?=:)/, (all) => {
    const names = all.split(', ')
    // One word alone may be what the message is about, as in `resume: ...`.
    const isFlag = (o: Option) => o.parseArg !== undefined || (names.length > 1 && o.isBoolean())
    return names
      .map((name) => command?.options.find((o) => o.attributeName() === name && isFlag(o))?.long ?? name)
      .join(', ')
  })
}

/** Prints what went wrong; returns the exit code. */
function report(error: unknown, command: Command | undefined): number {
  const say = (text: string) => terminal.err(`vitune: ${oneLine(text)}\n`)
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return 0
    const [first = '', second = ''] = error.message
      .replace(/^error: /, '')
      .replace(/\.$/, '')
      .split('\n')
    const help = `see vitune ${command ? `${command.name()} ` : ''}--help`
    const remedy = /\(Did you mean (.*)\?\)/.test(second) ? second.replace(/[()]/g, '').replace('Did', 'did') : help
    say(new InputError(`${first}; ${remedy}`).message)
    return 2
  }
  const known = error instanceof InputError
  say(known ? asFlag(error.message, command) : error instanceof Error ? error.message : String(error))
  if (platform.env('VITUNE_DEBUG') === '1' && error instanceof Error) terminal.err(`${error.stack}\n`)
  return known ? 2 : 1
}

const program = build()
const args = terminal.args.length > 0 ? terminal.args : ['--help']
try {
  // One verb alone knows keys of configurations as flags.
  const carried = args[0] === 'train' ? ['train', ...carryDotted(args.slice(1))] : args
  await program.parseAsync(carried, { from: 'user' })
} catch (error) {
  const verb = args.find((arg) => !arg.startsWith('-'))
  terminal.exitWith(
    report(
      error,
      program.commands.find((command) => command.name() === verb),
    ),
  )
}
