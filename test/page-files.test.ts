// What a page makes of files that were dropped on it: classes, trees and labels, from folders and from tables beside images.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Labelling, labelledFiles } from 'vitune'
import { refusal } from './refusal.ts'
import { fixtures } from './small-vit.ts'

const picture = readFileSync(join(fixtures, 'images/plain.jpg'))

/** Files as a page has them, each a picture unless it says what else. */
const pageFiles = (places: readonly (string | readonly [place: string, content: string])[]) =>
  places.map((item) => {
    const [place, content] = typeof item === 'string' ? [item, picture] : item
    const parts = place.split('/')
    return { file: new File([content], parts.at(-1)!), folders: parts.slice(0, -1) }
  })

async function found(places: Parameters<typeof pageFiles>[0], labelling?: Labelling, label?: string) {
  const { images, loose, passedOver, labelling: how } = await labelledFiles(pageFiles(places), label, labelling)
  return {
    how,
    images: images.map(({ source: _, name, ...labels }) => [name, ...Object.values(labels)]),
    loose: loose.map(({ name }) => name),
    over: passedOver.map(({ kind, names }) => `${kind}: ${names.join(' ')}`),
  }
}

test('folders in folders are a tree where they are named as kinds, or where a tree is asked for', async () => {
  const kinds = ['p/animal/dog/1.jpg', 'p/animal/cat/1.jpg', 'p/car/van/1.jpg', 'p/car/bus/1.jpg']
  const tree = [
    ['1.jpg', 'animal/dog'],
    ['1.jpg', 'animal/cat'],
    ['1.jpg', 'car/van'],
    ['1.jpg', 'car/bus'],
  ]
  assert.equal(await found(kinds), { how: 'tree', images: tree, loose: [], over: [] })
  assert.equal((await found(kinds, 'classes')).images[0], ['dog-1.jpg', 'animal'])
  // Days of a camera are parts of a class.
  const days = ['a/day1/1.jpg', 'a/day2/1.jpg', 'b/day1/1.jpg', 'b/day2/1.jpg']
  assert.equal([(await found(days)).how, (await found(days)).images[0]], ['classes', ['day1-1.jpg', 'a']])
  assert.equal((await found(days, 'tree')).images[0], ['1.jpg', 'a/day1'])
  // Some images lie higher up.
  const mixed = ['animal/dog/1.jpg', 'animal/2.jpg', 'car/3.jpg', '4.jpg']
  assert.is((await found(mixed)).how, 'classes')
  const asked = await found(mixed, 'tree')
  assert.equal(
    asked.images.map(([, path]) => path),
    ['animal/dog', 'animal', 'car'],
  )
  assert.equal(asked.loose, ['4.jpg'])
  assert.equal((await found(['dog/1.jpg', '2.jpg'], 'tree', 'animal')).images, [
    ['1.jpg', 'animal/dog'],
    ['2.jpg', 'animal'],
  ])
})

test('where pictures have any number of labels several folders are labels, one folder and single files are not', async () => {
  assert.equal(await found(['a/1.jpg', 'a/2.jpg', 'b/x/1.jpg', '3.jpg'], 'labels'), {
    how: 'labels',
    images: [
      ['1.jpg', ['a']],
      ['2.jpg', ['a']],
      ['x-1.jpg', ['b']],
      ['3.jpg', []],
    ],
    loose: [],
    over: [],
  })
  assert.equal((await found(['holiday/1.jpg', 'holiday/2.jpg'], 'labels')).images, [
    ['1.jpg', []],
    ['2.jpg', []],
  ])
  assert.equal((await found(['1.jpg'], 'labels', 'sea')).images, [['1.jpg', ['sea']]])
})

test('a table beside images has their labels and says what they are', async () => {
  const rows = [
    'path,label,split',
    'x/1.jpg,a;b,train',
    'x/2.jpg,,train',
    '../p/3.jpg,b,val',
    '4.jpg,a,test',
    'none.jpg,a,train',
  ]
  const table = ['p/labels.csv', rows.join('\n')] as const
  const places = ['p/x/1.jpg', 'p/x/2.jpg', 'p/3.jpg', 'p/deep/4.jpg', 'p/5.jpg', ['p/readme.txt', 'x'] as const]
  assert.equal(await found([table, ...places]), {
    how: 'labels',
    images: [
      ['x-1.jpg', ['a', 'b']],
      ['x-2.jpg', []],
      ['3.jpg', ['b']],
    ],
    loose: [],
    over: [
      'files ending in .txt: p/readme.txt',
      'files to test on: p/deep/4.jpg',
      'images that are not there: none.jpg',
      'images without labels: p/5.jpg',
    ],
  })
  // Hugging Face's metadata, one column a label with what is not known; other tables are not read then.
  const metadata = ['d/metadata.csv', 'file_name,a,b\n1.jpg,1,\n2.jpg,0,1'] as const
  assert.equal((await found([metadata, ['d/other.csv', '"'], 'd/1.jpg', 'd/2.jpg'])).images, [
    ['1.jpg', ['a'], ['b']],
    ['2.jpg', ['b']],
  ])
  const lines = (...labels: string[]) =>
    ['metadata.jsonl', labels.map((label, i) => JSON.stringify({ file_name: `${i}.jpg`, label })).join('\n')] as const
  assert.equal((await found([lines('rose', 'tulip'), '0.jpg', '1.jpg'])).images, [
    ['0.jpg', 'rose'],
    ['1.jpg', 'tulip'],
  ])
  assert.is((await found([lines('animal/dog', 'car'), '0.jpg', '1.jpg'])).how, 'tree')
  // A table of something else is passed over.
  const sizes = await found([['sizes.csv', 'name,width\nx,3'], 'rose/0.jpg'])
  assert.equal([sizes.how, sizes.over], ['classes', ['files ending in .csv: sizes.csv']])
})

test('a table that cannot be read, or that has several labels for pictures of one class, is one sentence', async () => {
  const of = (places: Parameters<typeof pageFiles>[0], labelling?: Labelling) =>
    refusal(labelledFiles(pageFiles(places), undefined, labelling))
  assert.match(
    await of([['metadata.csv', 'file_name,label\n"1.jpg,a'], '1.jpg']),
    /^metadata.csv, line 2: must be a row/,
  )
  assert.match(
    await of([['l.csv', 'path,label\n1.jpg,a\n2.jpg,a;b'], '1.jpg', '2.jpg'], 'classes'),
    /^l.csv, line 3: an image must have one class, got a, b; use a set with several labels/,
  )
})

test.run()
