// Packing and unpacking on the host: against bitsandbytes' own bits where it has the format, against the definition elsewhere.
import { readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openSafetensors } from 'vitune/io'
import { packedFormats } from '../src/backend/kernels.ts'
import { unpacked } from '../src/backend/reference/packed.ts'
import { dynamicMap } from '../src/tensor/packing/maxima.ts'
import { nf4, nf4Codebook } from '../src/tensor/packing/nf4.ts'
import { bytesOf } from '../src/tensor/packing/packing.ts'
import { kernelFormat, type PackedFormat, packings } from '../src/tensor/packing/registry.ts'
import { meanLikeTorch } from '../src/tensor/packing/torch-mean.ts'

const folder = new URL('fixtures/packing/', import.meta.url).pathname
const facts = JSON.parse(readFileSync(`${folder}values.json`, 'utf8'))
const stored = await openSafetensors(`${folder}values.safetensors`)

interface Case {
  shape: [number, number]
  block: number
  seed: number
  change: string | null
}

/** As `weights` of fixtures/make/packing.py. */
function weights(count: number, seed: number): Float32Array {
  let x = seed
  return Float32Array.from({ length: count }, () => {
    let total = 0
    for (let i = 0; i < 4; i++) {
      x = (Math.imul(1664525, x) + 1013904223) >>> 0
      total += (x >>> 8) - 2 ** 23
    }
    return Math.fround(total) * 2 ** -29
  })
}

function changed(w: Float32Array, what: string | null): Float32Array {
  if (what === 'block') w.fill(0, 64, 128)
  if (what === 'rest') w.fill(0, 64)
  if (what === 'all') w.fill(0)
  if (what === 'tiny') return w.map((x) => x * 2 ** -126)
  return w
}

/** Same length and bits; says where the first difference is. */
function same(got: Float32Array | Uint8Array, want: Float32Array | Uint8Array, what: string): void {
  assert.is(got.length, want.length, `${what}: length`)
  const at = got.findIndex((x, i) => !Object.is(x, want[i]))
  assert.is(at, -1, `${what}: ${got[at]} in place of ${want[at]} at ${at} of ${got.length}`)
}
const relative = (got: Float32Array, want: Float32Array) => {
  let [error, size] = [0, 0]
  for (let i = 0; i < got.length; i++) {
    error += (got[i]! - want[i]!) ** 2
    size += want[i]! ** 2
  }
  return Math.sqrt(error / size)
}

test("codebooks are bitsandbytes', bit for bit", async () => {
  same(nf4Codebook, await stored.read('codebook'), 'NF4')
  same(dynamicMap, await stored.read('map'), 'maxima')
})

test("means are torch's, bit for bit", async () => {
  const means = await stored.read('means')
  const got = Float32Array.from(facts.means, (n: number) => meanLikeTorch(weights(n, 100 + n).map(Math.abs)))
  same(got, means, 'means')
})

for (const [name, { shape, block, seed, change }] of Object.entries(facts.cases as Record<string, Case>)) {
  test(`NF4 is bitsandbytes', bit for bit: ${name}`, async () => {
    const elements = shape[0] * shape[1]
    const w = changed(weights(elements, seed), change)
    const codes = Uint8Array.from(await stored.read(`${name}.codes`))
    const plain = nf4.encode(w, shape, { block, double: false })
    same(bytesOf(plain.words).subarray(0, codes.length), codes, 'codes')
    same(plain.scales.subarray(16), await stored.read(`${name}.absmax`), 'maxima')
    const double = nf4.encode(w, shape, { block, double: true })
    const maxima = Uint8Array.from(await stored.read(`${name}.double.absmax`))
    const at = 4 * Math.ceil(elements / 8)
    same(bytesOf(double.words).subarray(0, codes.length), codes, 'codes')
    same(double.scales.subarray(272, 273), await stored.read(`${name}.double.offset`), 'mean')
    same(double.scales.subarray(273), await stored.read(`${name}.double.nested_absmax`), 'scales of maxima')
    same(bytesOf(double.words).subarray(at, at + maxima.length), maxima, 'codes of maxima')
    if (!stored.has(`${name}.double.values`)) return
    const values = await stored.read(`${name}.double.values`)
    same(nf4.decode(double, shape, { block, double: true }), values, 'values')
  })
}

const formats: [PackedFormat, boolean, number][] = [
  ['nf4', false, 0.1],
  ['nf4', true, 0.1],
  ['int8', false, 0.02],
  ['int8-block', false, 0.01],
]
for (const [format, double, most] of formats) {
  test(`${format}${double ? ' with packed maxima' : ''} unpacks to what kernels read, any rows of it`, () => {
    for (const [rows, columns, block] of [
      [1, 1, 32],
      [3, 4, 32],
      [17, 67, 64],
      [67, 130, 128],
    ] as const) {
      const packing = packings[format]
      const w = weights(rows * columns, rows)
      const packed = packing.encode(w, [rows, columns], { block, double })
      assert.is(packed.words.length, packing.wordsOf([rows, columns], { block, double }))
      assert.is(packed.scales.length, packing.scalesOf([rows, columns], { block, double }))
      const all = packing.decode(packed, [rows, columns], { block, double })
      const value = unpacked(packed.words as never, packed.scales as never, columns, w.length, {
        format: kernelFormat(format, double),
        block,
      })
      assert.equal(
        [...all],
        Array.from(all, (_, e) => value(e)),
      )
      const from = rows >> 1
      same(packing.decode(packed, [rows, columns], { block, double }, from), all.subarray(from * columns), 'rows')
      const one = packing.decode(packed, [rows, columns], { block, double }, from, 1)
      same(one, all.subarray(from * columns, (from + 1) * columns), 'a row')
      if (w.length > 100) assert.ok(relative(all, w) < most, `${relative(all, w)}`)
    }
  })

  test(`${format}${double ? ' with packed maxima' : ''} packs what it unpacked to the same values`, () => {
    const options = { block: 64, double }
    const shape = [48, 96] as const
    const packing = packings[format]
    const once = packing.decode(packing.encode(weights(48 * 96, 5), shape, options), shape, options)
    if (double) return // the mean of the maxima is another, and so are their codes
    same(packing.decode(packing.encode(once, shape, options), shape, options), once, 'values')
  })
}

test('integers keep to their range and round halves to even', () => {
  const w = Float32Array.of(63, 0.5, 1.5, 2.5, -0.5, -1.5, -62.5, -63)
  const { words, scales } = packings.int8.encode(w, [1, 8], { block: 64, double: false })
  assert.equal([...new Int8Array(words.buffer)], [63, 0, 2, 2, 0, -2, -62, -63])
  assert.equal([...scales], [1])
  const tiny = packings.int8.encode(Float32Array.of(2e-43, -2e-43), [1, 2], { block: 64, double: false })
  assert.ok(new Int8Array(tiny.words.buffer).every((code) => Math.abs(code) <= 63))
  assert.is(Object.keys(packedFormats).length, 4)
})

test('values that are not finite and blocks of other sizes are refused', () => {
  for (const packing of Object.values(packings)) {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
      const values = Float32Array.of(1, bad, 2)
      assert.throws(() => packing.encode(values, [1, 3], { block: 64, double: false }), /must be finite/)
    }
  }
  assert.throws(() => packings.nf4.wordsOf([4, 4], { block: 48, double: false }), /one of 32, 64/)
})

test.run()
