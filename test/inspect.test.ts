// `vitune inspect`: what is understood of labelled images, as text that pipes and as one JSON object.
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { images, output, picture, refusal, temporary } from './cli-tools.ts'

const test = suite<{ folder: string; clean: () => void }>('inspect')
test.before.each((context) => {
  Object.assign(context, temporary())
})
test.after.each(({ clean }) => clean())

test('classes are counted by part, and images that are broken, double or of two classes are named', async ({
  folder,
}) => {
  const data = join(folder, 'data')
  await images(join(data, 'train'), 4, ['red', 'green'])
  await images(join(data, 'val'), 1, ['blue', 'red'].slice(1))
  writeFileSync(join(data, 'train/red/broken.png'), 'no image')
  copyFileSync(join(data, 'train/red/1.jpg'), join(data, 'train/green/double.jpg'))
  writeFileSync(join(data, 'train/red/notes.txt'), 'x')
  const found = JSON.parse(await output('inspect', data, '--json'))
  assert.is(found.task, 'multiclass')
  assert.equal(found.images, { train: 10, val: 1, test: 0 })
  assert.is(found.validation, 'folder')
  assert.equal(found.labels, [
    { name: 'green', images: { train: 5, val: 0, test: 0 }, unknown: 0 },
    { name: 'red', images: { train: 5, val: 1, test: 0 }, unknown: 0 },
  ])
  assert.equal(found.broken.length, 1)
  assert.is(found.broken[0].file, 'train/red/broken.png')
  const [twice, same] = found.duplicates.sort((a: { across: boolean }, b: { across: boolean }) => +a.across - +b.across)
  assert.equal([twice.across, twice.contradicting], [false, true])
  assert.equal(
    same.files.map((image: { file: string; part: string }) => [image.file, image.part]),
    [
      ['train/red/0.png', 'train'],
      ['val/red/0.png', 'val'],
    ],
  )
  assert.equal([same.across, same.contradicting], [true, false])
  assert.is(found.ignored[0].kind, 'files ending in .txt')

  const text = await output('inspect', data)
  assert.match(text, /^task {5}multiclass, one class an image, since each image has one label$/m)
  assert.match(text, /^images {3}11: 10 train, 1 val, 0 test$/m)
  assert.match(text, /^label {2}train {2}val\ngreen {6}5 {4}0\nred {8}5 {4}1$/m)
  assert.match(text, /^Cannot be decoded \(1\)\n {2}train\/red\/broken\.png: /m)
  assert.match(text, /in several parts.*\(1\)\n {2}train\/red\/0\.png \(train\) = val\/red\/0\.png \(val\)$/m)
  assert.match(
    text,
    /with different labels \(1\)\n {2}train\/green\/double\.jpg \(green\) = train\/red\/1\.jpg \(red\)$/m,
  )
  assert.match(text, /passed over files ending in \.txt \(1\): train\/red\/notes\.txt/)
  assert.not.match(text, '\x1b')
})

test('labels that cannot be trained on are refused as in training', async ({ folder }) => {
  for (const i of [0, 1]) await picture('red', i).toFile(join(folder, `${i}.png`))
  const labels = [
    { name: 'a', parent: 'b' },
    { name: 'b', parent: '' },
  ]
  const label_groups = [{ name: 'g', group_type: 'exclusive', labels: ['a', 'b'] }]
  const items = [0, 1].map((i) => {
    return { id: `${i}`, annotations: [{ type: 'label', label_id: 0 }], image: { path: `${i}.png` } }
  })
  const data = join(folder, 'train.json')
  writeFileSync(data, JSON.stringify({ categories: { label: { labels, label_groups } }, items }))
  assert.match(await refusal('inspect', data), /groups must not hold parents of each other's labels in a circle/)
})

test('many labels an image, from CSV: unknown labels, images without any, and the task that is asked for', async ({
  folder,
}) => {
  for (let i = 0; i < 5; i++)
    await picture('red', i)
      .png()
      .toFile(join(folder, `${i}.png`))
  const csv = join(folder, 'l.csv')
  writeFileSync(csv, 'path,dog,cat\n0.png,1,1\n1.png,1,0\n2.png,1,-1\n3.png,0,0\n4.png,0,1\n')
  const text = await output('inspect', csv)
  assert.match(text, /^task {5}multilabel, .*, since .*l\.csv, line 2 has several labels$/m)
  assert.match(text, /^images {3}5: \d train, \d val \(set aside\), 0 test$/m)
  assert.match(text, /^label {2}train {2}val {2}unknown\ndog .* 0\ncat .* 1$/m)
  assert.match(text, /^Without any label \(1\)\n {2}3\.png$/m)
  const found = JSON.parse(await output('inspect', csv, '--json'))
  assert.equal([found.unlabelled, found.duplicates, found.broken], [['3.png'], [], []])
  assert.match(await refusal('inspect', csv, '--task', 'multiclass'), /l\.csv, line 2: an image must have one class/)
  assert.match(await refusal('inspect', csv, '--task', 'many'), /--task: must be one of multiclass, multilabel/)
  assert.match(await refusal('inspect', join(folder, 'none')), 'must be a folder of images, or a file of labels')
})

test('folders in folders are drawn as a tree', async ({ folder }) => {
  const data = join(folder, 'data')
  let shade = 0
  for (const name of ['animal/cat', 'animal/dog', 'car/red', 'car/blue']) {
    mkdirSync(join(data, name), { recursive: true })
    for (let i = 0; i < 2; i++)
      await picture('green', shade++)
        .png()
        .toFile(join(data, name, `${i}.png`))
  }
  const text = await output('inspect', data)
  assert.match(text, /^task {5}hierarchical, .*, since its labels are in groups and below each other$/m)
  assert.match(text, /^animal .*\n├─ cat .*\n└─ dog .*\ncar .*\n├─ blue .*\n└─ red .*$/m)
  assert.match(text, /^labels {3}6, 2 of them with kinds$/m)
  const found = JSON.parse(await output('inspect', data, '--json'))
  assert.equal(found.groups, [
    ['animal', 'car'],
    ['animal/cat', 'animal/dog'],
    ['car/blue', 'car/red'],
  ])
  assert.equal(found.labels.at(-1).parent, 'car')
  const flat = JSON.parse(await output('inspect', data, '--json', '--task', 'multiclass'))
  assert.equal(
    flat.labels.map(({ name }: { name: string }) => name),
    ['animal', 'car'],
  )
})

test.run()
