// The fuzzer of configurations for two seconds and with one seed; test/long/config-fuzz.test.ts has more, through the program.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { configOf, configText, parseConfig } from '../src/cli/config-file.ts'
import { carryDotted, readDotted } from '../src/cli/dotted.ts'
import { parseYaml } from '../src/cli/yaml-text.ts'
import { InputError } from '../src/platform/errors.ts'
import { caseOf, good } from './config-fuzz.ts'

/** What a text comes to with flags; a sentence, or settings that are printed and read again as the same text. */
function read({ text, flags }: { text: string; flags: string[] }): string {
  const carried = carryDotted(flags).filter((_, i, all) => all[i - 1] === '--set')
  const { settings } = configOf(parseYaml(text, 'c.yaml'), 'c.yaml', readDotted(carried))
  const printed = configText(settings)
  assert.is(configText(parseConfig(printed, 'printed')), printed)
  return printed
}

test('bent configurations and flags of a fixed seed end with settings that can be printed, or with a sentence', () => {
  const started = performance.now()
  const [said, problems] = [{ read: 0, refused: 0 }, [] as string[]]
  let number = 0
  for (; number < 60 || (performance.now() - started < 2000 && number < 100_000); number++) {
    const given = caseOf(1, number)
    const began = performance.now()
    try {
      read(given)
      said.read++
    } catch (error) {
      said.refused++
      const { message } = error as Error
      if (!(error instanceof InputError) || message.length > 300 || message.includes('\n')) {
        problems.push(
          `case ${number}: ${String(error)}\n${(error as Error).stack}\n${given.text.slice(0, 2000)}\n${given.flags.join(' ')}`,
        )
      }
    }
    if (performance.now() - began > 2000) problems.push(`case ${number}: took ${performance.now() - began} ms`)
  }
  assert.equal(problems.slice(0, 3), [])
  assert.ok(said.read > number / 50 && said.refused > number / 50, JSON.stringify(said))
  assert.equal(({} as Record<string, unknown>).lr, undefined)
  for (const text of good)
    if (!text.startsWith('task: MULTI_CLASS_CLS\ninput_size'))
      read({ text: text.replace(/^data: \.\..*$/m, ''), flags: [] })
  assert.equal(caseOf(7, 11), caseOf(7, 11))
})

test.run()
