// Outputs read again without the model: with other thresholds, and as the labels of the model say.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { decide } from 'vitune'
import { refusal } from './refusal.ts'

const tags = { classes: ['a', 'b', 'c'], labels: { task: 'multilabel', thresholds: [0.5, 0.9, 0.1] } } as const
const tree = {
  classes: ['a', 'b', 'a/x', 'a/y', 'a/z'],
  labels: {
    task: 'hierarchical',
    groups: [
      ['a', 'b'],
      ['a/x', 'a/y', 'a/z'],
    ],
    parents: { 'a/x': 'a', 'a/y': 'a', 'a/z': 'a' },
  },
} as const
const plain = <T>(value: T): T => structuredClone(value)

test("a label is there from the model's own threshold on, or from the one that is given", () => {
  const logits = [1, 1, 1] // 0.73 each
  const found = (thresholds?: number | number[]) => decide(plain(tags) as never, logits, thresholds).labels
  assert.equal(found(), ['a', 'c'])
  assert.equal(found(0.8), [])
  assert.equal(found([0.8, 0.7, 0.7]), ['b', 'c'])
  const { scores, label } = decide(plain(tags) as never, logits)
  assert.equal([label, scores.map((score) => score.toFixed(2))], ['a, c', ['0.73', '0.73', '0.73']])
})

test('labels of a tree are decided as the model says: the most probable whole, or level by level', () => {
  const logits = [0.1, 0, 0, 0, 0]
  assert.equal(decide(plain(tree) as never, logits).labels, ['b'])
  const byLevel = { ...tree, labels: { ...tree.labels, decoding: 'threshold' } }
  assert.equal(decide(plain(byLevel) as never, logits).labels, ['a', 'a/x'])
})

test('thresholds that mean nothing are one sentence', async () => {
  const one = { classes: ['a', 'b'], labels: { task: 'multiclass' } } as never
  const said = (run: () => unknown) => refusal(Promise.resolve().then(run))
  assert.match(await said(() => decide(one, [0, 1], 0.5)), /^threshold: means nothing .*multiclass/)
  assert.match(await said(() => decide(plain(tags) as never, [0, 1, 2], [0.5])), /^threshold: must be .*3/)
})

test.run()
