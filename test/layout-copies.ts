// Tiny made-up copies of published data sets, in the layouts that their archives unpack to: what tests of layouts share.
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import sharp from 'sharp'

const stored = fileURLToPath(new URL('fixtures/layouts/', import.meta.url))
const pictures = await Promise.all(
  ['#d03020', '#20a040', '#2040d0'].map((background) =>
    sharp({ create: { width: 12, height: 10, channels: 3, background } })
      .jpeg()
      .toBuffer(),
  ),
)

/** Writes a file, and the folders above it. */
export function write(path: string, content: string | Buffer): void {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, content)
}

/** Writes pictures of one colour a label; what stands behind a picture's end makes each file another. */
const paint = (root: string, path: string, label: number) =>
  write(join(root, path), Buffer.concat([pictures[label]!, Buffer.from(path)]))
const text = (lines: readonly string[]) => `${lines.join('\n')}\n`
const range = (count: number) => Array.from({ length: count }, (_, i) => i)
const at = (i: number, width: number) => String(i).padStart(width, '0')

/** FGVC-Aircraft: 6 images to train, 3 to validate and 3 to test on. */
export function aircraftCopy(root: string): string {
  const data = join(root, 'fgvc-aircraft-2013b', 'data')
  const levels = {
    variant: { list: 'variants.txt', names: ['707-320', 'A300B4', 'F/A-18'] },
    family: { list: 'families.txt', names: ['Boeing 707', 'A300', 'F/A-18'] },
    manufacturer: { list: 'manufacturers.txt', names: ['Boeing', 'Airbus', 'McDonnell Douglas'] },
  }
  const parts = { train: range(6), val: range(3).map((i) => i + 6), test: range(3).map((i) => i + 9) }
  for (const [level, { list, names }] of Object.entries(levels)) {
    write(join(data, list), text(names))
    const lines = (which: readonly number[]) => text(which.map((i) => `${at(1000000 + i, 7)} ${names[i % 3]}`))
    for (const [part, which] of Object.entries(parts)) write(join(data, `images_${level}_${part}.txt`), lines(which))
    write(join(data, `images_${level}_trainval.txt`), lines([...parts.train, ...parts.val]))
  }
  write(join(data, 'images_box.txt'), '1000000 1 2 3 4\n')
  for (const i of range(12)) paint(data, `images/${1000000 + i}.jpg`, i % 3)
  return root
}

/** Food-101: 9 images to train and 3 to test on. */
export function food101Copy(root: string): string {
  const names = ['apple_pie', 'baby_back_ribs', 'baklava']
  const of = (ids: readonly number[]) =>
    Object.fromEntries(names.map((name) => [name, ids.map((id) => `${name}/${id}`)]))
  for (const [part, lists] of Object.entries({ train: of([1, 2, 3]), test: of([4]) })) {
    write(join(root, `meta/${part}.json`), JSON.stringify(lists))
    write(join(root, `meta/${part}.txt`), text(Object.values(lists).flat()))
  }
  write(join(root, 'meta/classes.txt'), text(names))
  write(join(root, 'meta/labels.txt'), text(['Apple pie', 'Baby back ribs', 'Baklava']))
  for (const [label, name] of names.entries())
    for (const id of [1, 2, 3, 4]) paint(root, `images/${name}/${id}.jpg`, label)
  return root
}

/** Stanford Cars as it was published, in folders in folders as Kaggle has it, or as one list of both parts: 9 to train on, 6 (3) to test on. */
export function carsCopy(root: string, how: 'devkit' | 'kaggle' | 'together' = 'devkit'): string {
  const twice = how === 'kaggle'
  const keep = (name: string, to: string) => {
    mkdirSync(dirname(join(root, to)), { recursive: true })
    cpSync(join(stored, name), join(root, to))
  }
  if (how === 'together') {
    keep('cars_annos.mat', 'cars_annos.mat')
    for (const i of range(12)) paint(root, `car_ims/${at(i + 1, 6)}.jpg`, i % 3)
    return root
  }
  const devkit = twice ? 'car_devkit/devkit' : 'devkit'
  for (const name of ['cars_meta.mat', 'cars_train_annos.mat', 'cars_test_annos.mat']) keep(name, `${devkit}/${name}`)
  keep('cars_test_annos_withlabels.mat', 'cars_test_annos_withlabels.mat')
  for (const [part, count] of [
    ['cars_train', 9],
    ['cars_test', 6],
  ] as const) {
    for (const i of range(count)) paint(root, `${part}/${twice ? `${part}/` : ''}${at(i + 1, 5)}.jpg`, i % 3)
  }
  return root
}

/** CUB-200-2011: 9 images to train and 3 to test on. */
export function cubCopy(root: string): string {
  const names = ['001.Black_footed_Albatross', '002.Laysan_Albatross', '003.Sooty_Albatross']
  const files = range(12).map((i) => `${names[i % 3]}/${names[i % 3]!.slice(4)}_${at(i, 4)}.jpg`)
  write(join(root, 'classes.txt'), text(names.map((name, i) => `${i + 1} ${name}`)))
  write(join(root, 'images.txt'), text(files.map((file, i) => `${i + 1} ${file}`)))
  write(join(root, 'image_class_labels.txt'), text(files.map((_, i) => `${i + 1} ${(i % 3) + 1}`)))
  write(join(root, 'train_test_split.txt'), text(files.map((_, i) => `${i + 1} ${i < 9 ? 1 : 0}`)))
  write(join(root, 'bounding_boxes.txt'), '1 60.0 27.0 325.0 304.0\n')
  for (const [i, file] of files.entries()) paint(root, `images/${file}`, i % 3)
  return root
}

/** HAM10000: 24 images of 12 lesions; with `test` the test set of ISIC 2018, as the Dataverse or the challenge writes it. */
export function ham10000Copy(root: string, isic?: 'dataverse' | 'challenge'): string {
  const names = ['mel', 'nv', 'vasc']
  const head = 'lesion_id,image_id,dx,dx_type,age,sex,localization,dataset'
  const row = (i: number) =>
    `HAM_${at(i >> 1, 7)},ISIC_${at(i, 7)},${names[(i >> 1) % 3]},histo,80.0,male,scalp,vidir_modern`
  write(join(root, 'HAM10000_metadata.csv'), text([head, ...range(24).map(row)]))
  for (const i of range(24)) paint(root, `HAM10000_images_part_${i < 12 ? 1 : 2}/ISIC_${at(i, 7)}.jpg`, (i >> 1) % 3)
  if (isic === 'dataverse') {
    write(join(root, 'ISIC2018_Task3_Test_GroundTruth.csv'), text([head, ...range(30).slice(24).map(row)]))
    for (const i of range(30).slice(24)) paint(root, `ISIC2018_Task3_Test_Images/ISIC_${at(i, 7)}.jpg`, (i >> 1) % 3)
  } else if (isic === 'challenge') {
    const list = 'ISIC2018_Task3_Test_GroundTruth'
    const lines = ['0,1,0,0,0,0,0', '1,0,0,0,0,0,0', '0,0,0,0,0,0,1'].map(
      (marks, i) => `ISIC_${at(24 + i, 7)},${marks}`,
    )
    write(join(root, list, `${list}.csv`), text(['image,MEL,NV,BCC,AKIEC,BKL,DF,VASC', ...lines]))
    for (const i of range(3)) paint(root, `ISIC2018_Task3_Test_Input/ISIC_${at(24 + i, 7)}.jpg`, i)
  }
  return root
}

/** RESISC45: 12 images of three classes; with `lists` the published parts, 6, 3 and 3. */
export function resisc45Copy(root: string, lists = true): string {
  const names = ['airplane', 'railway', 'railway_station']
  const file = (name: string, i: number) => `${name}_${at(i, 3)}.jpg`
  for (const [label, name] of names.entries()) {
    for (const i of range(4)) paint(root, `NWPU-RESISC45/${name}/${file(name, i + 1)}`, label)
  }
  const parts = { train: [1, 2], val: [3], test: [4] }
  for (const [part, ids] of Object.entries(lists ? parts : {})) {
    write(join(root, `resisc45-${part}.txt`), text(names.flatMap((name) => ids.map((i) => file(name, i)))))
  }
  return root
}

/** The drives of the made-up copy of KITTI, and those that TFDS tests and validates on. */
export const drives = range(37).map((i) => `2011_09_26_drive_${at(i + 1, 4)}_sync`)
export const kittiParts = JSON.parse(readFileSync(join(stored, 'kitti-parts.json'), 'utf8')) as Record<
  'test' | 'val',
  string[]
>

/** KITTI's object data: an image of each of 37 drives, whose nearest vehicle is near, further, far or not there in turn. */
export function kittiCopy(root: string, mapping = true): string {
  const box = '0.00 0 -1.57 599.41 156.40 629.75 189.25 2.85 2.63 12.34'
  const objects = [
    [`Car ${box} 0.47 1.49 8.00 -1.56`, `Pedestrian ${box} 0.47 1.49 2.00 -1.56`, `Van ${box} 0.47 1.49 30.00 -1.56`],
    [`Truck ${box} 0.47 1.49 8.01 -1.56`],
    [
      `Van ${box} 0.47 1.49 69.44 -1.56`,
      `DontCare -1 -1 -10 503.89 169.71 590.61 190.13 -1 -1 -1 -1000 -1000 -1000 -10`,
    ],
    [`Cyclist ${box} 0.47 1.49 5.00 -1.56`],
  ]
  for (const i of range(37)) {
    write(join(root, `training/label_2/${at(i, 6)}.txt`), text(objects[i % 4]!))
    paint(root, `training/image_2/${at(i, 6)}.jpg`, (i % 4) % 3)
  }
  if (mapping) {
    // Lines stand in another order than images.
    const lines = drives.map((drive) => `2011_09_26 ${drive} 0000000008`)
    write(join(root, 'devkit/mapping/train_mapping.txt'), text([...lines].reverse()))
    write(
      join(root, 'devkit/mapping/train_rand.txt'),
      `${range(37)
        .map((i) => 37 - i)
        .join(',')}\n`,
    )
  }
  return root
}
