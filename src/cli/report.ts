// vitune report: runs as one HTML page. What it shows is read from the run folders (report/run-result.ts).
import { Command } from 'commander'
import { localFiles } from '../io/local-files.ts'
import { InputError } from '../platform/errors.ts'
import { renderRunReport } from '../report/run-report.ts'
import { readRunResult } from '../report/run-result.ts'
import { oneLine } from './format.ts'
import { addOutput, examples } from './options.ts'
import { createUi } from './ui.ts'

interface Flags {
  out?: string
  json?: boolean
  color?: boolean
}

/** What a report of one run is called, in its folder. */
const usual = 'report.html'

async function run(folders: string[], { out, json, color }: Flags): Promise<void> {
  const ui = createUi({ colour: color ?? true })
  if (folders.length > 1 && out === undefined) {
    throw new InputError(
      `--out: is needed for ${folders.length} runs, the file to write; a page of one lies in its folder`,
    )
  }
  const path = out ?? localFiles(folders[0]!).join(folders[0]!, usual)
  // So that a slip costs no other file.
  if (!/\.html?$/i.test(path)) throw new InputError(`--out: must end in .html, got ${path}`)
  const results = []
  for (const folder of folders) results.push(await readRunResult(folder))
  if (json) return ui.json(results, 2)
  const files = localFiles(path)
  if ((await files.kind(path)) === 'folder') throw new InputError(`--out: must be a file, got the folder ${path}`)
  await files.writeAtomic(path, await renderRunReport(results))
  ui.result(oneLine(path))
}

/** The verb. */
export function reportCommand(): Command {
  const command = new Command('report')
    .description('write what training came to as one HTML page: curves, labels, settings, broken images')
    .argument('<run...>', 'run folders that vitune train wrote')
    .optionsGroup('Input and output:')
    .option('--out <file>', 'the page (default: report.html in the run, where there is one)')
  addOutput(command, 'print what the page is made of as JSON, and write nothing')
  return command
    .addHelpText(
      'after',
      examples('vitune report RUN', 'vitune report RUN1 RUN2 --out compared.html', 'vitune report RUN --json'),
    )
    .action(run)
}
