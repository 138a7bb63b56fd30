// Killing the program at a given moment of its writing, and what is left to compare. What a moment is: the moment before one
// of its calls to the file system that change something, or the middle of a write. They are counted, so each can be met again.
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import * as assert from 'uvu/assert'
import type { Rng } from 'vitune/tensor'
import { program, vitune } from './cli-tools.ts'

/** Loaded before the program: counts and, where it is told to, kills. */
const hook = `
import fsp from 'node:fs/promises'
import { appendFileSync } from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { isMainThread } from 'node:worker_threads'
const { KILL_AT, KILL_LOG, KILL_PROBE } = process.env
if (isMainThread) {
  let count = 0
  const die = () => process.kill(process.pid, 'SIGKILL')
  const moment = (what) => {
    count++
    if (KILL_LOG) appendFileSync(KILL_LOG, what + '\\n')
    if (count === Number(KILL_AT)) die()
  }
  const opened = new Map()
  const { open } = fsp
  const probe = await open(KILL_PROBE)
  const handle = Object.getPrototypeOf(probe)
  await probe.close()
  fsp.open = async (path, flags, ...rest) => {
    if (flags === undefined || flags === 'r') return open(path, flags, ...rest)
    moment('open ' + path)
    const file = await open(path, flags, ...rest)
    opened.set(file, path)
    return file
  }
  for (const name of ['write', 'appendFile']) {
    const before = handle[name]
    handle[name] = async function (data, ...rest) {
      const path = opened.get(this)
      if (path === undefined) return before.call(this, data, ...rest)
      moment(name + ' ' + path)
      // In the middle: half of the bytes are there.
      count++
      if (KILL_LOG) appendFileSync(KILL_LOG, 'half ' + path + '\\n')
      if (count === Number(KILL_AT)) {
        await before.call(this, data.slice(0, data.length >> 1))
        die()
      }
      return before.call(this, data, ...rest)
    }
  }
  for (const name of ['sync', 'truncate']) {
    const before = handle[name]
    handle[name] = async function (...args) {
      if (opened.has(this)) moment(name + ' ' + opened.get(this))
      return before.apply(this, args)
    }
  }
  for (const name of ['rename', 'link', 'rm', 'mkdir', 'writeFile']) {
    const before = fsp[name]
    fsp[name] = async (...args) => {
      moment(name + ' ' + args.slice(0, name === 'rename' || name === 'link' ? 2 : 1).join(' '))
      return before(...args)
    }
  }
  syncBuiltinESMExports()
}
`

/** Runs the program with the hook; where it is killed the code is null. */
async function hooked(
  folder: string,
  args: readonly string[],
  env: Record<string, string>,
): Promise<{ code: number | null; err: string }> {
  const file = join(folder, 'kill-hook.mjs')
  if (!existsSync(file)) writeFileSync(file, hook)
  const child = spawn(process.execPath, ['--import', pathToFileURL(file).href, program, ...args], {
    env: { ...process.env, KILL_PROBE: file, ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let err = ''
  child.stderr.setEncoding('utf8').on('data', (text) => (err += text))
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve))
  return { code, err }
}

/** The moments of a whole run of the program, in order. */
export async function momentsOf(folder: string, args: readonly string[]): Promise<string[]> {
  const log = join(folder, 'moments')
  writeFileSync(log, '')
  const { code, err } = await hooked(folder, args, { KILL_LOG: log })
  assert.is(code, 0, err)
  return readFileSync(log, 'utf8').trimEnd().split('\n')
}

/** Runs the program until its moment `at` (counted from 0); true where it was killed, false where it came to its end before. */
export async function killedAt(folder: string, args: readonly string[], at: number): Promise<boolean> {
  const { code, err } = await hooked(folder, args, { KILL_AT: String(at + 1) })
  assert.ok(code === null || code === 0, `${code}: ${err}`)
  return code === null
}

/** What may differ in run.json between a run that was killed and one that was not: when, how long, how much memory, and where. */
export const mayDiffer = ['created', 'seconds', 'peakBytes', 'peakResidentBytes']

/** Every file of a run folder, as what can be compared and shown: text, SHA-256 of other bytes, of run.json what must not differ. */
export function filesOf(out: string): Record<string, unknown> {
  const entries = readdirSync(out).map((name): [string, unknown] => {
    const bytes = readFileSync(join(out, name))
    if (/\.(jsonl|txt)$|_config\.json$/.test(name)) return [name, bytes.toString()]
    if (name !== 'run.json') return [name, createHash('sha256').update(bytes).digest('hex')]
    const run = JSON.parse(bytes.toString())
    for (const key of mayDiffer) delete run[key]
    delete run.settings?.out
    return [name, run]
  })
  return Object.fromEntries(entries)
}

/** What continues a run, or begins it where nothing of it is there. */
export const onward = (out: string, args: readonly string[]): readonly string[] =>
  existsSync(join(out, 'run.json')) ? ['train', '--resume', '--out', out] : args

/**
 * Kills a training at so many random moments of its writing, every other one again while it goes on, each in a folder of its
 * own, and wants the files of the run that was not killed.
 */
export async function killAndResume(
  folder: string,
  name: string,
  args: (out: string) => string[],
  kills: number,
  rng: Rng,
): Promise<void> {
  const whole = join(folder, `${name}-whole`)
  const moments = await momentsOf(folder, args(whole))
  const want = filesOf(whole)
  for (let i = 0; i < kills; i++) {
    const out = join(folder, `${name}-${i}`)
    const at = rng.below(moments.length)
    const said = [`${at} ${moments[at]}`]
    assert.ok(await killedAt(folder, args(out), at), said[0])
    if (i % 2 === 1) {
      const second = rng.below(moments.length)
      said.push(`then ${second}: ${await killedAt(folder, onward(out, args(out)), second)}`)
    }
    const { code, err } = await vitune(...onward(out, args(out)))
    assert.is(code, 0, `${said.join(', ')}\n${err}`)
    assert.equal(filesOf(out), want, said.join(', '))
    rmSync(out, { recursive: true })
  }
}
