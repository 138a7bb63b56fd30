// Images without labels beside labelled ones, from files to run folders: what is told and kept, that a run which goes on is the one
// that was not stopped, what has changed since, and what is refused. What is learnt of them: self-training.test.ts. Every
// task, and stops elsewhere: long/unlabelled.test.ts.
import { appendFileSync, copyFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { failureOf } from './errors.ts'
import { classFolders, labels } from './task-pictures.ts'
import {
  checkRun,
  clean,
  collect,
  folder,
  fresh,
  type Given,
  lines,
  only,
  pool,
  read,
  table,
  tasks,
} from './unlabelled-runs.ts'

test.after(clean)

for (const name of ['one class an image', 'a tree']) {
  test(`${name}: what is told and kept is one, and a run that was stopped ends as if it had not been`, () =>
    checkRun(tasks[name]!, (steps) => [1 + Math.ceil(steps / 2)]))
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
  const broken = fresh('broken')
  mkdirSync(broken)
  appendFileSync(join(broken, 'words.png'), 'none')
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
    [{ unlabelled: broken }, /^unlabelled: no image of .*broken-\d+ can be read, words\.png: it is text, no picture/],
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
