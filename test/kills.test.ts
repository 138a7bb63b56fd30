// A run that is killed where it hurts most ends, resumed, with the files of one that was not. Forty moments: long/kills.test.ts.
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { images, model, temporary, vitune } from './cli-tools.ts'
import { filesOf, killedAt, momentsOf } from './kills.ts'

const { folder, clean } = temporary()
test.after(clean)
const data = await images(join(folder, 'data'), 5)
writeFileSync(join(data, 'red', 'broken.png'), 'no image')
const args = (out: string) => [
  ...['train', '--data', data, '--model', model, '--out', out, '--epochs', '2', '--batch-size', '8'],
  ...['--save-every', '0', '--threads', '1', '--device', 'wasm'],
]
const whole = join(folder, 'whole')
const moments = await momentsOf(folder, args(whole))

/** The last moment (or one before) that reads like this. */
const last = (pattern: RegExp, before = moments.length): number => {
  const at = moments.slice(0, before).findLastIndex((moment) => pattern.test(moment))
  assert.ok(at >= 0, `${pattern} in\n${moments.join('\n')}`)
  return at
}
const replaced = /^rename .* \S+\/checkpoint\.safetensors$/
const cases: [string, number][] = [
  ["between the last epoch's line and its checkpoint", last(replaced)],
  ['inside the last checkpoint', last(/^half .*checkpoint\.safetensors/)],
  ["between a model's two files", last(/^rename .* \S+\/adapter_model\.safetensors$/)],
  ['inside a line', last(/^half .*metrics\.jsonl/, last(replaced, last(replaced)))],
  ['before run.json is there', moments.findIndex((moment) => /^rename .*\/run\.json$/.test(moment))],
]

for (const [where, at] of cases) {
  test(`killed ${where}`, async () => {
    const out = join(folder, `run-${at}`)
    assert.ok(await killedAt(folder, args(out), at), moments[at])
    const again = existsSync(join(out, 'run.json')) ? ['train', '--resume', '--out', out] : args(out)
    const { code, err } = await vitune(...again)
    assert.is(code, 0, err)
    assert.equal(filesOf(out), filesOf(whole))
  })
}

test.run()
