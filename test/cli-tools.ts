// What the tests of the command line share: running the built program, and folders of small images.
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import sharp, { type Sharp } from 'sharp'
import * as assert from 'uvu/assert'

const root = fileURLToPath(new URL('..', import.meta.url))
export const program = join(root, 'dist/cli.js')
export const fixtures = join(root, 'test/fixtures')
/** A ViT of 21 thousand parameters for 16 px images, made by transformers. */
export const model = join(fixtures, 'checkpoints/vit')

export interface Result {
  code: number | null
  out: string
  err: string
}

/** Starts the program; `ended` gives what it said. The terminal's settings of whoever runs the tests are kept away. */
export function start(
  args: readonly string[],
  options: { cwd?: string; env?: Record<string, string> } = {},
): { child: ChildProcess; ended: Promise<Result> } {
  const { NO_COLOR: _no, FORCE_COLOR: _force, VITUNE_DEBUG: _debug, ...env } = process.env
  const child = spawn(process.execPath, [program, ...args], {
    cwd: options.cwd ?? root,
    env: { ...env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let out = ''
  let err = ''
  child.stdout!.setEncoding('utf8').on('data', (text) => (out += text))
  child.stderr!.setEncoding('utf8').on('data', (text) => (err += text))
  const ended = new Promise<Result>((resolve) => child.on('close', (code) => resolve({ code, out, err })))
  return { child, ended }
}

/** Runs the program to its end. */
export const vitune = (...args: string[]): Promise<Result> => start(args).ended

/** Runs the program, which must succeed, and gives its standard output. */
export async function output(...args: string[]): Promise<string> {
  const { code, out, err } = await vitune(...args)
  assert.is(code, 0, `vitune ${args.join(' ')}\n${out}${err}`)
  return out
}

/** Runs the program, which must refuse its input: code 2, nothing on standard output, one line on standard error. */
export async function refusal(...args: string[]): Promise<string> {
  const { code, out, err } = await vitune(...args)
  assert.is(code, 2, `vitune ${args.join(' ')}\n${out}${err}`)
  assert.is(out, '')
  assert.match(err, /^vitune: [^\n]+\n$/)
  return err.slice('vitune: '.length, -1)
}

/** Resolves once what a stream of the program has said matches. */
export function until(child: ChildProcess, stream: 'stdout' | 'stderr', pattern: RegExp): Promise<void> {
  return new Promise((resolve, reject) => {
    let said = ''
    const look = (text: string) => {
      said += text
      if (pattern.test(said)) resolve()
    }
    child[stream]!.on('data', look)
    child.on('close', () => reject(new Error(`ended without ${pattern}: ${said.slice(-2000)}`)))
  })
}

/** A new folder that `clean` removes. */
export function temporary(): { folder: string; clean: () => void } {
  const folder = mkdtempSync(join(tmpdir(), 'vitune-cli-'))
  return { folder, clean: () => rmSync(folder, { recursive: true, force: true }) }
}

const colours: Record<string, [number, number, number]> = {
  red: [210, 40, 30],
  green: [40, 190, 60],
  blue: [30, 50, 200],
}

/** One image of a class: its colour, shaded a little differently for each number. */
export function picture(name: string, i: number): Sharp {
  const [r, g, b] = (colours[name] ?? [128, 128, 128]).map((v) => Math.min(255, v + 4 * i)) as [number, number, number]
  return sharp({ create: { width: 24, height: 20, channels: 3, background: { r, g, b } } })
}

/** Writes a folder of `count` images for each class, PNG and JPEG in turn. */
export async function images(folder: string, count: number, classes = Object.keys(colours)): Promise<string> {
  for (const name of classes) {
    mkdirSync(join(folder, name), { recursive: true })
    for (let i = 0; i < count; i++) {
      const jpeg = i % 2 === 1
      const bytes = await (jpeg ? picture(name, i).jpeg({ quality: 95 }) : picture(name, i).png()).toBuffer()
      writeFileSync(join(folder, name, `${i}.${jpeg ? 'jpg' : 'png'}`), bytes)
    }
  }
  return folder
}

if (!existsSync(program)) throw new Error(`${program} is missing: build with npx rollup -c`)
