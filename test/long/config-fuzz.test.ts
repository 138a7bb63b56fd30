// Bent configurations through the program, for a minute: it ends with code 0 or 2, prints settings or one sentence, and
// writes nothing. VITUNE_FUZZ_SECONDS and VITUNE_FUZZ_SEED change how long and which.
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { temporary, vitune } from '../cli-tools.ts'
import { caseOf } from '../config-fuzz.ts'

const { folder, clean } = temporary()
test.after(clean)
const seconds = Number(process.env.VITUNE_FUZZ_SECONDS ?? 60)
const seed = Number(process.env.VITUNE_FUZZ_SEED ?? Date.now() % 1_000_000)

test(`the program ends with code 0 or 2 on bent configurations, seed ${seed}`, async () => {
  const ends = performance.now() + 1000 * seconds
  const codes = new Map<number | null, number>()
  for (let number = 0; performance.now() < ends; number++) {
    const { text, flags } = caseOf(seed, number)
    const config = join(folder, 'c.yaml')
    const out = join(folder, 'RUN')
    writeFileSync(config, text)
    const end =
      number % 2 === 0 ? ['--print-config'] : ['--out', out, '--data', join(folder, 'nothing'), '--model', 'nothing']
    const { code, out: printed, err } = await vitune('train', '--config', config, ...flags, ...end)
    const what = `seed ${seed}, case ${number}: ${flags.join(' ')}\n${text.slice(0, 2000)}\n${err}`
    assert.ok(code === 0 || code === 2, what)
    if (code === 2) assert.match(err, /^vitune: [^\n]{1,300}\n$/m, what)
    assert.is(printed !== '', code === 0, what)
    assert.not.ok(existsSync(out), what)
    codes.set(code, (codes.get(code) ?? 0) + 1)
  }
  assert.ok((codes.get(0) ?? 0) > 0 && (codes.get(2) ?? 0) > 0)
})

test.run()
