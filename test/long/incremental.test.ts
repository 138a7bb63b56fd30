// Runs that begin from others: how every method follows every other, another task, old outputs beside an adapter, and what becomes of a
// run whose old run is gone.
import { cpSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openRun } from 'vitune'
import { disposeModule } from 'vitune/nn'
import { createReference } from 'vitune/tensor'
import { errorOf } from '../errors.ts'
import {
  begun,
  clean,
  collect,
  folder,
  fresh,
  goesOn,
  losses,
  only,
  runOf,
  startOf,
  still,
  three,
  two,
} from '../incremental-runs.ts'
import { logitsFor, pixels } from '../small-vit.ts'
import { labelledTable } from '../task-pictures.ts'

test.after(clean)
const runs = {
  full: await begun('full'),
  linear: await begun('linear'),
  lora: await begun('lora'),
  dora: await begun('dora'),
}

test('an adapter is merged where all or the classifier trains, and stands on a whole model where that was trained', async () => {
  const logits = async (out: string) => {
    const backend = createReference()
    const opened = await openRun(backend, out)
    const { imageSize } = opened.model.config
    const images = pixels((imageSize[0] * imageSize[1]) / 64, 1)
    const values = await logitsFor(opened.model, images)
    disposeModule(opened.model)
    return values
  }
  for (const [from, peft] of [
    ['lora', 'full'],
    ['dora', 'linear'],
    ['full', 'lora'],
    ['linear', 'dora'],
  ] as const) {
    const out = fresh()
    // The same classes: outputs stay what they were.
    const start = startOf(await collect({ data: two, from: runs[from], peft, out, ...still }))
    assert.is(start.method, peft)
    const [before, after] = [await logits(runs[from]), await logits(out)]
    for (const [i, z] of after.entries()) assert.ok(Math.abs(z - before[i]!) < 1e-4, `${from} to ${peft}: ${z}`)
    if (peft === 'lora' || peft === 'dora') assert.is(runOf(out).model, runs[from])
  }
})

test('another task keeps rows by name, and says what outputs were and are', async () => {
  const table = await labelledTable(join(folder, 'table'))
  const start = startOf(await collect({ data: table, from: runs.full, ...still }))
  assert.is(start.task, 'multilabel')
  assert.equal([start.from!.kept, start.from!.added], [['blue', 'red'], ['green']])
  assert.ok(
    start.notes.some((note) =>
      /^the outputs were for one class an image; from here on they are for any number of labels$/.test(note),
    ),
  )
  const error = await errorOf(collect({ data: table, from: runs.full, distill: 1 }))
  assert.match(error.message, /^distill: needs labels of the old run that are decided in the same way now/)
})

for (const peft of ['lora', 'dora'] as const) {
  test(`a ${peft} run that keeps old outputs stops and goes on with the same numbers`, () => goesOn(peft, runs[peft]))
}

test('a run goes on without the run that it began from, once an epoch is saved', async () => {
  for (const [from, peft] of [
    ['lora', 'lora'],
    ['full', 'full'],
    ['dora', 'full'],
  ] as const) {
    const old = fresh()
    cpSync(runs[from], old, { recursive: true })
    const given = { data: three, from: old, peft, epochs: 3, valEvery: 1 } as const
    const whole = losses(await collect({ ...given, out: fresh() }))
    const [early, late] = [fresh(), fresh()]
    await collect({ ...given, out: early }, (event) => event.kind === 'step' && event.step === 1)
    const first = await collect({ ...given, out: late }, (event) => event.kind === 'step' && event.step === 6)
    rmSync(old, { recursive: true })
    assert.match(
      (await errorOf(collect({ resume: true, out: early }))).message,
      /^from: .* is gone, and this run has no finished epoch to go on from without it; put it back$/,
    )
    const rest = await collect({ resume: true, out: late })
    assert.ok(startOf(rest).notes.some((note) => note.endsWith('is gone; it goes on from what it has itself')))
    assert.equal([...losses(first), ...losses(rest)], whole)
    assert.equal(runOf(late).from.kept, ['blue', 'red'])
  }
  const old = fresh()
  cpSync(runs.full, old, { recursive: true })
  const out = fresh()
  await collect({ data: three, from: old, peft: 'lora', epochs: 2, out }, (event) => event.kind === 'epoch')
  const moved = fresh()
  renameSync(old, moved)
  assert.match(
    (await errorOf(collect({ resume: true, out }))).message,
    /^from: .* is gone, and the adapter of this run stands on the model in it; put it back$/,
  )
  const rest = await collect({ resume: true, out, from: moved, acceptChanges: true })
  assert.is(only(rest, 'done')[0]!.ended, 'epochs')
  assert.is(JSON.parse(readFileSync(join(out, 'adapter_config.json'), 'utf8')).base_model_name_or_path, moved)
})

test.run()
