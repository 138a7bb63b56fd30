// Checkpoints whose weights bitsandbytes packed: read as they are or unpacked, written so that it reads them, and refused where
// they are not whole.
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openModel } from 'vitune'
import { encodeSafetensors, openCheckpoint, openSafetensors, type TensorToWrite } from 'vitune/io'
import { type LoadOptions, loadVit, quantizeModel, saveVit } from 'vitune/models'
import { Context, disposeModule, namedWeights } from 'vitune/nn'
import { type Backend, createReference, createWasm, Packed, scope, tensor } from 'vitune/tensor'
import { refusal } from './refusal.ts'

const fixtures = new URL('fixtures/bitsandbytes/', import.meta.url).pathname
const root = mkdtempSync(join(tmpdir(), 'vitune-bitsandbytes-'))
test.after(() => rmSync(root, { recursive: true }))

async function logits(backend: Backend, folder: string, options: LoadOptions = {}) {
  const stored = await openSafetensors(`${fixtures}${folder}/values.safetensors`)
  const { model, notes } = await loadVit(backend, await openCheckpoint(fixtures + folder), options)
  const images = tensor(backend, await stored.read('pixel_values'), stored.info('pixel_values').shape)
  const y = scope(() => model.forward(images, new Context()))
  const got = await y.data()
  const packed = [...namedWeights(model)].flatMap(([name, p]) =>
    p instanceof Packed ? [[name, p.format] as const] : [],
  )
  for (const t of [images, y]) t.dispose()
  disposeModule(model)
  assert.is(backend.memory().buffers, 0)
  const wanted = await stored.read('logits')
  const off = Math.max(...wanted.map((x, i) => Math.abs(x - got[i]!)))
  return { off, packed, notes: notes.filter((note) => /packed/.test(note)) }
}

const cases: [string, number, string, RegExp][] = [
  [
    'nf4-double',
    12,
    'nf4',
    /^weights are stored packed \(nf4 with packed maxima, blocks of 64\): 12 stay so, 1 are read as f32 \(head\)$/,
  ],
  ['nf4-bfloat16', 5, 'nf4', /^weights are stored packed \(nf4, blocks of 64\): 5 stay so$/],
  ['fp4', 6, 'nf4', /^weights are stored packed \(fp4, blocks of 64\): 6 stay so$/],
  ['evaluated', 6, 'nf4', /^weights are stored packed \(nf4, blocks of 64\): 6 stay so$/],
  ['int8', 6, 'int8-block', /^weights are stored packed \(LLM\.int8, blocks of 64\): 6 stay so$/],
]
for (const [folder, count, format, note] of cases) {
  test(`transformers' ${folder} is read as it is packed, and unpacked, to its logits`, async () => {
    for (const backend of [createReference(), await createWasm({ threads: 2 })]) {
      const as = await logits(backend, folder)
      assert.ok(as.off < 2e-5, `off by ${as.off}`)
      assert.is(as.packed.length, count)
      assert.ok(as.packed.every(([, f]) => f === format))
      assert.is(as.notes.length, 1)
      assert.match(as.notes[0]!, note)
      await backend.dispose()
    }
    const whole = await logits(createReference(), folder, { packing: 'none' })
    assert.ok(whole.off < 2e-5, `off by ${whole.off}`)
    assert.is(whole.packed.length, 0)
  })
}

test('stored bits are kept where the same format is asked for, and packed anew for another', async () => {
  const backend = createReference()
  const same = await logits(backend, 'nf4-double', { packing: { format: 'nf4' } })
  assert.ok(same.off < 2e-5)
  assert.match(same.notes[0]!, /12 stay so/)
  const plain = await logits(backend, 'nf4-double', { packing: { format: 'nf4', double: false } })
  assert.match(plain.notes[0]!, /12 are packed anew, 1 are read as f32/)
  assert.ok(plain.off < 0.02, `off by ${plain.off}`)
  const skipping = await logits(backend, 'nf4-double', { skip: ['query'] })
  assert.ok(skipping.off < 2e-5)
  assert.is(skipping.packed.length, 10)
})

test('what is stored in four bits with maxima in f32 stays so beside doubleQuant, and is packed to the same bits again', async () => {
  const backend = createReference()
  const options = { quantize: 'nf4', doubleQuant: true, quantizeSkip: ['key'] } as const
  const stored = await openModel(backend, `${fixtures}fp4`, options)
  assert.match(stored.notes.join('\n'), /\(fp4, blocks of 64\): 5 stay so, 1 are read as f32/)
  const whole = await openModel(backend, `${fixtures}fp4`, { quantize: 'none' })
  const packing = { format: 'nf4', skip: ['key'] } as const
  const { layers, relative } = await quantizeModel(whole.model, packing, whole.checkpoint)
  assert.equal([layers, relative], [5, 0])
  const wanted = new Map(namedWeights(stored.model))
  for (const [name, p] of namedWeights(whole.model)) {
    if (!(p instanceof Packed)) continue
    assert.equal(await p.words.data(), await (wanted.get(name) as Packed).words.data())
    assert.equal(await p.scales.data(), await (wanted.get(name) as Packed).scales.data())
  }
  for (const { model } of [stored, whole]) disposeModule(model)
  assert.is(backend.memory().buffers, 0)
})

test('a weight has the same fingerprint however it is read', async () => {
  const backend = createReference()
  const prints: unknown[] = []
  for (const quantize of [undefined, 'none'] as const) {
    const opened = await openModel(backend, `${fixtures}nf4-double`, { quantize, fingerprint: true })
    prints.push(opened.fingerprint)
    disposeModule(opened.model)
  }
  assert.equal(prints[0], prints[1])
})

/** The folder with its tensors changed. */
async function bent(
  folder: string,
  change: (tensors: Map<string, TensorToWrite>) => void,
  config = {},
): Promise<string> {
  const out = join(root, 'bent')
  rmSync(out, { recursive: true, force: true })
  cpSync(fixtures + folder, out, { recursive: true })
  const file = await openSafetensors(join(out, 'model.safetensors'))
  const tensors = new Map<string, TensorToWrite>()
  for (const name of file.names()) {
    const { dtype, shape } = file.info(name)
    const data = (await file.bytes(name)).slice()
    // Types that are not written here are left out by these tests.
    if (dtype === 'F32') tensors.set(name, { name, shape, data: new Float32Array(data.buffer) })
    else if (dtype === 'U8') tensors.set(name, { name, shape, dtype, data })
    else if (dtype === 'I8') tensors.set(name, { name, shape, dtype, data: new Int8Array(data.buffer) })
  }
  change(tensors)
  writeFileSync(join(out, 'model.safetensors'), encodeSafetensors(tensors.values()))
  const json = JSON.parse(readFileSync(join(out, 'config.json'), 'utf8'))
  writeFileSync(join(out, 'config.json'), JSON.stringify({ ...json, ...config }))
  return out
}

const query = 'vit.encoder.layer.0.attention.attention.query.weight'
const stateKey = `${query}.quant_state.bitsandbytes__nf4`
const withState = (change: Record<string, unknown>) => (tensors: Map<string, TensorToWrite>) => {
  const { data } = tensors.get(stateKey)!
  const state = { ...JSON.parse(new TextDecoder().decode(data as Uint8Array)), ...change }
  const text = new TextEncoder().encode(JSON.stringify(state))
  tensors.set(stateKey, { name: stateKey, shape: [text.length], dtype: 'U8', data: text })
}
const without = (name: string) => (tensors: Map<string, TensorToWrite>) => void tensors.delete(name)
const reshaped = (name: string, shape: number[]) => (tensors: Map<string, TensorToWrite>) =>
  void tensors.set(name, { ...tensors.get(name)!, shape })

const refusals: [string, (tensors: Map<string, TensorToWrite>) => void, RegExp][] = [
  ['nf4-double', without(`${query}.absmax`), /no tensor|absmax is missing/],
  ['fp4', without(`${query}.absmax`), /absmax is missing beside the packed weight/],
  ['nf4-double', without(`${query}.quant_map`), /quant_map is missing beside the packed weight/],
  ['nf4-double', without(`${query}.nested_quant_map`), /nested_quant_map is missing/],
  ['nf4-double', without(query), /query.weight is missing beside its quant_state/],
  ['nf4-double', without(stateKey), /would leave unread: .*quantised weights|must be of F32/],
  ['nf4-double', withState({ shape: [64, 640] }), /must hold 20480 bytes as \(20480, 1\)/],
  ['nf4-double', withState({ shape: [32, 128] }), /must be \(64, 64\) for this config.json, got \(32, 128\)/],
  ['nf4-double', withState({ shape: [64, -64] }), /shape must be two sizes/],
  ['nf4-double', withState({ shape: [2 ** 40, 2 ** 40] }), /shape must fit a file/],
  ['nf4-double', withState({ blocksize: 63 }), /blocksize must be one of 32, 64/],
  ['nf4-double', withState({ blocksize: 128 }), /absmax must be U8 \(32\), got U8 \(64\)/],
  ['nf4-double', withState({ quant_type: 'fp4' }), /quant_type must be nf4, as its key says/],
  ['nf4-double', withState({ dtype: 'int4' }), /dtype must be one of float32/],
  ['nf4-double', withState({ nested_blocksize: 128 }), /nested_blocksize must be 256/],
  ['nf4-double', withState({ nested_offset: null }), /nested_offset must be a number/],
  ['nf4-double', withState({ rotation: 'hadamard' }), /may not have other fields, got "rotation"/],
  ['nf4-double', reshaped(query, [64, 32]), /is laid out for one processor by bitsandbytes; save it in Python before/],
  ['int8', without(query.replace('weight', 'SCB')), /would leave unread|must be of F32/],
  ['int8', reshaped(query.replace('weight', 'SCB'), [8, 8]), /SCB must be F32 or BF16 or F16 \(64\)/],
]
for (const [folder, change, why] of refusals) {
  test(`a packed weight that is not whole is refused: ${why.source.slice(0, 60)}`, async () => {
    const backend = createReference()
    const at = await bent(folder, change)
    assert.match(await refusal(openModel(backend, at)), why)
    assert.is(backend.memory().buffers, 0)
  })
}

test('scales that are not finite are counted, codes of -128 and other layouts refused', async () => {
  const backend = createReference()
  const broken = await bent('nf4-double', (tensors) => {
    ;(tensors.get(`${query}.nested_absmax`)!.data as Float32Array)[0] = Number.NaN
  })
  assert.match(await refusal(openModel(backend, broken)), /must be finite, got 1 of 274 scales of .*query\.weight/)
  const format = query.replace('weight', 'weight_format')
  const turned = await bent(
    'int8',
    (tensors) => void tensors.set(format, { ...tensors.get(format)!, data: Uint8Array.of(2) }),
  )
  assert.match(await refusal(openModel(backend, turned)), /weight_format must be 0 \(by row\), got 2/)
  const low = await bent('int8', (tensors) => void (tensors.get(query)!.data as Int8Array).fill(-128, 4000))
  assert.match(await refusal(openModel(backend, low)), /must hold codes within -127\.\.127, got -128/)
  const other = await bent('int8', () => {}, { quantization_config: { quant_method: 'awq' } })
  assert.match(await refusal(openModel(backend, other)), /quantization_config must be by bitsandbytes, got "awq"/)
  assert.is(backend.memory().buffers, 0)
})

const stays: [string, LoadOptions][] = [
  ['nf4-double', {}],
  ['nf4-bfloat16', {}],
  ['fp4', {}],
  ['int8', {}],
  ['nf4-double', { packing: { format: 'nf4', double: false, block: 32 } }],
]
for (const [folder, options] of stays) {
  test(`packed weights are saved as they lie, and read again: ${folder} ${JSON.stringify(options)}`, async () => {
    const backend = createReference()
    const { model } = await loadVit(backend, await openCheckpoint(fixtures + folder), options)
    const out = join(root, 'saved')
    rmSync(out, { recursive: true, force: true })
    assert.equal(await saveVit(model, out), [])
    const again = await loadVit(backend, await openCheckpoint(out))
    const weights = new Map(namedWeights(again.model))
    for (const [name, p] of namedWeights(model)) {
      const other = weights.get(name)!
      if (p instanceof Packed && other instanceof Packed) {
        assert.is(other.double, p.double)
        assert.is(other.block, p.block)
        assert.equal(await other.words.data(), await p.words.data(), name)
        assert.equal(await other.scales.data(), await p.scales.data(), name)
      } else assert.ok(!(p instanceof Packed) && !(other instanceof Packed), name)
    }
    // What was packed already and not changed has the bytes that transformers wrote.
    const [theirs, ours] = [
      await openSafetensors(`${fixtures}${folder}/model.safetensors`),
      await openSafetensors(join(out, 'model.safetensors')),
    ]
    if (!options.packing && folder !== 'nf4-bfloat16') {
      for (const name of theirs.names().filter((key) => /layer\.0/.test(key))) {
        assert.equal(ours.info(name), theirs.info(name), name)
        if (!name.endsWith('SCB')) assert.equal(await ours.bytes(name), await theirs.bytes(name), name)
      }
    }
    const { quantization_config: said } = JSON.parse(readFileSync(join(out, 'config.json'), 'utf8'))
    assert.is(said.quant_method, 'bitsandbytes')
    assert.is(said.load_in_4bit, folder !== 'int8')
    const kept =
      folder === 'nf4-bfloat16'
        ? ['vit.encoder.layer.0.attention.attention.query', 'vit.layers.0.attention.q_proj']
        : []
    assert.equal(said.llm_int8_skip_modules, ['classifier', ...kept])
    for (const one of [model, again.model]) disposeModule(one)
    assert.is(backend.memory().buffers, 0)
  })
}

test('weights in 7 bits are saved as LLM.int8 and read as integers again, scales within a rounding', async () => {
  const backend = createReference()
  const { model } = await loadVit(backend, await openCheckpoint(`${fixtures}fp4`), { packing: { format: 'int8' } })
  const out = join(root, 'int8')
  assert.equal(await saveVit(model, out), [])
  const again = await loadVit(backend, await openCheckpoint(out))
  const weights = new Map(namedWeights(again.model))
  let [equal, all] = [0, 0]
  for (const [name, p] of namedWeights(model)) {
    if (!(p instanceof Packed)) continue
    const other = weights.get(name) as Packed
    assert.is(other.format, 'int8')
    assert.equal(await other.words.data(), await p.words.data(), name)
    const [a, b] = [await p.scales.data(), await other.scales.data()]
    for (const [i, x] of a.entries()) {
      all++
      if (x === b[i]) equal++
      else assert.ok(Math.abs(x - b[i]!) <= x * 2 ** -23, `${name}: ${b[i]} in place of ${x}`)
    }
  }
  assert.ok(equal >= 0.95 * all, `${equal} of ${all}`)
  for (const one of [model, again.model]) disposeModule(one)
})

test('formats that bitsandbytes has not are saved as f32, which is said', async () => {
  const backend = createReference()
  const { model } = await loadVit(backend, await openCheckpoint(`${fixtures}fp4`), {
    packing: { format: 'int8-block', block: 32 },
  })
  const out = join(root, 'blocks')
  assert.equal(await saveVit(model, out), [
    '6 weights packed as int8-block are saved as f32, since bitsandbytes has no such format',
  ])
  assert.is(JSON.parse(readFileSync(join(out, 'config.json'), 'utf8')).quantization_config, undefined)
  const again = await loadVit(backend, await openCheckpoint(out))
  const weights = new Map(namedWeights(model))
  for (const [name, p] of namedWeights(again.model)) assert.equal(await p.data(), await weights.get(name)!.data(), name)
  for (const one of [model, again.model]) disposeModule(one)
  assert.is(backend.memory().buffers, 0)
})

test.run()
