// vitune demo: the page's files over HTTP, with the headers that threads need, and nothing else of the disk.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'

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

test.run()
