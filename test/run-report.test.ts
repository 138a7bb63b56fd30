// The page of a run: HTML that stands alone, with what the run folder holds; names of strangers are shown, not obeyed.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readRunResult, renderRunReport } from 'vitune/report'
import { refusal as cliRefusal, output } from './cli-tools.ts'
import { refusal } from './refusal.ts'

const folder = mkdtempSync(join(tmpdir(), 'vitune-report-'))
test.after(() => rmSync(folder, { recursive: true }))

const row = (label: string, f1: number) => ({ label, positives: 5, known: 10, precision: f1, recall: f1, f1 })
const usual = {
  vitune: '0.0.0',
  created: '2026-11-30T12:00:00Z',
  method: 'lora',
  model: '/models/tiny-vit',
  classes: ['ant', 'bee'],
  settings: { data: '/data/insects', epochs: 3, batchSize: 8, peft: 'lora', lr: 0.0123, augment: true },
  reasons: { epochs: 'few images' },
  rates: { rates: [1e-5, 1e-4, 1e-3, 1e-2], losses: [0.7, 0.69, 0.6, 0.9], window: 5, chosen: 0.0123 },
  byLabel: [row('ant', 0.75), row('bee', 0.5)],
  images: { train: 16, val: 4 },
  trainable: 100,
  total: 10_000,
  seconds: 75,
  peakBytes: 1.2e8,
  device: 'wasm',
  threads: 2,
  versions: { cpu: 'two cores' },
  finished: true,
  ended: 'epochs',
  skippedImages: [{ file: 'ant/broken.png', reason: 'cut off' }],
  duplicates: 1,
  notes: ['relaxed SIMD is not known to this engine'],
}
const accuracies = [0.5, 0.75, 0.75]
const lines = accuracies.flatMap((accuracy, i) => [
  { step: 2 * i + 1, epoch: i + 1, loss: 0.7 - 0.1 * i, lr: 0.0123 },
  { step: 2 * i + 2, epoch: i + 1, loss: 0.65 - 0.1 * i, lr: 0.0123 },
  ...[
    {
      step: 2 * i + 2,
      epoch: i + 1,
      train_loss: 0.68 - 0.1 * i,
      train_accuracy: 0.6,
      val_loss: 0.6,
      val_accuracy: accuracy,
    },
  ],
])

let made = 0
function runFolder(
  changes: Record<string, unknown> = {},
  metrics = lines.map((line) => JSON.stringify(line)).join('\n'),
) {
  const at = join(folder, `run-${made++}`)
  mkdirSync(at)
  writeFileSync(join(at, 'run.json'), JSON.stringify({ ...usual, ...changes }))
  writeFileSync(join(at, 'metrics.jsonl'), `${metrics}\n`)
  return at
}
const page = async (...folders: string[]) => renderRunReport(await Promise.all(folders.map(readRunResult)))
const text = (html: string) =>
  html.replace(/<style>[\s\S]*?<\/style>|<svg[\s\S]*?<\/svg>/g, '').replace(/<[^>]+>/g, ' ')

test('among epochs of equal metric the best is that of the lowest loss, as training kept it', async () => {
  const last = lines.map((line) =>
    JSON.stringify('val_loss' in line && line.epoch === 3 ? { ...line, val_loss: 0.5 } : line),
  )
  assert.match(text(await page(runFolder({}, last.join('\n')))), 'The best accuracy is 75.0 %, in epoch 3;')
})

test('a page of a run loads nothing and has its score, curves, labels, settings with their source and broken images', async () => {
  const html = await page(runFolder())
  assert.not.match(html, /https?:|<script|<link|<img|@import|url\(|\s(src|href|on\w+)=/i)
  for (const said of [
    'The best accuracy is 75.0 %, in epoch 2; 3 epochs were trained.',
    'LoRA trained 1.0 % of its 10,000 parameters and took 75 s and 120 MB of tensor memory.',
    'A range test found the learning rate 0.0123: 4 rates were tried.',
    '1 image could not be read and was left out.',
    '1 validation image is trained on too, which flatters the scores.',
    'ant/broken.png',
    '<li>relaxed SIMD is not known to this engine</li>',
  ])
    assert.ok(html.includes(said), said)
  const charts = [...html.matchAll(/<svg class="curve"[^>]*role="img"[^>]*><title[^>]*>(.*?)<\/title>/g)].map(
    (m) => m[1],
  )
  assert.equal(charts, ['Loss', 'Accuracy', 'Learning rate', 'Range test'])
  const cells = text(html).replace(/\s+/g, ' ')
  assert.match(cells, 'epochs 3 recipe: few images')
  assert.match(cells, 'lr 0.0123 range test')
  assert.match(cells, 'batchSize 8 given')
  assert.match(cells, 'ant 5 75.0 % 75.0 % 75.0 % bee 5 50.0 % 50.0 % 50.0 %')
  const ids = [...html.matchAll(/\sid="([^"]+)"/g)].map((m) => m[1])
  assert.is(new Set(ids).size, ids.length)
})

test('a run that has not ended, has no validation data or lost lines is told as it is', async () => {
  const cut = `${JSON.stringify({ step: 1, epoch: 1, loss: 0.7, lr: 0.01 })}\n{"step":2,"ep`
  const html = await page(runFolder({ finished: false, rates: undefined, byLabel: undefined, reasons: undefined }, cut))
  assert.match(html, 'No epoch was measured on validation images; 0 epochs of 3 were trained.')
  assert.match(html, 'It has not ended; train --resume goes on with it.')
  assert.match(html, '1 line of metrics.jsonl is no line of a run and not shown.')
  assert.not.match(html, /Range test|Results by label/)
})

test('several runs stand beside each other, those judged alike in one chart', async () => {
  const html = await page(
    runFolder(),
    runFolder({ method: 'full' }),
    runFolder({ settings: { ...usual.settings, monitor: 'loss' } }),
  )
  assert.match(html, '<title>3 runs</title>')
  assert.match(html, 'Accuracy by epoch on validation images')
  assert.match(html, 'Loss by epoch on validation images')
})

test('names with markup are shown, not obeyed', async () => {
  const evil = '</title></svg><script>alert(1)</script>" onload="x" \u202e'
  const html = await page(
    runFolder({
      model: evil,
      settings: { ...usual.settings, data: evil, [evil]: evil },
      reasons: { epochs: evil },
      byLabel: [row(evil, 1)],
      skippedImages: [{ file: evil, reason: evil }],
      changes: [{ step: 1, what: evil }],
      versions: { [evil]: evil },
    }),
  )
  assert.not.match(html, /<script|<[^>]*\sonload=|\u202e/)
})

test('vitune report writes report.html into the run, asks for a place for several, and costs no other file', async () => {
  const [one, two] = [runFolder(), runFolder()]
  assert.match(await output('report', one), /report\.html\n$/)
  assert.match(readFileSync(join(one, 'report.html'), 'utf8'), '<h1>LoRA on tiny-vit</h1>')
  assert.match(await cliRefusal('report', one, two), /^--out: is needed for 2 runs/)
  const kept = join(one, 'run.json')
  assert.match(await cliRefusal('report', one, '--out', kept), /^--out: must end in \.html/)
  assert.match(readFileSync(kept, 'utf8'), '"method"')
  for (const none of [undefined, null, NaN, '']) {
    assert.match(await refusal(readRunResult(none as string)), /^run: must be the folder of a run, got /)
  }
  assert.match(await refusal(readRunResult(runFolder({ rates: 3 }))), /rates must be an object/)
  assert.match(await refusal(readRunResult(runFolder({ settings: { monitor: 'beauty' } }))), /monitor: must be one of/)
})

test.run()
