// Makes a clone ready to run: packages from the lock file and dist/, each only when stale. Silent when nothing is.
// Plain Node, since it runs before anything is installed. Two at once wait for each other; an interrupted one is redone.
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const at = (...parts) => join(root, ...parts)
const installed = at('node_modules/.cache/vitune/installed')
const built = at('dist/stamp')
const waitLimit = 15 * 60 * 1000

const readText = (path) => (existsSync(path) ? readFileSync(path, 'utf8') : undefined)

function put(path, text) {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
}

/** Hash of the names and bytes of files and of whole folders (sources only), in a fixed order. */
function hashOf(paths) {
  const hash = createHash('sha256')
  const add = (path) => hash.update(`\0${path}\0`).update(readFileSync(at(path)))
  for (const path of paths) {
    if (!existsSync(at(path))) continue
    if (/\.\w+$/.test(path)) add(path)
    else
      for (const name of readdirSync(at(path), { recursive: true }).sort())
        if (/\.(ts|html|css|svg)$/.test(name) && !name.includes('node_modules')) add(join(path, name))
  }
  return hash.digest('hex')
}

const lockHash = () => hashOf(['package-lock.json'])
const sourceHash = () =>
  hashOf([
    'src',
    'assembly',
    'benchmarks',
    'package.json',
    'package-lock.json',
    'rollup.config.mjs',
    'tsconfig.json',
    '.ci/tsconfig.types.json',
    '.ci/demo-files.mjs',
  ])

/** Whether npm's own record of node_modules holds every version that the lock file asks for on every platform. */
function matchesLock() {
  const record = readText(at('node_modules/.package-lock.json'))
  if (!record) return false
  const have = JSON.parse(record).packages
  const want = Object.entries(JSON.parse(readFileSync(at('package-lock.json'), 'utf8')).packages)
  return want.every(([path, { version, optional }]) => path === '' || optional || have[path]?.version === version)
}

function packagesStale() {
  if (readText(installed) === lockHash()) return false
  if (!matchesLock()) return true
  put(installed, lockHash()) // installed by hand
  return false
}

const distStale = () => readText(built) !== sourceHash() || !existsSync(at('dist/index.js'))

/** Runs a program to its end without showing its output; resolves to that and its exit code. */
function run(command, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'], ...options })
    let output = ''
    child.stdout.on('data', (chunk) => (output += chunk))
    child.stderr.on('data', (chunk) => (output += chunk))
    child.on('error', reject)
    child.on('close', (code) => resolve({ code, output }))
  })
}

const node = (...args) => run(process.execPath, args)

async function install() {
  console.log('Installing packages from package-lock.json ...')
  // No package here needs its install script: the native ones ship their binaries.
  const args = ['ci', '--no-audit', '--no-fund', '--include=dev', '--ignore-scripts']
  const npm = process.env.npm_execpath
  const { code, output } = npm?.endsWith('.js')
    ? await node(npm, ...args)
    : await run('npm', args, { shell: process.platform === 'win32' })
  if (code !== 0) throw new Error(`npm ci failed with code ${code}:\n${output}`)
  put(installed, lockHash())
}

async function build() {
  console.log('Building dist/ ...')
  const hash = sourceHash() // before, so that an edit during the build leaves dist stale
  rmSync(built, { force: true })
  rmSync(at('dist/types'), { recursive: true, force: true }) // else declarations of deleted files stay
  const [js, types] = await Promise.all([
    node('node_modules/rollup/dist/bin/rollup', '-c', '--silent'),
    node('node_modules/typescript/bin/tsc', '-p', '.ci/tsconfig.types.json'),
  ])
  if (js.code !== 0) throw new Error(`rollup failed with code ${js.code}:\n${js.output}`)
  // Declarations come out despite type errors, which are no reason not to run.
  if (types.code !== 0) console.log(`${types.output}Type errors (npm run check); going on.`)
  put(built, hash)
}

const isAlive = (pid) => {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error.code === 'EPERM'
  }
}

/** Runs `body` while no other setup of this clone does. The lock is a folder that holds its owner's process id. */
async function locked(body) {
  const lock = at('.tmp/setup.lock')
  mkdirSync(at('.tmp'), { recursive: true })
  const mine = mkdtempSync(at('.tmp/setup-'))
  writeFileSync(join(mine, 'pid'), String(process.pid))
  const drop = () => {
    // Renamed first: removing it in place would pass through an empty folder, which another setup could take.
    const gone = `${mine}-gone`
    renameSync(lock, gone)
    rmSync(gone, { recursive: true, force: true })
  }
  const start = Date.now()
  for (let told = false; ; told = true) {
    try {
      renameSync(mine, lock) // refused while the lock exists, since it is not empty
      break
    } catch (error) {
      if (!existsSync(lock)) {
        if (error.code === 'ENOENT') throw error
        continue
      }
    }
    const owner = Number(readText(join(lock, 'pid')))
    if (owner && !isAlive(owner)) {
      if (Number(readText(join(lock, 'pid'))) === owner) drop()
      continue
    }
    if (Date.now() - start > waitLimit)
      throw new Error(`another setup (process ${owner}) holds ${lock}; remove it if not`)
    if (!told) console.log('Waiting for another setup of this clone ...')
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  try {
    await body()
  } finally {
    drop()
  }
}

try {
  if (packagesStale() || distStale()) {
    await locked(async () => {
      if (packagesStale()) await install()
      if (distStale()) await build()
    })
  }
} catch (error) {
  console.error(`setup: ${error.message}`)
  process.exitCode = 1
}
