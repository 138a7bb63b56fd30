// What is read of a folder of images and what is named instead: other formats, folders in folders, links, pipes, splits,
// names that look alike.
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  BrokenImage,
  type DataOptions,
  type Dataset,
  decodeFile,
  type LabelledData,
  labelledFiles,
  multiclassLabels,
  openData,
  openTestData,
} from 'vitune'
import { refusal } from './refusal.ts'

const test = suite<{ folder: string }>('image-places')
test.before.each((context) => {
  context.folder = mkdtempSync(join(tmpdir(), 'vitune-places-'))
})
test.after.each(({ folder }) => rmSync(folder, { recursive: true }))

const formats = fileURLToPath(new URL('fixtures/formats/', import.meta.url))
const picture = readFileSync(join(formats, 'odd.jfif'))
const heic = '\0\0\0\x18ftypheic\0\0\0\0mif1heic'

/** Writes files, each a picture unless it says what else. */
function fill(
  folder: string,
  files: readonly (string | readonly [name: string, content: string | Uint8Array])[],
): void {
  for (const file of files) {
    const [name, content] = typeof file === 'string' ? [file, picture] : file
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), content)
  }
}

const filesOf = (dataset: Dataset, folder: string): string[] =>
  Array.from({ length: dataset.length }, (_, i) => dataset.file(i).slice(folder.length + 1))
const open = (folder: string, options: DataOptions = {}): Promise<LabelledData> =>
  openData(folder, { valFraction: 0, ...options })
const saidOf = ({ ignored }: LabelledData): string[] =>
  ignored.map(({ kind, count, names }) => `${count} ${kind}: ${names.join(', ')}`)

test('images are found by their content where their names do not say it, and what else is meant as one is named', async ({
  folder,
}) => {
  fill(folder, ['a/2025.11.02', 'a/noending', 'a/x.jfif', 'a/y.data', ['a/photo.heic', picture], 'b/1.jpg', 'b/2.bmp'])
  fill(folder, [
    ['b/3.heic', heic],
    ['b/4.svg', '<svg xmlns="http://www.w3.org/2000/svg"/>'],
    ['b/5.tga', Uint8Array.of(0, 0, 2, 200)],
    ['b/6', heic],
    ['b/more.zip', 'PK\x03\x04'],
    ['b/labels.txt', 'a b c'],
    ['b/README', 'what this is'],
  ])
  const found = await open(folder)
  const names = ['a/2025.11.02', 'a/noending', 'a/photo.heic', 'a/x.jfif', 'a/y.data', 'b/1.jpg', 'b/2.bmp']
  assert.equal(filesOf(found.train, folder), names)
  assert.equal(saidOf(found), [
    '1 files that are no images: b/README',
    '1 files ending in .txt: b/labels.txt',
    '2 files that are not read (it is HEIC; convert it to JPEG or PNG): b/3.heic, b/6',
    '1 files that are not read (it is an SVG drawing, no pixels; export it as PNG): b/4.svg',
    '1 files that are not read (it is of no known image format): b/5.tga',
    '1 files that are not read (it is a ZIP archive; unpack it): b/more.zip',
  ])
})

test('a class of which no image can be read is refused by name, with the reason, whatever its files are called', async ({
  folder,
}) => {
  for (const [i, [name, content, reason]] of (
    [
      ['0.heic', heic, /0\.heic: it is HEIC; convert it/],
      ['0.jpg', heic, /0\.jpg: it is HEIC/],
      ['0.png', 'PK\x03\x04', /0\.png: it is a ZIP archive; unpack it/],
      ['0.svg', '<svg/>', /an SVG drawing/],
      ['0.jpg', 'version https://git-lfs.github.com/spec/v1', /Git LFS/],
      ['0.tif', '', /it is empty/],
      ['deep/er/0.psd', '8BPS', /a Photoshop file/],
    ] as const
  ).entries()) {
    const data = join(folder, `${i}`)
    fill(data, ['rose/1.jpg', 'daisy/1.jpg', [`tulip/${name}`, content], [`iris/${name}`, content]])
    const said = await refusal(open(data))
    assert.match(said, /no image of iris, tulip can be read/)
    assert.match(said, reason)
    rmSync(join(data, 'iris'), { recursive: true })
    // One that can be read is enough.
    fill(data, ['tulip/z.jpg'])
    assert.equal((await open(data)).classes, ['daisy', 'rose', 'tulip'])
  }
  fill(folder, ['parts/train/a/1.jpg', 'parts/train/b/1.jpg', ['parts/val/a/1.jpg', heic]])
  assert.match(await refusal(open(join(folder, 'parts'))), /parts\/val: no image of a can be read/)
})

test('folders inside a class belong to it, at any depth, in every part', async ({ folder }) => {
  fill(folder, ['train/a/1.jpg', 'train/b/x/1.jpg', 'train/b/x/y/2.jpg', 'val/a/q/1.jpg', 'test/b/1/2/3/4.jpg'])
  const found = await open(folder)
  assert.equal(filesOf(found.train, folder), ['train/a/1.jpg', 'train/b/x/1.jpg', 'train/b/x/y/2.jpg'])
  assert.equal(filesOf(found.val!, folder), ['val/a/q/1.jpg'])
  assert.equal([found.test!.length, found.test!.labels(0).present[0]], [1, 1])
})

test('links are followed to what has no other way, once; loops and links that leave the folder are named', async ({
  folder,
}) => {
  const data = join(folder, 'data')
  fill(folder, ['outside/1.jpg', 'outside.jpg'])
  fill(data, ['a/1.jpg', 'b/1.jpg', '.store/c/1.jpg', '.store/2.jpg'])
  const link = (target: string, name: string) => symlinkSync(target, join(data, name))
  link('.store/c', 'c')
  link('../.store/2.jpg', 'a/2.jpg')
  link('1.jpg', 'a/same.jpg')
  link('../a', 'b/a')
  link('.', 'b/self')
  link('..', 'b/up')
  link('b', 'bb')
  link('../outside', 'out')
  link('../../outside.jpg', 'b/out.jpg')
  link('nowhere', 'b/gone.jpg')
  link('loop.jpg', 'b/loop.jpg')
  const found = await open(data)
  assert.equal(filesOf(found.train, data), ['a/1.jpg', 'a/2.jpg', 'b/1.jpg', 'c/1.jpg'])
  assert.equal(found.classes, ['a', 'b', 'c'])
  assert.equal(saidOf(found).sort(), [
    '1 hidden entries: .store',
    '1 links that lead to themselves: b/loop.jpg',
    '1 links to nowhere: b/gone.jpg',
    '2 links that leave the folder: b/out.jpg, out',
    '2 links to a folder above them: b/self, b/up',
    '3 links to what is read under its own name: a/same.jpg, b/a, bb',
  ])
  // The folder itself may be a link.
  symlinkSync(data, join(folder, 'link'))
  assert.is((await open(join(folder, 'link'))).train.length, 4)
  fill(folder, ['only/a/1.jpg'])
  symlinkSync('../outside', join(folder, 'only/b'))
  assert.match(
    await refusal(open(join(folder, 'only'))),
    /only "a", .*passed over links that leave the folder \(1\): b/,
  )
})

test('pipes, sockets and devices among images are named, and end at once when they are read', async ({ folder }) => {
  fill(folder, ['a/1.jpg', 'b/1.jpg'])
  execFileSync('mkfifo', [join(folder, 'a/p.png'), join(folder, 'b/q')])
  symlinkSync('/dev/zero', join(folder, 'a/z.png'))
  symlinkSync(join(folder, 'a/p.png'), join(folder, 'b/to-pipe.png'))
  const found = await open(folder)
  assert.equal(filesOf(found.train, folder), ['a/1.jpg', 'b/1.jpg'])
  assert.equal(saidOf(found).sort(), ['1 devices: a/z.png', '3 pipes: a/p.png, b/q, b/to-pipe.png'])
  for (const [path, reason] of [
    [join(folder, 'a/p.png'), /must be a file, is among pipes/],
    ['/dev/zero', /is among devices/],
    [folder, /EISDIR/],
  ] as const) {
    const error = await decodeFile(path).catch((error) => error)
    assert.instance(error, BrokenImage)
    assert.match(error.reason, reason)
  }
})

test('splits are whole names of first-level folders in any case, and what is not read beside them is named', async ({
  folder,
}) => {
  fill(folder, ['Train/a/1.jpg', 'Train/b/1.jpg', 'VALID/b/1.jpg', 'Test/a/1.jpg', 'dev/a/1.jpg', 'test_tube/b/1.jpg'])
  fill(folder, ['extra/1.jpg', 'cover.jpg', ['labels.csv', 'a,b']])
  const found = await open(folder)
  assert.equal(
    [found.train, found.val, found.test].map((part) => part!.length),
    [2, 1, 1],
  )
  assert.is(found.notes.length, 3)
  assert.match(found.notes[0]!, /labels\.csv: not read, since it has no labels$/)
  assert.is(found.notes[1], 'Train, VALID, Test are taken for splits of the data')
  assert.match(found.notes[2]!, /^dev, extra, test_tube beside Train: not read; splits are called train, val/)
  assert.equal(saidOf(found), ['1 images beside the splits: cover.jpg', '1 files ending in .csv: labels.csv'])
  const given = await open(folder, { val: join(folder, 'dev') })
  assert.match(given.notes.at(-1)!, /VALID in the data is not read, since another folder is given/)

  // Files and folders of a class with a split's name in them are a class's.
  fill(folder, ['c/test_tube/dev_3.jpg', 'c/train/1.jpg', 'c/val/x/2.jpg', 'c/test/1.jpg', 'c/other/val.jpg'])
  const classes = await open(join(folder, 'c'))
  assert.equal(classes.classes, ['other', 'test', 'test_tube', 'train', 'val'])
  assert.match(classes.notes.join(), /^val: taken for classes, since there is no train folder/)
  fill(folder, ['flat/train/1.jpg', 'flat/test/1.jpg', 'flat2/train/1.jpg', 'flat2/boat/1.jpg'])
  const flat = await open(join(folder, 'flat'), { valFraction: 0 })
  assert.match(flat.notes.join(), /^test, train: taken for classes, since no class folders are in them/)
  assert.equal((await open(join(folder, 'flat2'), { valFraction: 0 })).notes, [])
})

test('two folders that are one split, and folders that only look like splits, are refused', async ({ folder }) => {
  fill(folder, ['x/train/a/1.jpg', 'x/train/b/1.jpg', 'x/val/a/1.jpg', 'x/valid/b/1.jpg'])
  assert.match(await refusal(open(join(folder, 'x'))), /one folder can be the val split, got val, valid; keep one/)
  assert.is((await open(join(folder, 'x'), { val: join(folder, 'x/valid') })).val!.labels(0).present[0], 1)
  fill(folder, ['y/train/a/1.jpg', 'y/train/b/1.jpg', 'y/TRAIN/a/1.jpg'])
  assert.match(await refusal(open(join(folder, 'y'))), /the train split, got TRAIN, train/)
  fill(folder, ['z/Training/a/1.jpg', 'z/Training/b/1.jpg', 'z/Testing/a/1.jpg'])
  assert.match(
    await refusal(open(join(folder, 'z'))),
    /Testing, Training look like splits, but there is no train folder/,
  )
})

test('a test folder is found with or without a train folder, and says what it is', async ({ folder }) => {
  const classes = ['a', 'b']
  const notes: string[] = []
  const onNote = (note: string) => notes.push(note)
  fill(folder, ['Test/a/1.jpg', 'Test/b/x/2.jpg', ['Test/b/notes.txt', 'x']])
  assert.equal(
    filesOf((await openTestData(folder, { labelSpace: multiclassLabels(classes), onNote })).dataset, folder),
    ['Test/a/1.jpg', 'Test/b/x/2.jpg'],
  )
  assert.equal(notes.slice(0, 1), [`tests on Test in ${folder}`])
  assert.match(notes.at(-1)!, /passed over files ending in .txt \(1\): Test\/b\/notes.txt/)
  assert.is(
    (await openTestData(folder, { labelSpace: multiclassLabels(['Test', 'a']) })).dataset.labels(0).present[0],
    0,
  )
})

/** Files as a page has them, each a picture unless it says what else. */
const pageFiles = (...places: (string | readonly [place: string, content: string])[]) =>
  places.map((item) => {
    const [place, content] = typeof item === 'string' ? [item, picture] : item
    const parts = place.split('/')
    return { file: new File([content], parts.at(-1)!), folders: parts.slice(0, -1) }
  })
const sorted = async (...places: Parameters<typeof pageFiles>) => {
  const { images, loose, passedOver, notes } = await labelledFiles(pageFiles(...places))
  return {
    images: images.map(({ class: label, name }) => `${label}: ${name}`),
    loose: loose.map(({ name }) => name),
    over: passedOver.map(({ kind, names }) => `${kind}: ${names.join(' ')}`),
    notes,
  }
}

test('a page finds the classes of a folder as the disk has them: whatever lies below one is its own', async () => {
  const whole = await sorted('p/rose/1.jpg', 'p/tulip/2025-11/1.jpg', 'p/tulip/a/b/1.jpg', 'p/cover.jpg', [
    'p/rose/notes.txt',
    'x',
  ])
  assert.equal(whole.images, ['rose: 1.jpg', 'tulip: 2025-11-1.jpg', 'tulip: a-b-1.jpg'])
  assert.equal([whole.loose, whole.over], [['cover.jpg'], ['files ending in .txt: rose/notes.txt']])
  // Class folders that were dropped themselves, one that holds no folders, and single files.
  const several = await sorted('rose/1.jpg', 'tulip/x/1', ['tulip/2.heic', heic], 'tulip/.git/a.png')
  assert.equal(several.images, ['rose: 1.jpg', 'tulip: x-1'])
  assert.equal(several.over, [
    'hidden entries: tulip/.git/a.png',
    'files that are not read (it is HEIC; convert it to JPEG or PNG): tulip/2.heic',
  ])
  assert.equal((await sorted('rose/1.jpg', 'rose/2.jpg')).images, ['rose: 1.jpg', 'rose: 2.jpg'])
  assert.equal((await sorted('a.jpg', ['b.txt', 'x'])).loose, ['a.jpg'])
  const labelled = await labelledFiles(pageFiles('p/x/1.jpg', '2.jpg'), 'rose')
  assert.equal(
    labelled.images.map(({ class: label, name }) => `${label}: ${name}`),
    ['rose: p-x-1.jpg', 'rose: 2.jpg'],
  )
})

test('a page takes train and val together, leaves out what is to be tested on, and joins spellings, each with a word', async () => {
  const splits = await sorted('p/Train/a/1.jpg', 'p/Val/a/x/1.jpg', 'p/TEST/a/1.jpg', 'p/dev/b/1.jpg', 'p/cover.jpg')
  assert.equal(splits.images, ['a: 1.jpg', 'a: x-1.jpg'])
  assert.match(splits.notes.join(), /^Train, Val are taken together/)
  assert.equal(splits.over, ['files to test on: TEST/a/1.jpg', 'files beside the train folder: dev/b/1.jpg cover.jpg'])
  assert.equal((await sorted('train/1.jpg', 'test_tube/1.jpg')).images, ['train: 1.jpg', 'test_tube: 1.jpg'])
  const spelled = await sorted('caf\u00e9/1.jpg', 'cafe\u0301/1.jpg')
  assert.equal(spelled.images, ['caf\u00e9: 1.jpg', 'caf\u00e9: 1.jpg'])
  assert.match(spelled.notes.join(), /folders called caf\u00e9, spelled in other bytes, are one class/)
})

test('names that show the same text are one class, which is said; other cases are classes of their own', async ({
  folder,
}) => {
  const [nfc, nfd] = ['caf\u00e9', 'cafe\u0301']
  fill(folder, [`train/${nfc}/1.jpg`, `train/${nfd}/1.jpg`, 'train/Rose/1.jpg', 'train/rose/1.jpg', `val/${nfd}/2.jpg`])
  const found = await open(folder)
  assert.equal(found.classes, ['Rose', nfc, 'rose'])
  assert.is(found.train.length, 4)
  assert.equal([found.val!.length, found.val!.labels(0).present[0]], [1, 1])
  const said = found.notes.join('\n')
  assert.match(said, /2 folders are called "caf\u00e9", spelled in other bytes: they are one class/)
  assert.match(said, /Rose, rose differ only in upper and lower case: they are 2 classes/)
  assert.match(said, /val\/.*: .* is spelled in other bytes than the class of the same name/)
  // One alone keeps its own bytes.
  fill(folder, [`one/${nfd}/1.jpg`, 'one/b/1.jpg', 'other/B/1.jpg'])
  assert.equal((await open(join(folder, 'one'))).classes, ['b', nfd])
  assert.match(
    await refusal(open(join(folder, 'one'), { val: join(folder, 'other') })),
    /got also B; "b" has other upper and lower case/,
  )
})

test.run()
