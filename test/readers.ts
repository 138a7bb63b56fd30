// Everything that reads what others wrote, with good files to start from: what the fuzzer goes through. Each reader also
// sees to it that nothing is left in the backend's memory.
import { createHash } from 'node:crypto'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { openModel, openRun, readRun, type TrainOptions, toRgbImage, train } from 'vitune'
import { evalTransform } from 'vitune/data'
import { encodeSafetensors, parseSafetensors, resolveModel } from 'vitune/io'
import { parseLabels } from 'vitune/models'
import { disposeModule } from 'vitune/nn'
import { readRunResult } from 'vitune/report'
import { createReference } from 'vitune/tensor'
import { collector } from '../src/data/passed-over.ts'
import { findSource } from '../src/data/sources/find.ts'
import { imageLabels, placesOf, recognise } from '../src/data/sources/recognise.ts'
import { readJsonObject } from '../src/io/json.ts'
import { readMat } from '../src/io/mat.ts'
import { files } from '../src/platform/files-node.ts'
import { lockHolder } from '../src/platform/locks-node.ts'
import { readCheckpoint } from '../src/run/checkpoint-file.ts'
import { openMetrics } from '../src/run/run-folder.ts'
import { readImageList } from '../src/use/image-list.ts'
import { readMetrics } from '../src/use/run-metrics.ts'
import { originOf } from '../src/web/models.ts'
import type { Reader } from './fuzzing.ts'
import { aircraftCopy, carsCopy, cubCopy, food101Copy, ham10000Copy, kittiCopy, resisc45Copy } from './layout-copies.ts'

const fixtures = fileURLToPath(new URL('fixtures/', import.meta.url))
const vit = join(fixtures, 'checkpoints/vit')
const bytesOf = (...path: string[]) => new Uint8Array(readFileSync(join(fixtures, ...path)))
const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value))
const floats = (n: number) => Float32Array.from({ length: n }, (_, i) => Math.fround(Math.sin(i)))

const backend = createReference()

function checkFreed(): void {
  const { buffers } = backend.memory()
  if (buffers > 0) throw new Error(`${buffers} buffers are left`)
}

/** Opens and frees; what was refused must have freed itself. */
async function opened(open: () => ReturnType<typeof openModel>): Promise<void> {
  const found = await open().catch((error) => {
    checkFreed()
    throw error
  })
  evalTransform(found.preprocess)
  disposeModule(found.model)
  checkFreed()
}

/** A folder of a good model or adapter in which one file is replaced in each case. */
function inFolder(
  root: string,
  good: string,
  file: string,
  kind: Reader['kind'],
  open: (at: string) => Promise<unknown>,
): Reader {
  const at = join(root, `${good.replaceAll('/', '-')}-${file}`)
  cpSync(join(fixtures, good), at, { recursive: true })
  return {
    name: `${good}/${file}`,
    kind,
    good: [bytesOf(good, file)],
    read(bytes) {
      writeFileSync(join(at, file), bytes)
      return open(at)
    },
  }
}

/** One file at a path of its own. */
function atPath(path: string, kind: Reader['kind'], good: readonly Uint8Array[], read: () => Promise<unknown>): Reader {
  const name = path.split('/').slice(-2).join('/')
  return {
    name,
    kind,
    good,
    read(bytes) {
      writeFileSync(path, bytes)
      return read()
    },
  }
}

const stored = encodeSafetensors([
  { name: 'a.weight', shape: [3, 4], data: floats(12) },
  { name: 'a.bias', shape: [3], dtype: 'BF16', data: floats(3) },
  { name: 'empty', shape: [0], data: floats(0) },
  { name: 'steps', shape: [], dtype: 'I64', data: floats(1) },
])

const numbers = {
  ...{
    step: 4,
    epoch: 1,
    batch: 0,
    optimizerSteps: 4,
    seed: 0,
    best: 0.5,
    bestLoss: 1,
    bestEpoch: 1,
    sinceBest: 0,
    patienceBest: 0.5,
  },
  ...{ bestMetrics: { accuracy: 0.5 }, sums: [1.5], counts: [4], right: 3, of: 4 },
  ...{ plateau: { factor: 1, best: 0, bad: 0 } },
}
const checkpoint = encodeSafetensors([{ name: 'w', shape: [2, 3], data: floats(6) }], {
  format: 'pt',
  state: JSON.stringify(numbers),
  metrics: '40',
})
const run = {
  ...{ vitune: '0.1.0', id: 'a'.repeat(32), method: 'lora', model: vit, classes: ['a', 'b', 'c'], inputSize: 16 },
  settings: {
    peft: 'lora',
    data: 'data',
    model: vit,
    epochs: 2,
    batchSize: 4,
    lr: 1e-3,
    targets: ['query'],
    augment: true,
  },
  ...{ images: { train: 4, val: 2 }, finished: false },
}
const metrics = [1, 2, 3].map((step) => JSON.stringify({ step, epoch: 1, loss: 1 / step, lr: 1e-3 })).join('\n')
const images = [
  JSON.stringify({ format: 1, validation: 'split', columns: ['part', 'class', 'file', 'size', 'sha256'] }),
  JSON.stringify(['train', 'a', 'a/1.png', 100, 'f'.repeat(64)]),
  JSON.stringify(['val', 'b', 'b/1.png', 100, null]),
].join('\n')
const lock = { token: 't', pid: 1, started: '1', host: 'h', machine: 'm', boot: 'b', space: 's', since: '2026-01-01' }

/** A hub whose answers about a model are bent one after another. */
async function hubReader(root: string): Promise<{ reader: Reader; close: () => void }> {
  const commit = '0123456789abcdef0123456789abcdef01234567'
  const config = readFileSync(join(vit, 'config.json'))
  const weights = readFileSync(join(vit, 'model.safetensors'))
  const oid = createHash('sha1').update(`blob ${config.length}\0`).update(config).digest('hex')
  const lfs = { oid: createHash('sha256').update(weights).digest('hex'), size: weights.length, pointerSize: 100 }
  const info = json({ _id: '1', id: 'org/name', sha: commit, lastModified: '2026-01-01' })
  const tree = json([
    { type: 'file', path: 'config.json', size: config.length, oid },
    { type: 'file', path: 'model.safetensors', size: weights.length, oid: 'b'.repeat(40), lfs },
  ])
  let bent: Uint8Array = info
  const server = createServer((request, response) => {
    const { url = '', headers } = request
    const part = url.includes('/revision/') ? 'info' : url.includes('/tree/') ? 'tree' : 'file'
    const whole = url.endsWith('config.json') ? config : weights
    const body =
      part === 'file' ? whole : (bent[0] === 0x5b) === (part === 'tree') ? bent : part === 'tree' ? tree : info
    const one = headers.range === 'bytes=0-0'
    response.writeHead(one ? 206 : 200, {
      'Content-Type': part === 'file' ? 'application/octet-stream' : 'application/json',
      ETag: '"e"',
      ...(one ? { 'Content-Range': `bytes 0-0/${whole.length}` } : {}),
    })
    response.end(one ? body.subarray(0, 1) : body)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const hubUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const cacheDir = join(root, 'hub')
  const reader: Reader = {
    name: 'the hub',
    kind: 'json',
    good: [info, tree],
    async read(bytes) {
      bent = bytes
      rmSync(cacheDir, { recursive: true, force: true })
      await resolveModel('org/name', { hubUrl, cacheDir, token: 'hf_none' })
    },
  }
  const close = () => {
    server.closeAllConnections()
    server.close()
  }
  return { reader, close }
}

/** Files of labels beside an image that they name, in the folder `root`. */
function labelReaders(root: string): Reader[] {
  for (const place of ['1.png', 'images/default/1.png', ...[1, 2, 3, 4, 5, 6].map((i) => `images/default/${i}.jpg`)]) {
    mkdirSync(dirname(join(root, place)), { recursive: true })
    cpSync(
      join(fixtures, 'images', readdirSync(join(fixtures, 'images')).find((name) => name.endsWith('.png'))!),
      join(root, place),
    )
  }
  const text = (lines: readonly string[]) => new TextEncoder().encode(`${lines.join('\n')}\n`)
  const read = (path: string) => async () => {
    const parts = async (folder: string) => ({ parts: [{ folder, prefix: '' }], notes: [] })
    const source = await findSource(path, { files, over: collector() }, { parts })
    const { space } = recognise(source)
    for (const item of source.items) imageLabels(space, placesOf(space), item)
  }
  const good: [string, Reader['kind'], Uint8Array[]][] = [
    [
      'labels.csv',
      'bytes',
      [text(['path,label,split', '1.png,a,train', '"1.png","b;c",train']), text(['image;x;y', '1.png;1;-1'])],
    ],
    [
      'labels.jsonl',
      'bytes',
      [
        text([
          '{"file_name":"1.png","label":["a","b"],"split":"train"}',
          '{"file_name":"none.png","label":"a","split":"val"}',
        ]),
      ],
    ],
    ['default.json', 'json', [bytesOf('datumaro/hierarchical/annotations/default.json')]],
  ]
  return good.map(([name, kind, good]) => atPath(join(root, name), kind, good, read(join(root, name))))
}

/** Layouts of published sets of which one file is bent; what the file says is compared with the images there. */
function layoutReaders(root: string): Reader[] {
  const at = (folder: string, format: string, file: string, kind: Reader['kind'] = 'bytes'): Reader => {
    const good = new Uint8Array(readFileSync(join(folder, file)))
    return atPath(join(folder, file), kind, [good], async () => {
      const parts = async (dir: string) => ({ parts: [{ folder: dir, prefix: '' }], notes: [] })
      const source = await findSource(folder, { files, over: collector() }, { format, parts })
      recognise(source)
    })
  }
  const cub = cubCopy(join(root, 'cub'))
  const food = food101Copy(join(root, 'food'))
  const kitti = kittiCopy(join(root, 'kitti'))
  return [
    at(aircraftCopy(join(root, 'aircraft')), 'fgvc-aircraft', 'fgvc-aircraft-2013b/data/images_variant_train.txt'),
    at(food, 'food-101', 'meta/train.json', 'json'),
    at(carsCopy(join(root, 'cars')), 'stanford-cars', 'devkit/cars_train_annos.mat'),
    at(cub, 'cub-200', 'images.txt'),
    at(ham10000Copy(join(root, 'ham')), 'ham10000', 'HAM10000_metadata.csv'),
    at(resisc45Copy(join(root, 'resisc')), 'resisc45', 'resisc45-train.txt'),
    at(kitti, 'kitti-distance', 'training/label_2/000000.txt'),
    at(kitti, 'kitti-distance', 'devkit/mapping/train_rand.txt'),
  ]
}

/** All of them, in a folder that `close` removes. */
export async function openReaders(): Promise<{ readers: readonly Reader[]; close: () => void }> {
  const root = mkdtempSync(join(tmpdir(), 'vitune-readers-'))
  const model = (at: string) => opened(() => openModel(backend, at))
  const adapter = (at: string) => opened(() => openModel(backend, vit, { adapter: at }))
  const folder = (name: string) => {
    mkdirSync(join(root, name), { recursive: true })
    return join(root, name)
  }
  const hub = await hubReader(root)
  const runFolder = folder('run')
  cpSync(join(fixtures, 'adapters/vit-lora'), runFolder, { recursive: true })
  const state = { numbers, tensors: [], metrics: 40 }
  const pictures = ['images', 'formats'].flatMap((where) =>
    readdirSync(join(fixtures, where))
      .filter((name) => !/\.(json|safetensors)$/.test(name))
      .map((name) => bytesOf(where, name)),
  )
  const readers: Reader[] = [
    {
      name: 'safetensors',
      kind: 'safetensors',
      good: [stored],
      async read(bytes) {
        const file = await parseSafetensors(bytes, 'model.safetensors')
        for (const name of file.names()) await file.read(name)
      },
    },
    inFolder(root, 'checkpoints/vit', 'config.json', 'json', model),
    inFolder(root, 'checkpoints/dinov2-registers', 'config.json', 'json', model),
    inFolder(root, 'checkpoints/vit', 'preprocessor_config.json', 'json', model),
    inFolder(root, 'checkpoints/vit', 'model.safetensors', 'safetensors', model),
    inFolder(root, 'checkpoints/vit-sharded', 'model.safetensors.index.json', 'json', model),
    inFolder(root, 'timm/vit', 'config.json', 'json', model),
    inFolder(root, 'timm/dinov2-registers', 'config.json', 'json', model),
    inFolder(root, 'timm/deit-distilled', 'model.safetensors', 'safetensors', model),
    inFolder(root, 'bitsandbytes/fp4', 'config.json', 'json', model),
    ...['nf4-double', 'evaluated', 'int8'].map((name) =>
      inFolder(root, `bitsandbytes/${name}`, 'model.safetensors', 'safetensors', model),
    ),
    {
      name: 'labels',
      kind: 'json',
      good: [['a', 'b', 'c'], { 0: 'a', 1: 'b', 2: 'c' }, { label2id: { a: 0, b: 1, c: 2 } }].map(json),
      read: async (bytes) => parseLabels(bytes, 3, 'labels.json'),
    },
    inFolder(root, 'adapters/vit-lora-patterns', 'adapter_config.json', 'json', adapter),
    inFolder(root, 'adapters/vit-lora-regex', 'adapter_config.json', 'json', adapter),
    inFolder(root, 'adapters/vit-dora', 'adapter_model.safetensors', 'safetensors', adapter),
    atPath(join(runFolder, 'run.json'), 'json', [json(run)], async () => {
      await readRun(runFolder)
      await readRunResult(runFolder)
      await opened(() => openRun(backend, runFolder))
      // Its settings are read where it goes on; the data are not there, or it would.
      const events = train({ resume: true, out: runFolder, device: 'reference' } as TrainOptions)
      await events.next().finally(() => events.return(undefined as never))
    }),
    atPath(join(folder('state'), 'checkpoint.safetensors'), 'safetensors', [checkpoint], async () => {
      const { tensors } = await readCheckpoint(backend, join(root, 'state/checkpoint.safetensors'))
      for (const [, t] of tensors) t.dispose()
    }),
    atPath(join(folder('metrics'), 'metrics.jsonl'), 'bytes', [new TextEncoder().encode(metrics)], async () => {
      await openMetrics(join(root, 'metrics/metrics.jsonl'), state)
      await readMetrics(join(root, 'metrics'))
    }),
    atPath(join(folder('images'), 'images.jsonl'), 'bytes', [new TextEncoder().encode(images)], () =>
      readImageList(join(root, 'images')),
    ),
    ...labelReaders(folder('labels')),
    ...layoutReaders(folder('layouts')),
    {
      name: 'MATLAB',
      kind: 'bytes',
      good: ['every.mat', 'cars_train_annos.mat', 'cars_test_annos_withlabels.mat'].map((name) =>
        bytesOf('layouts', name),
      ),
      read: (bytes) => readMat(bytes, 'labels.mat'),
    },
    atPath(join(folder('lock'), 'run.lock'), 'json', [json(lock)], () => lockHolder(join(root, 'lock/run.lock'))),
    atPath(
      join(folder('vitune/models/name'), 'vitune-source.json'),
      'json',
      [json({ source: 'https://huggingface.co/org/name/resolve/main/' })],
      () => originOf({ ...files, join: (...parts) => join(root, ...parts) }, 'name'),
    ),
    atPath(join(root, 'any.json'), 'json', [json(run)], () => readJsonObject(join(root, 'any.json'))),
    { name: 'images', kind: 'bytes', good: pictures, read: (bytes) => toRgbImage(new Blob([bytes])) },
    hub.reader,
  ]
  return {
    readers,
    close() {
      hub.close()
      rmSync(root, { recursive: true, force: true })
    },
  }
}
