// Safetensors files and model folders: what is read, what is written, and what is refused.
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  encodeSafetensors,
  fromBf16,
  fromF16,
  openCheckpoint,
  openSafetensors,
  parseSafetensors,
  type TensorToWrite,
  toBf16,
  toF16,
  writeSafetensors,
} from 'vitune/io'
import { refusal } from './refusal.ts'

const fixtures = fileURLToPath(new URL('fixtures/', import.meta.url))
const test = suite<{ folder: string }>('safetensors')
test.before.each((context) => {
  context.folder = mkdtempSync(join(tmpdir(), 'vitune-safetensors-'))
})
test.after.each(({ folder }) => rmSync(folder, { recursive: true }))

/** File bytes from a header (text, or JSON of a value) and the number of data bytes. */
function file(header: unknown, dataBytes = 0, length?: bigint): Uint8Array {
  const json = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header))
  const out = new Uint8Array(8 + json.length + dataBytes)
  new DataView(out.buffer).setBigUint64(0, length ?? BigInt(json.length), true)
  out.set(json, 8)
  return out
}

const f32 = (shape: number[], begin: number, end: number) => ({ dtype: 'F32', shape, data_offsets: [begin, end] })

test('every dtype is read as f32', async () => {
  const parts: [string, ArrayBufferView, number[]][] = [
    ['F64', new Float64Array([1.5, -2]), [1.5, -2]],
    ['I64', new BigInt64Array([-3n, 2n ** 40n]), [-3, 2 ** 40]],
    ['U64', new BigUint64Array([7n]), [7]],
    ['F32', new Float32Array([0.1, Number.NaN]), [Math.fround(0.1), Number.NaN]],
    ['I32', new Int32Array([-70000]), [-70000]],
    ['U32', new Uint32Array([2 ** 31]), [2 ** 31]],
    ['BF16', new Uint16Array([0x3f80, 0xc000]), [1, -2]],
    ['F16', new Uint16Array([0x3c00, 0x0001]), [1, 2 ** -24]],
    ['I16', new Int16Array([-5]), [-5]],
    ['U16', new Uint16Array([65535]), [65535]],
    ['I8', new Int8Array([-128, 127, 1]), [-128, 127, 1]],
    ['U8', new Uint8Array([255]), [255]],
    ['BOOL', new Uint8Array([1, 0]), [1, 0]],
  ]
  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } }
  let at = 0
  for (const [dtype, data] of parts) {
    const begin = at
    at += data.byteLength
    header[dtype] = {
      dtype,
      shape: [data.byteLength / ('BYTES_PER_ELEMENT' in data ? Number(data.BYTES_PER_ELEMENT) : 1)],
      data_offsets: [begin, at],
    }
  }
  const bytes = file(header, at)
  let to = bytes.length - at
  for (const [, data] of parts) {
    bytes.set(new Uint8Array(data.buffer), to)
    to += data.byteLength
  }
  const opened = await parseSafetensors(bytes)
  assert.equal(opened.metadata, { format: 'pt' })
  for (const [dtype, , expected] of parts) {
    assert.equal([...(await opened.read(dtype))], expected, dtype)
    assert.equal(opened.info(dtype), { dtype, shape: [expected.length] })
  }
  assert.match(await refusal(opened.read('absent')), 'no tensor "absent" among its 13')
})

test('all halves survive the way to f32 and back, and values between them round to nearest even', () => {
  const all = Uint16Array.from({ length: 65536 }, (_, i) => i)
  const back = toF16(fromF16(all))
  const bfloat = toBf16(fromBf16(all))
  for (let i = 0; i < 65536; i++) {
    const nan = (i & 0x7fff) > 0x7c00
    assert.is(nan ? back[i]! & 0x7fff : back[i], nan ? 0x7e00 : i)
    assert.is(bfloat[i], (i & 0x7fff) > 0x7f80 ? 0x7fc0 : i)
  }
  const one = (x: number) => toF16(Float32Array.of(x))[0]
  assert.is(one(65519.99), 0x7bff)
  assert.is(one(65520), 0x7c00)
  assert.is(one(2 ** -25), 0)
  assert.is(one(2 ** -25 * 1.001), 1)
  assert.is(one(-3 * 2 ** -25), 0x8002)
  assert.is(one(1 + 2 ** -11), 0x3c00)
  assert.is(one(1 + 3 * 2 ** -11), 0x3c02)
  const bits = (word: number) => toBf16(new Float32Array(Uint32Array.of(word).buffer))[0]
  assert.is(bits(0x3f808000), 0x3f80)
  assert.is(bits(0x3f808001), 0x3f81)
  assert.is(bits(0x3f818000), 0x3f82)
  assert.is(bits(0x7f7fffff), 0x7f80)
})

test('files written by the Python library come out byte for byte the same when they are read and written again', async () => {
  let tested = 0
  for (const group of ['checkpoints', 'adapters']) {
    for (const name of readdirSync(join(fixtures, group))) {
      for (const entry of readdirSync(join(fixtures, group, name))) {
        if (!entry.endsWith('.safetensors') || entry === 'values.safetensors') continue
        const path = join(fixtures, group, name, entry)
        const opened = await openSafetensors(path)
        const tensors: TensorToWrite[] = []
        for (const key of opened.names().reverse()) {
          const { dtype, shape } = opened.info(key)
          assert.ok(dtype === 'F32' || dtype === 'F16' || dtype === 'BF16')
          tensors.push({ name: key, dtype, shape, data: await opened.read(key) })
        }
        const bytes = encodeSafetensors(tensors, opened.metadata)
        assert.is(Buffer.compare(bytes, readFileSync(path)), 0, path)
        tested++
      }
    }
  }
  assert.ok(tested >= 10, `only ${tested} files`)
})

test('written files sort wide dtypes first, then names, and pad the header to eight bytes', async ({ folder }) => {
  const path = join(folder, 'x.safetensors')
  const data = Float32Array.of(1, -2, 3)
  await writeSafetensors(path, [
    { name: 'b', shape: [3], data },
    { name: 'u', shape: [3], dtype: 'U8', data: Uint8Array.of(1, 2, 3) },
    { name: 'half', shape: [3, 1], dtype: 'F16', data },
    { name: 'long', shape: [3], dtype: 'I64', data },
    { name: 'é"', shape: [0, 4], data: new Float32Array(0) },
    { name: 'a', shape: [], data: Float64Array.of(0.1) },
    { name: 'int', shape: [1], dtype: 'I32', data: Int32Array.of(-9) },
  ])
  const bytes = readFileSync(path)
  const length = Number(bytes.readBigUInt64LE())
  assert.is(length % 8, 0)
  const header = bytes.toString('utf8', 8, 8 + length)
  assert.ok(
    header.startsWith('{"__metadata__":{"format":"pt"},"long":{"dtype":"I64","shape":[3],"data_offsets":[0,24]}'),
  )
  const opened = await openSafetensors(path)
  assert.equal(opened.names(), ['long', 'a', 'b', 'é"', 'int', 'half', 'u'])
  assert.equal([...(await opened.read('half'))], [1, -2, 3])
  assert.equal([...(await opened.read('long'))], [1, -2, 3])
  assert.equal([...(await opened.read('a'))], [Math.fround(0.1)])
  assert.equal([...(await opened.read('int'))], [-9])
})

test('a name given twice or a shape that does not fit is not written', async ({ folder }) => {
  const data = new Float32Array(2)
  const path = join(folder, 'x.safetensors')
  const twice = writeSafetensors(path, [
    { name: 'a', shape: [2], data },
    { name: 'a', shape: [2], data },
  ])
  assert.match(await refusal(twice), '"a" twice')
  assert.match(await refusal(writeSafetensors(path, [{ name: 'a', shape: [3], data }])), '(3) got 2 values')
  assert.equal(readdirSync(folder), [])
})

test('hostile headers are refused before anything is allocated for them', async () => {
  const entry = f32([2], 0, 8)
  const cases: [string, Uint8Array, string][] = [
    ['empty', new Uint8Array(0), 'a file of 0 bytes'],
    ['seven bytes', new Uint8Array(7), 'a file of 7 bytes'],
    ['length beyond the file', file({}, 0, 500n), 'cut short'],
    ['length of 2^63', file({}, 0, 2n ** 63n), 'no safetensors file'],
    ['length of 2^32 + 2', file({}, 0, 2n ** 32n + 2n), 'no safetensors file'],
    ['length 0', file('', 8), 'cut short or no safetensors file'],
    ['no brace', file('[1,2,3]'), 'must start with "{"'],
    ['a zip', new Uint8Array([0x50, 0x4b, 3, 4, 0, 0, 0, 0, 1, 2]), 'no safetensors file'],
    ['broken JSON', file('{"a":'), 'must hold JSON'],
    ['bad UTF-8', file({ a: entry }, 8).fill(0xff, 10, 11), 'must be UTF-8'],
    ['entry no object', file({ a: 3 }), '"a" must be an object'],
    ['unknown dtype', file({ a: { ...entry, dtype: 'F4' } }, 8), 'must have a dtype of'],
    ['dtype of the prototype', file({ a: { ...entry, dtype: 'toString' } }, 8), 'must have a dtype of'],
    ['negative size', file({ a: f32([-2, -1], 0, 8) }, 8), 'shape of whole sizes'],
    ['fractional size', file({ a: f32([0.5], 0, 2) }, 2), 'shape of whole sizes'],
    ['no shape', file({ a: { dtype: 'F32', data_offsets: [0, 8] } }, 8), 'shape of whole sizes'],
    ['size overflow', file({ a: f32([2 ** 31, 2 ** 31, 4], 0, 8) }, 8), 'a size that fits a file'],
    ['offsets backwards', file({ a: f32([2], 8, 0) }, 8), 'must have data_offsets that far apart'],
    ['one offset', file({ a: { ...entry, data_offsets: [0] } }, 8), 'two data_offsets'],
    ['offset negative', file({ a: f32([2], -8, 0) }, 8), 'two data_offsets'],
    ['wrong size', file({ a: f32([3], 0, 8) }, 8), 'of 12 bytes'],
    ['overlap', file({ a: entry, b: f32([2], 4, 12) }, 12), 'overlaps the one before'],
    ['same range twice', file({ a: entry, b: entry }, 8), 'overlaps the one before'],
    ['hole', file({ a: entry, b: f32([1], 12, 16) }, 16), 'leaves a hole before it'],
    ['trailing bytes', file({ a: entry }, 20), 'end at byte 8 of the data, got 20'],
    ['name twice', file(`{"a":${JSON.stringify(entry)},"a":${JSON.stringify(entry)}}`, 8), '"a" twice'],
    [
      'name twice, once escaped',
      file(`{"a":${JSON.stringify(entry)},"\\u0061":${JSON.stringify(entry)}}`, 8),
      '"a" twice',
    ],
    ['metadata no text', file({ __metadata__: { format: 1 } }), '__metadata__ must hold text'],
  ]
  for (const [what, bytes, expected] of cases) {
    const message = await refusal(parseSafetensors(bytes, 'evil'))
    assert.ok(message.startsWith('evil') && message.includes(expected), `${what}: ${message}`)
    assert.not.ok(message.includes('\n'), what)
  }
})

test('names that are odd but allowed are kept', async () => {
  const header =
    '{"a:b{\\"}":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"__proto__":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}'
  const opened = await parseSafetensors(file(header, 1))
  assert.equal(opened.names(), ['a:b{"}', '__proto__'])
  assert.equal([...(await opened.read('__proto__'))], [0])
})

test('a truncated file is refused with its name and the missing bytes', async ({ folder }) => {
  const path = join(folder, 'model.safetensors')
  await writeSafetensors(path, [{ name: 'w', shape: [100], data: new Float32Array(100) }])
  writeFileSync(path, readFileSync(path).subarray(0, -30))
  const message = await refusal(openSafetensors(path))
  assert.match(message, path)
  assert.match(message, '30 bytes are missing')
  assert.match(await refusal(openSafetensors(join(folder, 'none'))), 'must be a file')
})

test('a 90 MB file is read in a second', async ({ folder }) => {
  const path = join(folder, 'big.safetensors')
  const n = 1_000_000
  const half = Array.from({ length: 15 }, (_, i) => ({
    name: `h${i}`,
    dtype: 'F16' as const,
    data: new Float32Array(n).fill(i),
  }))
  const full = Array.from({ length: 15 }, (_, i) => ({ name: `f${i}`, data: new Float32Array(n).fill(i) }))
  await writeSafetensors(
    path,
    [...half, ...full].map((tensor) => ({ ...tensor, shape: [n] })),
  )
  const start = performance.now()
  const opened = await openSafetensors(path)
  let sum = 0
  for (const name of opened.names()) sum += (await opened.read(name))[n - 1]!
  const seconds = (performance.now() - start) / 1000
  assert.is(sum, 210)
  assert.ok(seconds < 1, `${seconds} s`)
})

test('a model folder opens with its configuration, its preprocessor and its tensors', async () => {
  const checkpoint = await openCheckpoint(join(fixtures, 'checkpoints/vit'))
  assert.is(checkpoint.config.model_type, 'vit')
  assert.ok(checkpoint.names().length > 10)
  const name = checkpoint.names()[0]!
  const { shape } = checkpoint.info(name)
  assert.is(
    (await checkpoint.read(name)).length,
    shape.reduce((a, b) => a * b, 1),
  )
  assert.match(await refusal(checkpoint.read('absent')), 'no tensor "absent"')
})

test('a sharded folder reads like the single file it was cut from', async () => {
  const sharded = await openCheckpoint(join(fixtures, 'checkpoints/vit-sharded'))
  const index = JSON.parse(readFileSync(join(fixtures, 'checkpoints/vit-sharded/model.safetensors.index.json'), 'utf8'))
  assert.equal(sharded.names().sort(), Object.keys(index.weight_map).sort())
  for (const [name, shard] of Object.entries<string>(index.weight_map)) {
    const direct = await openSafetensors(join(fixtures, 'checkpoints/vit-sharded', shard))
    assert.equal(await sharded.read(name), await direct.read(name))
  }
})

test('each way a model folder can be wrong has its own sentence', async ({ folder }) => {
  const source = join(fixtures, 'checkpoints/vit-sharded')
  let made = 0
  const broken = (change: (dir: string) => void): Promise<string> => {
    const dir = join(folder, `model-${made++}`)
    mkdirSync(dir)
    for (const name of readdirSync(source)) copyFileSync(join(source, name), join(dir, name))
    change(dir)
    return refusal(openCheckpoint(dir))
  }
  const shards = readdirSync(source).filter((name) => name.endsWith('.safetensors') && name.startsWith('model'))
  const index = 'model.safetensors.index.json'
  const remap = (dir: string, change: (map: Record<string, unknown>) => void) => {
    const json = JSON.parse(readFileSync(join(dir, index), 'utf8'))
    change(json.weight_map)
    writeFileSync(join(dir, index), JSON.stringify(json))
  }
  assert.match(await refusal(openCheckpoint(join(folder, 'none'))), 'must be a model folder, got nothing there')
  assert.match(await refusal(openCheckpoint(join(source, 'config.json'))), 'must be a model folder, got file')
  assert.match(await broken((dir) => rmSync(join(dir, 'config.json'))), 'must have config.json')
  assert.match(await broken((dir) => writeFileSync(join(dir, 'config.json'), '{"a":')), /config\.json: must hold JSON/)
  assert.match(await broken((dir) => writeFileSync(join(dir, 'config.json'), '[]')), 'must hold a JSON object')
  assert.match(
    await broken((dir) => writeFileSync(join(dir, 'preprocessor_config.json'), '{')),
    /preprocessor_config\.json: must hold JSON/,
  )
  assert.match(await broken((dir) => rmSync(join(dir, shards[1]!))), `names shards that are not there: ${shards[1]}`)
  assert.match(await broken((dir) => writeFileSync(join(dir, index), '{"weight_map":{}}')), 'must have a weight_map')
  assert.match(
    await broken((dir) => remap(dir, (map) => Object.assign(map, { ghost: shards[0] }))),
    `names tensors that are not there: ghost in ${shards[0]}`,
  )
  for (const path of [
    '../secret.safetensors',
    '/etc/x.safetensors',
    'a/b.safetensors',
    '..\\x.safetensors',
    'x.bin',
    7,
  ]) {
    const message = await broken((dir) => remap(dir, (map) => Object.assign(map, { w: path })))
    assert.match(message, '"w" must lie in a .safetensors file of the same folder')
  }
  const removed = await broken((dir) => {
    for (const name of readdirSync(dir)) if (name.startsWith('model')) rmSync(join(dir, name))
  })
  assert.match(removed, 'must have model.safetensors or model.safetensors.index.json, got neither')
  const old = await broken((dir) => {
    for (const name of readdirSync(dir)) if (name.startsWith('model')) rmSync(join(dir, name))
    writeFileSync(join(dir, 'pytorch_model.bin'), '')
  })
  assert.match(old, /has pytorch_model\.bin .*save_pretrained/)
})

test.run()
