// A run that begins from another one: which rows of the classifier stay, that old outputs can be kept, and what is refused. The loss
// itself: distill.test.ts; how methods follow each other, and what happens without the old run: long/incremental.test.ts.
import { cpSync, existsSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { estimate, multiclassLabels } from 'vitune'
import { fitHead, keepRows } from 'vitune/models'
import { disposeModule, truncatedNormal, zeros } from 'vitune/nn'
import { type Backend, createReference, createWasm, Rng } from 'vitune/tensor'
import { images, model, output, refusal, start } from './cli-tools.ts'
import { errorOf } from './errors.ts'
import {
  begun,
  clean,
  collect,
  folder,
  fresh,
  type Given,
  goesOn,
  others,
  rowsOf,
  runOf,
  savedRows,
  startOf,
  still,
  three,
  two,
} from './incremental-runs.ts'
import { load } from './small-vit.ts'

test.after(clean)
const runs = { lora: await begun('lora'), full: await begun('full') }

test('labels that stay keep their rows bit for bit in any order, in every kind of head', async () => {
  const heads = ['checkpoints/vit', 'checkpoints/dinov2', 'checkpoints/deit-distilled', 'timm/vit']
  for (const backend of [createReference(), await createWasm({ threads: 1 })] as Backend[]) {
    for (const name of heads) {
      const init = truncatedNormal(new Rng(1), 0.1)
      const one = await load(backend, name)
      for (const { bias } of one.heads) bias!.assign(Float32Array.of(1, 2, 3, 4, 5))
      const before = await rowsOf(one)
      const { rows, note, isNew } = keepRows(one, ['egg', 'new', 'apple', 'cherry'], init)
      assert.equal(rows, { kept: ['egg', 'apple', 'cherry'], added: ['new'], gone: ['bread', 'date'] })
      assert.not.ok(isNew)
      assert.is(
        note,
        'the classifier keeps the rows of 3 (egg, apple, cherry) of 5 classes, 1 (new) is new, 2 (bread, date) are gone',
      )
      const after = await rowsOf(one)
      assert.is(after.length, name.includes('distilled') ? 2 : 1)
      for (const [i, head] of after.entries()) {
        assert.equal(Object.keys(head), ['egg', 'new', 'apple', 'cherry'])
        for (const kept of rows.kept) assert.equal(head[kept], before[i]![kept])
        assert.is(head.new!.at(-1), 0)
        assert.ok(head.new!.some((value) => value !== 0))
      }
      // A row that is new begins as that of a new classifier does.
      const other = await load(backend, name)
      fitHead(other, ['egg', 'new', 'apple', 'cherry'], truncatedNormal(new Rng(1), 0.1))
      assert.equal(after[0]!.new, (await rowsOf(other))[0]!.new)
      disposeModule(other)
      disposeModule(one)
    }
    assert.is(backend.memory().buffers, 0)
    await backend.dispose()
  }
})

test('names are the same where they show the same text, and a model of no such class is told', async () => {
  const backend = createReference()
  const one = await load(backend, 'checkpoints/vit')
  one.config.classes = ['caf\u00e9', 'tea', 'a', 'b', 'c']
  const [before] = await rowsOf(one)
  const { rows } = keepRows(one, ['tea', 'cafe\u0301'], zeros)
  assert.equal(
    [rows.kept, rows.gone],
    [
      ['tea', 'cafe\u0301'],
      ['a', 'b', 'c'],
    ],
  )
  assert.equal((await rowsOf(one))[0]!['cafe\u0301'], before!['caf\u00e9'])
  const none = keepRows(one, ['x', 'y'], zeros)
  assert.ok(none.isNew)
  assert.match(none.note!, /^the classifier keeps no row, 2 \(x, y\) are new, 2 \(tea, /)
  disposeModule(one)
  assert.is(backend.memory().buffers, 0)
})

for (const peft of ['lora', 'full'] as const) {
  test(`a run from one of ${peft} has its weights and its rows, and says what it kept`, async () => {
    const out = fresh()
    const events = await collect({ data: three, from: runs[peft], out, ...still })
    const start = startOf(events)
    assert.is(start.method, peft)
    const taken = { run: runs[peft], kept: ['blue', 'red'], added: ['green'], gone: [] }
    assert.equal(start.from, taken)
    assert.equal(runOf(out).from, taken)
    assert.ok(
      start.notes.some((note) => note.includes('keeps the rows of 2 (blue, red) of 2 classes, 1 (green) is new')),
    )
    const [before, after] = [await savedRows(runs[peft]), await savedRows(out)]
    assert.equal(Object.keys(after), ['blue', 'green', 'red'])
    assert.equal([after.blue, after.red], [before.blue, before.red])
    // What it is apart from the classifier is as it was.
    if (peft === 'lora') assert.is(runOf(out).settings.model, model)
  })
}

test('what cannot follow, or is said twice, is refused with what to do, before anything is written', async () => {
  const out = fresh()
  const bad: [Given, RegExp][] = [
    [
      { from: runs.lora, peft: 'dora' },
      /^peft: .* trained a lora adapter, which cannot go on as dora; leave peft out, choose full or linear, or merge it/,
    ],
    [{ from: runs.lora, adapter: runs.lora }, /^from: cannot be given together with adapter/],
    [{ from: runs.lora, rank: 4 }, /^rank: cannot be chosen together with from, which brings its own$/],
    [{ from: runs.full, rank: 4 }, /^rank: for peft lora or dora only, got full$/],
    [{ from: runs.lora, model: join(model, '../dinov2') }, /^model: comes from the run in .*dinov2; leave it out$/],
    [{ from: two }, /must be a run folder that vitune train wrote, got no run\.json in it$/],
    [{ from: join(folder, 'none') }, /must be a run folder/],
    [{ model, distill: 1 }, /^distill: goes with from/],
    [{ from: runs.full, distillTemperature: 3 }, /^distillTemperature: goes with distill/],
    [
      { from: runs.full, data: others, distill: 1, labelSmoothing: 0.1 },
      /^labelSmoothing: would be learnt of labels that/,
    ],
    [{ from: runs.full, distill: -1 }, /^distill: must be/],
    [{ from: runs.full, distill: 1, distillTemperature: 0 }, /^distillTemperature: must be/],
  ]
  for (const [given, message] of bad) {
    assert.match((await errorOf(collect({ data: three, out, ...given }))).message, message)
    assert.not.ok(existsSync(out))
  }
  // An adapter of its own may have a rank of its own.
  const start = startOf(await collect({ data: three, from: runs.full, peft: 'lora', rank: 2, out, ...still }))
  assert.is(runOf(out).lora.r, 2)
  assert.is(start.method, 'lora')
})

test('a full run that keeps old outputs stops and goes on with the same numbers', () => goesOn('full', runs.full))

test('the estimate knows of the old model: whole beside a full run, next to nothing where the weights are shared', async () => {
  const backend = createReference()
  const { config } = await load(backend, 'checkpoints/vit').then((one) => {
    disposeModule(one)
    return one
  })
  const labels = multiclassLabels(['0', '1', '2'])
  const needs = (method: 'full' | 'lora', teacher?: { labels: typeof labels; shared: boolean }) =>
    estimate({ config, classes: 4, batchSize: 4, method, ...(teacher && { teacher }) })
  const [full, beside] = [await needs('full'), await needs('full', { labels, shared: false })]
  assert.ok(beside.weights - full.weights > 0.95 * full.weights)
  const [lora, shared] = [await needs('lora'), await needs('lora', { labels, shared: true })]
  assert.ok(shared.weights - lora.weights < 0.1 * lora.weights)
})

test('a run that is cut short or put together of others is one sentence, before anything is written', async () => {
  const bad: [keyof typeof runs, (at: string) => void, RegExp][] = [
    [
      'lora',
      (at) => rmSync(join(at, 'adapter_model.safetensors')),
      /: has no adapter_model\.safetensors yet; let its first/,
    ],
    [
      'lora',
      (at) => rmSync(join(at, 'adapter_config.json')),
      /: an adapter folder must have .*, got no adapter_config/,
    ],
    [
      'lora',
      (at) => truncateSync(join(at, 'adapter_model.safetensors'), 999),
      /: .* it is cut short or no safetensors/,
    ],
    [
      'lora',
      (at) => truncateSync(join(at, 'run.json'), 99),
      /run\.json: must hold JSON, got text that is none, perhaps cut/,
    ],
    ['full', (at) => writeFileSync(join(at, 'run.json'), '{}'), /run\.json: method must be one of .*, got undefined$/],
    ['full', (at) => rmSync(join(at, 'model.safetensors')), /: has no model\.safetensors yet; let its first/],
    ['full', (at) => truncateSync(join(at, 'model.safetensors'), 999), /: .* it is cut short or no safetensors/],
    ['full', (at) => rmSync(join(at, 'config.json')), /: must have config\.json/],
  ]
  const renamed = (at: string) => {
    const file = join(at, 'run.json')
    writeFileSync(file, JSON.stringify({ ...runOf(at), classes: ['blue', 'red', 'pink'], labels: undefined }))
  }
  for (const peft of ['lora', 'full'] as const) {
    bad.push([
      peft,
      renamed,
      /^from: run\.json in .* names blue, red, pink, which are not the classes of the model there/,
    ])
  }
  const out = fresh()
  for (const [peft, breaks, message] of bad) {
    const from = fresh()
    cpSync(runs[peft], from, { recursive: true })
    breaks(from)
    assert.match((await errorOf(collect({ data: three, from, out }))).message, message)
    assert.not.ok(existsSync(out))
  }
})

test('the commands of docs/incremental.md run as they stand, and what they make tests and predicts', async () => {
  const page = readFileSync(new URL('../docs/incremental.md', import.meta.url), 'utf8')
  const lines = [...page.matchAll(/^ {4}vitune (.*)$/gm)].map(([, line]) => line!.split(/ +/))
  assert.equal(
    lines.map(([verb, from, RUN]) => [verb, from, RUN]),
    [1, 2].map(() => ['train', '--from', 'RUN']),
  )
  const cwd = join(folder, 'docs')
  cpSync(runs.lora, join(cwd, 'RUN'), { recursive: true })
  await images(join(cwd, 'MORE'), 4, ['green', 'red'])
  for (const line of lines) {
    // An epoch says as much.
    const { code, err } = await start([...line, '--epochs', '1', '--threads', '1'], { cwd }).ended
    assert.is(code, 0, err)
  }
  assert.equal(runOf(join(cwd, 'RUN2')).classes, ['green', 'red'])
  assert.equal(runOf(join(cwd, 'RUN3')).classes, ['green', 'red', 'blue'])
  const found = await output('predict', '--run', join(cwd, 'RUN3'), join(three, 'green/0.png'), '--json')
  assert.match(found, /"(blue|green|red)"/)
  assert.match(
    await refusal('train', '--from', join(cwd, 'RUN'), '--data', three, '--out', fresh(), '--peft', 'dora'),
    /^--peft: .*cannot go on as dora/,
  )
})

test.run()
