// Runs vitune on other engines than the one at hand and ends with the line `N passed, M failed`.
// node test/engines/run.mjs [node-22 | deno | bun | /path/to/node]...
// On each Node: kernels, losses, threads, image workers, files and the command line, by test/run.mjs under that Node. On every
// engine a short training, whose adapter has the bytes of the Node at hand (Bun's JavaScriptCore differs in the last bits, so
// there the accuracy has to do). Their binaries are npm packages with a lock file of their own, for Linux on x64; elsewhere
// give paths.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import sharp from 'sharp'
import { comes, execute as executeIn, install, packaged } from './install.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const program = join(root, 'dist/cli.js')
const suites = [
  'kernels',
  'losses',
  'wasm.test',
  'integer',
  'wide',
  'packed',
  'image-workers',
  'safetensors',
  'cli.test',
]

const execute = (file, args, options = {}) => executeIn(file, args, { cwd: root, ...options })

/** Trains for an epoch on the images of the quick start; resolves to its adapter and accuracy, or to what went wrong. */
async function train(file, before, folder, data) {
  const out = join(folder, `run-${Math.random().toString(36).slice(2)}`)
  const model = join(root, 'benchmarks/vit-cifar100')
  const args = ['train', '--data', data, '--model', model, '--epochs', '1', '--device', 'wasm', '--out', out]
  const { code, output } = await execute(file, [...before, program, ...args])
  if (code !== 0) return { failed: `vitune train ended with code ${code}:\n${output}` }
  const { accuracy } = JSON.parse(readFileSync(join(out, 'run.json'), 'utf8'))
  return { adapter: readFileSync(join(out, 'adapter_model.safetensors')), accuracy }
}

/** Three classes of twelve images each, cut from the sheet of digits. */
async function makeImages(folder) {
  const sheet = sharp(join(root, 'benchmarks/data/digits-train.png'))
  for (let label = 0; label < 3; label++) {
    mkdirSync(join(folder, `class-${label}`), { recursive: true })
    for (let i = 0; i < 12; i++) {
      const place = { left: i * 32, top: label * 96, width: 32, height: 32 }
      await sheet
        .clone()
        .extract(place)
        .png()
        .toFile(join(folder, `class-${label}`, `${i}.png`))
    }
  }
}

let passed = 0
let failed = 0
const count = (fine, text) => {
  if (fine) passed++
  else failed++
  console.log(`${fine ? 'ok    ' : 'FAILED'} ${text}`)
}

const wanted = process.argv.slice(2)
const own = wanted.filter((name) => !packaged.some((engine) => engine.name === name))
const engines = [
  ...packaged.filter(({ name }) => wanted.length === 0 || wanted.includes(name)),
  ...own.map((file) => ({ name: file, file, before: [] })),
]
const folder = mkdtempSync(join(tmpdir(), 'vitune-engines-'))
try {
  if (comes && engines.length > own.length) await install()
  if (!comes) console.log('skipped: no engines come as packages for this system; give paths of your own')
  const data = join(folder, 'images')
  await makeImages(data)
  const reference = await train(process.execPath, [], folder, data)
  count(!reference.failed, `trains on this Node, ${process.versions.node}${reference.failed ?? ''}`)
  for (const { name, file, before } of engines) {
    if (!existsSync(file)) {
      if (own.includes(name)) count(false, `${name}: is not there`)
      continue
    }
    const { output } = await execute(file, ['--version'])
    const version = `${name} (${output.trim().split('\n')[0]})`
    const result = await train(file, before, folder, data)
    const same = name === 'bun' ? result.accuracy === reference.accuracy : result.adapter?.equals(reference.adapter)
    count(same, `${version} trains to the same ${name === 'bun' ? 'accuracy' : 'bytes'}${result.failed ?? ''}`)
    if (before.length > 0 || name === 'bun') continue
    const start = performance.now()
    const env = { ...process.env, VITUNE_WITHOUT: 'webgpu,chromium', VITUNE_REQUIRE: '' }
    const run = await execute(file, [join(root, 'test/run.mjs'), ...suites], { env })
    const [, fine, bad] = /(\d+) passed, (\d+) failed\s*$/.exec(run.output) ?? [run.output, '0', '1']
    passed += Number(fine)
    failed += Number(bad)
    const seconds = ((performance.now() - start) / 1000).toFixed(0)
    console.log(`${Number(bad) ? 'FAILED' : 'ok    '} ${version} ${fine} passed, ${bad} failed, ${seconds} s`)
    if (Number(bad)) console.log(run.output)
  }
} catch (error) {
  count(false, error.message)
} finally {
  rmSync(folder, { recursive: true, force: true })
}
console.log(`${passed} passed, ${failed} failed`)
process.exitCode = failed ? 1 : 0
