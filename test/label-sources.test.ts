// Where labels come from: folders, folders in folders, CSV, JSON lines, Datumaro's JSON and Hugging Face's metadata; what
// is taken for which task, what is refused, and how labels divide images.
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import sharp from 'sharp'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  type DataOptions,
  type Dataset,
  type ImageLabels,
  type LabelledData,
  multiclassLabels,
  openData,
  openTestData,
  stratifiedSplit,
} from 'vitune'
import { balanceKeys, epochOrder } from 'vitune/data'
import { refusal } from './refusal.ts'

const test = suite<{ folder: string }>('label-sources')
test.before.each((context) => {
  context.folder = mkdtempSync(join(tmpdir(), 'vitune-labels-'))
})
test.after.each(({ folder }) => rmSync(folder, { recursive: true }))

const png = await sharp({ create: { width: 9, height: 6, channels: 3, background: '#808080' } })
  .png()
  .toBuffer()
const datumaro = fileURLToPath(new URL('fixtures/datumaro/', import.meta.url))

function write(path: string, content: string | Buffer): string {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, content)
  return path
}
function fill(folder: string, ...names: string[]): void {
  for (const name of names) write(join(folder, name), png)
}

/** `file: labels` of each image, with `?` before what nobody looked for. */
function shown(dataset: Dataset | undefined, root: string): string[] {
  return Array.from({ length: dataset?.length ?? 0 }, (_, i) => {
    const { present, unknown = [] } = dataset!.labels(i)
    const name = (label: number) => dataset!.classes[label]!
    const all = [...present.map(name), ...unknown.map((label) => `?${name(label)}`)]
    return `${dataset!.file(i).slice(root.length + 1)}: ${all.join(', ')}`
  })
}
const whole = (path: string, options: DataOptions = {}): Promise<LabelledData> =>
  openData(path, { valFraction: 0, ...options })
const ignored = (data: LabelledData) => data.ignored.map(({ kind, names }) => `${kind}: ${names.join(' ')}`)

test('CSV with a path and a label a row: one class an image, or several by rows and semicolons', async ({ folder }) => {
  fill(folder, 'im/1.png', 'im/2.png', 'im/3.png', 'im/4.png')
  const one = write(
    join(folder, 'one.csv'),
    '\ufeffpath,label\r\nim/2.png,dog\r\n"im/1.png"," cat "\r\n\r\nim/3.png,dog\r\n',
  )
  const classes = await whole(one)
  assert.is(classes.labelSpace.task, 'multiclass')
  assert.is(classes.recognised, 'each image has one label')
  assert.equal(shown(classes.train, folder), ['im/2.png: dog', 'im/1.png: cat', 'im/3.png: dog'])
  assert.equal(ignored(classes), ['images without labels: im/4.png'])

  const rows = 'Filename,Label,note\nim/1.png,a;b,x\nim/2.png,c,y\nim/2.png,a,z\nim/3.png,,\n'
  const many = await whole(write(join(folder, 'many.csv'), rows))
  assert.is(many.labelSpace.task, 'multilabel')
  assert.equal(many.classes, ['a', 'b', 'c'])
  assert.equal(shown(many.train, folder), ['im/1.png: a, b', 'im/2.png: a, c', 'im/3.png: '])
  assert.match(many.recognised, /many\.csv, line 2 has several labels$/)
  assert.match(many.notes[0]!, /many\.csv: note not read/)
})

test('CSV with a column a label: 1, 0, and -1 or nothing for unknown; a column of other values is not read', async ({
  folder,
}) => {
  fill(folder, '1.png', '2.png', '3.png')
  const text = 'image;dog;cat;age\n1.png;1;1;44\n2.png;0.0;1;33\n3.png;-1;;51\n'
  const data = await whole(write(join(folder, 'l.csv'), text))
  assert.equal(data.classes, ['dog', 'cat'])
  assert.equal(shown(data.train, folder), ['1.png: dog, cat', '2.png: cat', '3.png: ?dog, ?cat'])
  assert.match(data.notes.join(), 'age not read')
  const single = await whole(write(join(folder, 's.csv'), 'image,z,a\n1.png,1,0\n2.png,0,1\n3.png,1,0\n'))
  assert.equal([single.labelSpace.task, single.classes], ['multiclass', ['z', 'a']])
  assert.is((await whole(join(folder, 's.csv'), { task: 'multilabel' })).labelSpace.task, 'multilabel')
})

test('JSON lines say the same', async ({ folder }) => {
  fill(folder, 'a.png', 'b.png', 'c.png')
  const lines = [
    { file_name: 'a.png', label: ['x', 'y'], split: 'train' },
    { file_name: 'b.png', label: 'x', split: 'train' },
    { file_name: 'c.png', label: [], split: 'test' },
  ]
  const text = lines.map((line) => JSON.stringify(line)).join('\n')
  const data = await whole(write(join(folder, 'l.jsonl'), text))
  assert.equal(shown(data.train, folder), ['a.png: x, y', 'b.png: x'])
  assert.equal(shown(data.test, folder), ['c.png: '])
  // Labels that nobody looked for, as a list beside the others; what another row says is there is known.
  const rows = [
    '{"file_name":"a.png","labels":["x"],"unknown":["y","x"]}',
    '{"file_name":"b.png","labels":[],"unknown":["x","y"]}',
  ]
  const unknown = await whole(
    write(join(folder, 'u.jsonl'), [...rows, '{"file_name":"b.png","labels":["y"]}'].join('\n')),
  )
  assert.equal(shown(unknown.train, folder), ['a.png: x, ?y', 'b.png: y, ?x'])
  const marks = '{"image":"a.png","p":1,"q":false}\n{"image":"b.png","p":true,"q":1}\n{"image":"c.png","q":0}\n'
  const columns = await whole(write(join(folder, 'm.jsonl'), marks))
  assert.equal(shown(columns.train, folder), ['a.png: p', 'b.png: p, q', 'c.png: ?p'])
})

test('a split column, or folders of splits that paths begin with, say the parts; the task may be asked for', async ({
  folder,
}) => {
  fill(folder, '1.png', '2.png', '3.png', 'train/1.png', 'train/2.png', 'test/3.png')
  const text = 'file,class,subset\n1.png,a,train\n2.png,b,Train\n3.png,a,validation\n'
  const data = await whole(write(join(folder, 'l.csv'), text))
  assert.equal([data.train.length, shown(data.val, folder), data.valSource], [2, ['3.png: a'], 'folder'])
  const byFolder = await whole(write(join(folder, 'f.csv'), 'file,class\ntrain/1.png,a\ntrain/2.png,b\ntest/3.png,b\n'))
  assert.equal([byFolder.train.length, shown(byFolder.test, folder)], [2, ['test/3.png: b']])
  const { dataset, root } = await openTestData(join(folder, 'f.csv'), { labelSpace: multiclassLabels(['b', 'a']) })
  assert.equal([shown(dataset, folder), root], [['test/3.png: b'], folder])
  const all = await openTestData(join(folder, 'f.csv'), { labelSpace: multiclassLabels(['b', 'a']), all: true })
  assert.is(all.dataset.length, 3)
  const odd = openTestData(join(folder, 'f.csv'), { labelSpace: multiclassLabels(['a', 'c']) })
  assert.match(await refusal(odd), /f\.csv, line 4: its labels must be among those trained on, got also b/)
  const given = await openData(join(folder, 'l.csv'), { val: join(folder, 'f.csv') })
  assert.equal([given.train.length, given.val?.length], [2, 3])
  assert.match(given.notes.join(), 'the val split in the data is not read')
})

test('what contradicts the task is one sentence that names the line', async ({ folder }) => {
  fill(folder, '1.png', '2.png', '3.png')
  const open = (text: string, options?: DataOptions, name = 'l.csv') =>
    refusal(whole(write(join(folder, name), text), options))
  const many = 'path,label\n1.png,a\n2.png,a;b\n3.png,b\n'
  assert.match(await open(many, { task: 'multiclass' }), /l\.csv, line 3: an image must have one class .*got a, b/)
  assert.match(await open('path,label\n1.png,a\n2.png,\n3.png,b', { task: 'multiclass' }), /line 3: .*got none/)
  assert.match(
    await open(many, { task: 'constructor' as 'multiclass' }),
    /^task: must be one of .*, got "constructor"$/,
  )
  assert.match(await open(many, { task: 'hierarchical' }), 'l.csv: a hierarchy must have labels below labels')
  assert.match(await open('path,label\n1.png,a\n2.png,a\n'), 'needs at least two classes, got only "a"')
  assert.match(await open('path,label,split\n1.png,a,train\n1.png,b,val'), /line 3: an image must be in one split/)
  assert.match(await open('path,label,split\n1.png,a,train\n2.png,b,'), /line 3: must have a split/)
  assert.match(await open('path,label,split\n1.png,a,later'), /line 2: split must be train, val or test, got "later"/)
  assert.match(await open('path,label,split\n1.png,a,train\n2.png,b,train\n3.png,c,val'), /line 4: .* got also c/)
  assert.match(await open('path,label,split\n1.png,a,val\n2.png,b,test'), /l\.csv: /)
  assert.match(await open('path,dog,cat\n1.png,1,0\n2.png,2,1'), /line 3: column dog must hold 1, 0.*got 2/)
  assert.match(await open('path,dog,cat\n1.png,1,0\n1.png,0,1'), /line 3: 1\.png must have the same labels/)
  assert.match(await open('1.png,cat\n2.png,dog'), 'must have a column path, file')
  assert.match(await open('path,age\n1.png,31'), 'must have a column label')
  assert.match(await open('path,label\n1.png,"a\n2.png,b'), /must be a row of CSV, got a quote that does not end/)
  assert.match(
    await open('path,label\n1.png,a,b'),
    /line 2: must be a row of CSV, got 3 cells, where the first line has 2/,
  )
  assert.match(await open('path,label\n'), 'must have a row for each image')
  assert.match(await open(''), 'got an empty file')
  assert.match(await open('{"file_name":"1.png","label":{"a":1}}', {}, 'l.jsonl'), /line 1: labels must be text/)
  assert.match(await open('{"file_name":"1.png"}\n[1]', {}, 'l.jsonl'), /line 2: must be an object in JSON, got \[1\]/)
  assert.match(await open('a', {}, 'l.txt'), 'must be a folder of images, or a file of labels')
  writeFileSync(join(folder, 'latin.csv'), Buffer.from('path,label\n1.png,\xe9\n', 'latin1'))
  assert.match(await refusal(whole(join(folder, 'latin.csv'))), 'must be text in UTF-8')
})

test('labels of which nothing can be learnt, too long ones, and levels without a name are refused', async ({
  folder,
}) => {
  fill(folder, '1.png', '2.png', '3.png')
  const open = (text: string, options?: DataOptions) => refusal(whole(write(join(folder, 'l.csv'), text), options))
  assert.match(
    await open('path,a,b\n1.png,-1,\n2.png,,-1\n3.png,,\n'),
    /l\.csv: must have a label that is known in an image to train on, got none$/,
  )
  const unlooked = write(join(folder, 'u.csv'), 'path,a,b\n1.png,-1,\n2.png,,-1\n')
  const known = 'path,a,b\n1.png,1,0\n2.png,0,1\n3.png,1,1\n'
  const { labelSpace } = await whole(write(join(folder, 'k.csv'), known))
  assert.match(
    await open(known, { val: unlooked }),
    /u\.csv: must have a label that is known in an image to validate on/,
  )
  assert.match(
    await refusal(openTestData(unlooked, { labelSpace })),
    /u\.csv: must .* in an image to test on, got none$/,
  )
  const long = await open(`path,label\n1.png,${'x'.repeat(1001)}\n2.png,b\n`)
  assert.match(long, /l\.csv: a label may have 1000 characters, got 1001, x{40}\.\.\.$/)
  const tree = (label: string) => open(`path,label\n1.png,${label}\n2.png,a/b\n3.png,c\n`, { task: 'hierarchical' })
  assert.is(await tree('a/'), 'labels: each level of a tree must have a name, got "a/"')
  assert.is(await tree('/a'), 'labels: each level of a tree must have a name, got "/a"')
  assert.match(await tree(`${'x/'.repeat(100)}y`), /^labels: a tree may have 100 levels, got 101 in x\/x/)
})

test('a column without a name is no label, and a file that ends in the name of a property no list', async ({
  folder,
}) => {
  fill(folder, '1.png', '2.png')
  const text = ',path,dog,cat\n0,1.png,1,0\n1,2.png,1,1\n'
  const data = await whole(write(join(folder, 'l.csv'), text))
  assert.equal(data.classes, ['dog', 'cat'])
  assert.match(data.notes[0]!, /l\.csv: a column without a name not read$/)
  const odd = write(join(folder, 'l.constructor'), text)
  assert.match(await refusal(whole(odd)), /l\.constructor: must be a folder of images, or a file of labels/)
})

test('a list may have 200,000 rows, and an image 20,000 of them', async ({ folder }) => {
  fill(folder, '1.png', '2.png')
  const missing = Array.from({ length: 200_000 }, (_, i) => `no${i}.png,a\n`).join('')
  const rows = Array.from({ length: 20_000 }, (_, i) => `1.png,l${i}\n`).join('')
  const data = await whole(write(join(folder, 'l.csv'), `path,label\n2.png,a\n${missing}${rows}`))
  assert.is(data.classes.length, 20_001)
  assert.is(data.ignored.find(({ kind }) => kind === 'images that are not there')?.count, 200_000)
})

test('labels that a list to validate or test on has no column for are unknown there, which is said', async ({
  folder,
}) => {
  fill(folder, '1.png', '2.png', 'more/3.png', 'more/4.png')
  const data = write(join(folder, 'l.csv'), 'path,dog,cat,sofa\n1.png,1,1,0\n2.png,0,0,1\n')
  const other = write(join(folder, 'more/l.csv'), 'path,cat\n3.png,1\n5.png,0\n')
  const { val, labelSpace, notes, ignored: over } = await whole(data, { val: other })
  assert.equal(shown(val, join(folder, 'more')), ['3.png: cat, ?dog, ?sofa'])
  assert.match(notes.join('\n'), /more\/l\.csv: says nothing of dog, sofa, unknown in all its images$/)
  // With the folder that they are looked for in.
  assert.equal(
    over.flatMap(({ names }) => names).sort(),
    ['4.png', '5.png'].map((name) => join(folder, 'more', name)),
  )
  const told: string[] = []
  const test = await openTestData(other, { labelSpace, onNote: (note) => told.push(note) })
  assert.equal(shown(test.dataset, join(folder, 'more')), ['3.png: cat, ?dog, ?sofa'])
  assert.match(told.join('\n'), /says nothing of dog, sofa/)
})

test('metadata of splits must have the same columns, and a split without any is told', async ({ folder }) => {
  fill(folder, 'train/1.png', 'train/2.png', 'validation/3.png', 'test/4.png')
  write(join(folder, 'train/metadata.csv'), 'file_name,a,b\n1.png,1,0\n2.png,1,1\n')
  const data = await whole(folder)
  assert.match(data.notes.join('\n'), /^test, validation in .*: not read, since no file of labels is there$/)
  write(join(folder, 'validation/metadata.csv'), 'file_name,b,a\n3.png,1,0\n')
  assert.equal(shown((await whole(folder)).val, folder), ['validation/3.png: b'])
  write(join(folder, 'validation/metadata.csv'), 'file_name,a,c\n3.png,1,0\n')
  assert.match(
    await refusal(whole(folder)),
    /validation\/metadata\.csv: must have the same columns of labels as .*train\//,
  )
})

test('paths stay below the folder of the list; what is not there or no image is told by name', async ({ folder }) => {
  fill(folder, 'in/im/1.png', 'in/im/é.png', 'out/2.png')
  write(join(folder, 'in/im/3.heic'), 'none')
  symlinkSync(join(folder, 'out'), join(folder, 'in/link'))
  const open = (path: string) => write(join(folder, 'in/l.csv'), `path,label\nim/1.png,a\n${path},b\nim\\é.png,c\n`)
  assert.match(await refusal(whole(open('../out/2.png'))), /l\.csv, line 3: a path must lie below .*got \.\.\/out/)
  assert.match(await refusal(whole(open(join(folder, 'out/2.png')))), /line 3: a path must lie below/)
  assert.match(await refusal(whole(open('.'))), /line 3: a path must lie below/)
  assert.match(await refusal(whole(open('./im//1.png'))), /line 3: an image must be named once/)
  for (const path of [
    'link/2.png',
    'im/none.png',
    'im',
    'a\u0000b',
    `${'x'.repeat(5000)}/y`,
    '__proto__/constructor',
  ]) {
    const data = await whole(open(path))
    assert.equal(shown(data.train, join(folder, 'in')), ['im/1.png: a', 'im/é.png: c'])
    assert.match(ignored(data)[0]!, /^(images that are not there|names of no file): /)
  }
  const own = await whole(open(join(folder, 'in/im/../im/3.heic')))
  assert.match(ignored(own)[0]!, 'im/3.heic')
  const lost = write(join(folder, 'in/lost.csv'), 'path,label\nx.png,a\ny.png,b\n')
  assert.match(await refusal(whole(lost)), /line 2: none of 2 images is there, as x\.png; paths begin in /)
})

test("Hugging Face's metadata beside the images, or in each split's folder", async ({ folder }) => {
  const flat = join(folder, 'flat')
  fill(flat, '1.png', '2.png', 'deep/3.png')
  write(
    join(flat, 'metadata.jsonl'),
    '{"file_name":"1.png","labels":["a","b"]}\n{"file_name":"deep/3.png","labels":["b"]}\n',
  )
  const data = await whole(flat)
  assert.equal(shown(data.train, flat), ['1.png: a, b', 'deep/3.png: b'])
  assert.equal(ignored(data), ['images without labels: 2.png'])
  const split = join(folder, 'split')
  fill(split, 'train/1.png', 'train/2.png', 'validation/1.png')
  write(join(split, 'train/metadata.csv'), 'file_name,label\n1.png,a\n2.png,b\n')
  write(join(split, 'validation/metadata.csv'), 'file_name,label\n1.png,b\n')
  const parts = await whole(split)
  assert.equal(
    [shown(parts.train, split), shown(parts.val, split)],
    [['train/1.png: a', 'train/2.png: b'], ['validation/1.png: b']],
  )
  write(join(split, 'train/metadata.jsonl'), '{}')
  assert.match(await refusal(whole(split)), 'has metadata.csv, metadata.jsonl; keep one of them')
  // Captions are no labels: the folders are.
  const classes = join(folder, 'classes')
  fill(classes, 'a/1.png', 'b/1.png')
  const beside = join(folder, 'beside')
  fill(beside, 'train/1.png', 'train/2.png')
  write(join(beside, 'labels.csv'), 'path,label\ntrain/1.png,a;b\ntrain/2.png,\n')
  assert.equal((await whole(beside)).train.labelSpace.task, 'multilabel')
  write(join(classes, 'metadata.csv'), 'file_name,text\na/1.png,a bird\n')
  const folders = await whole(classes)
  assert.equal(folders.classes, ['a', 'b'])
  assert.match(folders.notes.join(), 'metadata.csv: not read, since it has no labels')
})

test('folders in folders are a hierarchy where all classes have several and their names do not count or date', async ({
  folder,
}) => {
  const tree = join(folder, 'tree')
  fill(tree, 'animal/dog/1.png', 'animal/cat/1.png', 'animal/other/1.png', 'car/red/deep/1.png', 'car/other/1.png')
  const data = await whole(tree)
  assert.is(data.labelSpace.task, 'hierarchical')
  const { names, groups, parents } = data.labelSpace
  assert.equal(
    groups.map((group) => group.map((label) => names[label])),
    [
      ['animal', 'car'],
      ['animal/cat', 'animal/dog', 'animal/other'],
      ['car/other', 'car/red'],
    ],
  )
  assert.is(names[parents[names.indexOf('car/red/deep')]!], 'car/red')
  assert.equal(shown(data.train, tree).slice(0, 2), [
    'animal/cat/1.png: animal, animal/cat',
    'animal/dog/1.png: animal, animal/dog',
  ])
  assert.match(data.notes.join(), 'taken for kinds of them, a hierarchy; with task multiclass')
  const flat = await whole(tree, { task: 'multiclass' })
  assert.equal([flat.classes, flat.notes], [['animal', 'car'], []])
  // In splits, and tested with the labels of training.
  const split = join(folder, 'split')
  cpSync(tree, join(split, 'train'), { recursive: true })
  fill(split, 'test/car/red/9.png')
  const parts = await whole(split)
  assert.equal(shown(parts.test, split), ['test/car/red/9.png: car, car/red'])
  const tested = await openTestData(split, { labelSpace: data.labelSpace })
  assert.equal(shown(tested.dataset, split), ['test/car/red/9.png: car, car/red'])

  for (const [name, files] of Object.entries({
    dates: ['a/2025-10/1.png', 'a/2025-11/1.png', 'b/2025-10/1.png', 'b/2026-01/1.png'],
    patients: ['a/patient1/1.png', 'a/patient2/1.png', 'b/patient3/1.png', 'b/patient4/1.png'],
    sides: ['a/front/1.png', 'a/back/1.png', 'b/front/1.png', 'b/back/1.png'],
    some: ['a/x/1.png', 'a/y/1.png', 'b/z/1.png', 'b/1.png'],
    one: ['a/x/1.png', 'a/y/1.png', 'b/z/1.png'],
  })) {
    const dir = join(folder, name)
    fill(dir, ...files)
    assert.equal((await whole(dir)).classes, ['a', 'b'], name)
    assert.is((await whole(dir, { task: 'hierarchical' })).labelSpace.task, 'hierarchical', name)
  }
  // An image beside the kinds is of none of them that is known.
  const some = await whole(join(folder, 'some'), { task: 'hierarchical' })
  assert.equal(shown(some.train, join(folder, 'some'))[2], 'b/1.png: b')
  fill(folder, 'plain/a/1.png', 'plain/b/1.png')
  assert.match(await refusal(whole(join(folder, 'plain'), { task: 'hierarchical' })), 'must have labels below labels')
  assert.is((await whole(join(folder, 'plain'), { task: 'multilabel' })).labelSpace.task, 'multilabel')
})

test('a tree may stand in the labels of a table', async ({ folder }) => {
  fill(folder, '1.png', '2.png', '3.png')
  const path = write(join(folder, 'l.csv'), 'path,label\n1.png,animal/dog\n2.png,animal/cat\n3.png,car\n')
  assert.equal((await whole(path)).classes, ['animal/cat', 'animal/dog', 'car'])
  const tree = await whole(path, { task: 'hierarchical' })
  assert.equal(shown(tree.train, folder), ['1.png: animal, animal/dog', '2.png: animal, animal/cat', '3.png: car'])
})

/** A copy of what Datumaro wrote, with its images. */
function exported(folder: string, name: string): string {
  const to = join(folder, name)
  cpSync(join(datumaro, name), to, { recursive: true })
  for (const split of ['train', 'val', 'default']) {
    const file = join(to, 'annotations', `${split}.json`)
    const items: { image: { path: string } }[] = JSON.parse(
      (() => {
        try {
          return readFileSync(file, 'utf8')
        } catch {
          return '{"items":[]}'
        }
      })(),
    ).items
    for (const { image } of items) fill(to, `images/${split}/${image.path}`)
  }
  return to
}

test("Datumaro's labels in groups of one are any number an image; boxes count for their image", async ({ folder }) => {
  const dir = exported(folder, 'multilabel')
  const data = await whole(dir)
  assert.equal([data.labelSpace.task, data.classes], ['multilabel', ['dog', 'sofa', 'lamp']])
  assert.equal(shown(data.train, join(dir, 'images/train')), [
    'a.jpg: dog, sofa',
    'b.jpg: sofa, lamp',
    'c.jpg: ',
    'd.jpg: lamp',
  ])
  assert.equal(shown(data.val, join(dir, 'images/val')), ['e.jpg: dog', 'f.jpg: lamp'])
  assert.match(data.notes.join(), '2 boxes and shapes count as labels of the whole image')
  assert.match(await refusal(whole(dir, { task: 'multiclass' })), /train\.json, item 1: an image must have one class/)
})

test("Datumaro's groups, parents and attributes are a tree, in OTX's order; ignored labels are unknown", async ({
  folder,
}) => {
  const dir = exported(folder, 'hierarchical')
  for (const path of [dir, join(dir, 'annotations/default.json')]) {
    const data = await whole(path)
    const { names, groups, parents } = data.labelSpace
    assert.equal(names, ['angular', 'round', 'square', 'triangle', 'shaded'])
    assert.equal(
      [groups, parents],
      [
        [
          [0, 1],
          [2, 3],
        ],
        [-1, -1, 0, 0, -1],
      ],
    )
    assert.equal(shown(data.train, join(dir, 'images/default')), [
      '1.jpg: round',
      '2.jpg: round, shaded',
      '3.jpg: angular, triangle',
      '4.jpg: angular, square',
      '5.jpg: angular, square, shaded',
      '6.jpg: angular, triangle, ?shaded',
    ])
  }
  const file = join(dir, 'annotations/default.json')
  const json = JSON.parse(readFileSync(file, 'utf8'))
  json.items[0].annotations.push({ ...json.items[0].annotations[0], label_id: 1 })
  writeFileSync(file, JSON.stringify(json))
  assert.match(
    await refusal(whole(dir)),
    /item 1: an image must have one at most of angular, round, got round, angular/,
  )
  json.items[0].annotations[1].label_id = 9
  writeFileSync(file, JSON.stringify(json))
  assert.match(await refusal(whole(dir)), /item 1: label_id must be 0 to 4, got 9/)
  writeFileSync(file, '{"images":[],"annotations":[]}')
  assert.match(await refusal(whole(dir)), "must be Datumaro's JSON with categories and items, got images, annotations")
})

test('a tree that Datumaro made of folders comes from its parents, since its groups name no labels', async ({
  folder,
}) => {
  const data = await whole(exported(folder, 'nested'))
  const { names, groups } = data.labelSpace
  assert.equal(
    groups.map((group) => group.map((label) => names[label])),
    [
      ['animal', 'car'],
      ['animal/cat', 'animal/dog'],
      ['car/blue', 'car/red'],
    ],
  )
  assert.match(data.notes.join(), 'its groups name "cat", which is no label')
})

const has = (...present: number[]): ImageLabels => ({ present })

test('the part set aside has its share of every label, however labels meet, and hangs on the seed alone', () => {
  const labels = Array.from({ length: 200 }, (_, i) =>
    has(...[0, 1, 2, 3].filter((label) => i % [2, 5, 20, 67][label]! === 0)),
  )
  const { train, val } = stratifiedSplit(labels, 0.2, 3)
  assert.equal(
    [...train, ...val].sort((a, b) => a - b),
    labels.map((_, i) => i),
  )
  for (const label of [0, 1, 2, 3]) {
    const of = (list: number[]) => list.filter((i) => labels[i]!.present.includes(label)).length
    const all = of(train) + of(val)
    assert.ok(Math.abs(of(val) - Math.max(1, 0.2 * all)) <= 1, `${label}: ${of(val)} of ${all}`)
  }
  const none = (list: number[]) => list.filter((i) => labels[i]!.present.length === 0).length
  assert.is(none(val), Math.round(0.2 * (none(train) + none(val))))
  assert.equal(stratifiedSplit(labels, 0.2, 3).val, val)
  assert.not.equal(stratifiedSplit(labels, 0.2, 4).val, val)
  // Of a tree every leaf with two images has one on each side.
  const leaves = Array.from({ length: 12 }, (_, i) => has(0, 1 + (i >> 1)))
  const halves = stratifiedSplit(leaves, 0.2, 1)
  assert.equal(new Set(halves.val.map((i) => leaves[i]!.present[1])).size, 6)
  assert.is(halves.val.length, 6)
})

test('balanced sampling draws images by class, by their rarest label, and by leaf', () => {
  const space = { task: 'multilabel' as const, names: ['a', 'b', 'c'], groups: [], parents: [-1, -1, -1] }
  const labels = [has(0), has(0, 1), has(0), has(1, 2), has(), has(0, 1, 2)]
  assert.equal([...balanceKeys(space, labels)], [0, 1, 0, 2, 3, 2])
  const tree = { ...space, task: 'hierarchical' as const, parents: [-1, 0, 0] }
  assert.equal([...balanceKeys(tree, [has(0, 1), has(0, 2), has(0), has(0, 2)])], [1, 2, 0, 2])
  const classes = multiclassLabels(['a', 'b'])
  assert.equal([...balanceKeys(classes, [has(1), has(0), has(1)])], [1, 0, 1])
  const many = [...Array(60).fill(has(0)), ...Array(30).fill(has(0, 1)), ...Array(10).fill(has(0, 1, 2))]
  const drawn = epochOrder(balanceKeys(space, many), { mode: 'balanced', seed: 1, epoch: 0 })
  const counts = [0, 1, 2].map((label) => drawn.filter((i) => many[i]!.present.at(-1) === label).length)
  assert.equal(counts, [33, 33, 33])
})

test.run()
