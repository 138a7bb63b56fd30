// Tries settings on small data, each trial once, and appends what came of it to a file: what src/settings/recipes.ts chooses
// its values by. Killed, it goes on where it was. Run by hand after npm run build:
// node --import tsx benchmarks/recipes.ts --cifar10 PATH/cifar10.tar --out FILE [--questions NAME,...]
// node --import tsx benchmarks/recipes.ts --table FILE --into docs/recipes.md
import { existsSync } from 'node:fs'
import { appendFile, readFile, writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { createWasm } from 'vitune/tensor'
import { trialSets } from './recipes/sets.ts'
import { putTables } from './recipes/tables.ts'
import { keyOf, runTrial, type TrialResult } from './recipes/trial.ts'
import { questions } from './recipes/trials.ts'

const { values: flags } = parseArgs({
  options: {
    cifar10: { type: 'string' },
    out: { type: 'string' },
    questions: { type: 'string' },
    table: { type: 'string' },
    into: { type: 'string' },
  },
})

async function read(file: string): Promise<TrialResult[]> {
  if (!existsSync(file)) return []
  const lines = (await readFile(file, 'utf8')).split('\n')
  return lines.filter((line) => line.endsWith('}')).map((line) => JSON.parse(line) as TrialResult)
}

async function run(out: string): Promise<void> {
  const sets = await trialSets(flags.cifar10)
  const results = new Map((await read(out)).map((result) => [keyOf(result), result]))
  const backend = await createWasm({ threads: 1 })
  for (const [name, trials] of Object.entries(questions)) {
    if (flags.questions && !flags.questions.split(',').includes(name)) continue
    // What is tried next may depend on what has come of the others.
    for (;;) {
      const trial = trials(results).find((trial) => sets.has(trial.data) && !results.has(keyOf(trial)))
      if (!trial) break
      const result = await runTrial(backend, trial, sets.get(trial.data)!)
      results.set(keyOf(trial), result)
      await appendFile(out, `${JSON.stringify(result)}\n`)
      const { val, test } = result.marks.at(-1)!
      const took = `${result.training.toFixed(0)} of ${result.seconds.toFixed(0)} s`
      console.log(`${name}: ${keyOf(trial)}: val ${(100 * val).toFixed(1)}, test ${(100 * test).toFixed(1)}, ${took}`)
    }
  }
  await backend.dispose()
}

if (flags.out) await run(flags.out)
if (flags.table && flags.into) {
  await writeFile(flags.into, putTables(await readFile(flags.into, 'utf8'), await read(flags.table)))
}
