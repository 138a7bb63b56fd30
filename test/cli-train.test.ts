// vitune train, run as a program: what it leaves behind, what it says, how it stops and goes on, what it refuses.
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { images, model, output, picture, refusal, start, temporary, until, vitune } from './cli-tools.ts'

const { folder, clean } = temporary()
test.after(clean)

const data = await images(join(folder, 'data'), 6)
let places = 0
/** A run folder that is not there yet. */
const fresh = () => join(folder, `run-${places++}`)
const json = (path: string) => JSON.parse(readFileSync(path, 'utf8'))
const lines = (text: string) =>
  text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
const metrics = (run: string) => lines(readFileSync(join(run, 'metrics.jsonl'), 'utf8'))
const basics = [
  ...['--data', data, '--model', model, '--threads', '1', '--epochs', '2', '--batch-size', '8'],
  ...['--schedule', 'constant', '--warmup', '0'],
]

for (const method of ['full', 'linear', 'lora', 'dora']) {
  test(`--peft ${method} leaves its weights, metrics and a record, and says what was reached`, async () => {
    const run = fresh()
    const { code, out, err } = await vitune('train', ...basics, '--peft', method, '--out', run, '--seed', '5')
    assert.is(code, 0, err)
    const adapted = method === 'lora' || method === 'dora'
    const weights = adapted
      ? ['adapter_config.json', 'adapter_model.safetensors']
      : ['config.json', 'model.safetensors']
    for (const name of [...weights, 'checkpoint.safetensors']) assert.ok(existsSync(join(run, name)), name)
    if (adapted) {
      const config = json(join(run, 'adapter_config.json'))
      assert.equal([config.peft_type, config.use_dora, config.r], ['LORA', method === 'dora', 8])
    }

    const record = metrics(run)
    const epochs = record.filter((line) => 'val_accuracy' in line)
    const steps = record.filter((line) => !('val_accuracy' in line))
    // 15 images in batches of 8, twice.
    assert.equal(
      steps.map((line) => [line.step, line.epoch]),
      [
        [1, 1],
        [2, 1],
        [3, 2],
        [4, 2],
      ],
    )
    // The rates of a small model in few epochs.
    const lr = method === 'full' ? 5e-4 : 5e-3
    for (const line of steps) assert.ok(line.loss > 0 && line.lr === lr)
    assert.equal(
      epochs.map((line) => [line.step, line.epoch]),
      [
        [2, 1],
        [4, 2],
      ],
    )
    for (const line of epochs) assert.ok(line.val_loss > 0 && line.val_accuracy >= 0 && line.val_accuracy <= 1)

    const run1 = json(join(run, 'run.json'))
    assert.equal([run1.method, run1.model, run1.seed, run1.finished], [method, model, 5, true])
    assert.equal(run1.classes, ['blue', 'green', 'red'])
    assert.equal([run1.settings.epochs, run1.settings.batchSize, run1.settings.data], [2, 8, data])
    assert.equal(run1.images, { train: 15, val: 3 })
    assert.ok(run1.peakBytes > 0 && run1.seconds > 0 && run1.trainable > 0 && run1.total > run1.trainable - 1)
    assert.is(run1.trainable === run1.total, method === 'full')
    assert.ok(run1.vitune && run1.versions.runtime === 'node')

    assert.match(out, new RegExp(`^method +${method} on `))
    assert.match(out, /best accuracy +[\d.]+ % in epoch \d of 2/)
    assert.match(out, /\nfiles +.*metrics\.jsonl, .*run\.json/)
    assert.match(out, /Next:\n {2}vitune test --run /)
    assert.is(/vitune merge/.test(out), adapted)
    assert.match(err, /15 images to train, 3 images to validate/)
    assert.is(err.match(/^epoch \d\/2 .*val accuracy/gm)?.length, 2, 'one line an epoch where there is no terminal')
    assert.not.ok(['\r', '\x1b'].some((c) => (out + err).includes(c)))
  })
}

test('--json prints each event as a line of JSON', async () => {
  const { code, out, err } = await vitune('train', ...basics, '--out', fresh(), '--json')
  assert.is(code, 0, err)
  const kinds = lines(out).map((event) => event.kind)
  assert.equal(kinds, ['start', 'step', 'step', 'epoch', 'step', 'step', 'epoch', 'done'])
})

test('flags reach the training: methods, lists, patterns, switches and numbers', async () => {
  const settingsOf = async (...flags: string[]) => {
    const run = fresh()
    await output('train', ...basics, '--epochs', '1', '--out', run, ...flags)
    return { run, ...json(join(run, 'run.json')) }
  }
  const listed = await settingsOf(
    ...['--targets', 'query, key', '--rank', '2', '--alpha', '4', '--lora-dropout', '0.1', '--rslora', '--bias', 'all'],
    ...['--no-augment', '--no-shuffle', '--schedule', 'cosine', '--warmup', '2', '--clip', '1', '--accumulate', '2'],
  )
  const config = json(join(listed.run, 'adapter_config.json'))
  assert.equal([config.target_modules.sort(), config.r, config.lora_alpha], [['key', 'query'], 2, 4])
  assert.equal([config.lora_dropout, config.use_rslora, config.bias], [0.1, true, 'all'])
  const { augment, shuffle, schedule, warmup, clip, accumulate } = listed.settings
  assert.equal(
    { augment, shuffle, schedule, warmup, clip, accumulate },
    {
      augment: false,
      shuffle: false,
      schedule: 'cosine',
      warmup: 2,
      clip: 1,
      accumulate: 2,
    },
  )
  const pattern = await settingsOf(
    '--targets',
    '.*layer\\.1\\..*(query|dense)',
    '--optimizer',
    'sgd',
    '--patience',
    '3',
  )
  assert.is(json(join(pattern.run, 'adapter_config.json')).target_modules, '.*layer\\.1\\..*(query|dense)')
  assert.equal([pattern.settings.optimizer, pattern.settings.patience], ['sgd', 3])
  const all = await settingsOf(
    '--targets',
    'all-linear',
    '--input-size',
    '24',
    '--dropout',
    '0.1',
    '--drop-path',
    '0.1',
  )
  assert.ok(json(join(all.run, 'adapter_config.json')).target_modules.length >= 6)
  assert.equal([all.settings.inputSize, all.settings.dropout, all.settings.dropPath], [24, 0.1, 0.1])
  const more = await settingsOf(
    '--checkpointing',
    '--patch-keep',
    '0.5',
    '--label-smoothing',
    '0.1',
    '--weight-decay',
    '0',
  )
  const { checkpointing, patchKeep, labelSmoothing, weightDecay } = more.settings
  assert.equal([checkpointing, patchKeep, labelSmoothing, weightDecay], [true, 0.5, 0.1, 0])
})

test('without shuffling and augmentation, classes come by name and files by name within a class', async () => {
  // Written in another order than their names have.
  const ordered = await images(join(folder, 'ordered'), 3, ['green', 'blue'])
  const val = await images(join(folder, 'ordered-val'), 1, ['green', 'blue'])
  const losses = async (...flags: string[]) => {
    const out = fresh()
    const args = ['--data', ordered, '--val', val, '--model', model, '--epochs', '1', '--batch-size', '1', '--out', out]
    await output('train', ...args, '--no-augment', ...flags)
    return metrics(out)
      .slice(0, 6)
      .map((line) => line.loss)
  }
  const before = await losses('--no-shuffle')
  const firstChange = async (file: string) => {
    const path = join(ordered, file)
    const kept = readFileSync(path)
    await picture('grey', 1).toFile(path)
    const after = await losses('--no-shuffle')
    writeFileSync(path, kept)
    return after.findIndex((loss, i) => loss !== before[i])
  }
  assert.is(await firstChange('blue/0.png'), 0)
  assert.is(await firstChange('blue/2.png'), 2)
  assert.is(await firstChange('green/0.png'), 3)
  assert.is(await firstChange('green/1.jpg'), 4)
  assert.equal(await losses('--no-shuffle'), before)
  assert.not.equal(await losses(), before)
})

test('--adapter goes on from an adapter, with its own method, rank and classifier', async () => {
  const first = fresh()
  await output(
    'train',
    ...basics,
    '--peft',
    'dora',
    '--rank',
    '3',
    '--targets',
    'key',
    '--epochs',
    '6',
    '--lr',
    '0.01',
    '--out',
    first,
  )
  const second = fresh()
  await output('train', ...basics, '--adapter', first, '--epochs', '1', '--lr', '1e-9', '--out', second)
  const config = json(join(second, 'adapter_config.json'))
  assert.equal([config.r, config.target_modules, config.use_dora], [3, ['key'], true])
  assert.is(json(join(second, 'run.json')).method, 'dora')
  // At a rate of nearly nothing it is as good as the first was when it was best.
  const best = (run: string) => json(join(run, 'run.json')).accuracy
  assert.is(best(second), best(first))
  assert.ok(best(first) > 0.6)
})

test('Ctrl-C saves and says how to go on; the resumed run ends with the bytes of an uninterrupted one', async () => {
  const flags = [
    '--data',
    data,
    '--model',
    model,
    '--batch-size',
    '4',
    '--epochs',
    '40',
    '--dropout',
    '0.1',
    '--threads',
    '1',
  ]
  const whole = fresh()
  await output('train', ...flags, '--out', whole)
  const parts = fresh()
  const { child, ended } = start(['train', ...flags, '--out', parts, '--json'])
  await until(child, 'stdout', /"step":6,/)
  child.kill('SIGINT')
  const { code, out, err } = await ended
  assert.is(code, 130, err)
  assert.is(lines(out).at(-1).ended, 'signal')
  assert.match(
    err,
    new RegExp(`stopped after step \\d+, all saved; continue with: vitune train --resume --out ${parts}\n$`),
  )
  assert.is(json(join(parts, 'run.json')).finished, false)

  const { out: summary, err: progress } = await vitune('train', '--resume', '--out', parts)
  assert.match(progress, /continues after step \d+/)
  assert.match(summary, /best accuracy/)
  for (const name of ['adapter_model.safetensors', 'adapter_config.json', 'metrics.jsonl', 'checkpoint.safetensors']) {
    assert.ok(readFileSync(join(whole, name)).equals(readFileSync(join(parts, name))), name)
  }
  assert.is(json(join(parts, 'run.json')).finished, true)
})

test('SIGTERM ends with 143; a second signal ends at once, without waiting for the step', async () => {
  const run = fresh()
  // 1025 tokens an image make a step last long enough to be interrupted twice.
  const slow = [
    '--data',
    data,
    '--model',
    model,
    '--input-size',
    '128',
    '--batch-size',
    '16',
    '--threads',
    '2',
    '--epochs',
    '9',
  ]
  const { child, ended } = start(['train', ...slow, '--out', run, '--json'])
  await until(child, 'stdout', /"kind":"step"/)
  child.kill('SIGTERM')
  await until(child, 'stderr', /stopping after this step/)
  child.kill('SIGTERM')
  const { code, out } = await ended
  assert.is(code, 143)
  assert.not.match(out, /"kind":"done"/)
})

test('a reader that goes away (| head) stops the run, which stays resumable', async () => {
  const run = fresh()
  const { child, ended } = start(['train', ...basics, '--epochs', '400', '--json', '--out', run])
  await until(child, 'stdout', /"step":2,/)
  child.stdout!.destroy()
  const { code, err } = await ended
  assert.is(code, 141)
  assert.match(err, /all saved; continue with/)
  assert.not.match(err, /EPIPE|at .*:\d+:\d+/)
})

test('a broken image is skipped, named and counted; --strict ends at it with code 2', async () => {
  const some = join(folder, 'broken')
  cpSync(data, some, { recursive: true })
  const half = await picture('red', 1).jpeg().toBuffer()
  for (const name of ['a.png', 'b.jpg'])
    writeFileSync(join(some, 'red', name), name === 'a.png' ? 'text' : half.subarray(0, 200))
  const run = fresh()
  const args = ['--data', some, '--model', model, '--threads', '1', '--epochs', '2', '--seed', '1']
  const { code, out, err } = await vitune('train', ...args, '--out', run)
  assert.is(code, 0, err)
  assert.match(err, /^skipped \S+a\.png: .+$/m)
  assert.match(err, /^skipped 2 images that could not be read: .*(a\.png.*b\.jpg|b\.jpg.*a\.png)$/m)
  assert.match(out, /^skipped +2 images$/m)
  assert.is(json(join(run, 'run.json')).skippedImages.length, 2)
  const strict = await vitune('train', ...args, '--out', fresh(), '--strict')
  assert.is(strict.code, 2)
  assert.match(strict.err, /^vitune: \S+[ab]\.(png|jpg): cannot be decoded/m)
})

const bad: [string, (out: string) => string[], RegExp][] = [
  [
    'a data folder that is not there',
    () => ['--data', join(folder, 'nowhere'), '--model', model],
    /nowhere: must be a folder of images/,
  ],
  [
    'a folder without images',
    () => ['--data', makeFolder('empty', {}), '--model', model],
    /empty: has no images in class folders/,
  ],
  [
    'one class only',
    () => ['--data', makeFolder('one', { 'a/1.png': 'GIF89a' }), '--model', model],
    /needs at least two classes, got only "a"/,
  ],
  [
    'a model that is not there',
    () => ['--data', data, '--model', './no model'],
    /\.\/no model: no such folder, and not a model name/,
  ],
  [
    'a model folder without weights',
    () => ['--data', data, '--model', makeFolder('bare', { 'config.json': '{"model_type":"vit"}' })],
    /must have model\.safetensors/,
  ],
  ['a truncated checkpoint', () => ['--data', data, '--model', truncated()], /model\.safetensors/],
  ['an unreadable checkpoint', () => ['--data', data, '--model', damaged()], /model\.safetensors/],
  [
    'an adapter that is none',
    () => ['--data', data, '--model', model, '--adapter', data],
    /an adapter folder must have adapter_config\.json/,
  ],
  ['no data', () => ['--model', model], /^--data: is needed/],
  ['no model', () => ['--data', data], /^--model: is needed/],
  ['a wrong flag', () => ['--epoch', '3'], /^unknown option '--epoch'; did you mean --epochs\?$/],
  [
    'a number that is none',
    () => ['--data', data, '--model', model, '--lr', 'fast'],
    /^--lr: must be above 0, or auto, got fast$/,
  ],
  [
    'a number that makes no sense',
    () => ['--data', data, '--model', model, '--batch-size', '0'],
    /^--batch-size: must be a whole number from 1 to 1000000, got 0$/,
  ],
  ['an unknown method', () => ['--peft', 'prompt'], /^--peft: must be one of full, linear, lora, dora, got "prompt"$/],
  [
    'an unknown device',
    () => ['--device', 'gpu'],
    /^--device: must be one of auto, wasm, webgpu, reference, got "gpu"$/,
  ],
  [
    'too many threads',
    () => ['--data', data, '--model', model, '--threads', '999'],
    /^--threads: must be a whole number from 1 to/,
  ],
  ['targets that match nothing', () => ['--data', data, '--model', model, '--targets', 'qkv'], /^--targets: .*query/],
  [
    'an adapter flag without an adapter',
    () => ['--data', data, '--model', model, '--peft', 'full', '--rank', '4', '--rslora', '--transformers', '5'],
    /^--rank, --rslora, --transformers: for peft lora or dora only, got full$/,
  ],
  ['a resume without a run', () => ['--resume'], /must be a run folder that vitune train wrote/],
  ['one argument too many', () => ['extra'], /^too many arguments for 'train'/],
]
/** Starts one refusal after the other, two at a time, from the first time that one is asked for. */
const refusals: { out: string; message: Promise<string> }[] = []
function startRefusals(): void {
  const lanes: Promise<unknown>[] = [Promise.resolve(), Promise.resolve()]
  for (const [i, [, args]] of bad.entries()) {
    const out = fresh()
    const message = lanes[i % 2]!.then(() => refusal('train', ...args(out), '--out', out))
    lanes[i % 2] = message.catch(() => {})
    refusals.push({ out, message })
  }
}
for (const [i, [what, , expected]] of bad.entries()) {
  test(`${what}: one sentence, code 2, nothing written`, async () => {
    if (refusals.length === 0) startRefusals()
    const { out, message } = refusals[i]!
    assert.match(await message, expected)
    assert.not.ok(existsSync(out))
  })
}

function makeFolder(name: string, files: Record<string, string>): string {
  const place = join(folder, name)
  mkdirSync(place, { recursive: true })
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(join(place, file, '..'), { recursive: true })
    writeFileSync(join(place, file), text)
  }
  return place
}

function copyOfModel(name: string): string {
  const place = join(folder, name)
  cpSync(model, place, { recursive: true })
  return place
}

function truncated(): string {
  const place = copyOfModel('truncated')
  truncateSync(join(place, 'model.safetensors'), 50_000)
  return place
}

function damaged(): string {
  const place = copyOfModel('damaged')
  writeFileSync(join(place, 'model.safetensors'), 'not a safetensors file at all')
  return place
}

test('images of which not one can be decoded end the run with code 2', async () => {
  const files = ['a/1.png', 'a/2.png', 'b/1.png', 'b/2.png']
  for (const [content, expected] of [
    ['x', /^vitune: .*: no image of a, b can be read, 1\.png: it is text, no picture/m],
    ['GIF89a\x09\0\x09\0\0\0\0', /^vitune: images: not one of \d could be decoded, .*\.png: it is a broken GIF/m],
  ] as const) {
    const lies = makeFolder(`lies-${content.length}`, Object.fromEntries(files.map((name) => [name, content])))
    const { code, err } = await vitune('train', '--data', lies, '--model', model, '--out', fresh())
    assert.is(code, 2)
    assert.match(err, expected)
  }
})

test('an existing run, other settings on resume, and an unwritable place are refused and left as they were', async () => {
  const run = fresh()
  await output('train', ...basics, '--out', run)
  const before = readdirSync(run).map((name) => [name, readFileSync(join(run, name), 'hex')])
  assert.match(await refusal('train', ...basics, '--out', run), /^out: .* already holds \S+; continue it with resume/)
  assert.match(
    await refusal('train', '--resume', '--out', run, '--lr', '0.5'),
    /^resume: lr was 0\.00\d+ in this run and cannot become 0\.5/,
  )
  assert.match(await refusal('train', '--resume', '--out', run, '--augment', 'flip'), /^resume: augment was /)
  assert.equal(
    readdirSync(run).map((name) => [name, readFileSync(join(run, name), 'hex')]),
    before,
  )
  assert.match(await refusal('train', ...basics, '--out', join(data, 'red', '0.png')), /^out: must be a folder/)
  assert.match(await refusal('train', ...basics), /^--out: is needed/)

  await output('train', '--resume', '--out', run, '--epochs', '3', '--data', data, '--model', model)
  assert.is(metrics(run).at(-1).epoch, 3)
})

test('an unexpected error ends with code 1 and its message, and with its stack under VITUNE_DEBUG', async () => {
  // What no input does: the clock fails.
  const broken = encodeURIComponent('performance.now = () => { throw new Error("the clock stands still") }')
  const env = { NODE_OPTIONS: `--import data:text/javascript,${broken}` }
  const plain = await start(['train', ...basics, '--out', fresh()], { env }).ended
  assert.is(plain.code, 1)
  assert.match(plain.err, /^vitune: the clock stands still$/m)
  assert.not.match(plain.err, /\n\s+at /)
  const debugged = await start(['train', ...basics, '--out', fresh()], { env: { ...env, VITUNE_DEBUG: '1' } }).ended
  assert.match(debugged.err, /\n\s+at /)
})

test('training that diverges ends with code 2, the step, and what is kept, which is no NaN', async () => {
  const out = fresh()
  const ended = await vitune('train', ...basics, '--peft', 'full', '--lr', '1e30', '--epochs', '9', '--out', out)
  assert.is(ended.code, 2)
  assert.match(
    ended.err,
    /^vitune: training: .* (NaN|-?Infinity|NaN or infinite) in step \d+; lower the learning rate \(now 1e\+30\) or clip gradients, .*; (nothing was saved before|the state of step \d+ is kept)$/m,
  )
  assert.not.match(ended.err, /NaN.*best so far/)
})

test.run()
