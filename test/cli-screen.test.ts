// What vitune draws on a terminal: the progress line, its width and its end; numbers and tables for people.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { EpochEvent, StartEvent, StepEvent } from 'vitune'
import { downloads } from '../src/cli/downloads.ts'
import { bytes, count, duration, oneLine, percent, plural, quoted, table } from '../src/cli/format.ts'
import { labelTable } from '../src/cli/label-table.ts'
import { trainProgress } from '../src/cli/train-progress.ts'
import { bar, createUi } from '../src/cli/ui.ts'
import { type Terminal, terminal } from '../src/platform/terminal-node.ts'

/** A terminal that keeps what is written to it. */
function screen(columns = 100, live = true): { terminal: Terminal; out: string; err: string } {
  const kept = { out: '', err: '', terminal }
  kept.terminal = {
    ...terminal,
    live,
    colour: { out: false, err: live },
    columns: () => columns,
    out(text) {
      kept.out += text
    },
    err(text) {
      kept.err += text
    },
  }
  return kept
}

/** What a terminal shows in the end of what was written to it. */
function shown(text: string): string[] {
  const lines = ['']
  // biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences are what is read here
  for (const token of text.match(/\r|\n|\x1b\[K|\x1b\[\d+m|[^\r\n\x1b]+/g) ?? []) {
    if (token === '\n') lines.push('')
    // Every line is written whole after a return, so a return or an erasure empties it.
    else if (token === '\r' || (token === '\x1b[K' && lines.at(-1) === '')) lines[lines.length - 1] = ''
    else if (!token.startsWith('\x1b')) lines[lines.length - 1] += token
  }
  return lines
}

const started: StartEvent = {
  kind: 'start',
  task: 'multiclass',
  recognised: 'each image has one label',
  monitor: 'accuracy',
  method: 'lora',
  model: 'some/model',
  classes: ['a', 'b'],
  train: 160,
  val: 40,
  valSource: 'split',
  ignored: [],
  trainable: 1e5,
  total: 2.21e7,
  lr: 1e-3,
  recipe: { name: 'default', decided: { epochs: 3, augment: { crop: { area: [0.5, 1] }, flip: 0.5 } } },
  device: 'wasm',
  threads: 2,
  notes: ['a note'],
  step: 0,
}
const step = (n: number): StepEvent => ({
  kind: 'step',
  step: n,
  steps: 30,
  epoch: Math.ceil(n / 10),
  epochs: 3,
  loss: 0.5,
  accuracy: 0.875,
  lr: 1e-3,
  count: 16,
  seconds: 1,
  dataSeconds: 0,
  peakBytes: 0,
})
const epoch: EpochEvent = {
  kind: 'epoch',
  epoch: 1,
  epochs: 3,
  step: 10,
  trainLoss: 0.6,
  trainAccuracy: 0.8,
  loss: 0.4,
  accuracy: 0.9,
  metrics: { accuracy: 0.9, f1: 0.9 },
  best: true,
  lr: 1e-3,
  seconds: 12,
  dataSeconds: 0.3,
}

/** Shows the events at a step a second; between steps the real clock has to pass the renderer's pause. */
async function play(columns: number, live = true): Promise<{ before: string[]; after: string[] }> {
  const kept = screen(columns, live)
  const ui = createUi({}, kept.terminal)
  let now = 0
  const progress = trainProgress(ui, () => now)
  progress.start(started)
  for (let n = 1; n <= 5; n++) {
    now += 2
    if (n === 5) await new Promise((resolve) => setTimeout(resolve, 100))
    progress.step(step(n))
  }
  const before = shown(kept.err)
  progress.epoch(epoch)
  ui.clear()
  return { before, after: shown(kept.err) }
}

test('a step shows epoch, loss, accuracy, images a second and the time left on one line', async () => {
  const { before, after } = await play(100)
  assert.is(
    before.at(-1),
    'epoch 1/3 [===========>            ] 5/10  loss 0.5000  acc 87.5 %  8.0 images/s  50 s left',
  )
  assert.equal(before.slice(0, -1), [
    'lora on some/model: 2 classes',
    'task multiclass, since each image has one label',
    '160 images to train, 40 images to validate (set aside from each class)',
    'trains 100.0 k of 22.1 M parameters (0.5 %), lr 0.001, wasm with 2 threads',
    'recipe default: epochs 3, augment crop + flip 0.5',
    'note: a note',
  ])
  assert.equal(after.slice(6), [
    'epoch 1/3  loss 0.6000  accuracy 80.0 %  val loss 0.4000  val accuracy 90.0 %  12 s  best so far',
    '',
  ])
})

test('the line never reaches the edge of the terminal', async () => {
  for (const columns of [120, 80, 79, 60, 40]) {
    const line = (await play(columns)).before.at(-1)!
    assert.ok(line.length < columns, `${line.length} of ${columns}`)
    assert.match(line, /^epoch 1\/3 \[=+>/)
    if (columns >= 80) assert.match(line, / 50 s left$/)
  }
})

test('where there is no terminal there are whole lines only', async () => {
  const kept = screen(80, false)
  const ui = createUi({}, kept.terminal)
  const progress = trainProgress(ui)
  progress.start(started)
  progress.step(step(1))
  progress.epoch(epoch)
  ui.clear()
  assert.not.ok(['\r', '\x1b'].some((c) => kept.err.includes(c)))
  assert.is(kept.err.match(/^epoch 1\/3 .*$/gm)?.length, 1)
})

test('an epoch shows the metric that chooses, and where the loss does, that of the task', () => {
  const metrics = { accuracy: 0.9, f1: 0.5, map: 0.25 }
  const said = (monitor: string) => {
    const kept = screen(80, false)
    const progress = trainProgress(createUi({}, kept.terminal))
    progress.start({ ...started, task: 'multilabel', recognised: 'a.csv, line 2 has several labels', monitor })
    progress.epoch({ ...epoch, metrics })
    return kept.err.split('\n')
  }
  assert.equal(said('map').slice(0, 3), [
    'lora on some/model: 2 labels',
    'task multilabel, since a.csv, line 2 has several labels',
    '160 images to train, 40 images to validate (set aside from each label)',
  ])
  const line = (shown: string) =>
    `epoch 1/3  loss 0.6000  accuracy 80.0 %  val loss 0.4000  val ${shown} %  12 s  best so far`
  assert.equal(
    ['map', 'f1', 'loss'].map((monitor) => said(monitor).at(-2)),
    [line('map 25.0'), line('f1 50.0'), line('map 25.0')],
  )
})

test('a note or a result goes above the progress line, which stays', () => {
  const kept = screen()
  const ui = createUi({}, kept.terminal)
  ui.progress(() => 'half way')
  ui.note('a note')
  assert.equal(shown(kept.err), ['a note', 'half way'])
  ui.progress(() => 'too soon to be drawn')
  assert.is(shown(kept.err).at(-1), 'half way')
  ui.result('a result')
  assert.is(kept.out, 'a result\n')
  ui.clear()
  assert.equal(shown(kept.err), ['a note', ''])
  ui.progress(() => 'a name with\x1b[2J and\nmore')
  assert.is(shown(kept.err).at(-1), 'a name with [2J and more')
})

test('a download shows its bar and goes; without a terminal it is one line a file', () => {
  const kept = screen()
  const tell = downloads(createUi({}, kept.terminal))
  tell({ file: 'model.safetensors', done: 22e6, total: 88e6 })
  assert.equal(shown(kept.err), ['downloading model.safetensors [=====>                  ] 22.0 MB of 88.0 MB'])
  tell({ file: 'model.safetensors', done: 88e6, total: 88e6 })
  assert.equal(shown(kept.err), [''])

  const piped = screen(80, false)
  const say = downloads(createUi({}, piped.terminal))
  for (const done of [0, 22e6, 88e6]) say({ file: 'model.safetensors', done, total: 88e6 })
  assert.is(piped.err, 'downloading model.safetensors (88.0 MB)\n')
})

test('bars fill from empty to full', () => {
  assert.equal(
    [0, 0.5, 1, 7, -1, Number.NaN].map((f) => bar(f, 6)),
    ['[      ]', '[==>   ]', '[======]', '[======]', '[      ]', '[      ]'],
  )
})

test('numbers read well', () => {
  assert.equal([0, 9999, 10_000, 999_949, 999_950, 22_100_000, 1e9].map(count), [
    '0',
    '9999',
    '10.0 k',
    '999.9 k',
    '1.0 M',
    '22.1 M',
    '1.0 G',
  ])
  assert.equal([0, 999, 1000, 999_960, 1.2e9].map(bytes), ['0 B', '999 B', '1.0 kB', '1.0 MB', '1.2 GB'])
  assert.equal([0.31, 0.9999, 4.2, 9.97, 59.6, 200, 240, 3900, 3600, 90_000].map(duration), [
    '310 ms',
    '1.0 s',
    '4.2 s',
    '10 s',
    '1 min',
    '3 min 20 s',
    '4 min',
    '1 h 5 min',
    '1 h',
    '25 h',
  ])
  assert.is(duration(Number.POSITIVE_INFINITY), 'unknown')
  assert.equal([0, 0.0005, 0.875, 1].map(percent), ['0.0 %', '0.05 %', '87.5 %', '100.0 %'])
  assert.equal([plural(1, 'image'), plural(3, 'image'), plural(2, 'class')], ['1 image', '3 images', '2 classes'])
})

test('test tells the worst of many labels, and how many have no image', () => {
  const row = (i: number) => ({
    label: `label ${i}${i === 7 ? ' of a name that is far too long for any table in a terminal' : ''}`,
    ...{ positives: i % 5, known: 20, precision: 1, recall: i / 100, f1: i / 100, ap: i / 100, threshold: 0.5 },
  })
  const rows = Array.from({ length: 100 }, (_, i) => row(i))
  const space = { parents: rows.map(() => -1) }
  const lines = labelTable(rows, space).split('\n')
  assert.is(lines[0], 'The 12 of 100 with the lowest F1; 20 labels have no image here (all: --json)')
  assert.is(lines.length, 14)
  assert.match(lines[2]!, /^label 1 +1 +100\.0 % +1\.0 % +1\.0 % +1\.0 % +0\.50$/)
  assert.match(lines[7]!, /^….{39} +2 /)
  assert.ok(lines.every((line) => line.length <= 100))
})

test('tables are aligned, arguments quoted, control characters taken out', () => {
  assert.is(
    table(
      [
        ['a', 'bb', 'c'],
        ['aaa', 'b', ''],
      ],
      [1],
    ),
    'a    bb  c\naaa   b',
  )
  assert.equal(['runs/a', 'my run', "it's"].map(quoted), ['runs/a', "'my run'", "'it'\\''s'"])
  assert.is(oneLine('a\x1b[31m\r\nb\x9b2J'), 'a [31m b 2J')
})

test.run()
