// train() from folders of images to run folders: events, files, resume, determinism, bad and odd input, and its ends.
// What its numbers should be is in torch-values.test.ts; each stage alone is in the tests of data, adapters and io.
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import sharp, { type Sharp } from 'sharp'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  type EpochEvent,
  evaluate,
  openData,
  openModel,
  openRun,
  type TrainEvent,
  type TrainOptions,
  train,
} from 'vitune'
import { methods } from 'vitune/adapters'
import { batchSource, evalTransform } from 'vitune/data'
import { openSafetensors } from 'vitune/io'
import { disposeModule } from 'vitune/nn'
import { type Backend, createWasm, Rng, scope, tensor } from 'vitune/tensor'
import { multiclass } from 'vitune/train'
import { refusal } from './refusal.ts'
import { fixtures, json } from './small-vit.ts'

const root = new URL('..', import.meta.url).pathname
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const folder = mkdtempSync(join(tmpdir(), 'vitune-train-'))
const test = suite('train')
test.after(() => rmSync(folder, { recursive: true }))

let made = 0
/** A path in the temporary folder that nothing has used. */
const fresh = (name = 'run') => join(folder, `${name}-${made++}`)
const checkpoint = (name: string) => join(fixtures, name)
const vit = checkpoint('checkpoints/vit')

const hues = [
  [210, 60, 50],
  [60, 200, 70],
  [50, 80, 220],
  [200, 190, 40],
  [150, 60, 190],
] as const

/** An image with the colour of its class, noise and some shape, not the model's size. */
function picture(label: number, seed: number, width = 22, height = 19): Sharp {
  const rng = new Rng(seed, 77 + label)
  const hue = hues[label % hues.length]!
  const raw = new Uint8Array(width * height * 3)
  for (let i = 0; i < raw.length; i++) raw[i] = Math.max(0, Math.min(255, hue[i % 3]! + 50 * rng.normal()))
  return sharp(raw, { raw: { width, height, channels: 3 } })
}

/** Folders of images, `counts` by class; a class takes the colour of its place in `colours` or among the names. */
async function photos(
  counts: Record<string, number>,
  colours = Object.keys(counts),
  into = fresh('data'),
): Promise<string> {
  for (const [name, count] of Object.entries(counts)) {
    mkdirSync(join(into, name), { recursive: true })
    for (let i = 0; i < count; i++) {
      const image = picture(colours.indexOf(name), i)
      const ending = ['png', 'jpg', 'webp'][i % 3] as 'png' | 'jpg' | 'webp'
      await image.toFile(join(into, name, `${String(i).padStart(2, '0')}.${ending}`))
    }
  }
  return into
}

const three = await photos({ ant: 8, bee: 8, cat: 8 })
const five = await photos({ apple: 4, bread: 4, cherry: 4, date: 4, egg: 4 })
// What is learnt here is wrong there: the classes of the validation data have swapped their colours.
const contrary = await photos({ ant: 9, bee: 9 }, ['ant', 'bee'], join(fresh('data'), 'train'))
await photos({ ant: 4, bee: 4 }, ['bee', 'ant'], join(dirname(contrary), 'val'))

// One thread where a test does not say two: starting them takes longer than most of these runs.
// One rate, so that a run may go on for longer than it was begun for.
const basics = {
  ...{ data: three, model: vit, epochs: 1, batchSize: 4, threads: 1 },
  ...{ lr: 1e-2, schedule: 'constant', warmup: 0 },
} as const
type Given = Partial<TrainOptions>

/** A resumed run has its own settings. */
const complete = (given: Given) => (given.resume ? given : { ...basics, ...given }) as TrainOptions

async function collect(given: Given): Promise<TrainEvent[]> {
  const events: TrainEvent[] = []
  for await (const event of train(complete(given))) events.push(event)
  return events
}

type Kind = TrainEvent['kind']
type Only<K extends Kind> = Extract<TrainEvent, { kind: K }>
const only = <K extends Kind>(events: readonly TrainEvent[], kind: K) =>
  events.filter((e): e is Only<K> => e.kind === kind)
const last = <K extends Kind>(events: readonly TrainEvent[], kind: K): Only<K> => only(events, kind).at(-1)!

const read = (...path: string[]) => readFileSync(join(...path), 'utf8')
const bytes = (...path: string[]) =>
  createHash('sha256')
    .update(readFileSync(join(...path)))
    .digest('hex')
const lines = (out: string) =>
  read(out, 'metrics.jsonl')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
const runOf = (out: string) => JSON.parse(read(out, 'run.json'))

/** Every file of a folder: its bytes and when it was written. */
function snapshot(dir: string): Record<string, string> {
  return Object.fromEntries(
    readdirSync(dir).map((name) => [name, `${bytes(dir, name)} ${statSync(join(dir, name)).mtimeMs}`]),
  )
}

async function onBackend<T>(fn: (backend: Backend) => Promise<T>): Promise<T> {
  const backend = await createWasm({ threads: 1 })
  try {
    const result = await fn(backend)
    assert.is(backend.memory().buffers, 0, 'buffers left')
    return result
  } finally {
    await backend.dispose()
  }
}

/** Logits of two made-up images. */
async function logits(opened: Awaited<ReturnType<typeof openModel>>): Promise<number[]> {
  const { model } = opened
  const [h, w] = model.config.imageSize
  const rng = new Rng(5)
  const images = Float32Array.from({ length: 2 * 3 * h * w }, () => rng.normal())
  const out = scope(() => model.forward(tensor(model.backend, images, [2, 3, h, w])))
  const values = Array.from(await out.data())
  out.dispose()
  disposeModule(model)
  return values
}

const families = [
  'checkpoints/vit',
  'checkpoints/deit',
  'checkpoints/deit-distilled',
  'checkpoints/dinov2',
  'checkpoints/dinov2-registers',
  'timm/vit',
  'timm/deit-distilled',
  'timm/dinov2-registers',
]
const adapterFiles = [
  'adapter_config.json',
  'adapter_model.safetensors',
  'checkpoint.safetensors',
  'images.jsonl',
  'metrics.jsonl',
  'run.json',
]
const modelFiles = [
  'checkpoint.safetensors',
  'config.json',
  'images.jsonl',
  'metrics.jsonl',
  'model.safetensors',
  'run.json',
]

for (const family of families) {
  test(`${family} trains with every method, tells of it in order and leaves a run that opens`, async () => {
    for (const peft of methods) {
      const out = fresh()
      const threads = peft === 'dora' ? 2 : 1
      const events = await collect({ model: checkpoint(family), peft, out, threads })
      assert.equal(
        events.map((e) => e.kind),
        ['start', ...new Array(5).fill('step'), 'epoch', 'done'],
        peft,
      )
      const [start, epoch, done] = [last(events, 'start'), last(events, 'epoch'), last(events, 'done')]
      assert.equal([start.method, start.classes, start.train, start.val], [peft, ['ant', 'bee', 'cat'], 18, 6])
      assert.equal([start.valSource, start.ignored, start.step, start.threads], ['split', [], 0, threads])
      const steps = only(events, 'step')
      assert.equal(
        steps.map((s) => [s.step, s.steps, s.epoch, s.count]),
        [4, 4, 4, 4, 2].map((n, i) => [i + 1, 5, 1, n]),
      )
      assert.ok(steps.every((s) => Number.isFinite(s.loss) && s.lr === 1e-2 && s.seconds > 0))
      assert.equal([epoch.epoch, epoch.step, epoch.best], [1, 5, true])
      const mean = steps.reduce((sum, s) => sum + s.loss * s.count, 0) / 18
      assert.ok(Math.abs(epoch.trainLoss - mean) < 1e-9)
      assert.equal(
        [done.ended, done.step, done.epochs, done.bestEpoch, done.skipped, done.out],
        ['epochs', 5, 1, 1, 0, out],
      )
      assert.is(done.accuracy, epoch.accuracy)
      assert.ok(done.peakBytes > 0 && done.seconds > 0)
      assert.equal([done.trainable, done.total], [start.trainable, start.total])

      const adapted = peft === 'lora' || peft === 'dora'
      const left = readdirSync(out).filter((name) => name !== 'preprocessor_config.json')
      assert.equal(left.sort(), adapted ? adapterFiles : modelFiles, `${family} ${peft}`)
      const stepLines = steps.map(({ step, loss, lr }) => ({ step, epoch: 1, loss, lr }))
      const { trainLoss: train_loss, trainAccuracy: train_accuracy, loss: val_loss, accuracy: val_accuracy, lr } = epoch
      assert.equal(lines(out), [
        ...stepLines,
        { step: 5, epoch: 1, train_loss, train_accuracy, val_loss, val_accuracy, val_f1: epoch.metrics!.f1, lr },
      ])

      const file = await openSafetensors(join(out, adapted ? 'adapter_model.safetensors' : 'model.safetensors'))
      const count = (names: string[]) =>
        names.reduce((n, name) => n + file.info(name).shape.reduce((a, b) => a * b, 1), 0)
      const heads = file.names().filter((name) => /classifier|^head/.test(name))
      assert.is(start.trainable, count(peft === 'linear' ? heads : file.names()), `${family} ${peft} trainable`)
      await onBackend(async (backend) => {
        const viaRun = await logits(await openRun(backend, out))
        assert.ok(viaRun.length === 6 && viaRun.every(Number.isFinite))
        const viaModel = adapted
          ? await openModel(backend, checkpoint(family), { adapter: out })
          : await openModel(backend, out)
        assert.equal(viaModel.model.config.classes, ['ant', 'bee', 'cat'])
        assert.equal(await logits(viaModel), viaRun, `${family} ${peft}`)
      })
    }
  })
}

test('the accuracy of the kept model is the one that was told', async () => {
  const out = fresh()
  const done = last(await collect({ out, epochs: 3 }), 'done')
  await onBackend(async (backend) => {
    const { model, preprocess } = await openRun(backend, out)
    const { val, classes } = await openData(three, { seed: 0 })
    const task = multiclass(classes)
    const source = batchSource(val!, { transform: evalTransform(preprocess), targets: task.targets, batchSize: 4 })
    const result = await evaluate(model, task, source)
    assert.is(result.accuracy, done.accuracy)
    const best = lines(out).find((line) => line.epoch === done.bestEpoch && 'val_loss' in line)
    assert.is(result.loss, best.val_loss)
    disposeModule(model)
  })
})

test('run.json holds all that is needed to repeat the run, bit for bit', async () => {
  const given: Given = {
    epochs: 2,
    threads: 2,
    accumulate: 2,
    clip: 0.5,
    dropout: 0.1,
    dropPath: 0.1,
    loraDropout: 0.1,
    labelSmoothing: 0.1,
    warmup: 2,
    schedule: 'cosine',
    seed: 11,
    rank: 4,
    alpha: 16,
    targets: ['query', 'fc1', 'intermediate.dense'].slice(0, 1),
    rslora: true,
    bias: 'lora_only',
    weightDecay: 0.1,
    inputSize: 20,
    interpolation: 'bilinear',
    val: five,
    data: five,
    lora: { rankPattern: { 'layer.1.attention.attention.query': 2 }, initLoraWeights: 'gaussian' },
  }
  for (const more of [{ peft: 'lora' }, { peft: 'dora', bias: 'all' }] as const) {
    const out = fresh()
    const events = await collect({ ...given, ...more, out })
    const run = runOf(out)
    assert.ok(run.notes.length > 0)
    assert.equal(run.notes, only(events, 'start')[0]!.notes)
    assert.equal(
      [run.vitune, run.method, run.model, run.classes, run.finished, run.seed, run.device, run.threads],
      [version, more.peft, vit, ['apple', 'bread', 'cherry', 'date', 'egg'], true, 11, 'wasm', 2],
    )
    assert.is(run.versions.runtime, 'node')
    assert.equal(run.images, { train: 20, val: 20 })
    assert.is(run.lora.r, 4)
    for (const name of [
      'trainable',
      'total',
      'peakBytes',
      'peakResidentBytes',
      'seconds',
      'step',
      'epochs',
      'accuracy',
    ]) {
      assert.type(run[name], 'number', name)
    }
    assert.ok(Math.abs(Date.parse(run.created) - Date.now()) < 600_000)
    assert.equal(run.skippedImages, [])
    const again = fresh()
    for await (const _ of train({ ...run.settings, out: again })) {
    }
    assert.is(bytes(again, 'adapter_model.safetensors'), bytes(out, 'adapter_model.safetensors'))
    assert.is(read(again, 'metrics.jsonl'), read(out, 'metrics.jsonl'))
    assert.is(read(again, 'adapter_config.json'), read(out, 'adapter_config.json'))
  }
})

test('adapter files have the names, shapes and fields of those that PEFT wrote', async () => {
  for (const name of ['vit-lora', 'vit-dora', 'deit-lora', 'dinov2-registers-dora']) {
    const theirs = join(fixtures, 'adapters', name)
    const config = json(`adapters/${name}/adapter_config.json`)
    const out = fresh()
    const given: Given = {
      data: five,
      out,
      peft: config.use_dora ? 'dora' : 'lora',
      rank: config.r,
      alpha: config.lora_alpha,
      model: join(fixtures, json(`adapters/${name}/values.json`).base),
      targets: config.target_modules,
      loraDropout: config.lora_dropout,
      rslora: config.use_rslora,
      lora: { rankPattern: config.rank_pattern },
    }
    await collect(given)
    const [want, got] = await Promise.all(
      [theirs, out].map((dir) => openSafetensors(join(dir, 'adapter_model.safetensors'))),
    )
    const entries = (file: typeof want) =>
      file!
        .names()
        .sort()
        .map((n) => [n, file!.info(n).dtype, ...file!.info(n).shape])
    assert.equal(entries(got), entries(want), name)
    const mine = JSON.parse(read(out, 'adapter_config.json'))
    assert.equal(Object.keys(mine), Object.keys(config).sort(), name)
    const same = ({
      base_model_name_or_path: _,
      peft_version: _v,
      target_modules,
      modules_to_save,
      ...rest
    }: typeof config) => ({
      ...rest,
      target_modules: [target_modules].flat().sort(),
      modules_to_save: [...modules_to_save].sort(),
    })
    assert.equal(same(mine), same(config), name)
  }
})

test('the best epoch is kept, not the last, and patience ends training after it', async () => {
  // It has learnt what the validation data hold; from here on it learns the contrary.
  const adapter = fresh()
  await collect({ data: join(dirname(contrary), 'val'), out: adapter, epochs: 6, lr: 2e-2, augment: false })
  const given = { data: dirname(contrary), adapter, warmup: 20, lr: 2e-2, augment: false }
  const out = fresh()
  const events = await collect({ ...given, out, epochs: 6 })
  const ran = only(events, 'epoch')
  const accuracies = ran.map((e) => e.accuracy!)
  const { bestEpoch, accuracy } = last(events, 'done')
  assert.ok(accuracies.at(-1)! < 0.5 && accuracies[0]! > 0.5, `must get worse for this test: ${accuracies}`)
  assert.is(accuracy, Math.max(...accuracies))
  const before = (a: EpochEvent, b: EpochEvent) =>
    a.accuracy! > b.accuracy! || (a.accuracy === b.accuracy && a.loss! < b.loss!)
  const better = ran.map((e, i) => ran.slice(0, i).every((earlier) => before(e, earlier)))
  assert.is(bestEpoch, better.lastIndexOf(true) + 1)
  assert.equal(
    ran.map((e) => e.best),
    better,
  )
  const short = fresh()
  await collect({ ...given, out: short, epochs: bestEpoch })
  assert.is(bytes(out, 'adapter_model.safetensors'), bytes(short, 'adapter_model.safetensors'))

  const patient = fresh()
  const stopped = await collect({ ...given, out: patient, epochs: 6, patience: 2 })
  const { ended, epochs } = last(stopped, 'done')
  assert.equal([ended, epochs, runOf(patient).finished], ['patience', bestEpoch + 2, true])
  assert.is(bytes(out, 'adapter_model.safetensors'), bytes(patient, 'adapter_model.safetensors'))
  const resumed = await collect({ ...given, out: patient, resume: true })
  assert.equal(
    resumed.map((e) => e.kind),
    ['start', 'done'],
    'patience that has run out stays so',
  )
})

test('the plateau schedule halves the rate after more than three epochs without a better accuracy', async () => {
  const events = await collect({ schedule: 'plateau', lr: 1e-9, epochs: 7, peft: 'linear' })
  const rates = only(events, 'epoch').map((e) => e.lr)
  assert.equal(rates, [1e-9, 1e-9, 1e-9, 1e-9, 1e-9, 5e-10, 5e-10])
})

const everything: Given = {
  epochs: 3,
  accumulate: 2,
  clip: 0.5,
  dropout: 0.1,
  dropPath: 0.2,
  schedule: 'cosine',
  warmup: 2,
  labelSmoothing: 0.1,
  seed: 4,
  lr: 3e-3,
}
const recipes: [string, string, Given][] = [
  [
    'LoRA with AdamW and a cosine',
    'adapter_model.safetensors',
    { ...everything, loraDropout: 0.1, peft: 'lora', threads: 2 },
  ],
  [
    'DoRA with recomputation',
    'adapter_model.safetensors',
    { ...everything, loraDropout: 0.1, peft: 'dora', checkpointing: true, bias: 'all' },
  ],
  [
    'full with SGD on a plateau',
    'model.safetensors',
    { ...everything, peft: 'full', optimizer: 'sgd', schedule: 'plateau', patchKeep: 0.5 },
  ],
  [
    'full with averages, rates by layer and mixed images, each other epoch validated',
    'model.safetensors',
    {
      ...everything,
      ...{ peft: 'full', warmup: '20%', ema: 0.8, layerDecay: 0.7, mixup: 0.4, cutmix: 1, valEvery: 2 },
      ...{ patience: 5, minDelta: 1e-3, patienceWarmup: 1, sampler: 'balanced-efficient' },
    },
  ],
]

/** Runs until `after` steps or epochs of this part have been told, then leaves by `way`; true when the run was done. */
async function part(given: Given, after: number, way: 'break' | 'signal'): Promise<boolean> {
  const controller = new AbortController()
  let told = 0
  for await (const event of train({ ...complete(given), signal: controller.signal })) {
    if (event.kind === 'done') return event.ended !== 'signal'
    if (event.kind !== 'step' && event.kind !== 'epoch') continue
    if (++told < after) continue
    if (way === 'break') break
    controller.abort()
  }
  return false
}

for (const [name, weights, recipe] of recipes) {
  test(`a run that is cut off and resumed again and again ends bit for bit like one that is not: ${name}`, async () => {
    const whole = fresh()
    await collect({ ...recipe, out: whole })
    for (const way of ['break', 'signal'] as const) {
      for (const pieces of [
        [1, 1, 2, 3, 1, 3, 99],
        [5, 99],
      ]) {
        const out = fresh()
        for (const [i, after] of pieces.entries()) {
          const finished = await part(i === 0 ? { ...recipe, out } : { out, resume: true }, after, way)
          assert.is(finished, i === pieces.length - 1, `${way} ${pieces} ${i}`)
          assert.is(runOf(out).finished, finished)
        }
        assert.is(read(out, 'metrics.jsonl'), read(whole, 'metrics.jsonl'), `${way} ${pieces}`)
        for (const file of [weights, 'checkpoint.safetensors'])
          assert.is(bytes(out, file), bytes(whole, file), `${way} ${pieces} ${file}`)
        const { created: _, seconds: _s, peakBytes: _p, peakResidentBytes: _r, ...mine } = runOf(out)
        const { created: _c, seconds: _t, peakBytes: _q, peakResidentBytes: _u, ...theirs } = runOf(whole)
        mine.settings.out = theirs.settings.out
        assert.equal(mine, theirs)
      }
    }
  })
}

const child = async (program: string, settings: Given) => {
  const args = [
    '--input-type=module',
    '-e',
    `import { train } from 'vitune'\nconst settings = JSON.parse(process.argv[1])\n${program}`,
  ]
  const begun = performance.now()
  const result = await promisify(execFile)(process.execPath, [...args, JSON.stringify({ ...basics, ...settings })], {
    cwd: root,
    timeout: 60_000,
  }).catch((error: { stdout: string; stderr: string; signal: string | null; code: number | null }) => error)
  return { code: 0, signal: null, ...result, seconds: (performance.now() - begun) / 1000 }
}

test('a run that was killed is resumed to the same end, whatever half-written files it left', async () => {
  const given: Given = { ...everything, peft: 'lora' }
  const whole = fresh()
  await collect({ ...given, out: whole })
  for (const [kind, count] of [
    ['step', 1],
    ['step', 5],
    ['epoch', 1],
    ['step', 8],
    ['epoch', 3],
  ] as const) {
    const out = fresh()
    const program = `let n = 0
for await (const event of train(settings)) if (event.kind === '${kind}' && ++n === ${count}) process.kill(process.pid, 'SIGKILL')`
    assert.is((await child(program, { ...given, out })).signal, 'SIGKILL')
    // What a process leaves that ends while it writes: temporary files, and a line cut short.
    writeFileSync(join(out, '.adapter_model.safetensors.0123456789ab.tmp'), 'half')
    writeFileSync(join(out, '.run.json.0123456789ab.tmp'), '{')
    appendFileSync(join(out, 'metrics.jsonl'), '{"step":')
    await collect({ out, resume: true })
    assert.is(read(out, 'metrics.jsonl'), read(whole, 'metrics.jsonl'), `killed at ${kind} ${count}`)
    assert.is(bytes(out, 'adapter_model.safetensors'), bytes(whole, 'adapter_model.safetensors'))
    assert.is(runOf(out).finished, true)
    await onBackend(async (backend) => void (await logits(await openRun(backend, out))))
  }
})

test('resume with more epochs goes on from the end', async () => {
  const [short, long] = [fresh(), fresh()]
  await collect({ out: long, epochs: 3 })
  await collect({ out: short, epochs: 1 })
  const events = await collect({ out: short, resume: true, epochs: 3 })
  assert.is(last(events, 'start').step, 5)
  assert.equal(
    only(events, 'epoch').map((e) => e.epoch),
    [2, 3],
  )
  assert.is(read(short, 'metrics.jsonl'), read(long, 'metrics.jsonl'))
  assert.is(bytes(short, 'adapter_model.safetensors'), bytes(long, 'adapter_model.safetensors'))
})

test('resume refuses other settings and folders without a run, and changes nothing there', async () => {
  const out = fresh()
  await collect({ out, epochs: 2 })
  const before = snapshot(out)
  const changes: Given = {
    lr: 1e-3,
    batchSize: 8,
    data: five,
    model: checkpoint('checkpoints/deit'),
    peft: 'dora',
    seed: 3,
    rank: 4,
    clip: 1,
    optimizer: 'sgd',
    schedule: 'cosine',
    accumulate: 2,
    augment: { flip: 0.5 },
    shuffle: false,
    targets: ['key'],
    inputSize: 24,
    lora: { initLoraWeights: 'gaussian' },
  }
  for (const [name, value] of Object.entries(changes)) {
    const message = await refusal(collect({ out, resume: true, [name]: value }))
    assert.ok(message.startsWith(`resume: ${name} was `), message)
  }
  assert.equal(snapshot(out), before)
  assert.match(await refusal(collect({ resume: true })), /^resume: needs the run folder/)
  const empty = fresh()
  assert.match(await refusal(collect({ out: empty, resume: true })), /no run\.json/)
  assert.not.ok(existsSync(empty))

  truncateSync(join(out, 'checkpoint.safetensors'), 1000)
  assert.match(await refusal(collect({ out, resume: true })), /checkpoint\.safetensors/)
  cpSync(join(out, 'adapter_model.safetensors'), join(out, 'checkpoint.safetensors'))
  assert.match(await refusal(collect({ out, resume: true })), /checkpoint\.safetensors: must be a training checkpoint/)
})

test('a used folder is refused as out, and nothing in it changes', async () => {
  const used = [fresh(), fresh(), fresh()] as const
  await collect({ out: used[0] })
  await collect({ out: used[1], peft: 'full' })
  cpSync(checkpoint('checkpoints/vit-sharded'), used[2], { recursive: true })
  for (const out of used) {
    const before = snapshot(out)
    for (const peft of ['lora', 'full'] as const)
      assert.match(await refusal(collect({ out, peft })), /already holds \S+; continue it with resume/)
    assert.equal(snapshot(out), before)
  }
  const file = fresh()
  writeFileSync(file, 'text')
  assert.match(await refusal(collect({ out: file })), /out: must be a folder/)
  assert.is(read(file), 'text')
})

test('bad input ends in one sentence before anything is written', async () => {
  const [one, none, broken] = [await photos({ ant: 3 }), fresh(), fresh()]
  mkdirSync(none)
  cpSync(vit, broken, { recursive: true })
  truncateSync(join(broken, 'model.safetensors'), 5000)
  const cases: [Given, RegExp][] = [
    [{ data: one }, /needs at least two classes/],
    [{ data: none }, /has no images/],
    [{ data: join(none, 'absent') }, /must be a folder of images/],
    [{ model: broken }, /model\.safetensors/],
    [{ model: none }, /config\.json/],
    [{ val: none }, /no class folders/],
    [{ val: five }, /labels must be among those trained on/],
    [{ epochs: 0 }, /^epochs: must be a whole number from 1, got 0/],
    [{ batchSize: 1.5 }, /^batchSize/],
    [{ lr: Number.NaN }, /^lr: must be above 0, or auto, got NaN/],
    [{ dropPath: 1 }, /^dropPath/],
    [{ ema: 1 }, /^ema: must be in \[0, 1\), got 1/],
    [{ layerDecay: 0.5 }, /^layerDecay: for peft full only, got peft lora; leave it out$/],
    [{ minDelta: 0.1 }, /^minDelta: changes nothing without patience above 0, got 0\.1; leave it out$/],
    [{ schedule: 'cosine', plateauFactor: 0.1 }, /^plateauFactor: changes nothing without schedule plateau, got 0\.1/],
    [{ seed: -1 }, /^seed/],
    [{ threads: 0 }, /^threads/],
    [{ rank: 0 }, /^rank/],
    [{ inputSize: 2 }, /at least one patch/],
    [{ targets: ['nothing'] }, /no linear layer/],
    [{ peft: 'prefix' as 'lora' }, /^peft: must be one of/],
    [{ optimizer: 'adam' as 'sgd' }, /^optimizer: must be one of adamw, sgd, got adam/],
    [{ schedule: 'step' as 'cosine' }, /^schedule: must be one of/],
    [{ device: 'gpu' as 'wasm' }, /^device/],
    [{ interpolation: 'nearest' as 'bilinear' }, /^interpolation: must be one of/],
    [{ adapter: vit }, /adapter_config\.json/],
    [{ adapter: vit, peft: 'linear' }, /^adapter: goes with/],
    // What the task is, the data say.
    [{ monitor: 'map' }, /^monitor: must be one of accuracy, f1, loss for task multiclass, got map/],
    [{ data: undefined as unknown as string }, /^data: must be given/],
    [{ model: undefined as unknown as string }, /^model: must be given/],
  ]
  for (const [given, pattern] of cases) {
    const out = fresh()
    const message = await refusal(collect({ ...given, out }))
    assert.match(message, pattern)
    assert.not.match(message, /\n/)
    assert.not.ok(existsSync(out), `${message}: wrote ${out}`)
  }
})

test('broken images are told once each, counted and left out; strict ends at the first', async () => {
  const data = await photos({ ant: 6, bee: 6 })
  const bad = [join(data, 'ant', '03.png'), join(data, 'bee', 'empty.jpg'), join(data, 'bee', 'text.webp')].sort()
  truncateSync(bad[0]!, 200)
  writeFileSync(bad[1]!, '')
  writeFileSync(bad[2]!, 'no image at all')
  const out = fresh()
  const events = await collect({ data, out, epochs: 2, val: data })
  assert.equal(
    only(events, 'skip')
      .map((e) => e.file)
      .sort(),
    bad,
  )
  assert.ok(only(events, 'skip').every((e) => e.reason.length > 0))
  assert.is(last(events, 'done').skipped, 3)
  assert.equal(
    runOf(out)
      .skippedImages.map((s: { file: string }) => s.file)
      .sort(),
    bad,
  )
  const seen = only(events, 'step').filter((e) => e.epoch === 1)
  assert.is(
    seen.reduce((n, e) => n + e.count, 0),
    11,
  )
  const message = await refusal(collect({ data, strict: true }))
  assert.match(message, /cannot be decoded/)
  assert.ok(
    bad.some((file) => message.startsWith(file)),
    message,
  )
})

test('time, memory and skipped images of a run that is taken up again are of the whole run', async () => {
  const data = await photos({ ant: 6, bee: 6 })
  const [first, second] = [join(data, 'ant', '03.png'), join(data, 'bee', '01.jpg')]
  for (const file of [first, second]) writeFileSync(file, 'no image at all')
  const given = { data, val: data, out: fresh(), epochs: 1, batchSize: 12, shuffle: false }
  const { out } = given
  const skippedIn = (run: { skippedImages: { file: string }[] }) => run.skippedImages.map(({ file }) => file)
  // As a kill leaves it: what was saved last is there, and no end of the run.
  for await (const event of train(complete(given))) if (event.kind === 'epoch') break
  const left = runOf(out)
  assert.ok(left.seconds > 0 && left.peakBytes > 0 && left.finished === false)
  assert.equal(skippedIn(left), [first, second])
  // What earlier parts came to is taken from there, whatever it is.
  writeFileSync(join(out, 'run.json'), JSON.stringify({ ...left, seconds: 5000, peakBytes: 7e12 }))
  // Nothing is left to train, so no image is met again; in two more epochs they are, and told again.
  for (const [epochs, told] of [
    [1, []],
    [3, [first, second]],
  ] as const) {
    const events = await collect({ out, resume: true, epochs })
    const done = last(events, 'done')
    assert.ok(done.seconds > 5000 && done.seconds < 5000 + 60, `${done.seconds}`)
    assert.equal([done.peakBytes, done.skipped], [7e12, 2])
    assert.equal(
      only(events, 'skip').map((e) => e.file),
      [...told],
    )
    const end = runOf(out)
    assert.equal([end.seconds, end.peakBytes, end.created], [done.seconds, 7e12, left.created])
    assert.equal(skippedIn(end), [first, second])
  }
})

test('a run whose first image is broken under strict can be repaired and resumed', async () => {
  const data = await photos({ ant: 5, bee: 5 })
  const good = readFileSync(join(data, 'ant', '01.jpg'))
  for (const name of readdirSync(join(data, 'ant')))
    writeFileSync(join(data, 'ant', name), good.subarray(0, good.length - 60))
  const out = fresh()
  await refusal(collect({ data, strict: true, out }))
  for (const name of readdirSync(join(data, 'ant'))) writeFileSync(join(data, 'ant', name), good)
  const events = await collect({ out, resume: true })
  assert.is(last(events, 'done').step, 2)
  assert.is(lines(out).length, 3)
})

test('EXIF-turned, grey, alpha, 16-bit, palette, CMYK and animated images train', async () => {
  const data = fresh('data')
  const make: Record<string, (i: number) => Sharp> = {
    'turned.jpg': (i) => picture(i, 1, 30, 18).withMetadata({ orientation: 6 }).jpeg(),
    'mirrored.jpg': (i) => picture(i, 2, 30, 18).withMetadata({ orientation: 5 }).jpeg({ progressive: true }),
    'grey.jpg': (i) => picture(i, 3).greyscale().jpeg(),
    'grey.png': (i) => picture(i, 4).greyscale().png(),
    'grey-alpha.png': (i) => picture(i, 5).greyscale().ensureAlpha(0.5).png(),
    'alpha.png': (i) => picture(i, 6).ensureAlpha(0.3).png(),
    'alpha.webp': (i) => picture(i, 7).ensureAlpha(0.3).webp(),
    'deep.png': (i) => picture(i, 8).toColourspace('rgb16').png(),
    'palette.png': (i) => picture(i, 9).png({ palette: true, colours: 8 }),
    'inks.jpg': (i) => picture(i, 10).toColourspace('cmyk').jpeg(),
    'tiny.png': (i) => picture(i, 11, 1, 1).png(),
    'thin.png': (i) => picture(i, 12, 1, 300).png(),
    'UPPER.PNG': (i) => picture(i, 13).png(),
  }
  for (const [label, name] of ['ant', 'bee'].entries()) {
    mkdirSync(join(data, name), { recursive: true })
    for (const [file, image] of Object.entries(make))
      writeFileSync(join(data, name, file), await image(label).toBuffer())
  }
  const events = await collect({ data, val: data, strict: true })
  assert.is(last(events, 'start').train, 26)
  assert.is(
    only(events, 'step').reduce((n, e) => n + e.count, 0),
    26,
  )
  assert.is(last(events, 'done').skipped, 0)
  assert.ok(only(events, 'step').every((e) => Number.isFinite(e.loss)))
})

test('class names may be anything that a folder may be called', async () => {
  const names = [
    ' ',
    '"quoted"',
    '$(touch x)',
    '%s%n',
    '-rf',
    '..hidden',
    '0',
    '__proto__',
    'a b c',
    'classifier',
    'constructor',
    'line\nbreak',
    'model.safetensors',
    'null',
    'ö',
    'toString',
    'x'.repeat(200),
    'é',
    '日本語 🐈',
  ]
    .filter((name) => !name.startsWith('.'))
    .sort((a, b) => (a < b ? -1 : 1))
  const data = fresh('data')
  for (const [i, name] of names.entries()) {
    mkdirSync(join(data, name), { recursive: true })
    for (const n of [1, 2]) await picture(i, n).toFile(join(data, name, `${n}.png`))
  }
  for (const peft of ['lora', 'full'] as const) {
    const out = fresh()
    assert.equal(last(await collect({ data, peft, out }), 'start').classes, names)
    assert.equal(runOf(out).classes, names)
    await onBackend(async (backend) => {
      const opened = await openRun(backend, out)
      assert.equal(opened.model.config.classes, names)
      assert.is((await logits(opened)).length, 2 * names.length)
    })
    if (peft === 'lora') continue
    const config = JSON.parse(read(out, 'config.json'))
    assert.equal(Object.values(config.id2label), names)
    assert.equal(
      names.map((name) => Object.getOwnPropertyDescriptor(config.label2id, name)?.value),
      [...names.keys()],
    )
  }
})

test("the checkpoint's classifier is kept for its own classes, and made anew for others", async () => {
  const stored = await openSafetensors(join(vit, 'model.safetensors'))
  const want = await stored.read('classifier.weight')
  const gap = async (data: string) => {
    const out = fresh()
    await collect({ data, out, peft: 'linear', lr: 1e-9 })
    const got = await (await openSafetensors(join(out, 'model.safetensors'))).read('classifier.weight')
    return got.reduce((most, v, i) => Math.max(most, Math.abs(v - (want[i] ?? 0))), 0)
  }
  assert.ok((await gap(five)) < 1e-6)
  assert.ok((await gap(three)) > 1e-3)
})

test('an adapter is trained further: from its weights, with its classifier', async () => {
  const first = fresh()
  const before = await collect({ out: first, epochs: 4, augment: false, shuffle: false })
  const out = fresh()
  const after = await collect({ out, adapter: first, augment: false, shuffle: false })
  const [start, later] = [only(before, 'step'), only(after, 'step')].map((steps) => steps[0]!.loss) as [number, number]
  assert.ok(later < start / 2, `${later} after ${start}`)
  assert.is(runOf(out).method, 'lora')
  assert.is(bytes(first, 'adapter_config.json'), bytes(out, 'adapter_config.json'))
  const dora = fresh()
  await collect({ out: dora, peft: 'dora' })
  const further = fresh()
  await collect({ out: further, adapter: dora })
  assert.is(runOf(further).method, 'dora')
  assert.match(
    await refusal(collect({ adapter: first, peft: 'dora' })),
    /^adapter: \S+ is a lora adapter, got peft dora/,
  )
  assert.match(await refusal(collect({ adapter: dora, peft: 'lora' })), /is a dora adapter/)
  const repeated = fresh()
  await collect({ ...runOf(further).settings, out: repeated })
  assert.is(bytes(repeated, 'adapter_model.safetensors'), bytes(further, 'adapter_model.safetensors'))
})

test('another input size is kept with the model', async () => {
  for (const model of ['checkpoints/vit', 'checkpoints/dinov2', 'timm/vit'].map(checkpoint)) {
    const out = fresh()
    await collect({ model, out, peft: 'full', inputSize: 24 })
    await onBackend(async (backend) => {
      const opened = await openModel(backend, out)
      assert.equal(opened.model.config.imageSize, [24, 24])
      const viaRun = await openRun(backend, out)
      assert.equal(viaRun.preprocess, opened.preprocess)
      assert.equal(await logits(opened), await logits(viaRun))
    })
  }
})

test('a ViT without a preprocessor file is trained at its own size, and what it saves has one', async () => {
  for (const name of ['vit', 'deit']) {
    const [model, out] = [fresh(), fresh()]
    cpSync(checkpoint(`checkpoints/${name}`), model, { recursive: true })
    rmSync(join(model, 'preprocessor_config.json'))
    await collect({ model, out, peft: 'linear' })
    await onBackend(async (backend) => {
      const [before, after] = [await openModel(backend, model), await openModel(backend, out)]
      assert.equal(before.model.config.imageSize, [16, 16])
      assert.equal(after.preprocess, before.preprocess)
      assert.equal(runOf(out).preprocess, before.preprocess)
      disposeModule(before.model)
      disposeModule(after.model)
    })
  }
})

test('the same settings give the same bits in every run and for one thread and two', async () => {
  const runs: string[] = []
  for (const threads of [1, 1, 2, 2]) {
    const out = fresh()
    await collect({ ...everything, epochs: 2, out, threads })
    runs.push(`${bytes(out, 'adapter_model.safetensors')} ${bytes(out, 'metrics.jsonl')}`)
  }
  assert.is(new Set(runs).size, 1)
  const other = fresh()
  await collect({ ...everything, epochs: 2, out: other, seed: 5 })
  assert.is.not(`${bytes(other, 'adapter_model.safetensors')} ${bytes(other, 'metrics.jsonl')}`, runs[0])
})

test('a signal that came before anything was trained leaves a run to resume', async () => {
  const [whole, out] = [fresh(), fresh()]
  await collect({ out: whole })
  const events = await collect({ out, signal: AbortSignal.abort() })
  assert.equal(
    events.map((e) => e.kind),
    ['start', 'done'],
  )
  assert.equal([last(events, 'done').ended, last(events, 'done').step], ['signal', 0])
  await collect({ out, resume: true })
  assert.is(read(out, 'metrics.jsonl'), read(whole, 'metrics.jsonl'))
  assert.is(bytes(out, 'adapter_model.safetensors'), bytes(whole, 'adapter_model.safetensors'))
})

test('a process that trains ends by itself, however it leaves the loop', async () => {
  const programs: Record<string, string> = {
    'to the end': 'for await (const event of train(settings)) if (event.kind === "done") console.log("end")',
    'break at the start': 'for await (const event of train(settings)) break\nconsole.log("end")',
    'break at a step':
      'for await (const event of train(settings)) if (event.kind === "step") break\nconsole.log("end")',
    'an error of its own':
      'try { for await (const event of train(settings)) if (event.step === 2) throw 1 } catch { console.log("end") }',
    'forgotten half-way':
      'const run = train(settings)\nfor (let i = 0; i < 3; i++) await run.next()\nconsole.log("end")',
    'bad input': 'try { for await (const _ of train({ ...settings, lr: -1 })); } catch { console.log("end") }',
    'a missing layer':
      'try { for await (const _ of train({ ...settings, targets: ["no"] })); } catch { console.log("end") }',
  }
  for (const [name, program] of Object.entries(programs)) {
    const { code, signal, stdout, stderr } = await child(program, { epochs: 2 })
    assert.equal([code, signal, stdout.trim(), stderr], [0, null, 'end', ''], name)
  }
})

test.run()
