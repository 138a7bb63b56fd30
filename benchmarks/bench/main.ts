// `npm run bench`: everything measured beside the peers, printed section by section, kept as JSON and as a page.
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { setFlagsFromString } from 'node:v8'
import { CommanderError } from 'commander'
import { InputError } from 'vitune'
import { duration } from '../../src/cli/format.ts'
import { createUi } from '../../src/cli/ui.ts'
import { terminal } from '../../src/platform/terminal-node.ts'
import { closeAll } from './contender.ts'
import { isThisNode, nodeProgram, underNode } from './engine.ts'
import { type Flags, parseFlags, type SectionName } from './flags.ts'
import { machineFacts, preparePeers } from './machine.ts'
import type { Bench } from './measure.ts'
import { renderPage } from './page.ts'
import { type BenchResult, met, type Section } from './result.ts'
import { browser } from './sections/browser.ts'
import { growth } from './sections/growth.ts'
import { matmul } from './sections/matmul.ts'
import { memory } from './sections/memory.ts'
import { profile } from './sections/profile.ts'
import { sizes } from './sections/sizes.ts'
import { small } from './sections/small.ts'
import { steps } from './sections/steps.ts'
import { targets } from './sections/targets.ts'
import { traffic } from './sections/traffic.ts'
import { dinov2Small, smallVit } from './shapes.ts'
import { putBetweenMarkers, readmeMarkdown, sectionText } from './table.ts'

const ui = createUi()
const readme = fileURLToPath(new URL('../../README.md', import.meta.url))
const ownPackage = fileURLToPath(new URL('../../package.json', import.meta.url))

/** Sections without peers. */
const alone: readonly SectionName[] = ['sizes', 'growth', 'traffic', 'profile']

function runners(flags: Flags): Record<SectionName, (bench: Bench) => Promise<Section>> {
  const shape = flags.model === 'small' ? smallVit : dinov2Small
  return {
    targets,
    matmul,
    steps,
    sizes,
    small,
    memory,
    growth,
    traffic,
    profile: (bench) => profile(bench, { ...flags, shape }),
    browser,
  }
}

async function write(file: string, text: string): Promise<string> {
  await mkdir(dirname(file), { recursive: true })
  await writeFile(file, text)
  return file
}

/** README's performance section from the results that lie there. */
async function updateReadme(file: string): Promise<number> {
  const text = await readFile(file, 'utf8').catch(() => {
    throw new InputError(`readme: needs the results of a run, got no file ${file}; run npm run bench first`)
  })
  const markdown = readmeMarkdown(JSON.parse(text) as BenchResult)
  await writeFile(readme, putBetweenMarkers(await readFile(readme, 'utf8'), markdown))
  ui.result(markdown)
  ui.note(`\nWritten into ${readme}.`)
  return 0
}

/** Everything; returns the exit code. */
async function main(args: readonly string[]): Promise<number> {
  const begun = performance.now()
  const flags = parseFlags(args, Math.min(2, availableParallelism()))
  const json = flags.json ?? join(flags.out, 'results.json')
  if (flags.readme && flags.sections.length === 0) return updateReadme(json)
  if (flags.node !== undefined) {
    const program = await nodeProgram(flags.node, ui.note)
    if (!isThisNode(program)) return underNode(program)
  }
  // Node 20 knows relaxed SIMD behind a flag; the peak is measured in this process.
  if (Number(process.versions.node.split('.')[0]) < 22) setFlagsFromString('--experimental-wasm-relaxed-simd')
  const controller = new AbortController()
  let code = 0
  const undo = terminal.onStop((signal) => {
    code = signal === 'SIGINT' ? 130 : 143
    if (controller.signal.aborted) terminal.exitNow(code)
    controller.abort()
    closeAll()
    ui.note('Stopping; what was measured is kept.')
  })
  const needed = flags.sections.some((name) => !alone.includes(name))
  const peers = needed ? await preparePeers(ui.note) : { torches: [], missing: {} }
  const { version } = JSON.parse(await readFile(ownPackage, 'utf8')) as { version: string }
  const result: BenchResult = {
    format: 1,
    created: new Date().toISOString(),
    command: ['npm run bench', ...(args.length > 0 ? ['--', ...args] : [])].join(' '),
    quick: flags.quick,
    complete: false,
    machine: machineFacts(flags.threads),
    versions: { vitune: version },
    sections: [],
  }
  let said = 0
  const bench: Bench = {
    quick: flags.quick,
    threads: flags.threads,
    ...(flags.only === undefined ? {} : { only: flags.only }),
    ...peers,
    signal: controller.signal,
    versions: result.versions,
    progress(text) {
      ui.progress(() => text)
      // Without a line to overwrite, one line a section and every ten seconds.
      if (!ui.live && performance.now() - said > 10_000) {
        said = performance.now()
        ui.note(text)
      }
    },
  }
  const page = flags.html ?? join(flags.out, 'report.html')
  const run = runners(flags)
  for (const name of flags.sections) {
    if (controller.signal.aborted) break
    said = 0
    const made = await run[name](bench)
    ui.clear()
    ui.result(`\n${sectionText(made)}`)
    result.sections.push(made)
    result.complete = !controller.signal.aborted && result.sections.length === flags.sections.length
    await write(json, `${JSON.stringify(result, null, 2)}\n`)
    await write(page, await renderPage(result))
  }
  undo()
  const checks = result.sections.flatMap((section) => section.checks)
  const seconds = duration((performance.now() - begun) / 1000)
  ui.result(`
${checks.length > 0 ? `${checks.filter(met).length} of ${checks.length} targets met. ` : ''}${code ? 'Stopped after' : 'Took'} ${seconds}.
Numbers:  ${json}
Page:     open ${pathToFileURL(page)} in a browser`)
  if (flags.readme) await updateReadme(json)
  return code
}

try {
  terminal.exitWith(await main(terminal.args))
} catch (error) {
  ui.clear()
  const wrongFlag = error instanceof CommanderError
  if (!wrongFlag && !(error instanceof InputError)) throw error
  if (!wrongFlag || error.exitCode !== 0) ui.note(error.message.replace(/^error: /, '').replace(/\s+/g, ' '))
  terminal.exitWith(wrongFlag && error.exitCode === 0 ? 0 : 2)
}
