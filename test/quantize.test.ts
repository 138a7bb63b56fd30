// Runs over packed weights: what they keep, that they go on and open again bit for bit, and what is refused. What the program's verbs
// say of packing is in test/long/quantize-verbs.test.ts.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { benchmark, estimate, openModel, openRun, train } from 'vitune'
import { disposeModule, namedWeights } from 'vitune/nn'
import { createReference, createWasm, Packed } from 'vitune/tensor'
import { model, refusal } from './cli-tools.ts'
import { clean, collect, fresh, losses, only, others, runOf, startOf, three, two } from './incremental-runs.ts'

const dinov2 = new URL('fixtures/checkpoints/dinov2', import.meta.url)
const test = suite('quantize')
test.after(clean)
const pictures = ['blue', 'red'].map((name) => join(two, name, readdirSync(join(two, name))[0]!))

/** How a run's weights lie once it is opened: formats by count. */
async function formats(opening: ReturnType<typeof openRun>): Promise<Record<string, number>> {
  const { model } = await opening
  const found: Record<string, number> = {}
  for (const [, p] of namedWeights(model)) {
    if (!(p instanceof Packed)) continue
    const name = `${p.format}${p.double ? ', double' : ''}`
    found[name] = (found[name] ?? 0) + 1
  }
  disposeModule(model)
  return found
}

for (const [quantize, peft] of [
  ['nf4', 'dora'],
  ['int8', 'lora'],
  ['int8-block', 'linear'],
] as const) {
  test(`a ${peft} run over ${quantize} weights learns, goes on bit for bit and opens as it was trained`, async () => {
    const given = { data: three, model, peft, quantize, epochs: 2, checkpointing: peft === 'lora' }
    const whole = fresh()
    const events = await collect({ ...given, out: whole })
    const all = losses(events)
    assert.ok(all.at(-1)! < all[0]!, `${all}`)
    const plain = losses(await collect({ ...given, quantize: 'none' }))
    assert.is.not(all[0], plain[0])
    assert.ok(Math.abs(all[0]! / plain[0]! - 1) < 0.1, `${all[0]} and ${plain[0]}`)
    assert.match(
      startOf(events).notes.join('\n'),
      new RegExp(`\\d+ frozen matrices are packed as ${quantize}: [\\d.]+ MB`),
    )
    assert.is(runOf(whole).settings.quantize, quantize)
    // What has no form in files is saved as f32, which the run says.
    const said = runOf(whole).notes.some((note: string) =>
      /\d+ weights packed as int8-block are saved as f32/.test(note),
    )
    assert.is(said, quantize === 'int8-block')

    const stopped = fresh()
    const first = await collect({ ...given, out: stopped }, (event) => event.kind === 'step' && event.step === 4)
    const rest = await collect({ resume: true, out: stopped })
    const again = losses([...first, ...rest])
    assert.equal(again.slice(-3), all.slice(-3))
    const saved = (out: string) =>
      readFileSync(join(out, peft === 'linear' ? 'model.safetensors' : 'adapter_model.safetensors'))
    assert.ok(saved(whole).equals(saved(stopped)), 'what was saved')

    const backend = await createWasm({ threads: 1 })
    const blocks = Object.values(await formats(openModel(backend, model, { quantize })))[0]!
    const name = quantize === 'nf4' ? 'nf4, double' : quantize
    // A linear run saves a whole model, of f32.
    assert.equal(await formats(openRun(backend, whole)), peft === 'linear' ? {} : { [name]: blocks })
    assert.equal(await formats(openRun(backend, whole, { quantize: 'int8' })), { int8: blocks })
    assert.equal(await formats(openRun(backend, whole, { quantize: 'none' })), {})
    assert.is(backend.memory().buffers, 0)
    await backend.dispose()
  })
}

test('modules that are saved whole stay f32, and so do those that are skipped', async () => {
  const backend = createReference()
  const opened = await openModel(backend, model, { quantize: 'nf4', doubleQuant: false, quantizeSkip: ['query'] })
  const packed = [...namedWeights(opened.model)].flatMap(([name, p]) => (p instanceof Packed ? [name] : []))
  assert.ok(packed.length > 0 && packed.every((name) => !name.includes('query')))
  disposeModule(opened.model)
  const out = fresh()
  const modulesToSave = ['intermediate.dense']
  await collect({ data: two, model, out, quantize: 'nf4', modulesToSave, targets: ['query'] })
  const file = join(out, 'run.json')
  const kept = readFileSync(file, 'utf8')
  writeFileSync(file, kept.replace('"quantize": "nf4"', '"quantize": "nf5"'))
  const why = /^--quantize: must be one of none, nf4, .*got nf5/
  assert.match(await refusal('merge', '--run', out, '--out', fresh(), '--device', 'reference'), why)
  writeFileSync(file, kept)
  const run = await openRun(backend, out)
  for (const [name, p] of namedWeights(run.model)) {
    if (/fc1\.weight/.test(name)) assert.not.instance(p, Packed)
    if (/fc2\.weight|query\.weight/.test(name)) assert.instance(p, Packed)
  }
  disposeModule(run.model)
  assert.is(backend.memory().buffers, 0)
  // What is saved whole need not be among what would be packed.
  const events = await collect({
    data: two,
    model: fileURLToPath(dinov2),
    out: fresh(),
    quantize: 'nf4',
    modulesToSave: ['layer_scale1'],
    targets: ['query'],
  })
  assert.match(startOf(events).notes.join('\n'), /frozen matrices are packed as nf4/)
})

test('a run that begins from one over packed weights has them packed alike, its old model shares them', async () => {
  const from = fresh()
  await collect({ data: two, model, out: from, quantize: 'nf4' })
  const out = fresh()
  const peaks = []
  for (const more of [{}, { quantize: 'none' as const }]) {
    const events = await collect({ data: others, from, out: out + peaks.length, distill: 1, ...more })
    assert.is(runOf(out + peaks.length).settings.quantize, more.quantize ?? 'nf4')
    peaks.push(only(events, 'done')[0]!.peakBytes)
  }
  assert.ok(peaks[0]! < peaks[1]!, `${peaks}`)
})

test('what is packed needs less memory, which the estimate knows to the byte', async () => {
  const backend = createReference()
  const { model: small } = await openModel(backend, model)
  const { config } = small
  const common = { config, classes: 3, batchSize: 4, method: 'lora', microBatch: 2, doubleQuant: false } as const
  const needed = (quantize: 'none' | 'nf4' | 'int8') => estimate({ ...common, quantize })
  const [whole, nf4, int8] = [await needed('none'), await needed('nf4'), await needed('int8')]
  assert.ok(nf4.weights < int8.weights && int8.weights < whole.weights)
  disposeModule(small)
  const events = await collect({
    data: three,
    model,
    batchSize: 4,
    microBatch: 2,
    quantize: 'nf4',
    doubleQuant: false,
    val: three,
  })
  assert.is(only(events, 'done')[0]!.peakBytes, nf4.total)
  const told = await benchmark({ model, quantize: 'int8-block', batch: 2, steps: 1, device: 'wasm', threads: 1 })
  const before = await benchmark({ model, batch: 2, steps: 1, device: 'wasm', threads: 1 })
  assert.ok(told.weightBytes < before.weightBytes)
  assert.is(told.total, before.total)
})

test('what cannot be packed is refused before anything is written', async () => {
  const out = fresh()
  const args = ['train', '--data', two, '--model', model, '--out', out]
  assert.match(
    await refusal(...args, '--peft', 'full', '--quantize', 'nf4'),
    /^--quantize: packs weights that do not train, and peft full trains all; choose peft linear, lora, dora, or leave/,
  )
  assert.match(await refusal(...args, '--no-double-quant'), /doubleQuant: changes nothing without quantize nf4/)
  assert.match(
    await refusal(...args, '--quantize-skip', 'query'),
    /^--quantize-skip: goes with quantize, which is not given/,
  )
  assert.match(
    await refusal(...args, '--quantize', 'none', '--quantize-skip', 'query'),
    /^--quantize-skip: changes nothing without a format to quantize to, got \["query"\]; leave it out/,
  )
  assert.match(
    await refusal(...args, '--quantize', 'int8', '--quantize-skip', 'qery'),
    /^--quantize-skip: no layer that would be packed is called qery/,
  )
  assert.match(
    await refusal('predict', '--model', model, '--quantize', 'int9', ...pictures),
    /--quantize: must be one of/,
  )
  let error: Error | undefined
  try {
    for await (const _ of train({ data: two, model, peft: 'lora', quantize: 'fp4' as never })) break
  } catch (caught) {
    error = caught as Error
  }
  assert.match(error!.message, /^quantize: must be one of none, nf4, int8, int8-forward, int8-block, got fp4/)
})

test.run()
