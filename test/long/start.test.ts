// `npm start` as a user runs it, in small: its flags, its files, and what is left when it is interrupted.
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { ExperimentResult } from 'vitune'

const program = fileURLToPath(new URL('../../dist/start.js', import.meta.url))
// Elsewhere than the clone: weights and images are found beside the program, not from the working directory.
const folder = mkdtempSync(join(tmpdir(), 'vitune-start-'))
test.after(() => rmSync(folder, { recursive: true, force: true }))

/** Runs to its end; `watch` sees standard error as it grows. */
function start(args: string[], watch: (error: string, kill: (signal: NodeJS.Signals) => void) => void = () => {}) {
  return new Promise<{ code: number | null; out: string; error: string }>((resolve, reject) => {
    const child = spawn(process.execPath, [program, ...args], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
    let out = ''
    let error = ''
    child.stdout.on('data', (chunk) => {
      out += chunk
    })
    child.stderr.on('data', (chunk) => {
      error += chunk
      watch(error, (signal) => child.kill(signal))
    })
    child.on('error', reject)
    child.on('close', (code) => resolve({ code, out, error }))
  })
}
const results = (name: string) =>
  JSON.parse(readFileSync(join(folder, name, 'results.json'), 'utf8')) as ExperimentResult

test('--help lists every flag and examples', async () => {
  const { code, out, error } = await start(['--help'])
  assert.is(code, 0)
  assert.is(error, '')
  for (const flag of 'seeds methods datasets epochs train-per-class threads out json export-data'.split(' ')) {
    assert.match(out, `--${flag}`)
  }
  assert.match(out, /Examples:\n {2}npm start /)
})

test('a wrong flag or value ends with one line that names it, exit code 2 and no files', async () => {
  writeFileSync(join(folder, 'file'), '')
  const wrong: [string[], RegExp][] = [
    [['--sedes', '3'], /^unknown option '--sedes'.*--seeds/],
    [['--seeds', '0'], /^--seeds: must be a whole number from 1 to 100, got 0$/],
    [['--methods', 'lora,foo'], /^--methods: must be among linear, lora, dora, full, scratch, got foo$/],
    [['--datasets', 'cats'], /^--datasets: must be among digits, fashion, emoji-tree, emoji-tags, got cats$/],
    [['--train-per-class', '201'], /^--train-per-class: must be a whole number from 1 to 200, got 201$/],
    [['digits'], /^too many arguments/],
    [['--out', 'file'], /^--out: must be a folder that can be made, got file$/],
  ]
  const ends = await Promise.all(wrong.map(([args]) => start(args)))
  for (const [i, { code, out, error }] of ends.entries()) {
    assert.is(code, 2, error)
    assert.is(out, '')
    assert.is(error.trim().split('\n').length, 1, error)
    assert.match(error.trim(), wrong[i]![1])
  }
  assert.equal(readdirSync(folder), ['file'])
})

test('a small run shows each method as it finishes, then the table, and writes the report and its numbers', async () => {
  const small = '--methods linear,lora --datasets digits --epochs 1 --train-per-class 4 --out small'.split(' ')
  const { code, out, error } = await start(small)
  assert.is(code, 0, error)
  assert.match(error, /1\/2 {2}digits {2}Linear +\d+\.\d %.*\n2\/2 {2}digits {2}LoRA +\d+\.\d %/)
  assert.not.match(out + error, '\u001b')
  assert.match(out, /accuracy +F1 +trainable.*\ndigits\n {2}Linear .*\n {2}LoRA /)
  assert.match(out, 'vitune train')
  const { runs, command, model, datasets } = results('small')
  assert.equal(
    runs.map((run) => run.method),
    ['linear', 'lora'],
  )
  for (const run of runs) assert.match(out, `${(100 * run.accuracy).toFixed(1)} %`)
  assert.is(command, `npm start -- ${small.join(' ')}`)
  assert.match(model.source, 'CIFAR-100')
  assert.equal([datasets[0]!.train, datasets[0]!.test], [40, 500])
  const report = readFileSync(join(folder, 'small/report.html'), 'utf8')
  for (const text of ['Linear', 'LoRA', 'MNIST', 'no augmentation', command]) assert.match(report, text)
})

test('by default it trains on one set for each task, and shows each by its own metrics', async () => {
  const args = '--methods linear --epochs 1 --train-per-class 4 --out tasks'.split(' ')
  const { code, out, error } = await start(args)
  assert.is(code, 0, error)
  assert.match(
    error,
    /1\/3 {2}fashion +Linear +\d+\.\d % accuracy .*\n2\/3 {2}emoji-tree .* % accuracy .*\n3\/3 {2}emoji-tags .* % mAP /,
  )
  assert.match(out, /\nfashion +accuracy +F1\n.*\nemoji-tree +accuracy +h-F1\n.*\nemoji-tags +mAP +F1\n/)
  const { runs, datasets } = results('tasks')
  assert.equal(
    runs.map(({ metrics }) => Object.keys(metrics!).some((name) => name === 'map' || name === 'h_f1')),
    [false, true, true],
  )
  assert.is(new Set(datasets.map(({ task }) => task)).size, 3)
  assert.match(readFileSync(join(folder, 'tasks/report.html'), 'utf8'), /<h2>emoji-tree: /)
})

test('interrupted, it reports the runs that were finished and exits with 130', async () => {
  let sent = false
  const long = '--methods linear,full --datasets fashion --epochs 40 --train-per-class 10 --json --out cut'.split(' ')
  const { code, out, error } = await start(long, (text, kill) => {
    if (!sent && /1\/2 {2}fashion/.test(text)) kill('SIGINT')
    sent ||= /1\/2 {2}fashion/.test(text)
  })
  assert.is(code, 130, error)
  assert.match(error, 'Stopped after 1 run')
  assert.equal(
    results('cut').runs.map((run) => run.method),
    ['linear'],
  )
  assert.equal(JSON.parse(out), results('cut'))
  assert.ok(existsSync(join(folder, 'cut/report.html')))
})

test('--export-data writes class folders and refuses to mix them with older ones', async () => {
  const args = '--export-data images --datasets fashion --train-per-class 2'.split(' ')
  const { code, out } = await start(args)
  assert.is(code, 0)
  assert.match(out, `npx vitune train --data ${join('images', 'fashion')}`)
  assert.equal(readdirSync(join(folder, 'images')), ['fashion'])
  assert.is(readdirSync(join(folder, 'images/fashion/train')).length, 10)
  assert.equal(readdirSync(join(folder, 'images/fashion/train/bag')), ['0001.png', '0002.png'])
  const all = await start(['--export-data', 'all', '--train-per-class', '1'])
  assert.match(all.out, `npx vitune train --data ${join('all', 'emoji-tags', 'labels.csv')} `)
  assert.equal(readdirSync(join(folder, 'all')).sort(), ['digits', 'emoji-tags', 'emoji-tree', 'fashion'])
  const again = await start(args)
  assert.is(again.code, 2)
  assert.match(again.error, 'already there')
})

test.run()
