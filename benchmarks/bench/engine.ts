// `--node`: the whole benchmark under another Node, so that contenders, peaks and profiles are all of that one.
import { spawn } from 'node:child_process'
import { existsSync, realpathSync } from 'node:fs'
import { resolve } from 'node:path'
import { InputError } from 'vitune'
import { comes, install, packaged } from '../../test/engines/install.mjs'

/** The program of Node `wanted`: 22, 24, 26 or 20.12, which are packages of test/engines, or a path. Throws InputError. */
export async function nodeProgram(wanted: string, say: (text: string) => void): Promise<string> {
  const known = packaged.filter(({ name }) => name.startsWith('node-'))
  const found = known.find(({ name }) => name === `node-${wanted}`)
  if (found && comes) {
    await install(say)
    return found.file
  }
  const path = resolve(wanted)
  if (existsSync(path)) return path
  const names = known.map(({ name }) => name.slice('node-'.length)).join(', ')
  const where = comes ? '' : ' (Linux on x64 only)'
  throw new InputError(`--node: must be one of ${names}${where} or the path of a Node, got ${wanted}`)
}

/** Whether this process runs `program`. */
export const isThisNode = (program: string) => realpathSync(program) === realpathSync(process.execPath)

/** Runs this program with its arguments under `program`; resolves to its exit code. A Ctrl-C reaches both; that one ends. */
export function underNode(program: string): Promise<number> {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => {})
  const child = spawn(program, [...process.execArgv, ...process.argv.slice(1)], { stdio: 'inherit' })
  return new Promise((done) => {
    child.on('error', () => done(1))
    child.on('close', (code) => done(code ?? 1))
  })
}
