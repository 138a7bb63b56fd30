// Runs every test/**/*.test.ts in a process of its own and ends with the line `N passed, M failed`.
// node test/run.mjs [--jobs 2] [--verbose] [part of a file name]...
// With --webgpu also *.gpu.ts, and the WebGPU backend joins where tests loop over backends (in software, slow).
import { spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs, stripVTControlCharacters } from 'node:util'
import { softwareGpu } from './software-gpu.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const timeLimit = 5 * 60 * 1000
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    jobs: { type: 'string', default: '1' },
    verbose: { type: 'boolean', default: false },
    webgpu: { type: 'boolean', default: false },
  },
})

const env = values.webgpu ? { ...process.env, ...(await softwareGpu()), VITUNE_TEST_WEBGPU: '1' } : process.env
const endings = values.webgpu ? ['.test.ts', '.gpu.ts'] : ['.test.ts']
const files = readdirSync(join(root, 'test'), { recursive: true })
  .filter((name) => endings.some((ending) => name.endsWith(ending)))
  .map((name) => join(root, 'test', name))
  .filter((file) => positionals.length === 0 || positionals.some((part) => relative(root, file).includes(part)))
  .sort()

/** Output and exit code of one file; a file that outlives the time limit is killed and has no code. */
function execute(file) {
  return new Promise((resolve) => {
    const stdio = ['ignore', 'pipe', 'pipe']
    const child = spawn(process.execPath, ['--import', 'tsx', file], { cwd: root, env, stdio })
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
    const result = await execute(file)
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

if (files.length === 0) {
  console.log(`No test file matches ${positionals.join(' ') || 'test/**/*.test.ts'}.`)
  failed = 1
}
const queue = [...files]
await Promise.all(Array.from({ length: Math.max(1, Number(values.jobs) || 1) }, () => work(queue)))
console.log(`${passed} passed, ${failed} failed`)
process.exitCode = failed ? 1 : 0
