// A seeded fuzzer over readers: bytes that stood in a good file are bent, and whoever reads them must end with a value or an
// InputError, soon, in little memory. Each case is a function of the seed and its number, so one line says how to repeat it.
import { writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { InputError } from 'vitune'

/** A reader and the good files that it is tried on. */
export interface Reader {
  readonly name: string
  readonly good: readonly Uint8Array[]
  /** How the bytes are bent: anywhere, as JSON by its structure, or as safetensors by the structure of the header. */
  readonly kind: 'bytes' | 'json' | 'safetensors'
  read(bytes: Uint8Array<ArrayBuffer>): Promise<unknown>
}

/** Uniform numbers in [0, 1) (mulberry32). */
export type Random = () => number

export function randomOf(seed: number): Random {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

const below = (random: Random, n: number) => Math.floor(random() * n)
const among = <T>(random: Random, list: readonly T[]): T => list[below(random, list.length)]!

/** Bends bytes in one to eight places: flipped bits, extreme bytes, pieces cut out, doubled, put in, zeroed; or cut short. */
export function bendBytes(good: Uint8Array, random: Random): Uint8Array<ArrayBuffer> {
  let bytes = Uint8Array.from(good)
  for (let n = 1 + below(random, 8); n > 0 && bytes.length > 0; n--) {
    const at = below(random, bytes.length)
    const length = Math.min(bytes.length - at, 1 + below(random, 2 ** below(random, 12)))
    const splice = (cut: number, put: Uint8Array) => {
      const out = new Uint8Array(bytes.length - cut + put.length)
      out.set(bytes.subarray(0, at))
      out.set(put, at)
      out.set(bytes.subarray(at + cut), at + put.length)
      bytes = out
    }
    const how = below(random, 7)
    if (how === 0) bytes[at]! ^= 1 << below(random, 8)
    else if (how === 1) bytes[at] = among(random, [0, 1, 0x22, 0x5b, 0x7b, 0x7f, 0x80, 0xfe, 0xff])
    else if (how === 2) splice(length, new Uint8Array(0))
    else if (how === 3) splice(0, bytes.slice(at, at + length))
    else if (how === 4)
      splice(
        0,
        Uint8Array.from({ length: Math.min(length, 64) }, () => below(random, 256)),
      )
    else if (how === 5) bytes.fill(0, at, at + length)
    else if (random() < 0.3) bytes = bytes.slice(0, at)
  }
  return bytes
}

// What JSON.stringify cannot say stands in its text as a word first.
const spelled: Readonly<Record<string, () => string>> = {
  '"@deep@"': () => '['.repeat(1e5) + ']'.repeat(1e5),
  '"@deeper@"': () => `${'{"a":'.repeat(2e4)}1${'}'.repeat(2e4)}`,
  '"@1e999@"': () => '1e999',
  '"@long@"': () => `"${'a'.repeat(5000)}"`,
}
const extremes: readonly unknown[] = [
  ...[null, true, false, '', 'a', '0', [], {}, [[]], [null], [1, 2], ['a', 'a'], { a: 1 }, { 0: 'a' }],
  ...[0, -0, 1, -1, 0.5, 2, 3, 1e3, 1e6, 1e9, 2 ** 31, 2 ** 32, 2 ** 53, 2 ** 53 + 2, 1e21, 1e308, -1e308, 5e-324],
  ...[
    '@deep@',
    '@deeper@',
    '@1e999@',
    '@long@',
    '__proto__',
    'constructor',
    '../x',
    '/etc/passwd',
    'a\0b',
    '\ud800',
    '(a+)+$',
  ],
]
const keys = ['__proto__', 'constructor', 'toString', 'length', '', '0', '-1', 'a'.repeat(5000), '\ud800']

type Tree = Record<string, unknown> | unknown[]
const isTree = (value: unknown): value is Tree => typeof value === 'object' && value !== null

/** Every place of a value in a JSON document. */
function placesOf(tree: Tree): [Tree, string][] {
  return Object.entries(tree).flatMap(([key, value]) => [
    [tree, key] as [Tree, string],
    ...(isTree(value) ? placesOf(value) : []),
  ])
}

/** Sets a key that may be any name; a tree is copied, so that nothing comes to hold itself. */
const put = (tree: Tree, key: string, value: unknown) =>
  Object.defineProperty(tree, key, {
    value: structuredClone(value),
    enumerable: true,
    configurable: true,
    writable: true,
  })

/** Bends a JSON document in one to three places: a value made extreme, left out, moved, doubled, or put under another name. */
export function bendJson(text: string, random: Random): string {
  const whole: Tree = { root: JSON.parse(text) }
  for (let n = 1 + below(random, 3); n > 0; n--) {
    const [tree, key] = among(random, placesOf(whole))
    const value = (tree as Record<string, unknown>)[key]
    const how = below(random, 8)
    if (how < 3) put(tree, key, among(random, extremes))
    else if (how === 3 && typeof value === 'number')
      put(tree, key, among(random, [-value, value + 1, value * 2, value / 2, value * 1e9]))
    else if (how === 3 && typeof value === 'string')
      put(tree, key, among(random, [value + value, value.slice(1), value.toUpperCase(), `${value}\n`]))
    else if (how === 4 && key !== 'root') delete (tree as Record<string, unknown>)[key]
    else if (how === 5 && !Array.isArray(tree)) put(tree, among(random, keys), value)
    else if (how === 6)
      put(
        tree,
        key,
        (([a, k]) => (a as Record<string, unknown>)[k])(
          among(
            random,
            placesOf(whole)
              .slice(1)
              .concat([[tree, key]]),
          ),
        ),
      )
    else
      put(
        tree,
        key,
        Array.from({ length: 1 + below(random, 4) }, () => value),
      )
    if (JSON.stringify(whole).length > 1e6) break
  }
  let out = JSON.stringify((whole as { root: unknown }).root) ?? ''
  for (const [word, text] of Object.entries(spelled)) if (out.includes(word)) out = out.replaceAll(word, text)
  return out
}

/** Case `number` of a seed. */
export function caseOf(reader: Reader, seed: number, number: number): Uint8Array<ArrayBuffer> {
  const random = randomOf(Math.imul(seed, 0x9e3779b1) ^ Math.imul(number, 0x85ebca6b))
  const good = among(random, reader.good)
  if (reader.kind === 'bytes' || random() < 0.3) return bendBytes(good, random)
  if (reader.kind === 'json') return new TextEncoder().encode(bendJson(new TextDecoder().decode(good), random))
  const end = 8 + new DataView(good.buffer, good.byteOffset).getUint32(0, true)
  const header = new TextEncoder().encode(bendJson(new TextDecoder().decode(good.subarray(8, end)), random))
  const bytes = new Uint8Array(8 + header.length + good.length - end)
  new DataView(bytes.buffer).setUint32(0, header.length, true)
  bytes.set(header, 8)
  bytes.set(good.subarray(end), 8 + header.length)
  return bytes
}

// Of a processor, since others may keep this one waiting; and on the clock, for what waits.
const timeLimit = 2000
const clockLimit = 10_000
const memoryLimit = 300e6

// Ends the process with the number of the case, should one never come back.
const watchdog = `
const { workerData: { at, limit } } = require('node:worker_threads')
let last = -1
setInterval(() => {
  const now = Atomics.load(at, 0)
  if (now === last) { require('node:fs').writeSync(2, 'fuzz: case ' + now + ' does not end\\n'); process.kill(process.pid, 'SIGKILL') }
  last = now
}, limit)`

/** What came of a run: cases by reader and outcome, and one line for each case that ended otherwise than it may. */
export interface Fuzzed {
  readonly cases: number
  readonly read: number
  readonly refused: number
  readonly failures: string[]
}

/** Tries readers in turn for so long. A failing input is kept in a file that its line names. */
export async function fuzz(readers: readonly Reader[], seed: number, milliseconds: number): Promise<Fuzzed> {
  const at = new Int32Array(new SharedArrayBuffer(4))
  const watch = new Worker(watchdog, { eval: true, workerData: { at, limit: 3 * clockLimit } })
  watch.unref()
  const failures: string[] = []
  let read = 0
  let refused = 0
  let number = 0
  const end = performance.now() + milliseconds
  for (; performance.now() < end && failures.length < 10; number++) {
    Atomics.store(at, 0, number)
    const reader = readers[number % readers.length]!
    const bytes = caseOf(reader, seed, number)
    const before = process.memoryUsage.rss()
    const start = performance.now()
    const busy = process.cpuUsage()
    let wrong = ''
    try {
      await reader.read(bytes)
      read++
    } catch (error) {
      refused++
      // Those of src/ are of another class than those of the package.
      const known = error instanceof InputError || /^(Input|Read|Write|NotFinite)Error$/.test((error as Error)?.name)
      if (!(error instanceof Error) || !known) wrong = String(error instanceof Error ? error.stack : error)
      else if (error.message.length > 300) wrong = `a message of ${error.message.length} characters: ${error.message}`
      else if (error.message.includes('\n')) wrong = `a message of several lines: ${error.message}`
    }
    const took = performance.now() - start
    const { user, system } = process.cpuUsage(busy)
    const grown = process.memoryUsage.rss() - before
    if (user + system > 1000 * timeLimit) wrong ||= `took ${Math.round((user + system) / 1000)} ms of a processor`
    if (took > clockLimit) wrong ||= `took ${Math.round(took)} ms`
    if (grown > memoryLimit) wrong ||= `took ${Math.round(grown / 1e6)} MB`
    if (!wrong) continue
    const kept = join(tmpdir(), `vitune-fuzz-${seed}-${number}`)
    writeFileSync(kept, bytes)
    failures.push(`${reader.name}: case ${number} of seed ${seed}, kept as ${kept}: ${wrong.slice(0, 500)}`)
  }
  await watch.terminate()
  return { cases: number, read, refused, failures }
}
