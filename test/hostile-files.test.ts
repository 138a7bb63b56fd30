// Files, flags and names that no honest user has, or every user once: one sentence that says what to do, in little time.
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { InputError, ReadError, readRun, type TrainOptions, train } from 'vitune'
import { openCheckpoint, openSafetensors, readJsonObject } from 'vitune/io'
import { parseJson } from '../src/io/json.ts'
import { bringModel } from '../src/io/model-files.ts'
import { parseNumbers } from '../src/run/checkpoint-file.ts'
import { images, model, refusal, vitune } from './cli-tools.ts'

const folder = mkdtempSync(join(tmpdir(), 'vitune-hostile-'))
test.after(() => rmSync(folder, { recursive: true }))

async function refused(body: () => unknown): Promise<string> {
  try {
    await body()
  } catch (error) {
    // Those of src/ are of another class than those of the package.
    const { name, message } = error as Error
    assert.ok(error instanceof InputError || name === 'InputError', String(error))
    assert.ok(message.length <= 300, message)
    return message
  }
  throw new Error('was not refused')
}

/** Runs the body, which must take under two seconds of a processor and 300 MB. */
async function soon<T>(body: () => Promise<T>): Promise<T> {
  const start = process.cpuUsage()
  const before = process.memoryUsage.rss()
  const result = await body()
  const { user, system } = process.cpuUsage(start)
  assert.ok(user + system < 2e6, `took ${(user + system) / 1000} ms`)
  assert.ok(process.memoryUsage.rss() - before < 300e6, `took ${process.memoryUsage.rss() - before} bytes`)
  return result
}

test('JSON says where it is broken, and in no words of a parser', () => {
  for (const [text, said] of [
    ['', 'an empty file'],
    [' \n', 'an empty file'],
    ['{"a":', 'text that is none, perhaps cut short'],
    ['{"a": 1,\n "b": 2 "c"}', 'text that is none at line 2, column 9'],
    ['{"a": .5}', 'text that is none'],
  ] as const) {
    let message = ''
    try {
      parseJson(text, 'a.json')
    } catch (error) {
      message = (error as Error).message
    }
    assert.ok(message.startsWith(`a.json: must hold JSON, got ${said}`), message)
    assert.not.match(message, /Unexpected|position|token/)
  }
})

test('JSON of any depth, size and name costs nothing', async () => {
  const deep = (n: number) => `{"a":${'['.repeat(n)}${']'.repeat(n)}}`
  assert.ok(parseJson(deep(90), 'a.json'))
  assert.ok(parseJson(JSON.stringify(['['.repeat(200), '\\"['.repeat(200)]), 'a.json'))
  for (const n of [100, 100_000, 3_000_000]) {
    assert.match(await soon(() => refused(() => parseJson(deep(n), 'a.json'))), 'a.json: JSON may be nested 100 deep')
  }
  assert.match(await refused(() => parseJson(`"${'a'.repeat(8e6)}"`, 'a.json')), 'may hold 8000000 bytes of JSON')

  const path = join(folder, 'big.json')
  writeFileSync(path, '')
  truncateSync(path, 1e12)
  assert.match(
    await soon(() => refused(() => readJsonObject(path))),
    'may hold 8000000 bytes of JSON, got 1000000000000',
  )
  for (const text of ['{"__proto__":{"a":1}}', '{"a":[{"__proto__":1}]}', '{"a":{"\\u005f_proto__":1}}']) {
    writeFileSync(path, text)
    assert.match(await refused(() => readJsonObject(path)), 'may not have a "__proto__"; take it out')
  }
})

test('a header of safetensors costs no more than its limit, whatever it claims', async () => {
  const path = join(folder, 'wide.safetensors')
  const write = (length: bigint, text: string) => {
    const head = Buffer.alloc(8)
    head.writeBigUInt64LE(length)
    writeFileSync(path, Buffer.concat([head, Buffer.from(text)]))
  }
  const names = Array.from({ length: 150_000 }, (_, i) => `"t${i}":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}`)
  const wide = `{${names.join(',')}}`
  write(BigInt(wide.length), wide)
  assert.match(await soon(() => refused(() => openSafetensors(path))), 'the header may have 8000000 bytes, got')
  const most = `{${names.slice(0, 130_000).join(',')}}`
  write(BigInt(most.length), most)
  assert.is((await soon(() => openSafetensors(path))).names().length, 130_000)
  write(99_000_000n, '{}')
  truncateSync(path, 99_000_008)
  assert.match(await soon(() => refused(() => openSafetensors(path))), 'the header may have 8000000 bytes')
})

test('an index names at most a thousand shards', async () => {
  const at = join(folder, 'sharded')
  mkdirSync(at)
  cpSync(join(model, 'config.json'), join(at, 'config.json'))
  const map = (n: number) => Object.fromEntries(Array.from({ length: n }, (_, i) => [`t${i}`, `s${i}.safetensors`]))
  writeFileSync(join(at, 'model.safetensors.index.json'), JSON.stringify({ weight_map: map(200_000) }))
  assert.match(await soon(() => refused(() => openCheckpoint(at))), 'may name 1000 shards, got more')
  writeFileSync(join(at, 'model.safetensors.index.json'), JSON.stringify({ weight_map: map(1000) }))
  assert.match(await soon(() => refused(() => openCheckpoint(at))), 'names shards that are not there')
})

test('a model that is fetched into a page has settings of bounded size, and nothing of it stays', async () => {
  async function* endless() {
    for (;;) yield new Uint8Array(2 ** 20)
  }
  for (const size of [undefined, 10, 1e9]) {
    const at = join(folder, `fetched-${size}`)
    const source = { name: 'far', open: async () => ({ size, body: endless() }) }
    assert.match(await soon(() => refused(() => bringModel(source, at))), 'config.json: may have 8000000 bytes')
    assert.equal(readdirSync(at), [])
  }
})

test('what cannot be read is named with the reason, and keeps the code of the system', async () => {
  const file = join(folder, 'file')
  writeFileSync(file, '{}')
  symlinkSync('loop', join(folder, 'loop'))
  for (const path of ['none', 'file/x', 'loop', 'a'.repeat(5000)]) {
    assert.match(await refused(() => readJsonObject(join(folder, path))), 'must be a file, got none')
    assert.match(await refused(() => openCheckpoint(join(folder, path))), 'must be a model folder, got nothing there')
  }
  assert.match(await refused(() => readJsonObject(folder)), 'must be a file, got a folder')
  assert.match(await refused(() => readJsonObject('a\0b')), 'must be a file, got none')
  assert.match(await refused(() => readJsonObject('/dev/zero')), 'must be a file, got none')
  if (process.getuid?.() !== 0) {
    chmodSync(file, 0)
    const error = await readJsonObject(file).catch((e) => e)
    assert.instance(error, ReadError)
    assert.is(error.code, 'EACCES')
  }
})

test('a preprocessor or a configuration that is a folder is refused', async () => {
  for (const name of ['preprocessor_config.json', 'config.json', 'model.safetensors']) {
    const at = join(folder, `folder-${name}`)
    cpSync(model, at, { recursive: true })
    rmSync(join(at, name))
    mkdirSync(join(at, name))
    await refused(() => openCheckpoint(at))
  }
})

test('run.json is read only where each of its fields is what it should be', async () => {
  const good = { method: 'lora', model: 'org/name', classes: ['a', 'b'], settings: {}, images: {}, inputSize: 32 }
  const path = join(folder, 'run.json')
  const read = (more: object) => {
    writeFileSync(path, JSON.stringify({ ...good, ...more }))
    return readRun(folder)
  }
  assert.equal((await read({})).classes, ['a', 'b'])
  for (const [name, ...values] of [
    ['method', 5, 'qlora', 'constructor', null, ['lora']],
    ['model', 5, '', null, {}],
    ['classes', [1, 2], 'ab', [], { 0: 'a' }, ['a', null], 5],
    ['id', 5, ''],
    ['commit', 'main', '../../..', 5],
    ['inputSize', '32', 0, 1e9, 0.5, null],
    ['interpolation', 'nearest', 5],
    ['settings', 5, [], null],
    ['images', 5, [], null],
    ['changes', 5, {}],
    ['notes', 5, 'no list', [1], {}],
  ] as [string, ...unknown[]][]) {
    for (const value of values) {
      assert.match(await refused(() => read({ [name]: value })), `run.json: ${name} must be`, JSON.stringify(value))
    }
  }
})

test('settings in run.json are what they should be before anything is made of them', async () => {
  const good = { method: 'lora', model: 'org/name', classes: ['a', 'b'], images: {} }
  for (const settings of [
    { peft: ['lora'] },
    { peft: 'qlora' },
    { task: 'constructor' },
    { lora: 5 },
    { epochs: '2' },
  ]) {
    writeFileSync(
      join(folder, 'run.json'),
      JSON.stringify({ ...good, settings: { data: 'd', model: 'm', ...settings } }),
    )
    const [name] = Object.keys(settings)
    const said = await refused(() => train({ resume: true, out: folder } as TrainOptions).next())
    assert.match(said, `run.json: settings.${name}`)
  }
})

test('the counters of a checkpoint are numbers', async () => {
  const good = { step: 3, epoch: 1, best: -1, bestLoss: 1e308, plateau: { factor: 1, best: 0, bad: 0 } }
  assert.equal(parseNumbers(JSON.stringify(good), 'c'), good)
  for (const bad of [undefined, '', '5', '[]', 'null', '{}', '{"step":3}']) await refused(() => parseNumbers(bad, 'c'))
  for (const more of [
    { step: '3' },
    { step: -1 },
    { epoch: 0.5 },
    { best: null },
    { plateau: 5 },
    { plateau: { best: 'a' } },
  ]) {
    assert.match(await refused(() => parseNumbers(JSON.stringify({ ...good, ...more }), 'c')), 'must have counters')
  }
})

test('train() refuses places that are none before it writes anything', async () => {
  const data = await images(join(folder, 'data'), 2)
  const file = join(folder, 'taken')
  writeFileSync(file, 'kept')
  const begin = async (out: string) => {
    for await (const _ of train({ data, model, epochs: 1, threads: 1, device: 'reference', out })) break
  }
  for (const out of [
    file,
    join(file, 'below'),
    '/dev/null',
    '/proc/none/below',
    '/proc/none',
    '',
    join(folder, 'a'.repeat(300)),
  ]) {
    await refused(() => begin(out))
  }
  assert.is(readFileSync(file, 'utf8'), 'kept')
})

test('flags that are empty, or of 5,000 letters, end with code 2 and one sentence', async () => {
  const long = 'a'.repeat(5000)
  const picture = join(folder, 'data', 'red', '0.png')
  const answers = await Promise.all(
    [
      ['train', '--data', join(folder, 'data'), '--model', model, '--out', ''],
      ['train', '--data', '', '--model', model, '--out', join(folder, 'new')],
      ['predict', '--model', `org/${long}`, picture],
      ['predict', '--model', long, picture],
      ['predict', '--model', model, ''],
      ['predict', '--run', long, picture],
      ['merge', '--run', ' ', '--out', join(folder, 'new')],
      [long],
      ['train', `--${long}`],
      ['train', '--epochs', long],
    ].map((args) => refusal(...args)),
  )
  for (const said of answers) assert.ok(said.length <= 300, said)
  assert.is(answers[0], '--out: must be given a value, got ""')
  // What is said of it before, that it is skipped, is no longer.
  const { code, err } = await vitune('predict', '--model', model, '--device', 'wasm', long)
  assert.is(code, 2)
  for (const line of err.split('\n')) assert.ok(line.length <= 310, line)
})

test.run()
