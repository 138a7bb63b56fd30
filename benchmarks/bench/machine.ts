// The machine, and which peers can run on it. Peers are installed into peers/node_modules from their own lock file, once.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { cpus, totalmem } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Kind } from './contender.ts'

const peers = fileURLToPath(new URL('./peers', import.meta.url))

/**
 * What tells processors apart that a virtual machine gives one name, and how wide native peers may compute: family, model and
 * widest vectors, where Linux says so (x64).
 */
export function processorDetails(cpuinfo: string): string {
  const field = (name: string) => new RegExp(`^${name}\\s*:\\s*(.*)$`, 'm').exec(cpuinfo)?.[1]
  const [family, model, flags] = [field('cpu family'), field('model'), field('flags')?.split(' ')]
  if (family === undefined || model === undefined || !flags) return ''
  const widest = flags.includes('avx512f') ? ', AVX-512' : flags.includes('avx2') ? ', AVX2' : ''
  return ` (family ${family} model ${model}${widest})`
}

/** Whether four products of bytes are one instruction, in this Node and on this processor; Arm's are taken to have it. */
export function multipliesBytes(cpuinfo: string, node = process.versions.node, arch: string = process.arch): boolean {
  if (Number(node.split('.')[0]) < 24) return false
  return arch === 'arm64' || /^flags\s*:.*\bavx(512)?_vnni\b/m.test(cpuinfo)
}

/** What results depend on, for people. */
export function machineFacts(threads: number): Record<string, string> {
  const all = cpus()
  const details = existsSync('/proc/cpuinfo') ? processorDetails(readFileSync('/proc/cpuinfo', 'utf8')) : ''
  return {
    processor: `${all[0]?.model.trim() ?? 'unknown'}${details}, ${all.length} cores`,
    memory: `${(totalmem() / 1e9).toFixed(0)} GB`,
    system: `${process.platform} ${process.arch}`,
    runtime: `Node ${process.versions.node}`,
    threads: String(threads),
  }
}

/** Whether what npm installed is what the lock file asks for. */
function installed(): boolean {
  const record = join(peers, 'node_modules/.package-lock.json')
  if (!existsSync(record)) return false
  const versionsOf = (file: string) =>
    (JSON.parse(readFileSync(file, 'utf8')) as { packages: Record<string, { version: string; optional?: boolean }> })
      .packages
  const have = versionsOf(record)
  const want = Object.entries(versionsOf(join(peers, 'package-lock.json')))
  return want.every(([path, { version, optional }]) => path === '' || optional || have[path]?.version === version)
}

/** Installs the peers from npm where they are not; resolves to why that failed, or undefined. No install script is run. */
async function install(say: (text: string) => void): Promise<string | undefined> {
  if (installed()) return undefined
  say('Installing the peers into benchmarks/bench/peers (once; about 760 MB) ...')
  const args = ['ci', '--ignore-scripts', '--no-audit', '--no-fund']
  const npm = process.env.npm_execpath
  const [command, all] = npm?.endsWith('.js') ? [process.execPath, [npm, ...args]] : ['npm', args]
  return new Promise((resolve) => {
    const child = spawn(command, all, { cwd: peers, stdio: ['ignore', 'ignore', 'pipe'] })
    let output = ''
    child.stderr.on('data', (chunk) => {
      output += chunk
    })
    child.on('error', (error) => resolve(error.message))
    child.on('close', (code) => {
      const line = output.split('\n').find((text) => text.includes('npm error')) ?? ''
      resolve(code === 0 ? undefined : `npm ci failed with code ${code}: ${line}`)
    })
  })
}

/** A PyTorch that is here. */
export interface Torch {
  /** `PyTorch 2.15 (native)` */
  readonly who: string
  readonly python: string
}

/** Where peers/torch.sh puts its own. */
const ownTorch = fileURLToPath(new URL('../../node_modules/.cache/vitune/torch-2.15.0/bin/python', import.meta.url))

/** Each version of torch that is here once: VITUNE_PYTHON alone where it is given; else torch.sh's, python3's, the system's. */
function findTorches(): Torch[] {
  const given = process.env.VITUNE_PYTHON
  const found = new Map<string, Torch>()
  for (const python of given ? given.split(':') : [ownTorch, 'python3', '/usr/bin/python3']) {
    const { status, stdout } = spawnSync(python, ['-c', 'import torch; print(torch.__version__)'], { encoding: 'utf8' })
    if (status !== 0) continue
    const who = `PyTorch ${stdout.trim().split('.').slice(0, 2).join('.')} (native)`
    if (!found.has(who)) found.set(who, { who, python })
  }
  return [...found.values()]
}

/** Makes the peers ready: those of PyTorch, and why those that cannot run cannot. */
export async function preparePeers(
  say: (text: string) => void,
): Promise<{ torches: readonly Torch[]; missing: Partial<Record<Kind, string>> }> {
  const missing: Partial<Record<Kind, string>> = {}
  const failed = await install(say)
  if (failed !== undefined) for (const kind of ['onnx', 'tfjs', 'jax'] as const) missing[kind] = failed
  const torches = findTorches()
  const why = 'no Python with torch was found; sh benchmarks/bench/peers/torch.sh makes one, VITUNE_PYTHON names one'
  if (torches.length === 0) missing.pytorch = why
  return { torches, missing }
}
