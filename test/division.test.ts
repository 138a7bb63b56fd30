// A few images of each label and folds, both by the seed: sizes, which images, what stays together, what changes nothing, what is
// refused, and what runs, resumes and tests make of them.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  type DataOptions,
  type Dataset,
  type ImageLabels,
  type LabelledData,
  openData,
  type TrainOptions,
  train,
} from 'vitune'
import { fewOfEach, stratifiedFolds, stratifiedSplit } from '../src/data/divide.ts'
import { hierarchicalLabels, multiclassLabels, multilabelLabels } from '../src/labels/labels.ts'
import { model, output, refusal as refusedVerb } from './cli-tools.ts'
import { cubCopy, ham10000Copy } from './layout-copies.ts'
import { refusal } from './refusal.ts'

const test = suite<{ folder: string }>('division')
test.before.each((context) => {
  context.folder = mkdtempSync(join(tmpdir(), 'vitune-division-'))
})
test.after.each(({ folder }) => rmSync(folder, { recursive: true }))

const one = (...labels: number[]): ImageLabels[] => labels.map((label) => ({ present: [label] }))
const range = (count: number) => Array.from({ length: count }, (_, i) => i)
const names = (dataset: Dataset | undefined) => range(dataset?.length ?? 0).map((i) => dataset!.file(i))
const sizes = ({ train: own, val, test: held }: LabelledData) => [own.length, val?.length ?? 0, held?.length ?? 0]

/** Class folders of images of which each is a file of its own. */
function folders(root: string, counts: Readonly<Record<string, number>>): string {
  const picture = readFileSync(new URL('fixtures/images/small.png', import.meta.url))
  for (const [name, count] of Object.entries(counts)) {
    mkdirSync(join(root, name), { recursive: true })
    for (const i of range(count))
      writeFileSync(join(root, name, `${i}.png`), Buffer.concat([picture, Buffer.from(`${name}${i}`)]))
  }
  return root
}

test('folds are each as large as the others, of each label too, disjoint, and together all', () => {
  const labels = one(...range(100).map((i) => (i % 7) % 5))
  const of = stratifiedFolds(labels, 4, 3)
  const counts = range(4).map((fold) => of.filter((own) => own === fold).length)
  assert.ok(Math.max(...counts) - Math.min(...counts) <= 2, counts.join())
  for (const label of range(5)) {
    const each = range(4).map(
      (fold) => labels.filter(({ present }, i) => present[0] === label && of[i] === fold).length,
    )
    assert.ok(Math.max(...each) - Math.min(...each) <= 1, each.join())
  }
  // The same numbers on every platform.
  assert.equal([...stratifiedFolds(one(0, 0, 0, 0, 1, 1, 1, 1, 2, 2), 3, 0)], [0, 0, 2, 1, 1, 1, 0, 2, 2, 0])
  assert.not.equal([...stratifiedFolds(labels, 4, 4)], [...of])
})

test('folds of images with several labels, and of groups', () => {
  const several = range(60).map(
    (i): ImageLabels => ({ present: [...(i % 2 ? [0] : []), ...(i % 3 ? [] : [1]), ...(i % 10 ? [] : [2])] }),
  )
  const of = stratifiedFolds(several, 3, 0)
  for (const label of [0, 1, 2]) {
    const each = range(3).map(
      (fold) => several.filter(({ present }, i) => present.includes(label) && of[i] === fold).length,
    )
    assert.ok(Math.max(...each) - Math.min(...each) <= 1, `${label}: ${each}`)
  }
  const groups = range(60).map((i) => (i < 40 ? `g${i >> 2}` : undefined))
  const grouped = stratifiedFolds(several, 3, 0, groups)
  for (const i of range(40)) assert.is(grouped[i], grouped[i & ~3])
  const { val } = stratifiedSplit(several, 0.2, 0, groups)
  for (const i of val.filter((own) => own < 40)) assert.ok(range(4).every((k) => val.includes((i & ~3) + k)))
  // Groups of one are none.
  const single = range(60).map((i) => (i % 2 ? `${i}` : undefined))
  assert.equal(stratifiedSplit(several, 0.2, 5, single), stratifiedSplit(several, 0.2, 5))
})

test('a few of each label: so many, all where there are fewer, fewer among more, and one class changes no other', () => {
  const space = multiclassLabels(['a', 'b', 'c'])
  const labels = one(...range(20).map(() => 0), ...range(20).map(() => 1), 2, 2)
  const few = fewOfEach(space, labels, 3, 0)
  assert.equal(few, [1, 4, 7, 27, 28, 35, 40, 41])
  assert.is(fewOfEach(space, labels, 5, 0).length, 12)
  assert.ok(few.every((i) => fewOfEach(space, labels, 5, 0).includes(i)))
  assert.not.equal(fewOfEach(space, labels, 3, 1), few)
  const more = [...labels, ...one(1, 1)]
  assert.equal(
    fewOfEach(space, more, 3, 0).filter((i) => i < 20),
    few.filter((i) => i < 20),
  )
  // Several labels count as the rarest, a tree's as the leaf, none as one more.
  const loose = multilabelLabels(['often', 'rare'])
  const both = range(20).map((i): ImageLabels => ({ present: i < 15 ? (i < 5 ? [0, 1] : [0]) : [] }))
  const chosen = fewOfEach(loose, both, 2, 0)
  assert.equal(
    [chosen.filter((i) => i < 5).length, chosen.filter((i) => i >= 5 && i < 15).length, chosen.length],
    [2, 2, 6],
  )
  const tree = hierarchicalLabels({
    groups: [
      ['x', 'y'],
      ['x1', 'x2'],
    ],
    parents: { x1: 'x', x2: 'x' },
  })
  const leaf = (name: string): ImageLabels => {
    const label = tree.names.indexOf(name)
    return { present: [label, tree.parents[label]!].filter((own) => own >= 0).sort((a, b) => a - b) }
  }
  const leaves = range(30).map((i) => leaf(['x1', 'x2', 'y'][i % 3]!))
  assert.is(fewOfEach(tree, leaves, 2, 0).length, 6)
})

test('few-shot data set validation aside first, so that it is the same for any number of images', async ({
  folder,
}) => {
  folders(folder, { cat: 20, dog: 30, fox: 3 })
  const all = await openData(folder, { seed: 2 })
  const few = await openData(folder, { seed: 2, perClass: 5 })
  assert.equal(sizes(few), [12, all.val!.length, 0])
  assert.equal(names(few.val), names(all.val))
  const trained = new Set(names(all.train))
  assert.ok(names(few.train).every((file) => trained.has(file)))
  assert.match(
    few.notes.join('\n'),
    /^5 images of each label to train on, 12 of 42 images, by seed 2\nfox: fewer than 5 images to train on/,
  )
  // An image more in one class changes which are drawn of no other.
  folders(folder, { dog: 31 })
  const more = await openData(folder, { seed: 2, perClass: 5 })
  const cats = (data: LabelledData) => names(data.train).filter((file) => file.includes('/cat/'))
  assert.equal(cats(more), cats(few))
  assert.is((await openData(folder, { seed: 2, perClass: 1, valFraction: 0 })).train.length, 3)
})

test('folds divide all that is not to be tested on, and keep lesions together', async ({ folder }) => {
  const cub = cubCopy(join(folder, 'cub'))
  const parts: string[] = []
  for (const fold of range(3)) {
    const data = await openData(cub, { folds: 3, fold })
    assert.equal([sizes(data), data.valSource], [[6, 3, 3], 'split'])
    assert.ok(names(data.val).every((file) => !names(data.train).includes(file)))
    assert.match(data.notes.join('\n'), `fold ${fold} of 0 to 2 is validated on, 3 of 9 images, by seed 0`)
    parts.push(...names(data.val))
  }
  assert.is(new Set(parts).size, 9)
  const ham = ham10000Copy(join(folder, 'ham'))
  const { train: own, val } = await openData(ham, { folds: 4, fold: 1 })
  const lesions = (dataset: Dataset) => new Set(names(dataset).map((file) => Number(/ISIC_(\d+)/.exec(file)![1]) >> 1))
  assert.equal([own.length, val!.length], [18, 6])
  const trained = lesions(own)
  assert.ok([...lesions(val!)].every((id) => !trained.has(id)))
  // A val split is divided with train; few of each come from the other folds.
  const split = folders(join(folder, 'split/train'), { a: 6, b: 6 })
  folders(join(folder, 'split/val'), { a: 2, b: 2 })
  const pooled = await openData(join(split, '..'), { folds: 4, fold: 3, perClass: 2 })
  assert.equal(sizes(pooled), [4, 4, 0])
  assert.match(pooled.notes.join('\n'), 'the val split is divided into folds together with train')
})

test('what cannot be divided so is refused', async ({ folder }) => {
  folders(folder, { cat: 4, dog: 4 })
  const open = (options: DataOptions) => refusal(openData(folder, options))
  assert.is(await open({ perClass: 0 }), 'perClass: must be a whole number from 1, got 0')
  assert.is(await open({ folds: 1 }), 'folds: must be a whole number from 2, got 1')
  assert.match(await open({ fold: 1 }), /^fold: must come with folds, got 1 alone/)
  assert.is(await open({ folds: 3, fold: 3 }), 'fold: must be a whole number from 0 to 2, got 3')
  assert.match(await open({ folds: 2, val: folder }), /^folds: must be left out where val is given/)
  assert.match(await open({ folds: 9, fold: 8 }), /must have images for each of 9 folds, got 8; take fewer folds$/)
  assert.match(await refusedVerb('inspect', folder, '--fold', '1'), /^(--)?fold: must come with folds/)
  const text = await output('inspect', folder, '--folds', '4', '--fold', '1', '--per-class', '2', '--seed', '3')
  assert.match(text, /6: 4 train, 2 val/)
  assert.match(text, 'fold 1 of 0 to 3 is validated on, 2 of 8 images, by seed 3')
  assert.match(text, '2 images of each label to train on, 4 of 6 images, by seed 3')
})

test('a run keeps what it drew: it goes on with that although images came, and is tested on the others', async ({
  folder,
}) => {
  const data = folders(join(folder, 'data'), { cat: 12, dog: 12 })
  const out = join(folder, 'run')
  const collect = async (options: Partial<TrainOptions>) => {
    const seen = []
    for await (const event of train({ out, ...options } as TrainOptions)) seen.push(event)
    return seen
  }
  const basics = { model, data, batchSize: 4, device: 'wasm', threads: 1, augment: false } as const
  await collect({ ...basics, epochs: 1, perClass: 3, seed: 1 })
  const list = () =>
    readFileSync(join(out, 'images.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .slice(1)
      .map((line) => JSON.parse(line).slice(0, 3).join(' '))
  const drawn = list()
  assert.is(drawn.length, 6 + 4)
  folders(data, { cat: 13 })
  await collect({ resume: true, epochs: 2 })
  assert.equal(list(), drawn)
  const tested = JSON.parse(await output('test', '--run', out, '--json'))
  assert.equal([tested.images, tested.left_out, tested.validated_on, tested.trained_on], [19, 6, 4, 0])
  rmSync(join(data, drawn[0]!.split(' ')[2]!))
  assert.match(await refusal(collect({ resume: true, epochs: 3 })), /^resume: since this run began 1 image was removed/)
  // A fold is what a run holds out.
  const other = join(folder, 'fold')
  await collect({ ...basics, epochs: 1, folds: 4, fold: 2, out: other })
  const held = JSON.parse(await output('test', '--run', other, '--json'))
  assert.equal([held.images, held.validated_on, held.trained_on], [6, 6, 0])
})

test.run()
