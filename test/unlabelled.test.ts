// Images without labels beside labelled ones, from files to run folders: what is told and kept, that a run which goes on is the one
// that was not stopped, what has changed since, and what is refused. What is learnt of them: self-training.test.ts.
import { appendFileSync, copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type TrainEvent, type TrainOptions, train } from 'vitune'
import { model, temporary } from './cli-tools.ts'
import { failureOf } from './errors.ts'
import { filesOf } from './kills.ts'
import { classFolders, labelledTable, labelledTree, labels } from './task-pictures.ts'

const { folder, clean } = temporary()
test.after(clean)
let made = 0
const fresh = (name = 'run') => join(folder, `${name}-${made++}`)

const data = await classFolders(join(folder, 'classes'), 6)
const table = await labelledTable(join(folder, 'table'), 12)
const tree = await labelledTree(join(folder, 'tree'), 3)
// In folders whose names mean nothing here.
const pool = await classFolders(join(folder, 'pool'), 4)

type Given = Partial<TrainOptions>
const basics = { model, threads: 1, epochs: 3, batchSize: 4, lr: 1e-2, device: 'wasm' } as const

async function collect(given: Given, until = (_: TrainEvent) => false): Promise<TrainEvent[]> {
  const events: TrainEvent[] = []
  const options = given.resume ? given : { ...basics, data, unlabelled: pool, unlabelledThreshold: 0.4, ...given }
  for await (const event of train(options as TrainOptions)) {
    events.push(event)
    if (until(event)) break
  }
  return events
}

type Only<K extends TrainEvent['kind']> = Extract<TrainEvent, { kind: K }>
const only = <K extends TrainEvent['kind']>(events: readonly TrainEvent[], kind: K) =>
  events.filter((e): e is Only<K> => e.kind === kind)
const read = (...path: string[]) => readFileSync(join(...path), 'utf8')
const lines = (...path: string[]) =>
  read(...path)
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))

const tasks: [string, Given][] = [
  ['one class an image', { peft: 'lora' }],
  ['one class an image, linear', { peft: 'linear', augment: false }],
  ['any number of labels', { data: table, peft: 'lora', unlabelledWeight: 0.5 }],
  ['a tree', { data: tree, peft: 'full', lr: 1e-3, accumulate: 2, unlabelledRatio: 2 }],
]
for (const [name, given] of tasks) {
  test(`${name}: what is told and kept is one, and a run that was stopped anywhere ends as if it had not been`, async () => {
    const out = fresh()
    const events = await collect({ ...given, out })
    const [start] = only(events, 'start')
    assert.is(start!.unlabelled, 12)
    const epochs = only(events, 'epoch')
    const sure = epochs.map(({ told }) => told!.sure!)
    assert.ok(sure.every((share) => share >= 0 && share <= 1) && sure.some((share) => share > 0), `sure: ${sure}`)
    const kept = lines(out, 'metrics.jsonl').filter((line) => 'train_sure' in line)
    assert.equal(
      kept.map((line) => line.train_sure),
      sure,
    )
    const run = JSON.parse(read(out, 'run.json'))
    assert.is(run.images.unlabelled, 12)
    assert.equal([run.settings.unlabelled, run.settings.unlabelledThreshold, run.settings.ema], [pool, 0.4, 0.9])
    const listed = lines(out, 'unlabelled.jsonl').slice(1)
    assert.is(listed.length, 12)
    assert.ok(
      listed.every(([part, label, , , digest]) => part === 'train' && label === '' && /^[\da-f]{64}$/.test(digest)),
    )

    const steps = only(events, 'step').length
    for (const stop of [1 + Math.ceil(steps / 2)]) {
      const other = fresh()
      await collect({ ...given, out: other }, (event) => event.kind === 'step' && event.step === stop)
      await collect({ out: other, resume: true })
      assert.equal(filesOf(other), filesOf(out), `stopped after step ${stop}`)
    }
  })
}

test('the images without labels change what is learnt, by the seed alone', async () => {
  const losses = async (given: Given) => only(await collect({ epochs: 2, ...given }), 'step').map(({ loss }) => loss)
  const first = await losses({})
  assert.equal(await losses({}), first)
  assert.not.equal(await losses({ seed: 1 }), first)
  assert.not.equal(await losses({ unlabelledWeight: 3 }), first)
})

test('what changed in the folder since the run began is told, and may be accepted', async () => {
  const own = await classFolders(fresh('own'), 2)
  const out = fresh()
  await collect({ out, unlabelled: own }, ({ kind }) => kind === 'epoch')
  rmSync(join(own, labels[0]!, '0.png'))
  copyFileSync(join(pool, labels[1]!, '3.png'), join(own, 'late.png'))
  const message = await failureOf(() => collect({ out, resume: true }))
  assert.match(
    message,
    /^resume: since this run began 1 image without labels was added \(late\.png\), 1 image without labels was removed \(blue\/0\.png\); restore/,
  )
  const [start] = only(await collect({ out, resume: true, acceptChanges: true }), 'start')
  assert.match(start!.changes!, /1 image without labels was added/)
  assert.is(lines(out, 'unlabelled.jsonl').length, 7)
})

test('images that are validated or trained on too are named, whatever they are called', async () => {
  const own = await classFolders(fresh('own'), 2)
  const val = join(fresh('val'))
  mkdirSync(join(val, labels[0]!), { recursive: true })
  copyFileSync(join(pool, labels[0]!, '3.png'), join(val, labels[0]!, 'seen.png'))
  copyFileSync(join(pool, labels[0]!, '3.png'), join(own, 'again.png'))
  const [start] = only(await collect({ unlabelled: own, val, epochs: 1 }), 'start')
  const notes = start!.notes.filter((note) => note.includes('without labels'))
  assert.is(notes.length, 2)
  assert.match(
    notes[0]!,
    /^1 image to validate on is among those without labels, byte for byte, which flatters the accuracy: .*seen\.png$/,
  )
  assert.match(notes[1]!, /^7 images to train on are among those without labels, byte for byte: /)
})

test('what cannot be read is passed over, as elsewhere', async () => {
  const own = await classFolders(fresh('own'), 2)
  writeFileSync(join(own, 'broken.png'), read(own, labels[0]!, '0.png').slice(0, 60))
  writeFileSync(join(own, 'words.txt'), 'none')
  const events = await collect({ unlabelled: own, epochs: 2 })
  assert.equal(
    only(events, 'skip').map(({ file }) => file),
    [join(own, 'broken.png')],
  )
  assert.ok(only(events, 'start')[0]!.ignored.some(({ kind }) => kind === 'files ending in .txt'))
  assert.match(await failureOf(() => collect({ unlabelled: own, strict: true })), /broken\.png.*without strict/)
})

test('what cannot be is refused in a sentence, before anything is written', async () => {
  const empty = fresh('empty')
  mkdirSync(empty)
  appendFileSync(join(empty, 'words.txt'), 'none')
  for (const [given, message] of [
    [
      { unlabelled: join(folder, 'nowhere') },
      /^unlabelled: must be a folder of images, got .*nowhere, which is not there/,
    ],
    [{ unlabelled: table }, /^unlabelled: must be a folder of images, got .*labels\.csv, a file/],
    [
      { unlabelled: empty },
      /^unlabelled: .*empty-\d+ must have images .*, got none; passed over files ending in \.txt/,
    ],
    [{ unlabelledThreshold: 0 }, /^unlabelledThreshold: /],
    [
      { unlabelled: undefined, unlabelledThreshold: 0.9 },
      /^unlabelledThreshold: goes with unlabelled, which is not given/,
    ],
    [{ mixup: 0.2 }, /^mixup: cannot be used together with unlabelled, got 0\.2; leave one of them out/],
  ] as [Given, RegExp][]) {
    assert.match(await failureOf(() => collect(given)), message)
  }
})

test.run()
