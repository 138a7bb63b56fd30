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

/** A Python that has torch: VITUNE_PYTHON, python3, /usr/bin/python3; or undefined. */
function findPython(): string | undefined {
  const given = process.env.VITUNE_PYTHON
  const candidates = given ? [given] : ['python3', '/usr/bin/python3']
  return candidates.find((python) => spawnSync(python, ['-c', 'import torch'], { stdio: 'ignore' }).status === 0)
}

/** Makes the peers ready: the Python to use, and why those that cannot run cannot. */
export async function preparePeers(
  say: (text: string) => void,
): Promise<{ python: string; missing: Partial<Record<Kind, string>> }> {
  const missing: Partial<Record<Kind, string>> = {}
  const failed = await install(say)
  if (failed !== undefined) for (const kind of ['onnx', 'tfjs', 'jax'] as const) missing[kind] = failed
  const python = findPython()
  if (python === undefined) missing.pytorch = 'no python3 with torch was found; VITUNE_PYTHON names one'
  return { python: python ?? 'python3', missing }
}
