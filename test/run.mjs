// Runs every test/**/*.test.ts in a process of its own and ends with the line `N passed, M failed`.
// node test/run.mjs [--long | --browsers] [--jobs 2] [--verbose] [part of a file name]...
// What takes minutes (fuzzing, kills by the dozen) stands in test/long/ and runs with --long, other browsers in test/browsers/
// with --browsers, and nothing else then.
// Two files at a time, the longest first so that both lanes end together; what measures time runs by itself afterwards.
// Without a GPU adapter or a browser the tests that need one are left out, which is said above the last line;
// VITUNE_REQUIRE=webgpu,chromium,firefox,webkit makes that a failure, VITUNE_WITHOUT (the same names) hides them.
import { spawn } from 'node:child_process'
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { basename, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs, stripVTControlCharacters } from 'node:util'
import { firefoxHere, webkitHere } from './browsers/installed.mjs'
import { bundle } from './bundle.mjs'
import { available as chromiumHere } from './chromium.mjs'
import { softwareGpu } from './software-gpu.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    long: { type: 'boolean', default: false },
    browsers: { type: 'boolean', default: false },
    jobs: { type: 'string', default: '2' },
    verbose: { type: 'boolean', default: false },
  },
})

const timeLimit = (values.long ? 15 : 5) * 60 * 1000

const among = (variable, name) => (process.env[variable] ?? '').split(',').includes(name)
const driver = await softwareGpu()

/** True, or why Node has no WebGPU here. */
async function webgpuHere() {
  if (among('VITUNE_WITHOUT', 'webgpu')) return 'VITUNE_WITHOUT hides it'
  const { code, output } = await execute('test/webgpu-probe.mjs', { ...process.env, ...driver })
  const said = output.trim().split('\n').at(-1)
  if (said === 'true') return true
  return said || `the webgpu package ended with code ${code}`
}

/** The folders of what is not part of every run, and the one that is asked for. */
const apart = ['long', 'browsers']
const wanted = apart.find((folder) => values[folder])
const folderOf = (file) => apart.find((folder) => relative(join(root, 'test'), file).startsWith(folder))

// What a machine may lack, and the test files that are for it alone.
const parts =
  wanted === 'browsers'
    ? [
        { id: 'firefox', name: 'Firefox', here: firefoxHere(), needs: (file) => /\/firefox[^/]*$/.test(file) },
        { id: 'webkit', name: 'WebKit', here: webkitHere(), needs: (file) => /\/webkit[^/]*$/.test(file) },
      ]
    : [
        {
          id: 'webgpu',
          name: 'WebGPU in Node',
          here: await webgpuHere(),
          needs: (file) => /\/webgpu[^/]*$/.test(file),
        },
        {
          id: 'chromium',
          name: 'Chromium',
          here: chromiumHere(),
          needs: (file) => /from '\.\.?\/(chromium\.mjs|\w+-page\.ts)'/.test(readFileSync(file, 'utf8')),
        },
      ]
const missing = parts.filter(({ here }) => here !== true)
const withGpu = {
  ...process.env,
  ...driver,
  ...(parts.some(({ id, here }) => id === 'webgpu' && here === true) ? { VITUNE_TEST_WEBGPU: '1' } : {}),
}
/** The driver in software goes to the files that run on WebGPU; `auto` would only try it and pass it over. */
const envOf = (file) =>
  /\/webgpu[^/]*$/.test(file) || readFileSync(file, 'utf8').match(/\/backends\.ts|VITUNE_TEST_WEBGPU/)
    ? withGpu
    : process.env
// Those of ten seconds and more; only speed depends on it.
const longest = 'kernels train cli cli-train torch-values session replay losses backend'
const rank = (file) => `${longest} `.indexOf(`${basename(file, '.test.ts')} `) >>> 0
const isTimed = (file) => basename(file).startsWith('alone')

const found = readdirSync(join(root, 'test'), { recursive: true })
  .filter((name) => name.endsWith('.test.ts'))
  .map((name) => join(root, 'test', name))
  .filter((file) => folderOf(file) === wanted)
  .filter((file) => positionals.length === 0 || positionals.some((part) => relative(root, file).includes(part)))
  .sort()
const files = found.filter((file) => !missing.some(({ needs }) => needs(file)))

/** Output and exit code of one file; a file that outlives the time limit is killed and has no code. */
function execute(file, env) {
  return new Promise((resolve) => {
    const stdio = ['ignore', 'pipe', 'pipe']
    const child = spawn(process.execPath, ['--enable-source-maps', file], { cwd: root, env, stdio })
    let output = ''
    const timer = setTimeout(() => {
      output += `\nStopped after ${timeLimit / 1000} s.\n`
      child.kill('SIGKILL')
    }, timeLimit)
    child.stdout.on('data', (chunk) => (output += chunk))
    child.stderr.on('data', (chunk) => (output += chunk))
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      if (signal) output += `\nEnded by ${signal}.\n`
      resolve({ code, output })
    })
  })
}

/** Counts from uvu's closing lines; whatever is not a clean pass adds a failure: a crash, no tests, a skipped one. */
function judge(file, { code, output }) {
  const plain = stripVTControlCharacters(output)
  const count = (label) => Number([...plain.matchAll(new RegExp(`^ *${label}: +(\\d+)`, 'gm'))].at(-1)?.[1] ?? 0)
  const passed = count('Passed')
  let failed = count('Total') - passed
  let reason = ''
  if (/\.only\(/.test(readFileSync(file, 'utf8'))) reason = 'Some tests were left out by .only().'
  else if (count('Skipped') > 0) reason = 'A skipped test counts as failed.'
  else if (count('Total') === 0) reason = 'No tests ran.'
  else if (code !== 0 && failed === 0) reason = `Exit code ${code} although no test failed.`
  if (reason) failed = Math.max(failed, 1)
  return { passed, failed, reason }
}

let passed = 0
let failed = 0
async function work(queue) {
  for (let file = queue.shift(); file; file = queue.shift()) {
    const start = performance.now()
    const result = await execute(made.get(file), envOf(file))
    const verdict = judge(file, result)
    passed += verdict.passed
    failed += verdict.failed
    const seconds = ((performance.now() - start) / 1000).toFixed(1)
    const name = relative(join(root, 'test'), file)
    const counts = `${verdict.passed} passed${verdict.failed ? `, ${verdict.failed} FAILED` : ''}`
    console.log(`${name.padEnd(36)} ${counts.padEnd(22)} ${seconds.padStart(6)} s`)
    if (verdict.failed || values.verbose) console.log(`${result.output}${verdict.reason}`)
  }
}

if (found.length === 0) {
  console.log(`No test file matches ${positionals.join(' ') || 'test/**/*.test.ts'}.`)
  failed = 1
}
const { folder, made } = await bundle(files)
const queue = files.filter((file) => !isTimed(file)).sort((a, b) => rank(a) - rank(b))
await Promise.all(Array.from({ length: Math.max(1, Number(values.jobs) || 1) }, () => work(queue)))
await work(files.filter(isTimed))
rmSync(folder, { recursive: true })
for (const { id, name, here, needs } of missing) {
  const files = found.filter(needs).map((file) => relative(join(root, 'test'), file))
  if (id === 'webgpu') files.push('and WebGPU in every other file')
  const required = among('VITUNE_REQUIRE', id)
  if (required) failed++
  console.log(
    `skipped: ${name} (${here}): ${files.join(', ')}${required ? '; VITUNE_REQUIRE does not allow this' : ''}`,
  )
}
console.log(`${passed} passed, ${failed} failed`)
process.exitCode = failed ? 1 : 0
