// The split belongs to the run: the list of its images, what a resume refuses or accepts, and where each image goes then.
import { createHash } from 'node:crypto'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import sharp from 'sharp'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type TrainEvent, type TrainOptions, train } from 'vitune'
import { openSafetensors, writeSafetensors } from 'vitune/io'
import { refusal } from './refusal.ts'

const root = new URL('..', import.meta.url).pathname
const vit = join(root, 'test/fixtures/checkpoints/vit')
const folder = mkdtempSync(join(tmpdir(), 'vitune-split-'))
const test = suite('split')
test.after(() => rmSync(folder, { recursive: true }))

let made = 0
const fresh = (name = 'run') => join(folder, `${name}-${made++}`)

/** A small picture of noise, another for each seed. */
async function picture(path: string, seed: number): Promise<void> {
  mkdirSync(dirname(path), { recursive: true })
  const raw = Uint8Array.from({ length: 18 * 18 * 3 }, (_, i) => (i * 7 + seed * 131 + ((i * seed) >> 3)) & 255)
  await sharp(raw, { raw: { width: 18, height: 18, channels: 3 } })
    .png()
    .toFile(path)
}
async function pictures(into: string, count: number, from = 0): Promise<string> {
  for (const [c, name] of ['ant', 'bee'].entries())
    for (let i = 0; i < count; i++) await picture(join(into, name, `${i}.png`), from + 100 * c + i)
  return into
}

const flat = await pictures(fresh('flat'), 5)
const split = fresh('split')
await pictures(join(split, 'train'), 4)
await pictures(join(split, 'val'), 2, 50)

type Given = Partial<TrainOptions>
const basics = { model: vit, epochs: 2, batchSize: 4, threads: 1, device: 'wasm', lr: 1e-3 } as const
async function collect(given: Given): Promise<TrainEvent[]> {
  const events: TrainEvent[] = []
  const options = given.resume ? given : { ...basics, ...given }
  for await (const event of train(options as TrainOptions)) events.push(event)
  return events
}
/** A run of its own on copies of data and model, ended after one epoch of two. */
async function begun(data: string, more: Given = {}): Promise<{ data: string; model: string; out: string }> {
  const at = { data: fresh('data'), model: fresh('model'), out: fresh() }
  cpSync(data, at.data, { recursive: true })
  cpSync(vit, at.model, { recursive: true })
  const controller = new AbortController()
  for await (const event of train({ ...basics, ...at, ...more, signal: controller.signal })) {
    if (event.kind === 'epoch') controller.abort()
  }
  return at
}
interface Listed {
  part: string
  class: string
  file: string
  size: number
  sha256: string | null
}
/** The list that a run keeps, read as its first line says. */
function listOf(out: string): Listed[] {
  const [head, ...rows] = readFileSync(join(out, 'images.jsonl'), 'utf8').trimEnd().split('\n')
  const { columns } = JSON.parse(head!) as { columns: string[] }
  return rows.map(
    (row) => Object.fromEntries(columns.map((name, i) => [name, JSON.parse(row)[i]])) as unknown as Listed,
  )
}
const partsOf = (out: string) => new Map(listOf(out).map(({ file, part }) => [file, part]))
const runOf = (out: string) => JSON.parse(readFileSync(join(out, 'run.json'), 'utf8'))
const sum = (path: string) => createHash('sha256').update(readFileSync(path)).digest('hex')
const text = (out: string) => readFileSync(join(out, 'images.jsonl'), 'utf8')

test('a run keeps part, class, size and SHA-256 of every image, for a split, folders inside and a folder beside', async () => {
  const beside = await pictures(fresh('beside'), 2, 70)
  for (const [given, roots] of [
    [{ data: flat }, { '': flat }],
    [{ data: split }, { '': split }],
    [
      { data: flat, val: beside },
      { 'val:': beside, '': flat },
    ],
  ] as const) {
    const out = fresh()
    const events = await collect({ ...given, out, epochs: 1 })
    const list = listOf(out)
    const start = events.find((e) => e.kind === 'start')!
    assert.equal(
      ['train', 'val'].map((part) => list.filter((image) => image.part === part).length),
      [start.train, start.val],
    )
    for (const image of list) {
      const [mark, base] = Object.entries(roots).find(([mark]) => image.file.startsWith(mark))!
      const path = join(base, image.file.slice(mark.length))
      assert.is(image.sha256, sum(path), image.file)
      assert.is(image.size, readFileSync(path).length)
      assert.is(image.class, path.split('/').at(-2))
      if (mark !== '' || 'split' in given) assert.is(image.part, 'val')
    }
  }
})

test('the list of an interrupted run ends as that of an undisturbed one; broken images are listed too', async () => {
  const data = fresh('data')
  cpSync(flat, data, { recursive: true })
  writeFileSync(join(data, 'ant', 'broken.png'), 'no image')
  const whole = fresh()
  await collect({ data, out: whole, epochs: 1 })
  const broken = listOf(whole).find(({ file }) => file === 'ant/broken.png')
  assert.is(broken?.sha256, sum(join(data, 'ant', 'broken.png')))
  const out = fresh()
  // After the first step: some images have not been read yet.
  for await (const event of train({ ...basics, data, out, epochs: 1 })) if (event.kind === 'step') break
  assert.is(listOf(out).length, 11)
  assert.ok(listOf(out).some(({ sha256 }) => sha256 === null))
  await collect({ out, resume: true })
  assert.is(text(out), text(whole))
})

const changes: [name: string, on: string, (at: { data: string; model: string }) => unknown, said: RegExp][] = [
  [
    'an image is added',
    flat,
    ({ data }) => picture(join(data, 'ant', '0-new.png'), 900),
    /1 image was added \(ant\/0-new\.png\)/,
  ],
  [
    'an image is removed',
    flat,
    ({ data }) => rmSync(join(data, 'bee', '3.png')),
    /1 image was removed \(bee\/3\.png\)/,
  ],
  [
    'an image is renamed',
    flat,
    ({ data }) => renameSync(join(data, 'bee', '3.png'), join(data, 'bee', 'z.png')),
    /1 image was renamed \(bee\/z\.png\)/,
  ],
  [
    'an image is replaced',
    flat,
    ({ data }) => cpSync(join(data, 'bee', '3.png'), join(data, 'ant', '1.png')),
    /1 image was changed \(ant\/1\.png\)/,
  ],
  [
    'an image of the same size is another',
    flat,
    ({ data }) => {
      const path = join(data, 'ant', '1.png')
      const bytes = readFileSync(path)
      bytes[bytes.length - 20]! ^= 1
      writeFileSync(path, bytes)
    },
    /1 image was changed \(ant\/1\.png\)/,
  ],
  [
    'an image is of another class',
    flat,
    ({ data }) => renameSync(join(data, 'bee', '3.png'), join(data, 'ant', '3-moved.png')),
    /1 image was moved to another class \(ant\/3-moved\.png\)/,
  ],
  [
    'the validation folder is gone',
    split,
    ({ data }) => rmSync(join(data, 'val'), { recursive: true }),
    /the validation folder \(4 images\) is gone/,
  ],
  [
    'a validation image is removed',
    split,
    ({ data }) => rmSync(join(data, 'val', 'ant', '0.png')),
    /1 image was removed \(val\/ant\/0\.png\)/,
  ],
  [
    "the model's weights are others",
    flat,
    async ({ model }) => {
      const path = join(model, 'model.safetensors')
      const file = await openSafetensors(path)
      const tensors = await Promise.all(
        file.names().map(async (name) => ({ name, shape: file.info(name).shape, data: await file.read(name) })),
      )
      tensors.find(({ name }) => name.includes('layer.0'))!.data[0]! += 1e-3
      await writeSafetensors(path, tensors, { format: 'pt' })
    },
    /the model's weights changed/,
  ],
  [
    "the model's configuration is another",
    flat,
    ({ model }) => edit(join(model, 'config.json'), (config) => (config.layer_norm_eps = 1e-3)),
    /the model's config\.json changed \(layerNormEps\)/,
  ],
  [
    'the preprocessor is another',
    flat,
    ({ model }) => edit(join(model, 'preprocessor_config.json'), (config) => (config.image_mean = [0.1, 0.2, 0.3])),
    /the model's preprocessor changed \(mean\)/,
  ],
]
function edit(path: string, change: (json: Record<string, unknown>) => unknown): void {
  const json = JSON.parse(readFileSync(path, 'utf8'))
  change(json)
  writeFileSync(path, JSON.stringify(json))
}

for (const [name, on, change, said] of changes) {
  test(`${name}: resume refuses in one sentence and writes nothing; accepted, it goes on, keeps what changed and moves no image`, async () => {
    const at = await begun(on)
    const before = partsOf(at.out)
    const byDigest = new Map(listOf(at.out).map(({ sha256, part }) => [sha256, part]))
    const run = readFileSync(join(at.out, 'run.json'), 'utf8')
    const list = text(at.out)
    await change(at)
    const message = await refusal(collect({ out: at.out, resume: true }))
    assert.match(message, said)
    assert.match(message, /^resume: since this run began .*--accept-changes/)
    assert.ok(message.length <= 300)
    assert.is(readFileSync(join(at.out, 'run.json'), 'utf8'), run)
    assert.is(text(at.out), list)

    const events = await collect({ out: at.out, resume: true, acceptChanges: true })
    assert.match(events.find((e) => e.kind === 'start')!.changes ?? '', said)
    assert.is(events.at(-1)!.kind, 'done')
    const [recorded, ...more] = runOf(at.out).changes
    assert.is(recorded.step, JSON.parse(run).step)
    assert.match(recorded.what, said)
    assert.equal(more, [])
    for (const { file, part, sha256 } of listOf(at.out)) {
      assert.is(part, byDigest.get(sha256) ?? before.get(file) ?? 'train', file)
      assert.is(sha256, sum(join(at.data, file)))
    }
    // It is the run's own now.
    const again = await collect({ out: at.out, resume: true, epochs: 3 })
    assert.is(again.find((e) => e.kind === 'start')!.changes, undefined)
    assert.is(runOf(at.out).changes.length, 1)
  })
}

test('a hundred changes are told by their numbers and up to five names', async () => {
  const at = await begun(flat)
  for (let i = 0; i < 60; i++) await picture(join(at.data, 'ant', `${'n'.repeat(150)}${i}.png`), 500 + i)
  for (let i = 0; i < 4; i++) rmSync(join(at.data, 'bee', `${i}.png`))
  const message = await refusal(collect({ out: at.out, resume: true }))
  assert.match(message, /60 images were added/)
  assert.match(message, /4 images were removed/)
  assert.ok(message.length <= 300, message)
})

test('another validation folder is refused; accepted, what was trained on is not validated on, and the best is looked for anew', async () => {
  const at = await begun(split)
  const other = fresh('other')
  await pictures(other, 2, 70)
  cpSync(join(at.data, 'train', 'ant', '0.png'), join(other, 'ant', 'seen.png'))
  assert.match(
    await refusal(collect({ out: at.out, resume: true, val: other })),
    /^resume: val was not given in this run and cannot become/,
  )
  const events = await collect({ out: at.out, resume: true, val: other, acceptChanges: true })
  const parts = partsOf(at.out)
  assert.is(parts.get('val:ant/0.png'), 'val')
  assert.is(parts.get('val:ant/seen.png'), 'train')
  assert.is(parts.get('train/ant/0.png'), 'train')
  const done = events.find((e) => e.kind === 'done')!
  assert.is(done.bestEpoch, 2)
  assert.is(done.accuracy, events.find((e) => e.kind === 'epoch')!.accuracy)
})

test('without its validation folder an accepted run goes on and measures nothing', async () => {
  const at = await begun(split)
  rmSync(join(at.data, 'val'), { recursive: true })
  const events = await collect({ out: at.out, resume: true, acceptChanges: true })
  const [start, done] = [events.find((e) => e.kind === 'start')!, events.find((e) => e.kind === 'done')!]
  assert.equal([start.train, start.val, start.valSource], [8, 0, 'none'])
  assert.is(done.accuracy, undefined)
})

test('a data folder at another place is a change of that alone', async () => {
  const at = await begun(flat)
  const moved = fresh('moved')
  renameSync(at.data, moved)
  assert.match(
    await refusal(collect({ out: at.out, resume: true, data: moved })),
    /^resume: data was .* or --accept-changes$/,
  )
  await collect({ out: at.out, resume: true, data: moved, acceptChanges: true })
  assert.equal(
    runOf(at.out).changes.map(({ what }: { what: string }) => what),
    [`the data folder is ${moved} and was ${at.data}`],
  )
  await collect({ out: at.out, resume: true, epochs: 3 })
})

test('an image with other labels, or one that is not unknown any more, is refused by name', async () => {
  const data = await pictures(fresh('listed'), 3)
  const list = (...marks: string[]) => {
    const rows = marks.map((mark, i) => `${i < 3 ? 'ant' : 'bee'}/${i % 3}.png,${mark}`)
    writeFileSync(join(data, 'labels.csv'), `path,"x;y",y,?x\n${rows.join('\n')}\n`)
  }
  const given = ['1,0,0', '0,1,1', '0,,0', '0,1,0', '1,1,0', '0,0,0']
  list(...given)
  const controller = new AbortController()
  const out = fresh()
  for await (const event of train({ ...basics, data, out, signal: controller.signal })) {
    if (event.kind === 'epoch') controller.abort()
  }
  assert.equal(
    listOf(out)
      .map((image) => `${image.file}: ${image.class}`)
      .sort(),
    ['ant/0.png: x\\;y', 'ant/1.png: y;\\?x', 'ant/2.png: ?y', 'bee/0.png: y', 'bee/1.png: x\\;y;y', 'bee/2.png: '],
  )
  for (const [place, mark] of [
    [2, '0,0,0'],
    [2, '0,1,0'],
    [5, '0,,0'],
    [3, '1,1,0'],
  ] as const) {
    list(...given.with(place, mark))
    const file = `${place < 3 ? 'ant' : 'bee'}/${place % 3}.png`
    const message = await refusal(collect({ out, resume: true }))
    assert.ok(message.startsWith(`resume: since this run began 1 image was labelled otherwise (${file}); `), message)
  }
  list(...given)
  await collect({ out, resume: true })
})

test('of many classes a run tells which were added and which are gone', async () => {
  const data = fresh('many')
  for (let i = 0; i < 24; i++) for (const k of [0, 1]) await picture(join(data, `c${i}`, `${k}.png`), 2 * i + k)
  const at = await begun(data)
  renameSync(join(at.data, 'c23'), join(at.data, 'd'))
  assert.match(
    await refusal(collect({ out: at.out, resume: true })),
    /has the classes c0, c1, c10, c11, c12 and 19 more, got 24 with d without c23; restore/,
  )
})

test('other classes are refused, accepted or not', async () => {
  const at = await begun(flat)
  await picture(join(at.data, 'cat', '0.png'), 800)
  for (const acceptChanges of [false, true])
    assert.match(
      await refusal(collect({ out: at.out, resume: true, acceptChanges })),
      /has the classes ant, bee, got ant, bee, cat/,
    )
})

test('a run that keeps no list goes on, says so, and keeps one from then on', async () => {
  const at = await begun(flat)
  const list = text(at.out)
  rmSync(join(at.out, 'images.jsonl'))
  const events = await collect({ out: at.out, resume: true })
  assert.match(events.find((e) => e.kind === 'start')!.notes.join('\n'), /keeps no list of its images/)
  assert.is(text(at.out), list)
})

test('validation images that are trained on too are told once, with their names', async () => {
  const data = fresh('data')
  cpSync(split, data, { recursive: true })
  cpSync(join(data, 'train', 'ant', '1.png'), join(data, 'val', 'ant', 'twin.png'))
  const out = fresh()
  const events = await collect({ data, out })
  const told = events.filter((e) => e.kind === 'duplicates')
  assert.equal(told, [
    { kind: 'duplicates', count: 1, images: [{ val: 'val/ant/twin.png', train: 'train/ant/1.png' }] },
  ])
  assert.is(events[events.indexOf(told[0]!) - 1]!.kind, 'epoch')
  assert.is(runOf(out).duplicates, 1)
  const again = await collect({ out, resume: true, epochs: 3 })
  assert.not(again.some((e) => e.kind === 'duplicates'))
  assert.not((await collect({ data: split })).some((e) => e.kind === 'duplicates'))
  assert.ok(existsSync(out))
})

test('a run whose best epoch was lost is refused, or looks for the best anew; fewer epochs than are done are refused', async () => {
  const { out } = await begun(flat)
  rmSync(join(out, 'adapter_model.safetensors'))
  const said = await refusal(collect({ out, resume: true }))
  assert.match(said, /^resume: since this run began the best epoch's files are gone \(adapter_model\.safetensors\);/)
  const events = await collect({ out, resume: true, acceptChanges: true })
  assert.is(events.filter(({ kind }) => kind === 'epoch').length, 1)
  assert.ok(existsSync(join(out, 'adapter_model.safetensors')))
  const { bestEpoch, changes } = runOf(out)
  assert.is(bestEpoch, 2)
  assert.match(changes.at(-1).what, 'adapter_model.safetensors')
  assert.is(
    await refusal(collect({ out, resume: true, epochs: 1 })),
    'epochs: the run has done 2, got 1; give more, or leave it out',
  )
  const start = (await collect({ out, resume: true })).find((event) => event.kind === 'start')
  assert.match((start as { notes: readonly string[] }).notes.join(' '), 'all 2 epochs of the run are done')
})

test.run()
