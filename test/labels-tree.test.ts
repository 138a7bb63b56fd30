// Labels of a tree from groups and parents: OTX's order, what is refused, paths. What learns them: hierarchical.test.ts.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { labelFacts, readLabelFacts } from '../src/labels/facts.ts'
import { hierarchicalLabels, type LabelTree, pathOf, withParents } from '../src/labels/labels.ts'
import { InputError } from '../src/platform/errors.ts'
import { treeOf } from '../src/tasks/tree-decode.ts'
import { fixtureJson } from './fixtures.ts'

interface Tree {
  groups: string[][]
  parents: Record<string, string>
  /** What OTX's own code makes of it. */
  otx: {
    label_to_idx: Record<string, number>
    head_idx_to_logits_range: Record<string, [number, number]>
    num_single_label_classes: number
    label_tree_edges: [string, string][]
  }
}
const { trees }: { trees: Record<string, Tree> } = await fixtureJson('hierarchical/values.json')

test("labels stand in the order of OTX's outputs: groups of two and more, then all others", () => {
  assert.ok(Object.keys(trees).length >= 4)
  for (const [name, { groups, parents, otx }] of Object.entries(trees)) {
    const labels = hierarchicalLabels({ groups, parents })
    const inOrder = Object.entries(otx.label_to_idx).sort(([, a], [, b]) => a - b)
    assert.equal(
      labels.names,
      inOrder.map(([label]) => label),
      name,
    )
    const ranges = Object.values(otx.head_idx_to_logits_range)
    assert.equal(
      labels.groups.map((group) => [group[0], group.at(-1)! + 1]),
      ranges,
      name,
    )
    assert.is(labels.groups.flat().length, otx.num_single_label_classes)
    const edges = labels.parents.flatMap((parent, i) =>
      parent < 0 ? [] : [`${labels.names[i]} < ${labels.names[parent]}`],
    )
    assert.equal(edges.sort(), otx.label_tree_edges.map(([child, above]) => `${child} < ${above}`).sort(), name)
    assert.is(labels.task, 'hierarchical')
  }
})

test('a group of one becomes a label without a group, before those that never had one', () => {
  const labels = hierarchicalLabels({
    groups: [['one'], ['a', 'b'], ['two']],
    parents: { one: 'a' },
    others: ['three'],
  })
  assert.equal(labels.names, ['a', 'b', 'one', 'two', 'three'])
  assert.equal(labels.groups, [[0, 1]])
  assert.equal(labels.parents, [-1, -1, 0, -1, -1])
})

test('what is no tree is refused in one sentence', () => {
  const pair = ['a', 'b']
  const deep = Array.from({ length: 101 }, (_, i) => String(i))
  const refused: [LabelTree, string][] = [
    [{ groups: [pair, ['b', 'c']], parents: {} }, 'labels: "b" must be in one group only, got two'],
    [{ groups: [['a', 'a']], parents: {} }, 'labels: "a" must be in one group only, got two'],
    [{ groups: [pair], parents: {}, others: ['a'] }, 'labels: "a" must be in one group only, got two'],
    [
      { groups: [['a'], ['b']], parents: {} },
      'labels: a hierarchy must have a group of two labels or more, got none; use multi-label',
    ],
    [{ groups: [pair], parents: { a: 'x' } }, 'labels: "x" in the tree must be a label, got no such label'],
    [{ groups: [pair], parents: { x: 'a' } }, 'labels: "x" in the tree must be a label, got no such label'],
    [
      { groups: [pair], parents: { c: 'd', d: 'e', e: 'c' }, others: ['c', 'd', 'e'] },
      'labels: the tree must have no circle, got one through "c"',
    ],
    [{ groups: [pair], parents: { a: 'a' } }, 'labels: the tree must have no circle, got one through "a"'],
    [
      { groups: [deep], parents: Object.fromEntries(deep.slice(1).map((name, i) => [name, deep[i]!])) },
      'labels: a tree may have 100 levels and no circle, got more above "100"',
    ],
  ]
  for (const [tree, message] of refused) {
    assert.throws(
      () => hierarchicalLabels(tree),
      (error: unknown) => error instanceof InputError && error.message === message,
      message,
    )
  }
})

test('labels named like properties of objects are labels like others', () => {
  const labels = hierarchicalLabels({ groups: [['constructor', 'toString'], ['valueOf']], parents: {} })
  assert.equal(labels.parents, [-1, -1, -1])
})

test('groups that hold parents of each other are refused, and a label below one of its own group', () => {
  const crossed = hierarchicalLabels({
    groups: [
      ['w', 'x'],
      ['y', 'z'],
    ],
    parents: { x: 'y', z: 'w' },
  })
  const inside = hierarchicalLabels({ groups: [['a', 'b']], parents: { b: 'a' } })
  for (const labels of [crossed, inside]) {
    assert.throws(
      () => treeOf(labels),
      (error: unknown) =>
        error instanceof InputError && /parents of each other's labels in a circle/.test(error.message),
    )
  }
})

test('groups that are not the first labels in order are refused', () => {
  const groups = [[1, 2]]
  const labels = { task: 'hierarchical', names: ['a', 'b', 'c'], groups, parents: [-1, -1, -1] } as const
  const message =
    /^labels: groups of a hierarchy must hold two labels or more and be the first labels in order, got \[\[1,2\]\]/
  assert.throws(() => treeOf(labels), message)
  assert.throws(() => treeOf({ ...labels, groups: [[0]] }), /got \[\[0\]\]/)
  assert.throws(() => treeOf({ ...labels, groups: [] }), /got \[\]/)
})

test('a label brings all that it is a kind of, each once, and what is there is not unknown', () => {
  const { groups, parents } = trees.animals!
  const labels = hierarchicalLabels({ groups, parents })
  const at = (name: string) => labels.names.indexOf(name)
  assert.equal(pathOf(labels, at('terrier')), ['animal', 'dog', 'terrier'].map(at))
  const given = withParents(labels, { present: [at('terrier'), at('dog')], unknown: [at('animal'), at('bus')] })
  assert.equal(given, { present: ['animal', 'dog', 'terrier'].map(at), unknown: [at('bus')] })
  assert.equal(withParents(labels, { present: [] }), { present: [] })
})

test('what a file keeps of a tree gives the same labels back, one group of all too', () => {
  const all = Object.values(trees).map(({ groups, parents }) => hierarchicalLabels({ groups, parents }))
  const flat = hierarchicalLabels({ groups: [['a', 'b', 'c']], parents: {} })
  const below = hierarchicalLabels({ groups: [['a', 'b']], parents: { c: 'a' }, others: ['c', 'd'] })
  for (const space of [...all, flat, below]) {
    const thresholds = space.names.map((_, i) => i / 10)
    const kept = JSON.parse(JSON.stringify(labelFacts({ space, thresholds, decoding: 'threshold' })))
    assert.equal(readLabelFacts(kept, space.names, 'run.json'), { space, thresholds, decoding: 'threshold' })
  }
})

test.run()
