// The browser build as users take it: from an import map, through Vite and through Rollup, with no settings for it. Each
// time a ten-line page trains three steps in a session.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { rollup } from 'rollup'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { build } from 'vite'
import { openPage, type PageOptions } from './chromium.mjs'
import { importMap } from './serve.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'vitune-bundlers-'))
const model = 'test/fixtures/checkpoints/vit'
const routes = Object.fromEntries(
  ['config.json', 'preprocessor_config.json', 'model.safetensors'].map((file) => [
    `/model/${file}`,
    readFileSync(join(root, model, file)),
  ]),
)

/** What a user writes. */
const app = `import { openSession } from 'vitune'
import { Rng } from 'vitune/tensor'

const session = await openSession({ device: 'wasm' })
const rng = new Rng(1)
const data = () => Uint8Array.from({ length: 16 * 16 * 3 }, () => rng.below(256))
const images = Array.from({ length: 12 }, (_, i) => ({ source: { width: 16, height: 16, data: data() }, class: 'ab'[i % 2] }))
await session.addImages('noise', images)
await session.addModel('vit', '/model/')
const losses = []
for await (const event of session.train({ run: 'first', model: 'vit', dataset: 'noise', batchSize: 2 })) {
  if (event.kind === 'step' && losses.push(event.loss) === 3) break
}
globalThis.result = { losses, device: session.device, runs: await session.runs() }
`
const html = '<!doctype html><link rel="icon" href="data:,"><script type="module" src="./app.js"></script>'

test.before(() => {
  mkdirSync(join(folder, 'node_modules'))
  symlinkSync(root, join(folder, 'node_modules/vitune'))
  writeFileSync(join(folder, 'package.json'), '{ "name": "user", "private": true, "type": "module" }')
  writeFileSync(join(folder, 'app.js'), app)
  writeFileSync(join(folder, 'index.html'), html)
})
test.after(() => rmSync(folder, { recursive: true }))

interface Result {
  losses: number[]
  device: { name: string; threads: number; notes: string[] }
  runs: { name: string; step: number; finished: boolean }[]
}

/** Opens the page and waits until it has trained. */
async function result(options: PageOptions): Promise<Result> {
  const { page, errors, close } = await openPage({ ...options, routes: { ...routes, ...options.routes } })
  try {
    const ready = await page.waitForFunction(() => 'result' in globalThis, undefined, { timeout: 30_000 })
    await ready.dispose()
    assert.equal(errors, [])
    return await page.evaluate(() => (globalThis as unknown as { result: Result }).result)
  } catch (error) {
    throw new Error(`${error instanceof Error ? error.message : error}\n${errors.join('\n')}`)
  } finally {
    await close()
  }
}

function checkResult({ losses, device, runs }: Result): void {
  assert.is(losses.length, 3)
  assert.ok(losses.every((loss) => loss > 0 && loss < 3))
  assert.equal([device.name, device.threads >= 1], ['wasm', true])
  assert.equal([runs[0]?.step, runs[0]?.finished], [3, false])
}

test('what a page loads is at most 250 KB gzipped, kernels and worker included', () => {
  const bytes = gzipSync(readFileSync(join(root, 'dist/browser.js')), { level: 9 }).length
  assert.ok(bytes <= 250_000, `${bytes} bytes`)
})

test('a bare page with an import map trains in a session', async () => {
  const page = html.replace('<script', `${importMap}<script`)
  checkResult(await result({ path: '/page', routes: { '/page': page, '/app.js': app } }))
})

test('without isolation the same page trains on one thread and says why', async () => {
  const page = html.replace('<script', `${importMap}<script`)
  const found = await result({ isolated: false, path: '/page', routes: { '/page': page, '/app.js': app } })
  checkResult(found)
  assert.is(found.device.threads, 1)
  assert.match(found.device.notes.join(), /not cross-origin isolated: send the COOP and COEP headers/)
})

test('a production build by Vite trains in a session', async () => {
  const out = join(folder, 'vite')
  await build({ root: folder, configFile: false, logLevel: 'error', build: { outDir: out, target: 'esnext' } })
  checkResult(await result({ root: out }))
})

test('a bundle by Rollup trains in a session', async () => {
  // What @rollup/plugin-node-resolve does with `browser: true`, for the one package there is.
  const { exports } = JSON.parse(readFileSync(join(folder, 'node_modules/vitune/package.json'), 'utf8'))
  const resolveId = (id: string) =>
    id.startsWith('vitune') ? join(root, exports[id.replace('vitune', '.')].browser) : null
  const bundle = await rollup({ input: join(folder, 'app.js'), plugins: [{ name: 'resolve', resolveId }] })
  const { output } = await bundle.generate({ format: 'es' })
  await bundle.close()
  assert.is(output.length, 1)
  checkResult(await result({ path: '/page', routes: { '/page': html, '/app.js': output[0].code } }))
})

test.run()
