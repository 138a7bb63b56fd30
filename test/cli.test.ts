// The verbs of vitune other than train, run as a program: results on standard output, notes on standard error, codes.
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { createBackend, decodeFile, type OpenModel, openModel, predict } from 'vitune'
import { evalTransform } from 'vitune/data'
import { disposeModule } from 'vitune/nn'
import { Rng } from 'vitune/tensor'
import { logitsOf } from 'vitune/train'
import { fixtures, images, model, output, picture, refusal, start, temporary, vitune } from './cli-tools.ts'
import { rewrite } from './small-vit.ts'

const { folder, clean } = temporary()
test.after(clean)

const data = await images(join(folder, 'data'), 6)
const run = join(folder, 'run')
const fast = ['--threads', '1']
// Long enough to tell the three colours apart.
await output('train', '--data', data, '--model', model, '--out', run, '--epochs', '12', '--lr', '0.01', ...fast)
const full = join(folder, 'full run')
await output('train', '--data', data, '--model', model, '--out', full, '--epochs', '2', '--peft', 'full', ...fast)
const photo = join(data, 'red', '0.png')

/** Logits as the SDK gives them, image by image. */
async function logits(files: readonly string[], base: string, adapter?: string): Promise<number[][]> {
  const backend = await createBackend({ threads: 1 })
  const opened: OpenModel = await openModel(backend, base, { adapter })
  const transform = evalTransform(opened.preprocess)
  const { height, width } = transform
  const rows: number[][] = []
  for (const file of files) {
    const values = new Float32Array(3 * height * width)
    transform.apply(await decodeFile(file), new Rng(0), values)
    rows.push(
      Array.from(await logitsOf(opened.model, { inputs: { images: { data: values, shape: [1, 3, height, width] } } })),
    )
  }
  disposeModule(opened.model)
  assert.is(backend.memory().buffers, 0)
  await backend.dispose()
  return rows
}

const near = (a: readonly number[], b: readonly number[], tolerance = 1e-5) => {
  assert.is(a.length, b.length)
  for (const [i, x] of a.entries()) assert.ok(Math.abs(x - b[i]!) <= tolerance, `${x} and ${b[i]}`)
}

test('test prints accuracy, each class and the confusion matrix', async () => {
  const text = await output('test', '--run', run, '--data', data, '--all', ...fast)
  assert.match(text, /^accuracy +100\.0 % \(18 of 18 images\)\nloss +\d\.\d{4}\n/)
  assert.match(text, /\ntested +18 images, 15 of them trained on \(blue\/\S+, blue\/\S+, blue\/\S+, …\)/)
  assert.match(text, /\nred +100\.0 % +6\/6\n/)
  assert.match(
    text,
    /Confusion matrix\ntrue \\ predicted +blue +green +red\nblue +6 +0 +0\ngreen +0 +6 +0\nred +0 +0 +6\n$/,
  )
})

test('test takes the images that the run held out, and says of any others which were trained on', async () => {
  for (const args of [[], ['--data', data]]) {
    const text = await output('test', '--run', run, ...args, ...fast)
    assert.match(text, /^accuracy +100\.0 % \(3 of 3 images\)\n/)
    assert.match(text, /\ntested +the 3 images held out by the run; 15 were trained on: --all tests everything\n/)
    assert.match(text, /\nnote +the held out images also chose the best epoch/)
  }
  const list = readFileSync(join(run, 'images.jsonl'), 'utf8').split('\n').slice(1, -1)
  const held = list.map((line) => JSON.parse(line)).filter(([part]) => part === 'val')
  const parts = async (...args: string[]) => JSON.parse(await output('test', '--run', run, '--json', ...args, ...fast))
  const own = await parts()
  assert.equal(
    own.predictions.map(({ file }: { file: string }) => file).sort(),
    held.map(([, , file]) => join(data, file)).sort(),
  )
  assert.equal([own.part, own.trained_on, own.validated_on, own.left_out], ['held-out', 0, 3, 15])

  // A copy of the data is its data, by another way and with a new image.
  const copy = join(folder, 'copy')
  cpSync(data, copy, { recursive: true })
  writeFileSync(join(copy, 'red', 'new.png'), await picture('red', 50).png().toBuffer())
  const again = await output('test', '--run', run, '--data', copy, ...fast)
  assert.match(again, /\ntested +the 3 images held out by the run and 1 image new to it; 15 were trained on/)
  // Elsewhere what was trained on is tested too, and told whatever it is called there.
  const other = join(folder, 'other')
  mkdirSync(join(other, 'red'), { recursive: true })
  const [, , trained] = list
    .map((line) => JSON.parse(line))
    .find(([part, label]) => part === 'train' && label === 'red')
  cpSync(join(data, trained), join(other, 'red', 'known.png'))
  for (const i of [60, 61]) writeFileSync(join(other, 'red', `${i}.png`), await picture('red', i).png().toBuffer())
  const some = await parts('--data', other)
  assert.equal(
    [some.part, some.images, some.trained_on, some.trained_on_files, some.left_out],
    ['all', 3, 1, ['red/known.png'], 0],
  )
  rmSync(join(other, 'red', 'known.png'))
  assert.match(
    await output('test', '--run', run, '--data', other, ...fast),
    /\ntested +2 images, none of them trained on\n/,
  )
})

test('test measures a model with an adapter as the run that made it, and a run of an earlier version as far as is known', async () => {
  const adapted = await output('test', '--model', model, '--adapter', run, '--data', data, ...fast)
  assert.is(adapted, await output('test', '--run', run, ...fast))
  const old = join(folder, 'old')
  cpSync(run, old, { recursive: true })
  rmSync(join(old, 'images.jsonl'))
  const text = await output('test', '--run', old, ...fast)
  assert.match(text, /\(18 of 18 images\)/)
  assert.match(text, /\ntested +18 images; which of them were trained on is not known, since the run keeps no list/)
})

test('test --json gives everything; a class in the wrong folder is counted where it belongs', async () => {
  const swapped = join(folder, 'swapped')
  cpSync(join(data, 'red'), join(swapped, 'green'), { recursive: true })
  cpSync(join(data, 'blue'), join(swapped, 'blue'), { recursive: true })
  writeFileSync(join(swapped, 'blue', 'broken.png'), 'x')
  const { code, out, err } = await vitune(
    'test',
    '--run',
    run,
    '--data',
    swapped,
    '--json',
    '--batch-size',
    '4',
    ...fast,
  )
  assert.is(code, 0, err)
  const result = JSON.parse(out)
  assert.is(result.accuracy, 0.5)
  assert.is(result.images, 12)
  assert.ok(result.loss > 0.1)
  assert.equal(result.classes, ['blue', 'green', 'red'])
  assert.equal(result.confusion, [
    [6, 0, 0],
    [0, 0, 6],
    [0, 0, 0],
  ])
  assert.equal(
    result.per_class.map((c: { accuracy: number | null }) => c.accuracy),
    [1, 0, null],
  )
  assert.is(result.predictions.length, 12)
  assert.equal(Object.keys(result.predictions[0]), ['file', 'label', 'target', 'score'])
  assert.match(result.skipped[0].file, /broken\.png$/)
  assert.match(err, /^skipped 1 image that could not be read$/m)

  assert.match(
    await refusal('test', '--run', run, '--data', swapped, '--strict', ...fast),
    /broken\.png: cannot be decoded/,
  )
  const strange = await images(join(folder, 'strange'), 1, ['purple', 'red'])
  assert.match(await refusal('test', '--run', data, '--data', data), /must be a run folder that vitune train wrote/)
  assert.match(await refusal('test', '--run', run, '--data', strange), /its labels must be among those trained on/)
  assert.match(await refusal('test', '--data', data), /^which model\? give --run RUN, or --model DIR$/)
  assert.match(await refusal('test', '--model', model), /^--data: is needed/)
})

test('predict --json --logits prints exactly files, labels, scores and logits', async () => {
  const files = [photo, join(data, 'green', '1.jpg')]
  const text = await output('predict', '--run', run, ...files, '--json', '--logits', ...fast)
  assert.is(text.trimEnd().split('\n').length, 1)
  const result = JSON.parse(text)
  assert.equal(Object.keys(result), ['predictions'])
  const expected = await logits(files, model, run)
  for (const [i, prediction] of result.predictions.entries()) {
    assert.equal(Object.keys(prediction), ['file', 'label', 'score', 'logits'])
    assert.is(prediction.file, files[i])
    assert.is(prediction.label, ['red', 'green'][i])
    near(prediction.logits, expected[i]!)
    const raised = prediction.logits.map(Math.exp)
    near([prediction.score], [Math.max(...raised) / raised.reduce((a: number, b: number) => a + b)])
  }
  assert.equal(Object.keys(JSON.parse(await output('predict', '--run', run, photo, '--json')).predictions[0]), [
    'file',
    'label',
    'score',
  ])
})

test('predict reads a plain model, a model with an adapter that PEFT wrote, and a fully trained run', async () => {
  const adapter = join(fixtures, 'adapters/vit-dora')
  const of = async (...flags: string[]) => {
    const text = await output('predict', ...flags, photo, '--json', '--logits', ...fast)
    return JSON.parse(text).predictions[0].logits as number[]
  }
  near(await of('--model', model), (await logits([photo], model))[0]!)
  near(await of('--model', model, '--adapter', adapter), (await logits([photo], model, adapter))[0]!)
  near(await of('--run', full), (await logits([photo], full))[0]!)
  assert.equal(await of('--model', model, '--adapter', run), await of('--run', run))
})

test('predict takes folders, ranks classes, and skips what it cannot read', async () => {
  const place = join(folder, 'photos')
  mkdirSync(join(place, 'deeper', '.hidden'), { recursive: true })
  await picture('blue', 2)
    .webp()
    .toFile(join(place, 'deeper', 'b.WEBP'))
  await picture('red', 2).png().toFile(join(place, 'a.png'))
  await picture('red', 2)
    .png()
    .toFile(join(place, 'deeper', '.hidden', 'c.png'))
  writeFileSync(join(place, 'deeper', 'z.jpg'), 'x')
  writeFileSync(join(place, 'notes.txt'), 'x')
  const { code, out, err } = await vitune(
    'predict',
    '--run',
    run,
    place,
    join(place, 'gone.png'),
    '--top',
    '2',
    ...fast,
  )
  assert.is(code, 0, err)
  assert.match(out, /^\S+a\.png +red +[\d.]+ % +(blue|green) +[\d.]+ %\n\S+deeper\/b\.WEBP +blue +[\d.]+ % .*\n$/)
  assert.match(
    err,
    /^passed over hidden entries \(1\): deeper\/\.hidden\npassed over files ending in \.txt \(1\): notes\.txt\n/,
  )
  assert.match(err, /\nskipped \S+z\.jpg: .+\nskipped \S+gone\.png: .+\nskipped 2 files of 4 that could not be read\n$/)

  const ranked = JSON.parse(await output('predict', '--run', run, photo, '--json', '--top', '3')).predictions[0]
  assert.equal(Object.keys(ranked), ['file', 'label', 'score', 'top'])
  assert.is(ranked.top.length, 3)
  assert.equal(ranked.top[0], { label: ranked.label, score: ranked.score })
  near([ranked.top.reduce((sum: number, t: { score: number }) => sum + t.score, 0)], [1])

  const broken = join(place, 'deeper', 'z.jpg')
  assert.match(await refusal('predict', '--run', run, photo, broken, '--strict'), /z\.jpg: cannot be decoded/)
  const none = await vitune('predict', '--run', run, broken)
  assert.is(none.code, 2)
  assert.match(none.err, /^vitune: images: not one of 1 could be decoded/m)
})

test('predict says which model it wants, and what a model lacks', async () => {
  const empty = join(folder, 'empty')
  mkdirSync(empty)
  assert.match(await refusal('predict', photo), /^which model\? give --run RUN, or --model DIR$/)
  assert.match(await refusal('predict', '--run', run, '--model', model, photo), /^--run and --model: give one of them/)
  assert.match(await refusal('predict', '--run', run, '--adapter', run, photo), /^--adapter: goes with --model/)
  assert.match(
    await refusal('predict', '--run', run, '--top', '0', photo),
    /^--top: must be a whole number from 1, got 0$/,
  )
  assert.match(
    await refusal('predict', '--run', run, '--batch-size', '1.5', photo),
    /^--batch-size: must be a whole number/,
  )
  assert.match(await refusal('predict', '--run', run), /^missing required argument 'files'; see vitune predict --help$/)
  assert.match(await refusal('predict', '--run', run, empty), /empty: has no images in it/)
  const headless = join(folder, 'headless')
  mkdirSync(headless)
  await rewrite('checkpoints/vit', headless, {
    tensors: (all) => all.filter((t) => !t.name.startsWith('classifier.')),
    config: { id2label: undefined, label2id: undefined },
  })
  assert.match(
    await refusal('predict', '--model', headless, photo),
    /headless: has no classifier to predict with; train one first/,
  )
})

test('a file of labels names the classes of a model that only numbers them, and must name them all', async () => {
  const nameless = join(folder, 'nameless')
  mkdirSync(nameless)
  await rewrite('checkpoints/vit', nameless, { config: { id2label: undefined, label2id: undefined } })
  const numbered = await vitune('predict', '--model', nameless, photo, '--json', ...fast)
  assert.match(
    numbered.err,
    /^note: the model does not name its classes, they are numbered; --labels FILE names them$/m,
  )
  const [{ label }] = JSON.parse(numbered.out).predictions
  const labels = join(folder, 'labels.txt')
  writeFileSync(labels, 'zero\none\ntwo\nthree\nfour\n')
  const named = await vitune('predict', '--model', nameless, '--labels', labels, photo, '--json', '--top', '5', ...fast)
  const names = ['zero', 'one', 'two', 'three', 'four']
  const [found] = JSON.parse(named.out).predictions
  assert.is(found.label, names[Number(label.slice('LABEL_'.length))])
  assert.equal(found.top.map((t: { label: string }) => t.label).sort(), [...names].sort())
  assert.not.match(named.err, /numbered/)
  writeFileSync(labels, 'one\ntwo\n')
  assert.match(
    await refusal('predict', '--model', nameless, '--labels', labels, photo),
    /labels\.txt must name 5 classes, got 2$/,
  )
  assert.match(await refusal('predict', '--model', nameless, '--labels', nameless, photo), /^--labels: must be a file/)
})

test('weights that are not finite, and outputs of another meaning, end every verb before it writes', async () => {
  const broken = join(folder, 'broken')
  mkdirSync(broken)
  await rewrite('checkpoints/vit', broken, {
    tensors: (all) =>
      all.map((t) => (t.name === 'classifier.bias' ? { ...t, data: Float32Array.of(0, Number.NaN, 0, 0, 0) } : t)),
  })
  const out = join(folder, 'of broken')
  const message = /weights must be finite, got 1 of 5 values in classifier\.bias; .*--allow-nonfinite/
  assert.match(await refusal('predict', '--model', broken, photo), message)
  assert.match(await refusal('train', '--data', data, '--model', broken, '--out', out), message)
  assert.not.ok(existsSync(out))
  const adapter = join(fixtures, 'adapters/vit-lora-no-head')
  assert.match(await refusal('merge', '--model', broken, '--adapter', adapter, '--out', out), message)
  // Let in, they give outputs that are no numbers, which are still not shown.
  assert.match(await refusal('predict', '--model', broken, '--allow-nonfinite', photo, ...fast), /0\.png/)
  // A classifier that is replaced takes its NaN with it.
  const trained = ['train', '--data', data, '--model', broken, '--out', out, '--epochs', '1', '--json']
  const events = (await output(...trained, '--allow-nonfinite', ...fast)).trim().split('\n')
  const { notes } = events.map((line) => JSON.parse(line)).find((e) => e.kind === 'start')
  assert.ok(notes.includes('weights that are not finite were let in: 1 of 5 values in classifier.bias'))
  assert.ok(notes.some((note: string) => /^new classifier for 3 classes: the model's 5 classes/.test(note)))

  await rewrite('checkpoints/vit', broken, { config: { problem_type: 'regression' } })
  assert.match(
    await refusal('predict', '--model', broken, photo),
    /its outputs are numbers to be estimated \(regression\)/,
  )
  await rewrite('checkpoints/vit', broken, { config: { problem_type: 'multi_label_classification' } })
  const { predictions } = JSON.parse(await output('predict', '--model', broken, photo, '--json', '--logits', ...fast))
  const sigmoid = 1 / (1 + Math.exp(-Math.max(...predictions[0].logits)))
  near([predictions[0].score], [sigmoid], 1e-6)
  assert.ok(Array.isArray(predictions[0].labels))
})

test('merge writes a plain model with the same outputs, and says how far they differ', async () => {
  const out = join(folder, 'merged')
  const result = JSON.parse(await output('merge', '--run', run, '--out', out, '--json', ...fast))
  assert.equal(Object.keys(result), ['out', 'layers', 'largest_difference'])
  assert.is(result.layers, 4)
  assert.ok(result.largest_difference >= 0 && result.largest_difference < 1e-4)
  assert.equal(readdirSync(out).sort(), ['config.json', 'model.safetensors', 'preprocessor_config.json'])
  const config = JSON.parse(readFileSync(join(out, 'config.json'), 'utf8'))
  assert.equal(Object.values(config.id2label), ['blue', 'green', 'red'])
  assert.match(await output('predict', '--model', out, photo, ...fast), / red +[\d.]+ %\n$/)
  near((await logits([photo], out))[0]!, (await logits([photo], model, run))[0]!, 1e-4)

  const dora = join(folder, 'merged dora')
  const adapter = join(fixtures, 'adapters/vit-dora')
  const text = await output('merge', '--model', model, '--adapter', adapter, '--out', dora, ...fast)
  assert.match(text, /^merged \d layers into a plain model in .*\nlargest output difference on random images: \d/)
  near((await logits([photo], dora))[0]!, (await logits([photo], model, adapter))[0]!, 1e-4)
})

test('merge refuses what has no adapter and places that are taken, and writes nothing then', async () => {
  const out = join(folder, 'not merged')
  assert.match(await refusal('merge', '--run', full, '--out', out), /has no adapter to merge, its method is full/)
  assert.match(await refusal('merge', '--model', model, '--out', out), /^--model: needs --adapter DIR/)
  const bias = join(fixtures, 'adapters/vit-lora-b-bias')
  assert.match(await refusal('merge', '--model', model, '--adapter', bias, '--out', out), /lora_bias cannot be merged/)
  assert.not.ok(existsSync(out))
  assert.match(await refusal('merge', '--run', run, '--out', run), /^--out: must be a new or empty folder/)
  assert.match(await refusal('merge', '--run', run, '--out', photo), /^--out: must be a folder, got the file/)
})

test('a run at another input size is predicted, and merged, at that size', async () => {
  const sized = join(folder, 'sized')
  await output(
    'train',
    '--data',
    data,
    '--model',
    model,
    '--out',
    sized,
    '--epochs',
    '1',
    '--input-size',
    '24',
    ...fast,
  )
  const merged = join(folder, 'sized merged')
  await output('merge', '--run', sized, '--out', merged, ...fast)
  assert.is(JSON.parse(readFileSync(join(merged, 'config.json'), 'utf8')).image_size, 24)
  const of = async (...flags: string[]) =>
    JSON.parse(await output('predict', ...flags, photo, '--json', '--logits', ...fast)).predictions[0].logits
  const expected = await of('--run', sized)
  assert.equal(await of('--model', model, '--adapter', sized), expected)
  near(await of('--model', merged), expected, 1e-4)
})

test('benchmark --json prints one object with exactly its fields', async () => {
  for (const [method, more] of [
    ['lora', []],
    ['full', ['--checkpointing']],
  ] as const) {
    const flags = ['--peft', method, '--batch', '2', '--size', '24', '--steps', '3', ...more]
    const result = JSON.parse(await output('benchmark', '--model', model, ...flags, '--threads', '1', '--json'))
    assert.equal(Object.keys(result), [
      'forward_ms_per_image',
      'step_ms_per_image',
      'peak_bytes',
      'trainable',
      'total',
      'weight_bytes',
      'device',
      'threads',
    ])
    assert.is(result.weight_bytes, 4 * result.total)
    assert.ok(result.forward_ms_per_image > 0 && result.step_ms_per_image > 0)
    assert.ok(result.peak_bytes > 4 * result.total && result.peak_bytes < 1e8)
    assert.is(result.trainable === result.total, method === 'full')
    assert.equal([result.device, result.threads], ['wasm', 1])
  }
  const text = await output(
    'benchmark',
    '--model',
    model,
    '--peft',
    'dora',
    '--steps',
    '1',
    '--rank',
    '2',
    '--device',
    'reference',
  )
  assert.match(text, /^method +dora +trains \d+ of 2\d\.\d k parameters/m)
  assert.match(text, /^training step +[\d.]+ ms an image/m)
  assert.match(await refusal('benchmark', '--model', model, '--steps', '0'), /^--steps: must be a whole number from 1/)
  assert.match(await refusal('benchmark', '--model', model, '--size', '2'), /at least one patch/)
  assert.match(await refusal('benchmark', '--json'), /^required option '--model <dir\|name>' not specified/)
})

test('estimate says the bytes of each method, and whether they fit, in a table and as JSON', async () => {
  const flags = ['estimate', '--model', model, '--batch-size', '4', '--device', 'wasm']
  const found = JSON.parse(await output(...flags, '--json'))
  assert.is(found.device, 'wasm')
  assert.is(found.batch_size, 4)
  assert.equal(
    found.estimates.map((e: { method: string; checkpointing: boolean }) => `${e.method} ${e.checkpointing}`),
    ['full', 'linear', 'lora', 'dora'].flatMap((method) => [`${method} false`, `${method} true`]),
  )
  for (const e of found.estimates) {
    assert.ok(e.fits)
    assert.is(e.weights + e.gradients + e.optimizer + e.workspace + e.activations, e.total)
  }
  const text = await output(...flags)
  assert.match(text, /^method +weights +gradients +optimizer +activations +in all +fits\nfull +[\d.]+ kB /)
  assert.match(text, /\nbatches of 4 at \d+ x \d+ px; fits: into [\d.]+ GB on wasm\n$/)
  assert.match(
    await refusal('estimate', '--model', model, '--batch-size', '0'),
    /^--batch-size: must be a whole number/,
  )
})

test('devices names every backend, which one is taken, and why the others are not', async () => {
  const { auto, devices } = JSON.parse(await output('devices', '--json'))
  type Found = { name: string; available: boolean; chosen: boolean; why: string; threads: number; reason: string }
  const found = devices as Found[]
  assert.equal(
    found.map(({ name }) => name),
    ['webgpu', 'wasm', 'reference'],
  )
  for (const d of found) assert.ok(d.available ? d.threads >= 1 : d.reason.length > 10, d.name)
  for (const d of found) assert.ok(d.why.length > 10, d.name)
  assert.equal(
    found.filter(({ chosen }) => chosen).map(({ name }) => name),
    [auto],
  )
  const text = await output('devices')
  assert.match(text, /^device +works +with\nwebgpu .*\nwasm +yes +\d+ threads?/)
  const taken = found.find(({ chosen }) => chosen)!
  assert.ok(text.endsWith(`\nauto takes ${auto}: ${taken.why}\n`), text)
})

test('help names every verb and flag with examples; the version is the package', async () => {
  const top = await output('--help')
  assert.is(await output(), top)
  const verbs = ['train', 'test', 'predict', 'inspect', 'merge', 'report', 'benchmark', 'estimate', 'devices', 'demo']
  for (const verb of verbs) {
    assert.match(top, new RegExp(`^  ${verb} `, 'm'))
    const help = await output(verb, '--help')
    assert.is(await output('help', verb), help)
    assert.match(help, new RegExp(`\nExamples:\n  vitune ${verb}`))
    assert.match(help, /--json/)
    assert.ok(help.split('\n').every((line) => line.length <= 120))
  }
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))
  assert.is((await output('--version')).trim(), version)
})

test('an unknown verb or flag is answered with one sentence and a suggestion', async () => {
  assert.is(await refusal('trian'), "unknown command 'trian'; did you mean train?")
  assert.is(await refusal('quantise'), "unknown command 'quantise'; see vitune --help")
  assert.is(
    await refusal('predict', '--model', model, '--logit', photo),
    "unknown option '--logit'; did you mean --logits?",
  )
  assert.is(await refusal('--frobnicate'), "unknown option '--frobnicate'; see vitune --help")
  assert.is(await refusal('predict', '--run'), "option '--run <dir>' argument missing; see vitune predict --help")
})

test('colours come only where they are wanted', async () => {
  const of = async (env: Record<string, string>, ...flags: string[]) =>
    (await start(['test', '--run', run, '--data', data, ...flags], { env }).ended).out
  assert.ok((await of({ FORCE_COLOR: '1' })).includes('\x1b[1m100.0 %\x1b[0m'))
  for (const text of [
    await of({}),
    await of({ FORCE_COLOR: '1', NO_COLOR: '1' }),
    await of({ FORCE_COLOR: '1' }, '--no-color'),
  ]) {
    assert.match(text, /100\.0 %/)
    assert.not.ok(text.includes('\x1b'))
  }
})

test('a reader that goes away (| head) is no error', async () => {
  const { child, ended } = start(['predict', '--run', run, data, '--logits'])
  child.stdout!.destroy()
  const { code, err } = await ended
  assert.is(code, 0)
  assert.is(err, '')
})

test('names of files and classes cannot steer the terminal', async () => {
  const odd = join(folder, 'odd')
  mkdirSync(odd)
  const file = join(odd, 'a\x1b[31m\nb.png')
  writeFileSync(file, 'x')
  const { out, err } = await vitune('predict', '--run', run, photo, file)
  assert.not.ok((out + err).includes('\x1b'))
  assert.match(err, /^skipped \S+a \[31m b\.png: /)
})

test('predict() of the SDK takes files and decoded images alike', async () => {
  const backend = await createBackend({ threads: 1 })
  const opened = await openModel(backend, model, { adapter: run })
  const seen: string[] = []
  const broken = join(folder, 'empty.png')
  writeFileSync(broken, '')
  const progress: number[] = []
  const found = await predict(opened, [photo, broken, await decodeFile(photo)], {
    batchSize: 2,
    onBroken: (file) => seen.push(file),
    onProgress: (done) => progress.push(done),
  })
  assert.equal(
    found.map((p) => p.file),
    [photo, 'image 2'],
  )
  assert.equal(found[0]!.logits, found[1]!.logits)
  assert.is(found[0]!.label, 'red')
  assert.equal([seen, progress], [[broken], [2, 3]])
  disposeModule(opened.model)
  assert.is(backend.memory().buffers, 0)
  await backend.dispose()
})

test.run()
