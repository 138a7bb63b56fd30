// Layouts of published data sets: what is read of tiny copies, the parts that were published, recognition by itself, and what is
// refused. Few-shot subsets and folds: division.test.ts.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, unlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type DataOptions, type Dataset, type LabelledData, openData, openTestData, train } from 'vitune'
import { type MatCells, readMat } from '../src/io/mat.ts'
import { model, output, refusal as refusedVerb } from './cli-tools.ts'
import { failureOf } from './errors.ts'
import {
  aircraftCopy,
  carsCopy,
  cubCopy,
  drives,
  food101Copy,
  ham10000Copy,
  kittiCopy,
  kittiParts,
  resisc45Copy,
  write,
} from './layout-copies.ts'
import { refusal } from './refusal.ts'

const test = suite<{ folder: string }>('layouts')
test.before.each((context) => {
  context.folder = mkdtempSync(join(tmpdir(), 'vitune-layouts-'))
})
test.after.each(({ folder }) => rmSync(folder, { recursive: true }))

const layouts = fileURLToPath(new URL('fixtures/layouts/', import.meta.url))
const open = (path: string, options: DataOptions = {}): Promise<LabelledData> =>
  openData(path, { valFraction: 0, ...options })

/** Files with their labels, below a folder. */
const shown = (dataset: Dataset | undefined, root: string): string[] =>
  Array.from({ length: dataset?.length ?? 0 }, (_, i) => {
    const names = dataset!.labels(i).present.map((label) => dataset!.classes[label]!)
    return `${dataset!.file(i).slice(root.length + 1)}: ${names}`
  })
const sizes = ({ train: own, val, test: held }: LabelledData) => [own.length, val?.length ?? 0, held?.length ?? 0]
const notes = (data: LabelledData) => data.notes.join('\n')

test('FGVC-Aircraft is recognised: variants, with the parts as published; families and manufacturers by name', async ({
  folder,
}) => {
  const data = await open(aircraftCopy(folder))
  assert.equal(data.classes, ['707-320', 'A300B4', 'F/A-18'])
  assert.equal(sizes(data), [6, 3, 3])
  assert.is(data.valSource, 'folder')
  assert.is(shown(data.train, folder)[2], 'fgvc-aircraft-2013b/data/images/1000002.jpg: F/A-18')
  assert.match(notes(data), 'files are those of FGVC-Aircraft, read as format fgvc-aircraft\n')
  assert.match(notes(data), /banner with its copyright, 20 pixels high, at the bottom: it is not cut off/)
  assert.match(notes(data), /images_box\.txt .*not read/)
  const makers = await open(folder, { format: 'fgvc-aircraft-manufacturer' })
  assert.equal(makers.classes, ['Boeing', 'Airbus', 'McDonnell Douglas'])
  assert.equal((await open(folder, { format: 'fgvc-aircraft-family' })).classes[1], 'A300')
  // Train and val in one list are trained on; what is validated on is set aside then.
  const own = join(folder, 'fgvc-aircraft-2013b/data')
  for (const part of ['train', 'val']) unlinkSync(join(own, `images_variant_${part}.txt`))
  const joined = await openData(own)
  assert.equal([sizes(joined), joined.valSource], [[6, 3, 3], 'split'])
})

test('Food-101 is recognised, by its JSON or its text', async ({ folder }) => {
  food101Copy(folder)
  const data = await open(folder)
  assert.equal(data.classes, ['apple_pie', 'baby_back_ribs', 'baklava'])
  assert.equal(
    shown(data.test, folder),
    data.classes.map((name) => `images/${name}/4.jpg: ${name}`),
  )
  assert.match(notes(data), /meta\/train\.txt, meta\/test\.txt in .*not read, since the \.json beside it says the same/)
  for (const part of ['train', 'test']) unlinkSync(join(folder, `meta/${part}.json`))
  const lines = await open(folder)
  assert.equal([sizes(lines), lines.valSource], [[9, 0, 3], 'none'])
  write(join(folder, 'meta/test.txt'), 'apple_pie/4\ncake/1\n')
  assert.match(await refusal(open(folder)), /meta\/test\.txt, line 2: the class must be one of .*, got "cake"$/)
  write(join(folder, 'meta/train.json'), '{"apple_pie": ["baklava/1"]}')
  assert.match(await refusal(open(folder)), /meta\/train\.json, apple_pie, image 1: must begin with apple_pie\//)
})

test('Stanford Cars is read from MATLAB files, as published, as Kaggle copies it, and as one list', async ({
  folder,
}) => {
  const names = ['AM General Hummer SUV 2000', 'Acura RL Sedan 2012', 'Citroën C3 2012']
  for (const how of ['devkit', 'kaggle', 'together'] as const) {
    const root = carsCopy(join(folder, how), how)
    const data = await open(root)
    assert.equal([data.classes, sizes(data)], [names, [9, 0, how === 'together' ? 3 : 6]], how)
    assert.match(notes(data), 'boxes of the cars are not read')
    const [, second] = shown(data.train, root)
    const place = { devkit: 'cars_train/00002', kaggle: 'cars_train/cars_train/00002', together: 'car_ims/000002' }[how]
    assert.is(second, `${place}.jpg: Acura RL Sedan 2012`)
  }
  // Without the test images' labels there is a part to train on only.
  const root = join(folder, 'devkit')
  unlinkSync(join(root, 'cars_test_annos_withlabels.mat'))
  const data = await openData(root)
  assert.equal([sizes(data), data.valSource], [[6, 3, 0], 'split'])
  assert.match(notes(data), 'cars_test/ is not read')
  assert.match(notes(data), /cars_test_annos\.mat .*not read, since it has no classes/)
  writeFileSync(join(root, 'devkit/cars_meta.mat'), readFileSync(join(layouts, 'cars_annos.mat')).subarray(0, 300))
  assert.match(await refusal(open(root)), /cars_meta\.mat: must be a MATLAB file of version 5 to 7\.2, got /)
  writeFileSync(join(root, 'devkit/cars_meta.mat'), readFileSync(join(layouts, 'every.mat')))
  assert.match(await refusal(open(root)), /cars_meta\.mat: must have a cell array class_names, got none$/)
})

test('CUB-200-2011 is recognised, with its own parts and names of classes', async ({ folder }) => {
  cubCopy(folder)
  const data = await open(folder)
  assert.equal(data.classes, ['001.Black_footed_Albatross', '002.Laysan_Albatross', '003.Sooty_Albatross'])
  assert.equal(sizes(data), [9, 0, 3])
  assert.is(
    shown(data.test, folder)[0],
    'images/001.Black_footed_Albatross/Black_footed_Albatross_0009.jpg: 001.Black_footed_Albatross',
  )
  assert.match(notes(data), /bounding_boxes\.txt .*not read/)
  const broken = async (file: string, content: string) => {
    const before = readFileSync(join(folder, file))
    writeFileSync(join(folder, file), content)
    const said = await refusal(open(folder))
    writeFileSync(join(folder, file), before)
    return said
  }
  const labels = readFileSync(join(folder, 'image_class_labels.txt'), 'utf8')
  assert.match(
    await broken('images.txt', '1 ../../etc/passwd\n'),
    /image_class_labels\.txt: must have a line for each image/,
  )
  assert.match(await broken('images.txt', '1\n'), /images\.txt, line 1: must be an image's number and path, got "1"$/)
  assert.match(await broken('images.txt', '1 a.jpg\n1 b.jpg\n'), /images\.txt, line 2: 1 must stand here once/)
  assert.match(
    await broken('image_class_labels.txt', labels.replace('2 2', '2 9')),
    /line 2: the class must be a number in classes\.txt, got 9$/,
  )
  assert.match(
    await broken('image_class_labels.txt', labels.replace('2 2\n', '')),
    /images\.txt, line 2: image 2 must have a line in image_class_labels/,
  )
  assert.match(
    await broken(
      'train_test_split.txt',
      readFileSync(join(folder, 'train_test_split.txt'), 'utf8').replace('3 1', '3 2'),
    ),
    /line 3: must be 1 \(train\) or 0 \(test\), got 2$/,
  )
  const images = readFileSync(join(folder, 'images.txt'), 'utf8')
  const out = await broken('images.txt', images.replace(/^1 .*$/m, '1 ../../secret.jpg'))
  assert.match(out, /images\.txt, line 1: a path must lie below .*, got images\/\.\.\/\.\.\/secret\.jpg/)
})

test('HAM10000 keeps images of one lesion together; the test set of ISIC 2018 beside it is tested on', async ({
  folder,
}) => {
  const alone = await openData(ham10000Copy(join(folder, 'alone')))
  assert.equal(alone.classes, ['akiec', 'bcc', 'bkl', 'df', 'mel', 'nv', 'vasc'])
  // A fifth of four lesions a class is one, of two images each.
  assert.equal(sizes(alone), [18, 6, 0])
  const lesion = (file: string) => Math.floor(Number(/ISIC_(\d+)/.exec(file)![1]) / 2)
  const of = (dataset: Dataset) => new Set(Array.from({ length: dataset.length }, (_, i) => lesion(dataset.file(i))))
  const trained = of(alone.train)
  assert.equal([trained.size, of(alone.val!).size, [...of(alone.val!)].filter((id) => trained.has(id))], [9, 3, []])
  assert.match(notes(alone), 'images of one lesion (lesion_id) stay in one part')
  for (const isic of ['dataverse', 'challenge'] as const) {
    const root = ham10000Copy(join(folder, isic), isic)
    const data = await open(root)
    assert.equal(sizes(data), [24, 0, isic === 'dataverse' ? 6 : 3], isic)
  }
  const challenge = await open(join(folder, 'challenge'))
  assert.equal(
    shown(challenge.test, join(folder, 'challenge')).map((line) => line.slice(-3)),
    [' nv', 'mel', 'asc'],
  )
  write(join(folder, 'alone/HAM10000_metadata.csv'), 'lesion_id,image_id,dx\nHAM_1,ISIC_0000000,wart\n')
  assert.match(
    await refusal(open(join(folder, 'alone'))),
    /HAM10000_metadata\.csv, line 2: the class must be one of akiec.*got "wart"$/,
  )
})

test('RESISC45 is divided by its lists, or where they lack by us; class folders alone stay class folders', async ({
  folder,
}) => {
  const data = await open(resisc45Copy(join(folder, 'lists')))
  assert.equal(
    [data.classes, sizes(data)],
    [
      ['airplane', 'railway', 'railway_station'],
      [6, 3, 3],
    ],
  )
  const plain = await openData(resisc45Copy(join(folder, 'plain'), false))
  assert.equal([sizes(plain), plain.valSource], [[9, 3, 0], 'split'])
  assert.match(notes(plain), 'resisc45-train.txt, -val.txt and -test.txt are not there')
  const classes = await open(join(folder, 'plain/NWPU-RESISC45'))
  assert.not.match(notes(classes), 'RESISC45, read as')
  mkdirSync(join(folder, 'plain/NWPU-RESISC45/other'))
  assert.match(notes(await open(join(folder, 'plain'))), /other in .*: not read, since they are no classes of RESISC45/)
  write(join(folder, 'lists/resisc45-test.txt'), '../../x_1.jpg\n')
  assert.match(
    await refusal(open(join(folder, 'lists'))),
    /resisc45-test\.txt, line 1: must be an image like airplane_001\.jpg, got/,
  )
})

test("KITTI's vehicles are VTAB's four distances, in TFDS's parts; unasked for it is refused", async ({ folder }) => {
  kittiCopy(folder)
  assert.match(
    await refusal(open(folder)),
    /is KITTI's object data; .*--format kitti-distance takes VTAB's closest vehicle distance$/,
  )
  const data = await open(folder, { format: 'kitti-distance' })
  assert.equal(data.classes, ['vehicle within 8 m', 'vehicle at 8 to 20 m', 'vehicle beyond 20 m', 'no vehicle'])
  const drive = (dataset: Dataset) => shown(dataset, folder).map((line) => drives[Number(/(\d{6})/.exec(line)![1])]!)
  assert.equal(drive(data.test!).sort(), [...kittiParts.test].sort())
  assert.equal(drive(data.val!).sort(), [...kittiParts.val].sort())
  assert.is(data.train.length, 31)
  // The class goes by the image's number.
  for (const dataset of [data.train, data.val!, data.test!]) {
    for (const line of shown(dataset, folder)) {
      const [, id, name] = /(\d{6})\.jpg: (.*)$/.exec(line)!
      assert.is(name, data.classes[Number(id) % 4])
    }
  }
  rmSync(join(folder, 'devkit'), { recursive: true })
  const whole = await open(folder, { format: 'kitti-distance' })
  assert.is(whole.train.length, 37)
  assert.match(notes(whole), 'images of one drive may lie on both sides of the split')
  write(join(folder, 'training/label_2/000003.txt'), 'Tank 0 0\n')
  assert.match(
    await refusal(open(folder, { format: 'kitti-distance' })),
    /000003\.txt, line 1: must begin with a type of KITTI's/,
  )
  write(join(folder, 'training/label_2/000003.txt'), 'Car 0 0 x\n')
  assert.match(await refusal(open(folder, { format: 'kitti-distance' })), /000003\.txt, line 1: must have 14 numbers/)
})

test('a folder with files of two sets, none, or another is refused in one sentence', async ({ folder }) => {
  food101Copy(folder)
  cubCopy(folder)
  assert.match(
    await refusal(open(folder)),
    /must be one data set, got the files of food-101, cub-200; say which by format/,
  )
  assert.is((await open(folder, { format: 'cub-200' })).train.length, 9)
  assert.match(
    await refusal(open(folder, { format: 'ham10000' })),
    /must have HAM10000_metadata\.csv, as ham10000 does, got none$/,
  )
  assert.match(
    await refusal(open(folder, { format: 'constructor' })),
    /^format: must be one of fgvc-aircraft, .*, got "constructor"$/,
  )
  const file = join(folder, 'classes.txt')
  assert.match(
    await refusal(open(file, { format: 'cub-200' })),
    /classes\.txt: must be a folder, as cub-200 is, got file$/,
  )
  // Labels that lie beside images are what whoever put them there means.
  write(join(folder, 'metadata.csv'), 'file_name,label\nimages/apple_pie/1.jpg,pie\nimages/baklava/1.jpg,other\n')
  const own = await open(folder)
  assert.equal([own.classes, own.train.length], [['other', 'pie'], 2])
  assert.match(notes(own), 'has files of format food-101, cub-200 too: not read')
})

test('what a layout holds is trained on, tested on and inspected', async ({ folder }) => {
  const data = cubCopy(join(folder, 'cub'))
  const out = join(folder, 'run')
  const text = await output('inspect', data)
  assert.match(text, /12: 6 train, 3 val \(.*\), 3 test/)
  assert.match(text, 'read as format cub-200')
  const events = train({ model, data, out, epochs: 1, batchSize: 3, device: 'wasm', threads: 1, format: 'cub-200' })
  for await (const _ of events);
  const run = JSON.parse(readFileSync(join(out, 'run.json'), 'utf8'))
  assert.equal([run.settings.format, run.classes.length, run.images], ['cub-200', 3, { train: 6, val: 3 }])
  const tested = JSON.parse(await output('test', '--run', out, '--json'))
  assert.equal([tested.images, tested.trained_on], [3, 0])
  const { labelSpace } = await open(data)
  assert.is((await openTestData(data, { labelSpace, format: 'cub-200', all: true })).dataset.length, 12)
  assert.match(await refusedVerb('inspect', data, '--format', 'cub'), /format/)
})

test('the commands of docs/data.md about published sets, few images and folds run', async ({ folder }) => {
  const page = readFileSync(new URL('../docs/data.md', import.meta.url), 'utf8')
  const commands = [...page.matchAll(/^ {4}vitune (.*(?:--format|--per-class|--folds).*)$/gm)].map(([, line]) => line!)
  assert.is(commands.length, 5)
  cubCopy(join(folder, 'CUB_200_2011'))
  kittiCopy(join(folder, 'KITTI'))
  for (const [i, line] of commands.entries()) {
    const places = { CUB_200_2011: join(folder, 'CUB_200_2011'), KITTI: join(folder, 'KITTI'), MODEL: model }
    const words = line.replace(/ +#.*$/, '').split(/ +/)
    const args = words.map(
      (word) => places[word as keyof typeof places] ?? (word.startsWith('RUN') ? join(folder, word) : word),
    )
    // A few epochs of the smallest model say as much.
    const short = args[0] === 'train' ? ['--epochs', '1', '--device', 'wasm', '--threads', '1'] : []
    await output(...args, ...short)
    if (i === 2) assert.match(await output('test', '--run', join(folder, 'RUN-few')), '3 images')
  }
})

test('MATLAB files of version 5 are read as scipy writes them, and others are refused', async () => {
  const bytes = (name: string) => new Uint8Array(readFileSync(join(layouts, name)))
  const every = await readMat(bytes('every.mat'), 'every.mat')
  const numbers = (name: string) => {
    const value = every.get(name)
    return value?.kind === 'numbers' ? value.values : undefined
  }
  assert.equal(numbers('double'), [1.5, 3, -2, 4e300])
  assert.equal([numbers('int8'), numbers('int16'), numbers('uint32')], [[-5, 7], [-300], [4e9]])
  assert.equal(
    [numbers('int64'), numbers('single'), numbers('flag'), numbers('empty')],
    [[-(2 ** 40)], [0.25], [1, 0], []],
  )
  assert.equal(every.get('letters'), { kind: 'text', text: 'ütf' })
  const { cells } = every.get('cells') as MatCells
  assert.equal(cells, [
    { kind: 'numbers', values: [1] },
    { kind: 'text', text: 'x' },
  ])
  const newer = bytes('every.mat')
  newer[125] = 2
  assert.match(
    await failureOf(() => readMat(newer, 'x.mat')),
    'x.mat: must be a MATLAB file of version 5 to 7.2, got 7.3 (HDF5)',
  )
  assert.match(await failureOf(() => readMat(new Uint8Array(200), 'x.mat')), 'got other bytes')
  // A bomb inflates to no more than may be held: 70 MB of zeros in 70 KB.
  const zeros = new Blob([new Uint8Array(70_000_000)]).stream().pipeThrough(new CompressionStream('deflate'))
  const small = new Uint8Array(await new Response(zeros).arrayBuffer())
  const bomb = new Uint8Array(136 + small.length)
  bomb.set(newer.subarray(0, 124))
  bomb.set([0, 1, 0x49, 0x4d, 15, 0, 0, 0], 124)
  new DataView(bomb.buffer).setUint32(132, small.length, true)
  bomb.set(small, 136)
  assert.match(await failureOf(() => readMat(bomb, 'x.mat')), 'x.mat: may inflate to 64000000 bytes, got more')
})

test.run()
