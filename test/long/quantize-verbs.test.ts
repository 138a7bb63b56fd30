// vitune predict, test and merge of a run over packed weights, run as a program: what packing costs is measured and said.
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { openModel, openRun, predict } from 'vitune'
import { disposeModule } from 'vitune/nn'
import { createReference } from 'vitune/tensor'
import { model, output, refusal, vitune } from '../cli-tools.ts'
import { clean, collect, folder, fresh, three, two } from '../incremental-runs.ts'

const test = suite('quantize verbs')
test.after(clean)
const pictures = ['blue', 'red'].map((name) => join(two, name, readdirSync(join(two, name))[0]!))
const cpu = ['--device', 'wasm', '--threads', '1']

test('predict, test and merge say what packing costs', async () => {
  const run = fresh()
  await collect({ data: three, model, out: run, epochs: 3, quantize: 'nf4' })
  for (const quantize of [[], ['--quantize', 'int8'], ['--quantize', 'none']]) {
    const { predictions } = JSON.parse(
      await output('predict', '--run', run, ...quantize, '--json', ...pictures, ...cpu),
    )
    assert.is(predictions.length, 2)
  }
  assert.match(
    await output('test', '--run', run, '--all', '--quantize', 'int8', ...cpu),
    /^packed +as int8: (the same accuracy as|[\d.]+ points (less|more) accuracy than) in f32 \([\d.]+ %\)$/m,
  )
  const json = JSON.parse(await output('test', '--run', run, '--all', '--quantize', 'nf4', '--json', ...cpu))
  assert.is(json.quantize, 'nf4')
  assert.type(json.f32.accuracy, 'number')

  assert.match(
    await refusal('merge', '--run', run, '--out', join(folder, 'blocks'), '--quantize', 'int8-block', ...cpu),
    /^--quantize: int8-block has no form in files; leave it out, or take nf4 or int8/,
  )
  const plain = join(folder, 'plain')
  const said = await vitune('merge', '--run', run, '--out', plain, ...cpu)
  assert.match(said.out, /trained over packed weights, [\d.]+ % off the model's own/)
  const backend = createReference()
  const [trained, merged] = [await openRun(backend, run), await openModel(backend, plain)]
  const scores = async (opened: typeof trained) => (await predict(opened, pictures)).flatMap(({ logits }) => logits)
  const [a, b] = [await scores(trained), await scores(merged)]
  assert.ok(
    a.every((z, i) => Math.abs(z - b[i]!) < 1e-4),
    'merged weights predict what the run does',
  )
  for (const { model } of [trained, merged]) disposeModule(model)
  assert.is(backend.memory().buffers, 0)
})

test.run()
