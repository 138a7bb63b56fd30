// Finding models by name: the local Hugging Face cache, and downloads from a small server that answers as the hub does.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { openRun, type TrainOptions, train } from 'vitune'
import { type DownloadProgress, encodeSafetensors, hubCacheFolder, openCheckpoint, resolveModel } from 'vitune/io'
import { disposeModule } from 'vitune/nn'
import { createReference } from 'vitune/tensor'
import { fixtures, images } from './cli-tools.ts'
import { refusal } from './refusal.ts'

const COMMIT = '0123456789abcdef0123456789abcdef01234567'
const config = Buffer.from(JSON.stringify({ model_type: 'vit' }))
const preprocessor = Buffer.from(JSON.stringify({ image_processor_type: 'ViTImageProcessor' }))
const tensor = (name: string, n = 3000) => ({ name, shape: [n], data: new Float32Array(n).fill(1) })
const weights = Buffer.from(encodeSafetensors([tensor('a')]))

/** What git, and so the hub, calls the hash of a small file. */
const gitOid = (data: Buffer) => createHash('sha1').update(`blob ${data.length}\0`).update(data).digest('hex')

interface Repo {
  files: Record<string, Buffer>
  /** Status for every request about this repo. */
  status?: number
  token?: string
  /** Files whose connection breaks after half the bytes. */
  cut?: Set<string>
  /** Files that come whole whatever part is asked for, beyond the first byte. */
  noRange?: Set<string>
  /** Files that go on after their end. */
  endless?: Set<string>
  /** Files that come with other bytes than announced. */
  damaged?: Set<string>
  /** Replaces entries of the file list. */
  tree?: (entries: Record<string, unknown>[]) => Record<string, unknown>[]
}

interface Context {
  folder: string
  cacheDir: string
  server: Server
  hubUrl: string
  repos: Record<string, Repo>
  requests: string[]
  /** Entries of the listing in one answer. */
  pageSize: number
}

function sendFile(response: ServerResponse, repo: Repo, path: string, range: string | undefined): void {
  const whole = repo.files[path]
  if (!whole) {
    response.writeHead(404, { 'X-Error-Code': 'EntryNotFound' }).end()
    return
  }
  if (range !== 'bytes=0-0' && repo.noRange?.has(path)) range = undefined
  const [from, to] = (range?.slice('bytes='.length) ?? `0-${whole.length - 1}`).split('-').map(Number)
  let body = whole.subarray(from, to! + 1)
  if (body.length > 1 && repo.damaged?.has(path)) body = Buffer.from(body).fill(7)
  response.writeHead(range ? 206 : 200, {
    ETag: `"${createHash('sha1').update(whole).digest('hex')}"`,
    ...(body.length > 1 && repo.endless?.has(path) ? {} : { 'Content-Length': body.length }),
    'Content-Range': `bytes ${from}-${to}/${whole.length}`,
  })
  if (body.length > 1 && repo.cut?.has(path)) {
    response.write(body.subarray(0, body.length >> 1), () => response.destroy())
  } else if (body.length > 1 && repo.endless?.has(path)) {
    const more = () => void (response.destroyed || response.write(Buffer.alloc(2 ** 16), more))
    response.write(body, more)
  } else response.end(body)
}

function answer(context: Context, url: URL, headers: Record<string, unknown>, response: ServerResponse): void {
  const name = Object.keys(context.repos).find((known) => url.pathname.includes(`/${known}/`))
  const repo = name === undefined ? undefined : context.repos[name]
  const authorised = !repo?.token || headers.authorization === `Bearer ${repo.token}`
  const status = repo === undefined || !authorised ? 401 : repo.status
  if (repo === undefined || status) {
    response.writeHead(status ?? 500, { 'Content-Type': 'application/json' }).end('{"error":"no"}')
    return
  }
  const json = (value: unknown, extra = {}) =>
    response.writeHead(200, { 'Content-Type': 'application/json', ...extra }).end(JSON.stringify(value))
  const revision = url.pathname.match(/\/revision\/(.+)$/)?.[1]
  if (revision !== undefined) {
    if (!['main', 'v1', COMMIT].includes(revision)) response.writeHead(404).end()
    else json({ _id: '1', id: name, sha: COMMIT, lastModified: '2025-01-01' })
    return
  }
  if (url.pathname.includes('/tree/')) {
    assert.ok(url.pathname.endsWith(COMMIT))
    const entries = Object.entries(repo.files).map(([path, data]) => ({
      type: 'file',
      path,
      size: data.length,
      oid: gitOid(data),
      ...(path.endsWith('.safetensors')
        ? { lfs: { oid: createHash('sha256').update(data).digest('hex'), size: data.length, pointerSize: 100 } }
        : {}),
    }))
    const all = [{ type: 'directory', path: 'onnx', size: 0, oid: 'x' }, ...(repo.tree?.(entries) ?? entries)]
    // In pages of two, as the hub does with long lists.
    const page = Number(url.searchParams.get('page') ?? 0)
    const { pageSize } = context
    const next = `<${context.hubUrl}${url.pathname}?page=${page + 1}>; rel="next"`
    const end = (page + 1) * pageSize
    json(all.slice(end - pageSize, end), end < all.length ? { Link: next } : {})
    return
  }
  sendFile(response, repo, url.pathname.split(`/resolve/${COMMIT}/`)[1] ?? '', headers.range as string | undefined)
}

const variables = ['HF_HOME', 'HF_HUB_CACHE', 'HUGGINGFACE_HUB_CACHE', 'XDG_CACHE_HOME', 'HF_TOKEN', 'HF_TOKEN_PATH']
variables.push('HUGGING_FACE_HUB_TOKEN', 'HF_ENDPOINT', 'HF_HUB_OFFLINE', 'TRANSFORMERS_OFFLINE')
const environment = new Map(variables.map((name) => [name, process.env[name]]))

const test = suite<Context>('hub')
test.before.each(async (context) => {
  for (const name of variables) delete process.env[name]
  context.folder = mkdtempSync(join(tmpdir(), 'vitune-hub-'))
  process.env.HF_HOME = join(context.folder, 'home')
  context.cacheDir = join(context.folder, 'cache')
  context.requests = []
  context.pageSize = 2
  context.repos = {
    'org/tiny': {
      files: {
        'config.json': config,
        'preprocessor_config.json': preprocessor,
        'README.md': config,
        'model.safetensors': weights,
        'pytorch_model.bin': weights,
      },
    },
  }
  context.server = createServer((request, response) => {
    context.requests.push(`${request.method} ${request.url} ${request.headers.range ?? 'whole'}`)
    answer(context, new URL(request.url ?? '', context.hubUrl), request.headers, response)
  })
  await new Promise<void>((resolve) => context.server.listen(0, '127.0.0.1', resolve))
  context.hubUrl = `http://127.0.0.1:${(context.server.address() as AddressInfo).port}`
})
test.after.each((context) => {
  context.server.closeAllConnections()
  context.server.close()
  rmSync(context.folder, { recursive: true })
  for (const [name, value] of environment) {
    if (value === undefined) delete process.env[name]
    else process.env[name] = value
  }
})

/** Every name below a folder. */
const below = (folder: string): string[] =>
  existsSync(folder) ? readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort() : []

test('a folder is itself, and the network is not asked', async ({ folder, hubUrl, requests }) => {
  assert.is(await resolveModel(folder, { hubUrl }), folder)
  assert.equal(requests, [])
})

test('a name is downloaded with progress, only the files that are needed, and the second time comes from the cache', async (context) => {
  const { cacheDir, hubUrl, requests } = context
  const seen: DownloadProgress[] = []
  const found = await resolveModel('org/tiny', { hubUrl, cacheDir, onProgress: (p) => seen.push(p) })
  assert.is(found, join(cacheDir, 'models--org--tiny/snapshots', COMMIT))
  assert.equal(readdirSync(found).sort(), ['config.json', 'model.safetensors', 'preprocessor_config.json'])
  assert.equal(readFileSync(join(found, 'model.safetensors')), weights)
  assert.is(readFileSync(join(cacheDir, 'models--org--tiny/refs/main'), 'utf8'), COMMIT)
  assert.equal([...(await (await openCheckpoint(found)).read('a'))].slice(0, 2), [1, 1])
  for (const file of ['config.json', 'model.safetensors']) {
    const steps = seen.filter((p) => p.file === file)
    assert.is(steps[0]!.done, 0)
    assert.is(steps.at(-1)!.done, steps.at(-1)!.total)
    assert.is(steps.at(-1)!.total, file === 'config.json' ? config.length : weights.length)
  }
  const before = requests.length
  assert.is(await resolveModel('org/tiny', { hubUrl, cacheDir }), found)
  assert.is(await resolveModel(`org/tiny@${COMMIT}`, { hubUrl, cacheDir, offline: true }), found)
  assert.is(requests.length, before)
})

test('blobs are named and linked as in the cache of the Python library', async ({ cacheDir, hubUrl }) => {
  await resolveModel('org/tiny', { hubUrl, cacheDir })
  const names = below(join(cacheDir, 'models--org--tiny'))
  assert.ok(names.includes(`blobs/${sha256}`), names.join('\n'))
  assert.ok(names.includes(`blobs/${gitOid(config)}`))
  assert.is(names.filter((name) => name.includes('incomplete')).length, 0)
})

test('a model in the cache of another program is found by the environment, without the network', async ({ folder }) => {
  const repo = (hub: string) => {
    const base = join(hub, 'models--org--cached')
    mkdirSync(join(base, 'snapshots', COMMIT), { recursive: true })
    mkdirSync(join(base, 'refs'))
    mkdirSync(join(base, 'blobs'))
    writeFileSync(join(base, 'refs/main'), COMMIT)
    writeFileSync(join(base, 'blobs/w'), weights)
    symlinkSync('../../blobs/w', join(base, 'snapshots', COMMIT, 'model.safetensors'))
    writeFileSync(join(base, 'snapshots', COMMIT, 'config.json'), config)
    return join(base, 'snapshots', COMMIT)
  }
  process.env.HF_HUB_OFFLINE = '1'
  process.env.HF_HOME = join(folder, 'a')
  const inHome = repo(join(folder, 'a/hub'))
  assert.is(hubCacheFolder(), join(folder, 'a/hub'))
  assert.is(await resolveModel('org/cached'), inHome)
  process.env.HUGGINGFACE_HUB_CACHE = join(folder, 'b')
  assert.match(await refusal(resolveModel('org/cached')), 'is not in the cache')
  const second = repo(join(folder, 'b'))
  assert.is(await resolveModel('org/cached'), second)
  process.env.HF_HUB_CACHE = join(folder, 'c')
  const third = repo(join(folder, 'c'))
  assert.is(await resolveModel('org/cached'), third)
})

test('a cached model whose weights are a dangling link is downloaded again', async ({ cacheDir, hubUrl }) => {
  const found = await resolveModel('org/tiny', { hubUrl, cacheDir })
  rmSync(join(cacheDir, 'models--org--tiny/blobs', createHash('sha256').update(weights).digest('hex')))
  assert.match(await refusal(resolveModel('org/tiny', { hubUrl, cacheDir, offline: true })), 'is not in the cache')
  assert.is(await resolveModel('org/tiny', { hubUrl, cacheDir }), found)
  assert.equal(readFileSync(join(found, 'model.safetensors')), weights)
})

test('a missing preprocessor file is fetched later where the hub has it, and asked for once where it has none', async (context) => {
  const { cacheDir, hubUrl, requests, repos } = context
  const found = await resolveModel('org/tiny', { hubUrl, cacheDir })
  rmSync(join(found, 'preprocessor_config.json'))
  assert.is(await resolveModel('org/tiny', { hubUrl, cacheDir, offline: true }), found)
  assert.is(await resolveModel('org/tiny', { hubUrl: 'http://127.0.0.1:9', cacheDir }), found)
  assert.not.ok(existsSync(join(found, 'preprocessor_config.json')))
  await resolveModel('org/tiny', { hubUrl, cacheDir })
  assert.ok(existsSync(join(found, 'preprocessor_config.json')))

  repos['org/plain'] = { files: { 'config.json': config, 'model.safetensors': weights } }
  await resolveModel('org/plain', { hubUrl, cacheDir })
  const before = requests.length
  await resolveModel('org/plain', { hubUrl, cacheDir })
  assert.is(requests.length, before)
})

test('shards come with their index, and other revisions by their name', async ({ cacheDir, hubUrl, repos }) => {
  const index = {
    metadata: {},
    weight_map: { a: 'model-00001-of-00002.safetensors', b: 'model-00002-of-00002.safetensors' },
  }
  repos['org/sharded'] = {
    files: {
      'config.json': config,
      'model.safetensors.index.json': Buffer.from(JSON.stringify(index)),
      'model-00001-of-00002.safetensors': Buffer.from(encodeSafetensors([tensor('a')])),
      'model-00002-of-00002.safetensors': Buffer.from(encodeSafetensors([tensor('b')])),
      'model-00003-of-00002.safetensors': weights,
    },
  }
  const found = await resolveModel('org/sharded@v1', { hubUrl, cacheDir })
  assert.equal((await openCheckpoint(found)).names(), ['a', 'b'])
  assert.not.ok(existsSync(join(found, 'model-00003-of-00002.safetensors')))
  assert.is(readFileSync(join(cacheDir, 'models--org--sharded/refs/v1'), 'utf8'), COMMIT)
})

test('a run keeps the commit of its model, and goes on and opens with it when the name has moved on', async (context) => {
  const { folder, cacheDir, hubUrl, repos } = context
  const names = ['config.json', 'preprocessor_config.json', 'model.safetensors']
  const bytesOf = (name: string) => readFileSync(join(fixtures, 'checkpoints/vit', name))
  repos['org/vit'] = { files: Object.fromEntries(names.map((name) => [name, bytesOf(name)])) }
  const data = await images(join(folder, 'images'), 4)
  const out = join(folder, 'run')
  const settings = { data, model: 'org/vit', epochs: 1, batchSize: 2, threads: 1, out }
  for await (const event of train({ ...settings, hub: { hubUrl, cacheDir } })) if (event.kind === 'step') break
  const commit = () => JSON.parse(readFileSync(join(out, 'run.json'), 'utf8')).commit
  assert.is(commit(), COMMIT)

  // Another program has seen a newer commit, which is not here.
  writeFileSync(join(cacheDir, 'models--org--vit/refs/main'), 'f'.repeat(40))
  const hub = { hubUrl, cacheDir, offline: true }
  assert.match(await refusal(resolveModel('org/vit', hub)), /is not in the cache/)
  const kinds: string[] = []
  for await (const { kind } of train({ resume: true, out, hub } as TrainOptions)) kinds.push(kind)
  assert.is(kinds.at(-1), 'done')
  assert.is(commit(), COMMIT)
  const backend = createReference()
  const opened = await openRun(backend, out, hub)
  assert.equal([opened.source, opened.commit], ['org/vit', COMMIT])
  disposeModule(opened.model)
  assert.is(backend.memory().buffers, 0)
})

const blobs = (cacheDir: string) => join(cacheDir, 'models--org--tiny/blobs')
const sha256 = createHash('sha256').update(weights).digest('hex')
/** Files on their way, as paths. */
const partial = (cacheDir: string) =>
  below(cacheDir)
    .filter((name) => name.includes('incomplete'))
    .map((name) => join(cacheDir, name))
/** What was asked of the weights beyond their length. */
const asked = (requests: string[]) =>
  requests
    .filter((r) => r.includes('/model.safetensors'))
    .map((r) => r.split(' ')[2])
    .filter((range) => range !== 'bytes=0-0')

test('a download that breaks off leaves nothing that looks complete, and goes on where it stopped', async (context) => {
  const { cacheDir, hubUrl, repos, requests } = context
  repos['org/tiny']!.cut = new Set(['model.safetensors'])
  assert.match(await refusal(resolveModel('org/tiny', { hubUrl, cacheDir })), 'could not be downloaded')
  assert.is(below(cacheDir).filter((name) => name.endsWith('model.safetensors')).length, 0)
  assert.match(await refusal(resolveModel('org/tiny', { hubUrl, cacheDir, offline: true })), 'is not in the cache')
  assert.is(partial(cacheDir).length, 1)
  const half = weights.length >> 1
  assert.is(statSync(partial(cacheDir)[0]!).size, half)
  delete repos['org/tiny']!.cut
  requests.length = 0
  const seen: number[] = []
  const onProgress = ({ file, done }: DownloadProgress) => void (file === 'model.safetensors' && seen.push(done))
  const found = await resolveModel('org/tiny', { hubUrl, cacheDir, onProgress })
  assert.equal(readFileSync(join(found, 'model.safetensors')), weights)
  assert.not.ok(requests.some((request) => request.includes('/config.json')))
  assert.equal(asked(requests), [`bytes=${half}-${weights.length - 1}`])
  assert.equal(partial(cacheDir), [])
  assert.equal([seen[0], seen[1], seen.at(-1)], [0, half, weights.length])
})

test('what a killed process left is taken up, and what one that lives is writing is left alone', async (context) => {
  const { cacheDir, hubUrl, requests } = context
  const ended = spawnSync(process.execPath, ['-e', '']).pid
  const name = (pid: number) =>
    join(blobs(cacheDir), `${sha256}.${hostname().replaceAll(/[^A-Za-z0-9-]/g, '-')}-${pid}.incomplete`)
  mkdirSync(blobs(cacheDir), { recursive: true })
  writeFileSync(name(ended), weights.subarray(0, 5000))
  writeFileSync(name(process.ppid), weights.subarray(0, 9000))
  const old = join(blobs(cacheDir), `${sha256}.0a1b2c3d.incomplete`)
  writeFileSync(old, weights.subarray(0, 100))
  utimesSync(old, 0, 0)
  await resolveModel('org/tiny', { hubUrl, cacheDir })
  assert.equal(asked(requests), [`bytes=5000-${weights.length - 1}`])
  assert.equal(partial(cacheDir), [name(process.ppid)])
  assert.equal(readFileSync(join(blobs(cacheDir), sha256)), weights)
})

test('a part that is wrong, or that the server cannot go on from, costs a download from the start', async (context) => {
  const { cacheDir, hubUrl, repos, requests } = context
  mkdirSync(blobs(cacheDir), { recursive: true })
  const left = join(blobs(cacheDir), `${sha256}.gone-1.incomplete`)
  for (const [bytes, noRange, ranges] of [
    [Buffer.alloc(5000, 7), false, [`bytes=5000-${weights.length - 1}`, 'whole']],
    [weights.subarray(0, 5000), true, [`bytes=5000-${weights.length - 1}`]],
    [Buffer.alloc(weights.length, 7), false, ['whole']],
    [Buffer.alloc(weights.length + 5, 7), false, ['whole']],
    [weights, false, []],
  ] as [Buffer, boolean, string[]][]) {
    writeFileSync(left, bytes)
    utimesSync(left, 0, 0)
    requests.length = 0
    repos['org/tiny']!.noRange = new Set(noRange ? ['model.safetensors'] : [])
    const found = await resolveModel('org/tiny', { hubUrl, cacheDir })
    assert.equal(readFileSync(join(found, 'model.safetensors')), weights)
    assert.equal(asked(requests), ranges)
    assert.equal(partial(cacheDir), [])
    rmSync(join(blobs(cacheDir), sha256))
  }
})

test('a model that is asked for twice at once is downloaded once', async ({ cacheDir, hubUrl, requests }) => {
  const ask = () => resolveModel('org/tiny', { hubUrl, cacheDir })
  const [a, b] = await Promise.all([ask(), ask()])
  assert.is(a, b)
  assert.equal(asked(requests), ['whole'])
  assert.equal(readFileSync(join(a, 'model.safetensors')), weights)
})

test('more bytes than the listing says are not taken', async ({ cacheDir, hubUrl, repos }) => {
  for (const name of ['model.safetensors', 'config.json']) {
    rmSync(cacheDir, { recursive: true, force: true })
    repos['org/tiny']!.endless = new Set([name])
    const message = await refusal(resolveModel('org/tiny', { hubUrl, cacheDir }))
    assert.match(message, new RegExp(`${name.replace('.', '\\.')}: more bytes come than the \\d+ that were announced`))
    assert.equal(partial(cacheDir), [])
  }
})

test('a listing without end, or with settings beyond reason, is refused before anything is fetched', async (context) => {
  const { cacheDir, hubUrl, repos } = context
  repos['org/tiny']!.tree = (entries) => entries.map((e) => (e.path === 'config.json' ? { ...e, size: 1e9 } : e))
  assert.match(
    await refusal(resolveModel('org/tiny', { hubUrl, cacheDir })),
    /config.json may hold 8000000 bytes of JSON/,
  )
  repos['org/tiny']!.tree = (entries) => [...entries, ...Array.from({ length: 10_000 }, () => entries[0]!)]
  context.pageSize = 5000
  assert.match(await refusal(resolveModel('org/tiny', { hubUrl, cacheDir })), /may have 10000 files/)
  repos['org/tiny']!.tree = (entries) => [{ ...entries[0], path: 'a'.repeat(9e6) }]
  assert.match(await refusal(resolveModel('org/tiny', { hubUrl, cacheDir })), /answers with over 8000000 bytes/)
  // What is no listing is said in words, not in those of an exception.
  repos['org/tiny']!.tree = () => [null as never]
  assert.match(await refusal(resolveModel('org/tiny', { hubUrl, cacheDir })), /answers with something that is no hub's/)
  assert.equal(below(cacheDir), [])
})

test('bytes that differ from their hash in the listing are not kept', async ({ cacheDir, hubUrl, repos }) => {
  for (const [name, word] of [
    ['model.safetensors', 'its SHA-256 differs'],
    ['config.json', 'its SHA-1 differs'],
  ] as const) {
    rmSync(cacheDir, { recursive: true, force: true })
    repos['org/tiny']!.damaged = new Set([name])
    assert.match(await refusal(resolveModel('org/tiny', { hubUrl, cacheDir })), word)
    assert.not.ok(below(cacheDir).some((path) => path.endsWith(name) || path.includes('incomplete')))
  }
})

test('a token is sent from HF_TOKEN or from where it was stored', async ({ cacheDir, hubUrl, repos, folder }) => {
  repos['org/tiny']!.token = 'hf_secret'
  const message = await refusal(resolveModel('org/tiny', { hubUrl, cacheDir }))
  assert.match(message, 'or it is private (401)')
  assert.match(message, 'HF_TOKEN')
  process.env.HF_TOKEN = 'secret'
  assert.match(await refusal(resolveModel('org/tiny', { hubUrl, cacheDir })), 'HF_TOKEN: must start with hf_')
  process.env.HF_TOKEN = 'hf_secret'
  await resolveModel('org/tiny', { hubUrl, cacheDir })
  delete process.env.HF_TOKEN
  mkdirSync(process.env.HF_HOME ?? '', { recursive: true })
  writeFileSync(join(process.env.HF_HOME ?? '', 'token'), 'hf_secret\n')
  process.env.HF_ENDPOINT = `${hubUrl}/`
  process.env.HF_HUB_CACHE = join(folder, 'other')
  assert.ok((await resolveModel('org/tiny')).startsWith(join(folder, 'other')))
})

test('each reason why a model cannot be had is one sentence that says what to do', async ({
  cacheDir,
  hubUrl,
  repos,
  folder,
}) => {
  const ask = (name: string, url = hubUrl) => refusal(resolveModel(name, { hubUrl: url, cacheDir }))
  assert.match(await ask('no-such-folder'), 'no such folder, and not a model name like facebook/dinov2-small')
  for (const odd of [
    './models/x',
    '/models/x',
    'a/b/c',
    '../no-such-folder',
    'org/..',
    'org/x@a@b',
    'org/x@../../y',
    '-a/b',
    '',
  ]) {
    assert.match(await ask(odd), 'not a model name', odd)
  }
  writeFileSync(join(folder, 'file'), '')
  assert.match(await ask(join(folder, 'file')), 'got a file')
  assert.match(await ask('org/unknown'), 'has no such model, or it is private (401)')
  assert.match(await ask('org/tiny@nope'), 'no such model or revision')
  repos['org/gated'] = { files: {}, status: 403 }
  assert.match(await ask('org/gated'), "accept the model's terms")
  repos['org/down'] = { files: {}, status: 500 }
  assert.match(await ask('org/down'), 'answered with status 500; try again later')
  assert.match(await ask('org/tiny', 'http://127.0.0.1:9'), /could not be downloaded from .*; check the connection/)
  assert.match(await ask('org/tiny', 'nonsense'), 'HF_ENDPOINT: must be an address of http or https, got "nonsense"')
  assert.match(await ask('org/tiny', 'ftp://x'), 'HF_ENDPOINT: must be an address')
  repos['org/old'] = { files: { 'config.json': config, 'pytorch_model.bin': weights } }
  assert.match(await ask('org/old'), 'only pytorch_model.bin, which must be converted to safetensors first')
  repos['org/empty'] = { files: { 'README.md': config } }
  assert.match(await ask('org/empty'), 'got no weights')
  repos['org/bare'] = { files: { 'model.safetensors': weights } }
  assert.match(await ask('org/bare'), 'has no config.json')
})

test('a hub that names paths outside the cache is refused', async ({ cacheDir, hubUrl, repos, folder }) => {
  repos['org/tiny']!.tree = (entries) => entries.map((entry) => ({ ...entry, oid: '../../evil', lfs: undefined }))
  assert.match(await refusal(resolveModel('org/tiny', { hubUrl, cacheDir })), 'the hub described it wrongly')
  const index = { weight_map: { a: '../../../evil.safetensors' } }
  repos['org/evil'] = {
    files: { 'config.json': config, 'model.safetensors.index.json': Buffer.from(JSON.stringify(index)) },
  }
  assert.match(
    await refusal(resolveModel('org/evil', { hubUrl, cacheDir })),
    'must lie in a .safetensors file of the same folder',
  )
  assert.is(below(folder).filter((name) => name.includes('evil') && !name.includes('models--org--evil')).length, 0)
})

test.run()
