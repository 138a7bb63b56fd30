// The experiment's report: HTML that stands alone, numbers as they came, words that follow the numbers.
import { stripVTControlCharacters } from 'node:util'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { ExperimentResult, ExperimentRun } from 'vitune'
import { renderReport, renderTable, summarise, summaryWords } from 'vitune/report'

type Given = { method: string; dataset: string; accuracies: number[]; more?: Partial<ExperimentRun> }

function experiment(given: Given[], more: Partial<ExperimentResult> = {}): ExperimentResult {
  const datasets = [...new Set(given.map((g) => g.dataset))]
  return {
    title: 'A title',
    model: { name: 'tiny', parameters: 1_203_456, source: 'Made here.' },
    created: '2026-11-22T12:30:05Z',
    command: 'npm start -- --seeds 3',
    machine: { Processor: 'two cores', Versions: 'vitune 0.1.0' },
    datasets: datasets.map((name) => ({ name, source: `${name} source`, classes: 10, train: 500, test: 1500 })),
    methods: [...new Set(given.map((g) => g.method))],
    runs: given.flatMap(({ method, dataset, accuracies, more: run }) =>
      accuracies.map((accuracy, seed) => ({
        method,
        dataset,
        seed,
        accuracy,
        trainable: 1290,
        total: 1_203_456,
        peakBytes: 88e6,
        seconds: 3.1,
        lr: 0.003,
        epochs: 8,
        ...run,
      })),
    ),
    ...more,
  }
}

const lora = { trainable: 25_866, total: 1_228_032, peakBytes: 171e6, seconds: 8.25, lr: 0.01 }
const full = { trainable: 1_203_456, peakBytes: 1.46e9, seconds: 132, lr: 0.001 }
const curve = (to: number) => [1, 2, 3].map((epoch) => ({ epoch, loss: 2 / epoch, accuracy: (to * epoch) / 3 }))
const sample = experiment([
  { method: 'linear', dataset: 'digits', accuracies: [0.387, 0.391, 0.383], more: { curve: curve(0.4) } },
  { method: 'linear', dataset: 'fashion', accuracies: [0.712, 0.7, 0.706] },
  { method: 'lora', dataset: 'digits', accuracies: [0.532, 0.54, 0.521], more: { ...lora, curve: curve(0.5) } },
  { method: 'lora', dataset: 'fashion', accuracies: [0.758, 0.751, 0.76], more: lora },
  { method: 'full', dataset: 'digits', accuracies: [0.527, 0.5, 0.51], more: full },
  { method: 'full', dataset: 'fashion', accuracies: [0.772, 0.77, 0.78], more: full },
])
const void_ = new Set(['meta', 'br'])

/** Tags that do not close in order, of HTML with quoted attributes. */
function unbalanced(html: string): string[] {
  const open: string[] = []
  const wrong: string[] = []
  const body = html.replace(/^<!doctype html>/, '').replace(/<style>[\s\S]*?<\/style>/, '<style></style>')
  const tag = /<(\/?)([a-zA-Z][\w:-]*)((?:\s+[\w:-]+(?:="[^"<]*")?)*)\s*(\/?)>/g
  for (const [, end, name, , self] of body.matchAll(tag)) {
    if (end) {
      const last = open.pop()
      if (last !== name) wrong.push(`</${name}> closes <${last}>`)
    } else if (!self && !void_.has(name!)) open.push(name!)
  }
  const left = body.replace(tag, '').match(/[<>]/g) ?? []
  return [...wrong, ...open.map((name) => `<${name}> stays open`), ...left]
}

/** Characters that move a cursor or turn the direction of reading. */
const controls = (text: string) => [...text].filter((c) => (c < ' ' && c !== '\n') || c === '\u202e')

const rowsOf = (html: string) =>
  [...html.matchAll(/<tr[^>]*>([\s\S]*?)<\/tr>/g)].map(([, row]) =>
    [...row!.matchAll(/<t[hd][^>]*>([\s\S]*?)<\/t[hd]>/g)].map(([, cell]) => cell!.replace(/<[^>]+>/g, '')),
  )

test('a page is one well-formed file that loads nothing and runs nothing', async () => {
  const html = await renderReport(sample)
  assert.equal(unbalanced(html), [])
  assert.not.match(html, /https?:|<script|<link|<img|<iframe|<image|@import|url\(|\s(src|href|xlink:href|on\w+)=/i)
  assert.ok(html.startsWith('<!doctype html>'))
  const ids = [...html.matchAll(/\sid="([^"]+)"/g)].map((m) => m[1])
  assert.is(new Set(ids).size, ids.length)
})

test('the three pictures are there for a desk and for a phone, each with its numbers as a text alternative', async () => {
  const html = await renderReport(sample)
  const pictures = [
    ...html.matchAll(
      /<svg class="(wide|narrow)"[^>]*role="img"[^>]*><title[^>]*>(.*?)<\/title><desc[^>]*>(.*?)<\/desc>/g,
    ),
  ]
  assert.equal(
    pictures.map((m) => `${m[1]} ${m[2]}`),
    ['Average accuracy by method', 'Accuracy by data set', 'Memory against accuracy'].flatMap((t) => [
      `wide ${t}`,
      `narrow ${t}`,
    ]),
  )
  assert.match(pictures[0]![3]!, 'LoRA 64.4 ±')
  assert.match(pictures[4]![3]!, 'Full: 1.46 GB, 64.3 %, 1,203,456 trainable parameters.')
})

test('the tables hold the numbers that came in', async () => {
  const rows = rowsOf(await renderReport(sample))
  const find = (...cells: string[]) => rows.find((row) => cells.every((cell, i) => row[i] === cell))
  assert.ok(find('Linear', '38.7 ± 0.4 %', '1,290 (0.1 %)', '88 MB', '3.1 s'), 'linear on digits')
  assert.ok(find('Full', '77.4 ± 0.5 %', '1,203,456 (100 %)', '1.46 GB', '2 min 12 s'), 'full on fashion')
  assert.ok(find('LoRA', '0.01', '8'), 'learning rate')
  for (const run of sample.runs) {
    const name = { linear: 'Linear', lora: 'LoRA', full: 'Full' }[run.method]!
    const found = find(name, run.dataset, String(run.seed), `${(100 * run.accuracy).toFixed(2)} %`)
    assert.is(found?.[4], run.trainable.toLocaleString('en-US'))
  }
})

test('the conditions hold model, data, machine, time and the command', async () => {
  const html = await renderReport(sample)
  for (const text of ['tiny, 1,203,456 parameters. Made here.', 'digits source', 'two cores', '2026-11-22 12:30 UTC']) {
    assert.ok(html.includes(text), text)
  }
  assert.ok(html.includes('<code>npm start -- --seeds 3</code>'))
})

test('names with markup, quotes and control characters are shown, not obeyed', async () => {
  const evil = '</title></svg><script>alert(1)</script>" onload="x" \'&amp;\u001b[31m\u202e'
  const html = await renderReport(
    experiment(
      [
        { method: evil, dataset: evil, accuracies: [0.5], more: { curve: curve(0.5) } },
        { method: '__proto__', dataset: evil, accuracies: [0.4] },
        { method: 'constructor', dataset: evil, accuracies: [0.3] },
      ],
      {
        title: evil,
        command: evil,
        created: evil,
        machine: { [evil]: evil },
        model: { name: evil, parameters: 1, source: evil },
      },
    ),
  )
  assert.equal(unbalanced(html), [])
  assert.not.match(html, /<script|<[^>]*\sonload=/)
  assert.equal(controls(html), [])
  assert.match(html, '&lt;/title&gt;&lt;/svg&gt;&lt;script&gt;')
  const table = renderTable(experiment([{ method: evil, dataset: evil, accuracies: [0.5] }]))
  assert.equal(controls(table), [])
})

test('curves are drawn where runs have them and left out where none has', async () => {
  assert.match(await renderReport(sample), 'Training loss by epoch on digits')
  assert.not.match(await renderReport(sample), 'Training loss by epoch on fashion')
  assert.not.match(
    await renderReport(experiment([{ method: 'lora', dataset: 'digits', accuracies: [0.5] }])),
    'by epoch',
  )
})

test('a method is averaged over data sets, its spread is the deviation of the seeds, memory is the largest', () => {
  const [linear, , all] = summarise(sample)
  assert.is(linear!.score.toFixed(6), ((0.387 + 0.712 + 0.391 + 0.7 + 0.383 + 0.706) / 6).toFixed(6))
  const means = [(0.387 + 0.712) / 2, (0.391 + 0.7) / 2, (0.383 + 0.706) / 2]
  const centre = (means[0]! + means[1]! + means[2]!) / 3
  const expected = Math.sqrt(means.reduce((sum, m) => sum + (m - centre) ** 2, 0) / 2)
  assert.ok(Math.abs(linear!.spread! - expected) < 1e-12)
  assert.is(all!.peakBytes, 1.46e9)
  const single = summarise(experiment([{ method: 'lora', dataset: 'digits', accuracies: [0.5] }]))
  assert.is(single[0]!.spread, undefined)
})

test('data sets count the same however many seeds each has, and only complete seeds make the spread', () => {
  const [only] = summarise(
    experiment([
      { method: 'lora', dataset: 'a', accuracies: [0.2, 0.2, 0.2] },
      { method: 'lora', dataset: 'b', accuracies: [0.8] },
    ]),
  )
  assert.is(only!.score, 0.5)
  assert.is(only!.spread, undefined)
})

const two = (a: number[], b: number[], names = ['lora', 'full']) =>
  summaryWords(
    experiment([
      { method: names[0]!, dataset: 'digits', accuracies: a, more: lora },
      { method: names[1]!, dataset: 'digits', accuracies: b, more: full },
    ]),
  ).join('\n')

test('the summary follows the numbers: opposite results give opposite sentences', () => {
  const won = two([0.6, 0.602], [0.5, 0.502])
  assert.match(won, /^On digits, LoRA was the most accurate \(60\.1 ± 0\.1 %/)
  assert.match(won, 'Full came next with 50.1 ± 0.1 %, 10.0 points behind, which is more than their spread.')
  assert.match(
    won,
    'LoRA trained 2.1 % of its parameters (25,866 of 1,228,032) and was 10.0 points more accurate, at 88 % less peak memory.',
  )
  const lost = two([0.5, 0.502], [0.6, 0.602])
  assert.match(lost, /^On digits, Full was the most accurate/)
  assert.match(lost, 'and was 10.0 points less accurate, at 88 % less peak memory.')
  const helped = two([0.6, 0.602], [0.2, 0.202], ['lora', 'scratch'])
  assert.match(helped, 'Pre-training was worth 40.0 points')
  const harmed = two([0.2, 0.202], [0.6, 0.602], ['lora', 'scratch'])
  assert.match(harmed, 'Pre-training did not help here')
})

test('the share of parameters that train has one basis in words and tables: all there are, the adapter among them', () => {
  const dora = { ...lora, trainable: 27_402, total: 1_229_568 }
  const result = experiment([
    { method: 'dora', dataset: 'digits', accuracies: [0.6], more: dora },
    { method: 'full', dataset: 'digits', accuracies: [0.5], more: full },
  ])
  // Of full's parameters alone it would be 2.3 %.
  assert.match(summaryWords(result).join('\n'), 'DoRA trained 2.2 % of its parameters (27,402 of 1,229,568) and')
  assert.match(renderTable(result), '27,402 (2.2 %)')
})

test('pre-training is judged by full training alone where both are there, and equal costs are told of all', () => {
  const words = summaryWords(
    experiment([
      { method: 'lora', dataset: 'digits', accuracies: [0.7], more: lora },
      { method: 'full', dataset: 'digits', accuracies: [0.6], more: full },
      { method: 'scratch', dataset: 'digits', accuracies: [0.2], more: full },
    ]),
  ).join('\n')
  assert.match(words, 'Pre-training was worth 40.0 points: Full from the pre-trained weights reached 60.0 %')
  assert.match(words, 'Peak memory went from 171 MB (LoRA) to 1.46 GB (Full and From scratch), the mean time')
})

test('a gap within the spread, or with one seed, is called what it is', () => {
  assert.match(
    two([0.6, 0.64], [0.59, 0.63]),
    'a gap of 1.0 points is within their spread, so these runs do not tell the two apart.',
  )
  assert.match(two([0.6], [0.59]), 'with one seed there is no spread, and a small gap may be chance.')
  assert.match(two([0.6], [0.6]), 'LoRA and Full were equally accurate (60.0 %).')
  assert.match(two([0.3, 0.33], [0.31, 0.32], ['lora', 'scratch']), 'Pre-training made no clear difference')
})

test('no better than guessing, and runs that are missing, are said', () => {
  assert.match(two([0.1], [0.5]), 'Guessing a class at random would give 10.0 %. LoRA did not do better than that.')
  assert.not.match(two([0.4], [0.5]), 'did not do better')
  assert.match(two([0.4, 0.5], [0.5]), 'Only 3 of 4 runs are here')
  const words = summaryWords(sample).join('\n')
  assert.match(
    words,
    'Which method was ahead depends on the data set: LoRA on digits (53.1 ± 1.0 %) and Full on fashion (77.4 ± 0.5 %).',
  )
})

test('the terminal table has a block a data set and the average, and colour only where asked', () => {
  const lines = renderTable(sample).split('\n')
  assert.match(lines[0]!, /^ +accuracy +trainable parameters +peak memory +time a run$/)
  assert.equal(
    lines.filter((line) => /^\S/.test(line)),
    ['digits', 'fashion', 'average of 2 data sets'],
  )
  assert.match(lines[3]!, /^ {2}LoRA +53\.1 ± 1\.0 % +25,866 \(2\.1 %\) +171 MB +8\.3 s$/)
  assert.ok(lines.every((line) => line.length <= 80))
  assert.equal(controls(lines.join('')), [])
  const colored = renderTable(sample, { color: true }).split('\n')
  assert.ok(colored[3]!.startsWith('\u001b[1m  LoRA ') && colored[3]!.endsWith('\u001b[0m'))
  assert.equal(
    colored.map((line) => stripVTControlCharacters(line)),
    lines,
  )
})

/** Three data sets, two of them judged alike; the third by another metric, higher where accuracy is lower. */
const mixed = (() => {
  const result = experiment([
    { method: 'linear', dataset: 'digits', accuracies: [0.4, 0.42], more: { metrics: { f1: 0.39 } } },
    { method: 'linear', dataset: 'fashion', accuracies: [0.6, 0.62], more: { metrics: { f1: 0.59 } } },
    { method: 'linear', dataset: 'tags', accuracies: [0.95, 0.95], more: { metrics: { map: 0.31, f1: 0.2 } } },
    { method: 'full', dataset: 'digits', accuracies: [0.5, 0.52], more: { ...full, metrics: { f1: 0.49 } } },
    { method: 'full', dataset: 'fashion', accuracies: [0.7, 0.72], more: { ...full, metrics: { f1: 0.69 } } },
    { method: 'full', dataset: 'tags', accuracies: [0.9, 0.9], more: { ...full, metrics: { map: 0.271, f1: 0.3 } } },
    { method: 'scratch', dataset: 'tags', accuracies: [0.9, 0.9], more: { ...full, metrics: { map: 0.1, f1: 0.1 } } },
  ])
  const kinds = {
    tags: { task: 'any number of labels', metrics: ['map', 'f1'] },
    other: { task: 'one class an image', metrics: ['accuracy', 'f1'], chance: 0.1 },
  }
  const datasets = result.datasets.map((data) => ({ ...data, ...(data.name === 'tags' ? kinds.tags : kinds.other) }))
  return { ...result, datasets }
})()

test('data sets are averaged only with those that are judged by the same metrics of the same task', () => {
  assert.throws(() => summarise(mixed), /must be judged alike, got accuracy and map of different tasks/)
  assert.is(summarise(mixed, 'tags')[0]!.score, 0.31)
  assert.is(summarise(mixed, ['digits', 'fashion'])[1]!.score.toFixed(6), '0.610000')
  const lines = renderTable(mixed).split('\n')
  assert.match(lines[0]!, /^ +trainable +memory +time a run$/)
  assert.equal(
    lines.filter((line) => /^\S/.test(line)).map((line) => line.replace(/ {2,}/g, ' | ')),
    ['digits', 'fashion', 'average of 2 data sets'].map((name) => `${name} | accuracy | F1`).concat('tags | mAP | F1'),
  )
  assert.match(lines.find((line) => line.startsWith('average'))!, /accuracy/)
  assert.match(lines.at(-3)!, /^ {2}Linear +31\.0 ± 0\.0 % +20\.0 % +1,290 \(0\.1 %\) +88 MB +3\.1 s$/)
  assert.ok(lines.every((line) => line.length <= 80))
  const colored = renderTable(mixed, { color: true }).split('\n')
  // By the metric of the task, though its accuracy is not why.
  assert.ok(colored.at(-3)!.startsWith('\u001b[1m  Linear '))
})

test('a page of several tasks has a pair of pictures for each, says what its scores are and mixes none', async () => {
  const html = await renderReport(mixed)
  assert.equal(unbalanced(html), [])
  for (const title of ['digits and fashion: one class an image', 'tags: any number of labels']) {
    assert.ok(html.includes(`<h2>${title}</h2>`), title)
  }
  const drawn = [...html.matchAll(/<svg class="half"[^>]*><title[^>]*>(.*?)<\/title><desc[^>]*>(.*?)<\/desc>/g)]
  assert.equal(
    drawn.map((m) => m[1]),
    [
      'Accuracy by method on digits and fashion',
      'Memory against accuracy on digits and fashion',
      'mAP by method on tags',
      'Memory against mAP on tags',
    ],
  )
  assert.is(drawn[2]![2], 'Linear 31.0 ± 0.0 %; Full 27.1 ± 0.0 %; From scratch 10.0 ± 0.0 %.')
  // Where guessing is no class of so many, nothing is said of it.
  assert.is(html.match(/>guessing 10\.0 %</g)?.length, 1)
  const rows = rowsOf(html)
  assert.ok(rows.some((row) => row.join() === 'tags,mAP,F1,'))
  assert.ok(rows.some((row) => row.slice(0, 4).join() === 'Full,tags,0,mAP 27.10 %'))
  assert.match(html, 'mAP is the average precision, averaged over labels.')
  const words = summaryWords(mixed)
  assert.is(
    words[0],
    'Which method was ahead depends on the task: Full on digits and fashion (accuracy 61.0 ± 1.4 %) and Linear on tags (mAP 31.0 ± 0.0 %).',
  )
  assert.match(words.join('\n'), 'Linear on tags (0.1 % of the parameters, 3.9 points higher, 94 % less peak memory).')
  assert.match(words.join('\n'), 'the same model from scratch: on tags 27.1 ± 0.0 % against 10.0 ± 0.0 %.')
  assert.match(words.join('\n'), 'Scores of different tasks are not comparable, so there is no average over them.')
  assert.not.match(words.join('\n'), 'Guessing')
  const alone = summaryWords({
    ...mixed,
    datasets: mixed.datasets.filter(({ name }) => name === 'tags'),
    runs: mixed.runs.filter(({ dataset }) => dataset === 'tags'),
  }).join('\n')
  assert.match(alone, /^On tags, Linear had the highest mAP \(31\.0 ± 0\.0 %/)
  assert.match(alone, 'and was 3.9 points higher, at 94 % less peak memory.')
  assert.not.match(alone, /accura|Guessing/)
})

test('a result that cannot be reported is refused with the run at fault', async () => {
  const fails = async (result: ExperimentResult, message: RegExp) => {
    const error = await renderReport(result).then(
      () => undefined,
      (e: Error) => e,
    )
    assert.match(String(error?.message), message)
  }
  await fails({ ...sample, runs: [] }, /at least one run, got 0/)
  await fails({ ...sample, methods: ['linear'] }, /must be listed, got lora, digits, seed 0/)
  await fails({ ...sample, runs: [...sample.runs, sample.runs[0]!] }, /one run each, got linear, digits, seed 0 twice/)
  await fails({ ...sample, runs: [{ ...sample.runs[0]!, accuracy: Number.NaN }] }, /accuracy must be 0 to 1, got NaN/)
  await fails({ ...mixed, runs: mixed.runs.map(({ metrics: _, ...run }) => run) }, /f1 must be 0 to 1, got NaN/)
  await fails({ ...sample, runs: [{ ...sample.runs[0]!, peakBytes: -1 }] }, /peakBytes must be a number from 0, got -1/)
})

test.run()
