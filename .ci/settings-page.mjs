// docs/settings.md: every setting of a run, from the table in src/settings/schema.ts. `node --import tsx .ci/settings-page.mjs`
// names what is out of date and fails; with --write it writes it (npm run settings).
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { loraFields } from '../src/adapters/lora-config.ts'
import { saysOf } from '../src/schema/rules.ts'
import { groups, otherwiseOf } from '../src/schema/setting.ts'
import { asRecipesSay } from '../src/settings/recipe.ts'
import { sameAs, settings } from '../src/settings/schema.ts'

const page = fileURLToPath(new URL('../docs/settings.md', import.meta.url))

const cell = (text) => text.replaceAll('|', '\\|')
const code = (text) => (text === undefined ? '' : `\`${cell(text)}\``)
const words = (setting) =>
  typeof setting.default === 'boolean' ? (setting.default ? 'on' : 'off') : cell(otherwiseOf(setting) ?? '')

function row([name, setting]) {
  const { flag, description, value, again } = setting
  const resumes = again === true ? 'yes' : again === 'place' ? 'with `--accept-changes`' : ''
  return `| ${[code(name), code(flag), cell(description), cell(saysOf(value)), words(setting), resumes].join(' | ')} |`
}

const table = (entries) => [
  '| setting | flag | what it does | must be | without it | may differ when a run goes on |',
  '|---|---|---|---|---|---|',
  ...entries.map(row),
]

const short = new Set(Object.values(sameAs))
const text = `${[
  '# Settings',
  '',
  'What a run may be told: as flags of `vitune train`, as options of `train()` and of a session, and by these names in YAML.',
  'This page is written by `npm run settings` from `src/settings/schema.ts`.',
  '',
  '```sh',
  'vitune train --data IMAGES --model MODEL --rank 16 --print-config > settings.yaml',
  'vitune train --config settings.yaml --out RUN --epochs 5',
  '```',
  '',
  'Flags win over the file. Paths in it are meant from the folder in which the command runs. A name that is no setting, a value',
  'that cannot be, a name given twice, an alias and a tag are refused with their line. `--config -` reads the standard input.',
  'Configurations of OTX and getitune, and keys of tables as flags (`--lora.alpha 8`), are in [configurations.md](configurations.md).',
  ...groups.flatMap((group) => [
    '',
    `## ${group}`,
    '',
    ...table(Object.entries(asRecipesSay(settings)).filter(([, setting]) => setting.group === group)),
  ]),
  '',
  'Further fields of `lora`:',
  '',
  ...table(Object.entries(loraFields).filter(([name]) => !short.has(name))),
].join('\n')}\n`

const now = existsSync(page) ? readFileSync(page, 'utf8') : undefined
if (process.argv.includes('--write')) writeFileSync(page, text)
else if (now !== text) {
  console.error('docs/settings.md is not what src/settings/schema.ts says; write it with npm run settings')
  process.exitCode = 1
}
