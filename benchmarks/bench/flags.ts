// The command line of `npm run bench`.
import { Command } from 'commander'
import { InputError } from 'vitune'
import { methods } from 'vitune/adapters'
import type { ProfileOptions } from './sections/profile.ts'

export const sectionNames = [
  'targets',
  'matmul',
  'steps',
  'sizes',
  'small',
  'memory',
  'growth',
  'traffic',
  'profile',
  'browser',
] as const
export type SectionName = (typeof sectionNames)[number]

export interface Flags extends Omit<ProfileOptions, 'shape'> {
  /** In the order of `sectionNames`; `readme` is not among them. */
  readonly sections: readonly SectionName[]
  /** Write README's performance section from the last results, and measure nothing. */
  readonly readme: boolean
  readonly quick: boolean
  readonly threads: number
  /** What `--node` was given. */
  readonly node?: string
  /** Measure only what this matches in `contender, name`. */
  readonly only?: RegExp
  readonly out: string
  readonly json?: string
  readonly html?: string
  readonly model: 'dinov2-small' | 'small'
}

const examples = `
Sections:
  targets   what the targets of frozen weights in 4 and 8 bits need, side by side in one run
  matmul    products of the ViT shapes, and the machine's multiply-add peak
  steps     forward, linear, LoRA, DoRA and full steps of DINOv2-small's shape, with weights in f32, 8 and 4 bits
  sizes     bytes of a model whole and packed, and of an adapter's file
  small     the LoRA step of a small ViT beside every peer that trains
  memory    peak memory of a LoRA step's process
  growth    time by batch, memory over many steps; ViT-S to ViT-L and 224 to 448 px against the operations counted
  traffic   bytes and dispatches by kernel, counted
  profile   where a step's time goes, by kernel
  browser   the small ViT in headless Chromium, on WASM and on WebGPU in software
  readme    writes README's performance section from the last run's results.json

Examples:
  npm run bench                                  everything
  npm run bench -- --quick                       the same with few runs
  npm run bench -- matmul small                  two sections
  npm run bench -- targets --node 24             on Node 24, which comes as a package
  npm run bench -- profile --method dora --shapes`

function whole(name: string, low: number, high: number) {
  return (text: string): number => {
    const value = Number(text)
    if (/^\d+$/.test(text) && value >= low && value <= high) return value
    throw new InputError(`${name}: must be a whole number from ${low} to ${high}, got ${text}`)
  }
}

function oneOf<T extends string>(name: string, known: readonly T[]) {
  return (text: string): T => {
    const found = known.find((word) => word === text)
    if (found === undefined) throw new InputError(`${name}: must be one of ${known.join(', ')}, got ${text}`)
    return found
  }
}

function pattern(text: string): RegExp {
  try {
    return new RegExp(text)
  } catch {
    throw new InputError(`--only: must be a regular expression, got ${text}`)
  }
}

/** Reads the flags; `threads` is what the machine has. Throws InputError, or commander's error. */
export function parseFlags(args: readonly string[], threads: number): Flags {
  const program = new Command('npm run bench --')
    .description('Measures vitune beside its peers in interleaved runs, and checks the targets.')
    .argument('[sections...]', `of ${[...sectionNames, 'readme'].join(', ')}; all without it`)
    .helpOption('--help', 'show this')
    .option('--quick', 'few runs: to see that all works', false)
    .option('--threads <n>', 'threads of those that can have several', whole('--threads', 1, 64), threads)
    .option('--node <version>', 'run all of it under that Node: 20.12, 22, 24, 26 or a path')
    .option('--section <name>', 'a section, as by its name alone')
    .option('--only <pattern>', 'measure only what matches in "contender, name": "^vitune, LoRA"', pattern)
    .option('--out <dir>', 'folder for results.json and report.html', 'runs/bench')
    .option('--json <file>', 'write the results there instead')
    .option('--html <file>', 'write the page there instead')
    .option(
      '--model <name>',
      'profile: dinov2-small or small',
      oneOf('--model', ['dinov2-small', 'small']),
      'dinov2-small',
    )
    .option('--method <name>', `profile: ${methods.join(', ')}`, oneOf('--method', methods), 'lora')
    .option('--quantize <how>', 'profile: nf4 or int8', oneOf('--quantize', ['nf4', 'int8']))
    .option('--batch <n>', 'profile: images a batch', whole('--batch', 1, 4096), 8)
    .option('--steps <n>', 'profile: steps', whole('--steps', 1, 1000), 3)
    .option('--shapes', 'profile: a row for each size', false)
    .option('--checkpointing', 'profile: recompute blocks', false)
    .option('--cpu', 'profile: count processor time', false)
    .addHelpText('after', examples)
    .exitOverride()
    .configureOutput({ outputError: () => {} })
  program.parse([...args], { from: 'user' })
  const { section } = program.opts<{ section?: string }>()
  const words = section === undefined ? program.args : [...program.args, section]
  for (const word of words) oneOf('section', [...sectionNames, 'readme'])(word)
  const readme = words.includes('readme')
  const asked = words.filter((word) => word !== 'readme')
  const sections = asked.length > 0 ? sectionNames.filter((name) => asked.includes(name)) : readme ? [] : sectionNames
  return { ...program.opts<Omit<Flags, 'sections' | 'readme'>>(), sections, readme }
}
