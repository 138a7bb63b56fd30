// The engines that come as npm packages (Linux on x64), from the lock file of this folder: which there are, and installing them.
import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = fileURLToPath(new URL('.', import.meta.url))

/** Each with its program and the words that it wants before a script's name. */
export const packaged = [
  ...['node-20.12', 'node-22', 'node-24', 'node-26'].map((name) => ({ name, file: `${name}/bin/node`, before: [] })),
  { name: 'deno', file: '@deno/linux-x64-glibc/deno', before: ['run', '--allow-all'] },
  { name: 'bun', file: '@oven/bun-linux-x64/bin/bun', before: [] },
].map((engine) => ({ ...engine, file: join(here, 'node_modules', engine.file) }))

/** Whether they come for this system. */
export const comes = process.platform === 'linux' && process.arch === 'x64'

/** Runs a program to its end; resolves to its exit code and what it said. */
export function execute(file, args, options = {}) {
  return new Promise((resolve) => {
    const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options })
    let output = ''
    child.stdout.on('data', (chunk) => (output += chunk))
    child.stderr.on('data', (chunk) => (output += chunk))
    child.on('error', (error) => resolve({ code: -1, output: String(error) }))
    child.on('close', (code) => resolve({ code, output }))
  })
}

/** The packages of the lock file, once; `say` is told where that takes a while. Throws where npm fails. */
export async function install(say = console.log) {
  const lock = readFileSync(join(here, 'package-lock.json'), 'utf8')
  const record = join(here, 'node_modules/.package-lock.json')
  const want = Object.entries(JSON.parse(lock).packages).filter(([path]) => path !== '')
  const have = existsSync(record) ? JSON.parse(readFileSync(record, 'utf8')).packages : {}
  if (want.every(([path, { version }]) => have[path]?.version === version)) return
  say('Installing engines from test/engines/package-lock.json ...')
  const args = ['ci', '--no-audit', '--no-fund', '--ignore-scripts']
  const npm = process.env.npm_execpath
  const { code, output } = npm?.endsWith('.js')
    ? await execute(process.execPath, [npm, ...args], { cwd: here })
    : await execute('npm', args, { cwd: here, shell: process.platform === 'win32' })
  if (code !== 0) throw new Error(`npm ci failed with code ${code}:\n${output}`)
}
