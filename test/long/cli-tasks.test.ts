// vitune train, test, predict and merge, run as a program on any number of labels an image and on labels of a tree: what they
// print for people and for programs, and that a merged folder knows all that the run knew.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openModel, openRun } from 'vitune'
import { disposeModule } from 'vitune/nn'
import { createWasm } from 'vitune/tensor'
import { model, output, refusal, temporary, vitune } from '../cli-tools.ts'
import { labelledTable, labelledTree, labels, treeFacts, treeLabels } from '../task-pictures.ts'

const { folder, clean } = temporary()
test.after(clean)
const device = ['--threads', '1', '--device', 'wasm']
const json = (...path: string[]) => JSON.parse(readFileSync(join(...path), 'utf8'))

const table = await labelledTable(join(folder, 'table'))
const tree = await labelledTree(join(folder, 'tree'))
const pictures = {
  multilabel: [1, 3, 7].map((i) => join(folder, `table/images/0${i}.png`)),
  hierarchical: ['cold/blue/1.png', 'warm/sun/2.png'].map((name) => join(tree, name)),
}

interface Trained {
  readonly run: string
  readonly merged: string
  readonly said: { code: number | null; out: string; err: string }
}
async function trained(name: string, data: string): Promise<Trained> {
  const [run, merged] = [join(folder, `${name}-run`), join(folder, `${name}-merged`)]
  const args = ['--data', data, '--model', model, '--epochs', '3', '--lr', '1e-2', '--batch-size', '6']
  const said = await vitune('train', ...args, '--out', run, ...device)
  assert.is(said.code, 0, said.err)
  assert.match(await output('merge', '--run', run, '--out', merged, ...device), /^merged 4 layers into a plain model/)
  return { run, merged, said }
}
const runs = { multilabel: await trained('table', table), hierarchical: await trained('tree', tree) }

test('training says what it took the data for, what chooses the best epoch, and from which scores on labels are there', () => {
  const { out, err } = runs.multilabel.said
  assert.match(
    err,
    /^lora on \S+: 3 labels\ntask multilabel, since \S+labels\.csv, line \d+ has (several labels|no label)\n/,
  )
  assert.is(err.match(/^epoch \d\/3 .*val loss \S+ {2}val map \S+ % /gm)?.length, 3)
  assert.match(
    out,
    /^method .*\nbest map +[\d.]+ % in epoch \d of 3\naccuracy then +[\d.]+ %\nthresholds +0\.\d\d to 0\.\d\d, tuned/,
  )
  const ofTree = runs.hierarchical.said
  assert.match(
    ofTree.err,
    /^lora on \S+: 6 labels\ntask hierarchical, since its labels are in groups and below each other\n/,
  )
  assert.is(ofTree.err.match(/^epoch \d\/3 .*val accuracy \S+ % /gm)?.length, 3)
  assert.match(ofTree.out, /^method .*\nbest accuracy +[\d.]+ % in epoch \d of 3\ntrained /)
  // An epoch's line is read at a glance.
  for (const line of `${err}${ofTree.err}`.split('\n').filter((line) => line.startsWith('epoch'))) {
    assert.ok(line.replace(/ {2}waited for images [\d.]+ %/, '').length < 120, line)
  }
})

test('test says every metric by name, then each label, a tree from its root down', async () => {
  const said = await output('test', '--run', runs.multilabel.run, ...device)
  assert.match(
    said,
    /^accuracy +[\d.]+ %\nf1 +\S+ %\nf1_micro +\S+ %\nmap +\S+ %\nmap_present +\S+ %\nloss +\S+\nimages +\d+\n/,
  )
  assert.match(said, /\nnote +the held out images also chose the best epoch and the thresholds: expect a little less/)
  assert.match(said, /\n\nlabel +images +precision +recall +F1 +AP +threshold\nblue +\d+ .*\ngreen .*\nred .*\n$/)
  const ofTree = await output('test', '--run', runs.hierarchical.run, ...device)
  const rows = ofTree.trimEnd().split('\n\n')[1]!.split('\n').slice(1)
  assert.equal(
    rows.map((row) => row.split(' ')[0]),
    ['cold', 'cold/blue', 'cold/cyan', 'warm', 'warm/red', 'warm/sun'],
  )
  assert.match(ofTree, /\nnote +the held out images also chose the best epoch: expect/)
  for (const line of `${said}${ofTree}`.split('\n')) assert.ok(line.length < 120, line)
})

test('test --json has each label with the threshold that the run found, and --threshold overrules it', async () => {
  for (const [task, { run }] of Object.entries(runs)) {
    const { thresholds } = json(run, 'run.json').labels
    const found = JSON.parse(await output('test', '--run', run, '--json', ...device))
    assert.equal([found.task, found.classes], [task, task === 'multilabel' ? labels : treeLabels])
    assert.equal(
      found.per_label.map(({ threshold }: { threshold?: number }) => threshold),
      found.classes.map((_: string, i: number) => thresholds?.[i]),
    )
    assert.not.ok('confusion' in found)
    const done = json(run, 'run.json').metrics
    // What depends on no threshold is what training measured; trees without labels of their own have none.
    for (const name of task === 'multilabel' ? ['map', 'map_present'] : Object.keys(done)) {
      assert.is(found[name], done[name], name)
    }
    for (const { labels, label, targets, target } of found.predictions) {
      assert.ok(Array.isArray(labels) && Array.isArray(targets))
      if (task === 'multilabel') assert.equal([label, target], [labels.join(', '), targets.join(', ')])
      else assert.equal([label, target], [labels.at(-1), targets.at(-1)])
    }
  }
  const { run } = runs.multilabel
  const low = JSON.parse(await output('test', '--run', run, '--threshold', '0.05', '--json', ...device))
  assert.equal(
    low.per_label.map(({ threshold, recall }: { threshold: number; recall: number }) => [threshold, recall]),
    [0, 0, 0].map(() => [0.05, 1]),
  )
  assert.match(
    await refusal('test', '--run', run, '--threshold', '1.5', ...device),
    /^--threshold: must be in \(0, 1\), got 1\.5/,
  )
})

test('predict gives the labels that are there by the thresholds of the run, as text and as JSON', async () => {
  for (const [task, { run, merged }] of Object.entries(runs)) {
    const files = pictures[task as keyof typeof pictures]
    const { thresholds } = json(run, 'run.json').labels
    const args = [...files, '--json', '--logits', ...device]
    const found = JSON.parse(await output('predict', '--run', run, ...args)).predictions
    for (const { label, labels: there, logits } of found) {
      const names = there.map((one: { label: string }) => one.label)
      if (task === 'multilabel') {
        const scores = logits.map((z: number) => 1 / (1 + Math.exp(-z)))
        assert.equal(
          names,
          labels.filter((_, k) => scores[k] >= thresholds[k]),
        )
        assert.is(label, names.join(', '))
      } else {
        assert.is(names.length, 2)
        assert.ok(names[1].startsWith(`${names[0]}/`) && label === names[1])
      }
    }
    const text = await output('predict', '--run', run, ...files, ...device)
    assert.equal(
      text
        .trimEnd()
        .split('\n')
        .map((line) => line.replace(/^\S+ +/, '').replace(/ [\d.]+ %/g, '')),
      found.map((p: { labels: { label: string; score: number }[] }) => {
        // The surest first; in a tree from the root down.
        const order = task === 'multilabel' ? p.labels.toSorted((a, b) => b.score - a.score) : p.labels
        return order.map(({ label }) => label).join(', ') || 'no label'
      }),
    )
    // The base with the adapter, and the merged folder, decide alike.
    const adapted = await output('predict', '--model', model, '--adapter', run, ...args)
    assert.equal(JSON.parse(adapted).predictions, found)
    const plain = JSON.parse(await output('predict', '--model', merged, ...args)).predictions
    for (const [i, one] of plain.entries()) {
      assert.equal([one.label, one.labels.length], [found[i].label, found[i].labels.length])
      for (const [k, z] of one.logits.entries()) assert.ok(Math.abs(z - found[i].logits[k]) < 1e-4)
    }
  }
  const { run } = runs.multilabel
  const high = await output('predict', '--run', run, ...pictures.multilabel, '--threshold', '0.9999', ...device)
  assert.is(high.match(/ no label$/gm)?.length, 3, high)
})

test('a merged folder is a plain model that says its task, its tree and its thresholds', async () => {
  const backend = await createWasm({ threads: 1 })
  for (const [task, { run, merged }] of Object.entries(runs)) {
    const config = json(merged, 'config.json')
    const own = json(run, 'run.json').labels
    assert.is(config.problem_type, task === 'multilabel' ? 'multi_label_classification' : undefined)
    assert.equal(config.vitune.labels, own)
    if (task === 'hierarchical') assert.equal(own, treeFacts)
    assert.equal(Object.values(config.id2label), task === 'multilabel' ? labels : treeLabels)
    const opened = [await openRun(backend, run), await openModel(backend, merged)]
    assert.equal(opened[1]!.labels, opened[0]!.labels)
    for (const { model } of opened) disposeModule(model)
    assert.equal(
      JSON.parse(
        await output('test', '--model', merged, '--data', task === 'multilabel' ? table : tree, '--json', ...device),
      ).task,
      task,
    )
  }
  await backend.dispose()
})

test.run()
