// Runs killed at forty random moments of their writing, some of them twice, and merges at ten; and by the clock.
// VITUNE_KILL_SEED repeats a run; the seed is told.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Rng } from 'vitune/tensor'
import { images, model, program, temporary, vitune } from '../cli-tools.ts'
import { filesOf, killAndResume, killedAt, momentsOf, onward } from '../kills.ts'

const seed = Number(process.env.VITUNE_KILL_SEED ?? Date.now() % 1e9)
console.log(`seed ${seed}`)
const rng = new Rng(seed, 31)
const { folder, clean } = temporary()
test.after(clean)
const data = await images(join(folder, 'data'), 5)
writeFileSync(join(data, 'red', 'broken.png'), 'no image')
const common = ['--data', data, '--model', model, '--batch-size', '8', '--threads', '1', '--device', 'wasm']

const recipes: Record<string, string[]> = {
  'LoRA, saved after each step': ['--epochs', '3', '--save-every', '0'],
  'full, saved after each epoch': ['--epochs', '3', '--peft', 'full', '--lr', '1e-3'],
  'DoRA with dropout, a cosine and patience': [
    ...['--epochs', '4', '--peft', 'dora', '--dropout', '0.1', '--lora-dropout', '0.1'],
    ...['--schedule', 'cosine', '--patience', '2', '--save-every', '0'],
  ],
  'linear, batches accumulated': ['--epochs', '3', '--peft', 'linear', '--accumulate', '2', '--batch-size', '4'],
}
const each = 40 / Object.keys(recipes).length
let places = 0

for (const [name, recipe] of Object.entries(recipes)) {
  test(`${name}: killed at ${each} random moments, the resumed run's files are those of one that was not`, async () => {
    const args = (out: string) => ['train', ...common, ...recipe, '--out', out]
    await killAndResume(folder, `recipe-${places++}`, args, each, rng)
  })
}

test('merges killed at ten random moments leave no folder, and the next one makes it whole', async () => {
  const run = join(folder, `run-${places++}`)
  assert.is((await vitune('train', ...common, '--epochs', '1', '--out', run)).code, 0)
  const args = (out: string) => ['merge', '--run', run, '--out', out, '--threads', '1', '--device', 'wasm']
  const whole = join(folder, 'merged')
  const moments = await momentsOf(folder, args(whole))
  for (let i = 0; i < 10; i++) {
    const out = join(folder, `merged-${places++}`)
    const at = rng.below(moments.length)
    assert.ok(await killedAt(folder, args(out), at))
    const said = `${at} ${moments[at]}`
    const done = existsSync(out)
    if (!done) assert.is((await vitune(...args(out))).code, 0, said)
    // Where it was killed after the last rename, the folder is whole already.
    assert.equal(filesOf(out), filesOf(whole), said)
    const left = readdirSync(folder).filter((entry) => entry.includes(`${basename(out)}.`))
    assert.equal(left, done ? [`.${basename(out)}.lock`] : [], said)
    rmSync(out, { recursive: true })
  }
})

test('a limit on the size of files, wherever it is met, is one sentence; resumed without it, the files are those of a whole run', async () => {
  const args = (out: string) => ['train', ...common, '--epochs', '60', '--rank', '1', '--out', out]
  const whole = join(folder, 'limit-whole')
  assert.is((await vitune(...args(whole))).code, 0)
  const named = new Set<string>()
  for (const kilobytes of [1, 2, 3, 4, 5, 6, 7, 8, 10, 12]) {
    const out = join(folder, `run-${places++}`)
    const quoted = [process.execPath, program, ...args(out)].map((arg) => `'${arg}'`).join(' ')
    const { status, stderr } = spawnSync('bash', ['-c', `ulimit -f ${kilobytes}; ${quoted}`], { encoding: 'utf8' })
    if (status !== 0) {
      const sentence = stderr.trimEnd().split('\n').at(-1)!
      assert.match(sentence, /^vitune: \S+: cannot be written, .*EFBIG/)
      assert.is(status, 2)
      assert.not.match(stderr, /^ +at /m)
      named.add(basename(sentence.split(': ')[1]!))
    }
    if (existsSync(out))
      assert.equal(
        readdirSync(out).filter((name) => /tmp|lock/.test(name)),
        [],
      )
    assert.is((await vitune(...onward(out, args(out)))).code, 0)
    assert.equal(filesOf(out), filesOf(whole), `${kilobytes} kB`)
  }
  console.log(`met at ${[...named].join(', ')}`)
  assert.ok(named.size > 1)
})

test('killed by the clock six times in a row, a run ends as one that was not', async () => {
  const args = (out: string) => ['train', ...common, '--epochs', '40', '--save-every', '0', '--out', out]
  const [whole, out] = [join(folder, 'clock-whole'), join(folder, 'clock')]
  assert.is((await vitune(...args(whole))).code, 0)
  for (let i = 0; i < 6; i++) {
    const child: ChildProcess = spawn(process.execPath, [program, ...onward(out, args(out))], { stdio: 'ignore' })
    const ended = new Promise((resolve) => child.on('close', resolve))
    await new Promise((resolve) => setTimeout(resolve, 700 + rng.below(900)))
    child.kill('SIGKILL')
    await ended
  }
  assert.is((await vitune(...onward(out, args(out)))).code, 0)
  assert.equal(filesOf(out), filesOf(whole))
})

test.run()
