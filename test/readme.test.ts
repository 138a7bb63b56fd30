// Every example in README.md, typed as it stands, in a folder with photos and the model in the Hugging Face cache.
import { spawnSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import sharp from 'sharp'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Rng } from 'vitune/tensor'
import { openPage } from './chromium.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const readme = readFileSync(join(root, 'README.md'), 'utf8')
const blocks = (language: string) =>
  [...readme.matchAll(/```(\w+)\n([\s\S]*?)```/g)].filter(([, l]) => l === language).map(([, , text]) => text!)

const folder = mkdtempSync(join(tmpdir(), 'vitune-readme-'))
const env = { ...process.env, HF_HUB_CACHE: join(folder, 'cache'), HF_HUB_OFFLINE: '1' }

function run(command: string, args: string[]): string {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd: folder, env, encoding: 'utf8' })
  assert.is(status, 0, `${command} ${args.join(' ')}\n${stdout}${stderr}`)
  return stdout
}

test.before(async () => {
  const rng = new Rng(1)
  for (const [name, r, g] of [
    ['rose', 200, 40],
    ['tulip', 60, 190],
  ] as const) {
    mkdirSync(join(folder, 'photos', name), { recursive: true })
    for (let i = 1; i <= 10; i++) {
      const noise = () => rng.below(50)
      const data = Buffer.from(Array.from({ length: 40 * 30 }, () => [r + noise(), g + noise(), 60 + noise()]).flat())
      await sharp(data, { raw: { width: 40, height: 30, channels: 3 } })
        .jpeg()
        .toFile(join(folder, 'photos', name, `${i}.jpg`))
    }
  }
  // The tiny DINOv2 of the fixtures stands in the cache under the README's name.
  const commit = '0123456789abcdef0123456789abcdef01234567'
  const model = join(folder, 'cache', 'models--facebook--dinov2-small')
  mkdirSync(join(model, 'refs'), { recursive: true })
  writeFileSync(join(model, 'refs', 'main'), commit)
  cpSync(join(root, 'test/fixtures/checkpoints/dinov2'), join(model, 'snapshots', commit), { recursive: true })
  mkdirSync(join(folder, 'node_modules', '.bin'), { recursive: true })
  symlinkSync(root, join(folder, 'node_modules', 'vitune'))
  symlinkSync(join(root, 'dist/cli.js'), join(folder, 'node_modules', '.bin', 'vitune'))
})

test.after(() => rmSync(folder, { recursive: true }))

test('the commands run in the order in which they stand', () => {
  const commands = blocks('sh')
    .flatMap((text) => text.trim().split('\n'))
    .filter((line) => line.startsWith('npx vitune'))
  assert.ok(commands.length >= 4)
  for (const line of commands) {
    const out = run('npx', ['--no-install', ...line.split(' ').slice(1)])
    if (line.includes('predict')) assert.is(JSON.parse(out).predictions[0].file, 'photos/rose/1.jpg')
  }
  for (const file of ['adapter_config.json', 'adapter_model.safetensors', 'metrics.jsonl', 'run.json']) {
    assert.ok(existsSync(join(folder, 'run', file)), file)
  }
  assert.ok(existsSync(join(folder, 'merged', 'model.safetensors')))
})

test('the Node example runs and predicts', () => {
  const [example] = blocks('js')
  assert.ok(example!.trim().split('\n').length <= 16)
  writeFileSync(join(folder, 'example.mjs'), example!)
  const out = run('node', ['example.mjs'])
  assert.match(out, /epoch 2: accuracy/)
  assert.match(out, /photos\/rose\/1\.jpg (rose|tulip) [01]\.\d{3}/)
})

test('the browser example trains on the folder that is chosen and predicts', async () => {
  const [example] = blocks('html')
  assert.ok(example!.trim().split('\n').length <= 17)
  const map = '<script type="importmap">{ "imports": { "vitune": "/dist/browser.js" } }</script>'
  const icon = '<link rel="icon" href="data:,">'
  const { page, errors, close } = await openPage({ routes: { '/page': `<!doctype html>${icon}${map}${example}` } })
  try {
    await page.context().route('https://huggingface.co/facebook/dinov2-small/resolve/main/*', (route) =>
      route.fulfill({
        path: join(root, 'test/fixtures/checkpoints/dinov2', route.request().url().split('/').at(-1)!),
        headers: { 'Access-Control-Allow-Origin': '*' },
      }),
    )
    const said: string[] = []
    page.on('console', (message) => said.push(message.text()))
    await page.goto(new URL('/page', page.url()).href)
    await page.waitForFunction(() => document.querySelector('input')!.onchange)
    await page.setInputFiles('input', join(folder, 'photos'))
    for (let i = 0; i < 300 && !/jpg/.test(said.at(-1) ?? '') && errors.length === 0; i++)
      await page.waitForTimeout(100)
    assert.equal(errors, [])
    assert.match(said[0]!, /^step 1 of \d+: loss \d\.\d{4}$/)
    assert.match(said.at(-1)!, /^\d+\.jpg (rose|tulip)$/)
  } finally {
    await close()
  }
})

test('the tests that docs/ names exist', () => {
  const pages = readdirSync(join(root, 'docs')).filter((name) => name.endsWith('.md'))
  const named = pages.flatMap((name) => {
    const text = readFileSync(join(root, 'docs', name), 'utf8')
    return [...text.matchAll(/`npm (test|run test:long) -- ([^`]+)`/g)].map(([, script, names]) => [script!, names!])
  })
  assert.ok(named.length > 20)
  for (const [script, names] of named) {
    const files = readdirSync(join(root, script === 'test' ? 'test' : 'test/long'))
    for (const name of names!.split(' '))
      assert.ok(
        files.some((file) => file.includes(name)),
        `${script} ${name}`,
      )
  }
})

test('the npm scripts that it names exist', () => {
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  for (const [, name] of readme.matchAll(/npm (?:run )?(start|test|[a-z]+)\b/g))
    assert.ok(name === 'install' || scripts[name!], name)
})

test.run()
