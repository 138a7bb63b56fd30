// vitune demo: the page's files over HTTP, with the headers that threads need, and nothing else of the disk.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type FolderServer, serveFolder } from '../src/platform/serve-node.ts'

const cli = fileURLToPath(new URL('../dist/cli.js', import.meta.url))

/** Runs the verb on a free port until the body is done; resolves to its exit code and what it said on standard error. */
async function served(body: (address: string) => Promise<void>): Promise<number | null> {
  const child = spawn(process.execPath, [cli, 'demo', '--port', '0', '--json'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  try {
    const [line] = (await once(child.stdout, 'data')) as [Buffer]
    await body((JSON.parse(String(line)) as { address: string }).address)
  } finally {
    child.kill('SIGINT')
  }
  const [code] = (await once(child, 'exit')) as [number | null]
  return code
}

test('it serves the page with the isolation headers, and ends with code 0 at Ctrl-C', async () => {
  const code = await served(async (address) => {
    const page = await fetch(address)
    assert.is(page.status, 200)
    assert.is(page.headers.get('cross-origin-opener-policy'), 'same-origin')
    assert.is(page.headers.get('cross-origin-embedder-policy'), 'require-corp')
    assert.match(await page.text(), /<title>vitune/)
    const model = await fetch(`${address}models/vit-cifar100/model.safetensors`)
    assert.is((await model.arrayBuffer()).byteLength, Number(model.headers.get('content-length')))
    for (const path of ['nothing', '..%2fcli.js', '%2e%2e/index.js', 'models/', 'a%00b']) {
      assert.is((await fetch(address + path)).status, 404, path)
    }
    assert.is((await fetch(`${address}%E0%A4%A`)).status, 400)
    assert.is((await fetch(address, { method: 'POST' })).status, 405)
  })
  assert.is(code, 0)
})

test('a port that is taken is refused with one sentence and code 2', async () => {
  await served(async (address) => {
    const port = new URL(address).port
    const child = spawn(process.execPath, [cli, 'demo', '--port', port])
    let said = ''
    child.stderr.on('data', (chunk) => (said += chunk))
    const [code] = (await once(child, 'close')) as [number]
    assert.is(code, 2)
    assert.match(said, new RegExp(`^vitune: --port: ${port} cannot be used \\(EADDRINUSE\\); choose another one\n$`))
  })
})

/** What a server answers to lines that no client library would send: the status, and the body. */
function ask(address: string, ...lines: string[]): Promise<{ status: number; body: string }> {
  const { hostname, port } = new URL(address)
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => socket.write(`${lines.join('\r\n')}\r\n\r\n`))
    let text = ''
    socket.on('data', (chunk) => (text += chunk))
    socket.on('error', reject)
    socket.on('close', () =>
      resolve({ status: Number(text.split(' ')[1] ?? 0), body: text.slice(text.indexOf('\r\n\r\n') + 4) }),
    )
  })
}

const outer = mkdtempSync(join(tmpdir(), 'vitune-serve-'))
const inner = join(outer, 'page')
mkdirSync(join(inner, 'sub'), { recursive: true })
writeFileSync(join(outer, 'secret.txt'), 'secret')
writeFileSync(join(inner, 'index.html'), 'the page')
writeFileSync(join(inner, 'sub', 'a b.txt'), 'inside')
writeFileSync(join(inner, '.hidden'), 'secret')
writeFileSync(join(inner, 'empty.txt'), '')
symlinkSync(join(outer, 'secret.txt'), join(inner, 'link.txt'))
symlinkSync(outer, join(inner, 'up'))
symlinkSync('loop', join(inner, 'loop'))
symlinkSync('sub/a b.txt', join(inner, 'own.txt'))
let server: FolderServer
test.before(async () => {
  server = await serveFolder(pathToFileURL(`${inner}/`), 0)
})
test.after(async () => {
  await server.close()
  rmSync(outer, { recursive: true })
})

test('whatever is asked is answered, with files of the folder alone', async () => {
  const get = (target: string, ...more: string[]) =>
    ask(server.address, `GET ${target} HTTP/1.1`, 'Host: localhost', 'Connection: close', ...more)
  for (const [target, status, body] of [
    ['/', 200, 'the page'],
    ['/index.html?a#b', 200, 'the page'],
    ['/sub/a%20b.txt', 200, 'inside'],
    ['/own.txt', 200, 'inside'],
    ['/empty.txt', 200, ''],
    ['http://localhost:1/index.html', 200, 'the page'],
    ['http://localhost', 200, 'the page'],
    ['/index.html/', 404],
    ['/sub', 404],
    ['/sub/', 404],
    ['//', 404],
    ['//etc/passwd', 404],
    [`/${'a'.repeat(300)}`, 404],
    [`/${'a/'.repeat(3000)}`, 404],
    ['/../secret.txt', 404],
    ['/sub/../../secret.txt', 404],
    ['/%2e%2e/secret.txt', 404],
    ['/..%2fsecret.txt', 404],
    ['/%252e%252e%252fsecret.txt', 404],
    ['/..\\secret.txt', 404],
    ['/..%5csecret.txt', 404],
    ['/link.txt', 404],
    ['/up/secret.txt', 404],
    ['/loop', 404],
    ['/.hidden', 404],
    ['/a%00b', 404],
    ['/index.html%00.png', 404],
    ['/%', 400],
    ['/%E0%A4%A', 400],
    ['/%ff', 400],
    ['*', 400],
    ['index.html', 400],
    ['http://evil.example/index.html', 421],
    ['https://localhost/', 400],
  ] as [string, number, string?][]) {
    const answer = await get(target)
    assert.is(answer.status, status, target)
    assert.not.match(answer.body, 'secret\n', target)
    if (body !== undefined) assert.is(answer.body, body, target)
  }
  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'TRACE']) {
    const answer = await ask(server.address, `${method} / HTTP/1.1`, 'Host: localhost', 'Connection: close')
    assert.is(answer.status, 405, method)
  }
  assert.is((await get('/', `X: ${'a'.repeat(1e5)}`)).status, 431)
  assert.is((await ask(server.address, 'no request at all')).status, 400)
  assert.is((await ask(server.address, 'HEAD / HTTP/1.1', 'Host: localhost', 'Connection: close')).body, '')
  // Clients that break off leave nothing behind that would stop it.
  for (let i = 0; i < 20; i++) {
    const { hostname, port } = new URL(server.address)
    const socket = connect(Number(port), hostname, () => socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'))
    socket.on('error', () => {})
    await once(socket, 'connect')
    socket.resetAndDestroy()
  }
  assert.is((await get('/')).status, 200)
})

test('a page of another name that leads here gets nothing', async () => {
  for (const [host, status] of [
    ['localhost', 200],
    ['LOCALHOST:8765', 200],
    ['127.0.0.1:1', 200],
    ['[::1]:1', 200],
    ['evil.example', 421],
    ['localhost.evil.example', 421],
    ['evil.example:80@localhost', 421],
    ['127.0.0.1.nip.io', 421],
    ['0.0.0.0', 421],
    ['', 421],
  ] as const) {
    assert.is((await ask(server.address, 'GET / HTTP/1.1', `Host: ${host}`, 'Connection: close')).status, status, host)
  }
  assert.is((await ask(server.address, 'GET / HTTP/1.0')).status, 421)
  const two = ['Host: localhost', 'Host: evil.example', 'Connection: close']
  assert.is((await ask(server.address, 'GET / HTTP/1.1', ...two)).status, 400)
})

test.run()
